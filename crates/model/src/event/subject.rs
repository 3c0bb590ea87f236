//! What an event is about.

use super::Event;
use crate::ids::{RunId, TaskId};
use crate::memory::{MemoryKey, Namespace};
use crate::schedule::FiredRun;
use crate::trigger::TriggeredRun;

impl Event {
    /// The run this event is about, if it is about one.
    pub const fn run(&self) -> Option<RunId> {
        match self {
            Self::RunSubmitted { run, .. }
            | Self::RunChanged { run, .. }
            | Self::ScheduleFired(FiredRun { run, .. })
            | Self::TriggerFired(TriggeredRun { run, .. }) => Some(*run),
            Self::TaskSubmitted { run, .. }
            | Self::TaskChanged { run, .. }
            | Self::TaskUpdated { run, .. }
            | Self::TaskLeased { run, .. }
            | Self::TaskProgressed { run, .. }
            | Self::AttemptEnded { run, .. }
            | Self::TaskFinished { run, .. }
            | Self::GateAnswered { run, .. }
            | Self::IsolationWaived { run, .. } => *run,
            _ => None,
        }
    }

    /// The entry of shared memory this event is about, if it is about one.
    pub const fn memory(&self) -> Option<(&Namespace, &MemoryKey)> {
        match self {
            Self::MemoryWritten { namespace, key, .. }
            | Self::MemoryTouched { namespace, key, .. }
            | Self::MemoryDeleted { namespace, key, .. }
            | Self::MemoryExpired { namespace, key, .. }
            | Self::MemoryConflict { namespace, key, .. }
            | Self::MemoryConflictSettled { namespace, key, .. }
            | Self::MemoryRefused { namespace, key, .. } => Some((namespace, key)),
            _ => None,
        }
    }

    /// The task this event is about, if it is about one.
    pub const fn task(&self) -> Option<TaskId> {
        match self {
            Self::TaskSubmitted { task, .. }
            | Self::TaskChanged { task, .. }
            | Self::TaskUpdated { task, .. }
            | Self::TaskLeased { task, .. }
            | Self::TaskProgressed { task, .. }
            | Self::AttemptEnded { task, .. }
            | Self::TaskFinished { task, .. }
            | Self::AttemptRevoked { task, .. }
            | Self::GateAnswered { task, .. }
            | Self::IsolationWaived { task, .. }
            | Self::ReportRefused { task, .. }
            | Self::GrantRefused { task, .. } => Some(*task),
            _ => None,
        }
    }
}
