//! Events page by page, with an optional wait for the first one.

use super::feed::{EventFeed, EventFilter};
use super::pattern::MemoryPattern;
use crate::context::Context;
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::paging::page_limit;
use crate::parameters;
use crate::views::EventView;
use serde::{Deserialize, Serialize};
use skep_model::event::EventCursor;
use skep_model::ids::{RunId, TaskId};
use skep_model::limits;
use std::time::Duration;

/// Longest wait for an event, seconds.
const WAIT_S_MAX: u64 = 60;

/// Which events to list.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct EventListing {
    /// After this cursor, `INDEX.ORDINAL`. When left out, a list starts with the oldest that are
    /// kept, and a stream with the next one.
    after: Option<String>,
    /// Only events about this run and its tasks.
    run: Option<RunId>,
    /// Only events about this task.
    task: Option<TaskId>,
    /// Only changes of shared memory in this namespace; `*` stands for any letters.
    namespace: Option<String>,
    /// Only changes of shared memory under this key; `*` stands for any letters.
    key: Option<String>,
    /// Events on a page.
    #[schemars(range(min = 1, max = limits::PAGE_ITEMS_MAX))]
    limit: Option<usize>,
    /// Seconds to wait for the first event, at most 60.
    wait: Option<u64>,
}

impl EventListing {
    fn filter(&self) -> Result<EventFilter, OperationError> {
        let (namespace, key) = (self.namespace.as_deref(), self.key.as_deref());
        Ok(EventFilter {
            run: self.run,
            task: self.task,
            memory: MemoryPattern::parse(namespace, key)?,
        })
    }
}

/// One page of events.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(super) struct EventPage {
    /// The events, oldest first.
    items: Vec<EventView>,
    /// Where reading goes on, also when there were no events.
    next_cursor: String,
}

/// The cursor in this text.
pub(super) fn parse_cursor(text: &str) -> Result<EventCursor, OperationError> {
    text.parse()
        .map_err(|error: skep_model::event::ParseCursorError| {
            OperationError::new(ErrorCode::CursorMalformed, error.to_string())
        })
}

pub(super) async fn list(
    context: Context,
    query: EventListing,
) -> Result<EventPage, OperationError> {
    let limit = page_limit(query.limit)?;
    let after = query
        .after
        .as_deref()
        .map_or(Ok(EventCursor::default()), parse_cursor)?;
    let filter = query.filter()?;
    let mut feed = EventFeed::open(context.services, Some(after), filter).await?;
    let mut items = feed.ready().await?;
    let wait = Duration::from_secs(query.wait.unwrap_or(0).min(WAIT_S_MAX));
    if items.is_empty() && !wait.is_zero() {
        // An elapsed wait is an empty page, not an error.
        items = tokio::time::timeout(wait, feed.next())
            .await
            .unwrap_or(Ok(Vec::new()))?;
    }
    while items.len() < limit {
        let more = feed.ready().await?;
        if more.is_empty() {
            break;
        }
        items.extend(more);
    }
    let next_cursor = if items.len() > limit {
        items.truncate(limit);
        items
            .last()
            .map(|event| event.cursor.clone())
            .unwrap_or_default()
    } else {
        feed.cursor().to_string()
    };
    Ok(EventPage { items, next_cursor })
}

/// Where a stream starts and what it holds, as the caller asked.
#[derive(Debug, Clone)]
pub struct FeedStart {
    /// After this; from now on when there is none.
    pub after: Option<EventCursor>,
    /// Only these.
    pub filter: EventFilter,
}

impl FeedStart {
    /// Reads the query of a stream; what the caller saw last counts more than its `after`.
    ///
    /// # Errors
    /// `query_malformed`, `cursor_malformed`.
    pub fn parse(query: &str, last_seen: Option<&str>) -> Result<Self, OperationError> {
        let query: EventListing = parameters::read(&[], query)?;
        let after = last_seen
            .or(query.after.as_deref())
            .map(parse_cursor)
            .transpose()?;
        Ok(Self {
            after,
            filter: query.filter()?,
        })
    }
}
