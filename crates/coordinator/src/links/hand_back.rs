//! Assignments that a node did not take.

use super::agreement::was_not_understood;
use super::{ConnectionId, Links, Proposal};
use crate::engine::{Origin, Output};
use skep_model::attempt::{AttemptReport, Outcome};
use skep_model::command::{Actor, Command, HandedBack};
use skep_model::ids::NodeId;
use skep_model::task::HandBack;
use skep_wire::payload::{AssignAnswer, AssignRefusal, Assigned, AttemptKey, EndCode};

impl Links {
    /// What a node does with assignments. Those it did not take go back.
    pub(crate) fn assigned(
        &mut self,
        connection: ConnectionId,
        answers: Vec<Assigned>,
        out: &mut Vec<Output>,
    ) -> Vec<Proposal> {
        let Some(node) = self.node_of(connection) else {
            return Vec::new();
        };
        if answers.iter().any(was_not_understood) {
            // Whether it was started is not known: only a synchronisation tells.
            let message = "an assignment was answered with an error";
            self.end(connection, EndCode::Shutdown, message, out);
            return Vec::new();
        }
        let proposals = Refused::sorted(answers).commands(node);
        let proposals = proposals.map(|command| (Actor::Coordinator, command, Origin::Nobody));
        proposals.collect()
    }
}

impl Links {
    /// What a node gives back counts as an assignment that it refused for lack of room.
    pub(crate) fn gave_back(
        &mut self,
        connection: ConnectionId,
        given_back: &[AttemptKey],
        out: &mut Vec<Output>,
    ) -> Vec<Proposal> {
        let answer = AssignAnswer::Refused {
            code: AssignRefusal::NoSlot,
            message: "the node gave it back before it was started".to_owned(),
        };
        let refused = given_back
            .iter()
            .map(|key| Assigned::new(*key, answer.clone()));
        self.assigned(connection, refused.collect(), out)
    }
}

/// What becomes of an assignment that was refused.
enum Consequence {
    /// It never started: the task is granted anew and has lost nothing.
    HandedBack(HandBack),
    /// It is an attempt that ended so.
    Ended(Outcome),
    /// The node is told again when it synchronises.
    Nothing,
}

/// The refused ones of some assignments.
#[derive(Debug, Default)]
struct Refused {
    handed_back: Vec<HandedBack>,
    ended: Vec<AttemptReport>,
}

impl Refused {
    fn sorted(answers: Vec<Assigned>) -> Self {
        let mut refused = Self::default();
        for item in answers {
            let AttemptKey { task, fence } = item.attempt();
            let AssignAnswer::Refused { code, message } = item.answer else {
                continue;
            };
            match consequence(code, message) {
                Consequence::HandedBack(reason) => refused.handed_back.push(HandedBack {
                    task,
                    fence,
                    reason,
                }),
                Consequence::Ended(outcome) => refused
                    .ended
                    .push(AttemptReport::without_process(task, fence, outcome)),
                Consequence::Nothing => {}
            }
        }
        refused
    }

    /// What is to be put into the log about them.
    fn commands(self, node: NodeId) -> impl Iterator<Item = Command> {
        let Self { handed_back, ended } = self;
        let handed_back = (!handed_back.is_empty()).then_some(Command::HandBackGrants {
            node,
            grants: handed_back,
        });
        let reports = ended;
        let ended = (!reports.is_empty()).then_some(Command::ReportResults { node, reports });
        handed_back.into_iter().chain(ended)
    }
}

/// Only what the node provably never started costs the task nothing. What it was sent and did
/// start, it calls a duplicate or ended, whatever else stands in the way.
fn consequence(code: AssignRefusal, message: String) -> Consequence {
    match code {
        AssignRefusal::NoSlot => Consequence::HandedBack(HandBack::NoSlot),
        AssignRefusal::LeaseExpired => Consequence::HandedBack(HandBack::LeaseExpired),
        AssignRefusal::SpoolFull => Consequence::HandedBack(HandBack::SpoolFull),
        AssignRefusal::ShuttingDown => Consequence::HandedBack(HandBack::Stopping),
        // It was started there and stopped when its lease ran out.
        AssignRefusal::AlreadyEnded => Consequence::Ended(Outcome::Interrupted),
        // It never left; the node is told when it syncs.
        AssignRefusal::NotLive => Consequence::Nothing,
        // It fits nowhere, or says what this version does not know.
        AssignRefusal::Stale
        | AssignRefusal::TooLarge
        | AssignRefusal::RequestFailed
        | AssignRefusal::Other => Consequence::Ended(Outcome::Error {
            code: "refused_by_node".to_owned(),
            message,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_model::attempt::{Fence, LogIndex};
    use skep_model::ids::TaskId;

    #[test]
    fn only_what_never_started_goes_back_without_a_cost() {
        let rows = [
            (AssignRefusal::NoSlot, Some(HandBack::NoSlot)),
            (AssignRefusal::LeaseExpired, Some(HandBack::LeaseExpired)),
            (AssignRefusal::SpoolFull, Some(HandBack::SpoolFull)),
            (AssignRefusal::ShuttingDown, Some(HandBack::Stopping)),
            (AssignRefusal::AlreadyEnded, None),
            (AssignRefusal::TooLarge, None),
            (AssignRefusal::Other, None),
        ];
        let fence = Fence {
            epoch: 1,
            index: LogIndex(4),
        };
        for (code, expected) in rows {
            let message = String::new();
            let answer = AssignAnswer::Refused { code, message };
            let key = AttemptKey::new(TaskId::from_u128(1), fence);
            let refused = Refused::sorted(vec![Assigned::new(key, answer)]);
            let reason = refused.handed_back.first().map(|back| back.reason);
            assert_eq!(reason, expected, "{code:?}");
            assert_eq!(refused.ended.is_empty(), expected.is_some(), "{code:?}");
            assert_eq!(refused.commands(NodeId::from_u128(1)).count(), 1);
        }
    }
}
