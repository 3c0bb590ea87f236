//! `/swarm/realtime`: the event stream as JSON text frames over a WebSocket.

use crate::authenticate;
use crate::event_stream::{needs_resync, resync};
use crate::failure::Failure;
use crate::state::ApiState;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use futures_util::SinkExt;
use skep_model::token::Scope;
use skep_operations::events::{EventFeed, EventFilter, EventText, FeedStart};
use skep_operations::{ErrorCode, OperationError};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// How often a quiet connection is tried.
const PING_INTERVAL: Duration = Duration::from_secs(15);
/// Longest time a frame may wait for a follower to read.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// Callers send nothing of use here.
const INCOMING_BYTES_MAX: usize = 4 * 1024;
/// Bytes read from the socket at a time; the default would be paid for each connection.
const READ_BUFFER_BYTES: usize = 4 * 1024;

/// Checks the caller and takes over the connection.
pub(crate) async fn upgrade(
    State(api): State<ApiState>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Result<Response, Failure> {
    authenticate::require(&headers, &api.services, Scope::Read)?;
    let FeedStart { after, filter } = FeedStart::parse(query.as_deref().unwrap_or_default(), None)?;
    let upgrade = upgrade.map_err(|rejection| not_a_websocket(&rejection.to_string()))?;
    let feed = EventFeed::open(api.services.clone(), after, filter.clone()).await?;
    let shutdown = api.shutdown.clone();
    Ok(upgrade
        .max_message_size(INCOMING_BYTES_MAX)
        .read_buffer_size(READ_BUFFER_BYTES)
        .on_upgrade(move |socket| follow(socket, feed, filter, shutdown)))
}

/// The answer to a plain request on a WebSocket route.
pub(crate) fn not_a_websocket(reason: &str) -> Failure {
    Failure::new(
        ErrorCode::HeaderMalformed,
        format!("this route is a WebSocket: {reason}"),
    )
}

async fn follow(
    mut socket: WebSocket,
    mut feed: EventFeed,
    filter: EventFilter,
    shutdown: CancellationToken,
) {
    let mut pings = tokio::time::interval(PING_INTERVAL);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let sent = tokio::select! {
            more = feed.next_texts() => match more {
                Ok(events) => send_all(&mut socket, &events).await,
                Err(error) => match after_error(&mut feed, &filter, &error).await {
                    Some(text) => send(&mut socket, Message::text(text)).await,
                    None => break,
                },
            },
            incoming = socket.recv() => matches!(incoming, Some(Ok(_))),
            _ = pings.tick() => send(&mut socket, Message::Ping(Vec::new().into())).await,
            () = shutdown.cancelled() => break,
        };
        if !sent {
            return;
        }
    }
    let frame = CloseFrame {
        code: close_code::AWAY,
        reason: "the coordinator stops".into(),
    };
    if !send(&mut socket, Message::Close(Some(frame))).await {
        tracing::debug!("a follower was gone before it was told of the stop");
    }
}

/// A follower that does not read must not hold its connection for ever.
async fn send(socket: &mut WebSocket, message: Message) -> bool {
    let sent = tokio::time::timeout(SEND_TIMEOUT, socket.send(message)).await;
    matches!(sent, Ok(Ok(())))
}

/// One frame for each event, all of them in one write.
async fn send_all(socket: &mut WebSocket, events: &[Arc<EventText>]) -> bool {
    let sending = async {
        for event in events {
            socket.feed(Message::text(event.json())).await?;
        }
        socket.flush().await
    };
    matches!(
        tokio::time::timeout(SEND_TIMEOUT, sending).await,
        Ok(Ok(()))
    )
}

/// After a cursor that is of no use any more the stream goes on from now; other errors end it.
async fn after_error(
    feed: &mut EventFeed,
    filter: &EventFilter,
    error: &OperationError,
) -> Option<String> {
    if !needs_resync(error) {
        return None;
    }
    *feed = EventFeed::open(feed.services(), None, filter.clone())
        .await
        .ok()?;
    let mut value = resync(error, &feed.cursor().to_string());
    value["event"] = "resync".into();
    Some(value.to_string())
}
