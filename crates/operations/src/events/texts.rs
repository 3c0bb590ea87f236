//! Events as text, made once for all who follow them.

use crate::views::EventView;
use parking_lot::Mutex;
use skep_model::attempt::LogIndex;
use skep_model::event::{EntryEvents, EventCursor};
use skep_model::ids::{RunId, TaskId};
use skep_model::memory::{MemoryKey, Namespace};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Entries whose texts are kept; the oldest give way. Followers that keep up share them, the
/// others make their own.
const ENTRIES_KEPT_MAX: usize = 1_024;

/// One event, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventText {
    /// Its place in the stream.
    pub cursor: EventCursor,
    /// The run it is about, if it is about one.
    pub run: Option<RunId>,
    /// The task it is about, if it is about one.
    pub task: Option<TaskId>,
    /// The entry of shared memory that it changed, if it changed one.
    pub memory: Option<(Namespace, MemoryKey)>,
    /// As a server-sent event: `id` is the cursor, `event` the name, `data` the JSON.
    sse: String,
    /// Where in it the JSON begins.
    json_at: usize,
}

/// What ends a server-sent event. JSON holds no line breaks of its own.
const SSE_END: &str = "\n\n";

impl EventText {
    fn of(view: &EventView, cursor: EventCursor) -> Self {
        let json = serde_json::to_string(view).expect("an event view has text keys only");
        let mut sse = format!("id: {cursor}\nevent: {}\ndata: ", view.event);
        let json_at = sse.len();
        sse.push_str(&json);
        sse.push_str(SSE_END);
        Self {
            cursor,
            run: view.run,
            task: view.task,
            memory: view.memory.clone(),
            sse,
            json_at,
        }
    }

    /// All of it, as JSON.
    pub fn json(&self) -> &str {
        &self.sse[self.json_at..self.sse.len() - SSE_END.len()]
    }

    /// All of it, as a server-sent event.
    pub fn sse(&self) -> &str {
        &self.sse
    }
}

/// The texts of one entry, in order.
pub(crate) type EntryTexts = Arc<[Arc<EventText>]>;

/// Texts of the newest entries.
#[derive(Debug, Default)]
pub struct EventTexts {
    kept: Mutex<BTreeMap<LogIndex, EntryTexts>>,
}

impl EventTexts {
    /// The texts of an entry; made now if nobody asked before.
    pub(crate) fn of(&self, entry: &EntryEvents) -> EntryTexts {
        if let Some(texts) = self.kept.lock().get(&entry.index) {
            return Arc::clone(texts);
        }
        // Made outside the lock: two who ask at once make the same texts.
        let before = EventCursor {
            index: LogIndex(entry.index.0.saturating_sub(1)),
            ordinal: u32::MAX,
        };
        let views = EventView::of(entry, before).zip(0_u32..);
        let texts: EntryTexts = views
            .map(|(view, ordinal)| {
                let cursor = EventCursor {
                    index: entry.index,
                    ordinal,
                };
                Arc::new(EventText::of(&view, cursor))
            })
            .collect();
        let mut kept = self.kept.lock();
        let is_new = kept
            .last_key_value()
            .is_none_or(|(newest, _)| entry.index > *newest)
            || kept.len() < ENTRIES_KEPT_MAX;
        if is_new {
            kept.insert(entry.index, Arc::clone(&texts));
            while kept.len() > ENTRIES_KEPT_MAX {
                kept.pop_first();
            }
        }
        texts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_model::command::Actor;
    use skep_model::event::Event;
    use skep_model::ids::NodeId;
    use skep_model::time::UnixMillis;

    fn entry(index: u64) -> EntryEvents {
        let node = NodeId::from_u128(7);
        EntryEvents {
            index: LogIndex(index),
            at: UnixMillis(1),
            actor: Actor::Coordinator,
            events: vec![Event::NodeUpdated { node }, Event::NodeApproved { node }],
        }
    }

    #[test]
    fn followers_share_one_text_and_old_entries_give_way() {
        let texts = EventTexts::default();
        let first = texts.of(&entry(1));
        assert!(Arc::ptr_eq(&first, &texts.of(&entry(1))));
        assert_eq!(first.len(), 2);
        assert_eq!(first[1].cursor.to_string(), "1.1");
        assert!(
            first[1].json().contains(r#""event":"node_approved""#),
            "{}",
            first[1].json()
        );
        let json = first[1].json();
        let sse = format!("id: 1.1\nevent: node_approved\ndata: {json}\n\n");
        assert_eq!(first[1].sse(), sse);
        for index in 2..=ENTRIES_KEPT_MAX as u64 + 1 {
            texts.of(&entry(index));
        }
        assert!(
            !Arc::ptr_eq(&first, &texts.of(&entry(1))),
            "it is made anew"
        );
        assert_eq!(texts.kept.lock().len(), ENTRIES_KEPT_MAX);
    }
}
