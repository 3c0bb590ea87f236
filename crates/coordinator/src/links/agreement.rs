//! Who holds what: the coordinator's list of grants against the node's.

use skep_core::State;
use skep_model::attempt::{AttemptReport, Fence, Outcome, ResourceUse};
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

/// A node that cannot run what it was given hands it back as a failed attempt.
pub(super) fn refused_assignments(answers: Vec<Assigned>) -> Vec<AttemptReport> {
    let refused = answers.into_iter().filter_map(|item| match item.answer {
        // `NotLive`: it never left; the node is told when it syncs.
        AssignAnswer::Accepted
        | AssignAnswer::Duplicate
        | AssignAnswer::Refused {
            code: AssignRefusal::NotLive,
            ..
        } => None,
        AssignAnswer::Refused { code, message } => Some(AttemptReport {
            task: item.task,
            fence: item.fence,
            outcome: match code {
                // It was started here and stopped when its lease ran out.
                AssignRefusal::AlreadyEnded => Outcome::Interrupted,
                _ => Outcome::Error {
                    code: "refused_by_node".to_owned(),
                    message,
                },
            },
            exit_code: None,
            duration_ms: 0,
            usage: ResourceUse::default(),
            isolation: None,
            artifacts: Vec::new(),
            gates: Vec::new(),
        }),
    });
    refused.collect()
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
