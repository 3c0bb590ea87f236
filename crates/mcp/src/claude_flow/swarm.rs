//! The swarm and its agents, as they are now.
//!
//! There is one swarm: the installation. `swarmId` is its id, or left out.

use super::call::{Call, Failure, Outcome, operate};
use super::contract::{ContractTool, Effect, Group, flag, number, text};
use crate::fault::Fault;
use crate::invocation::Caller;
use serde_json::{Value, json};
use std::time::Duration;

/// Items that one page gives.
const PAGE_ITEMS: usize = 1_000;
/// Items that one answer gives at most.
const ITEMS_MAX: usize = 10_000;
/// Samples that one call of `swarm_monitor` takes.
const SAMPLES: u32 = 5;
/// Seconds between two samples.
const INTERVAL_S_DEFAULT: f64 = 1.0;
const INTERVAL_S_MIN: f64 = 0.1;
const INTERVAL_S_MAX: f64 = 8.0;
/// All nodes hang on one coordinator.
const TOPOLOGY: &str = "star";

pub(super) static TOOLS: &[ContractTool] = &[
    ContractTool {
        name: "swarm_status",
        group: Group::Swarm,
        about: "Shows the swarm: its agents, nodes, slots and tasks, counted now.",
        parameters: &[
            text("swarmId", ""),
            flag("verbose", "Also lists agents, nodes and live tasks.").unlisted(),
        ],
        effect: Effect::Reads,
        handle: |call| Box::pin(status(call)),
    },
    ContractTool {
        name: "agent_list",
        group: Group::Swarm,
        about: "Lists the agents of all nodes with what each can do and does.",
        parameters: &[text("swarmId", "")],
        effect: Effect::Reads,
        handle: |call| Box::pin(list(call)),
    },
    ContractTool {
        name: "agent_metrics",
        group: Group::Swarm,
        about: "Shows what agents did: tasks, durations, processor time and memory, as measured.",
        parameters: &[text("agentId", "Id or name; all agents when left out.")],
        effect: Effect::Reads,
        handle: |call| Box::pin(metrics(call)),
    },
    ContractTool {
        name: "swarm_monitor",
        group: Group::Swarm,
        about: "Samples the swarm five times and gives the samples, each also as progress.",
        parameters: &[
            text("swarmId", ""),
            number(
                "interval",
                "Seconds between samples, 0.1 to 8; 1 unless said.",
            ),
        ],
        effect: Effect::Reads,
        handle: |call| Box::pin(monitor(call)),
    },
];

/// Refuses the id of another swarm, and gives that of this one.
pub(super) fn swarm(call: &Call) -> Result<String, Failure> {
    let own = call.caller.services.server.cluster.to_string();
    match call.text("swarmId") {
        Some(other) if other != own => {
            let detail = format!("no swarm is called `{other}`: this one is `{own}`");
            Err(Failure::new(Fault::SwarmUnknown, detail))
        }
        _ => Ok(own),
    }
}

/// All items of a listing, and whether there are no more.
pub(super) async fn items(
    caller: &Caller,
    operation: &str,
    filter: &Value,
) -> Result<(Vec<Value>, bool), Failure> {
    let mut items = Vec::new();
    let mut arguments = filter.clone();
    arguments["limit"] = json!(PAGE_ITEMS);
    loop {
        let mut page = operate(caller, operation, arguments.clone()).await?;
        if let Value::Array(found) = page["items"].take() {
            items.extend(found);
        }
        match page["next_cursor"].take() {
            Value::Null => return Ok((items, true)),
            _ if items.len() >= ITEMS_MAX => return Ok((items, false)),
            cursor => arguments["cursor"] = cursor,
        }
    }
}

/// An agent in the words of the contract.
fn agent(swarm: &str, agent: &Value) -> Value {
    let capabilities: Vec<_> = agent["capabilities"]
        .as_object()
        .into_iter()
        .flat_map(|all| all.keys().cloned())
        .collect();
    json!({
        "id": agent["id"],
        "swarmId": swarm,
        "name": agent["name"],
        "type": agent["role"],
        "status": agent["state"],
        "capabilities": capabilities,
        "node": agent["node"],
        "slots": agent["slots"],
        "load": agent["load"],
        "createdAt": agent["created_at"],
    })
}

async fn status(call: Call) -> Outcome {
    let swarm = swarm(&call)?;
    let status = call.operate("system.status", json!({})).await?;
    let (agents, _) = items(&call.caller, "agents.list", &json!({})).await?;
    let is_active = |agent: &&Value| matches!(agent["state"].as_str(), Some("idle" | "busy"));
    let active = agents.iter().filter(is_active).count();
    let mut document = counts(&status);
    document["swarmId"] = json!(swarm);
    document["agentCount"] = json!(agents.len());
    document["activeAgents"] = json!(active);
    if call.flag("verbose") {
        let (nodes, _) = items(&call.caller, "nodes.list", &json!({})).await?;
        let page = json!({ "limit": PAGE_ITEMS });
        let tasks = call.operate("tasks.list", page).await?;
        document["agents"] = agents.iter().map(|found| agent(&swarm, found)).collect();
        document["nodes"] = json!(nodes);
        document["tasks"] = tasks["items"].clone();
        document["swarmDetails"] = status;
    }
    Ok(document)
}

/// The figures of the swarm in the words of the contract.
pub(super) fn counts(status: &Value) -> Value {
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let of_state = |state: &str| number(&status["tasks"][state]);
    let live: u64 = status["tasks"]
        .as_object()
        .into_iter()
        .flat_map(|states| states.values())
        .map(number)
        .sum();
    let completed = number(&status["history"]["tasks"]);
    json!({
        "topology": TOPOLOGY,
        "taskCount": live + completed,
        "liveTasks": live,
        "pendingTasks": of_state("pending") + of_state("ready"),
        "completedTasks": completed,
        "nodes": status["nodes"],
        "slots": status["slots"],
        "slotsTaken": status["slots_taken"],
    })
}

async fn list(call: Call) -> Outcome {
    let swarm = swarm(&call)?;
    let (agents, complete) = items(&call.caller, "agents.list", &json!({})).await?;
    let agents: Vec<_> = agents.iter().map(|found| agent(&swarm, found)).collect();
    Ok(json!({
        "swarmId": swarm,
        "count": agents.len(),
        "complete": complete,
        "agents": agents,
    }))
}

async fn metrics(call: Call) -> Outcome {
    let agents = match call.text("agentId") {
        Some(id) => vec![call.operate("agents.get", json!({ "id": id })).await?],
        None => items(&call.caller, "agents.list", &json!({})).await?.0,
    };
    let window = call
        .text("agentId")
        .map_or_else(|| json!({}), |id| json!({ "agent": id }));
    let report = call.operate("analysis.report", window).await?;
    let shares = report["agents"].as_array().cloned().unwrap_or_default();
    let metrics = agents.iter().map(|agent| {
        let last_day = shares.iter().find(|share| share["id"] == agent["id"]);
        json!({
            "agentId": agent["id"],
            "name": agent["name"],
            "status": agent["state"],
            "load": agent["load"],
            "slots": agent["slots"],
            "attemptsSucceeded": agent["succeeded"],
            "attemptsFailed": agent["failed"],
            "busyMs": agent["busy_ms"],
            "lastDay": last_day,
        })
    });
    let metrics: Vec<_> = metrics.collect();
    Ok(json!({ "count": metrics.len(), "metrics": metrics }))
}

async fn monitor(call: Call) -> Outcome {
    let swarm = swarm(&call)?;
    let interval = call.number("interval").unwrap_or(INTERVAL_S_DEFAULT);
    if !(INTERVAL_S_MIN..=INTERVAL_S_MAX).contains(&interval) {
        let detail = format!("`interval` is {interval}; want {INTERVAL_S_MIN} to {INTERVAL_S_MAX}");
        return Err(Failure::argument(detail));
    }
    let interval = Duration::from_secs_f64(interval);
    let mut samples = Vec::new();
    for number in 0..SAMPLES {
        if number > 0 {
            tokio::time::sleep(interval).await;
        }
        let status = call.operate("system.status", json!({})).await?;
        let mut sample = counts(&status);
        let at = skep_operations::Timestamp(call.caller.services.now());
        sample["at"] = json!(at.to_string());
        call.waiter
            .tell(sample.to_string(), interval * (SAMPLES - 1))
            .await;
        samples.push(sample);
    }
    Ok(json!({
        "swarmId": swarm,
        "intervalMs": interval.as_millis() as u64,
        "samples": samples,
    }))
}
