//! Clients in Python: the SDK, by a script of ours, and fastmcp, by its command line.

use super::bounded::{self, Ended};
use super::{Programs, Target, Transport, check_task, check_tools};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

const SDK_SCRIPT: &str = include_str!("python_sdk.py");
/// What the script shows, in this order.
const SDK_WAYS: [(&str, &str); 4] = [
    ("http", "2026-07-28"),
    ("http", "2025-11-25"),
    ("stdio", "2026-07-28"),
    ("stdio", "2025-11-25"),
];

pub(super) fn run_sdk(programs: &Programs, target: &Target) -> Result<String> {
    let place = json!({
        "url": target.url(),
        "authorization": target.authorization(),
        "command": target.command(),
    });
    let mut python = programs.python.program("python");
    python.args(["-c", SDK_SCRIPT, &place.to_string()]);
    let ended = bounded::run(&mut python)?;
    ensure!(ended.status.success(), "{}", ended.said());
    let documents = ended.stdout.lines().map(serde_json::from_str::<Value>);
    let documents = documents.collect::<Result<Vec<_>, _>>();
    let documents = documents.context("read what the script said")?;
    let ways: Vec<_> = documents
        .iter()
        .map(|document| (text(&document["transport"]), text(&document["revision"])))
        .collect();
    ensure!(ways == SDK_WAYS, "it went these ways: {ways:?}");
    for document in &documents {
        check_tools(&document["tools"])?;
        let done = (&document["state"], &document["refused"]);
        let wanted = (&json!("succeeded"), &json!("task_not_found"));
        ensure!(done == wanted, "{document}");
        check_task(target, &document["task"])?;
    }
    Ok("tools listed and called, old and new revision, by HTTP and stdio".to_owned())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

pub(super) fn run_fastmcp(programs: &Programs, target: &Target) -> Result<String> {
    for transport in Transport::ALL {
        let fastmcp = Fastmcp {
            programs,
            target,
            transport,
        };
        let used = fastmcp.use_tools();
        used.with_context(|| format!("over {}", transport.as_str()))?;
    }
    Ok("tools listed and called, by HTTP and stdio".to_owned())
}

/// One way to the coordinator.
struct Fastmcp<'a> {
    programs: &'a Programs,
    target: &'a Target,
    transport: Transport,
}

impl Fastmcp<'_> {
    fn use_tools(&self) -> Result<()> {
        let listed = answered(&self.run(&["list"])?)?;
        check_tools(&listed["tools"])?;
        let task = json!({ "name": "fast", "run": "echo fast" });
        let submitted = answered(&self.call("skep_tasks_submit", &task)?)?;
        let id = &submitted["structured_content"]["id"];
        let waited = self.call("skep_wait", &json!({ "id": id }))?;
        let waited = answered(&waited)?;
        let state = &waited["structured_content"]["state"];
        ensure!(state == "succeeded", "it waited for {state}");
        check_task(self.target, id)?;

        let unknown = json!({ "id": "task_00000000000000000000000000" });
        let unknown = json!({ "operation": "tasks.get", "arguments": unknown });
        let failed = self.call("skep_call", &unknown)?;
        ensure!(
            !failed.status.success() && failed.said().contains("task_not_found"),
            "an unknown task: {failed:?}"
        );
        Ok(())
    }

    fn call(&self, tool: &str, arguments: &Value) -> Result<Ended> {
        let arguments = arguments.to_string();
        self.run(&["call", "--target", tool, "--input-json", &arguments])
    }

    fn run(&self, words: &[&str]) -> Result<Ended> {
        let mut command = self.programs.python.program("fastmcp");
        command.args(words).arg("--json");
        match self.transport {
            Transport::Http => {
                command.args(["--server-spec", &self.target.url()]);
                command.args(["--auth", &self.target.server.token]);
            }
            Transport::Stdio => {
                command.args(["--command", &self.target.command().join(" ")]);
            }
        }
        bounded::run(&mut command)
    }
}

fn answered(ended: &Ended) -> Result<Value> {
    ensure!(ended.status.success(), "{}", ended.said());
    serde_json::from_str(&ended.stdout).with_context(|| format!("it said {}", ended.said()))
}
