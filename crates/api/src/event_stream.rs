//! Events as server-sent events: `id` is the cursor, and `Last-Event-ID` goes on after it.

use crate::failure::Failure;
use crate::request_identity::single;
use crate::state::ApiState;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream};
use skep_operations::events::{EventFeed, EventFilter, FeedStart};
use skep_operations::views::EventView;
use skep_operations::{Context, ErrorCode, OperationError};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The operation that has this second form.
pub(crate) const OPERATION: &str = "events.list";

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
/// A comment this often keeps proxies from closing a quiet stream.
const HEARTBEAT: Duration = Duration::from_secs(15);

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
    let mut feed = EventFeed::open(context.services.clone(), after, filter).await?;
    // A client that comes back with an id is told in the stream that its events are gone: it
    // would take a 410 for a broken connection and come back with the same id for ever.
    if last_seen.is_none() {
        feed.check_cursor().await?;
    }
    let mut response = Sse::new(events(feed, filter, api.shutdown.clone()))
        .keep_alive(KeepAlive::new().interval(HEARTBEAT).text("still here"))
        .into_response();
    response
        .headers_mut()
        .insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    Ok(response)
}

struct Following {
    feed: EventFeed,
    filter: EventFilter,
    waiting: VecDeque<EventView>,
    shutdown: CancellationToken,
    ended: bool,
}

fn events(
    feed: EventFeed,
    filter: EventFilter,
    shutdown: CancellationToken,
) -> impl Stream<Item = Result<Event, Infallible>> {
    let following = Following {
        feed,
        filter,
        waiting: VecDeque::new(),
        shutdown,
        ended: false,
    };
    stream::unfold(following, |mut following| async move {
        let event = following.next().await?;
        Some((Ok(event), following))
    })
}

impl Following {
    async fn next(&mut self) -> Option<Event> {
        if self.ended {
            return None;
        }
        while self.waiting.is_empty() {
            let more = tokio::select! {
                more = self.feed.next() => more,
                () = self.shutdown.cancelled() => return None,
            };
            match more {
                Ok(events) => self.waiting.extend(events),
                Err(error) => return self.after_error(&error).await,
            }
        }
        self.waiting.pop_front().map(|event| to_sse(&event))
    }

    /// A cursor that is of no use any more is answered by `resync` and the stream goes on from now;
    /// after other errors it ends, and the client comes back with the last id it saw.
    async fn after_error(&mut self, error: &OperationError) -> Option<Event> {
        if !needs_resync(error) {
            tracing::debug!(%error, "an event stream ended");
            self.ended = true;
            return None;
        }
        let services = self.feed.services();
        match EventFeed::open(services, None, self.filter).await {
            Ok(feed) => self.feed = feed,
            Err(_) => self.ended = true,
        }
        let cursor = self.feed.cursor().to_string();
        let data = resync(error, &cursor);
        Some(
            Event::default()
                .event("resync")
                .id(cursor)
                .data(data.to_string()),
        )
    }
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

fn to_sse(event: &EventView) -> Event {
    let data = serde_json::to_string(event).expect("an event view is plain data with text keys");
    Event::default()
        .id(&event.cursor)
        .event(&event.event)
        .data(data)
}
