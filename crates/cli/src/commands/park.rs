//! `skep node park`: what a node runs stands still before its machine sleeps.

use super::Session;
use crate::api::path;
use crate::args::NodeParkArgs;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::text;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How long a node has to say that its attempts stand still.
const STANDS_STILL_WITHIN: Duration = Duration::from_secs(10);
/// Pause between two looks whether it has said so.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Returns when the attempts stand still, so that the machine may sleep then.
pub(crate) async fn park(session: &Session, args: &NodeParkArgs) -> Outcome {
    let api = session.api()?;
    let order = json!({ "for_ms": args.for_ms });
    let mut node = api
        .post(&path(&["nodes", &args.node, "park"]), &order)
        .await?;
    let deadline = Instant::now() + STANDS_STILL_WITHIN;
    while !stands_still(&node) {
        if Instant::now() >= deadline {
            let message = format!(
                "node `{}` is parked, but did not say within {} s that its attempts stand still",
                args.node,
                STANDS_STILL_WITHIN.as_secs()
            );
            return Err(Failure::new(Exit::TimedOut, "node_not_still", message).hint(
                "if it is connected (`skep node ls`), look into its log; its work waits all the same",
            ));
        }
        tokio::time::sleep(LOOK_AGAIN_AFTER).await;
        node = api.get(&path(&["nodes", &args.node])).await?;
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

fn stands_still(node: &Value) -> bool {
    node.pointer("/parked/stands_still")
        .and_then(Value::as_bool)
        == Some(true)
}
