//! Operations of attached agents: sessions that register, ask for work, do it and say what came
//! of it.
//!
//! Each call shows that the session is there. What it holds is a lease of its seat, so results
//! carry a fence as those of nodes do, and the core refuses what comes too late.

mod account;
mod assignment;
mod capabilities;
pub mod line;
mod presence;
mod seed;
mod view;
mod work;

use crate::context::Context;
use crate::declare::{READ, act, end, read};
use crate::error::OperationError;
use crate::fields::check_text;
use crate::operation::Operation;
use crate::paging::page_limit;
use crate::permission::Permission;
use crate::views::Page;
use capabilities::Capabilities;
use presence::Seat;
use serde::{Deserialize, Serialize};
use skep_model::agent::AgentState;
use skep_model::command::Command;
use skep_model::ids::{AgentId, InstanceId, NodeId};
use skep_model::limits;
use skep_model::session::{AttachedSpec, HeartbeatMode, SessionFacts};
use skep_model::token::Scope;
use view::SessionView;

pub(crate) use assignment::Assignment;
pub use seed::aliases;
pub(crate) use seed::mirrored;

/// What attached agents do. Holders of the scope `agent` do it for the sessions that they
/// registered, administrators for all.
const AGENT: Permission = Permission::any_of(&[Scope::Agent]);
/// For agents that look around, and for whoever may read.
const LOOK: Permission = Permission::any_of(&[Scope::Read, Scope::Agent]);
/// Role of an agent that names none.
const ROLE_DEFAULT: &str = "session";
/// Program of an agent that names none.
const CLIENT_DEFAULT: &str = "unknown";

pub(crate) fn operations() -> Vec<Operation> {
    let about = vec![
        act(
            "sessions.register",
            "/sessions",
            AGENT,
            "Registers the caller's session as an agent, or lets it come back under its name.",
        )
        .takes(|context, _: crate::fields::NoParameters, new| register(context, new)),
        read(
            "sessions.list",
            "/sessions",
            READ,
            "Lists the attached agents.",
        )
        .answers_at_once(list),
        read(
            "sessions.get",
            "/sessions/{id}",
            LOOK,
            "Shows an attached agent and what it has.",
        )
        .answers_at_once(get),
        act(
            "sessions.heartbeat",
            "/sessions/{id}/heartbeat",
            AGENT,
            "Says that the session is there, and what it works on.",
        )
        .takes(work::heartbeat),
        end(
            "sessions.deregister",
            "/sessions/{id}",
            AGENT,
            "Ends a session; its task goes back.",
        )
        .answers(deregister),
    ];
    about.into_iter().chain(work_operations()).collect()
}

fn work_operations() -> Vec<Operation> {
    vec![
        act(
            "sessions.request_work",
            "/sessions/{id}/request-work",
            AGENT,
            "Asks for one task and waits for it; gives what the session has already.",
        )
        .takes(work::request),
        act(
            "sessions.claim",
            "/sessions/{id}/claim",
            AGENT,
            "Takes a named task, or accepts the one that was given, and begins it.",
        )
        .takes(work::claim),
        act(
            "sessions.progress",
            "/sessions/{id}/progress",
            AGENT,
            "Says that work goes on, with a note for the task's log.",
        )
        .takes(work::progress),
        act(
            "sessions.complete",
            "/sessions/{id}/complete",
            AGENT,
            "Ends the session's task well, with what came of it.",
        )
        .takes(account::complete),
        act(
            "sessions.fail",
            "/sessions/{id}/fail",
            AGENT,
            "Ends the session's attempt badly, with the reason.",
        )
        .takes(account::fail),
        act(
            "sessions.hand_back",
            "/sessions/{id}/hand-back",
            AGENT,
            "Hands the session's task back, for others.",
        )
        .takes(account::hand_back),
    ]
}

/// Names an attached agent.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct SessionPath {
    /// Its id or its name.
    id: String,
}

/// A session that registers.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct NewSession {
    /// Its name, unique among agents and nodes; made up when it is left out.
    name: Option<String>,
    /// Anything that only this session knows. Who names it again, or finds the session of its name
    /// offline, comes back to what it had; others cannot take the name.
    instance: Option<String>,
    /// Free word. For example `reviewer`.
    role: Option<String>,
    /// What it can do: names, or names with proficiencies.
    capabilities: Capabilities,
    /// How it is known to be alive while it works.
    heartbeat: HeartbeatMode,
    /// The program. For example `claude-code 2.1`.
    client: Option<String>,
}

/// What a session has to keep to, milliseconds.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct Terms {
    /// How often heartbeats are expected, if any are sent.
    heartbeat_ms: u64,
    /// Silence after which it is offline when it has nothing to do.
    offline_after_ms: u64,
    /// A task that was given has to be begun within this time.
    claim_timeout_ms: u64,
    /// Silence while it works after which its task is given to others; with a timeout of the task
    /// that counts instead.
    working_silence_ms: u64,
    /// Tasks it has at a time.
    tasks_max: u32,
}

/// A session that registered.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct Registered {
    /// Names it in all other calls.
    id: AgentId,
    /// Its name, which does, too.
    name: String,
    /// What it does at the moment.
    state: AgentState,
    /// What it has to keep to.
    terms: Terms,
    /// What it has already, when it came back.
    assignment: Option<Assignment>,
}

async fn register(context: Context, new: NewSession) -> Result<Registered, OperationError> {
    let agent = attach(&context, new).await?;
    let seat = Seat::of_agent(&context, agent)?;
    let session = SessionView::of_seat(&context, &seat)?;
    let working = match session.heartbeat {
        HeartbeatMode::Calls => limits::WORKING_SILENCE_MS,
        HeartbeatMode::Background => limits::SESSION_OFFLINE_MS,
    };
    Ok(Registered {
        terms: Terms {
            heartbeat_ms: limits::SESSION_HEARTBEAT_MS,
            offline_after_ms: limits::SESSION_OFFLINE_MS,
            claim_timeout_ms: limits::CLAIM_TIMEOUT_MS,
            working_silence_ms: working,
            tasks_max: limits::SESSION_SLOTS,
        },
        assignment: Assignment::of_seat(&context, &seat),
        id: session.id,
        name: session.name,
        state: session.state,
    })
}

/// Makes the session an agent, under the id that it has already if this caller registered it
/// before.
async fn attach(context: &Context, new: NewSession) -> Result<AgentId, OperationError> {
    let fresh = context.services.fresh_id();
    let name = new
        .name
        .unwrap_or_else(|| format!("session-{:012x}", fresh & 0xffff_ffff_ffff));
    check_text("name", &name)?;
    let role = new.role.unwrap_or_else(|| ROLE_DEFAULT.to_owned());
    check_text("role", &role)?;
    let client = new.client.unwrap_or_else(|| CLIENT_DEFAULT.to_owned());
    check_text("client", &client)?;
    let capabilities = new.capabilities.checked()?;
    let instance = match &new.instance {
        None => InstanceId::from_u128(fresh),
        Some(text) => instance_of(text)?,
    };
    let (seat, agent) = match Seat::to_come_back(context, &name, instance)? {
        Some(known) => (known.node, known.agent),
        None => (
            NodeId::from_u128(context.services.fresh_id()),
            AgentId::from_u128(context.services.fresh_id()),
        ),
    };
    let spec = Box::new(AttachedSpec {
        name,
        role,
        capabilities,
        session: SessionFacts {
            owner: context.caller.actor(),
            heartbeat: new.heartbeat,
            client,
        },
    });
    let command = Command::AttachAgent {
        seat,
        instance,
        agent,
        spec,
    };
    context.propose(command).await?;
    context.services.hive.session_called(seat).await;
    Ok(agent)
}

/// The process that the session says it is.
fn instance_of(text: &str) -> Result<InstanceId, OperationError> {
    check_text("instance", text)?;
    let hash = blake3::hash(text.as_bytes());
    let (half, _) = hash.as_bytes().split_at(16);
    let half: [u8; 16] = half.try_into().expect("half of 32 bytes");
    Ok(InstanceId::from_u128(u128::from_be_bytes(half)))
}

/// Which attached agents to list.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct SessionListing {
    /// Only those in this state.
    state: Option<AgentState>,
    /// Items on a page.
    #[schemars(range(min = 1, max = limits::PAGE_ITEMS_MAX))]
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<AgentId>,
}

fn list(context: &Context, query: &SessionListing) -> Result<Page<SessionView>, OperationError> {
    let limit = page_limit(query.limit)?;
    let hive = &context.services.hive;
    let view = hive.view();
    let mut items: Vec<SessionView> = view
        .state
        .agents()
        .filter(|agent| query.cursor.is_none_or(|cursor| agent.id > cursor))
        .filter(|agent| {
            let state = query.state;
            state.is_none_or(|state| view.state.agent_state(agent) == state)
        })
        .filter_map(|agent| SessionView::of(hive, &view, agent))
        .take(limit + 1)
        .collect();
    let more = items.len() > limit;
    items.truncate(limit);
    let next_cursor = items.last().filter(|_| more);
    let next_cursor = next_cursor.map(|session| session.id.to_string());
    Ok(Page { items, next_cursor })
}

fn get(context: &Context, path: &SessionPath) -> Result<SessionView, OperationError> {
    let seat = Seat::seen(context, &path.id)?;
    SessionView::of_seat(context, &seat)
}

/// A session that ended.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct Deregistered {
    /// The agent.
    deregistered: AgentId,
}

async fn deregister(context: Context, path: SessionPath) -> Result<Deregistered, OperationError> {
    let seat = Seat::own(&context, &path.id)?;
    let command = Command::NodeLeft {
        node: seat.node,
        instance: seat.instance,
    };
    context.propose(command).await?;
    Ok(Deregistered {
        deregistered: seat.agent,
    })
}
