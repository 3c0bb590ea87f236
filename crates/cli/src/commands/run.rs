//! `skep run PLAN`: a plan to its end, with a coordinator of its own unless one is named.

use super::Session;
use crate::api::{Api, items};
use crate::args::{PlanInput, RunArgs};
use crate::exit::{Exit, Failure, Outcome};
use crate::local_nodes::LocalNodes;
use crate::memory_desk::MemoryServers;
use crate::output::{Output, bytes, duration, exact, note, note_output, table, text};
use crate::places::{Places, read_token};
use crate::plan_input::{PlanBody, read};
use crate::progress::{RunEnd, RunFollower};
use crate::server::{Server, ServerOptions};
use crate::signals::shutdown_on_signals;
use crate::terminal_text::in_a_line;
use serde_json::{Value, json};
use skep_model::attempt::ArtifactHash;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use tokio_util::sync::CancellationToken;

/// Where an embedded coordinator keeps its data, below the present directory.
const EMBEDDED_DIR: &str = ".skep";
/// How long a cancelled run may take to stop its tasks before we leave anyway.
const CANCEL_MAX: std::time::Duration = std::time::Duration::from_secs(20);
/// Lines of a failed task's log that are shown.
const LOG_LINES_SHOWN: usize = 12;

pub(crate) async fn run(session: &Session, args: RunArgs) -> Outcome {
    let plan = args
        .plan
        .ok_or_else(|| Failure::new(Exit::Invalid, "plan_missing", "no plan file was given"))?;
    let input = PlanInput {
        plan,
        params: args.params,
        var_file: args.var_file,
    };
    let body = read(&input)?;
    let stop = shutdown_on_signals();
    if session.global.url.is_some() {
        let api = session.api()?;
        let results = session.places.clone();
        return finish(
            session,
            &api,
            &results,
            submit_and_follow(session, &api, &body, &stop).await?,
        )
        .await;
    }
    let home = session
        .global
        .home
        .clone()
        .unwrap_or_else(|| PathBuf::from(EMBEDDED_DIR));
    let places = Places::resolve(Some(&home))?;
    keep_out_of_git(&places.state)?;
    embedded(session, &places, &body, args.nodes, &stop).await
}

/// The data of an embedded coordinator lies in the project: git must not offer to commit it.
fn keep_out_of_git(state: &Path) -> std::io::Result<()> {
    let ignore = state.join(".gitignore");
    if ignore.exists() {
        return Ok(());
    }
    std::fs::create_dir_all(state)?;
    std::fs::write(ignore, "*\n")
}

/// Starts a coordinator and nodes, runs the plan, and stops them whatever happened.
async fn embedded(
    session: &Session,
    places: &Places,
    body: &PlanBody,
    nodes: u32,
    stop: &CancellationToken,
) -> Outcome {
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let options = ServerOptions {
        places,
        listen,
        advertise: &[],
        strategy: skep_scheduler::STRATEGIES[0],
        retention: session.settings.retention(),
        announce: None,
        memory_servers: MemoryServers::default(),
        mirror: None,
    };
    let server = Server::start(options)
        .await
        .map_err(|failure| advised(failure, session, places))?;
    let mut nodes = LocalNodes::start(places, &server.note, nodes, true)?;
    let token = read_token(&server.note.token_file)?;
    let api = Api::new(crate::connection::connect(&server.note.url, Some(token))?);
    let outcome = tokio::select! {
        end = submit_and_follow(session, &api, body, stop) => match end {
            Ok(end) => finish(session, &api, places, end).await,
            Err(failure) => Err(failure),
        },
        failure = server.halted() => Err(failure),
        ended = nodes.all_ended() => Err(Failure::new(
            Exit::Failed,
            "node_failed",
            format!("all nodes of this run ended by themselves: {ended}"),
        )
        .hint(format!("their logs lie in `{}`", places.state.join("nodes").display()))),
    };
    nodes.stop().await;
    server.stop().await?;
    outcome
}

/// A directory that is in use: the plan can be handed to a coordinator that stays, but not to
/// that of another `skep run`, which ends with its own plan.
fn advised(failure: Failure, session: &Session, places: &Places) -> Failure {
    if failure.code != "data_dir_in_use" {
        return failure;
    }
    let apart = "give this run a directory of its own with --home DIR";
    match places.note().filter(|_| session.global.home.is_some()) {
        Some(note) => failure.hint(format!(
            "a coordinator runs here already: `skep run --url {} PLAN` or `skep submit --wait PLAN` \
             runs the plan there, on its nodes; or {apart}",
            note.url
        )),
        None => failure.hint(format!(
            "another `skep run` works here: wait for its end, or {apart}"
        )),
    }
}

/// `None` when a signal ended it first.
async fn submit_and_follow(
    session: &Session,
    api: &Api,
    body: &PlanBody,
    stop: &CancellationToken,
) -> Result<Option<RunEnd>, Failure> {
    let submitted = api.post("/api/v2/runs", &body.submission()).await?;
    let run = text(&submitted, "/run/id");
    note(&format!(
        "run {run} ({}, {} tasks)",
        text(&submitted, "/run/name"),
        body.draft.tasks.len()
    ));
    let mut follower = RunFollower::new(session, api, &run);
    tokio::select! {
        end = follower.until_end() => return end.map(Some),
        () = stop.cancelled() => {}
    }
    note("interrupted: cancelling the run");
    api.post(&format!("/api/v2/runs/{run}/cancel"), &Value::Null)
        .await?;
    match tokio::time::timeout(CANCEL_MAX, follower.until_end()).await {
        Ok(end) => end.map(|_| None),
        Err(_) => Ok(None),
    }
}

/// Fetches the artifacts and prints the results.
async fn finish(session: &Session, api: &Api, places: &Places, end: Option<RunEnd>) -> Outcome {
    let Some(end) = end else {
        return Ok(Exit::Interrupted);
    };
    let directory = places.results(&text(&end.detail, "/run/id"));
    let files = fetch(api, &end.detail, &directory).await?;
    if session.output == Output::Json {
        session.output.document(&end.detail, |_| String::new())?;
        return Ok(end.exit());
    }
    let nodes = node_names(api).await;
    session
        .output
        .document(&end.detail, |detail| results(detail, &nodes, &files))?;
    if end.exit() != Exit::Ok {
        explain_failures(api, &end.detail, &directory).await?;
    }
    Ok(end.exit())
}

/// Where each artifact was put: `<results>/<task>/<path>`.
async fn fetch(
    api: &Api,
    detail: &Value,
    directory: &Path,
) -> Result<Vec<(Value, PathBuf)>, Failure> {
    let mut files = Vec::new();
    let artifacts = detail.pointer("/artifacts").and_then(Value::as_array);
    for artifact in artifacts.into_iter().flatten() {
        let Ok(hash) = text(artifact, "/blake3").parse::<ArtifactHash>() else {
            continue;
        };
        let relative = PathBuf::from(exact(artifact, "/path"));
        // The runner hands in relative paths only; a coordinator that says otherwise is not trusted.
        let stays = relative
            .components()
            .all(|part| matches!(part, std::path::Component::Normal(_)));
        let task = exact(artifact, "/task").replace('/', "_");
        if !stays {
            continue;
        }
        let target = directory.join(task).join(relative);
        if let Some(parent) = target.parent() {
            std::fs::create_dir_all(parent)?;
        }
        api.client().download_artifact(hash, &target).await?;
        files.push((artifact.clone(), target));
    }
    Ok(files)
}

async fn node_names(api: &Api) -> BTreeMap<String, String> {
    let nodes = api
        .all("/api/v2/nodes", usize::MAX)
        .await
        .unwrap_or_else(|_| json!({}));
    items(&nodes)
        .iter()
        .map(|node| (text(node, "/id"), text(node, "/name")))
        .collect()
}

/// The result table, then where the files are; a `report.md` comes last.
fn results(detail: &Value, nodes: &BTreeMap<String, String>, files: &[(Value, PathBuf)]) -> String {
    let tasks = detail.pointer("/tasks").and_then(Value::as_array);
    let rows = tasks.into_iter().flatten().map(|task| {
        let node = text(task, "/node");
        let took = task.pointer("/duration_ms").and_then(Value::as_u64);
        vec![
            text(task, "/name"),
            text(task, "/state"),
            text(task, "/attempts"),
            nodes.get(&node).cloned().unwrap_or(node),
            text(task, "/exit_code"),
            took.map_or_else(|| "-".to_owned(), duration),
        ]
    });
    let mut out = table(
        &["task", "state", "attempts", "node", "exit", "duration"],
        rows,
    );
    if !files.is_empty() {
        out.push_str("\n\n");
        let rows = files.iter().map(|(artifact, path)| {
            let size = artifact
                .pointer("/bytes")
                .and_then(Value::as_u64)
                .unwrap_or(0);
            vec![text(artifact, "/task"), bytes(size), shown_path(path)]
        });
        out.push_str(&table(&["artifact of", "size", "file"], rows));
    }
    let is_report = |path: &&PathBuf| path.file_name().is_some_and(|name| name == "report.md");
    if let Some(report) = files.iter().map(|(_, path)| path).find(is_report) {
        let _ = write!(out, "\n\nreport: {}", shown_path(report));
    }
    out
}

/// A path relative to the present directory where that is shorter.
fn shown_path(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    let shorter = path.strip_prefix(&here).unwrap_or(path);
    in_a_line(&shorter.to_string_lossy()).into_owned()
}

/// For each red task: which, why, and where its log is, with the end of it. The log is kept as a
/// file: a coordinator of this run alone is gone in a moment.
async fn explain_failures(api: &Api, detail: &Value, directory: &Path) -> Result<(), Failure> {
    let tasks = detail.pointer("/tasks").and_then(Value::as_array);
    for task in tasks.into_iter().flatten() {
        if !matches!(
            text(task, "/state").as_str(),
            "failed" | "expired" | "unknown"
        ) {
            continue;
        }
        let (id, name) = (text(task, "/id"), text(task, "/name"));
        let (state, reason) = (text(task, "/state"), text(task, "/reason"));
        note(&format!("\n{name} {state}: {reason}"));
        // A task that never started has no log.
        let Ok(log) = api.bytes(&format!("/api/v2/tasks/{id}/logs")).await else {
            continue;
        };
        let file = directory
            .join(exact(task, "/name").replace('/', "_"))
            .join("log");
        if let Some(parent) = file.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(&file, &log)?;
        note(&format!("  log: {}", shown_path(&file)));
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log.lines().collect();
        for line in &lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..] {
            note_output("  | ", line);
        }
    }
    Ok(())
}
