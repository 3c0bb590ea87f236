//! Updates, ends, batches and embeddings.

use super::super::Session;
use super::{entry_path, given_value, keyed, read, written_text};
use crate::api::{Api, items};
use crate::args::{BatchArgs, EmbedArgs, MemoryCommand, TouchArgs, UpdateArgs};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{plural, table, text};
use serde_json::{Value, json};
use skep_client::Method;
use skep_operations::Timestamp;
use std::path::Path;
use std::time::SystemTime;

pub(super) async fn run(session: &Session, api: &Api, command: MemoryCommand) -> Outcome {
    match command {
        MemoryCommand::Update(args) => update(session, api, args).await,
        MemoryCommand::Touch(args) => touch(session, api, &args).await,
        MemoryCommand::Batch(args) => batch(session, api, args).await,
        MemoryCommand::Embed(args) => embed(session, api, &args).await,
        _ => Ok(Exit::Ok),
    }
}

async fn update(session: &Session, api: &Api, args: UpdateArgs) -> Outcome {
    let body = json!({
        "function": args.function,
        "value": given_value(&args.value),
        "ttl_s": args.ttl,
        "why": args.why,
    });
    let path = entry_path(&args.entry, "update");
    let answer = keyed(api, Method::POST, &path, &body, args.idempotency_key).await?;
    session.output.document(&answer, written_text)?;
    Ok(Exit::Ok)
}

async fn touch(session: &Session, api: &Api, args: &TouchArgs) -> Outcome {
    let body = json!({ "ttl_s": args.ttl, "if_version": args.if_version });
    let path = entry_path(&args.entry, "touch");
    let answer = keyed(api, Method::POST, &path, &body, None).await?;
    session.output.document(&answer, written_text)?;
    Ok(Exit::Ok)
}

async fn batch(session: &Session, api: &Api, args: BatchArgs) -> Outcome {
    let writes = writes_of(&args.file, &read(&args.file)?)?;
    let body = json!({ "writes": writes, "all_or_nothing": args.all_or_nothing });
    let path = "/api/v2/memory-batch";
    let answer = keyed(api, Method::POST, path, &body, args.idempotency_key).await?;
    session
        .output
        .document(&answer, |answer| batch_table(&writes, answer))?;
    let refused = items(&answer).iter();
    let refused = refused.filter(|item| item.get("error").is_some()).count();
    if refused == 0 {
        return Ok(Exit::Ok);
    }
    let refused = plural(refused as u64, "write was", "writes were");
    let message = format!("{refused} refused; the others of the batch are done");
    Err(
        Failure::new(Exit::Conflict, "memory_batch_refused", message)
            .hint("send what was refused again when its cause is gone, or use --all-or-nothing"),
    )
}

/// The writes of a file: a list, or an object a line.
fn writes_of(file: &Path, bytes: &[u8]) -> Result<Vec<Value>, Failure> {
    let invalid = |detail: String| {
        let message = format!("`{}` is no batch: {detail}", file.display());
        Failure::new(Exit::Invalid, "memory_batch_malformed", message)
    };
    let text = str::from_utf8(bytes).map_err(|error| invalid(error.to_string()))?;
    if text.trim_start().starts_with('[') {
        return serde_json::from_str(text).map_err(|error| invalid(error.to_string()));
    }
    let lines = text.lines().enumerate();
    let lines = lines.filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            serde_json::from_str(line)
                .map_err(|error| invalid(format!("line {}: {error}", number + 1)))
        })
        .collect()
}

fn batch_table(writes: &[Value], answer: &Value) -> String {
    let rows = writes.iter().zip(items(answer)).map(|(write, item)| {
        let outcome = match item.get("error") {
            Some(error) => format!("{}: {}", text(error, "/code"), text(error, "/detail")),
            None => text(item, "/written/outcome"),
        };
        vec![
            text(write, "/namespace"),
            text(write, "/key"),
            text(item, "/written/version"),
            outcome,
        ]
    });
    table(&["namespace", "key", "version", "outcome"], rows)
}

/// The numbers of a file.
pub(super) fn embedding_of(file: &Path) -> Result<Value, Failure> {
    let numbers: Result<Vec<f32>, _> = serde_json::from_slice(&read(file)?);
    let numbers = numbers.map_err(|error| {
        let message = format!("`{}` is no list of numbers: {error}", file.display());
        Failure::new(Exit::Invalid, "embedding_malformed", message)
    })?;
    Ok(json!(numbers))
}

/// Writes the present value anew, with an embedding, if nobody writes another one meanwhile.
async fn embed(session: &Session, api: &Api, args: &EmbedArgs) -> Outcome {
    let path = entry_path(&args.entry, "");
    let present = api.get(&path).await?;
    let mut body = again(&present, SystemTime::now());
    match &args.embedding {
        Some(file) => {
            body["embedding"] = embedding_of(file)?;
            body["embedding_model"] = json!(args.model);
        }
        None => body["embed"] = json!(true),
    }
    let answer = keyed(api, Method::PUT, &path, &body, None).await?;
    session.output.document(&answer, written_text)?;
    Ok(Exit::Ok)
}

/// A write that puts what is there once more.
fn again(present: &Value, now: SystemTime) -> Value {
    let mut body = json!({
        "tags": present["tags"],
        "metadata": present["metadata"],
        "why": "an embedding",
        "if_version": present["version"],
        "ttl_s": seconds_left(present["expires_at"].as_str(), now),
    });
    for form in ["value", "base64", "artifact"] {
        if let Some(value) = present.get(form) {
            body[form] = value.clone();
        }
    }
    body
}

/// How long an entry has to live; at least a second.
fn seconds_left(end: Option<&str>, now: SystemTime) -> Option<u64> {
    let end: Timestamp = end?.parse().ok()?;
    let now = now.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    let left_ms = end.0.0.saturating_sub(now.as_millis() as u64);
    Some((left_ms / 1_000).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_batch_is_a_list_or_an_object_a_line() {
        let file = Path::new("batch.jsonl");
        let expected = vec![json!({"key": "a"}), json!({"key": "b"})];
        for text in [
            "[{\"key\": \"a\"}, {\"key\": \"b\"}]",
            "{\"key\": \"a\"}\n\n{\"key\": \"b\"}\n",
        ] {
            assert_eq!(writes_of(file, text.as_bytes()).unwrap(), expected);
        }
        let error = writes_of(file, b"{}\nx\n").unwrap_err();
        assert_eq!(error.code, "memory_batch_malformed");
        assert!(error.message.contains("line 2"), "{}", error.message);
    }

    #[test]
    fn what_is_embedded_stays_what_it_was() {
        let present = json!({
            "value": null, "version": 7, "tags": ["x"], "metadata": {"a": "b"},
            "expires_at": "1970-01-01T00:01:40.000Z", "why": "first",
        });
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(40);
        let body = again(&present, now);
        assert_eq!(
            body,
            json!({
                "value": null, "tags": ["x"], "metadata": {"a": "b"}, "if_version": 7,
                "ttl_s": 60, "why": "an embedding",
            })
        );
        assert_eq!(seconds_left(None, now), None);
        let past = Some("1970-01-01T00:00:01.000Z");
        assert_eq!(seconds_left(past, now), Some(1));
    }
}
