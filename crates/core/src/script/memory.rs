//! The statements about shared memory: `put KEY`, `del KEY`, `touch KEY`, each with `in=NAMESPACE`
//! unless it is `swarm`, and with `for=RUN` as work of that run; `also` before one of them keeps it for
//! the next `write` or `write all`.

use super::{Words, World};
use crate::State;
use skep_model::command::{Command, Idempotency};
use skep_model::ids::{ReplicaId, RunId};
use skep_model::memory::{
    ConflictStrategy, Embedding, HybridTime, MemoryChange, MemoryCondition, MemoryKey,
    MemoryProvenance, MemoryPut, MemoryStamp, MemoryValue, MemoryVersion, MemoryWrite,
    MergeFunction, Namespace, NamespaceSettings, StrategyRule, VectorClock,
};
use skep_model::time::UnixMillis;
use std::fmt::Write;
use std::sync::Arc;

fn version(text: &str) -> MemoryVersion {
    MemoryVersion(text.parse().unwrap())
}

fn namespace(words: &Words<'_>) -> Namespace {
    let name = words.option("in").unwrap_or(Namespace::SWARM);
    name.parse().unwrap()
}

/// `stamp=WALL:REPLICA` or `stamp=WALL:REPLICA:COUNTER`, with as many `saw=REPLICA:COUNT` as one likes.
fn stamp(words: &Words<'_>) -> Option<Box<MemoryStamp>> {
    let (wall, writer) = words.option("stamp")?.split_once(':').unwrap();
    let (writer, counter) = writer.split_once(':').unwrap_or((writer, "0"));
    let replica = |text: &str| ReplicaId::from_u128(text.parse().unwrap());
    let time = HybridTime {
        wall: UnixMillis(wall.parse().unwrap()),
        counter: counter.parse().unwrap(),
        replica: replica(writer),
    };
    let seen = words.options_named("saw").map(|pair| {
        let (id, count) = pair.split_once(':').unwrap();
        (replica(id), count.parse().unwrap())
    });
    let clock = VectorClock(seen.collect());
    Some(Box::new(MemoryStamp { time, clock }))
}

fn put(words: &Words<'_>) -> MemoryChange {
    let tags = words.options_named("tag");
    let metadata = words.options_named("meta").map(|pair| {
        let (name, value) = pair.split_once(':').unwrap();
        (name.to_owned(), value.to_owned())
    });
    MemoryChange::Put(Arc::new(MemoryPut {
        value: value(words),
        ttl_ms: words.number("ttl"),
        tags: tags.map(|tag| tag.parse().unwrap()).collect(),
        metadata: metadata.collect(),
        embedding: words
            .has("near")
            .then(|| Embedding::of(&[1.0, 0.0]).unwrap()),
    }))
}

/// `value=JSON`, or `sealed=TEXT` for something that nobody here can read.
fn value(words: &Words<'_>) -> MemoryValue {
    match words.option("sealed") {
        Some(text) => MemoryValue::Sealed(text.as_bytes().into()),
        None => MemoryValue::Json(words.option("value").unwrap_or("0").into()),
    }
}

fn write(verb: &str, key: &str, words: &Words<'_>) -> MemoryWrite {
    let change = match verb {
        "put" => put(words),
        "del" => MemoryChange::Delete,
        "touch" => MemoryChange::Touch {
            ttl_ms: words.number("ttl"),
        },
        other => panic!("no write `{other}`"),
    };
    let key: MemoryKey = key.parse().unwrap();
    MemoryWrite {
        condition: match words.option("if") {
            None => MemoryCondition::Any,
            Some("absent") => MemoryCondition::Absent,
            Some("present") => MemoryCondition::Present,
            Some(number) => MemoryCondition::Version(version(number)),
        },
        settles: words.options_named("settle").map(version).collect(),
        stamp: stamp(words),
        provenance: MemoryProvenance {
            run: words.number("for").map(|run| RunId::from_u128(run.into())),
            ..MemoryProvenance::default()
        },
        ..MemoryWrite::new(namespace(words), key, change)
    }
}

fn strategy(name: &str) -> ConflictStrategy {
    match name {
        "last" => ConflictStrategy::LastWriterWins,
        "vector" => ConflictStrategy::VectorClock,
        "merge" => ConflictStrategy::Merge(MergeFunction::SetUnion),
        "manual" => ConflictStrategy::Manual,
        other => panic!("no strategy `{other}`"),
    }
}

/// `space NAMESPACE`, with `entries=`, `bytes=` and `rule=PREFIX:STRATEGY`.
fn settings(words: &Words<'_>) -> NamespaceSettings {
    let default = NamespaceSettings::default();
    let rules = words.options_named("rule").map(|rule| {
        let (prefix, name) = rule.split_once(':').unwrap();
        StrategyRule {
            prefix: prefix.to_owned(),
            strategy: strategy(name),
        }
    });
    NamespaceSettings {
        entries_max: words.number("entries").unwrap_or(default.entries_max),
        bytes_max: words.number("bytes").unwrap_or(default.bytes_max),
        strategies: rules.collect(),
        secret: words.has("secret"),
        restricted: default.restricted,
    }
}

impl World {
    pub(super) fn memory_command(&mut self, words: &Words<'_>) -> Command {
        let writes = match words.verb {
            "space" => {
                return Command::SetNamespace {
                    namespace: words.plain[0].parse().unwrap(),
                    settings: Box::new(settings(words)),
                };
            }
            "write" => std::mem::take(&mut self.writes),
            verb => vec![write(verb, words.plain[0], words)],
        };
        Command::WriteMemory {
            writes,
            all_or_nothing: words.has("all"),
            idempotency: words.option("idem").map(|key| Idempotency {
                key: key.to_owned(),
                fingerprint: [words.number("body").unwrap_or(0) as u8; 32],
            }),
        }
    }

    pub(super) fn draft_write(&mut self, words: &Words<'_>) {
        self.writes
            .push(write(words.plain[0], words.plain[1], words));
    }

    pub(super) fn show_entries(&self) -> String {
        let mut text = String::new();
        for view in self.state.namespaces() {
            let name = &view.record.namespace;
            let (count, bytes) = (view.entries, view.bytes);
            writeln!(text, "{name}: {count} entries, {bytes} bytes").unwrap();
            let slot = &self.state.memory.namespaces[name];
            for entry in slot.entries.values() {
                let open: Vec<_> = entry.conflicts.iter().map(|one| one.version.0).collect();
                let end = entry.expires_at.map(|at| at.0);
                let (key, at, gone) = (&entry.key, entry.version, entry.deleted);
                writeln!(
                    text,
                    "{key} at {at}, ends {end:?}, deleted {gone}, open {open:?}"
                )
                .unwrap();
            }
        }
        text
    }
}

/// Everything one can see of shared memory.
pub(super) fn portrait(state: &State) -> String {
    let mut text = format!("{:?}\n", state.memory.floor);
    for slot in state.memory.namespaces.values() {
        writeln!(text, "{slot:?}").unwrap();
    }
    text
}
