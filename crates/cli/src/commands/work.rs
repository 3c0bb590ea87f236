//! `skep work`: a shell as an attached agent.

mod attempt;
mod serve;

use super::Session;
use crate::api::{Api, path};
use crate::args::{HeldArgs, WorkCommand};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::text;
use http::Method;
use serde_json::{Map, Value, json};
use skep_model::attempt::ArtifactHash;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

/// How much longer than its wait a request may take.
const ANSWER_MARGIN: Duration = Duration::from_secs(30);

pub(crate) async fn run(session: &Session, command: WorkCommand) -> Outcome {
    let api = session.api()?;
    let (answer, show): (Value, fn(&Value) -> String) = match command {
        WorkCommand::Register {
            name,
            capabilities,
            heartbeats,
        } => (
            register(&api, name, &capabilities, heartbeats).await?,
            |answer| text(answer, "/id"),
        ),
        WorkCommand::Serve(args) => return serve::serve(session, args).await,
        WorkCommand::Request { session, wait } => {
            (request(&api, &session.session, wait).await?, requested_text)
        }
        WorkCommand::Claim { session, task } => {
            let body = json!({ "task": task });
            let claimed = post(&api, &session.session, "claim", &body).await?;
            (claimed, assignment_text)
        }
        WorkCommand::Heartbeat { session, task } => {
            let body = json!({ "task": task });
            let answer = post(&api, &session.session, "heartbeat", &body).await?;
            (answer, |answer| text(answer, "/state"))
        }
        WorkCommand::Progress { held, note } => {
            let body = json!({ "note": note });
            (say(&api, &held, "progress", body).await?, |answer| {
                text(answer, "/task")
            })
        }
        WorkCommand::Complete {
            held,
            result,
            commit,
            artifacts,
        } => {
            let artifacts = hand_in(&api, artifacts).await?;
            let body = json!({ "result": result, "commit": commit, "artifacts": artifacts });
            (say(&api, &held, "complete", body).await?, ended_text)
        }
        WorkCommand::Fail { held, reason } => {
            let body = json!({ "reason": reason });
            (say(&api, &held, "fail", body).await?, ended_text)
        }
        WorkCommand::HandBack { held } => {
            (say(&api, &held, "hand-back", json!({})).await?, ended_text)
        }
        WorkCommand::Leave { session } => {
            let answer = api.delete(&path(&["sessions", &session.session])).await?;
            (answer, |answer| text(answer, "/deregistered"))
        }
    };
    session.output.document(&answer, show)?;
    Ok(Exit::Ok)
}

async fn register(
    api: &Api,
    name: Option<String>,
    capabilities: &[String],
    heartbeats: bool,
) -> Result<Value, Failure> {
    let body = json!({
        "name": name,
        "capabilities": rated(capabilities),
        "heartbeat": if heartbeats { "background" } else { "calls" },
        "client": concat!("skep work ", env!("CARGO_PKG_VERSION")),
    });
    api.post("/api/v2/sessions", &body).await
}

/// NAME or NAME=PROFICIENCY, each.
fn rated(capabilities: &[String]) -> Map<String, Value> {
    let rated = capabilities.iter().map(|capability| {
        let (name, proficiency) = capability.split_once('=').unwrap_or((capability, "basic"));
        (name.to_owned(), Value::from(proficiency))
    });
    rated.collect()
}

async fn request(api: &Api, session: &str, wait_ms: u64) -> Result<Value, Failure> {
    let path = path(&["sessions", session, "request-work"]);
    let body = json!({ "wait_ms": wait_ms });
    let request = api.client().request(Method::POST, &path).json(&body)?;
    let patience = Duration::from_millis(wait_ms).saturating_add(ANSWER_MARGIN);
    Ok(request.timeout(patience).send().await?)
}

async fn post(api: &Api, session: &str, verb: &str, body: &Value) -> Result<Value, Failure> {
    api.post(&path(&["sessions", session, verb]), body).await
}

/// Says something about the task that the session has.
async fn say(api: &Api, held: &HeldArgs, verb: &str, mut body: Value) -> Result<Value, Failure> {
    let session = held.session.session.as_str();
    let fence = match &held.fence {
        Some(fence) => fence.clone(),
        None => fence_of(api, session, &held.task).await?,
    };
    body["task"] = held.task.as_str().into();
    body["fence"] = fence.into();
    post(api, session, verb, &body).await
}

async fn fence_of(api: &Api, session: &str, task: &str) -> Result<String, Failure> {
    let shown = api.get(&path(&["sessions", session])).await?;
    let fence = shown["fence"].as_str().unwrap_or_default();
    if shown["current_task"] == task {
        return Ok(fence.to_owned());
    }
    let message = format!("session `{session}` does not hold `{task}`");
    Err(Failure::new(Exit::Conflict, "fence_stale", message)
        .hint("`skep task show` says who holds it, or how it ended"))
}

/// Uploads the files; answers how they are named in the completion.
async fn hand_in(api: &Api, files: Vec<PathBuf>) -> Result<Vec<Value>, Failure> {
    let mut records = Vec::new();
    for file in files {
        let name = relative(&file)?;
        let (hash, bytes) = hash_of(&file).map_err(|error| {
            let message = format!("cannot read `{}`: {error}", file.display());
            Failure::new(Exit::Invalid, "file_unreadable", message)
        })?;
        api.client().upload_artifact(hash, &file).await?;
        records.push(json!({
            "name": name, "path": name, "bytes": bytes, "blake3": hash, "executable": false,
        }));
    }
    Ok(records)
}

/// The path as the completion names it: below the present directory.
fn relative(file: &Path) -> Result<String, Failure> {
    let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    let parts = file.components().filter(|part| *part != Component::CurDir);
    let parts: Option<Vec<&str>> = parts.map(|part| part.as_os_str().to_str()).collect();
    match parts {
        Some(parts) if file.components().all(is_plain) && !parts.is_empty() => Ok(parts.join("/")),
        _ => {
            let message = format!("`{}` does not lie below this directory", file.display());
            Err(Failure::new(Exit::Invalid, "file_unreadable", message)
                .hint("hand in files by paths below the present directory"))
        }
    }
}

fn hash_of(file: &Path) -> io::Result<(ArtifactHash, u64)> {
    let mut hasher = blake3::Hasher::new();
    let bytes = io::copy(&mut std::fs::File::open(file)?, &mut hasher)?;
    Ok((ArtifactHash(*hasher.finalize().as_bytes()), bytes))
}

fn requested_text(answer: &Value) -> String {
    match &answer["assignment"] {
        Value::Null => "no work".to_owned(),
        assignment => assignment_text(assignment),
    }
}

fn assignment_text(assignment: &Value) -> String {
    let line = |field: &str| text(assignment, &format!("/{field}"));
    let mut out = format!(
        "{}  {}  fence {}\n\n{}",
        line("task"),
        line("name"),
        line("fence"),
        line("instructions")
    );
    if let Some(expected) = assignment["expected"].as_str() {
        out.push_str("\n\nexpected: ");
        out.push_str(expected);
    }
    if assignment["begun"] == false {
        out.push_str("\n\nbegin it within 5 minutes: `skep work claim TASK`");
    }
    out
}

fn ended_text(answer: &Value) -> String {
    format!("{}: {}", text(answer, "/task"), text(answer, "/state"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_by_its_path_below_this_directory() {
        assert_eq!(relative(Path::new("./out/a.txt")).unwrap(), "out/a.txt");
        for outside in ["/etc/passwd", "../a", "."] {
            assert!(relative(Path::new(outside)).is_err(), "{outside}");
        }
    }

    #[test]
    fn an_assignment_that_was_not_begun_says_how_to_begin_it() {
        let shown = requested_text(&json!({ "assignment": {
            "task": "task_1", "name": "t", "fence": "1.2", "instructions": "look", "begun": false,
        } }));
        assert!(shown.starts_with("task_1  t  fence 1.2\n\nlook"), "{shown}");
        assert!(shown.contains("skep work claim"), "{shown}");
        assert_eq!(requested_text(&json!({ "assignment": null })), "no work");
    }
}
