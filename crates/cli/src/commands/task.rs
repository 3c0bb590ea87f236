//! `skep task`: look at tasks, read their logs, steer them.

use super::Session;
use super::runs::task_rows;
use crate::api::{Api, path};
use crate::args::{ListArgs, TaskCommand};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{Output, Printer, bytes, duration, exact, line, shown, table, text};
use futures_util::StreamExt;
use serde_json::{Value, json};
use skep_client::{ClientError, with_query};
use std::fmt::Write as _;

pub(crate) async fn run(session: &Session, command: TaskCommand) -> Outcome {
    match command {
        TaskCommand::Ls {
            list: page,
            run,
            search,
        } => list(session, &page, run, search).await,
        TaskCommand::Show { task } => {
            let shown = session.api()?.get(&path(&["tasks", &task])).await?;
            session.output.document(&shown, task_text)?;
            Ok(Exit::Ok)
        }
        TaskCommand::Logs {
            task,
            attempt,
            follow,
            grep,
        } => {
            let log = Log { task, attempt };
            let api = session.api()?;
            match grep {
                Some(pattern) => search(session, &api, &log, &pattern).await,
                None if follow => follow_log(session.output, &api, &log).await,
                None => print_log(session.output, &api, &log).await,
            }
        }
        TaskCommand::Split {
            file,
            task,
            idempotency_key,
        } => super::task_split::run(session, &file, &task, idempotency_key).await,
        TaskCommand::Cancel { task } => {
            let answer = session.api()?.delete(&path(&["tasks", &task])).await?;
            session.output.document(&answer, state_line)?;
            Ok(Exit::Ok)
        }
        TaskCommand::Retry { task } => {
            let answer = steer(session, &task, "retry").await?;
            session.output.document(&answer, |answer| {
                format!(
                    "{}: {}",
                    text(answer, "/retried_as"),
                    text(answer, "/state")
                )
            })?;
            Ok(Exit::Ok)
        }
        TaskCommand::Pause { task } => {
            session
                .output
                .document(&steer(session, &task, "pause").await?, state_line)?;
            Ok(Exit::Ok)
        }
        TaskCommand::Resume { task } => {
            session
                .output
                .document(&steer(session, &task, "resume").await?, state_line)?;
            Ok(Exit::Ok)
        }
    }
}

async fn list(
    session: &Session,
    page: &ListArgs,
    run: Option<String>,
    search: Option<String>,
) -> Outcome {
    let filters = [
        ("run", run),
        ("state", page.state.clone()),
        ("search", search),
    ];
    let given = filters
        .iter()
        .filter_map(|(key, value)| Some((*key, value.as_deref()?)));
    let tasks = session
        .api()?
        .all(&with_query("/api/v2/tasks", given), page.limit)
        .await?;
    session.output.document(&tasks, task_rows)?;
    Ok(Exit::Ok)
}

async fn steer(session: &Session, task: &str, verb: &str) -> Result<Value, Failure> {
    session
        .api()?
        .post(&path(&["tasks", task, verb]), &Value::Null)
        .await
}

fn state_line(task: &Value) -> String {
    format!("{}: {}", text(task, "/id"), text(task, "/state"))
}

fn task_text(task: &Value) -> String {
    const FIELDS: [&str; 13] = [
        "id",
        "name",
        "state",
        "reason",
        "run",
        "attempts",
        "priority",
        "node",
        "agent",
        "exit_code",
        "submitted_at",
        "started_at",
        "finished_at",
    ];
    let mut out = String::new();
    for field in FIELDS {
        let _ = writeln!(out, "{field:12} {}", text(task, &format!("/{field}")));
    }
    let took = task.pointer("/duration_ms").and_then(Value::as_u64);
    let _ = writeln!(
        out,
        "{:12} {}",
        "took",
        took.map_or_else(|| "-".to_owned(), duration)
    );
    let _ = writeln!(out, "{:12} {}", "isolation", text(task, "/isolation"));
    for field in ["instructions", "expected"] {
        if let Some(words) = task.pointer(&format!("/spec/work/described/{field}")) {
            let _ = writeln!(out, "{field:12} {}", shown(words));
        }
    }
    for (title, pointer) in [("result", "/account/result"), ("commit", "/account/commit")] {
        if let Some(said) = task.pointer(pointer).filter(|said| !said.is_null()) {
            let _ = writeln!(out, "{title:12} {}", shown(said));
        }
    }
    let sections = [
        ("attempts that ended", attempts_table(task)),
        ("gates", gates_text(task)),
        ("artifacts", artifacts_table(task)),
    ];
    for (title, body) in sections {
        if !body.is_empty() {
            let _ = write!(out, "\n{title}\n{body}\n");
        }
    }
    out
}

fn rows_of<'a>(task: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    task.pointer(pointer)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn attempts_table(task: &Value) -> String {
    let fields = ["/attempt", "/node", "/granted_at", "/ended_at", "/reason"];
    let rows: Vec<_> = rows_of(task, "/ended_attempts")
        .map(|attempt| fields.map(|field| text(attempt, field)).to_vec())
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    table(&["attempt", "node", "granted", "ended", "how"], rows)
}

fn gates_text(task: &Value) -> String {
    let gates = rows_of(task, "/gates").map(|gate| {
        let passed = gate.pointer("/passed").and_then(Value::as_bool) == Some(true);
        let word = if passed { "passed" } else { "FAILED" };
        let evidence = gate
            .pointer("/output")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let head = format!("  {word}  {}", text(gate, "/name"));
        let evidence = evidence.lines().map(|line| format!("    | {line}"));
        std::iter::once(head)
            .chain(evidence)
            .collect::<Vec<_>>()
            .join("\n")
    });
    gates.collect::<Vec<_>>().join("\n")
}

fn artifacts_table(task: &Value) -> String {
    let rows: Vec<_> = rows_of(task, "/artifacts")
        .map(|artifact| {
            let size = artifact
                .pointer("/bytes")
                .and_then(Value::as_u64)
                .unwrap_or(0);
            vec![
                text(artifact, "/path"),
                bytes(size),
                text(artifact, "/blake3"),
            ]
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    table(&["path", "size", "blake3"], rows)
}

/// The log of an attempt; of the newest when none is named.
struct Log {
    task: String,
    attempt: Option<u32>,
}

impl Log {
    fn path(&self, parameters: &[(&str, &str)]) -> String {
        let attempt = self.attempt.map(|attempt| attempt.to_string());
        let attempt = attempt.as_deref().map(|attempt| ("attempt", attempt));
        let all = parameters.iter().copied().chain(attempt);
        with_query(&path(&["tasks", &self.task, "logs"]), all)
    }

    /// The attempt that is meant now, so that a retry does not change it under a follower.
    async fn pinned(&self, api: &Api) -> Result<Self, Failure> {
        if self.attempt.is_some() {
            return Ok(Self {
                task: self.task.clone(),
                attempt: self.attempt,
            });
        }
        let task = api.get(&path(&["tasks", &self.task])).await?;
        let attempts = task
            .pointer("/attempts")
            .and_then(Value::as_u64)
            .unwrap_or(0);
        let attempt = u32::try_from(attempts)
            .ok()
            .filter(|attempts| *attempts > 0);
        Ok(Self {
            task: self.task.clone(),
            attempt,
        })
    }
}

async fn search(session: &Session, api: &Api, log: &Log, pattern: &str) -> Outcome {
    let found = api.get(&log.path(&[("grep", pattern)])).await?;
    if session.output == Output::Json {
        session.output.document(&found, |_| String::new())?;
        return Ok(Exit::Ok);
    }
    let mut printer = Printer::new();
    for line in rows_of(&found, "/lines") {
        let shown = format!("{}: {}\n", text(line, "/number"), exact(line, "/text"));
        printer.print(shown.as_bytes())?;
    }
    printer.end()?;
    Ok(Exit::Ok)
}

async fn print_log(output: Output, api: &Api, log: &Log) -> Outcome {
    let log = log.pinned(api).await?;
    let content = api.bytes(&log.path(&[])).await?;
    match output {
        Output::Text => {
            let mut printer = Printer::new();
            printer.print(&content)?;
            printer.end()?;
        }
        Output::Json => {
            let shown = json!({
                "task": log.task,
                "attempt": log.attempt,
                "text": String::from_utf8_lossy(&content),
            });
            output.document(&shown, |_| String::new())?;
        }
    }
    Ok(Exit::Ok)
}

/// Prints the log as it grows, until its attempt has ended. A connection that broke, or on which
/// nothing came for long, is opened anew where it ended.
async fn follow_log(output: Output, api: &Api, log: &Log) -> Outcome {
    let log = log.pinned(api).await?;
    let mut printer = LogPrinter {
        output,
        log: &log,
        printer: Printer::new(),
        line: Vec::new(),
    };
    let mut offset = 0_u64;
    let mut failures = 0;
    loop {
        let from = offset.to_string();
        let path = log.path(&[("follow", "true"), ("offset", &from)]);
        let request = api.client().request(skep_client::Method::GET, path);
        let mut pieces = std::pin::pin!(request.send_for_stream().await?);
        let broken = loop {
            match pieces.next().await {
                None => break None,
                Some(Ok(piece)) => {
                    failures = 0;
                    offset += piece.len() as u64;
                    printer.print(&piece)?;
                }
                Some(Err(error)) => break Some(error),
            }
        };
        match broken {
            None => {
                printer.end()?;
                return Ok(Exit::Ok);
            }
            // Silence is no failure: the command may have nothing to say.
            Some(ClientError::TimedOut { .. }) => {}
            Some(error) if error.is_retryable() && failures < skep_client::TRIES_MAX => {
                failures += 1;
            }
            Some(error) => return Err(error.into()),
        }
    }
}

/// Prints pieces as they come, or as a document for each line.
struct LogPrinter<'a> {
    output: Output,
    log: &'a Log,
    printer: Printer,
    /// The begin of a line whose end has not come.
    line: Vec<u8>,
}

impl LogPrinter<'_> {
    fn print(&mut self, piece: &[u8]) -> Result<(), Failure> {
        if self.output == Output::Text {
            return self.printer.print(piece);
        }
        self.line.extend_from_slice(piece);
        while let Some(end) = self.line.iter().position(|byte| *byte == b'\n') {
            let rest = self.line.split_off(end + 1);
            self.document(end)?;
            self.line = rest;
        }
        Ok(())
    }

    /// A last line that has no end is a line, too.
    fn end(&mut self) -> Result<(), Failure> {
        if self.line.is_empty() {
            self.printer.end()
        } else {
            self.document(self.line.len())
        }
    }

    fn document(&self, end: usize) -> Result<(), Failure> {
        let shown = json!({
            "task": self.log.task,
            "attempt": self.log.attempt,
            "line": String::from_utf8_lossy(&self.line[..end]),
        });
        line(&shown.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_log_carries_what_was_asked_for() {
        let newest = Log {
            task: "task_1".to_owned(),
            attempt: None,
        };
        assert_eq!(newest.path(&[]), "/api/v2/tasks/task_1/logs");
        let third = Log {
            attempt: Some(3),
            ..newest
        };
        assert_eq!(
            third.path(&[("grep", "a b")]),
            "/api/v2/tasks/task_1/logs?grep=a%20b&attempt=3"
        );
    }

    #[test]
    fn a_task_is_shown_with_its_evidence() {
        let task = json!({
            "id": "task_1", "name": "build", "state": "failed", "duration_ms": 61000,
            "ended_attempts": [{"attempt": 1, "reason": "the command ended with code 3"}],
            "gates": [{"name": "lint", "passed": false, "output": "line 1\nline 2"}],
            "artifacts": [{"path": "a.txt", "bytes": 1, "blake3": "ff"}],
        });
        let shown = task_text(&task);
        for wanted in ["1 min 01 s", "code 3", "FAILED  lint", "| line 2", "a.txt"] {
            assert!(shown.contains(wanted), "{wanted} is missing in\n{shown}");
        }
    }
}
