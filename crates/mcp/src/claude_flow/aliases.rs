//! Names that texts shipped with Claude-Flow call although it never served them, where their
//! meaning is clear and exists.

use super::analysis::{self, BOTTLENECK_PARAMETERS};
use super::call::{Call, Failure, Outcome};
use super::contract::{ContractTool, Effect, Group, map, number, text};
use super::memory::{self, NAMESPACE, namespace_of};
use super::task;
use serde_json::{Map, Value, json};

pub(super) static TOOLS: &[ContractTool] = &[
    ContractTool {
        name: "task_create",
        group: Group::Alias,
        about: "Submits a task that runs a command isolated on a node.",
        parameters: &[
            text("command", "A script for sh.").required(),
            text("name", "Its name; task unless said."),
            text("description", "Kept as a label."),
            text("priority", "").one_of(&["low", "medium", "high", "critical"]),
            map("env", "Variables of the command."),
        ],
        effect: Effect::Writes,
        handle: |call| Box::pin(create(call)),
    },
    ContractTool {
        name: "task_update",
        group: Group::Alias,
        about: "Changes the priority or the labels of a task that is not final.",
        parameters: &[
            text("taskId", "").required(),
            text("priority", "").one_of(&["low", "medium", "high", "critical"]),
            map("labels", ""),
        ],
        effect: Effect::Writes,
        handle: |call| Box::pin(update(call)),
    },
    ContractTool {
        name: "task_assign",
        group: Group::Alias,
        about: "Lets only one agent run a task.",
        parameters: &[
            text("taskId", "").required(),
            text("agentId", "Id or name.").required(),
        ],
        effect: Effect::Writes,
        handle: |call| Box::pin(assign(call)),
    },
    ContractTool {
        name: "task_monitor",
        group: Group::Alias,
        about: "Shows where a task or run stands, like task_status.",
        parameters: &[
            text("taskId", task::ID).required(),
            number("interval", "").unlisted(),
        ],
        effect: Effect::Reads,
        handle: |call| Box::pin(task::status(call)),
    },
    ContractTool {
        name: "task_aggregate",
        group: Group::Alias,
        about: "Gives the results of all tasks of a run that has ended, like task_results.",
        parameters: &[text("taskId", task::ID).required()],
        effect: Effect::Reads,
        handle: |call| Box::pin(task::results(call)),
    },
    ContractTool {
        name: "memory_store",
        group: Group::Alias,
        about: "Stores a value that the swarm shares, like the action store of memory_usage.",
        parameters: &[
            text("key", "").required(),
            text("value", "A text that is JSON is kept as such.").required(),
            text("namespace", "").or_text(NAMESPACE),
            number("ttl", "Seconds that it lives."),
        ],
        effect: Effect::Writes,
        handle: |call| Box::pin(store(call)),
    },
    ContractTool {
        name: "memory_retrieve",
        group: Group::Alias,
        about: "Gives a value that the swarm shares, like the action retrieve of memory_usage.",
        parameters: &[
            text("key", "").required(),
            text("namespace", "").or_text(NAMESPACE),
        ],
        effect: Effect::Reads,
        handle: |call| Box::pin(retrieve(call)),
    },
    ContractTool {
        name: "bottleneck_detect",
        group: Group::Alias,
        about: "Says what holds work up now, like bottleneck_analyze.",
        parameters: BOTTLENECK_PARAMETERS,
        effect: Effect::Reads,
        handle: |call| Box::pin(analysis::bottlenecks(call)),
    },
];

/// Of 1 to 10.
pub(super) fn priority(word: &str) -> u8 {
    match word {
        "low" => 3,
        "high" => 7,
        "critical" => 10,
        _ => 5,
    }
}

async fn create(call: Call) -> Outcome {
    let mut task = json!({
        "name": call.text("name").unwrap_or("task"),
        "run": call.required_text("command")?,
    });
    if let Some(description) = call.text("description") {
        task["labels"] = json!({ "description": description });
    }
    if let Some(word) = call.text("priority") {
        task["priority"] = json!(priority(word));
    }
    if let Some(env) = call.value("env") {
        task["env"] = env.clone();
    }
    let task = call.operate("tasks.submit", task).await?;
    Ok(json!({ "taskId": task["id"], "name": task["name"], "status": task["state"] }))
}

async fn update(call: Call) -> Outcome {
    let mut change = Map::from_iter([("id".to_owned(), json!(call.required_text("taskId")?))]);
    if let Some(word) = call.text("priority") {
        change.insert("priority".to_owned(), json!(priority(word)));
    }
    if let Some(labels) = call.value("labels") {
        change.insert("labels".to_owned(), labels.clone());
    }
    if change.len() == 1 {
        return Err(Failure::argument(
            "nothing to change: give `priority` or `labels`",
        ));
    }
    let task = call.operate("tasks.update", Value::Object(change)).await?;
    Ok(json!({
        "taskId": task["id"],
        "status": task["state"],
        "priority": task["priority"],
        "labels": task["labels"],
    }))
}

async fn store(call: Call) -> Outcome {
    let namespace = namespace_of(call.required_text("namespace")?);
    memory::store(&call, &namespace).await
}

async fn retrieve(call: Call) -> Outcome {
    let namespace = namespace_of(call.required_text("namespace")?);
    memory::retrieve(&call, &namespace, call.required_text("key")?).await
}

async fn assign(call: Call) -> Outcome {
    let (task, agent) = (
        call.required_text("taskId")?,
        call.required_text("agentId")?,
    );
    let assigned = call.operate("tasks.assign", json!({ "id": task, "agent": agent }));
    let assigned = assigned.await?;
    Ok(json!({
        "taskId": assigned["id"],
        "agentId": agent,
        "status": assigned["state"],
        "task": assigned,
    }))
}
