//! `skep run ls|show|cancel|pause|resume`: look at runs and steer them.

use super::Session;
use crate::api::{items, path};
use crate::args::{ListArgs, RunCommand};
use crate::exit::{Exit, Outcome};
use crate::output::{bytes, duration, table, text};
use serde_json::{Value, json};
use skep_client::with_query;

pub(crate) async fn run(session: &Session, command: RunCommand) -> Outcome {
    match command {
        RunCommand::Ls(args) => list(session, &args).await,
        RunCommand::Show { run } => {
            let shown = session.api()?.get(&path(&["runs", &run])).await?;
            session.output.document(&shown, run_text)?;
            Ok(Exit::Ok)
        }
        RunCommand::Cancel { run } => steer(session, &run, "cancel").await,
        RunCommand::Pause { run } => steer(session, &run, "pause").await,
        RunCommand::Resume { run } => steer(session, &run, "resume").await,
    }
}

async fn list(session: &Session, args: &ListArgs) -> Outcome {
    let state = args.state.as_deref().map(|state| ("state", state));
    let runs = session
        .api()?
        .all(&with_query("/api/v2/runs", state), args.limit)
        .await?;
    session.output.document(&runs, run_table)?;
    Ok(Exit::Ok)
}

async fn steer(session: &Session, run: &str, verb: &str) -> Outcome {
    let answer = session
        .api()?
        .post(&path(&["runs", run, verb]), &Value::Null)
        .await?;
    session.output.document(&answer, |run| {
        format!("{}: {}", text(run, "/id"), text(run, "/state"))
    })?;
    Ok(Exit::Ok)
}

/// Runs as a table.
pub(crate) fn run_table(runs: &Value) -> String {
    let rows = items(runs).iter().map(|run| {
        vec![
            text(run, "/id"),
            text(run, "/name"),
            text(run, "/state"),
            counts_text(run.pointer("/counts").unwrap_or(&Value::Null)),
            text(run, "/started_at"),
            text(run, "/finished_at"),
        ]
    });
    table(
        &["run", "name", "state", "tasks", "started", "finished"],
        rows,
    )
}

/// Counts that are not zero, e.g. `3 succeeded, 1 failed`.
pub(crate) fn counts_text(counts: &Value) -> String {
    // The order of a task's life; the server's object has none.
    const STATES: [&str; 11] = [
        "pending",
        "ready",
        "leased",
        "running",
        "verifying",
        "paused",
        "succeeded",
        "failed",
        "cancelled",
        "expired",
        "unknown",
    ];
    let count = |state: &&str| counts.get(*state).and_then(Value::as_u64).unwrap_or(0);
    let parts: Vec<_> = STATES
        .iter()
        .filter(|state| count(state) > 0)
        .map(|state| format!("{} {state}", count(state)))
        .collect();
    if parts.is_empty() {
        "none".to_owned()
    } else {
        parts.join(", ")
    }
}

fn run_text(detail: &Value) -> String {
    let run = detail.pointer("/run").unwrap_or(&Value::Null);
    let mut out = format!(
        "{} {}: {}\nstarted {}, finished {}\ntasks {}\n\n",
        text(run, "/id"),
        text(run, "/name"),
        text(run, "/state"),
        text(run, "/started_at"),
        text(run, "/finished_at"),
        counts_text(run.pointer("/counts").unwrap_or(&Value::Null)),
    );
    out.push_str(&task_rows(&list_of(detail, "/tasks")));
    let artifacts = list_of(detail, "/artifacts");
    if !items(&artifacts).is_empty() {
        out.push_str("\n\n");
        let rows = items(&artifacts).iter().map(|artifact| {
            let size = artifact
                .pointer("/bytes")
                .and_then(Value::as_u64)
                .unwrap_or(0);
            vec![
                text(artifact, "/task"),
                text(artifact, "/path"),
                bytes(size),
                text(artifact, "/blake3"),
            ]
        });
        out.push_str(&table(&["artifact of", "path", "size", "blake3"], rows));
    }
    out
}

fn list_of(detail: &Value, pointer: &str) -> Value {
    json!({ "items": detail.pointer(pointer).cloned().unwrap_or_else(|| json!([])) })
}

/// Tasks of a listing or of a run as a table.
pub(crate) fn task_rows(tasks: &Value) -> String {
    let rows = items(tasks).iter().map(|task| {
        let took = task.pointer("/duration_ms").and_then(Value::as_u64);
        vec![
            text(task, "/id"),
            text(task, "/name"),
            text(task, "/state"),
            text(task, "/attempts"),
            text(task, "/exit_code"),
            took.map_or_else(|| "-".to_owned(), duration),
            text(task, "/reason"),
        ]
    });
    table(
        &[
            "task", "name", "state", "attempts", "exit", "took", "reason",
        ],
        rows,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_follow_the_life_of_a_task_and_leave_zeros_out() {
        let counts = json!({"failed": 1, "succeeded": 3, "running": 0, "ready": 2});
        assert_eq!(counts_text(&counts), "2 ready, 3 succeeded, 1 failed");
        assert_eq!(counts_text(&json!({})), "none");
    }

    #[test]
    fn a_run_is_shown_with_its_tasks_and_artifacts() {
        let detail = json!({
            "run": {"id": "run_1", "name": "demo", "state": "failed", "counts": {"failed": 1}},
            "tasks": [{"id": "task_1", "name": "a", "state": "failed", "attempts": 2,
                       "exit_code": 3, "duration_ms": 1500, "reason": "it broke"}],
            "artifacts": [{"task": "a", "path": "x.txt", "bytes": 5, "blake3": "ff"}],
        });
        let shown = run_text(&detail);
        for wanted in [
            "run_1 demo: failed",
            "1.5 s",
            "it broke",
            "x.txt",
            "5 B",
            "ff",
        ] {
            assert!(shown.contains(wanted), "{wanted} is missing in\n{shown}");
        }
    }
}
