//! `skep node`: start one here, look after all.

use super::Session;
use crate::api::path;
use crate::args::{NodeCommand, NodeStartArgs};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{bytes, table, text};
use crate::signals::shutdown_on_signals;
use serde_json::Value;
use skep_client::BaseUrl;
use skep_model::limits::NAME_LENGTH_MAX;
use skep_model::requirements::Proficiency;
use skep_node::{Node, NodeError, NodeExit, NodeOptions, Shutdown};
use skep_wire::ExitCode;
use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;

/// How long a node waits for the one that was started before it by a process that is gone.
const HANDOVER_MAX: Duration = Duration::from_secs(20);
/// Pause between two looks whether it has left.
const HANDOVER_PAUSE: Duration = Duration::from_millis(50);

pub(crate) async fn run(session: &Session, command: NodeCommand) -> Outcome {
    match command {
        NodeCommand::Start(args) => start(session, args).await,
        NodeCommand::Ls => {
            let nodes = session.api()?.all("/api/v2/nodes", usize::MAX).await?;
            session.output.document(&nodes, node_table)?;
            Ok(Exit::Ok)
        }
        NodeCommand::Show { node } => {
            let shown = session.api()?.get(&path(&["nodes", &node])).await?;
            session.output.document(&shown, node_text)?;
            Ok(Exit::Ok)
        }
        NodeCommand::Drain { node } => steer(session, &node, "drain").await,
        NodeCommand::Resume { node } => steer(session, &node, "resume").await,
        NodeCommand::Rm { node } => {
            let answer = session.api()?.delete(&path(&["nodes", &node])).await?;
            session
                .output
                .document(&answer, |_| format!("removed {node}"))?;
            Ok(Exit::Ok)
        }
    }
}

async fn steer(session: &Session, node: &str, verb: &str) -> Outcome {
    let answer = session
        .api()?
        .post(&path(&["nodes", node, verb]), &Value::Null)
        .await?;
    session.output.document(&answer, |node| {
        format!("{}: {}", text(node, "/name"), text(node, "/state"))
    })?;
    Ok(Exit::Ok)
}

fn node_table(nodes: &Value) -> String {
    let number = |node: &Value, at: &str| node.pointer(at).and_then(Value::as_u64).unwrap_or(0);
    let rows = crate::api::items(nodes).iter().map(|node| {
        let slots = format!(
            "{}/{}",
            number(node, "/in_use/attempts"),
            number(node, "/slots")
        );
        let cpus = number(node, "/resources/cpu_millis") / 1_000;
        let memory = bytes(number(node, "/resources/memory_bytes"));
        vec![
            text(node, "/name"),
            text(node, "/state"),
            slots,
            format!("{cpus} cpu, {memory}"),
            text(node, "/isolation"),
            text(node, "/id"),
        ]
    });
    table(
        &["name", "state", "attempts", "resources", "isolation", "id"],
        rows,
    )
}

fn node_text(node: &Value) -> String {
    let head = [
        "name",
        "id",
        "state",
        "state_since",
        "joined_at",
        "instance",
    ]
    .map(|field| format!("{field:12} {}", text(node, &format!("/{field}"))));
    let facts = [
        "version",
        "system",
        "slots",
        "isolation",
        "labels",
        "capabilities",
        "resources",
    ]
    .map(|field| format!("{field:12} {}", text(node, &format!("/{field}"))));
    let probes = node.pointer("/probes").and_then(Value::as_array);
    let probes = probes.into_iter().flatten().map(|probe| {
        let blocked = probe.pointer("/blocked").and_then(Value::as_bool) == Some(true);
        let word = if blocked { "blocked" } else { "ALLOWED" };
        format!(
            "  {word}  {}: {}",
            text(probe, "/probe"),
            text(probe, "/detail")
        )
    });
    let probes: Vec<_> = probes.collect();
    format!(
        "{}\n{}\nprobes\n{}",
        head.join("\n"),
        facts.join("\n"),
        probes.join("\n")
    )
}

/// Runs a node until a signal or until the coordinator sends it away.
async fn start(session: &Session, args: NodeStartArgs) -> Outcome {
    let lifeline = args.end_with_stdin.then(Lifeline::of_stdin).transpose()?;
    let options = options(session, args)?;
    let name = options.name.clone();
    let node = started(options, lifeline.is_some()).await?;
    crate::output::note(&format!("node {name} ({}) starts", node.id()));
    let shutdown = Shutdown::new();
    let signal = shutdown_on_signals();
    let mut running = std::pin::pin!(node.run(shutdown.clone()));
    let ended = tokio::select! {
        ended = &mut running => ended,
        () = signal.cancelled() => {
            shutdown.stop();
            running.await
        }
        () = Lifeline::torn(lifeline) => {
            shutdown.stop_at_once();
            running.await
        }
    };
    judge(&ended.map_err(|error| not_started(&error))?)
}

fn not_started(error: &dyn std::error::Error) -> Failure {
    Failure::new(Exit::Failed, "node_not_started", crate::exit::chain(error))
}

/// Starts the node. One with a lifeline waits for its predecessor: that one's line was torn with
/// the coordinator that was here before, so it is about to leave the directory.
async fn started(options: NodeOptions, has_predecessor: bool) -> Result<Node, Failure> {
    let deadline = Instant::now() + HANDOVER_MAX;
    loop {
        let options = options.clone();
        // Measuring the machine blocks.
        let node = tokio::task::spawn_blocking(move || Node::start(options))
            .await
            .map_err(|error| not_started(&error))?;
        match node {
            Err(NodeError::InUse { .. }) if has_predecessor && Instant::now() < deadline => {
                tokio::time::sleep(HANDOVER_PAUSE).await;
            }
            other => return other.map_err(|error| not_started(&error)),
        }
    }
}

/// The end of a pipe whose other end is held by the process that started this one.
struct Lifeline(tokio::net::unix::pipe::Receiver);

impl Lifeline {
    fn of_stdin() -> std::io::Result<Self> {
        // Not `tokio::io::stdin`: its reading thread could not be ended with the runtime.
        let stdin = std::io::stdin().as_fd().try_clone_to_owned()?;
        tokio::net::unix::pipe::Receiver::from_owned_fd(stdin).map(Self)
    }

    /// Waits until the other end is gone; for ever when there is no lifeline.
    async fn torn(lifeline: Option<Self>) {
        let Some(Self(mut pipe)) = lifeline else {
            return std::future::pending().await;
        };
        // Nothing is ever written to it: whatever ends the reading means the end.
        let mut nothing = Vec::new();
        if let Err(error) = pipe.read_to_end(&mut nothing).await {
            tracing::warn!(%error, "the lifeline cannot be read");
        }
    }
}

fn judge(ended: &NodeExit) -> Outcome {
    if ended.is_orderly() {
        return Ok(Exit::Ok);
    }
    let (exit, code) = match ended {
        NodeExit::Session {
            code: ExitCode::AuthRefused,
            ..
        } => (Exit::Denied, "token_refused"),
        NodeExit::Session { .. } => (Exit::Conflict, "session_ended"),
        NodeExit::SpoolBroken { .. } => (Exit::Storage, "spool_broken"),
        NodeExit::StoppedAtOnce => (Exit::Interrupted, "stopped"),
    };
    Err(Failure::new(exit, code, ended.to_string()))
}

/// A node's name is also that of its directory: it must not lead elsewhere.
fn check_name(name: &str) -> Result<(), Failure> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    let fits = !name.is_empty()
        && name.len() <= NAME_LENGTH_MAX
        && !name.starts_with('.')
        && name.chars().all(plain);
    if fits {
        return Ok(());
    }
    let message = format!("`{name}` cannot be the name of a node");
    Err(Failure::new(Exit::Invalid, "node_name_invalid", message)
        .hint("use 1 to 128 letters, digits, `-`, `_` and `.`, not starting with `.`"))
}

fn options(session: &Session, args: NodeStartArgs) -> Result<NodeOptions, Failure> {
    let name = args.name.unwrap_or_else(host_name);
    check_name(&name)?;
    let url = match args.coordinator {
        Some(url) => url,
        None => crate::connection::target(&session.global, &session.places)?.url,
    };
    let coordinator = BaseUrl::parse(&url).map_err(|error| {
        Failure::new(Exit::Invalid, "url_invalid", crate::exit::chain(&error))
            .hint("a coordinator's URL looks like http://127.0.0.1:8600")
    })?;
    let token = match (&args.token_file, &session.global.token) {
        (Some(file), _) => crate::places::read_token(file)?,
        (None, Some(token)) => token.clone(),
        (None, None) => crate::places::read_token(&session.places.node_token())?,
    };
    let mut options = NodeOptions::new(
        coordinator,
        token,
        args.state_dir.unwrap_or_else(|| session.places.node(&name)),
        std::env::current_exe()?,
    );
    options.name = name;
    options.slots = args.slots.unwrap_or(options.slots);
    options.labels = pairs("label", &args.labels)?;
    options.capabilities = capabilities(&args.capabilities)?;
    options.extra_read_paths = args.allow_read;
    // Tokens and the coordinator's data lie there: no task sees them, whatever its plan says.
    options.hidden_paths = args.hide;
    options
        .hidden_paths
        .extend([session.places.state.clone(), session.places.config.clone()]);
    Ok(options)
}

fn host_name() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

/// `KEY=VALUE` texts as a map.
pub(crate) fn pairs(flag: &str, texts: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let pair = |text: &String| {
        let (key, value) = text.split_once('=').ok_or_else(|| {
            Failure::new(
                Exit::Invalid,
                "pair_malformed",
                format!("--{flag} `{text}` should look like KEY=VALUE"),
            )
        })?;
        Ok((key.to_owned(), value.to_owned()))
    };
    texts.iter().map(pair).collect()
}

fn capabilities(texts: &[String]) -> Result<BTreeMap<String, Proficiency>, Failure> {
    let capability = |text: &String| {
        let (name, level) = text.split_once('=').unwrap_or((text, "basic"));
        let level = match level {
            "basic" => Proficiency::Basic,
            "intermediate" => Proficiency::Intermediate,
            "expert" => Proficiency::Expert,
            "specialist" => Proficiency::Specialist,
            other => {
                let message = format!("`{other}` is not a proficiency");
                return Err(Failure::new(Exit::Invalid, "proficiency_unknown", message)
                    .hint("use basic, intermediate, expert or specialist"));
            }
        };
        Ok((name.to_owned(), level))
    };
    texts.iter().map(capability).collect()
}

#[cfg(test)]
mod tests {
    use super::check_name;

    #[test]
    fn a_node_name_never_leads_out_of_its_directory() {
        for name in ["a", "desk-2", "host.example", "N_1"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        let long = "n".repeat(129);
        for name in [
            "",
            ".",
            "..",
            "../x",
            "/abs",
            "a/b",
            ".hidden",
            "a b",
            long.as_str(),
        ] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
