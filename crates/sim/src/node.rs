//! Node processes of the simulation: the real session brain over simulated attempts and disks.

use crate::network::Direction;
use crate::oracle::Execution;
use crate::world::{What, World};
use skep_model::attempt::{AttemptReport, Outcome, ResourceUse};
use skep_model::ids::{InstanceId, NodeId};
use skep_model::isolation::IsolationLevel;
use skep_model::limits::{CONSUMER_LEASE_MS, LEASE_MS, SELF_FENCE_PERCENT};
use skep_model::node::{Hardware, NodeClass, NodeFacts};
use skep_model::requirements::Resources;
use skep_wire::payload::{Assignment, AttemptKey};
use skep_wire::{KillReason, NodeEnd, NodeInput, NodeOptions, NodeOutput};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Longest time from TERM to the end of the last process of an attempt, milliseconds.
const KILL_TAKES_MS_MAX: u64 = 10_000;

/// One machine.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) id: NodeId,
    slots: u32,
    class: NodeClass,
    /// The running process, if it runs.
    pub(crate) end: Option<NodeEnd>,
    pub(crate) generation: u64,
    /// What is on its disk.
    spool: BTreeMap<AttemptKey, AttemptReport>,
    running: BTreeSet<AttemptKey>,
    pub(crate) connection: Option<u64>,
    tick_at: Option<u64>,
    /// A stopped process: nothing happens in it before this.
    pub(crate) paused_until: u64,
    /// It was stopped at least once: its attempts may overlap with others.
    pub(crate) was_paused: bool,
    /// Until then something but the coordinator's disk kept it from being heard.
    disturbed_until: u64,
    /// It never comes back.
    pub(crate) gone: bool,
}

impl Node {
    pub(crate) const fn new(id: NodeId, slots: u32, class: NodeClass) -> Self {
        Self {
            id,
            slots,
            class,
            end: None,
            generation: 0,
            spool: BTreeMap::new(),
            running: BTreeSet::new(),
            connection: None,
            tick_at: None,
            paused_until: 0,
            was_paused: false,
            gone: false,
            disturbed_until: 0,
        }
    }

    /// How long its leases last, milliseconds.
    const fn lease_ms(&self) -> u64 {
        match self.class {
            NodeClass::Server => LEASE_MS,
            NodeClass::Consumer => CONSUMER_LEASE_MS,
        }
    }

    /// Something keeps it from being heard until then.
    pub(crate) fn disturb(&mut self, until: u64) {
        self.disturbed_until = self.disturbed_until.max(until);
    }
}

impl World {
    pub(crate) fn start_node(&mut self, index: usize) -> Result<(), String> {
        if self.nodes[index].end.is_some() || self.nodes[index].gone {
            return Ok(());
        }
        // UUIDv7 rises with time; so does this.
        let instance = u128::from(self.now) << 64 | u128::from(self.random.next());
        let jitter_seed = self.random.next();
        let node = &mut self.nodes[index];
        node.generation += 1;
        let options = NodeOptions {
            node: node.id,
            instance: InstanceId::from_u128(instance),
            starts: node.generation,
            facts: facts(index, node.slots, node.class),
            slots: node.slots,
            jitter_seed,
        };
        node.end = Some(NodeEnd::new(
            options,
            node.spool.values().cloned().collect(),
        ));
        self.node_input(index, NodeInput::Tick)
    }

    /// SIGKILL: attempts die with the process, what was not synced is gone.
    pub(crate) fn crash_node(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        if node.end.take().is_none() {
            return;
        }
        node.generation += 1;
        node.running.clear();
        node.tick_at = None;
        node.paused_until = 0;
        let connection = node.connection.take();
        self.oracle.node_died(index);
        self.note("node crashed");
        if let Some(connection) = connection {
            self.close_node_end(connection);
        }
        let back = self.now + self.random.between(100, 120_000);
        self.schedule(back, What::NodeStarts { node: index });
    }

    /// SIGTERM: the node stops its attempts, hands back what still comes, and leaves.
    pub(crate) fn stop_node(&mut self, index: usize) -> Result<(), String> {
        if self.nodes[index].end.is_none() {
            return Ok(());
        }
        self.note("node told to stop");
        self.node_input(index, NodeInput::Shutdown)
    }

    /// The machine is taken away for good, unless it is the last one.
    pub(crate) fn vanish(&mut self, index: usize) {
        let left = self.nodes.iter().filter(|node| !node.gone).count();
        if left > 1 {
            self.note("node vanished");
            self.crash_node(index);
            self.nodes[index].gone = true;
        }
    }

    pub(crate) fn node_tick(&mut self, index: usize, generation: u64) -> Result<(), String> {
        if self.nodes[index].generation != generation {
            return Ok(());
        }
        self.nodes[index].tick_at = None;
        self.node_input(index, NodeInput::Tick)
    }

    pub(crate) fn node_input(&mut self, index: usize, input: NodeInput) -> Result<(), String> {
        let now = self.now;
        let Some(end) = &mut self.nodes[index].end else {
            return Ok(());
        };
        let outputs = end.handle(now, input);
        for output in outputs {
            self.node_output(index, output)?;
        }
        self.plan_node_tick(index);
        Ok(())
    }

    fn plan_node_tick(&mut self, index: usize) {
        let now = self.now;
        let node = &mut self.nodes[index];
        let Some(at) = node.end.as_ref().and_then(NodeEnd::next_timer) else {
            return;
        };
        let at = at.max(now + 1);
        if node
            .tick_at
            .is_none_or(|planned| at < planned || planned <= now)
        {
            node.tick_at = Some(at);
            let generation = node.generation;
            self.schedule(
                at,
                What::NodeTick {
                    node: index,
                    generation,
                },
            );
        }
    }

    fn node_output(&mut self, index: usize, output: NodeOutput) -> Result<(), String> {
        let generation = self.nodes[index].generation;
        match output {
            NodeOutput::Connect => {
                let at = self.now + self.random.between(0, 50);
                self.schedule(
                    at,
                    What::NodeConnects {
                        node: index,
                        generation,
                    },
                );
            }
            NodeOutput::Send(frame) => {
                if let Some(connection) = self.nodes[index].connection {
                    self.transmit(connection, Direction::ToCoordinator, &frame);
                }
            }
            NodeOutput::Start(assignment) => return self.attempt_starts(index, &assignment),
            NodeOutput::Kill { attempt, reason } => {
                if reason == KillReason::SelfFenced {
                    self.had_reason_to_fence(index, attempt)?;
                }
                let at = self.now + self.random.between(0, KILL_TAKES_MS_MAX);
                let outcome = Outcome::Killed;
                self.schedule(
                    at,
                    What::AttemptEnds {
                        node: index,
                        generation,
                        attempt,
                        outcome,
                    },
                );
            }
            NodeOutput::Spool { batch, reports } => {
                let at = self.now + self.random.between(0, self.faults.disk_ms.1);
                let reports = reports.into_iter().map(Arc::unwrap_or_clone).collect();
                self.schedule(
                    at,
                    What::SpoolDone {
                        node: index,
                        generation,
                        batch,
                        reports,
                    },
                );
            }
            NodeOutput::Unspool(attempts) => {
                for attempt in attempts {
                    self.nodes[index].spool.remove(&attempt);
                }
            }
            NodeOutput::Welcomed(_) | NodeOutput::Draining(_) | NodeOutput::Answered { .. } => {}
            NodeOutput::CloseConnection { .. } => {
                if let Some(connection) = self.nodes[index].connection.take() {
                    self.close_node_end(connection);
                }
            }
            NodeOutput::Exit { .. } => self.crash_node(index),
        }
        Ok(())
    }

    /// I16: a node gives its work up only when it could not be heard: a full disk of the
    /// coordinator is no reason.
    fn had_reason_to_fence(&mut self, index: usize, attempt: AttemptKey) -> Result<(), String> {
        self.note("node fenced itself");
        let heard_since = self.nodes[index]
            .disturbed_until
            .max(self.coordinator_started_at);
        let in_touch = self.coordinator.is_some() && self.every_frame_arrives;
        let patience = self.nodes[index].lease_ms() * SELF_FENCE_PERCENT / 100;
        if in_touch && self.now >= heard_since + patience {
            return Err(format!(
                "I16: n{index} stopped {attempt}, though nothing kept it from the coordinator since {heard_since} ms"
            ));
        }
        Ok(())
    }

    fn attempt_starts(&mut self, index: usize, assignment: &Assignment) -> Result<(), String> {
        let attempt = assignment.key();
        let frozen = self.nodes.iter().any(|node| node.was_paused);
        let execution = Execution {
            node: index,
            fence: attempt.fence,
        };
        self.oracle.starts(attempt.task, execution, frozen)?;
        self.nodes[index].running.insert(attempt);
        let longest = *self
            .random
            .pick(&[5, 500, 5_000, self.faults.attempt_ms_max]);
        let longest = longest.min(self.faults.attempt_ms_max);
        let at = self.now + self.random.between(0, longest);
        let outcome = if self.random.chance(self.faults.attempt_failure_permille) {
            match self.random.between(0, 2) {
                0 => Outcome::Exited { code: 1 },
                1 => Outcome::TimedOut,
                _ => Outcome::Error {
                    code: "simulated".to_owned(),
                    message: String::new(),
                },
            }
        } else {
            Outcome::Completed
        };
        let generation = self.nodes[index].generation;
        self.schedule(
            at,
            What::AttemptEnds {
                node: index,
                generation,
                attempt,
                outcome,
            },
        );
        self.schedule(
            self.now,
            What::AttemptStarted {
                node: index,
                generation,
                attempt,
            },
        );
        Ok(())
    }

    pub(crate) fn attempt_ends(
        &mut self,
        index: usize,
        attempt: AttemptKey,
        outcome: Outcome,
    ) -> Result<(), String> {
        if !self.nodes[index].running.remove(&attempt) {
            return Ok(());
        }
        let execution = Execution {
            node: index,
            fence: attempt.fence,
        };
        self.oracle.stops(attempt.task, execution);
        if outcome == Outcome::Completed {
            self.oracle.completes(attempt.task, attempt.fence);
        }
        let report = AttemptReport {
            task: attempt.task,
            fence: attempt.fence,
            exit_code: (outcome == Outcome::Completed).then_some(0),
            outcome,
            duration_ms: 1,
            usage: ResourceUse::default(),
            isolation: None,
            artifacts: Vec::new(),
            gates: Vec::new(),
        };
        self.node_input(index, NodeInput::Finished(Box::new(report)))
    }

    pub(crate) fn spool_done(
        &mut self,
        index: usize,
        batch: u64,
        reports: Vec<AttemptReport>,
    ) -> Result<(), String> {
        for report in reports {
            self.nodes[index].spool.insert((&report).into(), report);
        }
        self.node_input(index, NodeInput::Spooled { batch })
    }

    pub(crate) fn node_connects(&mut self, index: usize) -> Result<(), String> {
        let cut = [Direction::ToCoordinator, Direction::ToNode]
            .into_iter()
            .any(|direction| self.network.is_cut(index, direction, self.now));
        if cut || self.coordinator.is_none() {
            return self.node_input(index, NodeInput::Disconnected);
        }
        let connection = self.network.open(index, self.now);
        self.nodes[index].connection = Some(connection);
        self.accept(connection)?;
        self.node_input(index, NodeInput::Connected)
    }

    /// The node learned that the coordinator's side is gone.
    pub(crate) fn node_end_lost(&mut self, connection: u64) -> Result<(), String> {
        let Some(open) = self.network.connections.get_mut(&connection) else {
            return Ok(());
        };
        let index = open.node;
        if !std::mem::replace(&mut open.node_end_open, false)
            || self.nodes[index].connection != Some(connection)
        {
            return Ok(());
        }
        self.nodes[index].connection = None;
        self.node_input(index, NodeInput::Disconnected)
    }
}

fn facts(index: usize, slots: u32, class: NodeClass) -> NodeFacts {
    NodeFacts {
        name: format!("n{index}"),
        version: "simulated".to_owned(),
        system: "simulated".to_owned(),
        resources: Resources {
            cpu_millis: 2_000,
            ..Resources::NONE
        },
        slots,
        labels: BTreeMap::new(),
        capabilities: BTreeMap::new(),
        isolation: IsolationLevel::S1,
        probes: Vec::new(),
        class,
        region: None,
        hardware: Hardware::default(),
        models: Vec::new(),
    }
}
