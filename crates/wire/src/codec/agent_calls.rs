//! The calls of attached agents and of the coordinator to them, under the names of the contract.

use super::body::{Body, read_params};
use super::calls::{Calls, bounded, unknown};
use super::{RequestId, method};
use crate::bounds::TASKS_PER_REQUEST_MAX;
use crate::fault::WireError;
use crate::frame::Frame;
use crate::framing::Framing;
use crate::payload::{
    AgentBeat, AgentClaim, AgentHello, AgentLook, AgentNegotiation, AgentQuestion, AgentResult,
    AgentRevoked, AgentStatus, AgentTask, Goodbye, Role, SessionEnd,
};
use serde::Deserialize;

/// What an attached agent says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentCall {
    /// Request `mcpx.negotiate`.
    Negotiate(AgentNegotiation),
    /// Request `mcpx.orchestrate.session.start`.
    Hello(Box<AgentHello>),
    /// Request `mcpx.orchestrate.session.end`.
    Goodbye(Goodbye),
    /// Request `mcpx.orchestrate.task.assign`: it wants a task by name.
    Claim(AgentClaim),
    /// Request `mcpx.orchestrate.task.complete`.
    Result(Box<AgentResult>),
    /// Request `mcpx.coordinate.state.sync`.
    Look(AgentLook),
    /// Request `mcpx.health.check`.
    Beat(AgentBeat),
    /// Request or notification `mcpx.status.update`.
    Status(AgentStatus),
    /// Request `mcpx.coordinate.dependency.resolve`.
    Resolve(AgentQuestion),
    /// Request `mcpx.distribute.result.merge`.
    Merge(AgentQuestion),
    /// A method of the contract that only nodes have.
    NodesOnly(&'static str),
}

impl Calls for AgentCall {
    fn read(method: &str, params: Body<'_>) -> Result<Self, WireError> {
        let call = match method {
            method::NEGOTIATE => Self::Negotiate(read_params(method::NEGOTIATE, params)?),
            method::SESSION_START => Self::Hello(read_params(method::SESSION_START, params)?),
            method::SESSION_END => Self::Goodbye(read_params(method::SESSION_END, params)?),
            method::TASK_ASSIGN => Self::Claim(read_params(method::TASK_ASSIGN, params)?),
            method::TASK_COMPLETE => Self::Result(read_params(method::TASK_COMPLETE, params)?),
            method::STATE_SYNC => Self::Look(read_params(method::STATE_SYNC, params)?),
            method::HEALTH_CHECK => Self::Beat(read_params(method::HEALTH_CHECK, params)?),
            method::STATUS_UPDATE => Self::Status(read_params(method::STATUS_UPDATE, params)?),
            method::DEPENDENCY_RESOLVE => {
                Self::Resolve(read_params(method::DEPENDENCY_RESOLVE, params)?)
            }
            method::RESULT_MERGE => Self::Merge(read_params(method::RESULT_MERGE, params)?),
            method::QUALITY_GATE => Self::NodesOnly(method::QUALITY_GATE),
            method::TASK_SPLIT => Self::NodesOnly(method::TASK_SPLIT),
            method::LOAD_BALANCE => Self::NodesOnly(method::LOAD_BALANCE),
            method::METRICS_REPORT => Self::NodesOnly(method::METRICS_REPORT),
            other => return Err(unknown(other)),
        };
        let tasks = match &call {
            Self::Resolve(question) | Self::Merge(question) => question.wanted.len(),
            _ => 0,
        };
        bounded(call, tasks, TASKS_PER_REQUEST_MAX)
    }

    fn method(&self) -> &'static str {
        match self {
            Self::Negotiate(_) => method::NEGOTIATE,
            Self::Hello(_) => method::SESSION_START,
            Self::Goodbye(_) => method::SESSION_END,
            Self::Claim(_) => method::TASK_ASSIGN,
            Self::Result(_) => method::TASK_COMPLETE,
            Self::Look(_) => method::STATE_SYNC,
            Self::Beat(_) => method::HEALTH_CHECK,
            Self::Status(_) => method::STATUS_UPDATE,
            Self::Resolve(_) => method::DEPENDENCY_RESOLVE,
            Self::Merge(_) => method::RESULT_MERGE,
            Self::NodesOnly(method) => method,
        }
    }

    fn frame(&self, framing: Framing, id: Option<&RequestId>) -> Frame {
        let method = self.method();
        match self {
            Self::Negotiate(params) => framing.call(id, method, params),
            Self::Hello(params) => framing.call(id, method, params),
            Self::Goodbye(params) => framing.call(id, method, params),
            Self::Claim(params) => framing.call(id, method, params),
            Self::Result(params) => framing.call(id, method, params),
            Self::Look(params) => framing.call(id, method, params),
            Self::Beat(params) => framing.call(id, method, params),
            Self::Status(params) => framing.call(id, method, params),
            Self::Resolve(params) | Self::Merge(params) => framing.call(id, method, params),
            Self::NodesOnly(_) => framing.call(id, method, &AgentLook {}),
        }
    }
}

/// What a coordinator says to an attached agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostCall {
    /// Request `mcpx.orchestrate.task.assign`.
    Assign(Box<AgentTask>),
    /// Notification `mcpx.coordinate.state.sync`: what was taken back.
    Revoke(AgentRevoked),
    /// Notification `mcpx.orchestrate.session.end`.
    End(SessionEnd),
}

impl Calls for HostCall {
    fn read(method: &str, params: Body<'_>) -> Result<Self, WireError> {
        let call = match method {
            method::TASK_ASSIGN => Self::Assign(read_params(method::TASK_ASSIGN, params)?),
            method::STATE_SYNC => Self::Revoke(read_params(method::STATE_SYNC, params)?),
            method::SESSION_END => Self::End(read_params(method::SESSION_END, params)?),
            other => return Err(unknown(other)),
        };
        Ok(call)
    }

    fn method(&self) -> &'static str {
        match self {
            Self::Assign(_) => method::TASK_ASSIGN,
            Self::Revoke(_) => method::STATE_SYNC,
            Self::End(_) => method::SESSION_END,
        }
    }

    fn frame(&self, framing: Framing, id: Option<&RequestId>) -> Frame {
        let method = self.method();
        match self {
            Self::Assign(params) => framing.call(id, method, params),
            Self::Revoke(params) => framing.call(id, method, params),
            Self::End(params) => framing.call(id, method, params),
        }
    }
}

/// What the first frame of a connection says about its sender.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Opening {
    /// Who it says that it is. Whoever says nothing, or nothing that can be read, is taken for a
    /// node, whose end answers it.
    pub role: Role,
    /// For an answer.
    pub id: Option<RequestId>,
}

impl Opening {
    /// Reads it.
    pub fn of(text: &str) -> Self {
        #[derive(Deserialize)]
        struct First {
            #[serde(default)]
            id: Option<RequestId>,
            params: Said,
        }
        #[derive(Deserialize)]
        struct Said {
            #[serde(default)]
            role: Role,
        }
        let first: Option<First> = serde_json::from_str(text).ok();
        first.map_or_else(Self::default, |First { id, params }| Self {
            role: params.role,
            id,
        })
    }
}
