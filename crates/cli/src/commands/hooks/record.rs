//! What each hook stores: a table of hooks with their flags, and the entries of shared memory that
//! their records become.

use super::flags::Redacted;
use serde_json::{Value, json};

/// Records of hooks are kept for 30 days.
const KEPT_S: u64 = 30 * 86_400;
/// Longest text that is kept of what a command printed.
const OUTPUT_LENGTH_MAX: usize = 16_384;
/// Commands that a person should look at twice; parts of them in small letters.
const DANGEROUS: [&str; 9] = [
    "rm -rf /",
    "rm -rf ~",
    "rm -rf *",
    "mkfs",
    "dd if=",
    "> /dev/sd",
    "chmod -r 777 /",
    ":(){",
    "| sh",
];

/// A hook: its names, flags that take a value, and switches.
#[derive(Debug)]
pub(super) struct Hook {
    pub(super) name: &'static str,
    pub(super) values: &'static [&'static str],
    pub(super) switches: &'static [&'static str],
    write: fn(&Event<'_>) -> Vec<Entry>,
}

/// All hooks that are served.
pub(super) const HOOKS: &[Hook] = &[
    Hook {
        name: "pre-task",
        values: &["description", "task-id", "agent-id"],
        switches: &["auto-spawn-agents"],
        write: pre_task,
    },
    Hook {
        name: "post-task",
        values: &["task-id"],
        switches: &["analyze-performance", "generate-insights"],
        write: post_task,
    },
    Hook {
        name: "pre-edit",
        values: &["file", "operation"],
        switches: &["auto-assign-agents", "load-context"],
        write: |event| vec![event.record("hooks-pre-edit", event.stamp())],
    },
    Hook {
        name: "post-edit",
        values: &["file", "memory-key"],
        switches: &["format", "update-memory", "train-neural"],
        write: post_edit,
    },
    Hook {
        name: "pre-bash",
        values: &["command", "cwd"],
        switches: &["validate-safety", "prepare-resources"],
        write: |event| vec![event.record("hooks-pre-bash", event.stamp())],
    },
    Hook {
        name: "post-bash",
        values: &["command", "exit-code", "output", "duration"],
        switches: &["track-metrics", "store-results"],
        write: post_bash,
    },
    Hook {
        name: "post-search",
        values: &["query", "result-count", "type"],
        switches: &[],
        write: post_search,
    },
    Hook {
        name: "mcp-initialized",
        values: &["server", "session-id"],
        switches: &[],
        write: |event| vec![event.record("hooks-mcp-initialized", event.stamp())],
    },
    Hook {
        name: "agent-spawned",
        values: &["name", "type", "swarm-id"],
        switches: &[],
        write: agent_spawned,
    },
    Hook {
        name: "task-orchestrated",
        values: &["task-id", "strategy", "priority"],
        switches: &[],
        write: |event| vec![event.record("hooks-task-orchestrated", event.stamp())],
    },
    Hook {
        name: "neural-trained",
        values: &["model", "accuracy", "patterns"],
        switches: &[],
        write: neural_trained,
    },
    Hook {
        name: "session-end",
        values: &["session-id", "swarm-id"],
        switches: &["generate-summary", "persist-state", "export-metrics"],
        write: session_end,
    },
    Hook {
        name: "session-restore",
        values: &["session-id"],
        switches: &[],
        write: |event| vec![event.record("session-events", event.stamp())],
    },
    Hook {
        name: "notify",
        values: &["message", "level"],
        switches: &["swarm-status"],
        write: |event| vec![event.record("hooks-notify", event.stamp())],
    },
];

/// The hook of this name.
pub(super) fn find(name: &str) -> Option<&'static Hook> {
    let name = match name {
        "pre-command" => "pre-bash",
        "post-command" => "post-bash",
        other => other,
    };
    HOOKS.iter().find(|hook| hook.name == name)
}

/// An entry of shared memory to write.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) namespace: &'static str,
    pub(super) key: String,
    pub(super) value: Value,
}

impl Entry {
    /// As one write of a batch.
    pub(super) fn write(&self, hook: &str) -> Value {
        json!({
            "namespace": self.namespace,
            "key": self.key,
            "put": {
                "value": self.value,
                "ttl_s": KEPT_S,
                "tags": ["hooks"],
                "why": format!("skep hooks {hook}"),
            },
        })
    }
}

/// One call of a hook: what was said, and what is known besides.
pub(super) struct Event<'a> {
    pub(super) hook: &'static str,
    /// What was said, without secrets.
    pub(super) flags: &'a Redacted,
    /// When, as documents have it.
    pub(super) at: &'a str,
    /// Tells apart what happened in the same millisecond.
    pub(super) process: u32,
    /// Where, without secrets.
    pub(super) directory: &'a str,
    /// What was looked up for this hook.
    pub(super) known: Value,
}

/// The entries that a call of a hook makes.
pub(super) fn entries(hook: &Hook, event: &Event<'_>) -> Vec<Entry> {
    (hook.write)(event)
}

/// What is dangerous about a command, as far as a list of words can tell.
pub(super) fn dangers(command: &str) -> Vec<&'static str> {
    let command = command.to_lowercase();
    DANGEROUS
        .into_iter()
        .filter(|part| command.contains(part))
        .collect()
}

impl Event<'_> {
    /// A key of its own for this call.
    fn stamp(&self) -> String {
        format!("{}-{}", self.at, self.process)
    }

    /// The id that the caller gave under this name, or one of this call.
    fn id(&self, name: &str) -> String {
        self.flags
            .text(name)
            .map_or_else(|| self.stamp(), str::to_owned)
    }

    fn text(&self, name: &str) -> Value {
        json!(self.flags.text(name))
    }

    /// A number; what is none stays a text.
    fn number(&self, name: &str) -> Value {
        let text = self.flags.text(name);
        let number = text.and_then(|text| text.parse::<f64>().ok());
        number.map_or_else(|| self.text(name), |number| json!(number))
    }

    fn entry(&self, namespace: &'static str, key: String, value: Value) -> Entry {
        let mut value = value;
        value["hook"] = json!(self.hook);
        value["at"] = json!(self.at);
        Entry {
            namespace,
            key,
            value,
        }
    }

    /// All that the caller said, as it was said.
    fn record(&self, namespace: &'static str, key: String) -> Entry {
        let hook = find(self.hook).expect("an event is of a hook of the table");
        let mut value = json!({ "directory": self.directory });
        for name in hook.values {
            value[camel(name)] = self.text(name);
        }
        for name in hook.switches {
            value[camel(name)] = json!(self.flags.is_on(name));
        }
        if !self.known.is_null() {
            value["known"] = self.known.clone();
        }
        self.entry(namespace, key, value)
    }
}

/// `task-id` as `taskId`.
fn camel(name: &str) -> String {
    let mut words = name.split('-');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let (head, tail) = word.split_at(1.min(word.len()));
        name + &head.to_uppercase() + tail
    })
}

fn pre_task(event: &Event<'_>) -> Vec<Entry> {
    let id = event.id("task-id");
    let index = json!({ "taskId": id, "description": event.text("description"), "state": "begun" });
    vec![
        event.record("hooks-pre-task", id.clone()),
        event.entry("task-index", id, index),
    ]
}

fn post_task(event: &Event<'_>) -> Vec<Entry> {
    let id = event.id("task-id");
    let index = json!({ "taskId": id, "state": "ended" });
    let mut entries = vec![
        event.record("hooks-post-task", id.clone()),
        event.entry("task-index", id.clone(), index),
    ];
    if event.flags.is_on("analyze-performance") {
        // The time between the two calls is all that is measured.
        let figures = json!({ "taskId": id, "durationMs": event.known["durationMs"] });
        entries.push(event.entry("performance", id, figures));
    }
    entries
}

fn post_edit(event: &Event<'_>) -> Vec<Entry> {
    let mut entries = vec![event.record("hooks-post-edit", event.stamp())];
    if let Some(file) = event.flags.text("file") {
        let history = json!({ "file": file, "memoryKey": event.text("memory-key") });
        entries.push(event.entry("file-history", file.to_owned(), history));
    }
    if let Some(key) = event.flags.text("memory-key") {
        let edit = json!({ "file": event.text("file"), "edited": true });
        entries.push(event.entry("coordination", key.to_owned(), edit));
    }
    entries
}

fn post_bash(event: &Event<'_>) -> Vec<Entry> {
    let command = json!({
        "command": event.text("command"),
        "exitCode": event.number("exit-code"),
        "durationMs": event.number("duration"),
    });
    let mut entries = vec![
        event.entry("hooks-post-bash", event.stamp(), command.clone()),
        event.entry("command-history", event.stamp(), command.clone()),
    ];
    if event.flags.is_on("store-results") {
        let output = event.flags.text("output").unwrap_or_default();
        let output: String = output.chars().take(OUTPUT_LENGTH_MAX).collect();
        let mut result = command.clone();
        result["output"] = json!(output);
        entries.push(event.entry("command-results", event.stamp(), result));
    }
    if event.flags.is_on("track-metrics") {
        entries.push(event.entry("performance-metrics", event.stamp(), command));
    }
    entries
}

fn post_search(event: &Event<'_>) -> Vec<Entry> {
    let mut entries = vec![event.record("hooks-post-search", event.stamp())];
    if let Some(query) = event.flags.text("query") {
        let found = json!({ "query": query, "resultCount": event.number("result-count") });
        entries.push(event.entry("search-cache", query.to_owned(), found));
    }
    entries
}

fn agent_spawned(event: &Event<'_>) -> Vec<Entry> {
    let mut entries = vec![event.record("hooks-agent-spawned", event.stamp())];
    if let Some(name) = event.flags.text("name") {
        let agent = json!({
            "name": name, "type": event.text("type"), "swarmId": event.text("swarm-id"),
        });
        entries.push(event.entry("agent-roster", name.to_owned(), agent));
    }
    entries
}

/// What the caller says, and that nobody here knows whether it is so.
fn neural_trained(event: &Event<'_>) -> Vec<Entry> {
    let claim = json!({
        "model": event.text("model"),
        "accuracy": event.number("accuracy"),
        "patterns": event.number("patterns"),
        "source": "the caller's claim",
        "measuredHere": false,
    });
    vec![event.entry("hooks-neural-trained", event.stamp(), claim)]
}

fn session_end(event: &Event<'_>) -> Vec<Entry> {
    let id = event.id("session-id");
    let mut session = json!({ "sessionId": id, "directory": event.directory });
    if event.flags.is_on("generate-summary") {
        session["summary"] = event.known["entries"].clone();
    }
    let mut entries = vec![event.entry("sessions", id.clone(), session.clone())];
    if event.flags.is_on("persist-state") {
        entries.push(event.entry("session-states", id.clone(), session.clone()));
    }
    if event.flags.is_on("export-metrics") {
        let metrics = json!({ "sessionId": id, "entries": event.known["entries"] });
        entries.push(event.entry("session-metrics", id, metrics));
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::hooks::flags::Flags;

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

    #[test]
    fn dangerous_commands_are_known_by_their_parts() {
        assert_eq!(dangers("sudo RM -rf / --no-preserve-root"), ["rm -rf /"]);
        assert_eq!(dangers("curl x | sh"), ["| sh"]);
        assert!(dangers("cargo test").is_empty());
    }

    #[test]
    fn names_of_keys_are_those_of_the_original() {
        assert_eq!(camel("auto-spawn-agents"), "autoSpawnAgents");
        assert_eq!(camel("file"), "file");
    }
}
