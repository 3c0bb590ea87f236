//! Follows the log's events: first what is kept, then what comes, without a gap or a repetition.
//!
//! The broadcast only says that there is more. What is delivered is always what follows the
//! cursor: from the view's recent entries, or from the archive when the cursor lies before them.

use crate::context::Services;
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::events::pattern::MemoryPattern;
use crate::events::texts::EventText;
use crate::lookup;
use crate::views::EventView;
use skep_model::attempt::LogIndex;
use skep_model::event::{EntryEvents, EventCursor};
use skep_model::ids::{RunId, TaskId};
use skep_model::limits;
use skep_model::memory::{MemoryKey, Namespace};
use skep_store::Archive;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::broadcast;

/// Entries read at a time.
const ENTRIES_PER_READ: usize = 256;
/// Bytes of texts after which no more are given at a time: what waits for a follower that does not
/// read is one piece, and the rest stays in the log. So a follower needs no buffer of its own that
/// could overflow; it is cut for taking nothing, not for being behind.
pub const PIECE_BYTES_MAX: usize = 1 << 20;

/// Which events are wanted; all that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Only events about this run and its tasks.
    pub run: Option<RunId>,
    /// Only events about this task.
    pub task: Option<TaskId>,
    /// Only changes of these entries of shared memory.
    pub memory: Option<MemoryPattern>,
}

impl EventFilter {
    fn admits(&self, event: &EventText) -> bool {
        self.run.is_none_or(|run| event.run == Some(run))
            && self.task.is_none_or(|task| event.task == Some(task))
            && self.admits_change(event.memory.as_ref())
    }

    /// Whether the event is wanted by a reader of views.
    pub(super) fn admits_view(&self, event: &EventView) -> bool {
        self.run.is_none_or(|run| event.run == Some(run))
            && self.task.is_none_or(|task| event.task == Some(task))
            && self.admits_change(event.memory.as_ref())
    }

    fn admits_change(&self, changed: Option<&(Namespace, MemoryKey)>) -> bool {
        let Some(wanted) = &self.memory else {
            return true;
        };
        changed.is_some_and(|(namespace, key)| wanted.matches(namespace, key))
    }
}

/// Counts a subscriber as long as it lives.
#[derive(Debug)]
struct Seat(Arc<AtomicUsize>);

impl Seat {
    fn take(count: &Arc<AtomicUsize>) -> Result<Self, OperationError> {
        let seat = Self(Arc::clone(count));
        if count.fetch_add(1, Ordering::Relaxed) < limits::SUBSCRIBERS_MAX {
            return Ok(seat);
        }
        let detail = format!("SUBSCRIBERS_MAX is {}", limits::SUBSCRIBERS_MAX);
        Err(OperationError::new(ErrorCode::SubscribersFull, detail))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One reader of the event stream.
#[derive(Debug)]
pub struct EventFeed {
    services: Arc<Services>,
    filter: EventFilter,
    cursor: EventCursor,
    /// Whether the cursor is one that was given out, as far as its place tells.
    checked: bool,
    news: broadcast::Receiver<Arc<EntryEvents>>,
    _seat: Seat,
}

impl EventFeed {
    /// A feed that goes on after the cursor; without one, after the newest event.
    ///
    /// # Errors
    /// Too many follow already, or the archive broke.
    pub async fn open(
        services: Arc<Services>,
        after: Option<EventCursor>,
        filter: EventFilter,
    ) -> Result<Self, OperationError> {
        let seat = Seat::take(&services.subscribers)?;
        // Subscribed before the first read, so that nothing falls between both.
        let news = services.hive.subscribe();
        let cursor = match after {
            Some(cursor) => cursor,
            None => newest(&services).await?,
        };
        Ok(Self {
            services,
            filter,
            cursor,
            checked: after.is_none(),
            news,
            _seat: seat,
        })
    }

    /// The services it reads from.
    pub fn services(&self) -> Arc<Services> {
        Arc::clone(&self.services)
    }

    /// Refuses a cursor after which events are missing already, and one that was never given out.
    ///
    /// # Errors
    /// `cursor_expired`, `cursor_ahead`, or the archive broke.
    pub async fn check_cursor(&mut self) -> Result<(), OperationError> {
        self.check_not_ahead().await?;
        read_after(&self.services, self.cursor, 1).await.map(drop)
    }

    /// A cursor is given out only after its entry was durable and applied, so a later one is not
    /// ours: nothing would come after it until our log is as long, and then with a gap.
    async fn check_not_ahead(&mut self) -> Result<(), OperationError> {
        if self.checked {
            return Ok(());
        }
        let newest = newest(&self.services).await?.index;
        if self.cursor.index > newest {
            let detail = format!(
                "cursor `{}` lies after the newest event, which is of log entry `{newest}`: it \
                 comes from another swarm or a restored backup; start again without a cursor",
                self.cursor
            );
            return Err(OperationError::new(ErrorCode::CursorAhead, detail));
        }
        self.checked = true;
        Ok(())
    }

    /// Where reading goes on: every wanted event up to here was given.
    pub const fn cursor(&self) -> EventCursor {
        self.cursor
    }

    /// The next wanted events that are there already; empty when there are none yet.
    ///
    /// # Errors
    /// `cursor_expired`, `cursor_ahead`, or the archive broke.
    pub async fn ready(&mut self) -> Result<Vec<EventView>, OperationError> {
        loop {
            let after = self.cursor;
            let entries = self.entries().await?;
            let events: Vec<_> = entries
                .iter()
                .flat_map(|entry| EventView::of(entry, after))
                .filter(|event| self.filter.admits_view(event))
                .collect();
            if entries.is_empty() || !events.is_empty() {
                return Ok(events);
            }
        }
    }

    /// The same as texts that all followers share.
    async fn ready_texts(&mut self) -> Result<Vec<Arc<EventText>>, OperationError> {
        loop {
            let after = self.cursor;
            let entries = self.entries_ahead().await?;
            let events = self.take_piece(after, &entries);
            if entries.is_empty() || !events.is_empty() {
                return Ok(events);
            }
        }
    }

    /// Wanted texts of these entries, as many as are given at a time; the cursor moves behind them.
    fn take_piece(
        &mut self,
        after: EventCursor,
        entries: &[Arc<EntryEvents>],
    ) -> Vec<Arc<EventText>> {
        let mut events = Vec::new();
        let mut bytes = 0;
        for entry in entries {
            let texts = self.services.event_texts.of(entry);
            for text in texts.iter().filter(|text| text.cursor > after) {
                if bytes >= PIECE_BYTES_MAX {
                    return events;
                }
                self.cursor = text.cursor;
                if self.filter.admits(text) {
                    bytes += text.json().len();
                    events.push(Arc::clone(text));
                }
            }
            self.cursor = end_of(entry.index);
        }
        events
    }

    /// Entries after the cursor that are there already; the cursor moves behind them.
    async fn entries(&mut self) -> Result<Vec<Arc<EntryEvents>>, OperationError> {
        let entries = self.entries_ahead().await?;
        if let Some(last) = entries.last() {
            self.cursor = end_of(last.index);
        }
        Ok(entries)
    }

    /// Entries after the cursor that are there already.
    async fn entries_ahead(&mut self) -> Result<Vec<Arc<EntryEvents>>, OperationError> {
        self.check_not_ahead().await?;
        read_after(&self.services, self.cursor, ENTRIES_PER_READ).await
    }

    /// The next wanted events; waits until there are some. Can be dropped and called again
    /// without losing any.
    ///
    /// # Errors
    /// `cursor_expired`, `cursor_ahead`, the archive broke, or the coordinator stopped.
    pub async fn next(&mut self) -> Result<Vec<EventView>, OperationError> {
        loop {
            let events = self.ready().await?;
            if !events.is_empty() {
                return Ok(events);
            }
            self.wait_for_news().await?;
        }
    }

    /// The same as texts that all followers share.
    ///
    /// # Errors
    /// See [`EventFeed::next`].
    pub async fn next_texts(&mut self) -> Result<Vec<Arc<EventText>>, OperationError> {
        loop {
            let events = self.ready_texts().await?;
            if !events.is_empty() {
                return Ok(events);
            }
            self.wait_for_news().await?;
        }
    }

    async fn wait_for_news(&mut self) -> Result<(), OperationError> {
        match self.news.recv().await {
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {
                // What is queued says nothing new: it is all read from the cursor.
                while self.news.try_recv().is_ok() {}
                Ok(())
            }
            Err(broadcast::error::RecvError::Closed) => Err(OperationError::new(
                ErrorCode::Stopped,
                "the coordinator has stopped",
            )),
        }
    }
}

/// The cursor after all events of an entry.
const fn end_of(index: LogIndex) -> EventCursor {
    EventCursor {
        index,
        ordinal: u32::MAX,
    }
}

/// The cursor after the newest event.
pub(crate) async fn newest(services: &Arc<Services>) -> Result<EventCursor, OperationError> {
    if let Some(cursor) = newest_in_memory(services) {
        return Ok(cursor);
    }
    // Nothing happened since the start of the process.
    let index = lookup::ask(services, "find the newest event", Archive::last_event_index).await?;
    Ok(newest_in_memory(services).unwrap_or_else(|| end_of(index.unwrap_or_default())))
}

fn newest_in_memory(services: &Services) -> Option<EventCursor> {
    let view = services.hive.view();
    let first = view.recent.first_index()?;
    let oldest = EventCursor {
        index: first,
        ordinal: 0,
    };
    let newest = view
        .recent
        .events_after(oldest)?
        .last()
        .map(|entry| entry.index);
    newest.map(end_of)
}

/// Entries that hold events after the cursor.
pub(super) async fn read_after(
    services: &Arc<Services>,
    cursor: EventCursor,
    limit: usize,
) -> Result<Vec<Arc<EntryEvents>>, OperationError> {
    let (recent, own_entry_left) = {
        let view = services.hive.view();
        let first = view.recent.first_index();
        (
            view.recent.events_after(cursor),
            first == Some(cursor.index.next()),
        )
    };
    if let Some(mut entries) = recent {
        entries.retain(|entry| holds_after(entry, cursor));
        if own_entry_left {
            // What follows in the cursor's own entry is in the archive only.
            let own = lookup::ask(services, "read events of the archive", move |archive| {
                archive.events_after(cursor, 1)
            });
            let own = own.await?.into_iter().next();
            if let Some(own) =
                own.filter(|own| own.index == cursor.index && holds_after(own, cursor))
            {
                entries.insert(0, Arc::new(own));
            }
        }
        entries.truncate(limit);
        return Ok(entries);
    }
    let mut entries = lookup::ask(services, "read events of the archive", move |archive| {
        archive.events_after(cursor, limit)
    })
    .await?;
    entries.retain(|entry| holds_after(entry, cursor));
    // Without a cursor, reading begins with what is kept.
    let has_cursor = cursor != EventCursor::default();
    let gap = has_cursor
        && entries
            .first()
            .is_some_and(|first| first.index > cursor.index.next());
    if gap {
        return Err(OperationError::new(
            ErrorCode::CursorExpired,
            format!("the first event that is kept comes after `{cursor}` with a gap"),
        ));
    }
    Ok(entries.into_iter().map(Arc::new).collect())
}

fn holds_after(entry: &EntryEvents, cursor: EventCursor) -> bool {
    entry.index > cursor.index
        || (entry.index == cursor.index
            && entry.events.len() as u64 > u64::from(cursor.ordinal) + 1)
}
