//! Which nodes fail one attempt after another, as far as this process has seen.
//!
//! Fed with applied events, so that it sees attempts of all connections in the order of the log.
//! Not part of the log: after a restart all breakers are closed.

use crate::view::Recent;
use skep_core::State;
use skep_model::attempt::Outcome;
use skep_model::event::{EntryEvents, Event};
use skep_model::ids::{NodeId, TaskId};
use skep_model::node::{NodeClass, NodeState};
use skep_model::task::{AttemptEnd, AttemptSummary, FinalCause, FinishedTask, HandBack, TaskState};
use skep_model::time::UnixMillis;
use skep_scheduler::{AttemptEnd as Verdict, Breaker, BreakerView, EndedAttempt};
use std::collections::{BTreeMap, BTreeSet};

/// Where and when attempts end.
#[derive(Clone, Copy)]
struct Scene<'a> {
    state: &'a State,
    now: UnixMillis,
}

impl Scene<'_> {
    /// A node that was removed meanwhile counts as a server.
    fn class_of(self, node: NodeId) -> NodeClass {
        let record = self.state.node(node);
        record.map(|record| record.facts.class).unwrap_or_default()
    }
}

/// The breakers of all nodes. Closed ones without a failure take no room.
#[derive(Debug, Default)]
pub struct Breakers {
    by_node: BTreeMap<NodeId, Breaker>,
}

impl Breakers {
    /// What the scheduler may do with a node now.
    pub fn view(&self, node: NodeId, now: UnixMillis) -> BreakerView {
        self.by_node
            .get(&node)
            .map_or(BreakerView::Closed, |breaker| breaker.view(now))
    }

    /// When the next breaker that is open is to be tried again, of those that were not due before.
    pub(crate) fn next_retry(&self, due_before: UnixMillis) -> Option<UnixMillis> {
        let retries = self.by_node.values().filter_map(Breaker::retry_at);
        retries.filter(|at| *at > due_before).min()
    }

    /// Takes in what an entry led to.
    pub(crate) fn observe(&mut self, state: &State, recent: &Recent, entry: &EntryEvents) {
        let now = entry.at;
        let scene = Scene { state, now };
        // A node that is lost fails once, however much it ran.
        let mut lost: BTreeMap<NodeId, UnixMillis> = BTreeMap::new();
        for event in &entry.events {
            match event {
                Event::TaskLeased { node, .. } => {
                    if let Some(breaker) = self.by_node.get_mut(node) {
                        breaker.granted(now);
                    }
                }
                Event::AttemptEnded { task, attempt, .. } => {
                    let ended = ended_attempt(state, recent, *task, *attempt);
                    if let Some(ended) = ended {
                        self.attempt_ended(&ended, scene, &mut lost);
                    }
                }
                Event::TaskFinished { task, .. } => {
                    if let Some(finished) = recent.task(*task) {
                        self.task_finished(&finished, scene, &mut lost);
                    }
                }
                Event::NodeChanged {
                    node,
                    state: NodeState::Lost,
                } => {
                    lost.entry(*node).or_insert(now);
                }
                Event::NodeRemoved { node } => {
                    self.by_node.remove(node);
                    lost.remove(node);
                }
                _ => {}
            }
        }
        for (node, granted_at) in lost {
            self.ended(node, Verdict::NodeFault, granted_at, scene);
        }
    }

    fn attempt_ended(
        &mut self,
        attempt: &AttemptSummary,
        scene: Scene<'_>,
        lost: &mut BTreeMap<NodeId, UnixMillis>,
    ) {
        let verdict = match &attempt.ended {
            AttemptEnd::Lost => {
                let granted_at = lost.entry(attempt.node).or_insert(attempt.granted_at);
                *granted_at = attempt.granted_at.max(*granted_at);
                return;
            }
            AttemptEnd::Reported(outcome) => Verdict::of(outcome),
            AttemptEnd::Revoked
            | AttemptEnd::Moved
            | AttemptEnd::NeverStarted(HandBack::Stopping | HandBack::Declined) => {
                Verdict::SaysNothing
            }
            AttemptEnd::NeverStarted(_) => Verdict::NodeFault,
        };
        self.ended(attempt.node, verdict, attempt.granted_at, scene);
    }

    fn task_finished(
        &mut self,
        finished: &FinishedTask,
        scene: Scene<'_>,
        lost: &mut BTreeMap<NodeId, UnixMillis>,
    ) {
        let Some((last, earlier)) = finished.record.ended_attempts.split_last() else {
            return;
        };
        if ended_with_attempt(&finished.cause) || last.ended == AttemptEnd::Revoked {
            self.attempt_ended(last, scene, lost);
        }
        if finished.record.state != TaskState::Succeeded {
            return;
        }
        // It works elsewhere: so what failed before was not the task's fault, but its node's.
        let mut blamed = BTreeSet::new();
        for attempt in earlier {
            let elsewhere = attempt.node != last.node;
            if elsewhere && is_blamed_later(&attempt.ended) && blamed.insert(attempt.node) {
                self.ended(attempt.node, Verdict::NodeFault, attempt.granted_at, scene);
            }
        }
    }

    fn ended(&mut self, node: NodeId, verdict: Verdict, granted_at: UnixMillis, scene: Scene<'_>) {
        if verdict != Verdict::NodeFault && !self.by_node.contains_key(&node) {
            return;
        }
        let breaker = self.by_node.entry(node).or_default();
        let attempt = EndedAttempt {
            end: verdict,
            granted_at,
            class: scene.class_of(node),
        };
        breaker.ended(attempt, scene.now);
        if *breaker == Breaker::default() {
            self.by_node.remove(&node);
        }
    }
}

/// Whether the end of an attempt made the task final.
const fn ended_with_attempt(cause: &FinalCause) -> bool {
    match cause {
        FinalCause::Reported
        | FinalCause::AttemptsUsedUp
        | FinalCause::NotRetried(_)
        | FinalCause::OutcomeNotLearned => true,
        FinalCause::CancelRequested
        | FinalCause::RunCancelled
        | FinalCause::ConditionNotMet
        | FinalCause::DeadlinePassed => false,
    }
}

/// Whether a failure that said nothing about the node does so when another node succeeds.
fn is_blamed_later(ended: &AttemptEnd) -> bool {
    match ended {
        AttemptEnd::Reported(outcome) => match outcome {
            Outcome::Exited { .. } | Outcome::GateFailed { .. } | Outcome::TimedOut => true,
            Outcome::Error { .. } => Verdict::of(outcome) == Verdict::SaysNothing,
            Outcome::Completed
            | Outcome::Killed
            | Outcome::Interrupted
            | Outcome::NotStarted { .. } => false,
        },
        AttemptEnd::Lost
        | AttemptEnd::Revoked
        | AttemptEnd::Moved
        | AttemptEnd::NeverStarted(_) => false,
    }
}

/// The attempt as the task's record keeps it. The task may have become final in the same entry.
fn ended_attempt(
    state: &State,
    recent: &Recent,
    task: TaskId,
    attempt: u32,
) -> Option<AttemptSummary> {
    let find = |ended: &[AttemptSummary]| {
        let newest = ended.iter().rev();
        newest
            .into_iter()
            .find(|summary| summary.attempt == attempt)
            .cloned()
    };
    match state.task(task) {
        Some(record) => find(&record.ended_attempts),
        None => find(&recent.task(task)?.record.ended_attempts),
    }
}

#[cfg(test)]
mod tests;
