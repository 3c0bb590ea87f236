//! `skep up`: a coordinator and a node, until a signal.

use super::Session;
use crate::args::UpArgs;
use crate::exit::{Exit, Outcome};
use crate::local_nodes::LocalNodes;
use crate::output::note;
use crate::places::write_json;
use crate::server::{Server, ServerOptions};
use crate::settings::Key;
use crate::signals::shutdown_on_signals;

pub(crate) async fn run(session: &Session, args: UpArgs) -> Outcome {
    let strategy = args
        .strategy
        .unwrap_or_else(|| session.settings.setting(Key::Strategy).value);
    let stop = shutdown_on_signals();
    if let Some(file) = &args.ready_file {
        // A file that an earlier coordinator left would say that this one is ready.
        remove_stale(file)?;
    }
    let options = ServerOptions {
        places: &session.places,
        listen: args.listen.unwrap_or_else(|| session.settings.listen()),
        strategy: &strategy,
    };
    let server = Server::start(options).await?;
    let mut nodes = LocalNodes::start(&session.places, &server.note, args.nodes, false)?;
    if let Some(file) = &args.ready_file {
        write_json(file, &server.note)?;
    }
    let ready = serde_json::to_value(&server.note).unwrap_or_default();
    session.output.document(&ready, |_| {
        format!(
            "coordinator  {}\ntoken file   {}\ndata         {}\nnodes        {}\n\
             next         skep submit PLAN, skep watch, skep node ls",
            server.note.url,
            server.note.token_file.display(),
            session.places.coordinator().display(),
            args.nodes,
        )
    })?;
    let failed = tokio::select! {
        () = stop.cancelled() => None,
        failure = server.halted() => Some(failure),
        ended = nodes.one_ended(), if args.nodes > 0 => {
            note(&format!("warning: {ended}; the coordinator goes on without it"));
            tokio::select! {
                () = stop.cancelled() => None,
                failure = server.halted() => Some(failure),
            }
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

fn remove_stale(file: &std::path::Path) -> std::io::Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
