//! `skep node start`: runs a node in the foreground.

use super::Session;
use super::joined_node::name_of;
use super::node_profile::{NodeProfile, name_or_host};
use crate::args::NodeStartArgs;
use crate::exit::{Exit, Failure, Outcome};
use crate::signals::shutdown_on_signals;
use skep_client::BaseUrl;
use skep_identity::{NodeKey, NodeKeyError};
use skep_node::{Access, Membership, Node, NodeError, NodeExit, NodeOptions, Shutdown};
use skep_wire::ExitCode;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;

/// How long a node waits for the one that was started before it by a process that is gone.
const HANDOVER_MAX: Duration = Duration::from_secs(20);
/// Pause between two looks whether it has left.
const HANDOVER_PAUSE: Duration = Duration::from_millis(50);

/// Runs a node until a signal or until the coordinator sends it away.
pub(crate) async fn start(session: &Session, args: NodeStartArgs) -> Outcome {
    let lifeline = args.end_with_stdin.then(Lifeline::of_stdin).transpose()?;
    let options = options(session, &args)?;
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
    judge(&ended.map_err(|error| refused(&error))?)
}

fn not_started(error: &dyn std::error::Error) -> Failure {
    Failure::new(Exit::Failed, "node_not_started", crate::exit::chain(error))
}

/// Why a node cannot start: something here is taken, was asked for wrongly, or failed.
fn refused(error: &NodeError) -> Failure {
    let message = crate::exit::chain(error);
    match error {
        NodeError::InUse { .. } => Failure::new(Exit::Conflict, "node_dir_in_use", message)
            .hint("stop the other node, or give this one another --name or --state-dir"),
        NodeError::Option { .. } => Failure::new(Exit::Invalid, "node_option_invalid", message)
            .hint("`skep node start --help` says what it takes"),
        other => not_started(other),
    }
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
            other => return other.map_err(|error| refused(&error)),
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
    let message = ended.to_string();
    Err(match ended {
        NodeExit::Session { code, .. } => sent_away(*code, message),
        NodeExit::SpoolBroken { .. } => Failure::new(Exit::Storage, "spool_broken", message)
            .hint("check the disk, then start the node again"),
        // Why it is not trusted says what to do.
        NodeExit::Untrusted { .. } => Failure::new(Exit::Denied, "coordinator_untrusted", message),
        NodeExit::StoppedAtOnce => Failure::new(Exit::Interrupted, "node_stopped", message),
    })
}

/// The coordinator ended the session for good.
fn sent_away(code: ExitCode, message: String) -> Failure {
    match code {
        ExitCode::AuthRefused => Failure::new(Exit::Denied, "token_refused", message),
        ExitCode::Removed => Failure::new(Exit::Conflict, "node_refused", message)
            .hint("`skep node ls` lists the nodes; a removed node may be started again"),
        ExitCode::Replaced => Failure::new(Exit::Conflict, "node_replaced", message)
            .hint("one process is enough; give each further one a --state-dir of its own"),
        ExitCode::VersionUnsupported => {
            Failure::new(Exit::Conflict, "version_unsupported", message)
                .hint("run the same version of Skep on both ends")
        }
        ExitCode::Shutdown => Failure::new(Exit::Interrupted, "node_stopped", message),
    }
}

fn options(session: &Session, args: &NodeStartArgs) -> Result<NodeOptions, Failure> {
    let name = match &args.state_dir {
        Some(_) => name_or_host(args.profile.name.as_ref())?,
        None => name_of(&session.places, args.profile.name.as_ref())?,
    };
    let state_dir = match &args.state_dir {
        Some(directory) => directory.clone(),
        None => session.places.node(&name),
    };
    let access = access(session, args, &state_dir)?;
    let exe = std::env::current_exe()?;
    let mut options = NodeOptions::with_access(access, &state_dir, exe);
    options.name = match (&options.access, &args.profile.name) {
        // A machine that joined is known by the name it joined under, unless it says another.
        (Access::Key { membership, .. }, None) => membership.name.clone(),
        _ => name,
    };
    NodeProfile::load(&state_dir)?
        .with(&args.profile)?
        .apply(&mut options);
    options.extra_read_paths.clone_from(&args.allow_read);
    // Tokens and the coordinator's data lie there: no task sees them, whatever its plan says.
    options.hidden_paths.clone_from(&args.hide);
    options
        .hidden_paths
        .extend([session.places.state.clone(), session.places.config.clone()]);
    Ok(options)
}

/// By what the coordinator lets the node in: the key it joined with, or a token. A flag that
/// names a token or a plain coordinator wins over a membership.
fn access(session: &Session, args: &NodeStartArgs, state_dir: &Path) -> Result<Access, Failure> {
    let given = args.coordinator.as_deref().map(parse_url).transpose()?;
    let is_plain = given.as_ref().is_some_and(|url| !url.is_secure());
    if args.token_file.is_none() && !is_plain {
        let joined = Membership::load(state_dir).map_err(|error| refused(&error))?;
        if let Some(membership) = joined {
            return member(membership, given.as_ref(), state_dir);
        }
    }
    let coordinator = match given {
        Some(url) => url,
        None => parse_url(&crate::connection::target(&session.global, &session.places)?.url)?,
    };
    if coordinator.is_secure() {
        let message = "this machine has not joined the swarm of that coordinator";
        return Err(Failure::new(Exit::Denied, "not_joined", message)
            .hint("on the coordinator run `skep token join`, then here `skep join TOKEN`"));
    }
    let token = match (&args.token_file, &session.global.token) {
        (Some(file), _) => crate::places::read_token(file)?,
        (None, Some(token)) => token.clone(),
        (None, None) => local_token(session)?,
    };
    Ok(Access::Token { coordinator, token })
}

/// The token that a coordinator on this machine leaves for its nodes.
fn local_token(session: &Session) -> Result<String, Failure> {
    let path = session.places.node_token();
    if path.exists() {
        return crate::places::read_token(&path);
    }
    let message = format!(
        "this machine has joined no swarm, and no coordinator of this user ran here (no `{}`)",
        path.display()
    );
    Err(Failure::new(Exit::Denied, "not_joined", message).hint(
        "on the coordinator run `skep token join`, then here `skep join TOKEN`; or name a --token-file",
    ))
}

/// The access of a machine that joined; an address that is given is tried first.
pub(crate) fn member(
    mut membership: Membership,
    first: Option<&BaseUrl>,
    state_dir: &Path,
) -> Result<Access, Failure> {
    if let Some(url) = first {
        let address = url.authority().to_owned();
        membership.addresses.retain(|known| *known != address);
        membership.addresses.insert(0, address);
    }
    let path = Membership::key_path(state_dir);
    let key = NodeKey::load(&path).map_err(|error| key_unusable(&error))?;
    let key = key.ok_or_else(|| {
        let message = format!("the key of this node, `{}`, is missing", path.display());
        Failure::new(Exit::Denied, "not_joined", message)
            .hint("restore it, or empty the state directory and join anew")
    })?;
    Ok(Access::Key {
        membership,
        key: Arc::new(key),
    })
}

/// A key file that cannot be used.
pub(crate) fn key_unusable(error: &NodeKeyError) -> Failure {
    Failure::new(Exit::Denied, "node_key_unusable", crate::exit::chain(error))
}

fn parse_url(url: &str) -> Result<BaseUrl, Failure> {
    BaseUrl::parse(url).map_err(|error| {
        Failure::new(Exit::Invalid, "url_invalid", crate::exit::chain(&error))
            .hint("a coordinator's URL looks like http://127.0.0.1:8600 or wss://10.0.0.1:8600")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_a_node_cannot_start_decides_the_exit_code() {
        let taken = NodeError::InUse {
            path: "/data/n".into(),
        };
        let wrong = NodeError::Option {
            option: "slots",
            value: "0".to_owned(),
            detail: "too few".to_owned(),
        };
        let broken = NodeError::Thread {
            name: "n",
            source: std::io::Error::other("no"),
        };
        for (error, exit, code) in [
            (taken, Exit::Conflict, "node_dir_in_use"),
            (wrong, Exit::Invalid, "node_option_invalid"),
            (broken, Exit::Failed, "node_not_started"),
        ] {
            let failure = refused(&error);
            assert_eq!((failure.exit, failure.code.as_str()), (exit, code));
        }
    }
}
