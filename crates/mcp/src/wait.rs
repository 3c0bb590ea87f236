//! Waiting for the end of a run or task, with progress for those who want to see it.
//!
//! A wait only looks. Whoever stops waiting, by cancelling the call or closing the connection,
//! changes nothing about the work.

use crate::fault::Fault;
use crate::invocation::Caller;
use crate::search::read;
use crate::swarm_uri::{Named, is_final_task};
use crate::tool_result::{self, Refusal};
use crate::toolset::object;
use rmcp::RoleServer;
use rmcp::model::{ProgressNotificationParam, ProgressToken, Tool, ToolAnnotations};
use rmcp::service::{Peer, RequestContext};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use skep_operations::events::EventFeed;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// Below the minute after which many clients give up a call.
const TIMEOUT_S_DEFAULT: u64 = 50;
/// Longest wait of one call, seconds.
const TIMEOUT_S_MAX: u64 = 300;
/// The document is read again at most this often, however much happens.
const READ_PAUSE: Duration = Duration::from_millis(250);
/// Clients that see nothing for longer may think that the call hangs.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(15);

/// What to wait for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wait {
    id: String,
    timeout_s: Option<u64>,
}

/// Waits.
pub(crate) fn tool() -> Tool {
    let input = json!({
        "type": "object",
        "properties": {
            "id": { "type": "string", "description": "A run or task." },
            "timeout_s": {
                "type": "integer", "minimum": 0, "maximum": TIMEOUT_S_MAX,
                "description": format!("{TIMEOUT_S_DEFAULT} unless said."),
            },
        },
        "required": ["id"],
    });
    let output = json!({
        "type": "object",
        "properties": {
            "id": { "type": "string" },
            "state": { "type": "string" },
            "final": { "type": "boolean" },
            "document": { "type": "object" },
        },
        "required": ["id", "state", "final", "document"],
    });
    Tool::new(
        "skep_wait",
        "Waits until a run or task is final, and shows it with results. If `final` is false when \
         it returns, call it again.",
        Arc::new(object(input)),
    )
    .with_raw_output_schema(Arc::new(object(output)))
    .with_annotations(ToolAnnotations::new().read_only(true))
}

/// Who waits: the connection that hears of progress and can end the wait.
pub(crate) struct Waiter {
    peer: Peer<RoleServer>,
    token: Option<ProgressToken>,
    cancelled: CancellationToken,
    began: Instant,
}

impl Waiter {
    pub(crate) fn of(context: &RequestContext<RoleServer>) -> Self {
        Self {
            peer: context.peer.clone(),
            token: context.meta.get_progress_token(),
            cancelled: context.ct.clone(),
            began: Instant::now(),
        }
    }

    /// Says how far it is. The seconds that passed are the progress: they always grow.
    pub(crate) async fn tell(&self, message: String, timeout: Duration) {
        let Some(token) = self.token.clone() else {
            return;
        };
        let progress = ProgressNotificationParam::new(token, self.began.elapsed().as_secs_f64())
            .with_total(timeout.as_secs_f64())
            .with_message(message);
        if let Err(error) = self.peer.notify_progress(progress).await {
            tracing::debug!(%error, "nobody hears of progress any more");
        }
    }
}

/// Waits until the run or task is final, or the time is over.
pub(crate) async fn wait(
    caller: &Caller,
    arguments: Map<String, Value>,
    waiter: &Waiter,
) -> Result<Value, Refusal> {
    let wanted: Wait = read(arguments)?;
    let named = Named::by_id(&wanted.id).filter(|named| !matches!(named, Named::Node(_)));
    let named = named.ok_or_else(|| {
        let detail = format!("`id` is `{}`; want the id of a run or task", wanted.id);
        Refusal::Fault(Fault::ParamsInvalid, detail)
    })?;
    let timeout_s = wanted.timeout_s.unwrap_or(TIMEOUT_S_DEFAULT);
    if timeout_s > TIMEOUT_S_MAX {
        let detail = format!("`timeout_s` is {timeout_s}; want at most {TIMEOUT_S_MAX}");
        return Err(Refusal::Fault(Fault::ParamsInvalid, detail));
    }
    let timeout = Duration::from_secs(timeout_s);
    let deadline = waiter.began + timeout;
    caller.may(named.reading(), &wanted.id).await?;
    // Followed before the first look, so that nothing falls between both.
    let services = Arc::clone(&caller.services);
    let mut feed = EventFeed::open(services, None, named.filter()).await?;
    loop {
        let document = read_named(caller, named).await?;
        let (state, is_final) = named.state(&document);
        let over = is_final || Instant::now() >= deadline || waiter.cancelled.is_cancelled();
        if over {
            return Ok(json!({
                "id": wanted.id,
                "state": state,
                "final": is_final,
                "document": document,
            }));
        }
        waiter
            .tell(summary(named, &document, &state), timeout)
            .await;
        let look_at_least = deadline.min(Instant::now() + PROGRESS_INTERVAL);
        let again = tokio::select! {
            events = feed.next() => {
                events?;
                deadline.min(Instant::now() + READ_PAUSE)
            }
            () = sleep_until(look_at_least) => Instant::now(),
            () = waiter.cancelled.cancelled() => Instant::now(),
        };
        tokio::select! {
            () = sleep_until(again) => {}
            () = waiter.cancelled.cancelled() => {}
        }
    }
}

/// The document of a task, run or node, as its operation gives it.
pub(crate) async fn read_named(caller: &Caller, named: Named) -> Result<Value, Refusal> {
    let arguments = object(json!({ "id": named.id() }));
    let reply = caller.invoke(named.reading(), arguments).await?;
    tool_result::document(reply, 0).await
}

/// Where it stands, in a line.
pub(crate) fn summary(named: Named, document: &Value, state: &str) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match named {
        Named::Run(_) => {
            let tasks = document["tasks"].as_array().map_or(&[][..], Vec::as_slice);
            let ended = tasks.iter().filter(|task| is_final_task(&task["state"]));
            let ended = ended.count();
            let name = text(&document["run"]["name"]);
            format!(
                "run `{name}` is {state}: {ended} of {} tasks are final",
                tasks.len()
            )
        }
        Named::Task(_) | Named::Node(_) => {
            format!("{} `{}` is {state}", named.kind(), text(&document["name"]))
        }
    }
}
