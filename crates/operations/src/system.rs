//! Operations on the coordinator itself: how it is, what it counts, what is wrong with it.

pub use crate::check::Check;
use crate::context::{Context, Services};
use crate::declare::{ADMIN, READ, act, read};
use crate::error::OperationError;
use crate::events;
use crate::fields::NoParameters;
use crate::lookup;
use crate::operation::{Cost, Operation};
use crate::rfc3339::Timestamp;
use futures_util::FutureExt;
use serde::{Deserialize, Serialize};
use skep_coordinator::{COMMIT_BUCKETS_MS, EngineStats};
use skep_model::ids::ClusterId;
use skep_model::limits;
use skep_model::node::NodeState;
use skep_model::run::TaskCounts;
use skep_model::task::TaskState;
use skep_store::Archive;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A clock that lags this far behind the newest entry is reported.
const CLOCK_LAG_MS_MAX: u64 = 1_000;
/// Longest time a readiness check may take.
const READINESS_TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        read(
            "system.status",
            "/system/status",
            READ,
            "Shows the swarm at a glance.",
        )
        .answers(status),
        read(
            "system.health",
            "/system/health",
            READ,
            "Says whether the coordinator can work.",
        )
        .answers(health),
        read(
            "system.metrics",
            "/system/metrics",
            READ,
            "Shows the coordinator's counters.",
        )
        .answers_at_once(metrics),
        act(
            "system.diagnostics",
            "/system/diagnostics",
            ADMIN,
            "Examines store, disk and nodes.",
        )
        .cost(Cost::High)
        .takes(diagnostics),
    ]
}

/// The swarm at a glance.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct Status {
    /// The installation.
    cluster: ClusterId,
    /// Version of Skep.
    version: String,
    /// When this process started.
    started_at: Timestamp,
    /// Live tasks by state.
    tasks: TaskCounts,
    /// Live runs.
    runs: usize,
    /// Nodes by state.
    nodes: BTreeMap<NodeState, usize>,
    /// Agents.
    agents: usize,
    /// Attempts that the ready nodes run at a time, in all.
    slots: u64,
    /// Of these, taken ones.
    slots_taken: u64,
    /// The newest event; following goes on after it.
    events_cursor: String,
    /// Size of the history.
    history: History,
    /// Size of shared memory.
    memory: SharedMemory,
}

/// Size of shared memory.
#[derive(Debug, Default, Serialize, schemars::JsonSchema)]
struct SharedMemory {
    /// Namespaces.
    namespaces: u64,
    /// Entries in all of them.
    entries: u64,
    /// Bytes of their keys, values, tags and metadata.
    bytes: u64,
    /// Versions that the history keeps.
    versions: u64,
    /// The model that is asked where texts lie among meanings; none without a model server.
    embedding_model: Option<String>,
}

/// Size of the history.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct History {
    /// Tasks that are final.
    tasks: u64,
    /// Runs that are final.
    runs: u64,
    /// Entries in the log.
    log_entries: u64,
    /// Bytes of the database.
    database_bytes: u64,
}

async fn status(context: Context, _: NoParameters) -> Result<Status, OperationError> {
    let services = &context.services;
    let sizes = lookup::ask(services, "measure the archive", Archive::sizes).await?;
    let cursor = events::newest(services).await?;
    let view = services.hive.view();
    let mut nodes = BTreeMap::new();
    let (mut slots, mut slots_taken) = (0, 0);
    for node in view.state.machines() {
        *nodes.entry(node.state).or_default() += 1;
        if node.state == NodeState::Ready {
            slots += u64::from(node.facts.slots);
            slots_taken += u64::from(view.state.node_use(node.id).attempts);
        }
    }
    let embedder = services.shared_memory.embedder.as_ref();
    let mut memory = SharedMemory {
        versions: sizes.memory_versions,
        embedding_model: embedder.map(|embedder| embedder.model().to_owned()),
        ..SharedMemory::default()
    };
    for namespace in view.state.namespaces() {
        memory.namespaces += 1;
        memory.entries += namespace.entries;
        memory.bytes += namespace.bytes;
    }
    Ok(Status {
        memory,
        cluster: services.server.cluster,
        version: services.server.version.clone(),
        started_at: services.server.started_at.into(),
        tasks: *view.state.counts(),
        runs: view.state.runs().count(),
        nodes,
        agents: view.state.agents().count(),
        slots,
        slots_taken,
        events_cursor: cursor.to_string(),
        history: History {
            tasks: sizes.tasks,
            runs: sizes.runs,
            log_entries: sizes.log_entries,
            database_bytes: sizes.database_bytes + sizes.wal_bytes,
        },
    })
}

/// What was looked at.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct Report {
    /// Whether all is well.
    ok: bool,
    /// The findings.
    checks: Vec<Check>,
}

impl Report {
    fn new(checks: Vec<Check>) -> Self {
        Self {
            ok: checks.iter().all(|check| check.ok),
            checks,
        }
    }
}

/// Whether the coordinator can take commands now: log, archive, disk.
pub async fn readiness(services: &Arc<Services>) -> Vec<Check> {
    let archive = lookup::ask(services, "read the archive", Archive::sizes);
    let archive = match tokio::time::timeout(READINESS_TIMEOUT, archive).await {
        Ok(Ok(_)) => Check::new("archive", true, "answers"),
        Ok(Err(error)) => Check::new("archive", false, error.detail()),
        Err(_) => Check::new("archive", false, "does not answer in time"),
    };
    vec![log_check(services), archive, disk_check(services).await]
}

fn log_check(services: &Services) -> Check {
    if services.hive.ended().now_or_never().is_some() {
        return Check::new("log", false, "the coordinator takes no more commands");
    }
    let waiting = services.hive.stats().proposals_waiting;
    let full = waiting >= limits::PROPOSALS_QUEUED_MAX as u64;
    Check::new(
        "log",
        !full,
        format!("{waiting} commands wait for a commit"),
    )
}

async fn disk_check(services: &Arc<Services>) -> Check {
    let data_dir = services.data_dir.clone();
    match lookup::blocking("measure the disk", move || data_dir.space()).await {
        Ok(skep_store::SpaceState::Ok { free }) => {
            Check::new("disk", true, format!("{free} bytes are free"))
        }
        Ok(skep_store::SpaceState::Low { free }) => {
            Check::new("disk", false, format!("only {free} bytes are free"))
        }
        Err(error) => Check::new("disk", false, error.detail()),
    }
}

async fn health(context: Context, _: NoParameters) -> Result<Report, OperationError> {
    Ok(Report::new(readiness(&context.services).await))
}

/// Counters since the start of the process.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct Counters {
    /// Log entries applied.
    entries_applied: u64,
    /// Group commits that carried entries.
    commits: u64,
    /// How long they took.
    commit_duration: Vec<Bucket>,
    /// Sum of their durations, milliseconds.
    commit_duration_ms_sum: u64,
    /// Commands that wait for a commit.
    proposals_waiting: u64,
    /// Commands turned away by a full queue.
    proposals_refused: u64,
    /// Tasks taken in.
    tasks_submitted: u64,
    /// Tasks that became final, by state.
    tasks_finished: BTreeMap<TaskState, u64>,
    /// Attempts granted.
    attempts_granted: u64,
    /// Attempts given up with their node.
    leases_lost: u64,
    /// Reports refused by their fence.
    reports_fenced: u64,
    /// Connected nodes.
    node_connections: u64,
    /// Callers that follow the events.
    event_subscribers: usize,
}

/// Commits of some duration.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct Bucket {
    /// At most this many milliseconds; none for longer ones.
    up_to_ms: Option<u64>,
    /// Commits longer than those of the bucket before.
    count: u64,
}

#[expect(clippy::unnecessary_wraps, reason = "all handlers have this form")]
fn metrics(context: &Context, _: &NoParameters) -> Result<Counters, OperationError> {
    let stats: EngineStats = context.services.hive.stats();
    let bounds = COMMIT_BUCKETS_MS.iter().copied().map(Some).chain([None]);
    let finals = TaskState::ALL.into_iter().filter(|state| state.is_final());
    Ok(Counters {
        entries_applied: stats.entries_applied,
        commits: stats.commits,
        commit_duration: bounds
            .zip(stats.commit_durations)
            .map(|(up_to_ms, count)| Bucket { up_to_ms, count })
            .collect(),
        commit_duration_ms_sum: stats.commit_duration_ms_sum,
        proposals_waiting: stats.proposals_waiting,
        proposals_refused: stats.proposals_refused,
        tasks_submitted: stats.tasks_submitted,
        tasks_finished: finals.zip(stats.tasks_finished).collect(),
        attempts_granted: stats.attempts_granted,
        leases_lost: stats.leases_lost,
        reports_fenced: stats.reports_fenced,
        node_connections: stats.links,
        event_subscribers: context.services.subscriber_count(),
    })
}

/// What to examine.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Diagnosis {
    /// Whether to check every stored hash too, which reads the whole database.
    full: bool,
}

async fn diagnostics(
    context: Context,
    _: NoParameters,
    wanted: Diagnosis,
) -> Result<Report, OperationError> {
    let services = &context.services;
    let mut checks = readiness(services).await;
    checks.push(clock_check(services));
    checks.push(nodes_check(services));
    if wanted.full {
        checks.push(store_check(services).await);
    }
    Ok(Report::new(checks))
}

fn clock_check(services: &Services) -> Check {
    let newest = services.hive.view().state.now();
    let lag = newest.since(services.clock.wall());
    let detail = format!("the clock is {lag} ms behind the newest entry of the log");
    Check::new("clock", lag <= CLOCK_LAG_MS_MAX, detail)
}

fn nodes_check(services: &Services) -> Check {
    let view = services.hive.view();
    let nodes = || view.state.machines();
    let named = |state| {
        let names: Vec<_> = nodes()
            .filter(|node| node.state == state)
            .map(|node| node.facts.name.as_str())
            .collect();
        names.join(", ")
    };
    let ready = nodes()
        .filter(|node| node.state == NodeState::Ready)
        .count();
    let (suspect, lost) = (named(NodeState::Suspect), named(NodeState::Lost));
    let mut detail = format!("{ready} of {} nodes take work", nodes().count());
    for (state, names) in [("suspect", &suspect), ("lost", &lost)] {
        if !names.is_empty() {
            detail.extend(["; ", state, ": ", names]);
        }
    }
    Check::new(
        "nodes",
        ready > 0 && suspect.is_empty() && lost.is_empty(),
        detail,
    )
}

async fn store_check(services: &Arc<Services>) -> Check {
    match lookup::ask(services, "verify the store", Archive::verify_all).await {
        Ok(report) if report.findings.is_empty() => Check::new(
            "store",
            true,
            format!(
                "{} log entries and {} tasks are intact",
                report.log_entries, report.tasks
            ),
        ),
        Ok(report) => {
            let findings: Vec<_> = report
                .findings
                .into_iter()
                .map(|finding| finding.message)
                .collect();
            Check::new("store", false, findings.join("; "))
        }
        Err(error) => Check::new("store", false, error.detail()),
    }
}
