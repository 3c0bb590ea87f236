//! The endpoints of the Unified Swarm at the root of the port, with its paths and field names.
//!
//! They do what the operations of sessions do and nothing else. A client of the Unified Swarm knows
//! no fences: its completion counts for what its session holds. It may send the fence, which every
//! task that it is given has.

pub(crate) mod mirrored;
mod queue;
mod shapes;

use super::account::{self, Completion, Failure};
use super::assignment::Grip;
use super::presence::Seat;
use super::view::SessionView;
use super::work::{self, Beat, Claim, StillWorking, WorkRequest};
use super::{AGENT, NewSession, SessionPath, register};
use crate::context::Context;
use crate::declare::{act, read};
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::fields::NoParameters;
use crate::operation::Operation;
use crate::permission::Permission;
use shapes::{
    Beaten, Claimed, Completed, Metrics, SeedBeat, SeedClaim, SeedCompletion, SeedRegistration,
    SeedSession, SeedTask, SwarmStatus, WorkGiven, WorkQuery,
};
use skep_coordinator::View;
use skep_model::ids::TaskId;
use skep_model::limits;
use skep_model::token::Scope;

/// Waiting tasks that the status shows.
const QUEUE_SHOWN_MAX: usize = 100;
/// Milliseconds in a minute.
const MINUTE_MS: f64 = 60_000.0;

/// The aliases; their paths are whole, not below the prefix of the API.
pub fn aliases() -> Vec<Operation> {
    const LOOK: Permission = Permission::any_of(&[Scope::Read, Scope::Agent]);
    vec![
        act(
            "aliases.session_register",
            "/session/register",
            AGENT,
            "Registers a session, in the shape of the Unified Swarm.",
        )
        .takes(|context, _: NoParameters, body| session_register(context, body)),
        act(
            "aliases.session_heartbeat",
            "/session/heartbeat",
            AGENT,
            "Says that a session is there, in the shape of the Unified Swarm.",
        )
        .takes(|context, _: NoParameters, body| session_heartbeat(context, body)),
        read(
            "aliases.work_request",
            "/work/request",
            AGENT,
            "Asks for one task, in the shape of the Unified Swarm.",
        )
        .answers(work_request),
        act(
            "aliases.work_claim",
            "/work/claim",
            AGENT,
            "Takes a named task, in the shape of the Unified Swarm.",
        )
        .takes(|context, _: NoParameters, body| work_claim(context, body)),
        act(
            "aliases.work_complete",
            "/work/complete",
            AGENT,
            "Says what came of a task, in the shape of the Unified Swarm.",
        )
        .takes(|context, _: NoParameters, body| work_complete(context, body)),
        read(
            "aliases.swarm_status",
            "/swarm/status",
            LOOK,
            "Shows sessions, queue and counts, in the shape of the Unified Swarm.",
        )
        .answers_at_once(swarm_status),
    ]
}

fn path(session_id: &str) -> SessionPath {
    SessionPath {
        id: session_id.to_owned(),
    }
}

async fn session_register(
    context: Context,
    body: SeedRegistration,
) -> Result<SeedSession, OperationError> {
    // The Unified Swarm's sessions choose their own ids, and nobody else knows them.
    let new = NewSession {
        instance: body.session_id.clone(),
        name: body.session_id,
        capabilities: body.capabilities,
        role: body.role,
        client: body.client,
        ..NewSession::default()
    };
    let registered = register(context.clone(), new).await?;
    let seat = Seat::of_agent(&context, registered.id)?;
    let mut session = SeedSession::of(&SessionView::of_seat(&context, &seat)?);
    session.assignment = registered.assignment.map(SeedTask::of_assignment);
    Ok(session)
}

async fn session_heartbeat(context: Context, body: SeedBeat) -> Result<Beaten, OperationError> {
    let beat = Beat {
        task: body.current_task,
    };
    let answer = work::heartbeat(context.clone(), path(&body.session_id), beat).await?;
    if let (Some(progress), Some(assignment)) = (body.progress, &answer.assignment) {
        let note = StillWorking {
            task: assignment.task,
            fence: assignment.fence.clone(),
            note: Some(format!("progress: {progress}")),
        };
        work::progress(context, path(&body.session_id), note).await?;
    }
    let mut session = SeedSession::of(&answer.session);
    session.assignment = answer.assignment.map(SeedTask::of_assignment);
    Ok(Beaten {
        acknowledged: true,
        session,
    })
}

async fn work_request(context: Context, query: WorkQuery) -> Result<WorkGiven, OperationError> {
    let wait_ms = query.wait.as_deref().map(wait_ms).transpose()?;
    let request = WorkRequest { wait_ms };
    let answer = work::request(context, path(&query.session_id), request).await?;
    Ok(WorkGiven {
        task: answer.assignment.map(SeedTask::of_assignment),
    })
}

/// `30s`, `500ms`, `1m`, or seconds.
fn wait_ms(text: &str) -> Result<u64, OperationError> {
    let (digits, unit) = match text.find(|letter: char| !letter.is_ascii_digit()) {
        Some(at) => text.split_at(at),
        None => (text, "s"),
    };
    let factor = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        _ => return Err(no_wait(text)),
    };
    let number = digits.parse::<u64>().ok();
    let ms = number.and_then(|number| number.checked_mul(factor));
    ms.ok_or_else(|| no_wait(text))
}

fn no_wait(text: &str) -> OperationError {
    let detail = format!("`wait` is `{text}`; want a time such as `30s`");
    OperationError::new(ErrorCode::QueryMalformed, detail)
}

async fn work_claim(context: Context, body: SeedClaim) -> Result<Claimed, OperationError> {
    let claim = Claim { task: body.task_id };
    let assignment = work::claim(context, path(&body.session_id), claim).await?;
    Ok(Claimed {
        claimed: true,
        task: SeedTask::of_assignment(assignment),
    })
}

async fn work_complete(
    context: Context,
    body: SeedCompletion,
) -> Result<Completed, OperationError> {
    let fence = match body.fence {
        Some(fence) => fence,
        None => held_fence(&context, &body.session_id, body.task_id)?,
    };
    let (task, path) = (body.task_id, path(&body.session_id));
    let ended = match body.status.as_deref() {
        None | Some("completed" | "complete" | "success") if body.error.is_none() => {
            let completion = Completion {
                task,
                fence,
                result: body.result,
                commit: body.commit,
                artifacts: body.artifacts,
                usage: None,
            };
            account::complete(context, path, completion).await?
        }
        None | Some("failed") => {
            let failure = Failure {
                task,
                fence,
                reason: body
                    .error
                    .unwrap_or_else(|| "no reason was given".to_owned()),
            };
            account::fail(context, path, failure).await?
        }
        Some(other) => {
            let detail = format!("`status` is `{other}`; want completed, or failed with `error`");
            return Err(OperationError::new(ErrorCode::FieldInvalid, detail));
        }
    };
    Ok(Completed {
        task_id: task,
        status: shapes::task_status(ended.state),
        repeated: ended.repeated,
    })
}

/// The fence of what the session holds, for clients that know none.
fn held_fence(context: &Context, session: &str, task: TaskId) -> Result<String, OperationError> {
    let seat = Seat::own(context, session)?;
    let grip = Grip::of_seat(context, &seat).filter(|grip| grip.task == task);
    grip.map(|grip| grip.fence.to_string())
        .ok_or_else(|| work::not_held(&seat, task, None))
}

#[expect(clippy::unnecessary_wraps, reason = "all handlers have this form")]
fn swarm_status(context: &Context, _: &NoParameters) -> Result<SwarmStatus, OperationError> {
    let hive = &context.services.hive;
    let view = hive.view();
    let agents = view.state.agents();
    let sessions: Vec<SessionView> = agents
        .filter_map(|agent| SessionView::of(hive, &view, agent))
        .collect();
    let waiting = queue::most_urgent(&view.state, QUEUE_SHOWN_MAX).into_iter();
    let waiting = waiting.filter_map(|task| view.state.task(task));
    let work_queue = waiting.map(SeedTask::waiting).collect();
    Ok(SwarmStatus {
        metrics: metrics(&view, &sessions),
        heartbeat_interval: limits::SESSION_HEARTBEAT_MS / 1_000,
        sessions: sessions.iter().map(SeedSession::of).collect(),
        work_queue,
    })
}

fn metrics(view: &View, sessions: &[SessionView]) -> Metrics {
    let counts = view.state.counts();
    let experience = view.state.experience();
    let busy = sessions.iter().filter(|session| session.is_busy()).count();
    let active = sessions.iter().filter(|session| session.is_there()).count();
    Metrics {
        total_sessions: sessions.len(),
        active_sessions: active,
        tasks_completed: u64::try_from(experience.succeeded).unwrap_or(u64::MAX),
        tasks_pending: u64::from(counts.pending) + u64::from(counts.ready),
        tasks_in_progress: u64::from(counts.held()),
        avg_task_time: (experience.succeeded > 0).then(|| experience.mean_ms() as f64 / MINUTE_MS),
        utilization: (active > 0).then(|| busy as f64 / active as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_read_with_their_units_and_what_is_too_long_is_malformed() {
        for (text, expected) in [
            ("30s", Some(30_000)),
            ("500ms", Some(500)),
            ("1m", Some(60_000)),
            ("7", Some(7_000)),
            ("0s", Some(0)),
            ("1h", None),
            ("s", None),
            ("307445734561826m", None),
            ("18446744073709551615s", None),
            ("18446744073709551616ms", None),
        ] {
            assert_eq!(wait_ms(text).ok(), expected, "{text}");
        }
        let error = wait_ms("18446744073709551615s").unwrap_err();
        assert_eq!(error.code(), ErrorCode::QueryMalformed);
    }
}
