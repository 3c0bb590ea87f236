//! `skep memory`: values that the swarm shares.

mod change;
mod claude_flow;
mod compact;
mod decide;
mod look;
mod namespaces;
mod sync;
mod transfer;

use super::Session;
use super::node::pairs;
use crate::api::{Api, path};
use crate::args::{EntryArgs, MemoryCommand, MemorySetArgs, NamespaceCommand};
use crate::event_follower::{EventFollower, is_resync, newest_cursor};
use crate::exit::{Exit, Failure, Outcome, chain};
use crate::output::{Output, Printer, bytes as size, exact, text};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use skep_client::{Method, with_query};
use std::io::Read;
use std::path::Path;

pub(crate) async fn run(session: &Session, command: MemoryCommand) -> Outcome {
    let api = session.api()?;
    match command {
        MemoryCommand::Get {
            entry,
            at,
            raw,
            output,
            eventual,
        } => {
            let version = at.map(|version| version.to_string());
            let query = [
                ("version", version.as_deref()),
                ("raw", (raw || output.is_some()).then_some("true")),
                ("consistency", eventual.then_some("eventual")),
            ];
            let query = query.into_iter();
            let query = query.filter_map(|(name, value)| Some((name, value?)));
            let path = with_query(&entry_path(&entry, ""), query);
            get(session, &api, &path, (raw, output.as_deref())).await
        }
        MemoryCommand::Set(args) => set(session, &api, args).await,
        MemoryCommand::Delete {
            entry,
            if_version,
            why,
        } => {
            let body = json!({ "if_version": if_version, "why": why });
            let answer = keyed(&api, Method::DELETE, &entry_path(&entry, ""), &body, None).await?;
            session.output.document(&answer, written_text)?;
            Ok(Exit::Ok)
        }
        MemoryCommand::Watch {
            namespace,
            key,
            after,
        } => watch(session, &api, (&namespace, &key), after).await,
        MemoryCommand::Export { .. }
        | MemoryCommand::Import { .. }
        | MemoryCommand::Snapshot { .. }
        | MemoryCommand::Snapshots
        | MemoryCommand::Restore { .. } => transfer::run(session, &api, command).await,
        MemoryCommand::Compact { namespace } => compact::run(session, &api, namespace).await,
        MemoryCommand::Sync { .. } | MemoryCommand::Peers => {
            sync::run(session, &api, command).await
        }
        MemoryCommand::Conflicts { .. } | MemoryCommand::Resolve { .. } => {
            decide::run(session, &api, command).await
        }
        MemoryCommand::Namespace { command } => {
            namespaces::run(session, &api, command.unwrap_or(NamespaceCommand::List)).await
        }
        MemoryCommand::Update(_)
        | MemoryCommand::Touch(_)
        | MemoryCommand::Batch(_)
        | MemoryCommand::Embed(_) => change::run(session, &api, command).await,
        MemoryCommand::Near(_)
        | MemoryCommand::List { .. }
        | MemoryCommand::History { .. }
        | MemoryCommand::Search { .. } => look::run(session, &api, command).await,
    }
}

/// The path of an entry, or of something below it.
fn entry_path(entry: &EntryArgs, below: &str) -> String {
    let mut parts = vec!["memory", &entry.namespace, &entry.key];
    parts.extend(Some(below).filter(|below| !below.is_empty()));
    path(&parts)
}

/// A write, under a key so that one whose answer was lost can be sent again.
async fn keyed(
    api: &Api,
    method: Method,
    path: &str,
    body: &Value,
    key: Option<String>,
) -> Result<Value, Failure> {
    let key = key.unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
    let request = api.client().request(method, path).json(body)?.key(&key)?;
    Ok(request.send().await?)
}

async fn get(
    session: &Session,
    api: &Api,
    path: &str,
    (raw, output): (bool, Option<&Path>),
) -> Outcome {
    if let Some(file) = output {
        let bytes = api.bytes(path).await?;
        std::fs::write(file, &bytes).map_err(|error| transfer::unwritable(file, &error))?;
        let fetched = json!({ "path": file, "bytes": bytes.len() });
        session.output.document(&fetched, |_| {
            format!("{}  {}", file.display(), size(bytes.len() as u64))
        })?;
    } else if raw && session.output == Output::Json {
        let message = "the bytes of a value are not always JSON";
        return Err(Failure::new(Exit::Invalid, "output_missing", message)
            .hint("name a file with --output, or leave out --raw"));
    } else if raw {
        let mut printer = Printer::new();
        printer.print(&api.bytes(path).await?)?;
        printer.end()?;
    } else {
        let document = api.get(path).await?;
        session.output.document(&document, value_text)?;
    }
    Ok(Exit::Ok)
}

/// A value for people: a text as it is, everything else as JSON.
fn value_text(entry: &Value) -> String {
    if let Some(bytes) = entry.pointer("/artifact/bytes").and_then(Value::as_u64) {
        let hash = text(entry, "/artifact/blake3");
        return format!("artifact {hash}, {}; --raw prints it", size(bytes));
    }
    if entry.get("base64").is_some() {
        let bytes = entry["value_bytes"].as_u64().unwrap_or(0);
        return format!("{}; --raw prints them", size(bytes));
    }
    match entry.get("value") {
        Some(Value::String(text)) => text.clone(),
        Some(value) => serde_json::to_string_pretty(value).unwrap_or_default(),
        None => format!("{}, without a value", text(entry, "/state")),
    }
}

/// The value of the command line: JSON if it reads as JSON, else a text.
fn given_value(value: &str) -> Value {
    serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()))
}

async fn set(session: &Session, api: &Api, args: MemorySetArgs) -> Outcome {
    let mut body = json!({
        "ttl_s": args.ttl,
        "tags": args.tags,
        "metadata": pairs("meta", &args.metadata)?,
        "why": args.why,
        "if_version": args.if_version,
        "if_absent": args.if_absent,
        "embed": args.embed,
    });
    if let Some(file) = &args.embedding {
        body["embedding"] = change::embedding_of(file)?;
        body["embedding_model"] = json!(args.embedding_model);
    }
    match (&args.value, &args.file) {
        (Some(value), _) if args.text => body["value"] = json!(value),
        (Some(value), _) => body["value"] = given_value(value),
        (None, Some(file)) => body["base64"] = json!(BASE64_STANDARD.encode(read(file)?)),
        (None, None) => {}
    }
    let path = entry_path(&args.entry, "");
    let answer = keyed(api, Method::PUT, &path, &body, args.idempotency_key).await?;
    session.output.document(&answer, written_text)?;
    Ok(Exit::Ok)
}

/// The bytes of a file, or of stdin.
fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let done = if file == Path::new("-") {
        std::io::stdin().lock().read_to_end(&mut bytes).map(drop)
    } else {
        std::fs::read(file).map(|read| bytes = read)
    };
    done.map_err(|error| unreadable(file, &error))?;
    Ok(bytes)
}

fn unreadable(file: &Path, error: &dyn std::error::Error) -> Failure {
    let message = format!("could not read `{}`: {}", file.display(), chain(error));
    Failure::new(Exit::NotFound, "file_unreadable", message)
}

/// What became of a write, in a line.
fn written_text(answer: &Value) -> String {
    let mut line = format!(
        "{} version {}",
        text(answer, "/outcome"),
        text(answer, "/version")
    );
    if answer["merged"].as_bool() == Some(true) {
        line.push_str(", merged");
    }
    if let Some(end) = answer["expires_at"].as_str() {
        line.push_str(", ends ");
        line.push_str(end);
    }
    line
}

async fn watch(
    session: &Session,
    api: &Api,
    (namespace, key): (&str, &str),
    after: Option<String>,
) -> Outcome {
    let cursor = match after {
        Some(cursor) => cursor,
        None => newest_cursor(api).await?,
    };
    let filters = [("namespace", namespace), ("key", key)];
    let mut events = EventFollower::after(api, cursor, filters);
    loop {
        let event = events.next().await?;
        if !is_resync(&event) || session.output == Output::Json {
            session.output.streamed(&event.data, change_text)?;
        }
    }
}

/// A change, in a line.
fn change_text(event: &Value) -> String {
    let kind = exact(event, "/event");
    let kind = kind.strip_prefix("memory_").unwrap_or(kind);
    format!(
        "{}  {:<10}  {:<10}  {}  {}  version {}",
        text(event, "/at"),
        text(event, "/cursor"),
        kind,
        text(event, "/data/namespace"),
        text(event, "/data/key"),
        text(event, "/data/version"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_json_if_it_reads_as_json_and_else_a_text() {
        for (given, expected) in [
            ("{\"a\": 1}", json!({"a": 1})),
            ("7", json!(7)),
            ("null", Value::Null),
            ("plain words", json!("plain words")),
            ("\"7\"", json!("7")),
        ] {
            assert_eq!(given_value(given), expected);
        }
    }

    #[test]
    fn a_value_is_shown_as_what_it_is() {
        for (entry, expected) in [
            (json!({"value": "two\nlines"}), "two\nlines"),
            (json!({"value": [1]}), "[\n  1\n]"),
            (json!({"value": null}), "null"),
            (
                json!({"base64": "AA==", "value_bytes": 1}),
                "1 B; --raw prints them",
            ),
            (json!({"state": "deleted"}), "deleted, without a value"),
        ] {
            assert_eq!(value_text(&entry), expected);
        }
    }
}
