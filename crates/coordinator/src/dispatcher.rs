//! Turns ready tasks and free agents into grants.
//!
//! One decision is under way at a time: the next is made on the state that holds its grants. So
//! a task is never proposed twice, and no list of "granted but not applied" has to be kept.

use crate::placement::Placement;
use crate::snapshot::{Lookups, NODES_PER_DECISION_MAX, failed_on, open_snapshot};
use crate::view::View;
use skep_core::State;
use skep_model::command::Grant;
use skep_model::event::{EntryEvents, Event};
use skep_model::ids::{NodeId, TaskId};
use skep_model::time::UnixMillis;
use skep_scheduler::{Policy, Snapshot, Strategy};

/// Pause after a decision of which the core refused every grant, milliseconds.
const REFUSED_DECISION_PAUSE_MS: u64 = 1_000;

/// Proposes grants when something changed.
pub(crate) struct Dispatcher {
    placement: Placement,
    policy: Policy,
    decision_in_flight: bool,
    /// The node that the last decision looked at last.
    seen: Option<NodeId>,
    /// No decision before this: the last one was refused as a whole.
    pause_until: Option<u64>,
}

impl std::fmt::Debug for Dispatcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dispatcher")
            .field("strategy", &self.placement.name())
            .field("decision_in_flight", &self.decision_in_flight)
            .finish_non_exhaustive()
    }
}

impl Dispatcher {
    pub(crate) fn new(strategy: Box<dyn Strategy + Send + Sync>, policy: Policy) -> Self {
        Self {
            placement: Placement::new(strategy),
            policy,
            decision_in_flight: false,
            seen: None,
            pause_until: None,
        }
    }

    /// Whether there is something to decide: tasks wait, no decision is under way and none is
    /// put off.
    pub(crate) fn may_decide(&mut self, state: &State, now: u64) -> bool {
        let paused = self.pause_until.is_some_and(|until| now < until);
        if self.decision_in_flight || paused {
            return false;
        }
        self.pause_until = None;
        state.ready_count() > 0
    }

    /// Grants to propose now; empty when nothing fits. When more nodes have room than one decision
    /// looks at, the caller asks again after these grants: the next one looks at others.
    pub(crate) fn decide(&mut self, view: &View, now: UnixMillis) -> Vec<Grant> {
        let state = &view.state;
        let failed_on = |task: TaskId| failed_on(state, task);
        let inputs = |task: TaskId| view.holdings.inputs(task);
        let lookups = Lookups {
            failed_on: &failed_on,
            inputs: &inputs,
        };
        let mut unseen = state.open_node_count();
        loop {
            let snapshot = open_snapshot(view, self.seen, now, &lookups);
            let grants = self.place(state, &snapshot);
            self.seen = snapshot.nodes.last().map(|node| node.id).or(self.seen);
            unseen = unseen.saturating_sub(NODES_PER_DECISION_MAX);
            // What fits none of these nodes may fit the next ones.
            if !grants.is_empty() || unseen == 0 {
                self.decision_in_flight = !grants.is_empty();
                return grants;
            }
        }
    }

    /// Chooses agents for the tasks of a snapshot of this state.
    pub(crate) fn place(&mut self, state: &State, snapshot: &Snapshot<'_>) -> Vec<Grant> {
        let grants = self.placement.place(state, snapshot, &self.policy);
        self.policy.granted(&grants);
        grants
    }

    /// Whether grants were proposed and are not applied yet.
    pub(crate) const fn is_deciding(&self) -> bool {
        self.decision_in_flight
    }

    /// The grants of the last decision were applied. When the core refused all of them, scheduler
    /// and core disagree: a pause keeps them from filling the log with refusals.
    pub(crate) fn settled(&mut self, events: &EntryEvents, now: u64) {
        let any = events
            .events
            .iter()
            .any(|event| matches!(event, Event::TaskLeased { .. }));
        self.decision_in_flight = false;
        self.pause_until = (!any).then(|| now + REFUSED_DECISION_PAUSE_MS);
    }

    /// When a paused decision may be made.
    pub(crate) const fn pause_until(&self) -> Option<u64> {
        self.pause_until
    }
}

#[cfg(test)]
mod pool_tests;
#[cfg(test)]
mod tests;
