//! Events as server-sent events: `id` is the cursor, and `Last-Event-ID` goes on after it.

use crate::failure::Failure;
use crate::request_identity::single;
use crate::state::ApiState;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::{self, Stream};
use skep_operations::events::{EventFeed, EventFilter, EventText, FeedStart};
use skep_operations::{Context, ErrorCode, OperationError};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The operation that has this second form.
pub(crate) const OPERATION: &str = "events.list";

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
/// A comment this often keeps proxies from closing a quiet stream.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Followers from which on events are gathered: fewer get each event as soon as it is there.
const CROWD: usize = 64;
/// For a crowd, events that come this soon after a piece was sent wait for others, and go out with
/// them: a write for each event and follower would cost more than all else.
const GATHERING: Duration = Duration::from_millis(20);

/// Whether the caller asks for a stream.
pub(crate) fn is_wanted(headers: &HeaderMap) -> bool {
    let accepts = headers.get_all(header::ACCEPT);
    accepts.iter().any(|value| {
        value
            .to_str()
            .is_ok_and(|text| text.to_ascii_lowercase().contains("text/event-stream"))
    })
}

/// Starts the stream.
pub(crate) async fn respond(
    api: &ApiState,
    context: &Context,
    headers: &HeaderMap,
    query: &str,
) -> Result<Response, Failure> {
    let last_seen = single(headers, &LAST_EVENT_ID, "Last-Event-ID")?;
    let FeedStart { after, filter } = FeedStart::parse(query, last_seen)?;
    let mut feed = EventFeed::open(context.services.clone(), after, filter.clone()).await?;
    // A client that comes back with an id is told in the stream that its events are gone: it
    // would take a 410 for a broken connection and come back with the same id for ever.
    if last_seen.is_none() {
        feed.check_cursor().await?;
    }
    let body = Body::from_stream(pieces(feed, filter, api.shutdown.clone()));
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/event-stream"),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (ACCEL_BUFFERING, HeaderValue::from_static("no")),
    ];
    Ok((headers, body).into_response())
}

struct Following {
    feed: EventFeed,
    filter: EventFilter,
    shutdown: CancellationToken,
    /// When the last piece went out.
    last_piece: Option<Instant>,
    ended: bool,
}

fn pieces(
    feed: EventFeed,
    filter: EventFilter,
    shutdown: CancellationToken,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let following = Following {
        feed,
        filter,
        shutdown,
        last_piece: None,
        ended: false,
    };
    stream::unfold(following, |mut following| async move {
        let piece = following.next().await?;
        Some((Ok(piece), following))
    })
}

impl Following {
    /// The next piece of the stream: one event after a quiet time, all that came together in busy
    /// ones, or a comment when nothing came.
    async fn next(&mut self) -> Option<Bytes> {
        if self.ended {
            return None;
        }
        let is_crowded = self.feed.services().subscriber_count() >= CROWD;
        if let Some(last) = self.last_piece.filter(|_| is_crowded) {
            let shutdown = self.shutdown.clone();
            tokio::select! {
                () = tokio::time::sleep_until(last + GATHERING) => {}
                () = shutdown.cancelled() => return None,
            }
        }
        let piece = tokio::select! {
            more = self.feed.next_texts() => match more {
                Ok(events) => piece_of(&events),
                Err(error) => self.after_error(&error).await?,
            },
            () = tokio::time::sleep(HEARTBEAT) => Bytes::from_static(b": still here\n\n"),
            () = self.shutdown.cancelled() => return None,
        };
        self.last_piece = Some(Instant::now());
        Some(piece)
    }

    /// A cursor that is of no use any more is answered by `resync` and the stream goes on from now;
    /// after other errors it ends, and the client comes back with the last id it saw.
    async fn after_error(&mut self, error: &OperationError) -> Option<Bytes> {
        if !needs_resync(error) {
            tracing::debug!(%error, "an event stream ended");
            self.ended = true;
            return None;
        }
        let services = self.feed.services();
        match EventFeed::open(services, None, self.filter.clone()).await {
            Ok(feed) => self.feed = feed,
            Err(_) => self.ended = true,
        }
        let cursor = self.feed.cursor().to_string();
        let data = resync(error, &cursor);
        Some(Bytes::from(format!(
            "event: resync\nid: {cursor}\ndata: {data}\n\n"
        )))
    }
}

fn piece_of(events: &[Arc<EventText>]) -> Bytes {
    let texts: Vec<&str> = events.iter().map(|event| event.sse()).collect();
    Bytes::from(texts.concat())
}

/// Whether a follower has to start again, because nothing can follow its cursor.
pub(crate) fn needs_resync(error: &OperationError) -> bool {
    matches!(
        error.code(),
        ErrorCode::CursorExpired | ErrorCode::CursorAhead
    )
}

/// What a follower is told that has to start again: read the present state, go on from here.
pub(crate) fn resync(error: &OperationError, cursor: &str) -> serde_json::Value {
    serde_json::json!({
        "code": error.code().as_str(),
        "detail": error.detail(),
        "hint": error.hint(),
        "cursor": cursor,
    })
}
