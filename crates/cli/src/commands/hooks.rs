//! `skep hooks NAME`: what Claude-Flow's settings let an agent's program call before and after what it
//! does. Records go into shared memory of the coordinator that runs.
//!
//! A hook never stands in the way: it ends with 0 whatever happens, and says on stderr what was not
//! done. It starts no coordinator and waits for none.

mod dangers;
mod entries;
mod flags;
mod record;
mod table;
#[cfg(test)]
mod tests;
mod transcript;
mod usage;

use super::Session;
use crate::api::{Api, items, path};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{line, note};
use crate::redaction::Redaction;
use crate::system_ports::SystemClock;
use flags::{Flags, Redacted};
use http::Method;
use record::Event;
use serde_json::{Value, json};
use skep_coordinator::ports::Clock;
use skep_model::time::UnixMillis;
use skep_operations::Timestamp;
use std::time::Duration;
use table::Hook;

/// How long a hook waits for the coordinator: the agent waits for the hook.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// Hooks of the original that change what the agent is about to do.
const CHANGING: [&str; 3] = ["modify-bash", "modify-file", "modify-git-commit"];
/// What asks for something that does not exist here, and what is said about it.
const NOT_DONE: [(&str, &str); 6] = [
    ("auto-spawn-agents", "no agents are started"),
    ("auto-assign-agents", "no agents are assigned"),
    ("train-neural", "nothing is trained"),
    ("format", "no formatter is run"),
    ("generate-insights", "there are no insights"),
    ("prepare-resources", "nothing is prepared"),
];

pub(crate) async fn run(session: &Session, name: &str, arguments: &[String]) -> Outcome {
    let Some(hook) = table::find(name) else {
        if CHANGING.contains(&name) {
            note(&format!(
                "`{name}` changes nothing here: what the agent does goes on as it is"
            ));
        } else {
            note(&format!("no hook is called `{name}`: nothing was stored"));
        }
        return Ok(Exit::Ok);
    };
    let flags = Flags::read(arguments, hook.values, hook.switches);
    if !flags.unknown.is_empty() {
        note(&format!("passed over: {}", flags.unknown.join(" ")));
    }
    for (switch, words) in NOT_DONE.iter().filter(|(switch, _)| flags.is_on(switch)) {
        note(&format!("--{switch}: {words}"));
    }
    warn_of_dangers(&flags);
    let redaction = Redaction::new(Redaction::secrets_of_the_environment());
    let flags = flags.redacted(|text| redaction.text(text));
    let stored = store(session, hook, &flags, &redaction);
    let done = tokio::time::timeout(ANSWER_MAX, stored).await;
    match done {
        Ok(Ok(())) => {}
        Ok(Err(failure)) => note(&format!("nothing was stored: {}", failure.message)),
        Err(_) => {
            let seconds = ANSWER_MAX.as_secs();
            note(&format!(
                "no answer within {seconds} s: it is not known whether it was stored"
            ));
        }
    }
    Ok(Exit::Ok)
}

/// Says it, and lets the command go on: whether it may is not for a list of words to decide.
fn warn_of_dangers(flags: &Flags) {
    if !flags.is_on("validate-safety") {
        return;
    }
    for danger in dangers::dangers(flags.text("command").unwrap_or_default()) {
        note(&format!("warning: the command has `{danger}`"));
    }
}

async fn store(
    session: &Session,
    hook: &'static Hook,
    flags: &Redacted,
    redaction: &Redaction,
) -> Result<(), Failure> {
    let api = session.api()?;
    let now = SystemClock.wall();
    let known = look_up(&api, hook, flags, now).await?;
    let directory = std::env::current_dir()?;
    let event = Event {
        hook: hook.name,
        flags,
        at: &Timestamp(now).to_string(),
        process: std::process::id(),
        directory: &redaction.text(&directory.to_string_lossy()),
        known,
    };
    let entries = record::entries(hook, &event);
    let writes: Vec<_> = entries.iter().map(|entry| entry.write(hook.name)).collect();
    if !writes.is_empty() {
        let body = json!({ "writes": writes, "all_or_nothing": true });
        let request = api.client().request(Method::POST, "/api/v2/memory-batch");
        // Tried once: the agent waits.
        request.json(&body)?.once().send::<Value>().await?;
    }
    usage::report(&api, hook.name).await
}

/// Asks once.
async fn ask(api: &Api, path: &str) -> Result<Value, Failure> {
    Ok(api
        .client()
        .request(Method::GET, path)
        .once()
        .send()
        .await?)
}

/// What a hook has to know before it writes.
async fn look_up(
    api: &Api,
    hook: &Hook,
    flags: &Redacted,
    now: UnixMillis,
) -> Result<Value, Failure> {
    match hook.name {
        "post-task" if flags.is_on("analyze-performance") => {
            let id = flags.text("task-id").unwrap_or_default();
            let before = entry(api, "hooks-pre-task", id).await?;
            let began = before["at"]
                .as_str()
                .and_then(|at| at.parse::<Timestamp>().ok());
            Ok(json!({ "durationMs": began.map(|began| now.since(began.0)) }))
        }
        "pre-edit" if flags.is_on("load-context") => {
            let file = flags.text("file").unwrap_or_default();
            let last = entry(api, "file-history", file).await?;
            if !last.is_null() {
                line(&last.to_string())?;
            }
            Ok(Value::Null)
        }
        "session-restore" => {
            let id = flags.text("session-id").unwrap_or_default();
            let session = entry(api, "sessions", id).await?;
            if session.is_null() {
                note(&format!("no session is called `{id}`: nothing is restored"));
            } else {
                line(&format!("{session:#}"))?;
            }
            Ok(json!({ "found": !session.is_null() }))
        }
        "session-end" => {
            let found = ask(api, "/api/v2/memory-namespaces?limit=1000").await?;
            let mut entries = json!({});
            for namespace in items(&found) {
                let name = namespace["namespace"].as_str().unwrap_or_default();
                entries[name] = namespace["entries"].clone();
            }
            Ok(json!({ "entries": entries }))
        }
        "notify" if flags.is_on("swarm-status") => {
            let status = ask(api, "/api/v2/system/status").await?;
            Ok(json!({ "tasks": status["tasks"], "nodes": status["nodes"] }))
        }
        _ => Ok(Value::Null),
    }
}

/// The value of an entry; none when there is no such entry.
async fn entry(api: &Api, namespace: &str, key: &str) -> Result<Value, Failure> {
    if key.is_empty() {
        return Ok(Value::Null);
    }
    match ask(api, &path(&["memory", namespace, key])).await {
        Ok(mut entry) => Ok(entry["value"].take()),
        Err(failure) if failure.exit == Exit::NotFound => Ok(Value::Null),
        Err(failure) => Err(failure),
    }
}
