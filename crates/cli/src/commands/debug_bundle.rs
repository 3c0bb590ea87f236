//! `skep debug bundle`: what helps to find a fault, without secrets, in one directory.

use super::{Session, config, doctor};
use crate::api::{Api, items};
use crate::args::DebugCommand;
use crate::commands::backup::stamped;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::exact;
use crate::places::{Places, read_token};
use crate::redaction::Redaction;
use crate::system_ports::SystemClock;
use serde_json::{Value, json};
use skep_client::with_query;
use skep_coordinator::ports::Clock;
use skep_model::limits::PAGE_ITEMS_MAX;
use skep_operations::Timestamp;
use std::fmt::Write as _;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Bytes of the end of each node's log.
const LOG_BYTES_MAX: u64 = 2 << 20;
/// Nodes of this machine whose logs are taken along.
const LOGS_MAX: usize = 64;
/// Log entries at the end whose events are taken along.
const EVENT_ENTRIES: u64 = 500;
/// Only the owner may look into it.
const PRIVATE_DIRECTORY: u32 = 0o700;
const PRIVATE_FILE: u32 = 0o600;

/// One file of the bundle, without secrets.
struct Piece {
    name: String,
    about: &'static str,
    text: String,
}

pub(crate) async fn run(session: &Session, command: DebugCommand) -> Outcome {
    let DebugCommand::Bundle { output } = command;
    let directory = output.unwrap_or_else(|| stamped("skep-debug"));
    let pieces = collect(session).await;
    write(&directory, &pieces)?;
    let files: Vec<_> = pieces
        .iter()
        .map(|piece| json!({ "name": piece.name, "about": piece.about, "bytes": piece.text.len() }))
        .collect();
    let document = json!({ "directory": directory, "files": files });
    session.output.document(&document, |_| {
        format!(
            "{}\nwrote {}; secrets that Skep knows are taken out: look at it before you send it",
            listed(&pieces),
            directory.display()
        )
    })?;
    Ok(Exit::Ok)
}

async fn collect(session: &Session) -> Vec<Piece> {
    let redaction = redaction(session);
    let api = session.api();
    let document = |name: &str, about, result: Result<Value, Failure>| Piece {
        name: name.to_owned(),
        about,
        text: pretty(&redaction.document(&result.unwrap_or_else(|failure| said(&failure)))),
    };
    let mut pieces = vec![
        document("version.json", "version and system", Ok(version())),
        document(
            "doctor.json",
            "what `skep doctor` finds",
            Ok(doctor::report(session, false).await),
        ),
        document(
            "config.json",
            "the configuration",
            config::shown_values(session),
        ),
    ];
    match api {
        Ok(api) => {
            let status = api.get("/api/v2/system/status").await;
            let events = last_events(&api, status.as_ref().ok()).await;
            pieces.push(document("status.json", "the swarm at a glance", status));
            let nodes = api.all("/api/v2/nodes", usize::MAX).await;
            pieces.push(document("nodes.json", "all nodes", nodes));
            let diagnostics = api.post("/api/v2/system/diagnostics", &json!({})).await;
            pieces.push(document(
                "diagnostics.json",
                "what the coordinator says about itself",
                diagnostics,
            ));
            let metrics = match api.bytes("/metrics").await {
                Ok(metrics) => redaction.text(&String::from_utf8_lossy(&metrics)),
                Err(failure) => said(&failure).to_string(),
            };
            pieces.push(Piece {
                name: "metrics.txt".to_owned(),
                about: "counters and gauges",
                text: metrics,
            });
            pieces.push(Piece {
                name: "events.jsonl".to_owned(),
                about: "the last events",
                text: redaction.lines(&events),
            });
        }
        Err(failure) => pieces.push(document("status.json", "no coordinator", Err(failure))),
    }
    pieces.extend(node_logs(&session.places, &redaction));
    pieces
}

/// Knows the secrets of this user by their values, too.
fn redaction(session: &Session) -> Redaction {
    let places = &session.places;
    let files = [places.admin_token(), places.node_token()];
    let tokens = files.iter().filter_map(|file| read_token(file).ok());
    Redaction::new(
        tokens
            .chain(session.global.token.clone())
            .chain(Redaction::secrets_of_the_environment()),
    )
}

fn version() -> Value {
    let system = rustix::system::uname();
    json!({
        "skep": env!("CARGO_PKG_VERSION"),
        "system": system.sysname().to_string_lossy(),
        "release": system.release().to_string_lossy(),
        "machine": system.machine().to_string_lossy(),
        "at": Timestamp(SystemClock.wall()).to_string(),
    })
}

/// What stands where something could not be asked for.
fn said(failure: &Failure) -> Value {
    json!({ "error": failure.message, "code": failure.code })
}

fn pretty(document: &Value) -> String {
    serde_json::to_string_pretty(document).unwrap_or_default() + "\n"
}

/// One event a line.
async fn last_events(api: &Api, status: Option<&Value>) -> String {
    let newest = status.map_or("", |status| exact(status, "/events_cursor"));
    let index = newest.split('.').next().and_then(|text| text.parse().ok());
    let after = format!("{}.0", index.unwrap_or(0_u64).saturating_sub(EVENT_ENTRIES));
    let limit = PAGE_ITEMS_MAX.to_string();
    let query = [("after", after.as_str()), ("limit", limit.as_str())];
    match api.get(&with_query("/api/v2/events", query)).await {
        Ok(page) => {
            let events = items(&page).iter().map(Value::to_string);
            events.collect::<Vec<_>>().join("\n")
        }
        Err(failure) => said(&failure).to_string(),
    }
}

fn node_logs(places: &Places, redaction: &Redaction) -> Vec<Piece> {
    let Ok(nodes) = std::fs::read_dir(places.state.join("nodes")) else {
        return Vec::new();
    };
    let mut names: Vec<PathBuf> = nodes.flatten().map(|node| node.path()).collect();
    names.sort();
    let pieces = names.iter().filter_map(|node| {
        let end = end_of(&node.join("node.log")).ok()?;
        Some(Piece {
            name: format!("logs/{}.log", node.file_name()?.to_string_lossy()),
            about: "the end of a node's log",
            text: redaction.lines(&end),
        })
    });
    pieces.take(LOGS_MAX).collect()
}

/// The whole lines at the end of a file: half a token would not be known as one.
fn end_of(file: &Path) -> std::io::Result<String> {
    let mut file = File::open(file)?;
    let start = file.metadata()?.len().saturating_sub(LOG_BYTES_MAX);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(LOG_BYTES_MAX).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    if start == 0 {
        return Ok(text);
    }
    Ok(text
        .split_once('\n')
        .map_or_else(String::new, |(_, rest)| rest.to_owned()))
}

fn listed(pieces: &[Piece]) -> String {
    let mut list = String::new();
    for piece in pieces {
        let size = crate::output::bytes(piece.text.len() as u64);
        let _ = writeln!(list, "{:24} {:>10}  {}", piece.name, size, piece.about);
    }
    list
}

/// Writes a directory that was not there before.
fn write(directory: &Path, pieces: &[Piece]) -> Result<(), Failure> {
    let mut builder = DirBuilder::new();
    builder.mode(PRIVATE_DIRECTORY);
    builder.create(directory).map_err(|error| {
        let message = format!("cannot make `{}`: {error}", directory.display());
        if error.kind() == std::io::ErrorKind::AlreadyExists {
            Failure::new(Exit::Conflict, "directory_not_empty", message)
                .hint("name a new directory with --output")
        } else {
            Failure::new(Exit::Failed, "io_failed", message)
        }
    })?;
    builder.recursive(true).create(directory.join("logs"))?;
    let contents = format!(
        "A bundle of `skep debug bundle`, for whoever looks for a fault.\n\nSecrets that Skep knows \
         are taken out. It cannot know what your commands print:\nlook at it before you send \
         it.\n\n{}",
        listed(pieces)
    );
    let all = pieces
        .iter()
        .map(|piece| (piece.name.as_str(), &piece.text));
    for (name, text) in all.chain([("README.txt", &contents)]) {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(PRIVATE_FILE)
            .open(directory.join(name))?;
        file.write_all(text.as_bytes())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_long_log_begins_with_a_whole_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("node.log");
        let line = "x".repeat(1_000) + "\n";
        std::fs::write(&path, line.repeat(3_000)).unwrap();
        let end = end_of(&path).unwrap();
        assert!(end.len() as u64 <= LOG_BYTES_MAX && end.len() > 2_000_000);
        assert!(end.lines().all(|line| line.len() == 1_000));
        std::fs::write(&path, "short\n").unwrap();
        assert_eq!(end_of(&path).unwrap(), "short\n");
    }
}
