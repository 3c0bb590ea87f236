//! How a session's work ends: completed, failed or handed back.

use super::SessionPath;
use super::assignment::Grip;
use super::presence::Seat;
use super::work::{check_note, grip, read_fence, stale};
use crate::artifacts::missing_artifacts;
use crate::context::Context;
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::lookup::{self, AnyTask};
use crate::usage::{self, UsageGiven};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use skep_model::attempt::{Account, ArtifactRecord, AttemptReport, Fence, Outcome};
use skep_model::command::{Command, HandedBack};
use skep_model::event::Event;
use skep_model::ids::TaskId;
use skep_model::limits;
use skep_model::task::{HandBack, TaskState};

/// The word for an attempt that its agent called failed.
const AGENT_FAILED: &str = "agent_failed";

/// What came of a task.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Completion {
    /// The task.
    pub(super) task: TaskId,
    /// Proof of the grant, from the assignment.
    pub(super) fence: String,
    /// What came of it, as text or JSON. At most `ACCOUNT_BYTES_MAX` bytes.
    #[serde(default)]
    pub(super) result: Option<Value>,
    /// The commit that holds it.
    #[serde(default)]
    pub(super) commit: Option<String>,
    /// Files; their bytes were uploaded before.
    #[serde(default)]
    pub(super) artifacts: Vec<ArtifactRecord>,
    /// What models used for it, as their providers said.
    #[serde(default)]
    pub(super) usage: Option<UsageGiven>,
}

/// How a task stands after its attempt ended.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(super) struct Ended {
    /// The task.
    pub(super) task: TaskId,
    /// Where it stands: final, or waiting for another attempt.
    pub(super) state: TaskState,
    /// Whether this very report was taken in before.
    pub(super) repeated: bool,
}

pub(super) async fn complete(
    context: Context,
    path: SessionPath,
    completion: Completion,
) -> Result<Ended, OperationError> {
    let fence = read_fence(&completion.fence)?;
    let account = account(completion.result, completion.commit)?;
    check_artifacts(&completion.artifacts)?;
    let seat = Seat::calling(&context, &path.id).await?;
    if let Some(ended) = repeated(&context, completion.task, fence).await? {
        return Ok(ended);
    }
    let grip = grip(&context, &seat, completion.task, Some(fence)).await?;
    // Before the end: what fails here can be sent again, and takes the place of what was kept.
    if let Some(usage) = completion.usage {
        let name = name_of(&context, &seat);
        usage::of_task(&context, completion.task, usage.by(name)).await?;
    }
    let report = AttemptReport {
        duration_ms: grip.ran_ms,
        artifacts: completion.artifacts,
        account: Some(Box::new(account)),
        ..AttemptReport::without_process(grip.task, grip.fence, Outcome::Completed)
    };
    let missing = missing_artifacts(&context.services, std::slice::from_ref(&report)).await?;
    if let Some(hash) = missing.into_iter().flatten().next() {
        let detail = format!("artifact `{hash}` was not uploaded");
        return Err(OperationError::new(ErrorCode::ArtifactMissing, detail));
    }
    end(&context, &seat, report).await
}

fn name_of(context: &Context, seat: &Seat) -> Option<String> {
    let view = context.services.hive.view();
    let agent = view.state.agent(seat.agent);
    agent.map(|agent| agent.spec.name.clone())
}

/// Why a task was not done.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Failure {
    /// The task.
    pub(super) task: TaskId,
    /// Proof of the grant, from the assignment.
    pub(super) fence: String,
    /// Why. At most `ERROR_TEXT_MAX` characters.
    pub(super) reason: String,
}

pub(super) async fn fail(
    context: Context,
    path: SessionPath,
    failure: Failure,
) -> Result<Ended, OperationError> {
    let fence = read_fence(&failure.fence)?;
    check_note(Some(&failure.reason))?;
    let seat = Seat::calling(&context, &path.id).await?;
    let grip = grip(&context, &seat, failure.task, Some(fence)).await?;
    let outcome = Outcome::Error {
        code: AGENT_FAILED.to_owned(),
        message: failure.reason,
    };
    end(&context, &seat, without_success(&grip, outcome)).await
}

/// Which task is handed back.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HandingBack {
    /// The task.
    pub(super) task: TaskId,
    /// Proof of the grant, from the assignment.
    pub(super) fence: String,
}

/// What was not begun costs the task nothing; what was begun counts as an attempt.
pub(super) async fn hand_back(
    context: Context,
    path: SessionPath,
    handing: HandingBack,
) -> Result<Ended, OperationError> {
    let fence = read_fence(&handing.fence)?;
    let seat = Seat::calling(&context, &path.id).await?;
    let grip = grip(&context, &seat, handing.task, Some(fence)).await?;
    if grip.begun {
        return end(
            &context,
            &seat,
            without_success(&grip, Outcome::Interrupted),
        )
        .await;
    }
    let command = Command::HandBackGrants {
        node: seat.node,
        grants: vec![HandedBack {
            task: grip.task,
            fence: grip.fence,
            reason: HandBack::Declined,
        }],
    };
    let entry = context.propose(command).await?;
    if entry.events.is_empty() {
        // It was begun, taken back or ended meanwhile.
        return Err(stale(grip.task, grip.fence));
    }
    standing(&context, grip.task).await
}

fn without_success(grip: &Grip, outcome: Outcome) -> AttemptReport {
    AttemptReport {
        duration_ms: grip.ran_ms,
        ..AttemptReport::without_process(grip.task, grip.fence, outcome)
    }
}

/// Reports the end of the attempt; the core has the last word on its fence.
async fn end(
    context: &Context,
    seat: &Seat,
    report: AttemptReport,
) -> Result<Ended, OperationError> {
    let (task, node) = (report.task, seat.node);
    let reports = vec![report];
    let entry = context
        .propose(Command::ReportResults { node, reports })
        .await?;
    for event in &entry.events {
        if let Event::ReportRefused { reason, fence, .. } = event {
            return Err(match reason {
                skep_model::refusal::Refusal::TaskNotLive(_) => stale(task, *fence),
                other => other.clone().into(),
            });
        }
    }
    standing(context, task).await
}

async fn standing(context: &Context, task: TaskId) -> Result<Ended, OperationError> {
    let found = lookup::task(&context.services, task).await?;
    let found = found.ok_or_else(|| {
        let detail = format!("task `{task}` was not found after its attempt ended");
        OperationError::new(ErrorCode::TaskNotFound, detail)
    })?;
    Ok(Ended {
        task,
        state: found.record().state,
        repeated: false,
    })
}

/// The same completion again, whose answer got lost.
async fn repeated(
    context: &Context,
    task: TaskId,
    fence: Fence,
) -> Result<Option<Ended>, OperationError> {
    let found = lookup::task(&context.services, task).await?;
    let is_same = |found: &AnyTask| {
        let last = found.record().ended_attempts.last();
        found.record().state == TaskState::Succeeded
            && last.is_some_and(|attempt| attempt.fence == fence)
    };
    Ok(found.filter(is_same).map(|found| Ended {
        task,
        state: found.record().state,
        repeated: true,
    }))
}

fn account(result: Option<Value>, commit: Option<String>) -> Result<Account, OperationError> {
    let is_json = !matches!(result, None | Some(Value::String(_)));
    let result = result.map(|value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    });
    let bytes = result.as_ref().map_or(0, String::len);
    if bytes > limits::ACCOUNT_BYTES_MAX {
        let detail = format!(
            "ACCOUNT_BYTES_MAX is {}: `result` has {bytes} bytes; hand in a file instead",
            limits::ACCOUNT_BYTES_MAX
        );
        return Err(OperationError::new(ErrorCode::LimitExceeded, detail));
    }
    if let Some(commit) = &commit {
        crate::fields::check_text("commit", commit)?;
    }
    Ok(Account {
        result,
        is_json,
        commit,
    })
}

fn check_artifacts(artifacts: &[ArtifactRecord]) -> Result<(), OperationError> {
    if artifacts.len() > limits::ARTIFACTS_PER_ATTEMPT_MAX {
        let detail = format!(
            "ARTIFACTS_PER_ATTEMPT_MAX is {}: {} artifacts",
            limits::ARTIFACTS_PER_ATTEMPT_MAX,
            artifacts.len()
        );
        return Err(OperationError::new(ErrorCode::LimitExceeded, detail));
    }
    for artifact in artifacts {
        crate::fields::check_text("name", &artifact.name)?;
        let path = &artifact.path;
        let leaves = path.starts_with('/') || path.split('/').any(|part| part == "..");
        if leaves || path.is_empty() || path.chars().any(char::is_control) {
            let detail = format!(
                "`path` should be relative and without `..`, not `{}`",
                path.escape_debug()
            );
            return Err(OperationError::new(ErrorCode::FieldInvalid, detail));
        }
    }
    Ok(())
}
