//! Things that happen at a time, and who takes them up.

use crate::network::Direction;
use crate::world::World;
use skep_model::attempt::{AttemptReport, Outcome};
use skep_model::ids::NodeId;
use skep_wire::payload::AttemptKey;
use skep_wire::{Frame, NodeInput};

/// Something that happens at a time.
#[derive(Debug)]
pub(crate) enum What {
    CoordinatorStarts,
    CoordinatorTick {
        generation: u64,
    },
    CommitDone {
        generation: u64,
        took_ms: u64,
    },
    Frame {
        connection: u64,
        direction: Direction,
        frame: Frame,
    },
    EndLost {
        connection: u64,
        direction: Direction,
    },
    NodeStarts {
        node: usize,
    },
    NodeTick {
        node: usize,
        generation: u64,
    },
    NodeConnects {
        node: usize,
        generation: u64,
    },
    AttemptStarted {
        node: usize,
        generation: u64,
        attempt: AttemptKey,
    },
    AttemptEnds {
        node: usize,
        generation: u64,
        attempt: AttemptKey,
        outcome: Outcome,
    },
    SpoolDone {
        node: usize,
        generation: u64,
        batch: u64,
        reports: Vec<AttemptReport>,
    },
    /// The machine asks to be let in by a join token.
    MachineJoins {
        node: usize,
        generation: u64,
    },
    OperatorRemoves {
        node: NodeId,
    },
    /// The link of a machine that flaps goes down again.
    Flap {
        node: usize,
        until: u64,
    },
    /// A machine is cut off for a while.
    CutOff {
        node: usize,
    },
    /// The lid of a machine is closed.
    FallsAsleep {
        node: usize,
    },
    /// A machine has been awake for a moment.
    Awake {
        node: usize,
        generation: u64,
        slept_at: u64,
    },
    ClientActs,
    ClientRepeats {
        submission: usize,
    },
    KeeperActs,
    WatcherActs,
    WriterActs,
    WriterRepeats {
        request: usize,
    },
    /// A session does what it planned, if it did not plan anew.
    SessionActs {
        session: usize,
        plan: u64,
    },
    DescribedWorkComes,
    Fault,
}

/// What stands still is looked at again this often, milliseconds.
const STILL_LOOK_MS: u64 = 1_000;

impl World {
    pub(crate) fn happen(&mut self, what: What) -> Result<(), String> {
        if let Some(resumes) = self.stopped_until(&what) {
            self.schedule(resumes, what);
            return Ok(());
        }
        match what {
            What::CoordinatorStarts if self.coordinator.is_none() => self.start_coordinator(),
            What::CoordinatorStarts => Ok(()),
            What::CoordinatorTick { generation } => self.coordinator_tick(generation),
            What::CommitDone {
                generation,
                took_ms,
            } => self.commit_done(generation, took_ms),
            What::Frame {
                connection,
                direction,
                frame,
            } => self.frame(connection, direction, frame),
            What::EndLost {
                connection,
                direction: Direction::ToNode,
            } => self.node_end_lost(connection),
            What::EndLost {
                connection,
                direction: Direction::ToCoordinator,
            } => self.coordinator_end_lost(connection),
            What::ClientActs => self.client_acts(),
            What::ClientRepeats { submission } => self.submit(submission),
            What::KeeperActs => self.keeper_acts(),
            What::WatcherActs => self.watcher_acts(),
            What::WriterActs => self.writer_acts(),
            What::WriterRepeats { request } => self.write(request),
            What::SessionActs { session, plan } => self.session_acts(session, plan),
            What::DescribedWorkComes => self.described_work_comes(),
            What::Fault => {
                self.plan_fault();
                self.fault()
            }
            of_machine => self.happen_to_machine(of_machine),
        }
    }

    fn happen_to_machine(&mut self, what: What) -> Result<(), String> {
        match what {
            What::NodeStarts { node } => self.start_node(node),
            What::NodeTick { node, generation } => self.node_tick(node, generation),
            What::NodeConnects { node, .. } => self.node_connects(node),
            What::AttemptStarted { node, attempt, .. } => {
                self.node_input(node, NodeInput::Started(attempt))
            }
            What::AttemptEnds {
                node,
                attempt,
                outcome,
                ..
            } => self.attempt_ends(node, attempt, outcome),
            What::SpoolDone {
                node,
                batch,
                reports,
                ..
            } => self.spool_done(node, batch, reports),
            What::MachineJoins { node, generation } => self.machine_joins(node, generation),
            What::OperatorRemoves { node } => self.operator_removes(node),
            What::Flap { node, until } => {
                self.flap(node, until);
                Ok(())
            }
            What::CutOff { node } => {
                self.cut_off(node);
                Ok(())
            }
            What::FallsAsleep { node } => {
                self.sleep(node);
                Ok(())
            }
            What::Awake {
                node,
                generation,
                slept_at,
            } => self.is_awake_and_knows(node, generation, slept_at),
            other => Err(format!("nobody takes up {other:?}")),
        }
    }

    /// When a stopped process takes this up; none for running ones. What belongs to an earlier
    /// process of a node is sent far away.
    fn stopped_until(&self, what: &What) -> Option<u64> {
        let (node, generation) = match what {
            What::NodeTick { node, generation }
            | What::NodeConnects { node, generation }
            | What::AttemptStarted {
                node, generation, ..
            }
            | What::AttemptEnds {
                node, generation, ..
            }
            | What::SpoolDone {
                node, generation, ..
            } => (*node, Some(*generation)),
            What::Frame {
                connection,
                direction: Direction::ToNode,
                ..
            }
            | What::EndLost {
                connection,
                direction: Direction::ToNode,
            } => (self.network.connections.get(connection)?.node, None),
            _ => return None,
        };
        let node = &self.nodes[node];
        if generation.is_some_and(|generation| generation != node.generation) {
            return Some(u64::MAX);
        }
        if let What::AttemptEnds { attempt, .. } = what
            && node.stands_still
            && node.goes_on_with(*attempt)
        {
            return Some(self.now + STILL_LOOK_MS);
        }
        if self.now >= node.paused_until {
            return None;
        }
        // What an attempt had still to do is still to do.
        let rest_ms = match what {
            What::AttemptEnds { .. } => self.now.saturating_sub(node.paused_since),
            _ => 0,
        };
        Some(node.paused_until + rest_ms)
    }
}
