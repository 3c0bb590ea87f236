//! Makes tasks of a plan from what callers write: a command, or an object with one.

use super::call::Failure;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Names that the texts of the original use for keys of a task.
const SYNONYMS: [(&str, &str); 7] = [
    ("command", "run"),
    ("script", "run"),
    ("depends_on", "needs"),
    ("dependsOn", "needs"),
    ("dependencies", "needs"),
    ("id", "name"),
    ("environment", "env"),
];

/// How items stand to each other that do not say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Each needs the one before it.
    OneAfterTheOther,
    /// None needs another.
    SideBySide,
}

/// The tasks of a plan, by name, and the names in the order of the items.
///
/// # Errors
/// The first item that is no task, by its place.
pub(super) fn tasks(
    parameter: &str,
    items: &[Value],
    order: Order,
) -> Result<(Map<String, Value>, Vec<String>), Failure> {
    if items.is_empty() {
        return Err(Failure::argument(format!("`{parameter}` is empty")));
    }
    let mut tasks = Map::new();
    let mut names: Vec<String> = Vec::new();
    let mut taken = BTreeSet::new();
    for (place, item) in items.iter().enumerate() {
        let at = format!("`{parameter}[{place}]`");
        let (name, mut task) = task(&at, item)?;
        let name = name.unwrap_or_else(|| format!("step-{}", place + 1));
        if !taken.insert(name.clone()) {
            return Err(Failure::argument(format!(
                "{at}: the name `{name}` comes twice"
            )));
        }
        let before = names.last().filter(|_| order == Order::OneAfterTheOther);
        if let Some(before) = before
            && !task.contains_key("needs")
        {
            task.insert("needs".to_owned(), json!([before]));
        }
        tasks.insert(name.clone(), Value::Object(task));
        names.push(name);
    }
    Ok((tasks, names))
}

/// One task and its name. Keys that are not known here are left to the plan, which names those that
/// it does not know.
fn task(at: &str, item: &Value) -> Result<(Option<String>, Map<String, Value>), Failure> {
    let given = match item {
        Value::String(script) => {
            return Ok((None, Map::from_iter([("run".to_owned(), json!(script))])));
        }
        Value::Object(given) => given,
        _ => {
            let detail = format!("{at} should be a command, or an object with `run` or `argv`");
            return Err(Failure::argument(detail));
        }
    };
    let mut task = Map::new();
    for (key, value) in given {
        let known = SYNONYMS.iter().find(|(synonym, _)| synonym == key);
        let key = known.map_or(key.as_str(), |(_, key)| *key);
        // A step with an id and a name goes by its id, because others need it by that.
        if key == "name" && given.contains_key("id") && known.is_none() {
            continue;
        }
        if task.insert(key.to_owned(), value.clone()).is_some() {
            return Err(Failure::argument(format!("{at} says `{key}` twice")));
        }
    }
    let name = match task.remove("name") {
        None => None,
        Some(Value::String(name)) => Some(name),
        Some(_) => return Err(Failure::argument(format!("{at}: `name` should be a text"))),
    };
    let does = ["run", "argv", "kind", "partition"];
    if !does.iter().any(|key| task.contains_key(*key)) {
        let detail = format!(
            "{at} has no `run` and no `argv`: a step is a command, Skep has no model that would do \
             it from a description"
        );
        return Err(Failure::argument(detail));
    }
    Ok((name, task))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(items: &Value, order: Order) -> Result<Value, String> {
        let made = tasks("steps", items.as_array().unwrap(), order);
        made.map(|(tasks, _)| Value::Object(tasks))
            .map_err(|failure| format!("{failure:?}"))
    }

    #[test]
    fn steps_run_in_their_order_unless_they_say_what_they_need() {
        let items = json!(["make", {"id": "b", "command": "x"}, {"name": "c", "argv": ["y"], "dependsOn": []}]);
        let expected = json!({
            "step-1": {"run": "make"},
            "b": {"run": "x", "needs": ["step-1"]},
            "c": {"argv": ["y"], "needs": []},
        });
        assert_eq!(made(&items, Order::OneAfterTheOther), Ok(expected));
        let expected = json!({"step-1": {"run": "a"}, "step-2": {"run": "b"}});
        assert_eq!(made(&json!(["a", "b"]), Order::SideBySide), Ok(expected));
    }

    #[test]
    fn what_is_no_command_is_refused_by_its_place() {
        for (items, said) in [
            (json!([]), "empty"),
            (json!(["a", 7]), "steps[1]"),
            (json!([{"agent": "coder", "task": "design"}]), "no model"),
            (json!([{"run": "a", "command": "b"}]), "twice"),
            (
                json!([{"name": "a", "run": "x"}, {"name": "a", "run": "y"}]),
                "comes twice",
            ),
            (json!([{"name": 1, "run": "x"}]), "should be a text"),
        ] {
            let error = made(&items, Order::SideBySide).unwrap_err();
            assert!(error.contains(said), "{items}: {error}");
        }
    }
}
