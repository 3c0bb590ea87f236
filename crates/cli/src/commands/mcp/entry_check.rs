//! Starts a server as an entry of a client says, and asks it for its tools.

use crate::exit::{Exit, Failure};
use serde_json::{Value, json};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

/// How long starting and answering may take together; it may start a coordinator.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// The revision that most clients speak.
const REVISION: &str = "2025-11-25";

/// What the server said.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) tools: usize,
    pub(super) revision: String,
}

/// Starts it, asks, and ends it.
pub(super) async fn call(entry: &Value) -> Result<Checked, Failure> {
    match tokio::time::timeout(ANSWER_MAX, talk(entry)).await {
        Ok(Ok(checked)) => Ok(checked),
        Ok(Err(why)) => Err(failed(&why)),
        Err(_) => Err(failed(&format!(
            "no answer within {} s",
            ANSWER_MAX.as_secs()
        ))),
    }
}

fn failed(why: &str) -> Failure {
    let message = format!("the entry is written, but the server it starts does not answer: {why}");
    Failure::new(Exit::Failed, "mcp_entry_failed", message)
}

async fn talk(entry: &Value) -> Result<Checked, String> {
    let command = entry["command"].as_str().unwrap_or_default();
    let arguments = entry["args"].as_array().into_iter().flatten();
    let mut child = Command::new(command)
        .args(arguments.filter_map(Value::as_str))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("cannot start `{command}`: {error}"))?;
    let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err("it has no stdin or stdout".to_owned());
    };
    let hello = json!({
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {
            "protocolVersion": REVISION,
            "capabilities": {},
            "clientInfo": { "name": "skep mcp config", "version": env!("CARGO_PKG_VERSION") },
        },
    });
    let mut lines = BufReader::new(stdout).lines();
    let mut ask = async |message: Value| {
        let text = format!("{message}\n");
        stdin
            .write_all(text.as_bytes())
            .await
            .map_err(|error| error.to_string())?;
        let line = lines.next_line().await.map_err(|error| error.to_string())?;
        let line = line.ok_or_else(|| "it ended".to_owned())?;
        let answer: Value = serde_json::from_str(&line).map_err(|error| error.to_string())?;
        match answer.get("result") {
            Some(result) => Ok(result.clone()),
            None => Err(answer["error"].to_string()),
        }
    };
    let greeted = ask(hello).await?;
    let listed = ask(json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list" })).await?;
    // The end of its stdin is its end.
    drop(stdin);
    child.wait().await.map_err(|error| error.to_string())?;
    Ok(Checked {
        tools: listed["tools"].as_array().map_or(0, Vec::len),
        revision: greeted["protocolVersion"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
    })
}
