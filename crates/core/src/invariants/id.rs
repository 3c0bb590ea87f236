//! Names of invariants, and what is said of one that does not hold.

/// Names an invariant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum InvariantId {
    /// No live task or run is in a final state.
    OnlyLiveRecords,
    /// The overall counts are those of the live tasks.
    CountsMatchTasks,
    /// Each run knows its live tasks, counts them, and has at least one.
    RunsMatchTasks,
    /// The queues hold exactly the ready tasks, each under its requirements, priority and run.
    QueuesMatchTasks,
    /// The timers are those of the live tasks.
    TimersMatchTasks,
    /// Each requirement signature counts the tasks that have it.
    SignaturesMatchTasks,
    /// A task has a lease if and only if it is held.
    LeasesAreHeld,
    /// Leases name known nodes, and nodes and agents count exactly what they hold.
    UseMatchesLeases,
    /// Tasks are held only by agents of the kind that can do them.
    WorkIsWithItsPerformers,
    /// No node or agent holds more than its slots and resources, as they last shrank.
    UseWithinCapacity,
    /// Only pending and paused tasks wait for others, and each waits for live tasks of its run.
    OnlyWaitingTasksWait,
    /// Each task knows exactly those who wait for it.
    ChildrenMatchNeeds,
    /// An at-most-once task was granted at most once.
    AtMostOnceIsOnce,
    /// The fences of a task rise from attempt to attempt.
    FencesRise,
    /// Names and secrets lead to exactly the records that have them.
    NamesMatchRecords,
    /// Agents live on known nodes, and nodes know their agents.
    AgentsMatchNodes,
    /// Each idempotency key expires once.
    ExpiriesMatchKeys,
    /// What decisions read of nodes and agents is what these are.
    OpenNodesMatchNodes,
    /// Counts, quotas, expiries and conflicts of shared memory are those of its entries.
    MemoryIndexesMatchEntries,
    /// Each version of a namespace was given by it, and once only.
    MemoryVersionsWereGiven,
    /// No namespace is kept in which nothing is and about which nothing was said.
    NamespacesHaveReasons,
    /// Names, due times and live runs of schedules are those of their records, and such runs live.
    ScheduleIndexesMatchRecords,
    /// Names, watches, waiting events and live runs of triggers are those of their records, and such
    /// runs live.
    TriggerIndexesMatchRecords,
    /// Events that counted for a trigger wait in order and within bounds, led to a run, or were
    /// refused.
    TriggersAccountForEvents,
}

/// An invariant that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invariant {invariant:?} does not hold: {detail}")]
pub struct Violation {
    /// Which.
    pub invariant: InvariantId,
    /// Where.
    pub detail: String,
}
