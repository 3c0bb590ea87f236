//! The entries of shared memory that a call makes, for hooks that store more than what was said.

use super::record::{Entry, Event};
use serde_json::json;

/// Longest text that is kept of what a command printed.
const OUTPUT_LENGTH_MAX: usize = 16_384;

pub(super) fn pre_task(event: &Event<'_>) -> Vec<Entry> {
    let id = event.id("task-id");
    let index = json!({ "taskId": id, "description": event.text("description"), "state": "begun" });
    vec![
        event.record("hooks-pre-task", id.clone()),
        event.entry("task-index", id, index),
    ]
}

pub(super) fn post_task(event: &Event<'_>) -> Vec<Entry> {
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

pub(super) fn post_edit(event: &Event<'_>) -> Vec<Entry> {
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

pub(super) fn post_bash(event: &Event<'_>) -> Vec<Entry> {
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

pub(super) fn post_search(event: &Event<'_>) -> Vec<Entry> {
    let mut entries = vec![event.record("hooks-post-search", event.stamp())];
    if let Some(query) = event.flags.text("query") {
        let found = json!({ "query": query, "resultCount": event.number("result-count") });
        entries.push(event.entry("search-cache", query.to_owned(), found));
    }
    entries
}

pub(super) fn agent_spawned(event: &Event<'_>) -> Vec<Entry> {
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
pub(super) fn neural_trained(event: &Event<'_>) -> Vec<Entry> {
    let claim = json!({
        "model": event.text("model"),
        "accuracy": event.number("accuracy"),
        "patterns": event.number("patterns"),
        "source": "the caller's claim",
        "measuredHere": false,
    });
    vec![event.entry("hooks-neural-trained", event.stamp(), claim)]
}

pub(super) fn session_end(event: &Event<'_>) -> Vec<Entry> {
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
