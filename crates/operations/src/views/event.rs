//! Events as callers see them: flat, with their cursor.

use crate::events::changed;
use crate::rfc3339::Timestamp;
use serde::Serialize;
use serde_json::Value;
use skep_model::command::Actor;
use skep_model::event::{EntryEvents, Event, EventCursor};
use skep_model::ids::{RunId, TaskId};
use skep_model::memory::{MemoryKey, Namespace};

/// One event.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct EventView {
    /// Its place in the stream, `INDEX.ORDINAL`; reading goes on after it.
    pub cursor: String,
    /// When.
    pub at: Timestamp,
    /// On whose behalf.
    pub actor: Actor,
    /// What happened, e.g. `task_finished`.
    pub event: String,
    /// The run it is about, if it is about one.
    pub run: Option<RunId>,
    /// The task it is about, if it is about one.
    pub task: Option<TaskId>,
    /// What belongs to this kind of event.
    pub data: Value,
    /// The entry of shared memory that it changed; what there is to say of it is in `data`.
    #[serde(skip)]
    pub memory: Option<(Namespace, MemoryKey)>,
}

impl EventView {
    /// The events of one entry that come after the cursor.
    pub fn of(entry: &EntryEvents, after: EventCursor) -> impl Iterator<Item = Self> + '_ {
        entry
            .events
            .iter()
            .zip(0_u32..)
            .filter_map(move |(event, ordinal)| {
                let cursor = EventCursor {
                    index: entry.index,
                    ordinal,
                };
                (cursor > after).then(|| Self::new(entry, cursor, event))
            })
    }

    fn new(entry: &EntryEvents, cursor: EventCursor, event: &Event) -> Self {
        let (name, data) = name_and_data(event);
        Self {
            cursor: cursor.to_string(),
            at: entry.at.into(),
            actor: entry.actor,
            event: name,
            run: event.run(),
            task: event.task(),
            data,
            memory: changed(event),
        }
    }
}

/// Serde writes an event as an object with one key, its name.
fn name_and_data(event: &Event) -> (String, Value) {
    let value = serde_json::to_value(event).expect("events are plain data with text keys");
    match value {
        Value::Object(object) => object.into_iter().next().unwrap_or_default(),
        Value::String(name) => (name, Value::Null),
        other => (String::new(), other),
    }
}
