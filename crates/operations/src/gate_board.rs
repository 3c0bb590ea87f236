//! What gates of running attempts said so far. The evidence that counts comes with the result; until
//! then people want to see how far an attempt is. Nothing here is durable.

use parking_lot::Mutex;
use skep_core::State;
use skep_model::attempt::{Fence, GateReport};
use skep_model::ids::TaskId;
use skep_model::limits::GATES_PER_TASK_MAX;
use std::collections::BTreeMap;

/// Attempts that are kept. The gates of others are seen when they end.
const ATTEMPTS_MAX: usize = 1_024;

/// Gates of attempts that run.
#[derive(Debug, Default)]
pub struct GateBoard {
    attempts: Mutex<BTreeMap<TaskId, Attempt>>,
}

#[derive(Debug)]
struct Attempt {
    fence: Fence,
    gates: Vec<GateReport>,
}

impl GateBoard {
    /// Takes in the outcome of a gate of a current attempt; the newest of a gate counts. When the
    /// board is full, attempts that ended make room.
    pub(crate) fn report(&self, task: TaskId, fence: Fence, gate: GateReport, state: &State) {
        let mut attempts = self.attempts.lock();
        if attempts.len() >= ATTEMPTS_MAX && !attempts.contains_key(&task) {
            attempts.retain(|task, attempt| is_current(state, *task, attempt.fence));
            if attempts.len() >= ATTEMPTS_MAX {
                return;
            }
        }
        let attempt = attempts.entry(task).or_insert(Attempt {
            fence,
            gates: Vec::new(),
        });
        if attempt.fence != fence {
            attempt.fence = fence;
            attempt.gates.clear();
        }
        attempt.gates.retain(|known| known.name != gate.name);
        if attempt.gates.len() < GATES_PER_TASK_MAX {
            attempt.gates.push(gate);
        }
    }

    /// What the gates of this attempt said, in the order in which they ended.
    pub(crate) fn of(&self, task: TaskId, fence: Fence) -> Vec<GateReport> {
        let attempts = self.attempts.lock();
        let attempt = attempts.get(&task).filter(|attempt| attempt.fence == fence);
        attempt.map_or_else(Vec::new, |attempt| attempt.gates.clone())
    }

    /// Whether the gate of this attempt passed, if it said anything.
    pub(crate) fn passed(&self, task: TaskId, fence: Fence, gate: &str) -> Option<bool> {
        let attempts = self.attempts.lock();
        let attempt = attempts
            .get(&task)
            .filter(|attempt| attempt.fence == fence)?;
        let report = attempt.gates.iter().find(|report| report.name == gate)?;
        Some(report.passed)
    }
}

fn is_current(state: &State, task: TaskId, fence: Fence) -> bool {
    let lease = state.task(task).and_then(|record| record.lease.as_ref());
    lease.is_some_and(|lease| lease.fence == fence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_model::attempt::LogIndex;

    fn fence(index: u64) -> Fence {
        Fence {
            epoch: 1,
            index: LogIndex(index),
        }
    }

    fn gate(name: &str, passed: bool) -> GateReport {
        GateReport {
            name: name.to_owned(),
            passed,
            exit_code: Some(i32::from(!passed)),
            duration_ms: 1,
            output: String::new(),
        }
    }

    #[test]
    fn gates_belong_to_one_attempt_and_the_newest_word_counts() {
        let (board, state, task) = (GateBoard::default(), State::default(), TaskId::from_u128(1));
        board.report(task, fence(1), gate("lint", false), &state);
        board.report(task, fence(1), gate("lint", true), &state);
        assert_eq!(board.of(task, fence(1)), [gate("lint", true)]);
        assert_eq!(board.passed(task, fence(1), "lint"), Some(true));
        assert_eq!(board.passed(task, fence(1), "test"), None);
        assert_eq!(board.of(task, fence(2)), []);
        board.report(task, fence(2), gate("test", true), &state);
        assert_eq!(board.of(task, fence(2)), [gate("test", true)]);
        assert_eq!(board.of(task, fence(1)), []);
    }

    #[test]
    fn attempts_that_ended_make_room() {
        let (board, state) = (GateBoard::default(), State::default());
        for number in 0..=ATTEMPTS_MAX as u128 {
            let task = TaskId::from_u128(number);
            board.report(task, fence(1), gate("lint", true), &state);
        }
        // The state has none of these tasks, so all but the newest went.
        assert_eq!(board.attempts.lock().len(), 1);
    }
}
