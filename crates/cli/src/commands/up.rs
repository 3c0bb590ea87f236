//! `skep up`: a coordinator and a node, until a signal.

use super::{Session, discover};
use crate::api::Api;
use crate::args::UpArgs;
use crate::exit::{Exit, Failure, Outcome};
use crate::local_nodes::{EndedNode, LocalNodes};
use crate::memory_desk::MemoryServers;
use crate::output::note;
use crate::places::{CoordinatorNote, read_token, write_json};
use crate::redis_mirror::MirrorPlace;
use crate::server::{Server, ServerOptions};
use crate::settings::Key;
use crate::signals::shutdown_on_signals;
use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::json;
use skep_discovery::InterfaceFilter;
use skep_identity::fingerprint_text;

pub(crate) async fn run(session: &Session, args: UpArgs) -> Outcome {
    let strategy = args
        .strategy
        .unwrap_or_else(|| session.settings.setting(Key::Strategy).value);
    let stop = shutdown_on_signals();
    raise_file_limit();
    if let Some(file) = &args.ready_file {
        // A file that an earlier coordinator left would say that this one is ready.
        remove_stale(file)?;
    }
    let options = ServerOptions {
        places: &session.places,
        listen: args.listen.unwrap_or_else(|| session.settings.listen()),
        advertise: &args.advertise,
        strategy: &strategy,
        retention: session.settings.retention(),
        announce: announce(session, args.announce, &args.interfaces)?,
        memory_servers: MemoryServers::of(args.memory, &session.settings.peers),
        mirror: MirrorPlace::of(args.mirror),
    };
    let server = Server::start(options).await?;
    let mut nodes = LocalNodes::start(&session.places, &server.note, args.nodes, false)?;
    let (join, authority) = match &server.authority {
        Some(authority) => {
            let token = join_token(&server.note).await?;
            (Some(token), Some(fingerprint_text(authority)))
        }
        None => (None, None),
    };
    let ready = json!({
        "url": server.note.url,
        "token_file": server.note.token_file,
        "join": join,
        "authority": authority,
    });
    if let Some(file) = &args.ready_file {
        write_json(file, &ready)?;
    }
    session.output.document(&ready, |_| {
        format!(
            "coordinator  {}\ntoken file   {}\ndata         {}\nnodes        {}\n\
             {}{}next         skep submit PLAN, skep watch, skep node ls",
            server.note.url,
            server.note.token_file.display(),
            session.places.coordinator().display(),
            args.nodes,
            authority
                .as_ref()
                .map_or_else(String::new, |pin| format!("authority    {pin}\n")),
            join.as_ref().map_or_else(String::new, |token| format!(
                "add machines skep join {token}      (1 h, 5 uses; skep token ls)\n"
            )),
        )
    })?;
    let failed = loop {
        tokio::select! {
            () = stop.cancelled() => break None,
            failure = server.halted() => break Some(failure),
            ended = nodes.one_ended() => note(&farewell(&ended, server.knows_node(&ended.name))),
        }
    };
    if let Some(file) = &args.ready_file {
        remove_stale(file)?;
    }
    nodes.stop().await;
    server.stop().await?;
    match failed {
        None => Ok(Exit::Ok),
        Some(failure) => Err(failure),
    }
}

/// Each node and follower is an open file, and the usual soft limit is 1,024: this process may use
/// what the system allows it.
fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

/// Where the coordinator is announced: nowhere unless a flag or the configuration asks for it.
fn announce(
    session: &Session,
    flag: bool,
    interfaces: &[String],
) -> Result<Option<InterfaceFilter>, Failure> {
    if !interfaces.is_empty() {
        return discover::filter(interfaces).map(Some);
    }
    let announces = flag || session.settings.announces();
    Ok(announces.then(|| session.settings.interfaces()))
}

/// A join token as usual, for the machines of whoever started this.
async fn join_token(note: &CoordinatorNote) -> Result<String, Failure> {
    let token = read_token(&note.token_file)?;
    let api = Api::new(crate::connection::connect(&note.url, Some(token))?);
    let made = api.post("/api/v2/join-tokens", &json!({})).await?;
    Ok(made["token"].as_str().unwrap_or_default().to_owned())
}

/// What is said about a node process that ended by itself, and what to do.
fn farewell(ended: &EndedNode, is_known: bool) -> String {
    let EndedNode { name, status, left } = ended;
    let what = if is_known {
        format!("node `{name}` ended by itself ({status}); its log says why")
    } else {
        format!("node `{name}` was removed from the swarm and has ended")
    };
    let rest = match left {
        0 => "no node of this process is left, so tasks wait for others".to_owned(),
        1 => "one node of this process goes on".to_owned(),
        left => format!("{left} nodes of this process go on"),
    };
    format!("warning: {what}; {rest}. To have it back: skep node start --name {name}")
}

fn remove_stale(file: &std::path::Path) -> std::io::Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_left_is_named_with_why_and_what_to_do() {
        let ended = |left| EndedNode {
            name: "local-1".to_owned(),
            status: "exit status: 1".to_owned(),
            left,
        };
        let crashed = farewell(&ended(2), true);
        assert!(
            crashed.contains("exit status: 1") && crashed.contains("2 nodes"),
            "{crashed}"
        );
        let removed = farewell(&ended(0), false);
        assert!(
            removed.contains("was removed") && removed.contains("no node"),
            "{removed}"
        );
        assert!(
            removed.contains("skep node start --name local-1"),
            "{removed}"
        );
    }
}
