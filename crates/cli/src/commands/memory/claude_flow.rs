//! Memory of Claude-Flow as lines to import: its database `.swarm/memory.db`, and the file
//! `memory-store.json` of its command line.

use super::unreadable;
use crate::exit::{Exit, Failure, chain};
use serde_json::{Map, Value, json};
use skep_model::limits::MEMORY_METADATA_BYTES_MAX;
use skep_model::time::UnixMillis;
use skep_operations::{Timestamp, nearest_namespace};
use skep_store::ClaudeFlowEntry;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// Lines of JSON, as an export writes them.
    Lines,
    /// The database.
    Database,
    /// The file of the command line.
    Store,
}

/// What begins each database of SQLite.
const SQLITE_MAGIC: &[u8] = b"SQLite format 3\0";
/// A word that finds what came from there.
const TAG: &str = "claude-flow";

/// What a file is, by its beginning and its name.
pub(super) fn source_of(file: &Path) -> Result<Source, Failure> {
    let mut beginning = Vec::new();
    File::open(file)
        .and_then(|file| {
            file.take(SQLITE_MAGIC.len() as u64)
                .read_to_end(&mut beginning)
        })
        .map_err(|error| unreadable(file, &error))?;
    let is_store = file
        .extension()
        .is_some_and(|extension| extension == "json");
    Ok(match beginning == SQLITE_MAGIC {
        true => Source::Database,
        false if is_store => Source::Store,
        false => Source::Lines,
    })
}

/// Its entries as lines.
pub(super) fn lines(file: &Path, source: Source) -> Result<Vec<String>, Failure> {
    let entries = match source {
        Source::Database => skep_store::read_claude_flow_memory(file).map_err(|error| {
            let message = format!("could not read `{}`: {}", file.display(), chain(&error));
            Failure::new(Exit::NotFound, "file_unreadable", message)
                .hint("it should be the `.swarm/memory.db` of Claude-Flow")
        })?,
        Source::Store => {
            let bytes = std::fs::read(file).map_err(|error| unreadable(file, &error))?;
            stored(&bytes).ok_or_else(|| {
                let message = format!(
                    "`{}` is no memory-store.json of Claude-Flow",
                    file.display()
                );
                Failure::new(Exit::Invalid, "memory_import_malformed", message)
                    .hint("lines of JSON are read from files of other names, such as export.jsonl")
            })?
        }
        Source::Lines => Vec::new(),
    };
    Ok(entries
        .into_iter()
        .map(|entry| line(entry).to_string())
        .collect())
}

/// The entries of `{NAMESPACE: [{key, value, timestamp}]}`.
fn stored(bytes: &[u8]) -> Option<Vec<ClaudeFlowEntry>> {
    let spaces: Map<String, Value> = serde_json::from_slice(bytes).ok()?;
    let mut entries = Vec::new();
    for (namespace, list) in spaces {
        for entry in list.as_array()? {
            let value = match entry.get("value")? {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            entries.push(ClaudeFlowEntry {
                namespace: namespace.clone(),
                key: entry.get("key")?.as_str()?.to_owned(),
                value,
                metadata: None,
                created_at_s: entry
                    .get("timestamp")
                    .and_then(Value::as_u64)
                    .map(|ms| ms / 1_000),
                expires_at_s: None,
            });
        }
    }
    Some(entries)
}

/// A line that imports an entry. A value that reads as JSON is JSON, as Claude-Flow itself gives
/// it back.
fn line(entry: ClaudeFlowEntry) -> Value {
    let value: Value = serde_json::from_str(&entry.value).unwrap_or(Value::String(entry.value));
    let namespace = nearest_namespace(&entry.namespace);
    let mut metadata = Map::new();
    if namespace != entry.namespace {
        metadata.insert("claude_flow_namespace".to_owned(), json!(entry.namespace));
    }
    if let Some(created) = entry.created_at_s {
        metadata.insert("created_at".to_owned(), json!(time(created)));
    }
    let said = entry.metadata.as_deref().map(serde_json::from_str);
    if let Some(Ok(Value::Object(said))) = said {
        metadata.extend(said.into_iter().map(|(name, value)| {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            (name, Value::String(text))
        }));
    }
    let size = |(name, value): (&String, &Value)| name.len() + value.as_str().map_or(0, str::len);
    if metadata.iter().map(size).sum::<usize>() > MEMORY_METADATA_BYTES_MAX {
        metadata.clear();
        metadata.insert("left_out".to_owned(), json!("the metadata was too large"));
    }
    json!({
        "namespace": namespace,
        "key": entry.key,
        "value": value,
        "tags": [TAG],
        "metadata": metadata,
        "why": "imported from Claude-Flow",
        "expires_at": entry.expires_at_s.map(time),
    })
}

fn time(seconds: u64) -> String {
    Timestamp(UnixMillis(seconds.saturating_mul(1_000))).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_read_and_values_that_are_json_become_json() {
        let store = br#"{"Team A": [{"key": "k", "value": "{\"a\":1}", "timestamp": 1700000000000},
            {"key": "l", "value": "plain"}]}"#;
        let lines: Vec<_> = stored(store).unwrap().into_iter().map(line).collect();
        assert_eq!(lines[0]["namespace"], "team-a");
        assert_eq!(lines[0]["value"], json!({"a": 1}));
        assert_eq!(lines[0]["metadata"]["claude_flow_namespace"], "Team A");
        assert_eq!(
            lines[0]["metadata"]["created_at"],
            "2023-11-14T22:13:20.000Z"
        );
        assert_eq!(lines[1]["value"], "plain");
        assert_eq!(stored(b"[]"), None);
    }
}
