//! What an attached agent asks for over a connection of its own: each request is one of the
//! operations beside this file, or a question that every attempt may ask.

use super::account::{self, Completion, Ended, Failure, HandingBack};
use super::assignment::{Assignment, held};
use super::presence::Seat;
use super::work::{self, Beat, Claim, StillWorking, WorkRequest};
use super::{AGENT, NewSession, SessionPath};
use crate::context::{Context, Services};
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::node_requests;
use crate::parameters::PathParameters;
use serde::Serialize;
use serde_json::{Map, Value};
use skep_model::ids::{AgentId, InstanceId, NodeId};
use skep_model::limits::WORK_WAIT_MS_MAX;
use skep_model::node::NodeState;
use skep_wire::Fault;
use skep_wire::payload::{
    AgentAnswer, AgentBeat, AgentEnded, AgentNote, AgentOutcome, AgentRequest, AgentTask,
    AgentTerms, AgentWelcome, AttemptKey, MergeRequest, NodeAnswer, NodeRequest, ResolveRequest,
};
use std::sync::Arc;

/// The session behind a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentSeat {
    /// The agent.
    pub agent: AgentId,
    /// The seat that owns its leases.
    pub node: NodeId,
    /// The process that it says it is.
    instance: InstanceId,
}

/// What stands at the seat of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeatStanding {
    /// The session is over.
    Gone,
    /// Another process is the session now.
    Replaced,
    /// It has nothing.
    Free,
    /// It has this.
    Has(Box<AgentTask>),
}

/// Registers the session of a connection, or lets it come back to what it had.
///
/// # Errors
/// Those of `sessions.register`.
pub async fn register(
    context: Context,
    mut session: Map<String, Value>,
) -> Result<(AgentSeat, AgentWelcome), Fault> {
    // Whoever has a connection is known to be alive by it, unless it says otherwise.
    session
        .entry("heartbeat")
        .or_insert_with(|| "background".into());
    let registered = async {
        AGENT.check(&context, &PathParameters::new()).await?;
        let new: NewSession = serde_json::from_value(Value::Object(session)).map_err(|error| {
            let detail = format!("`session`: {error}");
            OperationError::new(ErrorCode::FieldInvalid, detail)
        })?;
        let registered = super::register(context.clone(), new).await?;
        let seat = Seat::of_agent(&context, registered.id)?;
        let assignment = registered.assignment.as_ref().map(task_of).transpose()?;
        let terms = registered.terms;
        let welcome = AgentWelcome {
            id: registered.id,
            name: registered.name,
            epoch: skep_coordinator::EPOCH,
            server_version: context.services.server.version.clone(),
            terms: AgentTerms {
                heartbeat_ms: terms.heartbeat_ms,
                offline_after_ms: terms.offline_after_ms,
                claim_timeout_ms: terms.claim_timeout_ms,
                working_silence_ms: terms.working_silence_ms,
                tasks_max: terms.tasks_max,
            },
            assignment,
        };
        let seat = AgentSeat {
            agent: seat.agent,
            node: seat.node,
            instance: seat.instance,
        };
        Ok((seat, welcome))
    };
    registered.await.map_err(|error| fault(&error))
}

/// Asks for one task and waits for it, at most `WORK_WAIT_MS_MAX`. What the session has then is for
/// [`standing`] to say. Dropping the future withdraws the request.
///
/// # Errors
/// Those of `sessions.request_work`.
pub async fn ask_for_work(context: Context, seat: AgentSeat) -> Result<(), Fault> {
    let asked = async {
        AGENT.check(&context, &PathParameters::new()).await?;
        let wait_ms = Some(WORK_WAIT_MS_MAX);
        work::request(context, path(seat), WorkRequest { wait_ms }).await
    };
    asked.await.map(drop).map_err(|error| fault(&error))
}

/// What stands at the seat now.
///
/// # Errors
/// `internal`: what it has cannot be written.
pub fn standing(services: &Services, seat: AgentSeat) -> Result<SeatStanding, OperationError> {
    let view = services.hive.view();
    let state = &view.state;
    let record = state.node(seat.node);
    let record = record.filter(|node| node.session.is_some() && node.state != NodeState::Left);
    let Some(record) = record.filter(|_| state.agent(seat.agent).is_some()) else {
        return Ok(SeatStanding::Gone);
    };
    if record.instance != seat.instance {
        return Ok(SeatStanding::Replaced);
    }
    let assignment = held(state, seat.node).and_then(Assignment::of);
    drop(view);
    Ok(match assignment {
        None => SeatStanding::Free,
        Some(assignment) => SeatStanding::Has(task_of(&assignment)?),
    })
}

/// Carries out a request of the session.
///
/// # Errors
/// Those of the operation that it is.
pub async fn answer(
    context: Context,
    seat: AgentSeat,
    request: AgentRequest,
) -> Result<AgentAnswer, Fault> {
    let answered = async {
        AGENT.check(&context, &PathParameters::new()).await?;
        perform(context, seat, request).await
    };
    answered.await.map_err(|error| fault(&error))
}

async fn perform(
    context: Context,
    seat: AgentSeat,
    request: AgentRequest,
) -> Result<AgentAnswer, OperationError> {
    match request {
        AgentRequest::Beat(AgentBeat { sequence, task }) => {
            let beaten = work::heartbeat(context, path(seat), Beat { task }).await?;
            let mut said = value_of(&beaten)?;
            said["sequence"] = sequence.into();
            Ok(AgentAnswer::Said(said))
        }
        AgentRequest::Look => {
            let looked = work::heartbeat(context, path(seat), Beat::default()).await?;
            Ok(AgentAnswer::Said(value_of(&looked)?))
        }
        AgentRequest::Claim(claim) => {
            let claim = Claim { task: claim.task };
            let assignment = work::claim(context, path(seat), claim).await?;
            Ok(AgentAnswer::Has(task_of(&assignment)?))
        }
        AgentRequest::Begin(AttemptKey { task, fence }) => {
            let note = None;
            noted(context, seat, AgentNote { task, fence, note }).await
        }
        AgentRequest::Note(note) => noted(context, seat, note).await,
        AgentRequest::Decline(key) => ended(context, seat, key, AgentOutcome::HandedBack).await,
        AgentRequest::End(result) => {
            let key = result.key();
            ended(context, seat, key, result.outcome).await
        }
        AgentRequest::Resolve(question) => {
            let request = NodeRequest::Resolve(ResolveRequest {
                attempt: AttemptKey::new(question.task, question.fence),
                wanted: question.wanted,
            });
            inquire(context, seat, request).await
        }
        AgentRequest::Merge(question) => {
            let request = NodeRequest::Merge(MergeRequest {
                attempt: AttemptKey::new(question.task, question.fence),
                shards: question.wanted,
            });
            inquire(context, seat, request).await
        }
        AgentRequest::Leave => {
            super::deregister(context, path(seat)).await?;
            Ok(AgentAnswer::Left)
        }
    }
}

async fn noted(
    context: Context,
    seat: AgentSeat,
    note: AgentNote,
) -> Result<AgentAnswer, OperationError> {
    let working = StillWorking {
        task: note.task,
        fence: note.fence.to_string(),
        note: note.note,
    };
    let noted = work::progress(context, path(seat), working).await?;
    Ok(AgentAnswer::Said(value_of(&noted)?))
}

async fn ended(
    context: Context,
    seat: AgentSeat,
    key: AttemptKey,
    outcome: AgentOutcome,
) -> Result<AgentAnswer, OperationError> {
    let (task, fence, path) = (key.task, key.fence.to_string(), path(seat));
    let ended: Ended = match outcome {
        AgentOutcome::Completed {
            result,
            commit,
            artifacts,
        } => {
            let completion = Completion {
                task,
                fence,
                result,
                commit,
                artifacts,
                // Not part of this protocol: sessions report it by HTTP.
                usage: None,
            };
            account::complete(context, path, completion).await?
        }
        AgentOutcome::Failed { reason } => {
            let failure = Failure {
                task,
                fence,
                reason,
            };
            account::fail(context, path, failure).await?
        }
        AgentOutcome::HandedBack => {
            account::hand_back(context, path, HandingBack { task, fence }).await?
        }
    };
    Ok(AgentAnswer::Ended(AgentEnded {
        task: ended.task,
        state: ended.state,
        repeated: ended.repeated,
    }))
}

/// What every attempt may ask about the tasks of its run.
async fn inquire(
    context: Context,
    seat: AgentSeat,
    request: NodeRequest,
) -> Result<AgentAnswer, OperationError> {
    Seat::calling(&context, &seat.agent.to_string()).await?;
    let services = Arc::clone(&context.services);
    let said = match node_requests::answer_to(services, seat.node, request, None).await? {
        NodeAnswer::Resolve(answer) => value_of(&answer),
        NodeAnswer::Merge(answer) => value_of(&answer),
        NodeAnswer::Gate(answer) => value_of(&answer),
        NodeAnswer::Split(answer) => value_of(&answer),
    };
    Ok(AgentAnswer::Said(said?))
}

fn path(seat: AgentSeat) -> SessionPath {
    SessionPath {
        id: seat.agent.to_string(),
    }
}

fn task_of(assignment: &Assignment) -> Result<Box<AgentTask>, OperationError> {
    let read = serde_json::from_value(value_of(assignment)?);
    read.map_err(|error| OperationError::internal("write an assignment", &error))
}

fn value_of<T: Serialize>(value: &T) -> Result<Value, OperationError> {
    let written = serde_json::to_value(value);
    written.map_err(|error| OperationError::internal("encode the answer", &error))
}

fn fault(error: &OperationError) -> Fault {
    Fault::refusal(error.code().as_str(), error.detail()).retryable(error.is_retryable())
}
