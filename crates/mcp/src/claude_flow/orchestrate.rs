//! Work that is described in words: tasks for attached agents, in the order that the caller asks for.
//!
//! Nothing here understands the words. A text whose lines are a list becomes a task for each item, any
//! other one task; the agent that takes one may split it further with child tasks.

mod parts;

use super::aliases::priority;
use super::call::{Call, Failure, Outcome};
use super::contract::{ContractTool, Effect, Group, list, text};
use parts::{name_of, parts};
use serde_json::{Map, Value, json};

/// What is said of who understands the words.
const NOTE: &str = "no model of Skep reads the text: a list in it became tasks, and the agent that \
                    takes a task may split it with child tasks";

pub(super) static TOOLS: &[ContractTool] = &[ContractTool {
    name: "task_orchestrate",
    group: Group::Swarm,
    about: "Submits described work for attached agents: a task for each item of a list in it.",
    parameters: &[
        text(
            "task",
            "What is to be done. Lines that begin with - or 1. are items.",
        )
        .required(),
        text(
            "strategy",
            "sequential: one item after the other. Else side by side; adaptive: to the fittest \
             agents, balanced: to all in turn.",
        )
        .one_of(&["parallel", "sequential", "adaptive", "balanced"]),
        text("priority", "").one_of(&["low", "medium", "high", "critical"]),
        list("dependencies", "Ids of tasks that have to succeed before."),
    ],
    effect: Effect::Writes,
    handle: |call| Box::pin(orchestrate(call)),
}];

async fn orchestrate(call: Call) -> Outcome {
    let text = call.required_text("task")?;
    let strategy = call.text("strategy").unwrap_or("parallel");
    let urgency = call.text("priority").unwrap_or("medium");
    let parts = parts(text)?;
    let before = Dependencies::look_up(&call).await?;
    let order = if strategy == "sequential" {
        Order::OneAfterTheOther
    } else {
        Order::SideBySide
    };
    let work = Work {
        name: name_of(text),
        parts: &parts,
        priority: priority(urgency),
        order,
    };
    let mut document = if before.live.is_empty() {
        as_run(&call, &work, strategy).await?
    } else {
        beside(&call, &work, &before).await?
    };
    document["task"] = json!(text);
    document["strategy"] = json!(strategy);
    document["priority"] = json!(urgency);
    document["dependencies"] = json!({ "waitsFor": before.live, "succeeded": before.succeeded });
    document["parts"] = json!(parts.len());
    document["persisted"] = json!(true);
    document["note"] = json!(NOTE);
    Ok(document)
}

/// How parts stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    OneAfterTheOther,
    SideBySide,
}

#[derive(Debug)]
struct Work<'a> {
    name: String,
    parts: &'a [String],
    priority: u8,
    order: Order,
}

impl Work<'_> {
    fn part_name(&self, place: usize) -> String {
        if self.parts.len() == 1 {
            return self.name.clone();
        }
        let digits = self.parts.len().to_string().len();
        format!("{}-{:0digits$}", self.name, place + 1)
    }

    /// What the part at this place needs.
    fn needs(&self, place: usize, before: &[String]) -> Vec<String> {
        let chained = self.order == Order::OneAfterTheOther && place > 0;
        if chained {
            return vec![self.part_name(place - 1)];
        }
        before.to_vec()
    }
}

/// Tasks that have to succeed before.
#[derive(Debug, Default)]
struct Dependencies {
    /// The run of those that are not final.
    run: Value,
    live: Vec<String>,
    succeeded: Vec<String>,
}

impl Dependencies {
    async fn look_up(call: &Call) -> Result<Self, Failure> {
        let mut found = Self::default();
        for id in call.list("dependencies").unwrap_or_default() {
            let Some(id) = id.as_str() else {
                let detail = format!("`dependencies` has `{id}`; want ids of tasks");
                return Err(Failure::argument(detail));
            };
            let task = call.operate("tasks.get", json!({ "id": id })).await?;
            if task["finished_at"].is_null() {
                if !found.live.is_empty() && task["run"] != found.run {
                    let detail = "`dependencies` are of several runs: a task can need tasks of one";
                    return Err(Failure::argument(detail));
                }
                found.run = task["run"].clone();
                found.live.push(id.to_owned());
            } else if task["state"] == "succeeded" {
                found.succeeded.push(id.to_owned());
            } else {
                let state = task["state"].as_str().unwrap_or_default();
                let detail =
                    format!("`dependencies`: `{id}` is {state} and cannot succeed any more");
                return Err(Failure::argument(detail));
            }
        }
        Ok(found)
    }
}

/// As a run of its own.
async fn as_run(call: &Call, work: &Work<'_>, strategy: &str) -> Outcome {
    let (mut tasks, mut declared, mut values) = (Map::new(), Map::new(), Map::new());
    for (place, part) in work.parts.iter().enumerate() {
        // Through a parameter, because what a text says is never read as part of the plan.
        let parameter = format!("part_{}", place + 1);
        let task = json!({
            "instructions": format!("${{{{ params.{parameter} }}}}"),
            "priority": work.priority,
            "needs": work.needs(place, &[]),
        });
        tasks.insert(work.part_name(place), task);
        declared.insert(parameter.clone(), json!({}));
        values.insert(parameter, json!(part));
    }
    let mut plan = json!({ "name": work.name, "params": declared, "tasks": tasks });
    let placement = match strategy {
        "adaptive" => Some("capability-weighted"),
        "balanced" => Some("round-robin"),
        _ => None,
    };
    if let Some(placement) = placement {
        plan["strategy"] = json!(placement);
    }
    let arguments = json!({ "plan": plan, "params": values });
    let submitted = call.operate("runs.submit", arguments).await?;
    let run = &submitted["run"];
    let made = call.operate("runs.get", json!({ "id": run["id"] })).await?;
    let tasks = made["tasks"].as_array().into_iter().flatten();
    let mut tasks: Vec<_> = tasks
        .map(|task| json!({ "taskId": task["id"], "name": task["name"], "status": task["state"] }))
        .collect();
    // Names of several parts sort like the parts.
    tasks.sort_by(|one, other| one["name"].as_str().cmp(&other["name"].as_str()));
    let only = tasks.first().filter(|_| tasks.len() == 1);
    Ok(json!({
        "taskId": only.map_or(&run["id"], |task| &task["taskId"]),
        "runId": run["id"],
        "status": only.map_or(&made["run"]["state"], |task| &task["status"]),
        "placement": placement.unwrap_or("that of the swarm"),
        "tasks": tasks,
    }))
}

/// Beside the tasks that have to succeed before, in their run if they have one.
async fn beside(call: &Call, work: &Work<'_>, before: &Dependencies) -> Outcome {
    let task = |(place, part): (usize, &String)| {
        json!({
            "name": work.part_name(place),
            "instructions": part,
            "priority": work.priority,
            "needs": work.needs(place, &before.live),
        })
    };
    let tasks: Vec<_> = work.parts.iter().enumerate().map(task).collect();
    let mut arguments = json!({ "tasks": tasks });
    if !before.run.is_null() {
        arguments["run"] = before.run.clone();
    }
    let submitted = call.operate("tasks.submit_batch", arguments).await?;
    let mut tasks = Vec::new();
    for id in submitted["tasks"].as_array().into_iter().flatten() {
        let task = call.operate("tasks.get", json!({ "id": id })).await?;
        tasks.push(json!({ "taskId": id, "name": task["name"], "status": task["state"] }));
    }
    let last = tasks.last().cloned().unwrap_or_default();
    Ok(json!({
        "taskId": last["taskId"],
        "runId": before.run,
        "status": last["status"],
        "placement": "that of the tasks it depends on",
        "tasks": tasks,
    }))
}
