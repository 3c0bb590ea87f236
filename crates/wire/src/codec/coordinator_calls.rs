//! The calls that a coordinator can make: method names, parameters, bounds.

use super::body::{Body, read_params};
use super::calls::{Calls, bounded, unknown};
use super::{RequestId, method};
use crate::bounds::SYNC_ITEMS_MAX;
use crate::fault::WireError;
use crate::frame::Frame;
use crate::framing::Framing;
use crate::payload::{AssignBatch, BalanceRequest, SessionEnd, StatusUpdate, SyncVerdicts};
use skep_model::limits::ITEMS_PER_FRAME_MAX;

/// What a coordinator says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CoordinatorCall {
    /// Request or notification `mcpx.orchestrate.task.assign`.
    Assign(AssignBatch),
    /// Notification `mcpx.coordinate.state.sync`.
    Verdicts(SyncVerdicts),
    /// Notification `mcpx.status.update`.
    Status(StatusUpdate),
    /// Notification `mcpx.orchestrate.session.end`.
    End(SessionEnd),
    /// Request `mcpx.distribute.load.balance`.
    Balance(BalanceRequest),
}

impl Calls for CoordinatorCall {
    fn read(method: &str, params: Body<'_>) -> Result<Self, WireError> {
        let call = match method {
            method::TASK_ASSIGN => Self::Assign(read_params(method::TASK_ASSIGN, params)?),
            method::STATE_SYNC => Self::Verdicts(read_params(method::STATE_SYNC, params)?),
            method::STATUS_UPDATE => Self::Status(read_params(method::STATUS_UPDATE, params)?),
            method::SESSION_END => Self::End(read_params(method::SESSION_END, params)?),
            method::LOAD_BALANCE => Self::Balance(read_params(method::LOAD_BALANCE, params)?),
            other => return Err(unknown(other)),
        };
        let (items, bound) = match &call {
            Self::Assign(batch) => (batch.items.len(), ITEMS_PER_FRAME_MAX),
            Self::Verdicts(verdicts) => (verdicts.items.len(), SYNC_ITEMS_MAX),
            Self::Balance(request) => (request.attempts.len(), ITEMS_PER_FRAME_MAX),
            Self::Status(_) | Self::End(_) => (0, 0),
        };
        bounded(call, items, bound)
    }

    fn method(&self) -> &'static str {
        match self {
            Self::Assign(_) => method::TASK_ASSIGN,
            Self::Verdicts(_) => method::STATE_SYNC,
            Self::Status(_) => method::STATUS_UPDATE,
            Self::End(_) => method::SESSION_END,
            Self::Balance(_) => method::LOAD_BALANCE,
        }
    }

    fn frame(&self, framing: Framing, id: Option<&RequestId>) -> Frame {
        let method = self.method();
        match self {
            Self::Assign(params) => framing.call(id, method, params),
            Self::Verdicts(params) => framing.call(id, method, params),
            Self::Status(params) => framing.call(id, method, params),
            Self::End(params) => framing.call(id, method, params),
            Self::Balance(params) => framing.call(id, method, params),
        }
    }
}
