//! What was asked, what was answered, and what was seen: everything the checker judges by.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;
use std::str::FromStr;

/// Place of an event in the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Cursor {
    pub(crate) index: u64,
    pub(crate) ordinal: u32,
}

impl Cursor {
    /// Before all events.
    pub(crate) const START: Self = Self {
        index: 0,
        ordinal: 0,
    };
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.index, self.ordinal)
    }
}

impl FromStr for Cursor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once('.').and_then(|(index, ordinal)| {
            Some(Self {
                index: index.parse().ok()?,
                ordinal: ordinal.parse().ok()?,
            })
        });
        parsed.ok_or_else(|| format!("`{text}` is not a cursor"))
    }
}

/// One event as it was delivered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Event {
    pub(crate) cursor: Cursor,
    /// The whole of it.
    pub(crate) body: Value,
}

impl Event {
    /// Reads an event; an error when it has no cursor.
    pub(crate) fn read(body: Value) -> Result<Self, String> {
        let cursor = body["cursor"].as_str();
        let cursor = cursor
            .ok_or_else(|| format!("an event has no cursor: {body}"))?
            .parse()?;
        Ok(Self { cursor, body })
    }

    pub(crate) fn kind(&self) -> &str {
        self.body["event"].as_str().unwrap_or_default()
    }

    pub(crate) fn task(&self) -> Option<&str> {
        self.body["task"].as_str()
    }

    /// A number that belongs to this kind of event.
    pub(crate) fn number(&self, field: &str) -> Option<u64> {
        self.body["data"][field].as_u64()
    }

    /// A word that belongs to this kind of event.
    pub(crate) fn word(&self, field: &str) -> Option<&str> {
        self.body["data"][field].as_str()
    }

    /// Epoch and index of the grant.
    pub(crate) fn fence(&self) -> Option<(u64, u64)> {
        let fence = &self.body["data"]["fence"];
        Some((fence["epoch"].as_u64()?, fence["index"].as_u64()?))
    }
}

/// A task of a submission, as far as the checker needs to know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Asked {
    pub(crate) name: String,
    /// Whether each execution leaves a line in the counter file.
    pub(crate) is_counted: bool,
    pub(crate) at_most_once: bool,
    /// Attempts it may have.
    pub(crate) attempts_max: u64,
    /// Places, in the same submission, of the tasks it needs.
    pub(crate) needs: Vec<usize>,
}

/// One acknowledgement of a submission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) run: Option<String>,
    /// Ids in the order of what was asked.
    pub(crate) tasks: Vec<String>,
}

/// One request with its idempotency key, and all its acknowledgements.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Submission {
    pub(crate) key: String,
    pub(crate) asked: Vec<Asked>,
    pub(crate) answers: Vec<Answer>,
    /// Why it was given up, when it was.
    pub(crate) given_up: Option<String>,
}

/// One task as the API lists it after the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ListedTask {
    pub(crate) id: String,
    pub(crate) state: String,
    pub(crate) attempts: u64,
}

/// What one reader saw of the stream, over all its connections.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stream {
    pub(crate) name: String,
    pub(crate) connections: usize,
    pub(crate) events: Vec<Event>,
    /// What went wrong beyond a broken connection.
    pub(crate) problems: Vec<String>,
}

/// One execution of a counted task, as it wrote it down itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Execution {
    pub(crate) task: String,
    pub(crate) attempt: u64,
    /// `EPOCH.INDEX`.
    pub(crate) fence: String,
}

/// How a node came back to work after the network had healed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Recovery {
    pub(crate) node: String,
    /// From the heal until it had finished a task, when it did while that was waited for.
    pub(crate) took_ms: Option<u64>,
    pub(crate) bound_ms: u64,
}

impl fmt::Display for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.took_ms {
            Some(ms) => write!(
                f,
                "`{}` finished work {:.1} s after the heal",
                self.node,
                ms as f64 / 1_000.0
            ),
            None => write!(f, "`{}` finished nothing after the heal", self.node),
        }
    }
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct History {
    pub(crate) submissions: Vec<Submission>,
    pub(crate) listed: Vec<ListedTask>,
    pub(crate) streams: Vec<Stream>,
    /// All events, read from the start after the end.
    pub(crate) all_events: Vec<Event>,
    pub(crate) executions: Vec<Execution>,
    /// How nodes came back, where they were cut off.
    pub(crate) recoveries: Vec<Recovery>,
    /// How often a node was told to end while it worked: it stops its attempts and says so.
    pub(crate) node_stops: usize,
    /// Processes found where there should be none.
    pub(crate) orphans: Vec<String>,
    /// Processes that ended or panicked without being told to, and what never came.
    pub(crate) breakdowns: Vec<String>,
}

impl History {
    /// Reads the counter file.
    pub(crate) fn read_executions(text: &str) -> Result<Vec<Execution>, String> {
        let execution = |line: &str| {
            let words: Vec<_> = line.split(' ').collect();
            let [task, attempt, fence] = words.as_slice() else {
                return Err(format!("`{line}` is not a line of the counter file"));
            };
            let attempt = attempt
                .parse()
                .map_err(|_| format!("`{line}` has no attempt"))?;
            Ok(Execution {
                task: (*task).to_owned(),
                attempt,
                fence: (*fence).to_owned(),
            })
        };
        text.lines().map(execution).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn cursors_are_ordered_by_entry_first() {
        let cursor = |text: &str| text.parse::<Cursor>().unwrap();
        assert!(cursor("9.7") < cursor("10.0") && cursor("10.0") < cursor("10.1"));
        assert_eq!(cursor("12.4294967295").to_string(), "12.4294967295");
        assert!("12".parse::<Cursor>().is_err() && "1.x".parse::<Cursor>().is_err());
    }

    #[test]
    fn an_event_without_a_cursor_is_refused() {
        assert!(Event::read(json!({"event": "resync"})).is_err());
        let event = json!({"cursor": "4.1", "event": "task_leased", "task": "task_1",
            "data": {"attempt": 2, "fence": {"epoch": 1, "index": 4}}});
        let event = Event::read(event).unwrap();
        assert_eq!(
            (event.kind(), event.task()),
            ("task_leased", Some("task_1"))
        );
        assert_eq!(
            (event.number("attempt"), event.fence()),
            (Some(2), Some((1, 4)))
        );
    }

    #[test]
    fn the_counter_file_is_read_line_by_line() {
        let lines = History::read_executions("task_1 1 1.6\ntask_1 2 1.9\n").unwrap();
        assert_eq!(lines[1].attempt, 2);
        assert_eq!(lines[1].fence, "1.9");
        assert!(History::read_executions("task_1 1").is_err());
    }
}
