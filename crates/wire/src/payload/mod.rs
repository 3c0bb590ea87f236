//! What messages carry: parameters and results, one module per part of a session.
//!
//! All of them take unknown fields in their stride, so that a newer peer can say more. The three
//! optional groups of MCPX travel in `_meta`, where a plain MCP peer does not look.

mod agent;
mod assignment;
mod envelope;
pub mod groups;
mod negotiation;
mod requests;
mod result;
mod session;
mod sync;

pub use agent::{
    AgentAccepts, AgentAnswer, AgentBeat, AgentClaim, AgentEnded, AgentHello, AgentLook,
    AgentNegotiation, AgentNote, AgentOutcome, AgentQuestion, AgentRequest, AgentResult,
    AgentRevoked, AgentStatus, AgentTask, AgentTerms, AgentWelcome, Role,
};
pub use assignment::{
    AssignAnswer, AssignAnswers, AssignBatch, AssignRefusal, Assigned, Assignment, Offer, TaskToken,
};
pub use envelope::Meta;
pub use negotiation::{Capabilities, Capability, Credit, Extensions, Negotiation};
pub use requests::{
    BalanceAnswer, BalanceRequest, GateAnswer, GateMessage, GateRequest, GateStanding, LoadNotice,
    MergeAnswer, MergeRequest, NodeAnswer, NodeRequest, ResolveAnswer, ResolveRequest,
    ResolvedTask, SplitAnswer, SplitRequest,
};
pub use result::{
    AwayNotice, ParkNotice, ProgressBatch, ResultAnswer, ResultAnswers, ResultBatch, ResultVerdict,
};
pub use session::{
    EndCode, Ended, Goodbye, Heartbeat, Hello, HoldTerms, NodeMetrics, SessionEnd, StatusUpdate,
    Welcome,
};
pub use sync::{HeldAttempt, HeldPhase, SyncReport, SyncVerdicts, Verdict, VerdictItem};

use serde::{Deserialize, Serialize};
use skep_model::attempt::{AttemptReport, Fence};
use skep_model::command::Progress;
use skep_model::ids::TaskId;
use std::fmt;

/// One attempt: a task and the fence of its grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AttemptKey {
    /// The task.
    pub task: TaskId,
    /// The grant.
    pub fence: Fence,
}

impl AttemptKey {
    /// The attempt of this task under this grant.
    pub const fn new(task: TaskId, fence: Fence) -> Self {
        Self { task, fence }
    }
}

impl fmt::Display for AttemptKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.task, self.fence)
    }
}

impl From<&AttemptReport> for AttemptKey {
    fn from(report: &AttemptReport) -> Self {
        Self::new(report.task, report.fence)
    }
}

impl From<&Progress> for AttemptKey {
    fn from(progress: &Progress) -> Self {
        Self::new(progress.task, progress.fence)
    }
}
