//! Node processes of the simulation: the real session brain over simulated attempts and disks.

use crate::happening::What;
use crate::members::Process;
use crate::network::Direction;
use crate::world::World;
use skep_model::attempt::{AttemptReport, Outcome};
use skep_model::hold::OnDisconnect;
use skep_model::ids::{InstanceId, NodeId};
use skep_model::isolation::IsolationLevel;
use skep_model::limits::{CONSUMER_LEASE_MS, LEASE_MS};
use skep_model::node::{Hardware, NodeClass, NodeFacts};
use skep_model::requirements::Resources;
use skep_wire::payload::AttemptKey;
use skep_wire::{ExitCode, KillReason, NodeEnd, NodeInput, NodeOptions, NodeOutput};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Longest time from TERM to the end of the last process of an attempt, milliseconds.
const KILL_TAKES_MS_MAX: u64 = 10_000;

/// How a machine stands to the swarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It has a token for nodes and an id of its own.
    Holder,
    /// It has to join first.
    Outside,
    /// It joined, and got its id.
    Joined,
}

/// An attempt that runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Running {
    pub(crate) since: u64,
    pub(crate) is_told_to_stop: bool,
}

/// One machine.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) id: NodeId,
    pub(crate) standing: Standing,
    /// The machine whose state directory this is; its own, but for copies.
    pub(crate) machine: usize,
    slots: u32,
    class: NodeClass,
    /// What it says is to become of its work while it is not heard.
    pub(crate) on_disconnect: Option<OnDisconnect>,
    /// The most patient policy that anybody ever wanted for it.
    pub(crate) patience_max: OnDisconnect,
    /// The longest time for which it was ever parked, milliseconds.
    pub(crate) park_ms_max: u64,
    /// How often it was started, as its state directory counts.
    pub(crate) starts: u64,
    /// The running process, if it runs.
    pub(crate) end: Option<NodeEnd>,
    pub(crate) generation: u64,
    /// What is on its disk.
    pub(crate) spool: BTreeMap<AttemptKey, AttemptReport>,
    pub(crate) running: BTreeMap<AttemptKey, Running>,
    pub(crate) connection: Option<u64>,
    pub(crate) tick_at: Option<u64>,
    /// A stopped process: nothing happens in it before this.
    pub(crate) paused_until: u64,
    pub(crate) paused_since: u64,
    /// It is parked: its attempts do not go on.
    pub(crate) stands_still: bool,
    /// It was stopped, or copied, at least once: its attempts may overlap with others.
    pub(crate) may_overlap: bool,
    /// Until then something but the coordinator's disk kept it from being heard.
    pub(crate) disturbed_until: u64,
    /// It never comes back.
    pub(crate) gone: bool,
}

impl Node {
    pub(crate) const fn new(id: NodeId, machine: usize, slots: u32, class: NodeClass) -> Self {
        Self {
            id,
            standing: Standing::Holder,
            machine,
            slots,
            class,
            on_disconnect: None,
            patience_max: OnDisconnect::of_class(class),
            park_ms_max: 0,
            starts: 0,
            end: None,
            generation: 0,
            spool: BTreeMap::new(),
            running: BTreeMap::new(),
            connection: None,
            tick_at: None,
            paused_until: 0,
            paused_since: 0,
            stands_still: false,
            may_overlap: false,
            gone: false,
            disturbed_until: 0,
        }
    }

    /// How long its leases last, milliseconds.
    pub(crate) const fn lease_ms(&self) -> u64 {
        match self.class {
            NodeClass::Server => LEASE_MS,
            NodeClass::Consumer => CONSUMER_LEASE_MS,
        }
    }

    /// A machine that was started from a copy of this one's state directory, with this count.
    pub(crate) fn copy(&self, starts: u64) -> Self {
        Self {
            standing: self.standing,
            starts,
            on_disconnect: self.on_disconnect,
            patience_max: self.patience_max,
            park_ms_max: self.park_ms_max,
            spool: self.spool.clone(),
            may_overlap: true,
            disturbed_until: u64::MAX,
            ..Self::new(self.id, self.machine, self.slots, self.class)
        }
    }

    /// Its process is stopped for a while and goes on.
    pub(crate) fn pause(&mut self, now: u64, until: u64) {
        if self.paused_until <= now {
            self.paused_since = now;
        }
        self.may_overlap = true;
        self.paused_until = self.paused_until.max(until);
        self.disturb(until);
    }

    /// Whether it runs this, and nobody told it to stop it.
    pub(crate) fn goes_on_with(&self, attempt: AttemptKey) -> bool {
        let running = self.running.get(&attempt);
        running.is_some_and(|running| !running.is_told_to_stop)
    }

    /// Its process, as others can tell it apart.
    pub(crate) const fn process(&self, node: usize) -> Process {
        Process {
            node,
            generation: self.generation,
            starts: self.starts,
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
        if self.nodes[index].standing == Standing::Outside {
            let generation = self.nodes[index].generation;
            return self.machine_joins(index, generation);
        }
        // UUIDv7 rises with the wall clock; so does this.
        let instance = u128::from(self.wall().0) << 64 | u128::from(self.random.next());
        let jitter_seed = self.random.next();
        let link = self.link_options();
        let node = &mut self.nodes[index];
        node.generation += 1;
        node.starts += 1;
        let options = NodeOptions {
            node: node.id,
            instance: InstanceId::from_u128(instance),
            starts: node.starts,
            facts: facts(node),
            slots: node.slots,
            jitter_seed,
        };
        let spool = node.spool.values().cloned().collect();
        node.end = Some(NodeEnd::new(options, spool).with_link(link));
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
        node.stands_still = false;
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
        let is_own = |index: usize| self.nodes[index].machine == index;
        let others = (0..self.nodes.len())
            .filter(|other| *other != index && is_own(*other) && !self.nodes[*other].gone);
        if others.count() > 0 {
            self.note("node vanished");
            self.crash_node(index);
            self.nodes[index].gone = true;
        }
    }

    pub(crate) fn node_tick(&mut self, index: usize, generation: u64) -> Result<(), String> {
        let node = &self.nodes[index];
        // One that was planned before an earlier one replans by itself.
        let is_outdated = node.tick_at.is_some_and(|planned| self.now < planned);
        if node.generation != generation || is_outdated {
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
                if let Some(running) = self.nodes[index].running.get_mut(&attempt) {
                    running.is_told_to_stop = true;
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
            NodeOutput::Freeze => {
                self.attempts_stand_still(index);
                return self.node_input(index, NodeInput::Frozen);
            }
            NodeOutput::Thaw => return self.attempts_go_on(index),
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
            NodeOutput::Exit { code, .. } => return self.node_exits(index, code),
        }
        Ok(())
    }

    /// A process ends because it was told to: a copy for good, a removed machine joins anew.
    fn node_exits(&mut self, index: usize, code: ExitCode) -> Result<(), String> {
        let node = &self.nodes[index];
        if matches!(code, ExitCode::Replaced | ExitCode::Removed) {
            self.oracle
                .members
                .sent_away(node.id, node.process(index))?;
        }
        self.crash_node(index);
        let node = &mut self.nodes[index];
        if node.machine != index {
            node.gone = true;
            self.note("copy sent away");
        } else if node.standing == Standing::Joined
            && matches!(code, ExitCode::Removed | ExitCode::AuthRefused)
        {
            node.standing = Standing::Outside;
        }
        Ok(())
    }
}

fn facts(node: &Node) -> NodeFacts {
    NodeFacts {
        name: format!("n{}", node.machine),
        version: "simulated".to_owned(),
        system: "simulated".to_owned(),
        resources: Resources {
            cpu_millis: 2_000,
            ..Resources::NONE
        },
        slots: node.slots,
        labels: BTreeMap::new(),
        capabilities: BTreeMap::new(),
        isolation: IsolationLevel::S1,
        probes: Vec::new(),
        class: node.class,
        region: None,
        hardware: Hardware::default(),
        models: Vec::new(),
        on_disconnect: node.on_disconnect,
    }
}
