//! Which session a call is about, whether the caller may speak for it, and that it is there.

use crate::context::Context;
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use skep_core::State;
use skep_model::agent::AgentRecord;
use skep_model::command::{Actor, Command};
use skep_model::ids::{AgentId, InstanceId, NodeId};
use skep_model::node::{NodeRecord, NodeState};
use skep_model::token::Scope;

/// An attached agent and its seat, as they stood when the call came in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seat {
    pub(super) agent: AgentId,
    pub(super) node: NodeId,
    pub(super) instance: InstanceId,
    state: NodeState,
    owner: Actor,
}

impl Seat {
    fn of(state: &State, agent: &AgentRecord) -> Option<Self> {
        let node: &NodeRecord = state.node(agent.spec.node)?;
        let session = node.session.as_ref()?;
        Some(Self {
            agent: agent.id,
            node: node.id,
            instance: node.instance,
            state: node.state,
            owner: session.owner,
        })
    }

    /// The session with this id or name, for whoever looks at it.
    pub(super) fn seen(context: &Context, text: &str) -> Result<Self, OperationError> {
        let view = context.services.hive.view();
        let state = &view.state;
        let found = match text.parse::<AgentId>() {
            Ok(id) => state.agent(id),
            Err(_) => state.agent_named(text),
        };
        let seat = found.and_then(|agent| Self::of(state, agent));
        seat.ok_or_else(|| unknown(text))
    }

    pub(super) fn of_agent(context: &Context, agent: AgentId) -> Result<Self, OperationError> {
        Self::seen(context, &agent.to_string())
    }

    /// The session with this id or name, for the caller that registered it or an administrator.
    pub(super) fn own(context: &Context, text: &str) -> Result<Self, OperationError> {
        let seat = Self::seen(context, text)?;
        seat.check_owner(context)?;
        Ok(seat)
    }

    /// The session of this name, if there is one and the caller may come back as it: it was
    /// registered with the same token, and either this is the same process or it is offline.
    pub(super) fn to_come_back(
        context: &Context,
        name: &str,
        instance: InstanceId,
    ) -> Result<Option<Self>, OperationError> {
        let view = context.services.hive.view();
        let agent = view.state.agent_named(name);
        let seat = agent.and_then(|agent| Self::of(&view.state, agent));
        drop(view);
        let Some(seat) = seat else { return Ok(None) };
        let detail = if seat.owner != context.caller.actor() {
            format!("the name `{name}` belongs to a session of another token")
        } else if seat.instance == instance || seat.is_offline() {
            return Ok(Some(seat));
        } else {
            format!("a session with the name `{name}` is there, and it is another process")
        };
        Err(OperationError::new(ErrorCode::NameTaken, detail))
    }

    const fn is_offline(&self) -> bool {
        matches!(self.state, NodeState::Suspect | NodeState::Lost)
    }

    fn check_owner(&self, context: &Context) -> Result<(), OperationError> {
        if self.owner == context.caller.actor() || context.caller.has(Scope::Admin) {
            return Ok(());
        }
        let detail = format!("session `{}` was registered with another token", self.agent);
        Err(OperationError::new(ErrorCode::NotYourSession, detail))
    }

    /// The session with this id or name, whose call shows that it is there: one that was offline is
    /// back, in the log, before anything else is done.
    pub(super) async fn calling(context: &Context, text: &str) -> Result<Self, OperationError> {
        let seat = Self::own(context, text)?;
        let hive = &context.services.hive;
        hive.session_called(seat.node).await;
        if seat.is_offline() {
            context.propose(Command::TrustNode(seat.node)).await?;
        }
        Ok(seat)
    }
}

pub(super) fn unknown(text: &str) -> OperationError {
    OperationError::new(
        ErrorCode::SessionNotFound,
        format!("no attached agent has the id or name `{text}`"),
    )
}
