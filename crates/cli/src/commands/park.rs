//! `skep node park`: what a node runs stands still before its machine sleeps.

use super::Session;
use crate::api::path;
use crate::args::NodeParkArgs;
use crate::exit::{Exit, Failure, Outcome, chain};
use crate::output::text;
use serde_json::{Value, json};
use skep_model::limits::{PARK_MS_MAX, PARK_MS_MIN};
use skep_node::{ControlError, Standing, park_local, unpark_local};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a node has to say that its attempts stand still.
const STANDS_STILL_WITHIN: Duration = Duration::from_secs(10);
/// Pause between two looks whether it has said so.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Returns when the attempts stand still, so that the machine may sleep then.
pub(crate) async fn park(session: &Session, args: &NodeParkArgs) -> Outcome {
    match &args.node {
        Some(node) => park_named(session, node, args.for_ms).await,
        None => park_here(session, args.for_ms).await,
    }
}

async fn park_named(session: &Session, name: &str, for_ms: u64) -> Outcome {
    let api = session.api()?;
    let order = json!({ "for_ms": for_ms });
    let mut node = api.post(&path(&["nodes", name, "park"]), &order).await?;
    let deadline = Instant::now() + STANDS_STILL_WITHIN;
    while !stands_still(&node) {
        if Instant::now() >= deadline {
            return Err(not_still(name));
        }
        tokio::time::sleep(LOOK_AGAIN_AFTER).await;
        node = api.get(&path(&["nodes", name])).await?;
    }
    session.output.document(&node, |node| {
        format!(
            "{}: parked until {}; its attempts stand still",
            text(node, "/name"),
            text(node, "/parked/until")
        )
    })?;
    Ok(Exit::Ok)
}

fn not_still(name: &str) -> Failure {
    let message = format!(
        "node `{name}` is parked, but did not say within {} s that its attempts stand still",
        STANDS_STILL_WITHIN.as_secs()
    );
    Failure::new(Exit::TimedOut, "node_not_still", message)
        .hint("if it is connected (`skep node ls`), look into its log; its work waits all the same")
}

fn stands_still(node: &Value) -> bool {
    node.pointer("/parked/stands_still")
        .and_then(Value::as_bool)
        == Some(true)
}

/// Parks the nodes of this machine by themselves, whether they are connected or not.
async fn park_here(session: &Session, for_ms: u64) -> Outcome {
    if !(PARK_MS_MIN..=PARK_MS_MAX).contains(&for_ms) {
        let message = format!(
            "a node is parked for {} s to {} h",
            PARK_MS_MIN / 1_000,
            PARK_MS_MAX / 3_600_000
        );
        return Err(Failure::new(Exit::Invalid, "park_time_invalid", message));
    }
    let nodes = of_all(session, move |state_dir| park_local(state_dir, for_ms)).await?;
    if let Some((name, _)) = nodes.iter().find(|(_, standing)| !standing.stands_still) {
        return Err(not_still(name));
    }
    tell(session, &nodes, |standing| {
        if standing.connected {
            "parked; its attempts stand still"
        } else {
            "parked; its attempts stand still; its coordinator is told when it can be reached"
        }
    })
}

/// Lets the attempts of the nodes of this machine go on.
pub(crate) async fn unpark_here(session: &Session) -> Outcome {
    let nodes = of_all(session, unpark_local).await?;
    tell(session, &nodes, |standing| {
        if standing.stands_still {
            "goes on when its coordinator has said what is still its own"
        } else {
            "goes on"
        }
    })
}

fn tell(
    session: &Session,
    nodes: &[(String, Standing)],
    words: impl Fn(Standing) -> &'static str,
) -> Outcome {
    let items = nodes.iter().map(|(name, standing)| {
        json!({
            "name": name,
            "stands_still": standing.stands_still,
            "connected": standing.connected,
        })
    });
    let document = json!({ "nodes": items.collect::<Vec<_>>() });
    session.output.document(&document, |_| {
        let lines = nodes.iter();
        let lines = lines.map(|(name, standing)| format!("{name}: {}", words(*standing)));
        lines.collect::<Vec<_>>().join("\n")
    })?;
    Ok(Exit::Ok)
}

/// Tells every node that runs in a directory of this user; the first that does not answer ends it.
async fn of_all(
    session: &Session,
    order: impl Fn(&Path) -> Result<Standing, ControlError> + Send + 'static,
) -> Result<Vec<(String, Standing)>, Failure> {
    let directory = session.places.nodes();
    let shown = directory.display().to_string();
    // Asking blocks.
    let asked = tokio::task::spawn_blocking(move || ask_all(&directory, order)).await;
    let told = asked.map_err(std::io::Error::other)??;
    if told.is_empty() {
        let message = format!("no node runs in `{shown}`");
        return Err(Failure::new(Exit::NotFound, "no_node_here", message)
            .hint("with a name the coordinator is asked to park the node: `skep node park NAME`"));
    }
    Ok(told)
}

fn ask_all(
    directory: &Path,
    order: impl Fn(&Path) -> Result<Standing, ControlError>,
) -> Result<Vec<(String, Standing)>, Failure> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry?.file_name());
    }
    names.sort();
    let mut told = Vec::new();
    for name in names {
        match order(&directory.join(&name)) {
            Ok(standing) => told.push((name.to_string_lossy().into_owned(), standing)),
            Err(ControlError::NotRunning { .. }) => {}
            Err(error) => {
                return Err(Failure::new(
                    Exit::TimedOut,
                    "node_not_still",
                    chain(&error),
                ));
            }
        }
    }
    Ok(told)
}
