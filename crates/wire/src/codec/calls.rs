//! The calls that each end can make: method names, parameters, bounds.

use super::{RequestId, encode_call, method, read_params};
use crate::bounds::SYNC_ITEMS_MAX;
use crate::fault::{WireError, echo};
use crate::payload::{
    AssignBatch, Goodbye, Heartbeat, Hello, NodeMetrics, ProgressBatch, ResultBatch, SessionEnd,
    StatusUpdate, SyncReport, SyncVerdicts,
};
use serde_json::value::RawValue;
use skep_model::limits::ITEMS_PER_FRAME_MAX;

/// All calls that one of the two ends can make.
pub trait Calls: Sized {
    /// Reads the call with this method name.
    ///
    /// # Errors
    /// Unknown method, wrong parameters, or too many items.
    fn read(method: &str, params: &RawValue) -> Result<Self, WireError>;

    /// The method's name.
    fn method(&self) -> &'static str;

    /// The text of a frame that makes this call.
    fn encode(&self, id: Option<&RequestId>) -> String;
}

/// What a node says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeCall {
    /// Request `mcpx.orchestrate.session.start`.
    Hello(Box<Hello>),
    /// Request `mcpx.coordinate.state.sync`.
    Sync(SyncReport),
    /// Request `mcpx.health.check`.
    Heartbeat(Heartbeat),
    /// Request `mcpx.orchestrate.task.complete`.
    Results(ResultBatch),
    /// Request or notification `mcpx.orchestrate.session.end`.
    Goodbye(Goodbye),
    /// Notification `mcpx.metrics.report`.
    Metrics(NodeMetrics),
    /// Notification `mcpx.status.update`.
    Progress(ProgressBatch),
}

impl Calls for NodeCall {
    fn read(method: &str, params: &RawValue) -> Result<Self, WireError> {
        let call = match method {
            method::SESSION_START => Self::Hello(read_params(method::SESSION_START, params)?),
            method::STATE_SYNC => Self::Sync(read_params(method::STATE_SYNC, params)?),
            method::HEALTH_CHECK => Self::Heartbeat(read_params(method::HEALTH_CHECK, params)?),
            method::TASK_COMPLETE => Self::Results(read_params(method::TASK_COMPLETE, params)?),
            method::SESSION_END => Self::Goodbye(read_params(method::SESSION_END, params)?),
            method::METRICS_REPORT => Self::Metrics(read_params(method::METRICS_REPORT, params)?),
            method::STATUS_UPDATE => Self::Progress(read_params(method::STATUS_UPDATE, params)?),
            other => return Err(unknown(other)),
        };
        let (items, bound) = match &call {
            Self::Sync(report) => (report.held.len() + report.spooled.len(), SYNC_ITEMS_MAX),
            Self::Results(batch) => (batch.reports.len(), ITEMS_PER_FRAME_MAX),
            Self::Progress(batch) => (batch.items.len(), ITEMS_PER_FRAME_MAX),
            Self::Hello(_) | Self::Heartbeat(_) | Self::Goodbye(_) | Self::Metrics(_) => (0, 0),
        };
        bounded(call, items, bound)
    }

    fn method(&self) -> &'static str {
        match self {
            Self::Hello(_) => method::SESSION_START,
            Self::Sync(_) => method::STATE_SYNC,
            Self::Heartbeat(_) => method::HEALTH_CHECK,
            Self::Results(_) => method::TASK_COMPLETE,
            Self::Goodbye(_) => method::SESSION_END,
            Self::Metrics(_) => method::METRICS_REPORT,
            Self::Progress(_) => method::STATUS_UPDATE,
        }
    }

    fn encode(&self, id: Option<&RequestId>) -> String {
        let method = self.method();
        match self {
            Self::Hello(params) => encode_call(id, method, params),
            Self::Sync(params) => encode_call(id, method, params),
            Self::Heartbeat(params) => encode_call(id, method, params),
            Self::Results(params) => encode_call(id, method, params),
            Self::Goodbye(params) => encode_call(id, method, params),
            Self::Metrics(params) => encode_call(id, method, params),
            Self::Progress(params) => encode_call(id, method, params),
        }
    }
}

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
}

impl Calls for CoordinatorCall {
    fn read(method: &str, params: &RawValue) -> Result<Self, WireError> {
        let call = match method {
            method::TASK_ASSIGN => Self::Assign(read_params(method::TASK_ASSIGN, params)?),
            method::STATE_SYNC => Self::Verdicts(read_params(method::STATE_SYNC, params)?),
            method::STATUS_UPDATE => Self::Status(read_params(method::STATUS_UPDATE, params)?),
            method::SESSION_END => Self::End(read_params(method::SESSION_END, params)?),
            other => return Err(unknown(other)),
        };
        let (items, bound) = match &call {
            Self::Assign(batch) => (batch.items.len(), ITEMS_PER_FRAME_MAX),
            Self::Verdicts(verdicts) => (verdicts.items.len(), SYNC_ITEMS_MAX),
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
        }
    }

    fn encode(&self, id: Option<&RequestId>) -> String {
        let method = self.method();
        match self {
            Self::Assign(params) => encode_call(id, method, params),
            Self::Verdicts(params) => encode_call(id, method, params),
            Self::Status(params) => encode_call(id, method, params),
            Self::End(params) => encode_call(id, method, params),
        }
    }
}

fn unknown(method: &str) -> WireError {
    WireError::MethodUnknown {
        method: echo(method),
    }
}

fn bounded<C: Calls>(call: C, items: usize, bound: usize) -> Result<C, WireError> {
    if items > bound {
        return Err(WireError::TooManyItems {
            method: call.method(),
            items,
            bound,
        });
    }
    Ok(call)
}
