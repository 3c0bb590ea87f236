//! Writes to shared memory that were proposed apart and wait at the same time share one log entry.
//!
//! An entry by itself costs more than a small write in it: a link of the chain, a digest, two rows.
//! Each write is still done or refused alone, in the order in which they were proposed, and whoever
//! proposed some is answered with the events of these.

use skep_model::command::{Command, LogEntry};
use skep_model::event::{EntryEvents, Event};
use skep_model::limits::MEMORY_WRITES_PER_COMMAND_MAX;
use skep_model::memory::MemoryWrite;
use std::sync::Arc;

/// Bytes of writes in an entry to which more are added.
const GATHERED_BYTES_MAX: usize = 256 << 10;

/// Who waits for an entry.
#[derive(Debug)]
pub(crate) enum Waiting<O> {
    /// One proposal is the entry.
    One(O),
    /// It holds the writes of several: whose they are, and how many each time.
    Several(Vec<(O, usize)>),
}

impl<O> Waiting<O> {
    /// All of them, in order.
    pub(crate) fn all(self) -> Vec<O> {
        match self {
            Self::One(origin) => vec![origin],
            Self::Several(origins) => origins.into_iter().map(|(origin, _)| origin).collect(),
        }
    }
}

/// The writes of an entry that others may join.
fn joinable(entry: &LogEntry) -> Option<&Vec<MemoryWrite>> {
    match &entry.command {
        Command::WriteMemory {
            writes,
            all_or_nothing: false,
            idempotency: None,
        } => Some(writes),
        _ => None,
    }
}

/// Whether the writes of `next` may be done by `entry`, too, which holds `bytes` of them.
pub(crate) fn may_join(entry: &LogEntry, bytes: usize, next: &LogEntry) -> bool {
    let (Some(writes), Some(more)) = (joinable(entry), joinable(next)) else {
        return false;
    };
    // An entry with none or too many is refused whole, and must be so alone.
    let count = writes.len() + more.len();
    entry.actor == next.actor
        && !writes.is_empty()
        && !more.is_empty()
        && count <= MEMORY_WRITES_PER_COMMAND_MAX
        && bytes <= GATHERED_BYTES_MAX
}

/// Adds the writes of `next`, after [`may_join`]. All are done at its time, which is not before any of
/// theirs.
pub(crate) fn join<O>(
    entry: &mut LogEntry,
    waiting: Waiting<O>,
    (next, origin): (LogEntry, O),
) -> Waiting<O> {
    // What was proposed last must not find what ended before it.
    entry.at = next.at;
    let (
        Command::WriteMemory { writes, .. },
        Command::WriteMemory {
            writes: mut more, ..
        },
    ) = (&mut entry.command, next.command)
    else {
        return waiting;
    };
    let mut origins = match waiting {
        Waiting::One(first) => vec![(first, writes.len())],
        Waiting::Several(origins) => origins,
    };
    origins.push((origin, more.len()));
    writes.append(&mut more);
    Waiting::Several(origins)
}

/// What was proposed, as it was before it was joined.
pub(crate) fn part<O>(entry: LogEntry, waiting: Waiting<O>) -> Vec<(LogEntry, O)> {
    let (at, seed, actor) = (entry.at, entry.seed, entry.actor);
    match (waiting, entry.command) {
        (Waiting::One(origin), command) => {
            let entry = LogEntry {
                at,
                seed,
                actor,
                command,
            };
            vec![(entry, origin)]
        }
        (Waiting::Several(origins), Command::WriteMemory { writes, .. }) => {
            let mut writes = writes.into_iter();
            let parts = origins.into_iter().map(|(origin, count)| {
                let command = Command::WriteMemory {
                    writes: writes.by_ref().take(count).collect(),
                    all_or_nothing: false,
                    idempotency: None,
                };
                let entry = LogEntry {
                    at,
                    seed,
                    actor,
                    command,
                };
                (entry, origin)
            });
            parts.collect()
        }
        (Waiting::Several(_), _) => Vec::new(),
    }
}

/// The events of each one's writes, in order. `ends` says where those of each write end.
pub(crate) fn shares<O>(
    events: &EntryEvents,
    ends: &[u32],
    origins: Vec<(O, usize)>,
) -> Vec<(O, Arc<EntryEvents>)> {
    let (mut item, mut from) = (0, 0);
    let shares = origins.into_iter().map(|(origin, count)| {
        let last = ends.get(item + count - 1);
        let to = last.map_or(events.events.len(), |end| *end as usize);
        let own = events.events[from..to].iter().cloned();
        let share = EntryEvents {
            index: events.index,
            at: events.at,
            actor: events.actor,
            events: own.map(|event| counted_from(item, event)).collect(),
        };
        (item, from) = (item + count, to);
        (origin, Arc::new(share))
    });
    shares.collect()
}

/// Refusals name a write by its place among those that were proposed with it.
fn counted_from(first: usize, event: Event) -> Event {
    match event {
        Event::MemoryRefused {
            namespace,
            key,
            item,
            reason,
        } => Event::MemoryRefused {
            namespace,
            key,
            item: item.saturating_sub(first as u32),
            reason,
        },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::Commit;
    use crate::sequencer::Sequencer;
    use skep_model::attempt::LogIndex;
    use skep_model::command::{Actor, Idempotency};
    use skep_model::ids::TaskId;
    use skep_model::memory::{MemoryChange, MemoryRefusal, MemoryVersion};
    use skep_model::time::UnixMillis;

    fn write(key: &str) -> MemoryWrite {
        let (namespace, key) = ("swarm".parse().unwrap(), key.parse().unwrap());
        MemoryWrite::new(namespace, key, MemoryChange::Delete)
    }

    fn writing(keys: &[&str]) -> LogEntry {
        LogEntry {
            at: UnixMillis(1),
            seed: 0,
            actor: Actor::Coordinator,
            command: Command::WriteMemory {
                writes: keys.iter().map(|key| write(key)).collect(),
                all_or_nothing: false,
                idempotency: None,
            },
        }
    }

    fn keys(entry: &LogEntry) -> Vec<String> {
        let Command::WriteMemory { writes, .. } = &entry.command else {
            return Vec::new();
        };
        writes.iter().map(|write| write.key.to_string()).collect()
    }

    fn cut(entries: Vec<LogEntry>) -> (Commit, Sequencer<usize>) {
        let mut sequencer = Sequencer::new(LogIndex(0));
        for (number, entry) in entries.into_iter().enumerate() {
            sequencer.offer(entry, number).unwrap();
        }
        let mut commit = Commit::default();
        sequencer.cut(&mut commit);
        (commit, sequencer)
    }

    #[test]
    fn writes_that_wait_together_become_one_entry_in_their_order() {
        let later = LogEntry {
            at: UnixMillis(5),
            ..writing(&["b", "c"])
        };
        let (commit, mut sequencer) = cut(vec![writing(&["a"]), later]);
        assert_eq!(commit.entries.len(), 1);
        assert_eq!(commit.entries[0].1.at, UnixMillis(5));
        assert_eq!(keys(&commit.entries[0].1), ["a", "b", "c"]);
        let waiting = sequencer.committed().pop().unwrap();
        assert!(matches!(&waiting, Waiting::Several(origins) if *origins == [(0, 1), (1, 2)]));
    }

    #[test]
    fn what_must_be_judged_alone_stays_alone() {
        let mut whole = writing(&["b"]);
        let mut keyed = writing(&["b"]);
        let mut other = writing(&["b"]);
        let many = vec!["b"; MEMORY_WRITES_PER_COMMAND_MAX];
        if let Command::WriteMemory { all_or_nothing, .. } = &mut whole.command {
            *all_or_nothing = true;
        }
        if let Command::WriteMemory { idempotency, .. } = &mut keyed.command {
            *idempotency = Some(Idempotency {
                key: "k".to_owned(),
                fingerprint: [0; 32],
            });
        }
        other.actor = Actor::Task(TaskId::from_u128(1));
        let timers = LogEntry {
            command: Command::FireTimers,
            ..writing(&[])
        };
        for next in [whole, keyed, other, writing(&[]), writing(&many), timers] {
            let (commit, _) = cut(vec![writing(&["a"]), next.clone(), writing(&["c"])]);
            assert_eq!(commit.entries.len(), 3, "{next:?}");
        }
    }

    #[test]
    fn what_was_not_stored_is_what_was_proposed() {
        let (commit, mut sequencer) = cut(vec![writing(&["a"]), writing(&["b", "c"])]);
        let back = sequencer.rejected(commit.entries);
        let back: Vec<_> = back
            .iter()
            .map(|one| (keys(&one.entry), one.origin))
            .collect();
        let text = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>();
        assert_eq!(back, [(text(&["a"]), 0), (text(&["b", "c"]), 1)]);
    }

    #[test]
    fn each_gets_the_events_of_its_own_writes() {
        let (namespace, key) = ("swarm".parse().unwrap(), "a".parse().unwrap());
        let gone = |version| Event::MemoryDeleted {
            namespace: "swarm".parse().unwrap(),
            key: "a".parse().unwrap(),
            version: MemoryVersion(version),
            replaced: None,
        };
        let refused = |item| Event::MemoryRefused {
            item,
            namespace: Clone::clone(&namespace),
            key: Clone::clone(&key),
            reason: MemoryRefusal::Missing,
        };
        let events = EntryEvents {
            index: LogIndex(7),
            at: UnixMillis(1),
            actor: Actor::Coordinator,
            events: vec![gone(1), refused(1), gone(2), gone(3), refused(3)],
        };
        let shares = shares(&events, &[1, 2, 4, 5], vec![('a', 1), ('b', 3)]);
        let own: Vec<_> = shares
            .iter()
            .map(|(who, share)| (*who, share.index.0, share.events.clone()))
            .collect();
        assert_eq!(
            own,
            [
                ('a', 7, vec![gone(1)]),
                ('b', 7, vec![refused(0), gone(2), gone(3), refused(2)]),
            ]
        );
    }
}
