//! What the rows know of the product: arguments, routes, bodies, and where answers hold a value.
//! Everything else in `bench` speaks through this file.

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Submits many tasks.
pub(super) const BATCH: &str = "/api/v2/tasks/batch";
/// Submits one task.
pub(super) const TASKS: &str = "/api/v2/tasks";
/// Submits a graph.
pub(super) const RUNS: &str = "/api/v2/runs";
/// Lists nodes.
pub(super) const NODES: &str = "/api/v2/nodes";
/// Operations over a WebSocket.
pub(super) const CALLS: &str = "/api/v2/calls";
/// Counters.
pub(super) const COUNTERS: &str = "/api/v2/system/metrics";
/// Counters and durations as Prometheus reads them.
pub(super) const METRICS: &str = "/metrics";
/// Events; a stream of them when that is what the caller accepts.
pub(super) const EVENTS: &str = "/api/v2/events";

/// Attempts that a node runs at a time.
const SLOTS: &str = "256";
/// Tasks that a task of the graph needs from the layer before.
const NEEDS: usize = 3;

/// What `skep up` writes when it serves.
#[derive(Debug, Deserialize)]
pub(super) struct ReadyFile {
    pub(super) url: String,
    pub(super) token_file: PathBuf,
    /// Fingerprint of the authority that vouches for it to other machines.
    pub(super) authority: Option<String>,
}

/// Arguments that start a coordinator on a free port, with the nodes it starts by itself.
pub(super) fn up(ready_file: &Path) -> Vec<OsString> {
    let words = ["up", "--listen", "127.0.0.1:0", "--ready-file"].map(OsString::from);
    words.into_iter().chain([ready_file.into()]).collect()
}

/// Arguments that start a coordinator without nodes.
pub(super) fn up_without_nodes(ready_file: &Path) -> Vec<OsString> {
    up(ready_file)
        .into_iter()
        .chain(["--nodes", "0"].map(OsString::from))
        .collect()
}

/// The same for a coordinator that other machines reach: they speak TLS.
pub(super) fn up_for_machines(ready_file: &Path) -> Vec<OsString> {
    let words = [
        "up",
        "--listen",
        "0.0.0.0:0",
        "--nodes",
        "0",
        "--ready-file",
    ];
    let words = words.map(OsString::from);
    words.into_iter().chain([ready_file.into()]).collect()
}

/// Arguments that start a node.
pub(super) fn node(url: &str, name: &str, state: &Path) -> Vec<OsString> {
    let words = [
        "node",
        "start",
        "--coordinator",
        url,
        "--slots",
        SLOTS,
        "--name",
        name,
    ];
    let words = words.into_iter().map(OsString::from);
    words.chain(["--state-dir".into(), state.into()]).collect()
}

/// Arguments of the program that plays many callers.
pub(super) fn fleet(command: &str, ready: &ReadyFile, numbers: &[(&str, usize)]) -> Vec<OsString> {
    let place = [
        "--url".into(),
        ready.url.clone().into(),
        "--token-file".into(),
        ready.token_file.clone().into(),
    ];
    let authority = &ready.authority;
    let numbers = numbers.iter();
    let numbers = numbers.flat_map(|(name, number)| [format!("--{name}"), number.to_string()]);
    let authority = authority.iter();
    let authority = authority.flat_map(|authority| ["--authority".into(), authority.into()]);
    let place = place.into_iter().chain(authority);
    let words = [OsString::from(command)].into_iter().chain(place);
    words.chain(numbers.map(OsString::from)).collect()
}

/// A batch of tasks that do nothing.
pub(super) fn batch(count: usize) -> Value {
    let task = |number| json!({"name": format!("t{number}"), "kind": "noop"});
    json!({"tasks": (1..=count).map(task).collect::<Vec<_>>()})
}

/// Letters of a value of shared memory: with its quotes it has 1 KiB.
const VALUE_BYTES: usize = (1 << 10) - 2;

/// An entry of shared memory.
pub(super) fn memory_path(key: usize) -> String {
    format!("/api/v2/memory/swarm/bench-{key}")
}

/// What the entry is to be.
pub(super) fn memory_put() -> Value {
    json!({"value": "v".repeat(VALUE_BYTES)})
}

/// The same as a question over a WebSocket.
pub(super) fn memory_question(key: usize) -> String {
    let parameters = json!({"namespace": "swarm", "key": format!("bench-{key}")});
    let question = json!({
        "id": key, "operation": "memory.put", "parameters": parameters, "body": memory_put(),
    });
    question.to_string()
}

/// Whether an answer over a WebSocket says that it was done.
pub(super) fn check_call(answer: &str) -> Result<()> {
    if answer.contains("\"status\":200,") {
        return Ok(());
    }
    bail!("the answer is {answer}")
}

/// One task that does nothing.
pub(super) fn noop() -> Value {
    json!({"name": "t", "kind": "noop"})
}

/// A request of the Model Context Protocol.
pub(super) fn mcp_message(id: u64, method: &str, mut params: Value) -> Value {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

/// Parameters of a call of the tool that reads a task.
pub(super) fn mcp_read_task(id: &str) -> Value {
    json!({"name": "skep_tasks_get", "arguments": {"id": id}})
}

/// Parameters of a call of the tool that stores a value.
pub(super) fn mcp_store(number: usize) -> Value {
    let mut arguments = memory_put();
    arguments["namespace"] = json!("swarm");
    arguments["key"] = json!(format!("bench-{}", number % 64));
    json!({"name": "skep_memory_put", "arguments": arguments})
}

/// One task that runs `true`.
pub(super) fn command() -> Value {
    json!({"name": "t", "argv": ["true"]})
}

/// A graph of layers; each task needs three of the layer before.
pub(super) fn layered_plan(layers: usize, width: usize) -> Value {
    let name = |layer: usize, place: usize| format!("l{layer}-t{}", place % width);
    let task = |layer: usize, place: usize| {
        let before = layer.checked_sub(1);
        let needs = before.map(|before| (0..NEEDS).map(|n| name(before, place + n)).collect());
        let needs: Vec<String> = needs.unwrap_or_default();
        (name(layer, place), json!({"kind": "noop", "needs": needs}))
    };
    let places = (0..layers).flat_map(|layer| (0..width).map(move |place| (layer, place)));
    let tasks: Map<_, _> = places.map(|(layer, place)| task(layer, place)).collect();
    json!({"plan": {"name": "layers", "tasks": tasks}})
}

/// Id of the task or run that a submission made.
pub(super) fn id(answer: &Value) -> Result<&str> {
    let found = answer["id"]
        .as_str()
        .or_else(|| answer["run"]["id"].as_str());
    found.with_context(|| format!("the answer has no `id` and no `run.id`: {answer}"))
}

/// Nodes that take work.
pub(super) fn ready_nodes(answer: &Value) -> Result<usize> {
    let nodes = answer["items"].as_array();
    let nodes = nodes.with_context(|| format!("the answer has no `items`: {answer}"))?;
    Ok(nodes.iter().filter(|node| node["state"] == "ready").count())
}

/// Tasks that are final, by how they ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Finished {
    pub(super) succeeded: u64,
    pub(super) otherwise: u64,
}

impl Finished {
    pub(super) const fn all(self) -> u64 {
        self.succeeded + self.otherwise
    }
}

/// How many tasks became final since the coordinator started.
pub(super) fn finished(counters: &Value) -> Result<Finished> {
    let count = |state: &str| {
        let found = counters["tasks_finished"][state].as_u64();
        found.with_context(|| format!("no number `tasks_finished.{state}` in {counters}"))
    };
    let others = ["failed", "cancelled", "expired", "unknown"];
    let otherwise = others.into_iter().map(count).sum::<Result<u64>>()?;
    Ok(Finished {
        succeeded: count("succeeded")?,
        otherwise,
    })
}

/// Whether this event says that the task or run of this id succeeded; an error when it ended in
/// another way.
pub(super) fn succeeded(event: &Value, id: &str) -> Result<bool> {
    let is_end = match event["event"].as_str() {
        Some("task_finished") => event["task"] == id,
        Some("run_changed") => event["run"] == id,
        _ => false,
    };
    match event["data"]["state"].as_str() {
        Some("succeeded") => Ok(is_end),
        Some("failed" | "cancelled" | "expired" | "unknown") if is_end => {
            bail!("`{id}` did not succeed: {event}")
        }
        _ => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plan_has_layers_that_need_three_of_the_one_before() {
        let plan = layered_plan(10, 100);
        let tasks = plan["plan"]["tasks"].as_object().unwrap();
        assert_eq!(tasks.len(), 1000);
        assert_eq!(tasks["l0-t99"]["needs"], json!([]));
        assert_eq!(
            tasks["l1-t99"]["needs"],
            json!(["l0-t99", "l0-t0", "l0-t1"])
        );
    }

    #[test]
    fn the_id_of_a_task_or_a_run_is_found() {
        assert_eq!(
            id(&json!({"id": "task_1", "run": "run_1"})).unwrap(),
            "task_1"
        );
        assert_eq!(id(&json!({"run": {"id": "run_1"}})).unwrap(), "run_1");
        assert!(id(&json!({"run": null})).is_err());
    }

    #[test]
    fn counters_are_summed_and_a_missing_one_is_an_error() {
        let tasks =
            json!({"succeeded": 5, "failed": 1, "cancelled": 2, "expired": 0, "unknown": 3});
        let found = finished(&json!({ "tasks_finished": tasks })).unwrap();
        assert_eq!(
            found,
            Finished {
                succeeded: 5,
                otherwise: 6
            }
        );
        assert!(finished(&json!({"tasks_finished": {"succeeded": 5}})).is_err());
    }

    #[test]
    fn only_the_end_of_the_named_task_or_run_counts() {
        let event = |kind: &str, state: &str| json!({"event": kind, "task": "task_1", "run": "run_1", "data": {"state": state}});
        let done = |event, id| succeeded(&event, id).ok();
        assert_eq!(
            done(event("task_finished", "succeeded"), "task_1"),
            Some(true)
        );
        assert_eq!(
            done(event("task_finished", "succeeded"), "task_2"),
            Some(false)
        );
        assert_eq!(done(event("task_finished", "failed"), "task_1"), None);
        assert_eq!(
            done(event("task_finished", "failed"), "task_2"),
            Some(false)
        );
        assert_eq!(done(event("task_changed", "ready"), "task_1"), Some(false));
        assert_eq!(done(event("run_changed", "running"), "run_1"), Some(false));
        assert_eq!(done(event("run_changed", "succeeded"), "run_1"), Some(true));
    }
}
