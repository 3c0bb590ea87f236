//! Who holds what: the coordinator's list of grants against the node's.

use skep_core::State;
use skep_model::attempt::Fence;
use skep_model::ids::{InstanceId, NodeId, TaskId};
use skep_model::planted::{PlantedBug, planted};
use skep_model::task::TaskRecord;
use skep_wire::payload::{
    AssignAnswer, AssignRefusal, Assigned, AttemptKey, SyncReport, Verdict, VerdictItem,
};

/// Whether the node named this grant, as running or as finished.
pub(super) fn names(report: &SyncReport, record: &TaskRecord) -> bool {
    let Some(lease) = &record.lease else {
        return false;
    };
    report
        .held
        .iter()
        .any(|held| held.task == record.id && held.fence == lease.fence)
        || report
            .spooled
            .contains(&AttemptKey::new(record.id, lease.fence))
}

/// Grants to an earlier process of this node that its present one knows nothing about. The same
/// process would have been told again: its grant was lost on the way.
pub(super) fn lost_attempts(
    state: &State,
    node: NodeId,
    instance: InstanceId,
    report: &SyncReport,
) -> Vec<(TaskId, Fence)> {
    state
        .held_by_node(node)
        .filter(|record| !names(report, record))
        .filter_map(|record| record.lease.as_ref().map(|lease| (record.id, lease)))
        .filter(|(_, lease)| lease.instance != instance)
        .filter(|_| !planted(PlantedBug::RestartedNodeKeepsGrants))
        .map(|(task, lease)| (task, lease.fence))
        .collect()
}

pub(super) fn verdicts(state: &State, node: NodeId, report: &SyncReport) -> Vec<VerdictItem> {
    let is_current = |task: TaskId, fence: Fence| {
        state
            .task(task)
            .and_then(|record| record.lease.as_ref())
            .is_some_and(|lease| lease.node == node && lease.fence == fence)
    };
    let held = report.held.iter().map(|held| VerdictItem {
        task: held.task,
        fence: held.fence,
        verdict: if is_current(held.task, held.fence) {
            Verdict::Keep
        } else {
            Verdict::Kill
        },
    });
    // A stale result is sent all the same: its refusal is kept as evidence.
    let spooled = report.spooled.iter().map(|key| VerdictItem {
        task: key.task,
        fence: key.fence,
        verdict: Verdict::Resend,
    });
    held.chain(spooled).collect()
}

/// Whether the node could not even read the assignment.
pub(super) fn was_not_understood(answer: &Assigned) -> bool {
    matches!(
        answer.answer,
        AssignAnswer::Refused {
            code: AssignRefusal::RequestFailed,
            ..
        }
    )
}
