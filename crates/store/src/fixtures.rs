//! Objects for tests: each fully valid, all of them made from small numbers.

use crate::{
    Archive, DataDir, OpenOptions, PageStart, RunFilter, SqliteJournal, Store, StoreError,
    TaskFilter,
};
use skep_coordinator::ports::{Checkpoint, Commit, Derived, Journal, StateDigest};
use skep_model::attempt::{
    ArtifactHash, ArtifactRecord, AttemptReport, Fence, LogIndex, Outcome, ResourceUse,
};
use skep_model::command::{Actor, Command, LogEntry};
use skep_model::event::{EntryEvents, Event, EventCursor};
use skep_model::ids::{RunId, TaskId};
use skep_model::memory::{
    Embedding, MemoryEffect, MemoryProvenance, MemoryPut, MemoryRecord, MemoryValue, MemoryVersion,
    Namespace, RecordState,
};
use skep_model::row::{Row, RowChange, RowKey};
use skep_model::run::{RunRecord, RunSpec, RunState, TaskCounts};
use skep_model::task::{FinalCause, FinishedTask, NewTask, TaskRecord, TaskSpec, TaskState};
use skep_model::time::UnixMillis;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

pub(crate) fn options() -> OpenOptions {
    OpenOptions {
        ballast_bytes: 0,
        readers: 2,
        ..OpenOptions::default()
    }
}

/// Opens a directory up to its journal.
pub(crate) fn journal_in(path: &Path) -> SqliteJournal {
    let dir = DataDir::open(path, options()).unwrap();
    Store::open(&dir).unwrap().recover().unwrap().1
}

pub(crate) fn digest(number: u64) -> StateDigest {
    *blake3::hash(&number.to_le_bytes()).as_bytes()
}

pub(crate) const fn task_id(number: u128) -> TaskId {
    TaskId::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0000 + number)
}

pub(crate) const fn run_id(number: u128) -> RunId {
    RunId::from_u128(0x0192_0000_0000_7000_9000_0000_0000_0000 + number)
}

/// A submission of `tasks` tasks whose ids follow from the index.
pub(crate) fn entry(index: u64, tasks: u64) -> LogEntry {
    let tasks = (0..tasks).map(|number| NewTask {
        id: task_id(u128::from(index * 1_000 + number)),
        spec: Arc::new(TaskSpec::noop(format!("task-{index}-{number}"))),
        needs: Vec::new(),
    });
    LogEntry {
        at: UnixMillis(1_700_000_000_000 + index),
        seed: index,
        actor: Actor::Coordinator,
        command: Command::SubmitTasks {
            run: None,
            tasks: tasks.collect(),
            idempotency: None,
        },
    }
}

pub(crate) fn events(index: u64, count: u32) -> Arc<EntryEvents> {
    let event = |ordinal| Event::TaskSubmitted {
        task: task_id(u128::from(index * 1_000) + u128::from(ordinal)),
        run: None,
        name: format!("task-{index}-{ordinal}"),
        state: TaskState::Ready,
    };
    Arc::new(EntryEvents {
        index: LogIndex(index),
        at: UnixMillis(1_700_000_000_000 + index),
        actor: Actor::Coordinator,
        events: (0..count).map(event).collect(),
    })
}

/// A task that succeeded without a report.
pub(crate) fn finished(number: u128, run: Option<RunId>, name: &str) -> FinishedTask {
    FinishedTask {
        record: TaskRecord {
            id: task_id(number),
            run,
            spec: Arc::new(TaskSpec::noop(name)),
            state: TaskState::Succeeded,
            submitted_at: UnixMillis(1),
            sequence: (1, 0),
            state_since: UnixMillis(2),
            ready_at: UnixMillis(1),
            waits_for: Vec::new(),
            had_needs: false,
            need_failed: false,
            need_cancelled: false,
            not_before: None,
            attempts: 1,
            attempts_extra: 0,
            lease: None,
            ended_attempts: Vec::new(),
            failed_on: Vec::new(),
            compensates: None,
        },
        cause: FinalCause::Reported,
        report: None,
        finished_at: UnixMillis(2),
    }
}

/// The report of an attempt that handed in these bytes, one artifact each.
pub(crate) fn report(task: TaskId, outcome: Outcome, artifacts: &[&[u8]]) -> Box<AttemptReport> {
    let artifact = |bytes: &&[u8]| ArtifactRecord {
        name: "out".to_owned(),
        path: format!("out/{}", bytes.len()),
        bytes: bytes.len() as u64,
        blake3: ArtifactHash::of(bytes),
        executable: false,
    };
    Box::new(AttemptReport {
        task,
        fence: Fence {
            epoch: 1,
            index: LogIndex(1),
        },
        outcome,
        exit_code: None,
        duration_ms: 1,
        usage: ResourceUse::default(),
        isolation: None,
        artifacts: artifacts.iter().map(artifact).collect(),
        gates: Vec::new(),
        account: None,
    })
}

pub(crate) fn run(number: u128, name: &str, state: RunState) -> RunRecord {
    RunRecord {
        id: run_id(number),
        spec: Arc::new(RunSpec {
            name: name.to_owned(),
            labels: BTreeMap::new(),
            weight: 10,
            trace_parent: None,
            strategy: None,
        }),
        state,
        counts: TaskCounts::default(),
        submitted_at: UnixMillis(1),
        finished_at: Some(UnixMillis(2)),
        cancel_requested: false,
        compensations: Vec::new(),
    }
}

pub(crate) fn entries(indexes: std::ops::RangeInclusive<u64>) -> Commit {
    let entries = indexes.map(|index| (LogIndex(index), entry(index, index % 3)));
    Commit {
        entries: entries.collect(),
        derived: Derived::default(),
    }
}

pub(crate) fn derived_events(indexes: std::ops::RangeInclusive<u64>) -> Derived {
    let events = indexes.map(|index| (events(index, 2), digest(index)));
    Derived {
        events: events.collect(),
        ..Derived::default()
    }
}

pub(crate) fn history(tasks: Vec<FinishedTask>, runs: Vec<RunRecord>) -> Commit {
    let tasks = tasks.into_iter().map(Arc::new).collect();
    let runs = runs.into_iter().map(Arc::new).collect();
    Commit {
        entries: Vec::new(),
        derived: Derived {
            tasks,
            runs,
            ..Derived::default()
        },
    }
}

/// A checkpoint that puts the clock to this time.
pub(crate) fn clock_checkpoint(index: u64, clock: u64) -> Derived {
    let changes = vec![RowChange::Put(RowKey::Clock, Row::Clock(UnixMillis(clock)))];
    let checkpoint = Checkpoint {
        index: LogIndex(index),
        digest: digest(index),
        changes,
    };
    Derived {
        checkpoint: Some(checkpoint),
        ..Derived::default()
    }
}

/// Commits what each of the numbers stands for: that many entries.
pub(crate) fn commit_sizes(journal: &mut SqliteJournal, sizes: &[u64]) {
    for size in sizes {
        let first = journal.last_index().0 + 1;
        journal.commit(&entries(first..=first + size - 1)).unwrap();
    }
}

/// A database that has something in every table of the first schema.
pub(crate) fn write_first_version(path: &Path) {
    let mut journal = journal_in(path);
    commit_sizes(&mut journal, &[5, 3]);
    let mut task = finished(1, Some(run_id(1)), "first");
    task.report = Some(report(task.record.id, Outcome::Completed, &[b"bytes"]));
    let derived = Derived {
        tasks: vec![Arc::new(task), Arc::new(finished(2, None, "second"))],
        runs: vec![Arc::new(run(1, "nightly", RunState::Succeeded))],
        checkpoint: clock_checkpoint(4, 44).checkpoint,
        ..derived_events(1..=8)
    };
    journal
        .commit(&Commit {
            derived,
            ..entries(9..=10)
        })
        .unwrap();
    journal.index_search(10).unwrap();
}

/// A database that has something in every table.
pub(crate) fn write_everything(path: &Path) {
    write_first_version(path);
    let mut journal = journal_in(path);
    let artifact = MemoryValue::Artifact {
        blake3: ArtifactHash::of(b"bytes"),
        bytes: 5,
    };
    let large = format!("\"{}\"", "much to say ".repeat(200));
    let effects = [
        ("notes/a", 1, MemoryValue::Json("\"first words\"".into())),
        ("notes/a", 2, MemoryValue::Json(large.as_str().into())),
        ("notes/b", 3, MemoryValue::Bytes(b"plain".as_slice().into())),
        ("notes/c", 4, artifact),
    ];
    let effects = effects.map(|(key, version, value)| memory_put(key, version, value));
    journal.commit(&memory(effects.to_vec())).unwrap();
    journal.index_search(10).unwrap();
}

/// A version of an entry in the namespace `knowledge`.
pub(crate) fn memory_record(key: &str, version: u64, state: RecordState) -> MemoryRecord {
    MemoryRecord {
        namespace: Namespace::KNOWLEDGE.parse().unwrap(),
        key: key.parse().unwrap(),
        version: MemoryVersion(version),
        state,
        put: None,
        expires_at: None,
        written_at: UnixMillis(version),
        actor: Actor::Coordinator,
        provenance: MemoryProvenance {
            why: Some("to remember".to_owned()),
            ..MemoryProvenance::default()
        },
        stamp: None,
        replaced: None,
    }
}

pub(crate) fn memory_put(key: &str, version: u64, value: MemoryValue) -> MemoryEffect {
    let put = MemoryPut {
        value,
        ttl_ms: None,
        tags: [format!("tag{version}").parse().unwrap()].into(),
        metadata: BTreeMap::from([("source".to_owned(), "test".to_owned())]),
        embedding: Some(Embedding::of(&[1.0, version as f32]).unwrap()),
    };
    MemoryEffect::Recorded(Arc::new(MemoryRecord {
        put: Some(Arc::new(put)),
        ..memory_record(key, version, RecordState::Written)
    }))
}

pub(crate) fn memory(effects: Vec<MemoryEffect>) -> Commit {
    Commit {
        entries: Vec::new(),
        derived: Derived {
            memory: effects,
            ..Derived::default()
        },
    }
}

fn remembered(archive: &Archive, key: &str) -> Result<Vec<Option<MemoryRecord>>, StoreError> {
    let (namespace, key) = (Namespace::KNOWLEDGE.parse().unwrap(), key.parse().unwrap());
    let history = archive.memory_history(&namespace, &key, None, 100)?;
    let versions = history.into_iter().map(|head| head.record.version);
    versions
        .map(|version| archive.memory(&namespace, &key, version))
        .collect()
}

/// What can be read of what [`write_everything`] wrote: what is recovered, and what the archive
/// says.
pub(crate) fn read_everything(path: &Path) -> Result<(String, String), StoreError> {
    let dir = DataDir::open(path, options())?;
    let store = Store::open(&dir)?;
    let archive = store.archive();
    let recovered = store.recover()?.0;
    let found = (
        archive.events_after(EventCursor::default(), 100)?,
        archive.task(task_id(1))?,
        archive.task_by_name(run_id(1), "first")?,
        archive.tasks(&TaskFilter::default(), PageStart::Newest, 100)?,
        archive.runs(&RunFilter::default(), PageStart::Newest, 100)?,
        archive.run(run_id(1))?,
        archive.artifacts_of_run(run_id(1), 100)?,
        archive.artifact_references(ArtifactHash::of(b"bytes"), 100)?,
        remembered(&archive, "notes/a")?,
        remembered(&archive, "notes/b")?,
        remembered(&archive, "notes/c")?,
    );
    Ok((format!("{recovered:#?}"), format!("{found:#?}")))
}
