//! Looks for secrets, wide permissions and missing lockfiles, as a task on a node.

use super::call::{Call, Failure, Outcome};
use super::contract::{ContractTool, Effect, Group, text};
use super::task;
use crate::fault::Fault;
use serde_json::{Value, json};

/// What it does not look for.
const NOT_SCANNED: [&str; 2] = [
    "known vulnerabilities of dependencies: there is no database of them here",
    "faults of the code itself: give an analyser as a command to quality_assess",
];
/// The node's own program looks; what is looked at is named by variables, so that no shell reads it.
const SCRIPT: &str = "exec \"$SKEP_BIN\" --json analyse secrets --depth \"$DEPTH\" -- \"$TARGET\"";

pub(super) static TOOLS: &[ContractTool] = &[ContractTool {
    name: "security_scan",
    group: Group::System,
    about: "Scans a directory of a node for secrets, wide permissions and missing lockfiles.",
    parameters: &[
        text("target", "Absolute path there.").required(),
        text("depth", "quick, standard or deep; standard unless said."),
    ],
    effect: Effect::Writes,
    handle: |call| Box::pin(scan(call)),
}];

async fn scan(call: Call) -> Outcome {
    let target = call.required_text("target")?;
    if !target.starts_with('/') {
        let detail = format!("`target` is `{target}`; want an absolute path of a node");
        return Err(Failure::argument(detail));
    }
    let depth = call.text("depth").unwrap_or("standard");
    if !matches!(depth, "quick" | "standard" | "deep") {
        let detail = format!("`depth` is `{depth}`; want one of `quick`, `standard`, `deep`");
        return Err(Failure::argument(detail));
    }
    let work = json!({
        "name": "security-scan",
        "run": SCRIPT,
        "env": { "TARGET": target, "DEPTH": depth },
        "reads": [target],
        "retries": 0,
    });
    let submitted = call.operate("tasks.submit", work).await?;
    let id = submitted["id"].as_str().unwrap_or_default();
    let waited = call.wait(id).await?;
    if !waited.is_final {
        return Ok(json!({
            "target": target,
            "depth": depth,
            "taskId": id,
            "status": waited.state,
            "finished": false,
            "note": "the scan goes on: `task_results` has its report when it has ended",
        }));
    }
    let result = task::of_task(&call, &waited.document).await?;
    let report = (waited.state == "succeeded")
        .then(|| read(&result["output"]))
        .flatten();
    let Some(report) = report else {
        let detail = format!("the scan of `{target}` is {}", waited.state);
        return Err(Failure::new(Fault::WorkFailed, detail).with(result));
    };
    Ok(json!({
        "target": target,
        "depth": depth,
        "taskId": id,
        "node": result["node"],
        "findingCount": report["found"],
        "findings": report["findings"],
        "lockfiles": report["lockfiles"],
        "complete": report["complete"],
        "scanned": report,
        "notScanned": NOT_SCANNED,
    }))
}

fn read(output: &Value) -> Option<Value> {
    serde_json::from_str(output.as_str()?).ok()
}
