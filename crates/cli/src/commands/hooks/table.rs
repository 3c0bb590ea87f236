//! The hooks that are served: their names, their flags, and what writes their entries.

use super::entries::{
    agent_spawned, neural_trained, post_bash, post_edit, post_search, post_task, pre_task,
    session_end,
};
use super::record::{Entry, Event};

/// A hook: its names, flags that take a value, and switches.
#[derive(Debug)]
pub(super) struct Hook {
    pub(super) name: &'static str,
    pub(super) values: &'static [&'static str],
    pub(super) switches: &'static [&'static str],
    pub(super) write: fn(&Event<'_>) -> Vec<Entry>,
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
    // What the session used is all that is kept of it.
    Hook {
        name: "stop",
        values: &[],
        switches: &[],
        write: |_| Vec::new(),
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
