//! Shared memory: named values that everybody in the swarm reads and writes.
//!
//! A value is read in one place and made ready for the log in one place, both in `values`.

mod access;
mod batch;
mod compact;
mod conflicts;
mod desk;
pub(crate) mod documents;
mod embedding;
mod entry_view;
mod export;
mod get;
mod given;
mod history;
mod import;
mod list;
mod merging;
pub(crate) mod mirrored;
mod namespaces;
mod near;
mod nearest_name;
mod outcome;
mod refusals;
mod restoring;
mod search;
mod snapshot;
mod sync;
mod transfer;
mod update;
mod upkeep;
mod values;
mod write;

pub use access::may_read as may_read_namespace;
pub use desk::{Embedder, MemoryDesk, Secrets};
pub use nearest_name::nearest_namespace;
pub use sync::{
    Applied, Became, ChangesPage, ChangesQuestion, Delivery, Direction, Item, ItemPut, Outcome,
    Peer, PeerFault, PeerLink, PeerNameError, PeerReport, Peers, Tally, sync_with_peer,
};
pub use upkeep::{RUN_MEMORY_KEPT_MS, remove_memory_of_ended_runs};

use crate::declare::{ADMIN, READ, WRITE, act, end, put, read, submit};
use crate::exchange::Shape;
use crate::operation::{Cost, Operation, Repetition, json_of};
use crate::permission::{Permission, TaskRule};
use serde::Deserialize;

/// Reads; the namespace is checked as well.
const READ_MEMORY: Permission = READ.or_attempt(TaskRule::SharedMemory);
/// Writes; the namespace is checked as well.
const WRITE_MEMORY: Permission = WRITE.or_attempt(TaskRule::SharedMemory);

pub(crate) fn operations() -> Vec<Operation> {
    [
        entries(),
        many(),
        namespaces_and_conflicts(),
        transfers(),
        sync::operations(),
    ]
    .concat()
}

fn entries() -> Vec<Operation> {
    const ENTRY: &str = "/memory/{namespace}/{key}";
    vec![
        read(
            "memory.get",
            ENTRY,
            READ_MEMORY,
            "Reads an entry of shared memory.",
        )
        .replies(Shape::Empty, json_of::<entry_view::EntryView>(), get::get),
        put(
            "memory.put",
            ENTRY,
            WRITE_MEMORY,
            "Writes an entry of shared memory, on condition if one is given.",
        )
        .repetition(Repetition::Keyed)
        .takes(write::put),
        end(
            "memory.delete",
            ENTRY,
            WRITE_MEMORY,
            "Removes an entry of shared memory; its history stays.",
        )
        .repetition(Repetition::Keyed)
        .takes(write::delete),
        act(
            "memory.update",
            "/memory/{namespace}/{key}/update",
            WRITE_MEMORY,
            "Changes a value by a function of the present one, as one step.",
        )
        .repetition(Repetition::Keyed)
        .takes(update::update),
        act(
            "memory.touch",
            "/memory/{namespace}/{key}/touch",
            WRITE_MEMORY,
            "Lets an entry live for longer or shorter; its version stays.",
        )
        .repetition(Repetition::Keyed)
        .takes(write::touch),
        read(
            "memory.history",
            "/memory/{namespace}/{key}/history",
            READ_MEMORY,
            "Lists the versions of an entry, the newest first.",
        )
        .answers(history::history),
        read(
            "memory.conflict",
            "/memory/{namespace}/{key}/conflicts",
            READ_MEMORY,
            "Shows an entry and the values that wait for somebody to decide.",
        )
        .answers(conflicts::show),
        act(
            "memory.resolve",
            "/memory/{namespace}/{key}/resolve",
            WRITE_MEMORY,
            "Decides between an entry and the values that wait.",
        )
        .repetition(Repetition::Keyed)
        .takes(conflicts::resolve),
    ]
}

fn many() -> Vec<Operation> {
    vec![
        read(
            "memory.list",
            "/memory/{namespace}",
            READ_MEMORY,
            "Lists entries by key, without their values.",
        )
        .answers_at_once(list::list),
        read(
            "memory.search",
            "/memory-search",
            READ_MEMORY,
            "Searches keys, tags and values for words.",
        )
        .cost(Cost::Medium)
        .answers(search::search),
        act(
            "memory.near",
            "/memory-near",
            READ_MEMORY,
            "Finds the entries whose meaning is nearest to a text or an embedding.",
        )
        .repetition(Repetition::Harmless)
        .takes(near::near),
        submit(
            "memory.batch",
            "/memory-batch",
            WRITE_MEMORY,
            "Does several writes to shared memory in one step.",
        )
        .success(200)
        .takes(batch::batch),
    ]
}

fn namespaces_and_conflicts() -> Vec<Operation> {
    vec![
        read(
            "memory.namespaces",
            "/memory-namespaces",
            READ_MEMORY,
            "Lists the namespaces of shared memory.",
        )
        .answers_at_once(namespaces::list),
        read(
            "memory.namespace.get",
            "/memory-namespaces/{namespace}",
            READ_MEMORY,
            "Shows a namespace: how full it is, and its settings.",
        )
        .answers_at_once(namespaces::get),
        put(
            "memory.namespace.set",
            "/memory-namespaces/{namespace}",
            ADMIN,
            "Sets quota, conflict strategies and access of a namespace.",
        )
        .takes(namespaces::set),
        read(
            "memory.conflicts",
            "/memory-conflicts",
            READ_MEMORY,
            "Lists entries for which somebody has to decide between values.",
        )
        .answers_at_once(conflicts::list),
    ]
}

fn transfers() -> Vec<Operation> {
    vec![
        read(
            "memory.export",
            "/memory-export",
            READ_MEMORY,
            "Gives a namespace as lines of JSON.",
        )
        .cost(Cost::High)
        .replies(
            Shape::Empty,
            Shape::Bytes(export::JSON_LINES),
            export::export,
        ),
        act(
            "memory.import",
            "/memory-import",
            WRITE_MEMORY,
            "Takes in entries as lines of JSON.",
        )
        .cost(Cost::High)
        .replies(import::LINES, json_of::<import::Taken>(), import::import),
        act(
            "memory.snapshot",
            "/memory-snapshots",
            WRITE_MEMORY,
            "Keeps a namespace as it is now under a name.",
        )
        .cost(Cost::High)
        .takes(snapshot::take),
        act(
            "memory.restore",
            "/memory-snapshots/restore",
            WRITE_MEMORY,
            "Makes a namespace what it was in a snapshot, all of it or nothing.",
        )
        .cost(Cost::High)
        .takes(restoring::restore),
        act(
            "memory.compact",
            "/memory-compact",
            ADMIN,
            "Removes what is no longer kept, and gives back its space on disk, in small steps.",
        )
        .cost(Cost::High)
        .takes(compact::compact),
    ]
}

/// Names an entry.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EntryPath {
    /// The namespace. In a URL, a `/` in it is written `%2F`.
    namespace: String,
    /// The key. In a URL, a `/` in it is written `%2F`.
    key: String,
}
