//! Copies of shared memory under a name, and the state of the swarm beside them.
//!
//! A copy is made of each namespace as it is at one moment, and restored as one step; two namespaces
//! may be of two moments. The bytes are artifacts, known by their hash.

use super::call::{Call, Failure, Outcome};
use super::contract::{ContractTool, Effect, Group, text};
use super::memory::now;
use super::stored::Shelf;
use super::swarm::items;
use crate::fault::Fault;
use serde_json::{Value, json};
use skep_operations::{ErrorCode, OperationError};

/// Where the operation keeps the names of copies; not copied themselves.
const COPIES: &str = "snapshots";
const STATES: Shelf = Shelf {
    namespace: "state-snapshots",
    noun: "snapshot",
};
/// Live tasks that a snapshot names.
const TASKS_MAX: usize = 1_000;

pub(super) static TOOLS: &[ContractTool] = &[
    ContractTool {
        name: "memory_backup",
        group: Group::Memory,
        about: "Keeps a copy of every namespace under a name, for memory_restore; gives hashes.",
        parameters: &[text(
            "path",
            "The name; one of the present time when left out.",
        )],
        effect: Effect::Writes,
        handle: |call| Box::pin(backup(call)),
    },
    ContractTool {
        name: "memory_restore",
        group: Group::Memory,
        about: "Makes namespaces what they were in a copy; keeps one of how they are now before.",
        parameters: &[text("backupPath", "The name that memory_backup gave.").required()],
        effect: Effect::Removes,
        handle: |call| Box::pin(restore(call)),
    },
    ContractTool {
        name: "state_snapshot",
        group: Group::Memory,
        about: "Keeps a copy of shared memory, with the agents, runs and live tasks of the moment.",
        parameters: &[text("name", "One of the present time when left out.")],
        effect: Effect::Writes,
        handle: |call| Box::pin(snapshot(call)),
    },
    ContractTool {
        name: "context_restore",
        group: Group::Memory,
        about: "Restores the memory of a snapshot and tries its tasks again that failed since.",
        parameters: &[text("snapshotId", "As state_snapshot gave it.").required()],
        effect: Effect::Removes,
        handle: |call| Box::pin(context_restore(call)),
    },
];

/// The name that was given, or one of the present time.
fn name(call: &Call, parameter: &str, kind: &str) -> String {
    let time = || {
        let now = now(call);
        now.chars()
            .filter(char::is_ascii_alphanumeric)
            .collect::<String>()
    };
    call.text(parameter)
        .map_or_else(|| format!("{kind}-{}", time()), one_part)
}

/// A name that may have been a path. The names of copies have the namespace before a slash.
fn one_part(name: &str) -> String {
    name.trim_matches('/').replace('/', "-")
}

/// What was not listed would neither be copied nor restored, and nobody would know.
fn check_complete(complete: bool, what: &str) -> Result<(), Failure> {
    if complete {
        return Ok(());
    }
    let detail = format!(
        "there are more {what} than one call lists: copy and restore namespaces one by one, with \
         `memory.snapshot` and `memory.restore`"
    );
    Err(OperationError::new(ErrorCode::LimitExceeded, detail).into())
}

/// Copies what is to be restored and has no copy under this name yet, such as what the caller does
/// not even see. Nothing is restored of which no copy of how it is now can be made.
async fn copy_hidden(
    call: &Call,
    name: &str,
    namespaces: &[String],
    kept: &mut Vec<Value>,
) -> Result<(), Failure> {
    for namespace in namespaces {
        if kept.iter().any(|copy| copy["namespace"] == **namespace) {
            continue;
        }
        let arguments = json!({ "namespace": namespace, "name": name });
        match call.operate("memory.snapshot", arguments).await {
            Ok(_) => kept.push(copied(call, &json!(namespace), name).await?),
            // There is nothing that could get lost.
            Err(failure) if failure.is_not_found() => {}
            Err(failure) => {
                return Err(failure.with(json!({ "restored": [], "notCopied": namespace })));
            }
        }
    }
    Ok(())
}

/// Copies every namespace; says what was copied and what could not be.
async fn copy(call: &Call, name: &str) -> Result<(Vec<Value>, Vec<Value>), Failure> {
    let (namespaces, complete) = items(&call.caller, "memory.namespaces", &json!({})).await?;
    check_complete(complete, "namespaces")?;
    let (mut copies, mut left_out) = (Vec::new(), Vec::new());
    for namespace in &namespaces {
        let own = &namespace["namespace"];
        if own == COPIES || own == STATES.namespace {
            continue;
        }
        let arguments = json!({ "namespace": own, "name": name });
        match call.operate("memory.snapshot", arguments).await {
            Ok(_) => copies.push(copied(call, own, name).await?),
            Err(failure) if failure.is_forbidden() => left_out.push(own.clone()),
            Err(failure) => return Err(failure.with(json!({ "copied": copies }))),
        }
    }
    Ok((copies, left_out))
}

/// A copy that was made: which bytes it is.
async fn copied(call: &Call, namespace: &Value, name: &str) -> Outcome {
    let key = format!("{}/{name}", namespace.as_str().unwrap_or_default());
    let entry = call
        .operate("memory.get", json!({ "namespace": COPIES, "key": key }))
        .await?;
    Ok(json!({
        "namespace": namespace,
        "entries": entry["metadata"]["entries"],
        "bytes": entry["artifact"]["bytes"],
        "hash": entry["artifact"]["blake3"],
    }))
}

fn bytes(copies: &[Value]) -> u64 {
    copies
        .iter()
        .filter_map(|copy| copy["bytes"].as_u64())
        .sum()
}

async fn backup(call: Call) -> Outcome {
    let name = name(&call, "path", "backup");
    let (copies, left_out) = copy(&call, &name).await?;
    Ok(json!({
        "path": name,
        "bytes": bytes(&copies),
        "namespaces": copies,
        "leftOut": left_out,
    }))
}

/// The namespaces that have a copy of this name.
async fn with_copy(call: &Call, name: &str) -> Result<Vec<String>, Failure> {
    let listed = items(&call.caller, "memory.list", &json!({ "namespace": COPIES })).await;
    let entries = match listed {
        Ok((entries, complete)) => {
            check_complete(complete, "copies")?;
            entries
        }
        Err(failure) if failure.is_not_found() => Vec::new(),
        Err(failure) => return Err(failure),
    };
    let keys = entries.iter().filter_map(|entry| entry["key"].as_str());
    let suffix = format!("/{name}");
    Ok(keys
        .filter_map(|key| key.strip_suffix(&suffix).map(str::to_owned))
        .collect())
}

/// Restores all namespaces that have a copy, each as one step, after a copy of how they are now.
async fn restore_all(call: &Call, name: &str) -> Outcome {
    let namespaces = with_copy(call, name).await?;
    if namespaces.is_empty() {
        let detail = format!("no namespace has a copy that is called `{name}`");
        return Err(Failure::new(Fault::DocumentUnknown, detail));
    }
    let before = format!("before-{name}");
    let (mut kept, _) = copy(call, &before).await?;
    copy_hidden(call, &before, &namespaces, &mut kept).await?;
    let mut restored = Vec::new();
    for namespace in namespaces {
        let arguments = json!({ "namespace": namespace, "name": name });
        match call.operate("memory.restore", arguments).await {
            Ok(document) => restored.push(json!({ "namespace": namespace, "result": document })),
            Err(failure) => {
                return Err(failure.with(json!({ "restored": restored, "previousCopy": before })));
            }
        }
    }
    Ok(json!({ "restored": restored, "previousCopy": before, "previous": kept }))
}

async fn restore(call: Call) -> Outcome {
    let name = one_part(call.required_text("backupPath")?);
    let mut document = restore_all(&call, &name).await?;
    document["backupPath"] = json!(name);
    Ok(document)
}

async fn snapshot(call: Call) -> Outcome {
    let id = name(&call, "name", "snapshot");
    let (copies, left_out) = copy(&call, &id).await?;
    let page = json!({ "limit": TASKS_MAX });
    let tasks = call.operate("tasks.list", page.clone()).await?;
    let runs = call.operate("runs.list", page).await?;
    let live = |page: &Value| -> Vec<Value> {
        let items = page["items"].as_array().into_iter().flatten();
        let live = items.filter(|item| item["finished_at"].is_null());
        live.map(|item| json!({ "id": item["id"], "name": item["name"], "state": item["state"] }))
            .collect()
    };
    let (agents, _) = items(&call.caller, "agents.list", &json!({})).await?;
    let state = json!({
        "id": id,
        "at": now(&call),
        "status": call.operate("system.status", json!({})).await?,
        "agents": agents,
        "tasks": live(&tasks),
        "runs": live(&runs),
        "memory": copies,
    });
    STATES.put(&call, &id, &state).await?;
    Ok(json!({
        "snapshotId": id,
        "bytes": bytes(&copies),
        "namespaces": copies,
        "leftOut": left_out,
        "tasks": state["tasks"],
        "runs": state["runs"],
    }))
}

async fn context_restore(call: Call) -> Outcome {
    let id = &*one_part(call.required_text("snapshotId")?);
    let state = STATES.get(&call, id).await?;
    // A snapshot of a swarm without memory has no copies.
    let had_memory = state["memory"]
        .as_array()
        .is_some_and(|copies| !copies.is_empty());
    let mut document = if had_memory {
        restore_all(&call, id).await?
    } else {
        json!({ "restored": [] })
    };
    let (mut again, mut goes_on) = (Vec::new(), Vec::new());
    for task in state["tasks"].as_array().into_iter().flatten() {
        let named = json!({ "id": task["id"] });
        let present = call.operate("tasks.get", named.clone()).await?;
        match present["state"].as_str().unwrap_or_default() {
            "succeeded" => {}
            "failed" | "cancelled" | "expired" | "unknown" => {
                let copy = call.operate("tasks.retry", named).await?;
                again.push(json!({ "taskId": task["id"], "triedAs": copy["retried_as"] }));
            }
            "paused" if task["state"] != "paused" => {
                call.operate("tasks.resume", named).await?;
                goes_on.push(task["id"].clone());
            }
            _ => goes_on.push(task["id"].clone()),
        }
    }
    document["snapshotId"] = json!(id);
    document["tasksTriedAgain"] = json!(again);
    document["tasksThatGoOn"] = json!(goes_on);
    Ok(document)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool_result::Refusal;

    fn code(checked: Result<(), Failure>) -> Option<&'static str> {
        let failure = checked.err()?;
        let Refusal::Operation(error) = failure.refusal() else {
            return Some("another refusal");
        };
        Some(error.code().as_str())
    }

    #[test]
    fn what_was_not_wholly_listed_is_neither_copied_nor_restored() {
        assert_eq!(code(check_complete(true, "copies")), None);
        assert_eq!(
            code(check_complete(false, "copies")),
            Some("limit_exceeded")
        );
    }
}
