//! The tools of Skep's own set: a few operations that agents need all the time, a wait, and a pair
//! that finds and calls all other operations.

use crate::catalogue::{self, Entry};
use crate::outline::{Reader, outline};
use crate::{search, tool_result, wait};
use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use serde_json::Value;
use skep_operations::Method;
use std::sync::{Arc, LazyLock};

/// What a tool does.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Action {
    /// Runs the operation.
    Run(&'static Entry),
    /// Waits until a run or task is final.
    Wait,
    /// Looks for operations.
    Search,
    /// Runs the operation that the arguments name.
    Call,
}

/// A tool and what it does.
#[derive(Debug)]
pub(crate) struct NativeTool {
    pub(crate) action: Action,
    pub(crate) tool: Tool,
}

/// What is said about an operation that is a tool: its own sentence, and what else a model needs
/// to know to use it well.
const OPERATIONS: [(&str, &str); 11] = [
    (
        "runs.submit",
        "Submits a plan: a graph of shell commands for the swarm's machines, run isolated and in \
         order of `needs`. Example of `plan`: {name: ci, tasks: {build: {run: make}, test: {run: \
         make test, needs: build}}}. Gives the run's id; it goes on by itself: use skep_wait.",
    ),
    (
        "tasks.submit",
        "Submits one task, e.g. {name: t, run: make}. Gives its id; use skep_wait for its end.",
    ),
    (
        "tasks.logs",
        "Reads the output of a task, 64 KiB at a time; go on at `next_offset`. With `grep`, lists \
         matching lines.",
    ),
    (
        "sessions.register",
        "Registers this session as an agent for tasks described in words. Say honestly what you \
         can do. Gives the `id` for the other calls.",
    ),
    (
        "sessions.request_work",
        "Asks for one task and waits up to `wait_ms`. Begin it with skep_sessions_claim within 5 \
         minutes, or it goes to others.",
    ),
    (
        "sessions.claim",
        "Takes a named task, or accepts the one you were given, and begins it. Gives instructions \
         and the `fence` to end it with.",
    ),
    (
        "sessions.complete",
        "Ends your task well, with `result`. Only when what was asked for is really there.",
    ),
    (
        "sessions.fail",
        "Says that your task could not be done, and why. It is tried again as its policy says.",
    ),
    (
        "memory.get",
        "Reads a value that the swarm shares, e.g. {namespace: swarm, key: plan}.",
    ),
    (
        "memory.put",
        "Shares a value. Namespaces: `swarm`, `knowledge` (keys TOPIC/NAME), `run/ID`. With the \
         `if_version` of your last read nobody's write is lost.",
    ),
    ("memory.search", "Searches shared values."),
];

/// Keys that a tool's list leaves out although the operation takes them: few calls need them, and
/// `skep_search` shows them.
const NOT_LISTED: [(&str, &[&str]); 4] = [
    ("memory.get", &["consistency"]),
    (
        "memory.put",
        &[
            "artifact",
            "base64",
            "embed",
            "embedding",
            "embedding_model",
            "if_present",
            "metadata",
            "settles",
            "stamp",
        ],
    ),
    ("memory.search", &["cursor", "prefix"]),
    (
        "tasks.submit",
        &[
            "affinity",
            "base_dir",
            "compensate",
            "deadline",
            "delivery",
            "if",
            "inputs",
            "isolation",
            "kind",
            "matrix",
            "merge",
            "partition",
            "reads",
            "resources",
        ],
    ),
];

static TOOLS: LazyLock<Vec<NativeTool>> = LazyLock::new(|| {
    let operations = OPERATIONS.iter().filter_map(|(id, words)| {
        let entry = catalogue::find(id)?;
        let tool = of_operation(entry, words);
        let action = Action::Run(entry);
        Some(NativeTool { action, tool })
    });
    let own = [
        NativeTool {
            action: Action::Wait,
            tool: wait::tool(),
        },
        NativeTool {
            action: Action::Search,
            tool: search::search_tool(),
        },
        NativeTool {
            action: Action::Call,
            tool: search::call_tool(),
        },
    ];
    operations.chain(own).collect()
});

/// The tools, always in the same order.
pub(crate) fn tools() -> &'static [NativeTool] {
    &TOOLS
}

/// All other operations as tools: nobody sees them in the list, and whoever found one by
/// `skep_search` may call it under its own name as well.
static UNLISTED: LazyLock<Vec<NativeTool>> = LazyLock::new(|| {
    let is_listed = |entry: &&Entry| {
        let mut listed = OPERATIONS.iter();
        listed.any(|(id, _)| *id == entry.operation.id)
    };
    let others = catalogue::entries().iter();
    let others = others.filter(|entry| !is_listed(entry));
    others
        .map(|entry| NativeTool {
            action: Action::Run(entry),
            tool: of_operation(entry, ""),
        })
        .collect()
});

/// The tool of this name, listed or not.
pub(crate) fn find(name: &str) -> Option<&'static NativeTool> {
    let all = tools().iter().chain(UNLISTED.iter());
    all.into_iter().find(|tool| tool.tool.name == name)
}

/// The name of the tool that runs an operation.
fn name_of(id: &str) -> String {
    format!("skep_{}", id.replace('.', "_"))
}

fn of_operation(entry: &Entry, words: &'static str) -> Tool {
    let operation = &entry.operation;
    let description = if words.is_empty() {
        operation.summary
    } else {
        words
    };
    let mut input = outline(&Value::Object(entry.input.schema.clone()), Reader::Writes);
    for (_, keys) in NOT_LISTED.iter().filter(|(id, _)| *id == operation.id) {
        if let Some(listed) = input.get_mut("properties").and_then(Value::as_object_mut) {
            listed.retain(|key, _| !keys.contains(&key.as_str()));
        }
    }
    let output = match &entry.output {
        Some(schema) => outline(schema, Reader::Reads),
        None => object(tool_result::text_schema()),
    };
    let annotations = match operation.method {
        Method::Get | Method::Head => ToolAnnotations::new().read_only(true),
        Method::Delete => ToolAnnotations::new().destructive(true),
        Method::Post | Method::Put if operation.id.ends_with(".cancel") => {
            ToolAnnotations::new().destructive(true)
        }
        Method::Post | Method::Put => ToolAnnotations::new().destructive(false),
    };
    Tool::new(name_of(operation.id), description, Arc::new(input))
        .with_raw_output_schema(Arc::new(output))
        .with_annotations(annotations)
}

/// A schema that is written out as an object.
pub(crate) fn object(schema: Value) -> JsonObject {
    match schema {
        Value::Object(object) => object,
        _ => JsonObject::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that the list may cost a conversation.
    const LIST_BYTES_MAX: usize = 12_000;

    #[test]
    fn the_list_is_short_and_all_of_it_exists() {
        let names: Vec<_> = tools().iter().map(|tool| tool.tool.name.as_ref()).collect();
        assert_eq!(
            names,
            [
                "skep_runs_submit",
                "skep_tasks_submit",
                "skep_tasks_logs",
                "skep_sessions_register",
                "skep_sessions_request_work",
                "skep_sessions_claim",
                "skep_sessions_complete",
                "skep_sessions_fail",
                "skep_memory_get",
                "skep_memory_put",
                "skep_memory_search",
                "skep_wait",
                "skep_search",
                "skep_call",
            ]
        );
        let list: Vec<_> = tools().iter().map(|tool| &tool.tool).collect();
        let bytes = serde_json::to_vec(&list).unwrap().len();
        let sizes: Vec<_> = list
            .iter()
            .map(|tool| (&tool.name, serde_json::to_vec(tool).unwrap().len()))
            .collect();
        assert!(
            bytes < LIST_BYTES_MAX,
            "{bytes}: {sizes:?}\n{}",
            serde_json::to_string(&list).unwrap()
        );
    }

    #[test]
    fn every_tool_says_what_it_takes_and_gives() {
        for NativeTool { tool, .. } in tools() {
            assert_eq!(tool.input_schema["type"], "object", "{}", tool.name);
            let output = tool.output_schema.as_ref().unwrap();
            assert_eq!(output["type"], "object", "{}", tool.name);
            let description = tool.description.as_deref().unwrap();
            assert!(description.ends_with('.'), "{}: {description}", tool.name);
        }
    }
}
