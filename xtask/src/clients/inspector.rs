//! The MCP Inspector from its command line: one process for each request.

use super::bounded::{self, Ended};
use super::{Programs, Target, Transport, check_task, check_tools};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

const ERAS: [&str; 2] = ["modern", "legacy"];
/// Its exit code when a tool says that it failed.
const TOOL_FAILED: i32 = 5;

/// One way to the coordinator.
struct Inspector<'a> {
    programs: &'a Programs,
    target: &'a Target,
    transport: Transport,
    era: &'static str,
}

pub(super) fn run(programs: &Programs, target: &Target) -> Result<String> {
    for transport in Transport::ALL {
        for era in ERAS {
            let inspector = Inspector {
                programs,
                target,
                transport,
                era,
            };
            let way = || format!("{} over {}", era, transport.as_str());
            inspector.use_tools().with_context(way)?;
        }
    }
    Ok("tools listed and called, old and new revision, by HTTP and stdio".to_owned())
}

impl Inspector<'_> {
    fn use_tools(&self) -> Result<()> {
        // Strict: it fails when a schema has an error.
        let listed = self.answered(&["--method", "tools/list", "--strict"])?;
        check_tools(&listed["tools"])?;
        let task = json!({ "name": "inspected", "run": "echo inspected" });
        let submitted = self.call("skep_tasks_submit", &task)?;
        let id = &submitted["structuredContent"]["id"];
        let waited = self.call("skep_wait", &json!({ "id": id }))?;
        let state = &waited["structuredContent"]["state"];
        ensure!(state == "succeeded", "it waited for {state}");
        check_task(self.target, id)?;

        let unknown = json!({ "id": "task_00000000000000000000000000" });
        let unknown = json!({ "operation": "tasks.get", "arguments": unknown });
        let failed = self.run(&call("skep_call", &unknown))?;
        ensure!(
            failed.status.code() == Some(TOOL_FAILED) && failed.said().contains("task_not_found"),
            "an unknown task: {failed:?}"
        );
        Ok(())
    }

    fn call(&self, tool: &str, arguments: &Value) -> Result<Value> {
        self.answered(&call(tool, arguments))
    }

    /// The result of a request.
    fn answered<S: AsRef<str>>(&self, request: &[S]) -> Result<Value> {
        let ended = self.run(request)?;
        ensure!(ended.status.success(), "{}", ended.said());
        let answer: Value = serde_json::from_str(&ended.stdout).context("read what it said")?;
        Ok(answer["result"].clone())
    }

    fn run<S: AsRef<str>>(&self, request: &[S]) -> Result<Ended> {
        let mut command = self.programs.npm.script("mcp-inspector");
        command.args(["--cli", "--format", "json", "--quiet"]);
        command.args(["--protocol-era", self.era]);
        command.args(request.iter().map(AsRef::as_ref));
        match self.transport {
            Transport::Http => {
                let header = format!("Authorization: {}", self.target.authorization());
                command.args(["--header", &header, "--transport", "http"]);
                command.args(["--server-url", &self.target.url()]);
            }
            Transport::Stdio => {
                command.arg("--").args(self.target.command());
            }
        }
        bounded::run(&mut command)
    }
}

fn call(tool: &str, arguments: &Value) -> [String; 6] {
    let arguments = arguments.to_string();
    [
        "--method",
        "tools/call",
        "--tool-name",
        tool,
        "--tool-args-json",
        &arguments,
    ]
    .map(str::to_owned)
}
