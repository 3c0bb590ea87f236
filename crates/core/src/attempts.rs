//! Attempts: what a grant occupies, how it is given back, and what follows from its end.

use crate::apply::Step;
use crate::backoff::retry_delay_ms;
use crate::state::State;
use skep_model::agent::AgentRecord;
use skep_model::attempt::{AttemptReport, FailureClass, Fence, Outcome};
use skep_model::event::Event;
use skep_model::ids::{AgentId, NodeId, TaskId};
use skep_model::limits::HAND_BACKS_FREE_MAX;
use skep_model::planted::{PlantedBug, planted};
use skep_model::requirements::Resources;
use skep_model::task::{
    AttemptEnd, AttemptSummary, Delivery, FinalCause, HandBack, Lease, TaskRecord, TaskState,
};
use skep_model::time::UnixMillis;

/// An attempt that did not succeed.
#[derive(Debug)]
struct Failure {
    class: FailureClass,
    ended: AttemptEnd,
    report: Option<Box<AttemptReport>>,
}

/// Whether an attempt succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Well,
    Badly,
}

/// What follows from a failed attempt.
#[derive(Debug, PartialEq, Eq)]
enum Consequence {
    RetryAt(Option<UnixMillis>),
    Final(TaskState, FinalCause),
}

/// The class of a failure; none for success.
pub(crate) const fn failure_class(outcome: &Outcome) -> Option<FailureClass> {
    match outcome {
        Outcome::Completed => None,
        Outcome::Exited { .. } => Some(FailureClass::Exit),
        Outcome::GateFailed { .. } => Some(FailureClass::Gate),
        Outcome::TimedOut => Some(FailureClass::Timeout),
        Outcome::Killed | Outcome::Interrupted | Outcome::NotStarted { .. } => {
            Some(FailureClass::Lost)
        }
        Outcome::Error { .. } => Some(FailureClass::Error),
    }
}

impl State {
    /// Counts a grant to its node and agent.
    pub(crate) fn occupy(&mut self, task: TaskId, lease: &Lease, resources: &Resources) {
        let node = self
            .nodes
            .get_mut(&lease.node)
            .expect("leases name known nodes");
        node.held.insert(task);
        node.used.attempts += 1;
        node.used.resources = node.used.resources.plus(resources);
        *self.loads.entry(lease.agent).or_insert(0) += 1;
        self.derive_open(lease.node);
    }

    fn vacate(&mut self, task: TaskId, node: NodeId, agent: AgentId, resources: &Resources) {
        let slot = self.nodes.get_mut(&node).expect("leases name known nodes");
        slot.held.remove(&task);
        slot.used.attempts -= 1;
        slot.used.resources = slot.used.resources.minus(resources);
        let load = self.loads.get_mut(&agent).expect("a lease counts as load");
        *load -= 1;
        if *load == 0 {
            self.loads.remove(&agent);
        }
        self.derive_open(node);
    }

    /// Ends the current attempt of a held task: the lease is gone, the end is kept with the task.
    /// The task's state is for the caller to change, by `edit_task` or `finish`.
    fn end_lease(&mut self, task: TaskId, ended: AttemptEnd) -> AttemptSummary {
        let record = &mut self
            .tasks
            .get_mut(&task)
            .expect("callers name held tasks")
            .record;
        let lease = record.lease.take().expect("callers name held tasks");
        let summary = AttemptSummary {
            attempt: record.attempts,
            agent: lease.agent,
            node: lease.node,
            fence: lease.fence,
            granted_at: lease.granted_at,
            ended_at: self.now,
            ended,
        };
        record.ended_attempts.push(summary.clone());
        let resources = record.spec.requirements.resources;
        self.vacate(task, lease.node, lease.agent, &resources);
        summary
    }

    /// Makes a live task final by other means than a report; a node that holds it should stop.
    pub(crate) fn revoke_and_finish(
        &mut self,
        step: &mut Step,
        task: TaskId,
        state: TaskState,
        cause: FinalCause,
    ) {
        if self.task(task).is_some_and(|record| record.lease.is_some()) {
            let summary = self.end_lease(task, AttemptEnd::Revoked);
            step.emit(Event::AttemptRevoked {
                task,
                node: summary.node,
                fence: summary.fence,
            });
        }
        self.finish(step, task, state, cause, None);
    }

    /// Takes a report for the current attempt of a held task. A success without the evidence of
    /// every declared gate never reaches this.
    pub(crate) fn accept_report(
        &mut self,
        step: &mut Step,
        report: &AttemptReport,
        outcome: Outcome,
    ) {
        let Some(class) = failure_class(&outcome) else {
            self.attempt_succeeded(step, report);
            return;
        };
        let failure = Failure {
            class,
            ended: AttemptEnd::Reported(outcome),
            report: Some(Box::new(report.clone())),
        };
        self.attempt_failed(step, report.task, failure);
    }

    /// Counts the end of an attempt for each capability that its task asked for and the agent
    /// declares.
    fn measure(
        &mut self,
        agent: AgentId,
        task: TaskId,
        report: Option<&AttemptReport>,
        ended: Ended,
    ) {
        let (Some(task), Some(slot)) = (self.tasks.get(&task), self.agents.get_mut(&agent)) else {
            return;
        };
        let gates = report.map_or(&[][..], |report| &report.gates);
        let passed = gates.iter().filter(|gate| gate.passed).count() as u64;
        let ran = gates.len() as u64;
        let AgentRecord {
            spec,
            measured,
            gates_run,
            gates_passed,
            ..
        } = &mut slot.record;
        *gates_run = gates_run.saturating_add(ran);
        *gates_passed = gates_passed.saturating_add(passed);
        measured.retain(|name, _| spec.capabilities.contains_key(name));
        for name in task.record.spec.requirements.capabilities.keys() {
            if !spec.capabilities.contains_key(name) {
                continue;
            }
            let entry = measured.entry(name.clone()).or_default();
            entry.gates_run = entry.gates_run.saturating_add(ran);
            entry.gates_passed = entry.gates_passed.saturating_add(passed);
            match (ended, report) {
                (Ended::Well, Some(report)) => {
                    entry.succeeded = entry.succeeded.saturating_add(1);
                    entry.busy_ms = entry.busy_ms.saturating_add(report.duration_ms);
                }
                _ => entry.failed = entry.failed.saturating_add(1),
            }
        }
    }

    fn attempt_succeeded(&mut self, step: &mut Step, report: &AttemptReport) {
        let ended = AttemptEnd::Reported(Outcome::Completed);
        let agent = self.end_lease(report.task, ended).agent;
        self.measure(agent, report.task, Some(report), Ended::Well);
        if let Some(agent) = self.agents.get_mut(&agent) {
            let record = &mut agent.record;
            self.experience.remove(record);
            record.succeeded = record.succeeded.saturating_add(1);
            record.busy_ms = record.busy_ms.saturating_add(report.duration_ms);
            self.experience.add(record);
            self.changes.agent(record.id);
        }
        let evidence = Some(Box::new(report.clone()));
        let cause = FinalCause::Reported;
        self.finish(step, report.task, TaskState::Succeeded, cause, evidence);
    }

    /// Gives up the current attempt of a task if it is the one of this node and fence (of any
    /// fence when none is named).
    pub(crate) fn lose_attempt(
        &mut self,
        step: &mut Step,
        task: TaskId,
        node: NodeId,
        fence: Option<Fence>,
    ) {
        let lease = self.task(task).and_then(|record| record.lease.as_ref());
        let current = lease.is_some_and(|lease| {
            lease.node == node && fence.is_none_or(|fence| fence == lease.fence)
        });
        if current {
            let failure = Failure {
                class: FailureClass::Lost,
                ended: AttemptEnd::Lost,
                report: None,
            };
            self.attempt_failed(step, task, failure);
        }
    }

    /// Takes back the current grant of a task that its node never started. It costs the task
    /// nothing, an at-most-once task included; what it says about the node is not for the core.
    /// Only when nodes hand a task back again and again, each further time counts as a failure.
    pub(crate) fn take_back(&mut self, step: &mut Step, task: TaskId, reason: HandBack) {
        let summary = self.end_lease(task, AttemptEnd::NeverStarted(reason));
        let record = &mut self
            .tasks
            .get_mut(&task)
            .expect("held tasks are live")
            .record;
        if !record.failed_on.contains(&summary.node) {
            record.failed_on.push(summary.node);
        }
        let limit = (record.spec.retry.attempts_max).saturating_add(record.attempts_extra);
        let hand_backs = record.hand_backs();
        let never_ran = record.spec.delivery == Delivery::AtMostOnce;
        let is_used_up = if never_ran {
            hand_backs > HAND_BACKS_FREE_MAX
        } else {
            record.attempts_counted() >= limit
        };
        if is_used_up {
            let cause = FinalCause::AttemptsUsedUp;
            self.finish(step, task, TaskState::Failed, cause, None);
            return;
        }
        // Another node may take it at once. Who asks again and again waits in between.
        let delay = match hand_backs {
            1 => 0,
            more => retry_delay_ms(&record.spec.retry, step.seed, task, more),
        };
        let retry_at = (delay > 0).then(|| self.now.plus(delay));
        self.wait_for_retry(step, task, summary, retry_at);
    }

    /// Ends the current attempt of a held task, which stands still, so that it can be granted to
    /// another node in the same entry. It costs the task nothing. The node is told to stop it.
    pub(crate) fn take_away(&mut self, step: &mut Step, task: TaskId) {
        let ended = self.end_lease(task, AttemptEnd::Moved);
        step.emit(Event::AttemptRevoked {
            task,
            node: ended.node,
            fence: ended.fence,
        });
        step.emit(Event::AttemptEnded {
            task,
            run: self.task(task).and_then(|record| record.run),
            attempt: ended.attempt,
            node: ended.node,
            ended: ended.ended,
            retry_at: None,
        });
    }

    /// A task whose attempt ended is ready again, or will be at this time.
    fn wait_for_retry(
        &mut self,
        step: &mut Step,
        task: TaskId,
        ended: AttemptSummary,
        retry_at: Option<UnixMillis>,
    ) {
        let run = self.edit_task(task, |record| {
            record.not_before = retry_at;
            record.state = match retry_at {
                Some(_) => TaskState::Pending,
                None => TaskState::Ready,
            };
            record.run
        });
        step.emit(Event::AttemptEnded {
            task,
            run,
            attempt: ended.attempt,
            node: ended.node,
            ended: ended.ended,
            retry_at,
        });
    }

    fn attempt_failed(&mut self, step: &mut Step, task: TaskId, failure: Failure) {
        let summary = self.end_lease(task, failure.ended.clone());
        self.measure(summary.agent, task, failure.report.as_deref(), Ended::Badly);
        if let Some(agent) = self.agents.get_mut(&summary.agent) {
            agent.record.failed = agent.record.failed.saturating_add(1);
            self.changes.agent(agent.record.id);
        }
        let record = &mut self
            .tasks
            .get_mut(&task)
            .expect("held tasks are live")
            .record;
        if !record.failed_on.contains(&summary.node) {
            record.failed_on.push(summary.node);
        }
        match consequence(record, &failure, self.now, step.seed) {
            Consequence::Final(state, cause) => {
                self.finish(step, task, state, cause, failure.report);
            }
            Consequence::RetryAt(retry_at) => self.wait_for_retry(step, task, summary, retry_at),
        }
    }
}

fn consequence(record: &TaskRecord, failure: &Failure, now: UnixMillis, seed: u64) -> Consequence {
    let policy = &record.spec.retry;
    let lost = failure.ended == AttemptEnd::Lost;
    let retried = lost && planted(PlantedBug::AtMostOnceRetried);
    if record.spec.delivery == Delivery::AtMostOnce && !retried {
        return if lost {
            Consequence::Final(TaskState::Unknown, FinalCause::OutcomeNotLearned)
        } else {
            Consequence::Final(TaskState::Failed, FinalCause::AttemptsUsedUp)
        };
    }
    if !policy.on.contains(&failure.class) {
        return Consequence::Final(TaskState::Failed, FinalCause::NotRetried(failure.class));
    }
    if record.attempts_counted() >= policy.attempts_max.saturating_add(record.attempts_extra) {
        return Consequence::Final(TaskState::Failed, FinalCause::AttemptsUsedUp);
    }
    let delay = if lost {
        0
    } else {
        retry_delay_ms(policy, seed, record.id, record.attempts_counted())
    };
    Consequence::RetryAt((delay > 0).then(|| now.plus(delay)))
}
