//! Workflows: steps that are kept and run as often as one likes, each time as a run.

use super::batch::ended;
use super::call::{Call, Failure, Outcome};
use super::contract::{ContractTool, Effect, Group, list, map, text};
use super::steps::{self, Order};
use super::stored::Shelf;
use super::triggers::watches;
use serde_json::{Map, Value, json};
use skep_operations::Timestamp;
use std::collections::BTreeSet;

pub(super) const WORKFLOWS: Shelf = Shelf {
    namespace: "workflows",
    noun: "workflow",
};
const TEMPLATES: Shelf = Shelf {
    namespace: "workflow-templates",
    noun: "template",
};
/// What stands before the name of a parameter in a step.
const REFERENCE: &str = "params.";
/// What stands before it in a variable.
const VARIABLE: &str = "SKEP_PARAM_";

pub(super) static TOOLS: &[ContractTool] = &[
    ContractTool {
        name: "workflow_create",
        group: Group::Workflow,
        about: "Checks and keeps steps as a workflow; they run in order unless they say `needs`.",
        parameters: &[
            text("name", "").required(),
            list(
                "steps",
                "Scripts for sh, or {id, run or argv, needs, env, ...}.",
            )
            .required(),
            list(
                "triggers",
                "Events that start it, as those of trigger_setup; it can have no parameters then.",
            ),
        ],
        effect: Effect::Writes,
        handle: |call| Box::pin(create(call)),
    },
    ContractTool {
        name: "workflow_execute",
        group: Group::Workflow,
        about: "Runs a kept workflow with these parameters; gives the results of its steps.",
        parameters: &[
            text("workflowId", "").required(),
            map(
                "params",
                "Texts by name: ${{ params.NAME }} and $SKEP_PARAM_NAME in steps.",
            ),
        ],
        effect: Effect::Writes,
        handle: |call| Box::pin(execute(call)),
    },
    ContractTool {
        name: "workflow_export",
        group: Group::Workflow,
        about: "Gives a workflow as a plan that `skep submit` takes, as JSON or YAML.",
        parameters: &[
            text("workflowId", "").required(),
            text("format", "json or yaml; json unless said."),
        ],
        effect: Effect::Reads,
        handle: |call| Box::pin(export(call)),
    },
    ContractTool {
        name: "pipeline_create",
        group: Group::Workflow,
        about: "Checks and keeps a pipeline: stages one after the other; workflow_execute runs it.",
        parameters: &[map("config", "{name, stages: as the steps of a workflow}.").required()],
        effect: Effect::Writes,
        handle: |call| Box::pin(pipeline(call)),
    },
    ContractTool {
        name: "workflow_template",
        group: Group::Workflow,
        about: "Keeps templates of workflows: create, get, list, delete, instantiate.",
        parameters: &[
            text("action", "create, get, list, delete or instantiate.").required(),
            map(
                "template",
                "{name, steps} to create; {id} or {id, name} for the others.",
            ),
        ],
        effect: Effect::Removes,
        handle: |call| Box::pin(template(call)),
    },
];

async fn create(call: Call) -> Outcome {
    let events = call.list("triggers").filter(|events| !events.is_empty());
    let on = events.map(|_| watches("triggers", call.value("triggers")));
    let on = on.transpose()?;
    let steps = call.list("steps").unwrap_or_default();
    let workflow = keep(&call, call.required_text("name")?, "steps", steps).await?;
    let id = &workflow["id"];
    let Some(on) = on else {
        return Ok(json!({ "workflowId": id, "workflow": workflow }));
    };
    let body = json!({
        "name": id, "on": on, "plan": workflow["plan"], "labels": { "workflow": id },
    });
    match call.operate("triggers.create", body).await {
        Ok(trigger) => Ok(json!({
            "workflowId": id, "workflow": workflow, "triggerId": trigger["id"], "trigger": trigger,
        })),
        Err(failure) => {
            let kept = WORKFLOWS
                .delete(&call, id.as_str().unwrap_or_default())
                .await;
            Err(match kept {
                Ok(_) => failure,
                Err(_) => failure.and(json!({ "workflowId": id })),
            })
        }
    }
}

async fn pipeline(call: Call) -> Outcome {
    let config = call.value("config").cloned().unwrap_or_default();
    let name = config["name"].as_str().unwrap_or("pipeline");
    let stages = ["stages", "steps"]
        .iter()
        .find_map(|key| config[*key].as_array());
    let stages = stages.ok_or_else(|| Failure::argument("`config` has no `stages`"))?;
    let workflow = keep(&call, name, "config.stages", stages).await?;
    Ok(json!({ "pipelineId": workflow["id"], "workflowId": workflow["id"], "pipeline": workflow }))
}

/// Checks the steps as the plan that they are, and keeps them.
async fn keep(call: &Call, name: &str, parameter: &str, steps: &[Value]) -> Outcome {
    let (plan, order) = plan(name, parameter, steps)?;
    let examined = validated(call, &plan).await?;
    let id = WORKFLOWS.fresh_id(call);
    let workflow = json!({
        "id": id,
        "name": name,
        "steps": steps,
        "plan": plan,
        "order": order,
        "waves": examined["waves"],
        "status": "ready",
        "created": Timestamp(call.caller.services.now()).to_string(),
    });
    WORKFLOWS.put(call, &id, &workflow).await?;
    Ok(workflow)
}

/// The plan of these steps, with all parameters that they speak of, and their names in their order.
pub(super) fn plan(
    name: &str,
    parameter: &str,
    steps: &[Value],
) -> Result<(Value, Vec<String>), Failure> {
    let (tasks, order) = steps::tasks(parameter, steps, Order::OneAfterTheOther)?;
    let tasks = Value::Object(tasks);
    let declared: Map<String, Value> = references(&tasks.to_string())
        .into_iter()
        .map(|name| (name, json!({})))
        .collect();
    let plan = json!({ "name": name, "params": declared, "tasks": tasks });
    Ok((plan, order))
}

/// Names of parameters that a text speaks of.
fn references(text: &str) -> BTreeSet<String> {
    let is_name = |letter: char| letter.is_alphanumeric() || letter == '_';
    let after = |mark: &'static str| {
        let pieces = text.split(mark).skip(1);
        pieces.map(move |piece| {
            piece
                .split(|letter| !is_name(letter))
                .next()
                .unwrap_or_default()
        })
    };
    let named = after(REFERENCE).map(str::to_owned);
    let variables = after(VARIABLE).map(str::to_lowercase);
    named
        .chain(variables)
        .filter(|name| !name.is_empty())
        .collect()
}

/// What the plan would do, with some value for each parameter.
async fn validated(call: &Call, plan: &Value) -> Outcome {
    let declared = plan["params"]
        .as_object()
        .into_iter()
        .flat_map(|all| all.keys());
    let values: Map<String, Value> = declared
        .map(|name| (name.clone(), json!("value")))
        .collect();
    let arguments = json!({ "plan": plan, "params": values });
    call.operate("plans.validate", arguments).await
}

async fn execute(call: Call) -> Outcome {
    let id = call.required_text("workflowId")?;
    let mut workflow = WORKFLOWS.get(&call, id).await?;
    let mut plan = workflow["plan"].take();
    let mut values = Map::new();
    let given = call.value("params").and_then(Value::as_object);
    for (name, value) in given.into_iter().flatten() {
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        values.insert(name.clone(), json!(text));
        plan["params"][name] = json!({});
    }
    let order: Vec<String> = serde_json::from_value(workflow["order"].take()).unwrap_or_default();
    let arguments = json!({ "plan": plan, "params": values, "labels": { "workflow": id } });
    let submitted = call.operate("runs.submit", arguments).await?;
    let run = submitted["run"]["id"].clone();
    let named = json!({ "executionId": run, "workflowId": id });
    match ended(&call, &run, &order).await {
        Ok(mut document) => {
            document["executionId"] = run;
            document["workflowId"] = json!(id);
            Ok(document)
        }
        Err(failure) => Err(failure.and(named)),
    }
}

async fn export(call: Call) -> Outcome {
    let id = call.required_text("workflowId")?;
    let workflow = WORKFLOWS.get(&call, id).await?;
    let plan = &workflow["plan"];
    let format = call.text("format").unwrap_or("json");
    let data = match format {
        "json" => format!("{plan:#}\n"),
        "yaml" => serde_saphyr::to_string(plan)
            .map_err(|error| skep_operations::OperationError::internal("write YAML", &error))?,
        other => {
            let detail = format!("`format` is `{other}`; want `json` or `yaml`");
            return Err(Failure::argument(detail));
        }
    };
    Ok(json!({ "workflowId": id, "format": format, "data": data }))
}

async fn template(call: Call) -> Outcome {
    let action = call.required_text("action")?;
    let template = call.value("template").cloned().unwrap_or_default();
    let id = || {
        let id = template["id"].as_str();
        id.ok_or_else(|| Failure::argument("`template.id` is missing"))
    };
    let mut document = match action {
        "create" => new_template(&call, &template).await?,
        "get" => json!({ "template": TEMPLATES.get(&call, id()?).await? }),
        "delete" => {
            TEMPLATES.delete(&call, id()?).await?;
            json!({ "deleted": id()? })
        }
        "list" => {
            let mut templates = Vec::new();
            for id in TEMPLATES.ids(&call).await? {
                templates.push(TEMPLATES.get(&call, &id).await?);
            }
            json!({ "count": templates.len(), "templates": templates })
        }
        "instantiate" => {
            let known = TEMPLATES.get(&call, id()?).await?;
            let name = template["name"].as_str().or_else(|| known["name"].as_str());
            let steps = known["steps"].as_array().map_or(&[][..], Vec::as_slice);
            let workflow = keep(&call, name.unwrap_or("workflow"), "template.steps", steps).await?;
            json!({ "workflowId": workflow["id"], "workflow": workflow })
        }
        other => {
            let detail = format!(
                "`action` is `{other}`; want one of `create`, `get`, `list`, `delete`, `instantiate`"
            );
            return Err(Failure::argument(detail));
        }
    };
    document["action"] = json!(action);
    Ok(document)
}

/// A template is checked like the workflow that it stands for.
async fn new_template(call: &Call, template: &Value) -> Outcome {
    let name = template["name"].as_str();
    let name = name.ok_or_else(|| Failure::argument("`template.name` is missing"))?;
    let steps = template["steps"].as_array();
    let steps = steps.ok_or_else(|| Failure::argument("`template.steps` is missing"))?;
    validated(call, &plan(name, "template.steps", steps)?.0).await?;
    let id = TEMPLATES.fresh_id(call);
    let kept = json!({
        "id": id, "name": name, "category": template["category"], "steps": steps,
    });
    TEMPLATES.put(call, &id, &kept).await?;
    Ok(json!({ "templateId": id, "template": kept }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_declared_by_being_spoken_of() {
        let steps = json!(["echo ${{ params.who }} $SKEP_PARAM_LOUD", {"run": "true", "env": {"A": "${{params.who}}"}}]);
        let (plan, _) = plan("w", "steps", steps.as_array().unwrap()).unwrap();
        assert_eq!(plan["params"], json!({"loud": {}, "who": {}}));
    }
}
