//! Looks whether what stands still on parked nodes would end earlier elsewhere.
//!
//! Tasks that wait for their first grant are served before: a move only takes room that is left.
//! Only attempts on parked nodes are looked at, at most once a second, and only when something
//! changed. With time alone it never becomes better to move.

use crate::applier::Reaction;
use crate::snapshot::{Lookups, failed_on, open_snapshot};
use crate::view::View;
use skep_core::State;
use skep_model::command::{AttemptMove, Grant};
use skep_model::ids::{AgentId, TaskId};
use skep_model::task::{Lease, ReadyKey, TaskRecord};
use skep_model::time::UnixMillis;
use skep_scheduler::{AgentView, Pace, QueueView, Snapshot, StandingStill};
use std::collections::BTreeSet;

/// Pause between two looks, milliseconds.
const LOOK_EVERY_MS: u64 = 1_000;

/// When to look.
#[derive(Debug, Default)]
pub(crate) struct Moves {
    /// Something changed since the last look.
    is_wanted: bool,
    /// What was found is not applied yet.
    is_in_flight: bool,
    not_before: u64,
}

impl Moves {
    /// An entry was applied: a node may be parked, or have room. One that did nothing changes
    /// nothing.
    pub(crate) fn note(&mut self, reaction: &Reaction<'_>) {
        let is_parked = reaction.state.parked_nodes().next().is_some();
        self.is_wanted = is_parked && (self.is_wanted || !reaction.events.events.is_empty());
    }

    /// What was found last was applied.
    pub(crate) const fn settled(&mut self) {
        self.is_in_flight = false;
    }

    /// When to look next.
    pub(crate) fn next_look(&self) -> Option<u64> {
        (self.is_wanted && !self.is_in_flight).then_some(self.not_before)
    }

    /// Looks if it is time to: what is to be moved now. `place` chooses agents for the queues of a
    /// snapshot.
    pub(crate) fn look(
        &mut self,
        view: &View,
        now: (u64, UnixMillis),
        place: impl FnOnce(&Snapshot<'_>) -> Vec<Grant>,
    ) -> Vec<AttemptMove> {
        let (elapsed_ms, log_time) = now;
        if self.next_look().is_none_or(|at| elapsed_ms < at) {
            return Vec::new();
        }
        self.is_wanted = false;
        self.not_before = elapsed_ms + LOOK_EVERY_MS;
        let moves = better_elsewhere(view, log_time, place);
        self.is_in_flight = !moves.is_empty();
        moves
    }
}

fn better_elsewhere(
    view: &View,
    now: UnixMillis,
    place: impl FnOnce(&Snapshot<'_>) -> Vec<Grant>,
) -> Vec<AttemptMove> {
    let state = &view.state;
    let on_parked = state.parked_nodes();
    let on_parked = on_parked.flat_map(|node| state.held_by_node(node.id));
    let movable = on_parked.filter(|record| state.movable(record.id).is_some());
    let queues: Vec<(&TaskRecord, BTreeSet<ReadyKey>)> =
        movable.map(|record| (record, alone(record))).collect();
    if queues.is_empty() {
        return Vec::new();
    }
    let failed_on = |task: TaskId| failed_on(state, task);
    let inputs = |task: TaskId| view.holdings.inputs(task);
    let lookups = Lookups {
        failed_on: &failed_on,
        inputs: &inputs,
    };
    let mut snapshot = open_snapshot(view, None, now, &lookups);
    snapshot.queues = queues
        .iter()
        .map(|(record, tasks)| queue(state, record, tasks))
        .collect();
    let grants = place(&snapshot);
    let better = |grant: &Grant| {
        let lease = state.movable(grant.task)?;
        let attempt = standing_still(state, snapshot.mean_ms, grant.task, lease)?;
        let to = snapshot.agents.iter().find(|to| to.id == grant.agent)?;
        attempt
            .is_better_moved(now, pace_of(to))
            .then_some(AttemptMove {
                task: grant.task,
                fence: lease.fence,
                agent: grant.agent,
            })
    };
    grants.iter().filter_map(better).collect()
}

fn alone(record: &TaskRecord) -> BTreeSet<ReadyKey> {
    BTreeSet::from([ReadyKey {
        ready_at: record.ready_at,
        sequence: record.sequence,
        task: record.id,
    }])
}

/// The task as if it were ready.
fn queue<'a>(
    state: &'a State,
    record: &'a TaskRecord,
    tasks: &'a BTreeSet<ReadyKey>,
) -> QueueView<'a> {
    let run = record.run.and_then(|run| state.run(run));
    QueueView {
        requirements: &record.spec.requirements,
        run: record.run,
        weight: run.map_or(0, |run| run.spec.weight),
        held_by_run: run.map_or(0, |run| run.counts.held()),
        priority: record.spec.priority.effective(record.had_needs),
        tasks,
    }
}

fn standing_still(
    state: &State,
    mean_ms: u64,
    task: TaskId,
    lease: &Lease,
) -> Option<StandingStill> {
    let record = state.task(task)?;
    let parked = state.node(lease.node)?.parked?;
    let since = UnixMillis(parked.until.0.saturating_sub(parked.for_ms));
    Some(StandingStill {
        until: parked.until,
        ran_ms: lease.started_at.map_or(0, |started| since.since(started)),
        timeout_ms: record.spec.work.timeout_ms(),
        deadline: record.spec.deadline,
        pace: pace(state, lease.agent),
        mean_ms,
    })
}

fn pace(state: &State, agent: AgentId) -> Pace {
    let agent = state.agent(agent);
    Pace {
        succeeded: agent.map_or(0, |agent| agent.succeeded),
        busy_ms: agent.map_or(0, |agent| agent.busy_ms),
    }
}

const fn pace_of(agent: &AgentView<'_>) -> Pace {
    Pace {
        succeeded: agent.succeeded,
        busy_ms: agent.busy_ms,
    }
}

#[cfg(test)]
mod tests;
