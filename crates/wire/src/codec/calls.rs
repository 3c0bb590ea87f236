//! The calls that a node can make: method names, parameters, bounds.

use super::body::{Body, read_params};
use super::{RequestId, method};
use crate::bounds::{SYNC_ITEMS_MAX, TASKS_PER_REQUEST_MAX};
use crate::fault::{WireError, echo};
use crate::frame::Frame;
use crate::framing::Framing;
use crate::payload::{
    GateRequest, Goodbye, Heartbeat, Hello, LoadNotice, MergeRequest, Meta, Negotiation,
    NodeMetrics, NodeRequest, ProgressBatch, ResolveRequest, ResultBatch, SplitRequest, SyncReport,
};
use skep_model::limits::ITEMS_PER_FRAME_MAX;

/// All calls that one of the two ends can make.
pub trait Calls: Sized {
    /// Reads the call with this method name.
    ///
    /// # Errors
    /// Unknown method, wrong parameters, or too many items.
    fn read(method: &str, params: Body<'_>) -> Result<Self, WireError>;

    /// The method's name.
    fn method(&self) -> &'static str;

    /// A frame that makes this call.
    fn frame(&self, framing: Framing, id: Option<&RequestId>) -> Frame;

    /// The text of a frame that makes this call.
    fn encode(&self, id: Option<&RequestId>) -> String {
        match self.frame(Framing::TEXT, id) {
            Frame::Text(text) => text,
            Frame::Binary(_) => String::new(),
        }
    }
}

/// What a node says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeCall {
    /// Request `mcpx.negotiate`.
    Negotiate(Negotiation),
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
    /// Notification `mcpx.distribute.load.balance`.
    Load(LoadNotice),
    /// Request `mcpx.coordinate.dependency.resolve`, `mcpx.coordinate.quality.gate`,
    /// `mcpx.distribute.task.split` or `mcpx.distribute.result.merge`.
    Ask(Box<NodeRequest>),
}

impl Calls for NodeCall {
    fn read(method: &str, params: Body<'_>) -> Result<Self, WireError> {
        let call = match method {
            method::NEGOTIATE => Self::Negotiate(read_params(method::NEGOTIATE, params)?),
            method::SESSION_START => Self::Hello(read_params(method::SESSION_START, params)?),
            method::STATE_SYNC => Self::Sync(read_params(method::STATE_SYNC, params)?),
            method::HEALTH_CHECK => Self::Heartbeat(read_params(method::HEALTH_CHECK, params)?),
            method::TASK_COMPLETE => Self::Results(read_params(method::TASK_COMPLETE, params)?),
            method::SESSION_END => Self::Goodbye(read_params(method::SESSION_END, params)?),
            method::METRICS_REPORT => Self::Metrics(read_params(method::METRICS_REPORT, params)?),
            method::STATUS_UPDATE => Self::Progress(read_params(method::STATUS_UPDATE, params)?),
            method::LOAD_BALANCE => Self::Load(read_params(method::LOAD_BALANCE, params)?),
            other => Self::Ask(Box::new(NodeRequest::read(other, params)?)),
        };
        let (items, bound) = match &call {
            Self::Sync(report) => (report.held.len() + report.spooled.len(), SYNC_ITEMS_MAX),
            Self::Results(batch) => (batch.reports.len(), ITEMS_PER_FRAME_MAX),
            Self::Progress(batch) => (batch.items.len(), ITEMS_PER_FRAME_MAX),
            Self::Ask(request) => (request.named_tasks(), TASKS_PER_REQUEST_MAX),
            Self::Negotiate(_)
            | Self::Hello(_)
            | Self::Heartbeat(_)
            | Self::Goodbye(_)
            | Self::Metrics(_)
            | Self::Load(_) => (0, 0),
        };
        bounded(call, items, bound)
    }

    fn method(&self) -> &'static str {
        match self {
            Self::Negotiate(_) => method::NEGOTIATE,
            Self::Hello(_) => method::SESSION_START,
            Self::Sync(_) => method::STATE_SYNC,
            Self::Heartbeat(_) => method::HEALTH_CHECK,
            Self::Results(_) => method::TASK_COMPLETE,
            Self::Goodbye(_) => method::SESSION_END,
            Self::Metrics(_) => method::METRICS_REPORT,
            Self::Progress(_) => method::STATUS_UPDATE,
            Self::Load(_) => method::LOAD_BALANCE,
            Self::Ask(request) => request.method(),
        }
    }

    fn frame(&self, framing: Framing, id: Option<&RequestId>) -> Frame {
        let method = self.method();
        match self {
            Self::Negotiate(params) => framing.call(id, method, params),
            Self::Hello(params) => framing.call(id, method, params),
            Self::Sync(params) => framing.call(id, method, params),
            Self::Heartbeat(params) => framing.call(id, method, params),
            Self::Results(params) => framing.call(id, method, params),
            Self::Goodbye(params) => framing.call(id, method, params),
            Self::Metrics(params) => framing.call(id, method, params),
            Self::Progress(params) => framing.call(id, method, params),
            Self::Load(params) => framing.call(id, method, params),
            Self::Ask(request) => request.frame(framing, id, None),
        }
    }
}

impl NodeRequest {
    /// A frame that asks this.
    pub(crate) fn frame(
        &self,
        framing: Framing,
        id: Option<&RequestId>,
        meta: Option<&Meta>,
    ) -> Frame {
        let method = self.method();
        match self {
            Self::Resolve(params) => framing.call_meta(id, method, params, meta),
            Self::Gate(params) => framing.call_meta(id, method, params, meta),
            Self::Split(params) => framing.call_meta(id, method, params, meta),
            Self::Merge(params) => framing.call_meta(id, method, params, meta),
        }
    }
}

impl NodeRequest {
    fn read(method: &str, params: Body<'_>) -> Result<Self, WireError> {
        Ok(match method {
            method::DEPENDENCY_RESOLVE => {
                let read: ResolveRequest = read_params(method::DEPENDENCY_RESOLVE, params)?;
                Self::Resolve(read)
            }
            method::QUALITY_GATE => {
                let read: GateRequest = read_params(method::QUALITY_GATE, params)?;
                Self::Gate(read)
            }
            method::TASK_SPLIT => {
                let read: SplitRequest = read_params(method::TASK_SPLIT, params)?;
                Self::Split(read)
            }
            method::RESULT_MERGE => {
                let read: MergeRequest = read_params(method::RESULT_MERGE, params)?;
                Self::Merge(read)
            }
            other => return Err(unknown(other)),
        })
    }

    /// The method's name.
    pub const fn method(&self) -> &'static str {
        match self {
            Self::Resolve(_) => method::DEPENDENCY_RESOLVE,
            Self::Gate(_) => method::QUALITY_GATE,
            Self::Split(_) => method::TASK_SPLIT,
            Self::Merge(_) => method::RESULT_MERGE,
        }
    }

    /// How many tasks it names or adds.
    pub fn named_tasks(&self) -> usize {
        match self {
            Self::Resolve(request) => request.wanted.len(),
            Self::Gate(_) => 0,
            Self::Split(request) => request.tasks.len(),
            Self::Merge(request) => request.shards.len(),
        }
    }
}

pub(super) fn unknown(method: &str) -> WireError {
    WireError::MethodUnknown {
        method: echo(method),
    }
}

pub(super) fn bounded<C: Calls>(call: C, items: usize, bound: usize) -> Result<C, WireError> {
    if items > bound {
        return Err(WireError::TooManyItems {
            method: call.method(),
            items,
            bound,
        });
    }
    Ok(call)
}
