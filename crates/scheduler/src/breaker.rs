//! Keeps work away from a node that fails one attempt after another.
//!
//! Closed: the node is given work. After [`FAILURES_MAX`] failures in a row, on a consumer machine
//! after [`CONSUMER_FAILURES_MAX`], the breaker opens and the node is given nothing for
//! [`OPEN_MS`]. Then it is half open: one attempt at a time tries the node out. [`TRIALS_WANTED`]
//! successes close the breaker, a failure opens it again.
//!
//! What counts is decided by [`AttemptEnd::of`]: only what speaks against the node and not against
//! the task. A task that fails by itself fails everywhere, and would open one breaker after
//! another. When a task that failed on a node succeeds on another one, the failure was the first
//! node's after all: report it then, as [`AttemptEnd::NodeFault`].

use skep_model::attempt::Outcome;
use skep_model::node::NodeClass;
use skep_model::time::UnixMillis;

/// Failures in a row that open the breaker of a server.
pub const FAILURES_MAX: u32 = 5;
/// Failures in a row that open the breaker of a consumer machine: it is trusted less far.
pub const CONSUMER_FAILURES_MAX: u32 = 3;
/// How long an open breaker keeps work away.
pub const OPEN_MS: u64 = 60_000;
/// Trials that have to succeed before the node counts as sound.
pub const TRIALS_WANTED: u32 = 5;
/// Trials at a time.
const TRIALS_AT_A_TIME: u32 = 1;

/// Errors of an attempt that no task brings about by what it asks for.
const NODE_FAULTS: [&str; 5] = [
    "isolation_unavailable",
    "directory_failed",
    "input_failed",
    "supervisor_failed",
    "artifact_failed",
];

/// Failures in a row that open the breaker of a node of this class.
pub const fn failures_max(class: NodeClass) -> u32 {
    match class {
        NodeClass::Server => FAILURES_MAX,
        NodeClass::Consumer => CONSUMER_FAILURES_MAX,
    }
}

/// The breaker of one node. Not part of the state: whoever leads keeps it in memory, and starts
/// with closed ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Breaker {
    phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Closed {
        failures: u32,
    },
    Open {
        failures: u32,
        until: UnixMillis,
    },
    HalfOpen {
        /// Attempts granted before do not count as trials.
        since: UnixMillis,
        running: u32,
        succeeded: u32,
    },
}

impl Default for Phase {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

/// What the end of an attempt says about its node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptEnd {
    /// The node did what was asked of it.
    Succeeded,
    /// The node could not do what nodes have to do.
    NodeFault,
    /// Nothing: the task failed, or somebody stopped it.
    SaysNothing,
}

impl AttemptEnd {
    /// Judges a report. An attempt whose node was lost has no report: that is a
    /// [`AttemptEnd::NodeFault`].
    ///
    /// A timeout, a program that is not there and a repository that cannot be checked out say
    /// nothing by themselves: one bad plan would keep work away from every node.
    pub fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Completed => Self::Succeeded,
            Outcome::Error { code, .. } if NODE_FAULTS.contains(&code.as_str()) => Self::NodeFault,
            Outcome::Error { .. }
            | Outcome::Exited { .. }
            | Outcome::GateFailed { .. }
            | Outcome::TimedOut
            | Outcome::Killed
            | Outcome::Interrupted
            | Outcome::NotStarted { .. } => Self::SaysNothing,
        }
    }
}

/// An attempt that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndedAttempt {
    /// What its end says about its node.
    pub end: AttemptEnd,
    /// When it was granted.
    pub granted_at: UnixMillis,
    /// Class of the node.
    pub class: NodeClass,
}

/// What a breaker allows now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BreakerView {
    /// Work as usual.
    #[default]
    Closed,
    /// As many attempts to try it out.
    HalfOpen {
        /// Grants it may take now.
        room: u32,
    },
    /// No work.
    Open {
        /// Failures in a row.
        failures: u32,
        /// Milliseconds until it is tried again.
        retry_in_ms: u64,
    },
}

impl Breaker {
    /// What the scheduler may do with the node now.
    pub fn view(&self, now: UnixMillis) -> BreakerView {
        match self.phase {
            Phase::Closed { .. } => BreakerView::Closed,
            Phase::Open { failures, until } if now < until => BreakerView::Open {
                failures,
                retry_in_ms: until.since(now),
            },
            Phase::Open { .. } => BreakerView::HalfOpen {
                room: TRIALS_AT_A_TIME,
            },
            Phase::HalfOpen { running, .. } => BreakerView::HalfOpen {
                room: TRIALS_AT_A_TIME.saturating_sub(running),
            },
        }
    }

    /// When an open breaker has to be looked at again.
    pub const fn retry_at(&self) -> Option<UnixMillis> {
        match self.phase {
            Phase::Open { until, .. } => Some(until),
            Phase::Closed { .. } | Phase::HalfOpen { .. } => None,
        }
    }

    /// The node was given an attempt.
    pub fn granted(&mut self, now: UnixMillis) {
        match &mut self.phase {
            Phase::Open { until, .. } if now >= *until => {
                self.phase = Phase::HalfOpen {
                    since: now,
                    running: 1,
                    succeeded: 0,
                };
            }
            Phase::HalfOpen { running, .. } => *running = running.saturating_add(1),
            Phase::Closed { .. } | Phase::Open { .. } => {}
        }
    }

    /// An attempt on the node ended.
    pub fn ended(&mut self, attempt: EndedAttempt, now: UnixMillis) {
        let EndedAttempt {
            end,
            granted_at,
            class,
        } = attempt;
        match &mut self.phase {
            Phase::Closed { failures } => match end {
                AttemptEnd::Succeeded => *failures = 0,
                AttemptEnd::NodeFault if *failures + 1 >= failures_max(class) => {
                    self.phase = Phase::open(*failures + 1, now);
                }
                AttemptEnd::NodeFault => *failures += 1,
                AttemptEnd::SaysNothing => {}
            },
            Phase::HalfOpen {
                since,
                running,
                succeeded,
            } if granted_at >= *since => {
                *running = running.saturating_sub(1);
                match end {
                    AttemptEnd::Succeeded => {
                        *succeeded += 1;
                        if *succeeded >= TRIALS_WANTED {
                            *self = Self::default();
                        }
                    }
                    AttemptEnd::NodeFault => self.phase = Phase::open(1, now),
                    AttemptEnd::SaysNothing => {}
                }
            }
            // What was granted before the breaker opened says nothing new.
            Phase::Open { .. } | Phase::HalfOpen { .. } => {}
        }
    }
}

impl Phase {
    const fn open(failures: u32, now: UnixMillis) -> Self {
        let until = UnixMillis(now.0.saturating_add(OPEN_MS));
        Self::Open { failures, until }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use AttemptEnd::{NodeFault, SaysNothing, Succeeded};

    const CLOSED: BreakerView = BreakerView::Closed;
    const TRIAL: BreakerView = BreakerView::HalfOpen { room: 1 };
    const BUSY: BreakerView = BreakerView::HalfOpen { room: 0 };

    fn open(failures: u32, retry_in_ms: u64) -> BreakerView {
        BreakerView::Open {
            failures,
            retry_in_ms,
        }
    }

    fn at(second: u64) -> UnixMillis {
        UnixMillis(second * 1_000)
    }

    const fn attempt(end: AttemptEnd, granted_at: UnixMillis) -> EndedAttempt {
        EndedAttempt {
            end,
            granted_at,
            class: NodeClass::Server,
        }
    }

    /// Attempts that start and end within the second.
    fn after(ends: &[AttemptEnd], second: u64, breaker: &mut Breaker) -> BreakerView {
        for end in ends {
            breaker.granted(at(second));
            breaker.ended(attempt(*end, at(second)), at(second));
        }
        breaker.view(at(second))
    }

    #[test]
    fn only_faults_of_the_node_in_a_row_open_it() {
        let rows: [(&[AttemptEnd], BreakerView); 5] = [
            (&[NodeFault; 4], CLOSED),
            (&[NodeFault; 5], open(5, 60_000)),
            (
                &[
                    NodeFault, NodeFault, Succeeded, NodeFault, NodeFault, NodeFault,
                ],
                CLOSED,
            ),
            (&[SaysNothing; 9], CLOSED),
            (
                &[
                    NodeFault,
                    NodeFault,
                    NodeFault,
                    SaysNothing,
                    NodeFault,
                    NodeFault,
                ],
                open(5, 60_000),
            ),
        ];
        for (ends, expected) in rows {
            assert_eq!(
                after(ends, 7, &mut Breaker::default()),
                expected,
                "{ends:?}"
            );
        }
    }

    #[test]
    fn a_consumer_machine_is_left_alone_after_three_faults_and_closes_after_five_successes() {
        let mut breaker = Breaker::default();
        let mut ends = |end, second| {
            breaker.granted(at(second));
            let ended = EndedAttempt {
                class: NodeClass::Consumer,
                ..attempt(end, at(second))
            };
            breaker.ended(ended, at(second));
            breaker.view(at(second))
        };
        assert_eq!(ends(NodeFault, 0), CLOSED);
        assert_eq!(ends(NodeFault, 1), CLOSED);
        assert_eq!(ends(NodeFault, 2), open(3, 60_000));
        for second in 62..66 {
            assert_eq!(ends(Succeeded, second), TRIAL, "at {second} s");
        }
        assert_eq!(ends(Succeeded, 66), CLOSED);
    }

    #[test]
    fn five_trials_one_at_a_time_close_it_and_one_fault_opens_it_again() {
        let mut breaker = Breaker::default();
        after(&[NodeFault; 5], 0, &mut breaker);
        assert_eq!(breaker.retry_at(), Some(at(60)));
        assert_eq!(breaker.view(at(59)), open(5, 1_000));
        assert_eq!(breaker.view(at(60)), TRIAL);
        breaker.granted(at(61));
        assert_eq!(breaker.view(at(61)), BUSY);
        breaker.ended(attempt(Succeeded, at(61)), at(62));
        assert_eq!(
            after(&[Succeeded, SaysNothing, Succeeded], 62, &mut breaker),
            TRIAL
        );
        assert_eq!(after(&[NodeFault], 63, &mut breaker), open(1, 60_000));
        assert_eq!(after(&[Succeeded; 4], 123, &mut breaker), TRIAL);
        assert_eq!(after(&[Succeeded], 124, &mut breaker), CLOSED);
        assert_eq!(after(&[NodeFault; 4], 125, &mut breaker), CLOSED);
    }

    #[test]
    fn what_was_granted_before_it_opened_does_not_count_as_a_trial() {
        let mut breaker = Breaker::default();
        after(&[NodeFault; 5], 10, &mut breaker);
        breaker.ended(attempt(Succeeded, at(9)), at(11));
        breaker.ended(attempt(NodeFault, at(9)), at(12));
        assert_eq!(breaker.view(at(12)), open(5, 58_000));
        breaker.granted(at(70));
        breaker.ended(attempt(NodeFault, at(9)), at(71));
        assert_eq!(breaker.view(at(71)), BUSY);
    }

    #[test]
    fn a_failed_command_is_the_tasks_fault_and_a_failed_start_the_nodes() {
        let error = |code: &str| Outcome::Error {
            code: code.to_owned(),
            message: String::new(),
        };
        let gate = Outcome::GateFailed {
            gate: "tests".to_owned(),
        };
        let rows = [
            (Outcome::Completed, Succeeded),
            (Outcome::Exited { code: 1 }, SaysNothing),
            (gate, SaysNothing),
            (Outcome::TimedOut, SaysNothing),
            (Outcome::Killed, SaysNothing),
            (Outcome::Interrupted, SaysNothing),
            (error("supervisor_failed"), NodeFault),
            (error("workspace_failed"), SaysNothing),
            (error("artifact_missing"), SaysNothing),
        ];
        for (outcome, expected) in rows {
            assert_eq!(AttemptEnd::of(&outcome), expected, "{outcome:?}");
        }
    }
}
