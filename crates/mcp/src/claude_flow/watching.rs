//! Events as Claude-Flow's callers name them, as what the swarm's triggers wait for.

use super::call::Failure;
use serde_json::{Map, Value};
use skep_model::trigger::Subject;

/// Hooks that record into a namespace of their own: each record is an entry that is written.
const HOOKS: [&str; 11] = [
    "pre-task",
    "post-task",
    "pre-edit",
    "post-edit",
    "pre-bash",
    "post-bash",
    "post-search",
    "mcp-initialized",
    "agent-spawned",
    "task-orchestrated",
    "notify",
];
/// Where an object says what happens.
const EVENT_KEYS: [&str; 3] = ["event", "type", "on"];
/// By what it is chosen.
const FIELDS: [&str; 4] = ["name", "namespace", "key", "label"];

/// What is given as an event, in the words of the operation, which judges it.
pub(super) fn watch_text(place: &str, given: &Value) -> Result<String, Failure> {
    match given {
        Value::String(text) => Ok(plain(text)),
        Value::Object(object) => of_object(place, object),
        _ => {
            let detail = format!("`{place}` is neither a text nor an object");
            Err(Failure::argument(detail))
        }
    }
}

/// `task.failed`, `task:failed` and `post-edit` in the words of the swarm.
fn plain(text: &str) -> String {
    let text = text.trim();
    let (first, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let rest = rest.trim();
    if let Some(hook) = HOOKS.iter().find(|hook| **hook == first) {
        return join(&format!("memory written namespace=hooks-{hook}"), rest);
    }
    for separator in ['.', ':', '_', '-'] {
        let Some((subject, change)) = first.split_once(separator) else {
            continue;
        };
        let mut subjects = Subject::ALL.into_iter();
        let is_known =
            subjects.any(|one| one.as_str() == subject && one.changes().contains(&change));
        if is_known {
            return join(&format!("{subject} {change}"), rest);
        }
    }
    text.to_owned()
}

fn join(first: &str, rest: &str) -> String {
    format!("{first} {rest}").trim_end().to_owned()
}

fn of_object(place: &str, object: &Map<String, Value>) -> Result<String, Failure> {
    let said: Vec<_> = EVENT_KEYS
        .iter()
        .filter_map(|key| object.get(*key)?.as_str())
        .collect();
    let [event] = said[..] else {
        let detail = format!("`{place}.event` should say once what happens, such as `task failed`");
        return Err(Failure::argument(detail));
    };
    let mut text = plain(event);
    for (key, value) in object {
        if EVENT_KEYS.contains(&key.as_str()) {
            continue;
        }
        let value = value.as_str().filter(|_| FIELDS.contains(&key.as_str()));
        let Some(value) = value else {
            let detail = format!(
                "`{place}.{key}` is not known, or no text; want some of `event`, `{}`",
                FIELDS.join("`, `")
            );
            return Err(Failure::argument(detail));
        };
        if key == "label" && value.contains(char::is_whitespace) {
            let detail = format!("`{place}.label` has a space: such labels cannot be watched");
            return Err(Failure::argument(detail));
        }
        // In a pattern, a letter that stands for any one: watches are words with spaces between.
        let value: String = value
            .chars()
            .map(|letter| if letter.is_whitespace() { '?' } else { letter })
            .collect();
        text.extend([" ", key, "=", &value]);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use skep_model::trigger::Watch;

    #[test]
    fn events_are_known_under_the_names_that_callers_give_them() {
        for (given, expected) in [
            (json!("task failed"), "task failed"),
            (json!("task.failed name=a*"), "task failed name=a*"),
            (json!("node:lost"), "node lost"),
            (json!("run_succeeded"), "run succeeded"),
            (
                json!("post-edit"),
                "memory written namespace=hooks-post-edit",
            ),
            (
                json!({"event": "memory.written", "namespace": "swarm", "key": "a b*"}),
                "memory written key=a?b* namespace=swarm",
            ),
            (
                json!({"type": "task-failed", "label": "kind=ci"}),
                "task failed label=kind=ci",
            ),
        ] {
            let text = watch_text("events[0]", &given).unwrap();
            assert_eq!(text, expected);
            text.parse::<Watch>().unwrap();
        }
    }

    #[test]
    fn every_hook_names_a_namespace_that_can_be_watched() {
        for hook in HOOKS {
            let text = watch_text("e", &json!(hook)).unwrap();
            assert!(text.parse::<Watch>().is_ok(), "{text}");
        }
    }

    #[test]
    fn what_means_nothing_goes_on_as_it_is_and_is_refused_with_what_can_be_watched() {
        for given in ["push", "file:changed", "task.dances", ""] {
            let text = watch_text("e", &json!(given)).unwrap();
            let refusal = text.parse::<Watch>().unwrap_err().to_string();
            assert!(refusal.contains("`task`"), "{refusal}");
        }
        for wrong in [
            json!(7),
            json!({"name": "a"}),
            json!({"event": "task", "glob": "a"}),
            json!({"event": "task", "name": 7}),
            json!({"event": "task", "label": "kind=a b"}),
        ] {
            assert!(watch_text("e", &wrong).is_err(), "{wrong}");
        }
    }
}
