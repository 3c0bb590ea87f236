//! The pair of tools behind the short list: one finds operations, the other calls them.

use crate::catalogue::{self, Entry};
use crate::fault::Fault;
use crate::outline::{Reader, outline};
use crate::tool_result::Refusal;
use crate::toolset::object;
use rmcp::model::{Tool, ToolAnnotations};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Operations that one search shows with what they take.
const DETAILED_MAX: usize = 5;

/// What to look for.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Query {
    query: String,
}

/// Which operation to run.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Call {
    operation: String,
    #[serde(default)]
    arguments: Map<String, Value>,
}

/// Looks for operations.
pub(crate) fn search_tool() -> Tool {
    let input = json!({
        "type": "object",
        "properties": { "query": {
            "type": "string",
            "description": "Words such as `drain node`, or the name of one operation for its \
                            whole schema; empty lists all.",
        }},
    });
    let output = json!({
        "type": "object",
        "properties": { "operations": { "type": "array" } },
        "required": ["operations"],
    });
    Tool::new(
        "skep_search",
        "Finds further operations (nodes, agents, artifacts, events, tokens and more) for skep_call.",
        Arc::new(object(input)),
    )
    .with_raw_output_schema(Arc::new(object(output)))
    .with_annotations(ToolAnnotations::new().read_only(true))
}

/// Runs an operation by its name.
pub(crate) fn call_tool() -> Tool {
    let input = json!({
        "type": "object",
        "properties": {
            "operation": { "type": "string", "description": "As skep_search names it." },
            "arguments": { "type": "object", "description": "As its input_schema says." },
        },
        "required": ["operation"],
    });
    Tool::new(
        "skep_call",
        "Runs an operation that skep_search found, with your permissions.",
        Arc::new(object(input)),
    )
    .with_raw_output_schema(Arc::new(object(json!({ "type": "object" }))))
}

/// The operations that fit best, first those whose name holds the words.
pub(crate) fn search(arguments: Map<String, Value>) -> Result<Value, Refusal> {
    let query: Query = read(arguments)?;
    let wanted = query.query.to_lowercase();
    if let Some(entry) = catalogue::find(wanted.trim()) {
        let whole = Value::Object(entry.input.schema.clone());
        return Ok(json!({ "operations": [described(entry, Some(whole))] }));
    }
    let words: Vec<_> = wanted
        .split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    let mut found: Vec<(usize, &Entry)> = catalogue::entries()
        .iter()
        .map(|entry| (score(entry, &words), entry))
        .filter(|(score, _)| words.is_empty() || *score > 0)
        .collect();
    // A stable sort: equals stay in the order of the registry.
    found.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
    let detailed = if words.is_empty() { 0 } else { DETAILED_MAX };
    let operations: Vec<_> = found
        .iter()
        .enumerate()
        .map(|(place, (_, entry))| {
            let short = || outline(&Value::Object(entry.input.schema.clone()), Reader::Writes);
            described(entry, (place < detailed).then(|| short().into()))
        })
        .collect();
    Ok(json!({ "operations": operations }))
}

/// The operation and the arguments that a call names.
pub(crate) fn call(
    arguments: Map<String, Value>,
) -> Result<(&'static Entry, Map<String, Value>), Refusal> {
    let call: Call = read(arguments)?;
    let entry = catalogue::find(&call.operation).ok_or_else(|| {
        let detail = format!("no operation is called `{}`", call.operation);
        Refusal::Fault(Fault::OperationUnknown, detail)
    })?;
    Ok((entry, call.arguments))
}

/// Arguments of a tool that is no operation.
pub(crate) fn read<T: serde::de::DeserializeOwned>(
    arguments: Map<String, Value>,
) -> Result<T, Refusal> {
    serde_json::from_value(Value::Object(arguments))
        .map_err(|error| Refusal::Fault(Fault::ParamsInvalid, error.to_string()))
}

fn described(entry: &Entry, input: Option<Value>) -> Value {
    let scopes = entry.operation.permission.scopes.iter();
    let scopes: Vec<_> = scopes.map(|scope| scope.as_str()).collect();
    let mut described = json!({
        "name": entry.operation.id,
        "summary": entry.operation.summary,
        "scopes": scopes,
    });
    if let Some(input) = input {
        described["input_schema"] = input;
    }
    described
}

/// A word counts three times in the name, twice when it only begins a word there, else once.
fn score(entry: &Entry, words: &[&str]) -> usize {
    let name: Vec<_> = entry.operation.id.split(['.', '_']).collect();
    let summary = entry.operation.summary.to_lowercase();
    let one = |word: &&str| {
        // `node` finds `nodes`, and `drains` finds `drain`.
        let stem = word.strip_suffix('s').unwrap_or(word);
        if name.contains(word) {
            3
        } else if name.iter().any(|part| part.starts_with(stem)) {
            2
        } else {
            usize::from(summary.contains(stem))
        }
    };
    words.iter().map(one).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(query: &str) -> Vec<String> {
        let arguments = object(json!({ "query": query }));
        let found = search(arguments).unwrap();
        let operations = found["operations"].as_array().unwrap().iter();
        operations
            .map(|operation| operation["name"].as_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn words_find_operations_those_with_all_words_first() {
        for (query, first) in [
            ("drain node", "nodes.drain"),
            ("drains nodes", "nodes.drain"),
            ("token list", "tokens.list"),
            ("why does a task not run: explain", "tasks.explain"),
            ("artifact bytes", "artifacts.get"),
        ] {
            assert_eq!(found(query)[0], first, "{query}: {:?}", found(query));
        }
        assert_eq!(found("zebra"), Vec::<String>::new());
        assert_eq!(found("").len(), catalogue::entries().len());
    }

    #[test]
    fn the_name_of_an_operation_gives_its_whole_schema() {
        let found = search(object(json!({ "query": "tasks.submit" }))).unwrap();
        let operations = found["operations"].as_array().unwrap();
        assert_eq!(operations.len(), 1);
        let schema = &operations[0]["input_schema"];
        assert!(schema["$defs"]["GateFile"].is_object(), "{schema}");
        assert_eq!(operations[0]["scopes"], json!(["write"]));
    }

    #[test]
    fn a_call_names_an_operation_that_exists() {
        let (entry, arguments) = call(object(
            json!({"operation": "nodes.get", "arguments": {"id": "node_1"}}),
        ))
        .unwrap();
        assert_eq!(entry.operation.id, "nodes.get");
        assert_eq!(arguments["id"], "node_1");
        for (arguments, code) in [
            (
                json!({"operation": "nodes.explode"}),
                "mcp_operation_unknown",
            ),
            (json!({"operation": "nodes.login"}), "mcp_operation_unknown"),
            (json!({"arguments": {}}), "mcp_params_invalid"),
            (json!({"operation": 7}), "mcp_params_invalid"),
        ] {
            let refusal = call(object(arguments.clone())).unwrap_err();
            assert_eq!(refusal.document()["code"], code, "{arguments}");
        }
    }
}
