//! Triggers: work that is submitted when something happens, by the swarm's own triggers.

use super::call::{Call, Failure, Outcome};
use super::contract::{ContractTool, Effect, Group, list};
use super::standing::{Key, known_keys, with_plan};
use super::watching::watch_text;
use serde_json::{Map, Value, json};

/// What an action may say, with the other names that callers use for it.
const ACTION_KEYS: [Key; 8] = [
    ("name", &["id", "triggerId"]),
    ("cooldown_s", &["cooldownSeconds", "cooldown"]),
    ("firings_max", &["max", "maxFirings"]),
    ("workflowId", &["workflow"]),
    ("params", &["parameters"]),
    ("steps", &["tasks"]),
    ("command", &["run", "script"]),
    ("plan", &[]),
];
/// What a rule may say.
const RULE_KEYS: [Key; 5] = [
    ("name", &["id"]),
    (
        "when",
        &["on", "if", "event", "events", "condition", "trigger"],
    ),
    ("then", &["do", "action", "actions"]),
    ("cooldown_s", &["cooldownSeconds", "cooldown"]),
    ("firings_max", &["max", "maxFirings"]),
];
/// Triggers that one call may make.
const TRIGGERS_PER_CALL_MAX: usize = 16;

pub(super) static TOOLS: &[ContractTool] = &[
    ContractTool {
        name: "automation_setup",
        group: Group::Workflow,
        about: "Keeps rules that submit work when something happens, until they are deleted.",
        parameters: &[
            list(
                "rules",
                "{when: as events of trigger_setup, then: as its actions; name, cooldown_s, firings_max}.",
            )
            .required(),
        ],
        effect: Effect::Writes,
        handle: |call| Box::pin(automate(call)),
    },
    ContractTool {
        name: "trigger_setup",
        group: Group::Workflow,
        about: "Submits work whenever one of the events happens, until the trigger is deleted.",
        parameters: &[
            list(
                "events",
                "Such as `task failed name=build*`, `run succeeded`, `memory written namespace=swarm \
                 key=a*`, `node lost`, `agent offline`, `post-edit`.",
            )
            .required(),
            list(
                "actions",
                "Scripts for sh, or {workflowId (params), steps, command or plan; name, cooldown_s, \
                 firings_max}.",
            )
            .required(),
        ],
        effect: Effect::Writes,
        handle: |call| Box::pin(set_up(call)),
    },
];

/// A trigger to make.
struct Wanted {
    /// Where it was said, for refusals.
    place: String,
    on: Vec<String>,
    /// What of the body is said already.
    body: Map<String, Value>,
}

async fn set_up(call: Call) -> Outcome {
    let on = watches("events", call.value("events"))?;
    let actions = call.list("actions").unwrap_or_default();
    if actions.is_empty() {
        return Err(Failure::argument(
            "`actions` is empty: nothing would be done",
        ));
    }
    let wanted = actions.iter().enumerate().map(|(position, action)| {
        let place = format!("actions[{position}]");
        let body = action_keys(&place, action)?;
        let on = on.clone();
        Ok(Wanted { place, on, body })
    });
    make_all(&call, wanted.collect::<Result<_, Failure>>()?).await
}

async fn automate(call: Call) -> Outcome {
    let rules = call.list("rules").unwrap_or_default();
    if rules.is_empty() {
        return Err(Failure::argument("`rules` is empty: nothing would be kept"));
    }
    let mut wanted = Vec::new();
    for (position, rule) in rules.iter().enumerate() {
        wanted.extend(of_rule(&format!("rules[{position}]"), rule)?);
    }
    make_all(&call, wanted).await
}

/// The triggers of a rule: one for each of its actions.
fn of_rule(place: &str, rule: &Value) -> Result<Vec<Wanted>, Failure> {
    if !rule.is_object() {
        let detail = format!("`{place}` is no object; want {{when, then}}");
        return Err(Failure::argument(detail));
    }
    let mut rule = known_keys(place, &RULE_KEYS, rule)?;
    let on = watches(&format!("{place}.when"), rule.remove("when").as_ref())?;
    let then = rule.remove("then");
    let actions = match then {
        Some(Value::Array(actions)) if !actions.is_empty() => actions,
        Some(action @ (Value::Object(_) | Value::String(_))) => vec![action],
        _ => {
            let detail = format!("`{place}.then` is missing; want one action, or a list of them");
            return Err(Failure::argument(detail));
        }
    };
    let several = actions.len() > 1;
    let made = actions.iter().enumerate().map(|(position, action)| {
        let place = if several {
            format!("{place}.then[{position}]")
        } else {
            format!("{place}.then")
        };
        let mut body = action_keys(&place, action)?;
        for (key, value) in &rule {
            let value = match value.as_str() {
                Some(name) if key == "name" && several => json!(format!("{name}.{position}")),
                _ => value.clone(),
            };
            body.entry(key.clone()).or_insert(value);
        }
        let on = on.clone();
        Ok(Wanted { place, on, body })
    });
    made.collect()
}

/// One watch or a list of them, as the operation takes them.
pub(super) fn watches(place: &str, given: Option<&Value>) -> Result<Vec<String>, Failure> {
    let none = || {
        let detail = format!("`{place}` names no event: nothing would ever happen");
        Failure::argument(detail)
    };
    match given {
        Some(Value::Array(events)) if !events.is_empty() => {
            let texts = events.iter().enumerate();
            texts
                .map(|(position, event)| watch_text(&format!("{place}[{position}]"), event))
                .collect()
        }
        Some(event @ (Value::Object(_) | Value::String(_))) => Ok(vec![watch_text(place, event)?]),
        _ => Err(none()),
    }
}

/// What an action says; a text is a script.
fn action_keys(place: &str, action: &Value) -> Result<Map<String, Value>, Failure> {
    match action {
        Value::String(script) => Ok(Map::from_iter([("command".to_owned(), json!(script))])),
        Value::Object(_) => known_keys(place, &ACTION_KEYS, action),
        _ => {
            let detail = format!("`{place}` is neither a script nor an object");
            Err(Failure::argument(detail))
        }
    }
}

/// Makes all of them or, as far as that can be, none.
async fn make_all(call: &Call, wanted: Vec<Wanted>) -> Outcome {
    if wanted.len() > TRIGGERS_PER_CALL_MAX {
        let detail = format!(
            "`{}` triggers are too many for one call: TRIGGERS_PER_CALL_MAX is {TRIGGERS_PER_CALL_MAX}",
            wanted.len()
        );
        return Err(Failure::argument(detail));
    }
    let mut bodies = Vec::new();
    for one in wanted {
        bodies.push(body(call, one).await?);
    }
    let mut made: Vec<Value> = Vec::new();
    for body in bodies {
        match call.operate("triggers.create", body).await {
            Ok(trigger) => made.push(trigger),
            Err(failure) => return Err(taken_back(call, &made, failure).await),
        }
    }
    let ids: Vec<_> = made.iter().map(|trigger| trigger["id"].clone()).collect();
    Ok(json!({ "count": made.len(), "triggerIds": ids, "triggers": made }))
}

/// The body of `triggers.create`.
async fn body(call: &Call, wanted: Wanted) -> Outcome {
    let mut body = wanted.body;
    let name = match body.get("name").and_then(Value::as_str) {
        Some(name) => name.to_owned(),
        None => format!("trigger-{:032x}", call.caller.services.fresh_id()),
    };
    body.insert("name".to_owned(), json!(name));
    body.insert("on".to_owned(), json!(wanted.on));
    with_plan(call, &wanted.place, &name, body).await
}

/// Deletes what was made before another was refused; names what is left.
async fn taken_back(call: &Call, made: &[Value], failure: Failure) -> Failure {
    let mut left = Vec::new();
    for trigger in made {
        let path = json!({ "id": trigger["id"] });
        if call.operate("triggers.delete", path).await.is_err() {
            left.push(trigger["id"].clone());
        }
    }
    if left.is_empty() {
        return failure;
    }
    failure.and(json!({ "triggerIds": left }))
}
