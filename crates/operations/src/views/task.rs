//! Tasks as callers see them, whether live or final.

use crate::lookup::AnyTask;
use crate::rfc3339::Timestamp;
use serde::Serialize;
use skep_model::attempt::{Account, AttemptReport, Fence, GateReport, Outcome, ResourceUse};
use skep_model::ids::{AgentId, NodeId, RunId, TaskId};
use skep_model::isolation::IsolationLevel;
use skep_model::task::{
    AttemptEnd, AttemptSummary, FinalCause, HandBack, Lease, TaskSpec, TaskState,
};
use std::collections::BTreeMap;
use std::sync::Arc;

use super::ArtifactView;

/// A task in a listing.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct TaskView {
    /// The task.
    pub id: TaskId,
    /// Its name.
    pub name: String,
    /// Its run.
    pub run: Option<RunId>,
    /// Where it stands.
    pub state: TaskState,
    /// 1 to 10, raises included.
    pub priority: u8,
    /// Attempts granted so far.
    pub attempts: u32,
    /// Where it runs or ran last.
    pub node: Option<NodeId>,
    /// Who runs it or ran it last.
    pub agent: Option<AgentId>,
    /// Exit code of the last attempt, if its command ended.
    pub exit_code: Option<i32>,
    /// How long the last attempt ran, milliseconds.
    pub duration_ms: Option<u64>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// When it was taken in.
    pub submitted_at: Timestamp,
    /// When the current or last attempt was granted.
    pub started_at: Option<Timestamp>,
    /// When it became final.
    pub finished_at: Option<Timestamp>,
    /// Why it is final.
    pub cause: Option<FinalCause>,
    /// The same for people, with what the last attempt said.
    pub reason: Option<String>,
}

/// A task in full.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct TaskDetail {
    /// What a listing shows.
    #[serde(flatten)]
    pub task: TaskView,
    /// What was asked for.
    pub spec: Arc<TaskSpec>,
    /// Needed tasks that are not final yet.
    pub waits_for: Vec<TaskId>,
    /// Not granted before this, after a failed attempt.
    pub not_before: Option<Timestamp>,
    /// The current grant.
    pub lease: Option<LeaseView>,
    /// The attempts that ended.
    pub ended_attempts: Vec<AttemptView>,
    /// The task that this one undoes.
    pub compensates: Option<TaskId>,
    /// What the gates of the last attempt said; while it runs, those that ended so far, as far as
    /// its node told.
    pub gates: Vec<GateReport>,
    /// What the last attempt used.
    pub usage: Option<ResourceUse>,
    /// Isolation the last attempt ran under.
    pub isolation: Option<IsolationLevel>,
    /// What an attached agent says about its work. Nobody checked it.
    pub account: Option<Account>,
    /// Files handed in.
    pub artifacts: Vec<ArtifactView>,
    /// Where the log of the newest attempt is read.
    pub log: Option<String>,
    /// Changes whenever the task changes; for `If-Match`.
    pub version: String,
}

/// The current grant of a task.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct LeaseView {
    /// Who runs it.
    pub agent: AgentId,
    /// Where.
    pub node: NodeId,
    /// Proof of the grant.
    pub fence: String,
    /// When it was granted.
    pub granted_at: Timestamp,
    /// When the node said that it started.
    pub started_at: Option<Timestamp>,
}

/// One attempt that ended.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct AttemptView {
    /// Counted from 1.
    pub attempt: u32,
    /// Who ran it.
    pub agent: AgentId,
    /// Where.
    pub node: NodeId,
    /// Proof of the grant.
    pub fence: String,
    /// When it was granted.
    pub granted_at: Timestamp,
    /// When its end was learned.
    pub ended_at: Timestamp,
    /// How it ended.
    pub ended: AttemptEnd,
    /// The same for people.
    pub reason: String,
}

impl From<&Lease> for LeaseView {
    fn from(lease: &Lease) -> Self {
        Self {
            agent: lease.agent,
            node: lease.node,
            fence: fence_text(lease.fence),
            granted_at: lease.granted_at.into(),
            started_at: lease.started_at.map(Timestamp),
        }
    }
}

impl From<&AttemptSummary> for AttemptView {
    fn from(summary: &AttemptSummary) -> Self {
        Self {
            attempt: summary.attempt,
            agent: summary.agent,
            node: summary.node,
            fence: fence_text(summary.fence),
            granted_at: summary.granted_at.into(),
            ended_at: summary.ended_at.into(),
            ended: summary.ended.clone(),
            reason: attempt_reason(&summary.ended),
        }
    }
}

fn fence_text(fence: Fence) -> String {
    fence.to_string()
}

impl From<&AnyTask> for TaskView {
    fn from(any: &AnyTask) -> Self {
        let record = any.record();
        let last = record.ended_attempts.last();
        let lease = record.lease.as_ref();
        Self {
            id: record.id,
            name: record.spec.name.clone(),
            run: record.run,
            state: record.state,
            priority: record
                .spec
                .priority
                .effective(record.had_needs && record.waits_for.is_empty()),
            attempts: record.attempts,
            node: lease
                .map(|lease| lease.node)
                .or(last.map(|attempt| attempt.node)),
            agent: lease
                .map(|lease| lease.agent)
                .or(last.map(|attempt| attempt.agent)),
            exit_code: exit_code(any.report(), last),
            duration_ms: any
                .report()
                .map(|report| report.duration_ms)
                .or(last.map(|attempt| attempt.ended_at.since(attempt.granted_at))),
            labels: record.spec.labels.clone(),
            submitted_at: record.submitted_at.into(),
            started_at: lease
                .map(|lease| lease.started_at.unwrap_or(lease.granted_at))
                .or(last.map(|attempt| attempt.granted_at))
                .map(Timestamp),
            finished_at: any.finished().map(|finished| finished.finished_at.into()),
            cause: any.finished().map(|finished| finished.cause.clone()),
            reason: any.finished().map(|finished| {
                reason_text(
                    &finished.cause,
                    record.state,
                    last.map(|attempt| &attempt.ended),
                )
            }),
        }
    }
}

impl From<&AnyTask> for TaskDetail {
    fn from(any: &AnyTask) -> Self {
        let record = any.record();
        let report = any.report();
        Self {
            task: any.into(),
            spec: Arc::clone(&record.spec),
            waits_for: record.waits_for.clone(),
            not_before: record.not_before.map(Timestamp),
            lease: record.lease.as_ref().map(LeaseView::from),
            ended_attempts: record
                .ended_attempts
                .iter()
                .map(AttemptView::from)
                .collect(),
            compensates: record.compensates,
            gates: match (&record.lease, report) {
                (Some(lease), _) => lease.gates.clone(),
                (None, Some(report)) => report.gates.clone(),
                (None, None) => Vec::new(),
            },
            usage: report.map(|report| report.usage),
            isolation: report.and_then(|report| report.isolation),
            account: report.and_then(|report| report.account.as_deref().cloned()),
            artifacts: ArtifactView::of(any).collect(),
            log: log_location(any),
            version: version(any),
        }
    }
}

/// Where the log of the newest attempt is, if there was one.
pub(crate) fn log_location(any: &AnyTask) -> Option<String> {
    let record = any.record();
    let attempt = record.attempts;
    (attempt > 0).then(|| format!("/api/v2/tasks/{}/logs?attempt={attempt}", record.id))
}

/// Different for every state a task can be in.
pub(crate) fn version(any: &AnyTask) -> String {
    let record = any.record();
    // Priority and labels change without a change of the state: they are part of it.
    let changeable = (
        &record.spec.priority,
        &record.spec.labels,
        &record.spec.requirements.agent,
    );
    let text = format!(
        "{:?} {} {} {} {changeable:?}",
        record.state,
        record.attempts,
        record.state_since.0,
        record.waits_for.len()
    );
    blake3::hash(text.as_bytes()).to_hex()[..16].to_owned()
}

fn exit_code(report: Option<&AttemptReport>, last: Option<&AttemptSummary>) -> Option<i32> {
    if let Some(report) = report {
        return report.exit_code;
    }
    match &last?.ended {
        AttemptEnd::Reported(Outcome::Exited { code }) => Some(*code),
        AttemptEnd::Reported(Outcome::Completed) => Some(0),
        _ => None,
    }
}

/// How an attempt ended, for people.
pub(crate) fn attempt_reason(ended: &AttemptEnd) -> String {
    match ended {
        AttemptEnd::Lost => "its node was lost or restarted".to_owned(),
        AttemptEnd::Revoked => "it was stopped because the task became final".to_owned(),
        AttemptEnd::NeverStarted(reason) => never_started(*reason),
        AttemptEnd::Moved => "it stood still on a parked node and was moved to another".to_owned(),
        AttemptEnd::Reported(outcome) => match outcome {
            Outcome::Completed => "it completed".to_owned(),
            Outcome::Exited { code } => format!("the command ended with code {code}"),
            Outcome::GateFailed { gate } => format!("gate `{gate}` did not pass"),
            Outcome::TimedOut => "it was stopped at its timeout".to_owned(),
            Outcome::Killed => "it was stopped by the coordinator".to_owned(),
            Outcome::Interrupted => "its node stopped it".to_owned(),
            Outcome::NotStarted { reason } => never_started(*reason),
            Outcome::Error { code, message } => format!("{message} (`{code}`)"),
        },
    }
}

fn never_started(reason: HandBack) -> String {
    format!("it was never started: {}", reason.as_text())
}

fn reason_text(cause: &FinalCause, state: TaskState, last: Option<&AttemptEnd>) -> String {
    let last = || last.map_or_else(|| "no attempt was made".to_owned(), attempt_reason);
    match cause {
        FinalCause::Reported if state == TaskState::Succeeded => "its result was accepted".into(),
        FinalCause::Reported => last(),
        FinalCause::AttemptsUsedUp => format!("the attempts are used up; the last: {}", last()),
        FinalCause::NotRetried(_) => format!("this failure is not retried: {}", last()),
        FinalCause::CancelRequested => "it was cancelled by request".into(),
        FinalCause::RunCancelled => "its run was cancelled".into(),
        FinalCause::ConditionNotMet => "a needed task did not end as its condition wants".into(),
        FinalCause::DeadlinePassed => "its deadline passed".into(),
        FinalCause::OutcomeNotLearned => {
            "the outcome of its only permitted attempt was not learned".into()
        }
    }
}
