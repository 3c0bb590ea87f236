//! Measures the journal on this machine's disk: `cargo run --release --example commit_throughput`.
//!
//! Three loads: submissions of 100 tasks per entry, single entries, and finished tasks that go
//! into the history. Each group commit is synced, as in production.

use skep_coordinator::ports::{Checkpoint, Commit, Derived, Journal};
use skep_model::attempt::LogIndex;
use skep_model::command::{Actor, Command, LogEntry};
use skep_model::event::{EntryEvents, Event};
use skep_model::ids::TaskId;
use skep_model::row::{Row, RowChange, RowKey};
use skep_model::task::{FinalCause, FinishedTask, NewTask, TaskRecord, TaskSpec, TaskState};
use skep_model::time::UnixMillis;
use skep_store::{DataDir, OpenOptions, SqliteJournal, Store};
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

type Failure = Box<dyn std::error::Error>;

/// How long each load runs.
const LOAD_TIME: Duration = Duration::from_secs(4);

fn task_id(number: u64) -> TaskId {
    TaskId::from_u128((0x0192_u128 << 112) + (u128::from(number) << 40) + u128::from(number % 97))
}

fn submission(index: u64, tasks: u64) -> LogEntry {
    let spec = Arc::new(TaskSpec::noop("measure"));
    let tasks = (0..tasks).map(|number| NewTask {
        id: task_id(index * 1_000 + number),
        spec: Arc::clone(&spec),
        needs: Vec::new(),
    });
    LogEntry {
        at: UnixMillis(index),
        seed: index,
        actor: Actor::Coordinator,
        command: Command::SubmitTasks {
            run: None,
            tasks: tasks.collect(),
            idempotency: None,
        },
    }
}

fn submitted_events(index: u64, tasks: u64) -> Arc<EntryEvents> {
    let event = |number| Event::TaskSubmitted {
        task: task_id(index * 1_000 + number),
        run: None,
        name: "measure".to_owned(),
        state: TaskState::Ready,
    };
    Arc::new(EntryEvents {
        index: LogIndex(index),
        at: UnixMillis(index),
        actor: Actor::Coordinator,
        events: (0..tasks).map(event).collect(),
    })
}

fn live(number: u64) -> TaskRecord {
    TaskRecord {
        id: task_id(number),
        run: None,
        spec: Arc::new(TaskSpec::noop("measure")),
        state: TaskState::Ready,
        submitted_at: UnixMillis(number),
        sequence: (number, 0),
        state_since: UnixMillis(number),
        ready_at: UnixMillis(number),
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
    }
}

fn finished(number: u64) -> Arc<FinishedTask> {
    let record = TaskRecord {
        state: TaskState::Succeeded,
        ..live(number)
    };
    Arc::new(FinishedTask {
        record,
        cause: FinalCause::Reported,
        report: None,
        finished_at: UnixMillis(number),
    })
}

/// A group of entries with the events of as many entries before.
fn group(first: u64, entries: u64, tasks: u64) -> Commit {
    let last = first + entries;
    let earlier = first.saturating_sub(entries).max(1)..first;
    Commit {
        entries: (first..last)
            .map(|index| (LogIndex(index), submission(index, tasks)))
            .collect(),
        derived: Derived {
            events: earlier
                .map(|index| (submitted_events(index, tasks), [0; 32]))
                .collect(),
            ..Derived::default()
        },
    }
}

/// Commits what `make` gives for the next index until the time is up; only commits are timed.
fn load(
    journal: &mut SqliteJournal,
    name: &str,
    items_per_commit: u64,
    mut make: impl FnMut(u64) -> Commit,
) -> Result<(), Failure> {
    let mut times = Vec::new();
    let mut total = Duration::ZERO;
    while total < LOAD_TIME {
        let commit = make(journal.last_index().0 + 1);
        let start = Instant::now();
        journal.commit(&commit)?;
        times.push(start.elapsed());
        total += start.elapsed();
    }
    times.sort_unstable();
    let rate = (times.len() as u64 * items_per_commit) as f64 / total.as_secs_f64();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1_000.0;
    writeln!(
        std::io::stdout(),
        "{name:<44} {rate:>9.0}/s   commit p50 {:.2} ms, p99 {:.2} ms",
        at(50),
        at(99)
    )?;
    Ok(())
}

fn main() -> Result<(), Failure> {
    let parent = match std::env::args_os().nth(1) {
        Some(path) => tempfile::tempdir_in(path)?,
        None => tempfile::tempdir()?,
    };
    let dir = DataDir::open(parent.path().join("data"), OpenOptions::default())?;
    let (_, mut journal) = Store::open(&dir)?.recover()?;
    let journal = &mut journal;
    load(
        journal,
        "tasks, 100 per entry, 10 entries per commit",
        1_000,
        |at| group(at, 10, 100),
    )?;
    load(
        journal,
        "tasks, 100 per entry, 50 entries per commit",
        5_000,
        |at| group(at, 50, 100),
    )?;
    load(journal, "single entries, 64 per commit", 64, |at| {
        group(at, 64, 1)
    })?;
    load(journal, "single entries, 500 per commit", 500, |at| {
        group(at, 500, 1)
    })?;
    load(journal, "one entry per commit", 1, |at| group(at, 1, 1))?;
    let mut number = 0;
    load(journal, "finished tasks, 500 per commit", 500, |_| {
        number += 500;
        let tasks = (number - 500..number).map(finished).collect();
        Commit {
            derived: Derived {
                tasks,
                ..Derived::default()
            },
            ..Commit::default()
        }
    })?;
    let mut number = 0;
    let index = journal.last_index();
    load(journal, "checkpoint rows, 5,000 per commit", 5_000, |_| {
        number += 5_000;
        let put = |n| RowChange::Put(RowKey::Task(task_id(n)), Row::Task(live(n)));
        let changes = (number - 5_000..number).map(put).collect();
        let checkpoint = Some(Checkpoint {
            index,
            digest: [0; 32],
            changes,
        });
        Commit {
            derived: Derived {
                checkpoint,
                ..Derived::default()
            },
            ..Commit::default()
        }
    })?;
    let start = Instant::now();
    let indexed = journal.index_search(20_000)?;
    writeln!(
        std::io::stdout(),
        "{:<44} {:>9.0}/s",
        "search, rows indexed",
        f64::from(indexed) / start.elapsed().as_secs_f64()
    )?;
    Ok(())
}
