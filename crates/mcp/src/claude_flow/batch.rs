//! Many commands at once: as a run, whose tasks go side by side on all nodes.

use super::call::{Call, Failure, Outcome};
use super::contract::{ContractTool, Effect, Group, list, text};
use super::steps::{self, Order};
use super::task;
use serde_json::{Map, Value, json};

/// How the commands of a batch read their item.
const ITEM: &str = "ITEM";
const ITEM_NUMBER: &str = "ITEM_NUMBER";

pub(super) static TOOLS: &[ContractTool] = &[
    ContractTool {
        name: "batch_process",
        group: Group::Workflow,
        about: "Runs one command once for each item, side by side on all nodes; gives each result.",
        parameters: &[
            list("items", "Texts; anything else reaches the command as JSON.").required(),
            text(
                "operation",
                "A script for sh that reads its item from $ITEM.",
            )
            .required(),
        ],
        effect: Effect::Writes,
        handle: |call| Box::pin(process(call)),
    },
    ContractTool {
        name: "parallel_execute",
        group: Group::Workflow,
        about: "Runs several commands side by side on all nodes; gives each result.",
        parameters: &[list(
            "tasks",
            "Scripts for sh, or tasks of a plan: {name, run, env, ...}.",
        )
        .required()],
        effect: Effect::Writes,
        handle: |call| Box::pin(parallel(call)),
    },
];

async fn process(call: Call) -> Outcome {
    let operation = call.required_text("operation")?;
    let items = call.list("items").unwrap_or_default();
    if items.is_empty() {
        return Err(Failure::argument("`items` is empty"));
    }
    let mut plan = Plan::new("batch");
    let digits = items.len().to_string().len();
    for (place, item) in items.iter().enumerate() {
        let number = place + 1;
        let text = item
            .as_str()
            .map_or_else(|| item.to_string(), str::to_owned);
        // Through a parameter, because what a value says is never read as part of the plan.
        let parameter = format!("item_{number}");
        let item = format!("${{{{ params.{parameter} }}}}");
        plan.declared.insert(parameter.clone(), json!({}));
        plan.values.insert(parameter, json!(text));
        let env = json!({ ITEM: item, ITEM_NUMBER: number.to_string() });
        // Names sort like the items.
        let name = format!("item-{number:0digits$}");
        plan.order.push(name.clone());
        plan.tasks
            .insert(name, json!({ "run": operation, "env": env }));
    }
    let mut document = plan.run(&call).await?;
    document["batchId"] = document["runId"].clone();
    document["operation"] = json!(operation);
    document["itemCount"] = json!(items.len());
    Ok(document)
}

async fn parallel(call: Call) -> Outcome {
    let items = call.list("tasks").unwrap_or_default();
    let (tasks, order) = steps::tasks("tasks", items, Order::SideBySide)?;
    let mut plan = Plan::new("parallel");
    plan.tasks = tasks;
    plan.order = order;
    let mut document = plan.run(&call).await?;
    document["jobId"] = document["runId"].clone();
    Ok(document)
}

/// A plan that is made for one call.
struct Plan {
    name: &'static str,
    declared: Map<String, Value>,
    values: Map<String, Value>,
    tasks: Map<String, Value>,
    /// The names of the tasks as the caller gave them.
    order: Vec<String>,
}

impl Plan {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            declared: Map::new(),
            values: Map::new(),
            tasks: Map::new(),
            order: Vec::new(),
        }
    }

    /// Submits it and waits for it as long as a call may.
    async fn run(self, call: &Call) -> Outcome {
        let plan = json!({ "name": self.name, "params": self.declared, "tasks": self.tasks });
        let arguments = json!({ "plan": plan, "params": self.values });
        let submitted = call.operate("runs.submit", arguments).await?;
        ended(call, &submitted["run"]["id"], &self.order).await
    }
}

/// The results of a run, however it ends, as far as they are there, in the order of these names.
pub(super) async fn results(
    call: &Call,
    run: &Value,
    order: &[String],
) -> Result<Vec<Value>, Failure> {
    let waited = call.wait(run.as_str().unwrap_or_default()).await?;
    let mut document = in_order(call, &waited.document, order).await?;
    let results = document["results"].as_array_mut().map(std::mem::take);
    Ok(results.unwrap_or_default())
}

async fn in_order(call: &Call, run: &Value, order: &[String]) -> Outcome {
    let mut document = task::of_run(call, run).await?;
    if let Value::Array(results) = &mut document["results"] {
        results.sort_by_key(|result| order.iter().position(|name| result["name"] == *name));
    }
    Ok(document)
}

/// The results of a run, as far as they are there, in the order of these names.
pub(super) async fn ended(call: &Call, run: &Value, order: &[String]) -> Outcome {
    let waited = call.wait(run.as_str().unwrap_or_default()).await?;
    let mut document = in_order(call, &waited.document, order).await?;
    document["finished"] = json!(waited.is_final);
    if waited.is_final && waited.state != "succeeded" {
        return Err(failed(&waited.state, document));
    }
    Ok(document)
}

fn failed(state: &str, document: Value) -> Failure {
    let run = document["runId"].as_str().unwrap_or_default();
    let detail = format!("run `{run}` is {state}; `results` says of each task how it ended");
    Failure::new(crate::fault::Fault::WorkFailed, detail).with(document)
}
