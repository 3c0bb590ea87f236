//! Exports, imports and snapshots.

use super::super::Session;
use super::claude_flow::{self, Source};
use super::look::{all, entry_table};
use super::unreadable;
use crate::api::{Api, path};
use crate::args::MemoryCommand;
use crate::exit::{Exit, Failure, Outcome, chain};
use crate::output::{Output, note, raw, text};
use futures_util::StreamExt;
use serde_json::{Value, json};
use skep_client::{Method, with_query};
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Bytes of lines that go to the coordinator in one request.
const REQUEST_BYTES_MAX: usize = 4 << 20;
/// Where the coordinator keeps the names of snapshots.
const SNAPSHOTS: &str = "snapshots";
/// An export holds what the caller may read, which others on this machine may not.
const PRIVATE_FILE: u32 = 0o600;
/// Refused lines that are named.
const REFUSED_SHOWN_MAX: usize = 100;

pub(super) async fn run(session: &Session, api: &Api, command: MemoryCommand) -> Outcome {
    match command {
        MemoryCommand::Export {
            namespace,
            output,
            prefix,
            history,
        } => {
            let query = [
                ("namespace", Some(namespace.as_str())),
                ("prefix", prefix.as_deref()),
                ("history", history.then_some("true")),
            ];
            let query = query
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?)));
            let path = with_query("/api/v2/memory-export", query);
            export(session, api, &path, output.as_deref()).await
        }
        MemoryCommand::Import {
            file,
            namespace,
            keep,
        } => import(session, api, &file, (namespace.as_deref(), keep)).await,
        MemoryCommand::Snapshot { namespace, name } => {
            let body = json!({ "namespace": namespace, "name": name });
            let answer = api.post("/api/v2/memory-snapshots", &body).await?;
            session.output.document(&answer, |answer| {
                format!("kept as {}", text(answer, "/key"))
            })?;
            Ok(Exit::Ok)
        }
        MemoryCommand::Snapshots => {
            let page = match all(api, &path(&["memory", SNAPSHOTS]), &[], usize::MAX).await {
                // There is none before the first one.
                Err(failure) if failure.code == "namespace_not_found" => json!({ "items": [] }),
                page => page?,
            };
            session.output.document(&page, entry_table)?;
            Ok(Exit::Ok)
        }
        MemoryCommand::Restore { namespace, name } => {
            let body = json!({ "namespace": namespace, "name": name });
            let answer = api.post("/api/v2/memory-snapshots/restore", &body).await?;
            session.output.document(&answer, |answer| {
                let count = |field| text(answer, field);
                format!(
                    "{} entries are as they were, {} were removed, the time of {} is over",
                    count("/written"),
                    count("/deleted"),
                    count("/expired")
                )
            })?;
            Ok(Exit::Ok)
        }
        _ => Ok(Exit::Ok),
    }
}

/// Writes the lines as they come. A file that is not whole says so by its missing last line, and
/// so does this command.
async fn export(session: &Session, api: &Api, path: &str, output: Option<&Path>) -> Outcome {
    let request = api.client().request(Method::GET, path);
    let mut pieces = std::pin::pin!(request.send_for_stream().await?);
    let mut file = output
        .map(|path| private_file(path).map_err(|error| unwritable(path, &error)))
        .transpose()?;
    let mut tail = Vec::new();
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        match (&mut file, output) {
            (Some(file), Some(path)) => file
                .write_all(&piece)
                .map_err(|error| unwritable(path, &error))?,
            _ => raw(&piece)?,
        }
        let kept = tail.len().min(LAST_LINE_BYTES_MAX);
        tail.drain(..tail.len() - kept);
        tail.extend_from_slice(&piece);
    }
    let entries = entries_of_end(&tail).ok_or_else(|| {
        let message = "the export broke off before its last line";
        Failure::new(Exit::Failed, "export_cut", message).hint("export again")
    })?;
    if let (Some(file), Some(path)) = (file, output) {
        file.sync_all().map_err(|error| unwritable(path, &error))?;
        let done = json!({ "file": path, "entries": entries });
        session
            .output
            .document(&done, |_| format!("{}  {entries} entries", path.display()))?;
    }
    Ok(Exit::Ok)
}

/// An empty file that only its owner reads, also if there was one that others could read. What is
/// no file, such as a pipe, stays what it is.
fn private_file(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(PRIVATE_FILE)
        .open(path)?;
    if file.metadata()?.is_file() {
        file.set_permissions(Permissions::from_mode(PRIVATE_FILE))?;
    }
    Ok(file)
}

/// Bytes of the last line, and more.
const LAST_LINE_BYTES_MAX: usize = 64;

/// How many entries the last line counts.
fn entries_of_end(tail: &[u8]) -> Option<u64> {
    let lines = tail.strip_suffix(b"\n")?;
    let last = lines.rsplit(|byte| *byte == b'\n').next()?;
    let last: Value = serde_json::from_slice(last).ok()?;
    last.get("end")?.as_u64()
}

pub(super) fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    let message = format!("could not write `{}`: {}", path.display(), chain(error));
    Failure::new(Exit::Failed, "io_failed", message)
}

/// What the coordinator took in, over all requests.
#[derive(Debug, Default)]
struct Taken {
    counts: [u64; 5],
    errors: Vec<Value>,
}

/// What is counted, as the coordinator names it.
const COUNTED: [&str; 5] = ["written", "kept", "expired", "history", "refused"];

impl Taken {
    /// Adds an answer; its lines are counted from the request's first one.
    fn add(&mut self, answer: &Value, lines_before: u64) {
        for (count, name) in self.counts.iter_mut().zip(COUNTED) {
            *count += answer[name].as_u64().unwrap_or(0);
        }
        for error in answer["errors"].as_array().into_iter().flatten() {
            if self.errors.len() < REFUSED_SHOWN_MAX {
                let mut error = error.clone();
                error["line"] = json!(error["line"].as_u64().unwrap_or(0) + lines_before);
                self.errors.push(error);
            }
        }
    }

    fn document(&self) -> Value {
        let counts = COUNTED.iter().zip(self.counts);
        let mut document: serde_json::Map<String, Value> = counts
            .map(|(name, count)| ((*name).to_owned(), json!(count)))
            .collect();
        document.insert("errors".to_owned(), json!(self.errors));
        document.into()
    }

    const fn refused(&self) -> u64 {
        self.counts[4]
    }
}

async fn import(
    session: &Session,
    api: &Api,
    file: &Path,
    (namespace, keep): (Option<&str>, bool),
) -> Outcome {
    let query = [
        ("namespace", namespace),
        ("existing", keep.then_some("keep")),
    ];
    let query = query
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    let path = with_query("/api/v2/memory-import", query);
    let source = claude_flow::source_of(file)?;
    let mut sender = Sender {
        api,
        path: &path,
        waiting: Vec::new(),
        lines: 0,
        sent: 0,
        taken: Taken::default(),
    };
    match source {
        Source::Lines => {
            check_whole(file)?;
            for line in lines_of(file)? {
                sender
                    .send(line.map_err(|error| unreadable(file, &error))?)
                    .await?;
            }
        }
        foreign => {
            for line in claude_flow::lines(file, foreign)? {
                sender.send(line.into_bytes()).await?;
            }
        }
    }
    sender.flush().await?;
    let taken = sender.taken;
    session.output.document(&taken.document(), |taken| {
        let counted = COUNTED
            .iter()
            .map(|name| format!("{name} {}", taken[*name]));
        counted.collect::<Vec<_>>().join(", ")
    })?;
    if taken.refused() == 0 {
        return Ok(Exit::Ok);
    }
    if session.output == Output::Text {
        for error in &taken.errors {
            note(&format!(
                "line {}: {}",
                text(error, "/line"),
                text(error, "/detail")
            ));
        }
    }
    let message = format!(
        "{} lines were refused; the others are written",
        taken.refused()
    );
    Err(Failure::new(
        Exit::Invalid,
        "memory_import_refused",
        message,
    ))
}

/// Sends lines in requests of many.
struct Sender<'a> {
    api: &'a Api,
    path: &'a str,
    waiting: Vec<u8>,
    /// Lines that wait.
    lines: u64,
    /// Lines of requests before.
    sent: u64,
    taken: Taken,
}

impl Sender<'_> {
    async fn send(&mut self, line: Vec<u8>) -> Result<(), Failure> {
        if self.waiting.len() + line.len() > REQUEST_BYTES_MAX {
            self.flush().await?;
        }
        self.waiting.extend_from_slice(&line);
        self.waiting.push(b'\n');
        self.lines += 1;
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Failure> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let body = std::mem::take(&mut self.waiting);
        let request = self.api.client().request(Method::POST, self.path);
        let answer: Value = request.bytes(body.into()).send().await?;
        self.taken.add(&answer, self.sent);
        self.sent += std::mem::take(&mut self.lines);
        Ok(())
    }
}

type FileLines = std::io::Split<BufReader<File>>;

fn lines_of(file: &Path) -> Result<FileLines, Failure> {
    let opened = File::open(file).map_err(|error| unreadable(file, &error))?;
    Ok(BufReader::new(opened).split(b'\n'))
}

/// Refuses an export that was cut before anything of it is written.
fn check_whole(file: &Path) -> Result<(), Failure> {
    let (mut is_export, mut entries, mut end) = (false, 0_u64, None);
    for (number, line) in lines_of(file)?.enumerate() {
        let line = line.map_err(|error| unreadable(file, &error))?;
        if line.trim_ascii().is_empty() {
            continue;
        }
        let Ok(value) = serde_json::from_slice::<Value>(&line) else {
            let message = format!("line {} of `{}` is no JSON", number + 1, file.display());
            return Err(Failure::new(
                Exit::Invalid,
                "memory_import_malformed",
                message,
            ));
        };
        is_export |= value.get("format").is_some();
        end = value.get("end").and_then(Value::as_u64);
        let is_entry = value.get("key").is_some() && value["history"] != json!(true);
        entries += u64::from(is_entry);
    }
    if !is_export || end == Some(entries) {
        return Ok(());
    }
    let message = format!(
        "`{}` was cut: its last line is missing, or counts others",
        file.display()
    );
    Err(Failure::new(Exit::Invalid, "export_cut", message)
        .hint("export again; to take in what is there, remove its first line"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Option<String> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("export.jsonl");
        std::fs::write(&file, text).unwrap();
        check_whole(&file).err().map(|failure| failure.code)
    }

    #[test]
    fn only_the_owner_reads_an_export() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("export.jsonl");
        let mode = || file.metadata().unwrap().permissions().mode() & 0o777;
        drop(private_file(&file).unwrap());
        assert_eq!(mode(), 0o600);
        std::fs::write(&file, "old").unwrap();
        std::fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        drop(private_file(&file).unwrap());
        assert_eq!((mode(), file.metadata().unwrap().len()), (0o600, 0));
    }

    #[test]
    fn an_export_that_was_cut_is_known_for_one() {
        let head = "{\"format\": \"skep-memory/1\"}\n";
        let entry = "{\"key\": \"a\", \"value\": 1}\n";
        let past = "{\"key\": \"a\", \"value\": 1, \"history\": true}\n";
        let end = "{\"end\": 1}\n";
        for (text, code) in [
            ([head, entry, past, end].concat(), None),
            ([entry, entry].concat(), None),
            ([head, entry].concat(), Some("export_cut")),
            ([head, end].concat(), Some("export_cut")),
            ([head, "{\"key\""].concat(), Some("memory_import_malformed")),
        ] {
            assert_eq!(check(&text).as_deref(), code, "{text}");
        }
        assert_eq!(entries_of_end(b"...}\n{\"end\":3}\n"), Some(3));
        assert_eq!(entries_of_end(b"{\"end\":3"), None);
    }
}
