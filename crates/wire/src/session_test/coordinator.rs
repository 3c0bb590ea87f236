//! A tiny coordinator with one node: grants, leases and final results, nothing else.

use crate::coordinator_end::{CoordinatorEnd, CoordinatorOutput, FromNode, ReplyId};
use crate::fixtures::{key, offer, welcome};
use crate::payload::{
    AssignAnswer, Assigned, AttemptKey, EndCode, Offer, ResultAnswer, ResultAnswers, ResultVerdict,
    SyncReport, SyncVerdicts, Verdict, VerdictItem,
};
use skep_model::attempt::AttemptReport;
use skep_model::ids::TaskId;
use std::collections::{BTreeMap, BTreeSet};

/// Added to the lease before work is given to others.
const GRACE_MS: u64 = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TaskState {
    Ready,
    Granted(AttemptKey),
    Done(AttemptKey),
    Cancelled,
}

#[derive(Debug, Default)]
pub(super) struct Coordinator {
    pub(super) tasks: BTreeMap<TaskId, TaskState>,
    slots: usize,
    next_index: u64,
    heard_at: Option<u64>,
    /// Results that arrived, at least once.
    pub(super) delivered: BTreeSet<AttemptKey>,
    /// Results that the node was told it may delete.
    pub(super) released: BTreeSet<AttemptKey>,
}

impl Coordinator {
    pub(super) fn new(slots: usize) -> Self {
        Self {
            slots,
            ..Self::default()
        }
    }

    pub(super) fn submit(&mut self) {
        let task = TaskId::from_u128(self.tasks.len() as u128 + 1);
        self.tasks.insert(task, TaskState::Ready);
    }

    /// Cancels a task that is not final; says which attempt has to stop.
    pub(super) fn cancel(&mut self, which: u8) -> Option<AttemptKey> {
        let live: Vec<TaskId> = self
            .tasks
            .iter()
            .filter(|(_, state)| matches!(state, TaskState::Ready | TaskState::Granted(_)))
            .map(|(task, _)| *task)
            .collect();
        let task = live.get(usize::from(which) % live.len().max(1))?;
        match self.tasks.insert(*task, TaskState::Cancelled)? {
            TaskState::Granted(attempt) => Some(attempt),
            _ => None,
        }
    }

    fn granted(&self) -> usize {
        self.tasks
            .values()
            .filter(|state| matches!(state, TaskState::Granted(_)))
            .count()
    }

    /// Grants ready tasks to the node's free slots and sends them.
    pub(super) fn dispatch(&mut self, end: &mut CoordinatorEnd) -> Vec<CoordinatorOutput> {
        if !end.is_live() {
            return Vec::new();
        }
        let free = self.slots.saturating_sub(self.granted());
        let ready: Vec<TaskId> = self
            .tasks
            .iter()
            .filter(|(_, state)| **state == TaskState::Ready)
            .map(|(task, _)| *task)
            .take(free)
            .collect();
        let mut offers: Vec<Offer> = Vec::new();
        for task in ready {
            self.next_index += 1;
            let attempt = key(task.as_u128(), self.next_index);
            self.tasks.insert(task, TaskState::Granted(attempt));
            offers.push(offer(attempt));
        }
        if offers.is_empty() {
            return Vec::new();
        }
        // Each frame says everything twice, as a coordinator may that lost an answer.
        let mut outputs = end.assign(&offers);
        outputs.extend(end.assign(&offers));
        outputs
    }

    pub(super) fn on_event(
        &mut self,
        now: u64,
        end: &mut CoordinatorEnd,
        event: FromNode,
    ) -> Vec<CoordinatorOutput> {
        self.heard_at = Some(now);
        match event {
            FromNode::Hello(_) => end.reply_hello(&welcome()),
            FromNode::SyncReport { reply, report } => self.compare(end, &reply, &report),
            FromNode::Results { reply, reports } => {
                let items = reports.iter().map(|report| self.decide(report)).collect();
                end.reply_results(&reply, &ResultAnswers { items })
            }
            FromNode::Assigned(items) => {
                for item in items {
                    self.on_assigned(&item);
                }
                Vec::new()
            }
            FromNode::Goodbye { .. } => {
                self.give_up_all();
                Vec::new()
            }
            FromNode::GaveBack { given_back } => {
                for attempt in given_back {
                    if self.tasks.get(&attempt.task) == Some(&TaskState::Granted(attempt)) {
                        self.tasks.insert(attempt.task, TaskState::Ready);
                    }
                }
                Vec::new()
            }
            FromNode::Heartbeat { .. }
            | FromNode::Progress(_)
            | FromNode::Away(_)
            | FromNode::Parked(_)
            | FromNode::Metrics(_)
            | FromNode::Groups { .. }
            | FromNode::Ask { .. }
            | FromNode::Load(_) => Vec::new(),
        }
    }

    fn on_assigned(&mut self, item: &Assigned) {
        let refused = matches!(item.answer, AssignAnswer::Refused { .. });
        if refused && self.tasks.get(&item.task) == Some(&TaskState::Granted(item.attempt())) {
            self.tasks.insert(item.task, TaskState::Ready);
        }
    }

    fn compare(
        &mut self,
        end: &mut CoordinatorEnd,
        reply: &ReplyId,
        report: &SyncReport,
    ) -> Vec<CoordinatorOutput> {
        let mut items = Vec::new();
        let mut known = BTreeSet::new();
        for held in &report.held {
            let attempt = AttemptKey::new(held.task, held.fence);
            known.insert(attempt);
            let is_current = self.tasks.get(&held.task) == Some(&TaskState::Granted(attempt));
            let verdict = if is_current {
                Verdict::Keep
            } else {
                Verdict::Kill
            };
            items.push(VerdictItem::new(attempt, verdict));
        }
        for attempt in &report.spooled {
            known.insert(*attempt);
            let is_current = self.tasks.get(&attempt.task) == Some(&TaskState::Granted(*attempt));
            if !is_current {
                self.released.insert(*attempt);
            }
            let verdict = if is_current {
                Verdict::Resend
            } else {
                Verdict::Discard
            };
            items.push(VerdictItem::new(*attempt, verdict));
        }
        for state in self.tasks.values_mut() {
            if matches!(state, TaskState::Granted(attempt) if !known.contains(attempt)) {
                *state = TaskState::Ready;
            }
        }
        end.reply_sync(reply, &SyncVerdicts { items })
    }

    fn decide(&mut self, report: &AttemptReport) -> ResultAnswer {
        let attempt = AttemptKey::from(report);
        self.delivered.insert(attempt);
        self.released.insert(attempt);
        let verdict = match self.tasks.get(&attempt.task) {
            Some(TaskState::Granted(current)) if *current == attempt => {
                self.tasks.insert(attempt.task, TaskState::Done(attempt));
                ResultVerdict::Committed
            }
            Some(TaskState::Done(current)) if *current == attempt => ResultVerdict::Committed,
            _ => ResultVerdict::Stale,
        };
        ResultAnswer::new(attempt, verdict)
    }

    /// Whether the node's lease and grace are over; then its work is given up.
    pub(super) fn loses_node(&mut self, now: u64) -> bool {
        let lease = welcome().lease_ms + GRACE_MS;
        let lost = self
            .heard_at
            .is_some_and(|heard_at| now >= heard_at + lease);
        if lost {
            self.heard_at = None;
            self.give_up_all();
        }
        lost
    }

    fn give_up_all(&mut self) {
        for state in self.tasks.values_mut() {
            if matches!(state, TaskState::Granted(_)) {
                *state = TaskState::Ready;
            }
        }
    }

    pub(super) fn is_settled(&self) -> bool {
        self.tasks
            .values()
            .all(|state| matches!(state, TaskState::Done(_) | TaskState::Cancelled))
    }
}

/// The end that tells a lost node to come again.
pub(super) fn send_away(end: &mut CoordinatorEnd) -> Vec<CoordinatorOutput> {
    end.end(EndCode::Shutdown, "come again")
}
