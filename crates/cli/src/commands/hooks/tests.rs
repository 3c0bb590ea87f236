//! What each hook stores, and what none does.

use super::flags::Flags;
use super::record::{Event, entries};
use super::table::{HOOKS, find};
use serde_json::{Value, json};

fn stored(hook: &str, arguments: &[&str]) -> Vec<(&'static str, String, Value)> {
    let hook = find(hook).unwrap();
    let arguments: Vec<_> = arguments.iter().map(|&text| text.to_owned()).collect();
    let flags = Flags::read(&arguments, hook.values, hook.switches);
    assert!(flags.unknown.is_empty(), "{flags:?}");
    let flags = flags.redacted(|text| text.replace("hush", "[redacted]"));
    let event = Event {
        hook: hook.name,
        flags: &flags,
        at: "T",
        process: 7,
        directory: "/d",
        known: json!({ "durationMs": 12, "entries": { "sessions": 3 } }),
    };
    let entries = entries(hook, &event).into_iter();
    entries
        .map(|entry| (entry.namespace, entry.key, entry.value))
        .collect()
}

fn places<'a>(stored: &'a [(&'static str, String, Value)]) -> Vec<(&'static str, &'a str)> {
    let places = stored.iter();
    places
        .map(|(namespace, key, _)| (*namespace, key.as_str()))
        .collect()
}

#[test]
fn each_hook_stores_where_the_original_does() {
    for (hook, arguments, expected) in [
        (
            "pre-task",
            &["--taskId", "t"][..],
            &[("hooks-pre-task", "t"), ("task-index", "t")][..],
        ),
        (
            "post-task",
            &["--task-id", "t", "--analyze-performance", "true"],
            &[
                ("hooks-post-task", "t"),
                ("task-index", "t"),
                ("performance", "t"),
            ],
        ),
        ("pre-edit", &["--file", "f"], &[("hooks-pre-edit", "T-7")]),
        (
            "post-edit",
            &["--file", "f", "--memoryKey", "a/b"],
            &[
                ("hooks-post-edit", "T-7"),
                ("file-history", "f"),
                ("coordination", "a/b"),
            ],
        ),
        (
            "pre-command",
            &["--command", "ls"],
            &[("hooks-pre-bash", "T-7")],
        ),
        (
            "post-bash",
            &[
                "--command",
                "ls",
                "--store-results",
                "--track-metrics",
                "true",
            ],
            &[
                ("hooks-post-bash", "T-7"),
                ("command-history", "T-7"),
                ("command-results", "T-7"),
                ("performance-metrics", "T-7"),
            ],
        ),
        (
            "post-search",
            &["--query", "q"],
            &[("hooks-post-search", "T-7"), ("search-cache", "q")],
        ),
        (
            "agent-spawned",
            &["--name", "n", "--type", "coder"],
            &[("hooks-agent-spawned", "T-7"), ("agent-roster", "n")],
        ),
        (
            "session-end",
            &["--session-id", "s", "--persist-state", "--export-metrics"],
            &[
                ("sessions", "s"),
                ("session-states", "s"),
                ("session-metrics", "s"),
            ],
        ),
        ("notify", &["--message", "m"], &[("hooks-notify", "T-7")]),
    ] {
        assert_eq!(places(&stored(hook, arguments)), expected, "{hook}");
    }
}

#[test]
fn what_the_caller_claims_is_stored_as_a_claim() {
    let claimed = stored("neural-trained", &["--model", "m", "--accuracy", "0.99"]);
    let (_, _, value) = &claimed[0];
    assert_eq!(
        (&value["accuracy"], &value["measuredHere"]),
        (&json!(0.99), &json!(false))
    );
}

#[test]
fn no_hook_stores_a_secret_in_a_key_or_in_a_value() {
    for hook in HOOKS {
        let given = hook.values.iter();
        let given = given.flat_map(|name| [format!("--{name}"), "say hush".to_owned()]);
        let switched = hook.switches.iter().map(|name| format!("--{name}"));
        let arguments: Vec<_> = given.chain(switched).collect();
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        for (namespace, key, value) in stored(hook.name, &arguments) {
            let text = format!("{key} {value}");
            assert!(!text.contains("hush"), "{}: {namespace}: {text}", hook.name);
        }
    }
}

#[test]
fn secrets_are_taken_out_and_numbers_are_numbers() {
    let run = [
        "--command",
        "say hush",
        "--exit-code",
        "3",
        "--output",
        "hush",
        "--store-results",
    ];
    for (_, _, value) in stored("post-bash", &run) {
        assert!(!value.to_string().contains("hush"), "{value}");
        assert_eq!(value["exitCode"], 3.0);
    }
}
