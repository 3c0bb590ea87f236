//! What schedules and triggers are told alike: keys under several names, and the plan that they submit.

use super::call::{Call, Failure, Outcome};
use super::workflow::{WORKFLOWS, plan};
use serde_json::{Map, Value, json};

/// A key, with the other names that callers use for it.
pub(super) type Key = (&'static str, &'static [&'static str]);

/// Where it is said what is submitted.
const WORK: [&str; 4] = ["workflowId", "steps", "command", "plan"];

/// The keys under their own names. What is not known is refused: a wish that nobody reads would be
/// lost for as long as it stands.
pub(super) fn known_keys(
    parameter: &str,
    keys: &[Key],
    given: &Value,
) -> Result<Map<String, Value>, Failure> {
    let mut known = Map::new();
    for (key, value) in given.as_object().into_iter().flatten() {
        let found = keys
            .iter()
            .find(|(name, others)| name == key || others.contains(&key.as_str()));
        let Some((name, _)) = found else {
            let names: Vec<_> = keys.iter().map(|(name, _)| *name).collect();
            let detail = format!(
                "`{parameter}.{key}` is not known; want some of `{}`",
                names.join("`, `")
            );
            return Err(Failure::argument(detail));
        };
        if known.insert((*name).to_owned(), value.clone()).is_some() {
            let detail = format!("`{parameter}.{key}` says `{name}` a second time");
            return Err(Failure::argument(detail));
        }
    }
    Ok(known)
}

/// The body of the operation that makes it: what says the work is replaced by the plan.
pub(super) async fn with_plan(
    call: &Call,
    parameter: &str,
    name: &str,
    mut body: Map<String, Value>,
) -> Outcome {
    let work: Vec<_> = WORK
        .into_iter()
        .filter_map(|key| Some((key, body.remove(key)?)))
        .collect();
    let [(key, work)] = &work[..] else {
        let detail = format!(
            "`{parameter}` should say once what to submit, as one of `{}`; it does so {} times",
            WORK.join("`, `"),
            work.len()
        );
        return Err(Failure::argument(detail));
    };
    let of = format!("{parameter}.{key}");
    let plan = match *key {
        "workflowId" => {
            let id = work.as_str();
            let id = id.ok_or_else(|| Failure::argument(format!("`{of}` is no text")))?;
            body.insert("labels".to_owned(), json!({ "workflow": id }));
            WORKFLOWS.get(call, id).await?["plan"].take()
        }
        "steps" => {
            let steps = work.as_array();
            let steps = steps.ok_or_else(|| Failure::argument(format!("`{of}` is no list")))?;
            plan(name, &of, steps)?.0
        }
        "command" => plan(name, &of, std::slice::from_ref(work))?.0,
        _ => work.clone(),
    };
    body.insert("plan".to_owned(), plan);
    Ok(Value::Object(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [Key; 3] = [
        ("name", &["id"]),
        ("zone", &["timezone", "timeZone"]),
        ("command", &["run", "script"]),
    ];

    #[test]
    fn keys_are_known_under_their_other_names_and_no_others() {
        let given = json!({"id": "n", "timezone": "UTC", "run": "true"});
        let known = known_keys("schedule", &KEYS, &given).unwrap();
        let expected = json!({"name": "n", "zone": "UTC", "command": "true"});
        assert_eq!(Value::Object(known), expected);
        for (wrong, said) in [
            (json!({"when": "now"}), "`schedule.when` is not known"),
            (json!({"id": "n", "name": "m"}), "a second time"),
        ] {
            let failure = known_keys("schedule", &KEYS, &wrong).unwrap_err();
            let document = failure.refusal().document().to_string();
            assert!(document.contains(said), "{document}");
        }
    }
}
