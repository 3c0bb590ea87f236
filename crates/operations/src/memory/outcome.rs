//! What became of writes, as the events of their entry of the log say.

use crate::rfc3339::Timestamp;
use serde::Serialize;
use skep_model::event::{EntryEvents, Event};
use skep_model::memory::{MemoryKey, MemoryRefusal, MemoryVersion, Namespace};

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum WriteOutcome {
    /// It is the entry.
    Written,
    /// The entry is gone.
    Deleted,
    /// The entry ends at another time.
    Touched,
    /// The entry stays, and somebody has to decide between both.
    Conflict,
    /// The entry stays: it was written later. The history has this one.
    Lost,
    /// It was done when the request first came, under this version.
    Repeated,
}

/// A write that was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub(super) struct Written {
    /// Where.
    pub(super) namespace: Namespace,
    /// Which entry.
    pub(super) key: MemoryKey,
    /// What became of the write.
    pub(super) outcome: WriteOutcome,
    /// Its version.
    pub(super) version: MemoryVersion,
    /// The version that it replaced; none when the entry is new, or the write was repeated.
    pub(super) replaced: Option<MemoryVersion>,
    /// When the entry ends; none when it does not, or the write was repeated.
    pub(super) expires_at: Option<Timestamp>,
    /// Whether the value was merged with another one that it had not seen.
    pub(super) merged: bool,
}

impl Written {
    fn of(event: &Event) -> Option<Self> {
        let (namespace, key) = event.memory()?;
        let (outcome, version, replaced, expires_at) = match event {
            Event::MemoryWritten {
                version,
                replaced,
                expires_at,
                ..
            } => (WriteOutcome::Written, version, *replaced, *expires_at),
            Event::MemoryDeleted {
                version, replaced, ..
            } => (WriteOutcome::Deleted, version, *replaced, None),
            Event::MemoryTouched {
                version,
                expires_at,
                ..
            } => (WriteOutcome::Touched, version, None, *expires_at),
            // One that tells of a replaced version comes with the write that replaced it.
            Event::MemoryConflict {
                version,
                current,
                open,
                ..
            } if version > current => {
                let outcome = if *open {
                    WriteOutcome::Conflict
                } else {
                    WriteOutcome::Lost
                };
                (outcome, version, None, None)
            }
            _ => return None,
        };
        Some(Self {
            namespace: namespace.clone(),
            key: key.clone(),
            outcome,
            version: *version,
            replaced,
            expires_at: expires_at.map(Timestamp),
            merged: false,
        })
    }

    fn repeated(namespace: &Namespace, key: &MemoryKey, version: MemoryVersion) -> Self {
        Self {
            namespace: namespace.clone(),
            key: key.clone(),
            outcome: WriteOutcome::Repeated,
            version,
            replaced: None,
            expires_at: None,
            merged: false,
        }
    }
}

/// What the log said to a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Done(Written),
    Refused(MemoryRefusal),
    /// The request was a repetition, and this write was refused the first time.
    RefusedBefore,
}

/// The answer to each write of a command, in their order.
pub(super) fn answers(entry: &EntryEvents, writes: &[(Namespace, MemoryKey)]) -> Vec<Answer> {
    let repeated = entry.events.iter().find_map(|event| match event {
        Event::MemoryAlreadyWritten { versions } => Some(versions),
        _ => None,
    });
    if let Some(versions) = repeated {
        let pairs = writes.iter().zip(versions);
        let answers = pairs.map(|((namespace, key), version)| match version {
            Some(version) => Answer::Done(Written::repeated(namespace, key, *version)),
            None => Answer::RefusedBefore,
        });
        return answers.collect();
    }
    let mut done = entry.events.iter().filter_map(Written::of);
    let mut refused = entry.events.iter().filter_map(|event| match event {
        Event::MemoryRefused { item, reason, .. } => Some((*item, reason.clone())),
        _ => None,
    });
    let mut next_refused = refused.next();
    let mut answers = Vec::with_capacity(writes.len());
    for item in (0_u32..).take(writes.len()) {
        match next_refused.take_if(|(refused, _)| *refused == item) {
            Some((_, reason)) => {
                answers.push(Answer::Refused(reason));
                next_refused = refused.next();
            }
            None => answers.extend(done.next().map(Answer::Done)),
        }
    }
    answers
}
