//! Schedules: work that is submitted again and again, by the swarm's own schedules.

use super::call::{Call, Failure, Outcome};
use super::contract::{ContractTool, Effect, Group, map, text};
use super::workflow::{WORKFLOWS, plan};
use serde_json::{Map, Value, json};

/// What a schedule may say, with the other names that callers use for it.
const KEYS: [(&str, &[&str]); 11] = [
    ("name", &["id", "scheduleId"]),
    ("cron", &["expression", "cronExpression"]),
    ("zone", &["timezone", "timeZone"]),
    ("every_s", &["everySeconds", "intervalSeconds"]),
    ("overlap", &[]),
    ("missed", &[]),
    ("workflowId", &["workflow"]),
    ("params", &["parameters"]),
    ("steps", &["tasks"]),
    ("command", &["run", "script"]),
    ("plan", &[]),
];
/// Where a schedule says what it submits.
const WORK: [&str; 4] = ["workflowId", "steps", "command", "plan"];
const ACTIONS: &str = "`create`, `list`, `get`, `pause`, `resume`, `run`, `delete`";

pub(super) static TOOLS: &[ContractTool] = &[ContractTool {
    name: "scheduler_manage",
    group: Group::Workflow,
    about: "Keeps schedules that survive restarts: create, list, get, pause, resume, run, delete.",
    parameters: &[
        text(
            "action",
            "create, list, get, pause, resume, run (at once) or delete.",
        )
        .required(),
        map(
            "schedule",
            "{name} and to create: cron (5 fields; zone) or every_s, with workflowId (params), steps, \
             command or plan; overlap: skip, queue, allow.",
        ),
    ],
    effect: Effect::Removes,
    handle: |call| Box::pin(manage(call)),
}];

async fn manage(call: Call) -> Outcome {
    let action = call.required_text("action")?;
    let given = call.value("schedule").cloned().unwrap_or_else(|| json!({}));
    let schedule = known_keys(&given)?;
    let mut document = match action {
        "create" => {
            let body = new_schedule(&call, schedule).await?;
            json!({ "schedule": call.operate("schedules.create", body).await? })
        }
        "list" => {
            let schedules = call.operate("schedules.list", json!({})).await?["items"].take();
            let count = schedules.as_array().map_or(0, Vec::len);
            json!({ "count": count, "schedules": schedules })
        }
        "get" => json!({ "schedule": of_one(&call, "schedules.get", &schedule).await? }),
        "pause" => json!({ "schedule": of_one(&call, "schedules.pause", &schedule).await? }),
        "resume" => json!({ "schedule": of_one(&call, "schedules.resume", &schedule).await? }),
        "run" => of_one(&call, "schedules.fire", &schedule).await?,
        "delete" => of_one(&call, "schedules.delete", &schedule).await?,
        other => {
            let detail = format!("`action` is `{other}`; want one of {ACTIONS}");
            return Err(Failure::argument(detail));
        }
    };
    if let Some(id) = document["schedule"]["id"].as_str() {
        document["scheduleId"] = json!(id);
    }
    document["action"] = json!(action);
    Ok(document)
}

/// An operation on the schedule that is named.
async fn of_one(call: &Call, operation: &str, schedule: &Map<String, Value>) -> Outcome {
    let name = schedule.get("name").and_then(Value::as_str);
    let name = name.ok_or_else(|| Failure::argument("`schedule.name` is missing"))?;
    call.operate(operation, json!({ "id": name })).await
}

/// The keys under their own names. What is not known is refused: a wish that nobody reads would be
/// lost for as long as the schedule lives.
fn known_keys(given: &Value) -> Result<Map<String, Value>, Failure> {
    let mut known = Map::new();
    for (key, value) in given.as_object().into_iter().flatten() {
        let found = KEYS
            .iter()
            .find(|(name, others)| name == key || others.contains(&key.as_str()));
        let Some((name, _)) = found else {
            let names: Vec<_> = KEYS.iter().map(|(name, _)| *name).collect();
            let detail = format!(
                "`schedule.{key}` is not known; want some of `{}`",
                names.join("`, `")
            );
            return Err(Failure::argument(detail));
        };
        if known.insert((*name).to_owned(), value.clone()).is_some() {
            let detail = format!("`schedule.{key}` says `{name}` a second time");
            return Err(Failure::argument(detail));
        }
    }
    Ok(known)
}

/// The body of `schedules.create`.
async fn new_schedule(call: &Call, mut schedule: Map<String, Value>) -> Outcome {
    let name = schedule.get("name").and_then(Value::as_str);
    let name = name
        .ok_or_else(|| Failure::argument("`schedule.name` is missing"))?
        .to_owned();
    let work: Vec<_> = WORK
        .into_iter()
        .filter_map(|key| Some((key, schedule.remove(key)?)))
        .collect();
    let [(key, work)] = &work[..] else {
        let detail = format!(
            "`schedule` should say once what to submit, as one of `{}`; it does so {} times",
            WORK.join("`, `"),
            work.len()
        );
        return Err(Failure::argument(detail));
    };
    let plan = match *key {
        "workflowId" => {
            let id = work.as_str();
            let id = id.ok_or_else(|| Failure::argument("`schedule.workflowId` is no text"))?;
            schedule.insert("labels".to_owned(), json!({ "workflow": id }));
            WORKFLOWS.get(call, id).await?["plan"].take()
        }
        "steps" => {
            let steps = work.as_array();
            let steps = steps.ok_or_else(|| Failure::argument("`schedule.steps` is no list"))?;
            plan(&name, "schedule.steps", steps)?.0
        }
        "command" => plan(&name, "schedule.command", std::slice::from_ref(work))?.0,
        _ => work.clone(),
    };
    schedule.insert("plan".to_owned(), plan);
    Ok(Value::Object(schedule))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_known_under_their_other_names_and_no_others() {
        let given = json!({"id": "n", "timezone": "UTC", "run": "true"});
        let known = known_keys(&given).unwrap();
        let expected = json!({"name": "n", "zone": "UTC", "command": "true"});
        assert_eq!(Value::Object(known), expected);
        for (wrong, said) in [
            (json!({"when": "now"}), "`schedule.when` is not known"),
            (json!({"id": "n", "name": "m"}), "a second time"),
        ] {
            let failure = known_keys(&wrong).unwrap_err();
            let document = failure.refusal().document().to_string();
            assert!(document.contains(said), "{document}");
        }
    }
}
