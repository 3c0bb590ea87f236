//! How a session comes to work: it asks, claims, begins, and says that it goes on.

use super::SessionPath;
use super::assignment::{Assignment, Grip, held};
use super::presence::Seat;
use super::view::SessionView;
use crate::context::Context;
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::lookup;
use serde::{Deserialize, Serialize};
use skep_model::attempt::Fence;
use skep_model::command::{Command, Grant, Phase, Progress};
use skep_model::event::{EntryEvents, Event};
use skep_model::ids::{AgentId, TaskId};
use skep_model::limits;
use skep_model::refusal::Refusal;
use skep_model::requirements::{Performer, Proficiency};
use skep_model::task::TaskRecord;
use std::time::Duration;

/// How much longer than its wait a request may take: the log has to answer, too.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// What a session says about itself in between.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Beat {
    /// The task that it works on. Naming it begins it.
    pub(super) task: Option<TaskId>,
}

/// What a session is told in answer to a heartbeat.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(super) struct BeatAnswer {
    /// How it stands.
    #[serde(flatten)]
    pub(super) session: SessionView,
    /// What it has.
    pub(super) assignment: Option<Assignment>,
}

pub(super) async fn heartbeat(
    context: Context,
    path: SessionPath,
    beat: Beat,
) -> Result<BeatAnswer, OperationError> {
    let seat = Seat::calling(&context, &path.id).await?;
    if let Some(task) = beat.task {
        let grip = grip(&context, &seat, task, None).await?;
        begin(&context, &seat, &grip).await?;
    }
    Ok(BeatAnswer {
        session: SessionView::of_seat(&context, &seat)?,
        assignment: Assignment::of_seat(&context, &seat),
    })
}

/// A request for work.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct WorkRequest {
    /// How long to wait for a task, milliseconds. At least `WORK_WAIT_MS_MIN` is waited.
    #[schemars(range(min = 0, max = limits::WORK_WAIT_MS_MAX))]
    pub(super) wait_ms: Option<u64>,
}

/// The answer to a request for work.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(super) struct WorkAnswer {
    /// The task; none when nothing fitted in the time.
    pub(super) assignment: Option<Assignment>,
}

/// An answer that got lost is given again: what the session has stays its own under the same fence.
pub(super) async fn request(
    context: Context,
    path: SessionPath,
    request: WorkRequest,
) -> Result<WorkAnswer, OperationError> {
    let wait_ms = request.wait_ms.unwrap_or(limits::WORK_WAIT_DEFAULT_MS);
    if wait_ms > limits::WORK_WAIT_MS_MAX {
        let detail = format!(
            "WORK_WAIT_MS_MAX is {}: `wait_ms` is `{wait_ms}`",
            limits::WORK_WAIT_MS_MAX
        );
        return Err(OperationError::new(ErrorCode::LimitExceeded, detail));
    }
    let wait_ms = wait_ms.max(limits::WORK_WAIT_MS_MIN);
    let seat = Seat::calling(&context, &path.id).await?;
    if let Some(assignment) = Assignment::of_seat(&context, &seat) {
        let assignment = Some(assignment);
        return Ok(WorkAnswer { assignment });
    }
    let hive = &context.services.hive;
    let Some(mut ask) = hive.ask_for_work(seat.node, wait_ms).await else {
        let detail = "the coordinator takes no more requests";
        return Err(OperationError::new(ErrorCode::Stopped, detail));
    };
    let patience = Duration::from_millis(wait_ms) + ANSWER_TIMEOUT;
    if tokio::time::timeout(patience, ask.over()).await.is_err() {
        tracing::warn!(agent = %seat.agent, "a request for work was not ended in time");
    }
    Ok(WorkAnswer {
        assignment: Assignment::of_seat(&context, &seat),
    })
}

/// Which task a session wants.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Claim {
    /// The task.
    pub(super) task: TaskId,
}

pub(super) async fn claim(
    context: Context,
    path: SessionPath,
    claim: Claim,
) -> Result<Assignment, OperationError> {
    let seat = Seat::calling(&context, &path.id).await?;
    if !holds(&context, &seat, claim.task)? {
        check_claim(&context, &seat, claim.task).await?;
        let grant = Grant {
            task: claim.task,
            agent: seat.agent,
        };
        let entry = context.propose(Command::GrantLeases(vec![grant])).await?;
        granted(&context, &entry).await?;
    }
    let grip = grip(&context, &seat, claim.task, None).await?;
    begin(&context, &seat, &grip).await?;
    let assignment = Assignment::of_seat(&context, &seat);
    assignment.ok_or_else(|| stale(claim.task, grip.fence))
}

/// Whether the session has this task already. Another one is in the way.
fn holds(context: &Context, seat: &Seat, task: TaskId) -> Result<bool, OperationError> {
    let view = context.services.hive.view();
    match held(&view.state, seat.node) {
        None => Ok(false),
        Some(held) if held.id == task => Ok(true),
        Some(held) => {
            let detail = format!("session `{}` has task `{}`", seat.agent, held.id);
            Err(OperationError::new(ErrorCode::SessionBusy, detail))
        }
    }
}

/// Says by name what the core would only refuse.
async fn check_claim(context: &Context, seat: &Seat, task: TaskId) -> Result<(), OperationError> {
    match obstacle(context, seat, task) {
        Obstacle::None => Ok(()),
        Obstacle::NotLive => {
            let refusal = Refusal::TaskNotLive(task);
            Err(lookup::explain_refusal(&context.services, refusal).await)
        }
        Obstacle::Named(error) => Err(error),
    }
}

/// What is in the way of a claim.
enum Obstacle {
    None,
    NotLive,
    Named(OperationError),
}

fn obstacle(context: &Context, seat: &Seat, task: TaskId) -> Obstacle {
    let view = context.services.hive.view();
    let agent = view.state.agent(seat.agent);
    let (Some(record), Some(agent)) = (view.state.task(task), agent) else {
        return Obstacle::NotLive;
    };
    let lacks = |(name, least): &(&String, &Proficiency)| {
        let has = agent.spec.capabilities.get(*name);
        has.is_none_or(|offered| offered < *least)
    };
    let wanted = &record.spec.requirements;
    let missing = wanted.capabilities.iter().find(lacks);
    let missing = missing.map(|(name, _)| name.as_str());
    let assigned = wanted.agent.filter(|only| *only != agent.id);
    let named = fault(record, missing, assigned).or_else(|| agent.paused.then(|| paused(seat)));
    named.map_or(Obstacle::None, Obstacle::Named)
}

fn paused(seat: &Seat) -> OperationError {
    let detail = format!("session `{}` is paused by an operator", seat.agent);
    OperationError::new(ErrorCode::GrantImpossible, detail)
}

fn fault(
    task: &TaskRecord,
    missing: Option<&str>,
    assigned: Option<AgentId>,
) -> Option<OperationError> {
    let id = task.id;
    if task.spec.work.performer() != Performer::AttachedAgent {
        let detail = format!("task `{id}` is a command: a node runs it, with its gates");
        return Some(OperationError::new(ErrorCode::TaskNotForAgents, detail));
    }
    if let Some(lease) = &task.lease {
        let detail = format!("task `{id}` is held by `{}`", lease.agent);
        return Some(OperationError::new(ErrorCode::TaskHeld, detail));
    }
    if let Some(only) = assigned {
        let detail = format!("task `{id}` is assigned to `{only}`");
        return Some(OperationError::new(ErrorCode::SessionUnfit, detail));
    }
    missing.map(|name| {
        let detail = format!("task `{id}` asks for `{name}`, better than the session declares it");
        OperationError::new(ErrorCode::SessionUnfit, detail)
    })
}

/// Whether the grant was made: somebody else may have been faster.
async fn granted(context: &Context, entry: &EntryEvents) -> Result<(), OperationError> {
    for event in &entry.events {
        if let Event::GrantRefused { reason, .. } = event {
            return Err(lookup::explain_refusal(&context.services, reason.clone()).await);
        }
    }
    Ok(())
}

/// The grant that the session has of this task, under this fence if one is named.
pub(super) async fn grip(
    context: &Context,
    seat: &Seat,
    task: TaskId,
    fence: Option<Fence>,
) -> Result<Grip, OperationError> {
    let known = lookup::task(&context.services, task).await?;
    if known.is_none() {
        let refusal = Refusal::TaskNotLive(task);
        return Err(lookup::explain_refusal(&context.services, refusal).await);
    }
    match Grip::of_seat(context, seat) {
        Some(grip) if grip.task == task && fence.is_none_or(|fence| fence == grip.fence) => {
            Ok(grip)
        }
        _ => Err(not_held(seat, task, fence)),
    }
}

/// The session does not have this task, or not under this fence any more.
pub(super) fn not_held(seat: &Seat, task: TaskId, fence: Option<Fence>) -> OperationError {
    if let Some(fence) = fence {
        return stale(task, fence);
    }
    let detail = format!(
        "session `{}` does not hold `{task}`: it was given to others, handed back, or is final",
        seat.agent
    );
    OperationError::new(ErrorCode::FenceStale, detail)
}

/// Begins what the session has, if it did not yet.
pub(super) async fn begin(
    context: &Context,
    seat: &Seat,
    grip: &Grip,
) -> Result<(), OperationError> {
    if grip.begun {
        return Ok(());
    }
    let command = Command::ReportProgress {
        node: seat.node,
        items: vec![Progress {
            task: grip.task,
            fence: grip.fence,
            phase: Phase::Running,
        }],
    };
    context.propose(command).await.map(drop)
}

pub(super) fn stale(task: TaskId, fence: Fence) -> OperationError {
    let refusal = Refusal::StaleFence { task, given: fence };
    refusal.into()
}

/// What a session says while it works.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StillWorking {
    /// The task.
    pub(super) task: TaskId,
    /// Proof of the grant, from the assignment.
    pub(super) fence: String,
    /// For the log of the attempt, at most `ERROR_TEXT_MAX` characters.
    #[serde(default)]
    pub(super) note: Option<String>,
}

/// What became of a note.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(super) struct NoteAnswer {
    /// The task.
    task: TaskId,
    /// Bytes of the log of the attempt so far.
    log_bytes: u64,
}

pub(super) async fn progress(
    context: Context,
    path: SessionPath,
    note: StillWorking,
) -> Result<NoteAnswer, OperationError> {
    let fence = read_fence(&note.fence)?;
    check_note(note.note.as_deref())?;
    let seat = Seat::calling(&context, &path.id).await?;
    let grip = grip(&context, &seat, note.task, Some(fence)).await?;
    begin(&context, &seat, &grip).await?;
    let logs = context.services.logs.clone();
    let written = lookup::blocking("write the log of an attempt", move || {
        let Some(text) = note.note else {
            return logs.length(grip.task, grip.attempt);
        };
        let line = format!("{text}\n");
        logs.append_at_end(grip.task, grip.attempt, line.as_bytes())
    });
    Ok(NoteAnswer {
        task: note.task,
        log_bytes: written.await?,
    })
}

pub(super) fn check_note(note: Option<&str>) -> Result<(), OperationError> {
    let length = note.map_or(0, |text| text.chars().count());
    if length <= limits::ERROR_TEXT_MAX {
        return Ok(());
    }
    let detail = format!(
        "ERROR_TEXT_MAX is {}: the text has {length} characters",
        limits::ERROR_TEXT_MAX
    );
    Err(OperationError::new(ErrorCode::LimitExceeded, detail))
}

pub(super) fn read_fence(text: &str) -> Result<Fence, OperationError> {
    let read = text.parse::<Fence>();
    read.map_err(|error| OperationError::new(ErrorCode::FieldInvalid, error.to_string()))
}
