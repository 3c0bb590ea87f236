//! One replay: the real scheduler and breakers over simulated nodes, in virtual time.

use crate::random::Random;
use crate::swarm::{Task, Workload};
use skep_model::command::Grant;
use skep_model::ids::{AgentId, NodeId, TaskId};
use skep_model::isolation::IsolationLevel;
use skep_model::node::{NodeClass, NodeState};
use skep_model::requirements::{Performer, Resources};
use skep_model::task::ReadyKey;
use skep_model::time::UnixMillis;
use skep_scheduler::{
    AgentView, AttemptEnd, Breaker, EndedAttempt, HeldInput, NodeView, Policy, QueueView, Snapshot,
    Strategy, TaskInputs, mean_ms,
};
use std::collections::{BTreeMap, BTreeSet};

/// Round trips from a grant to the first moment of work.
const ROUND_TRIPS_PER_START: u64 = 2;
/// A failing attempt fails after this share of its work.
const FAILS_AFTER_PERCENT: u64 = 10;

/// How a replay went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// From the first arrival to the end of the last task.
    pub(crate) makespan_ms: u64,
    /// Slot time that attempts held, in thousandths of all slot time.
    pub(crate) utilisation_permille: u64,
    /// From ready to the first grant, of each task, sorted.
    pub(crate) waits_ms: Vec<u64>,
    /// From ready to the end of the attempt that succeeded, of all tasks together.
    pub(crate) turnaround_ms: u64,
    /// Attempts that failed.
    pub(crate) failures: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Ready(usize),
    End {
        task: usize,
        node: usize,
        granted_ms: u64,
        work_ms: u64,
        failed: bool,
    },
    /// A breaker may be tried again.
    Look,
}

#[derive(Debug, Clone, Default)]
struct Agent {
    running: u32,
    succeeded: u64,
    failed: u64,
    busy_ms: u64,
    breaker: Breaker,
}

#[derive(Debug, Clone, Default)]
struct Progress {
    ready_ms: u64,
    attempts: u64,
    failed_on: Vec<NodeId>,
    inputs: Vec<HeldInput>,
}

struct Replay<'w> {
    workload: &'w Workload,
    now_ms: u64,
    events: BTreeSet<(u64, u64, Event)>,
    sequence: u64,
    agents: Vec<Agent>,
    progress: Vec<Progress>,
    ready: Vec<BTreeSet<ReadyKey>>,
    followers: BTreeMap<usize, Vec<usize>>,
    held_ms: u64,
    outcome: Outcome,
}

/// Plays the workload until every task succeeded.
pub(crate) fn replay(workload: &Workload, strategy: &dyn Strategy) -> Outcome {
    let mut replay = Replay::of(workload);
    let mut policy = Policy::default();
    while let Some((now_ms, _, event)) = replay.events.pop_first() {
        replay.now_ms = now_ms;
        replay.happens(event);
        if replay.events.first().is_some_and(|next| next.0 == now_ms) {
            continue;
        }
        let grants = replay.place(strategy, &policy);
        policy.granted(&grants);
        for grant in grants {
            replay.start(&grant);
        }
    }
    replay.finish()
}

impl<'w> Replay<'w> {
    fn of(workload: &'w Workload) -> Self {
        let mut replay = Self {
            workload,
            now_ms: 0,
            events: BTreeSet::new(),
            sequence: 0,
            agents: vec![Agent::default(); workload.nodes.len()],
            progress: vec![Progress::default(); workload.tasks.len()],
            ready: vec![BTreeSet::new(); workload.signatures.len()],
            followers: BTreeMap::new(),
            held_ms: 0,
            outcome: Outcome {
                makespan_ms: 0,
                utilisation_permille: 0,
                waits_ms: Vec::new(),
                turnaround_ms: 0,
                failures: 0,
            },
        };
        for (number, task) in workload.tasks.iter().enumerate() {
            match task.follows {
                Some(first) => replay.followers.entry(first).or_default().push(number),
                None => replay.schedule(task.arrives_ms, Event::Ready(number)),
            }
        }
        replay
    }

    fn schedule(&mut self, at_ms: u64, event: Event) {
        self.sequence += 1;
        self.events.insert((at_ms, self.sequence, event));
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Ready(task) => {
                self.progress[task].ready_ms = self.now_ms;
                self.queue(task);
            }
            Event::End {
                task,
                node,
                granted_ms,
                work_ms,
                failed,
            } => {
                self.end(node, granted_ms, failed);
                if failed {
                    self.progress[task].failed_on.push(node_id(node));
                    self.queue(task);
                } else {
                    self.agents[node].busy_ms += work_ms;
                    self.succeed(task, node);
                }
            }
            Event::Look => {}
        }
    }

    fn queue(&mut self, task: usize) {
        let key = ReadyKey {
            ready_at: UnixMillis(self.now_ms),
            sequence: (task as u64, 0),
            task: TaskId::from_u128(task as u128),
        };
        self.ready[self.workload.tasks[task].signature].insert(key);
    }

    fn end(&mut self, node: usize, granted_ms: u64, failed: bool) {
        let agent = &mut self.agents[node];
        agent.running -= 1;
        self.held_ms += self.now_ms - granted_ms;
        let end = if failed {
            agent.failed += 1;
            self.outcome.failures += 1;
            AttemptEnd::NodeFault
        } else {
            agent.succeeded += 1;
            AttemptEnd::Succeeded
        };
        let attempt = EndedAttempt {
            end,
            granted_at: UnixMillis(granted_ms),
            class: NodeClass::Server,
        };
        agent.breaker.ended(attempt, UnixMillis(self.now_ms));
        if let Some(retry_at) = agent.breaker.retry_at() {
            self.schedule(retry_at.0.max(self.now_ms), Event::Look);
        }
    }

    fn succeed(&mut self, task: usize, node: usize) {
        self.outcome.makespan_ms = self.now_ms;
        self.outcome.turnaround_ms += self.now_ms - self.progress[task].ready_ms;
        for follower in self.followers.remove(&task).unwrap_or_default() {
            let of_follower = &self.workload.tasks[follower];
            self.progress[follower].inputs.push(HeldInput {
                node: node_id(node),
                bytes: of_follower.input_bytes,
            });
            self.schedule(
                of_follower.arrives_ms.max(self.now_ms),
                Event::Ready(follower),
            );
        }
    }

    fn place(&self, strategy: &dyn Strategy, policy: &Policy) -> Vec<Grant> {
        if self.ready.iter().all(BTreeSet::is_empty) {
            return Vec::new();
        }
        let labels = BTreeMap::new();
        let failed_on = |task: TaskId| self.progress[number(task)].failed_on.as_slice();
        let inputs = |task: TaskId| TaskInputs {
            total_bytes: self.workload.tasks[number(task)].input_bytes,
            held: &self.progress[number(task)].inputs,
        };
        let places = 0..self.workload.nodes.len();
        let agents: Vec<_> = places.clone().map(|place| self.agent(place)).collect();
        let snapshot = Snapshot {
            now: UnixMillis(self.now_ms),
            mean_ms: mean_ms(&agents),
            nodes: places.map(|place| self.node(place, &labels)).collect(),
            agents,
            queues: self.queues(),
            failed_on: &failed_on,
            inputs: &inputs,
        };
        strategy.place(&snapshot, policy)
    }

    fn queues(&self) -> Vec<QueueView<'_>> {
        let queues = self.workload.signatures.iter().zip(&self.ready);
        let queue = |(requirements, tasks)| QueueView {
            requirements,
            run: None,
            weight: 10,
            held_by_run: 0,
            priority: 5,
            tasks,
        };
        queues.map(queue).collect()
    }

    fn node<'a>(&'a self, place: usize, labels: &'a BTreeMap<String, String>) -> NodeView<'a> {
        let node = &self.workload.nodes[place];
        NodeView {
            id: node_id(place),
            name: "node",
            state: NodeState::Ready,
            performer: Performer::Node,
            labels,
            isolation: IsolationLevel::S1,
            total: Resources::NONE,
            free: Resources::NONE,
            slots: node.slots,
            slots_free: node.slots - self.agents[place].running,
            region: Some(node.region),
            rtt_ms: Some(node.rtt_ms),
            throughput_bytes_s: Some(node.throughput_bytes_s),
            load_permille: None,
            breaker: self.agents[place].breaker.view(UnixMillis(self.now_ms)),
        }
    }

    fn agent(&self, place: usize) -> AgentView<'_> {
        let (node, agent) = (&self.workload.nodes[place], &self.agents[place]);
        AgentView {
            id: AgentId::from_u128(place as u128),
            name: "agent",
            node: place,
            capabilities: &node.capabilities,
            slots: node.slots,
            slots_free: node.slots - agent.running,
            paused: false,
            succeeded: agent.succeeded,
            failed: agent.failed,
            busy_ms: agent.busy_ms,
        }
    }

    fn start(&mut self, grant: &Grant) {
        let (task, node) = (number(grant.task), grant.agent.as_u128() as usize);
        let of_task = &self.workload.tasks[task];
        self.ready[of_task.signature].retain(|key| key.task != grant.task);
        let progress = &mut self.progress[task];
        if progress.attempts == 0 {
            self.outcome.waits_ms.push(self.now_ms - progress.ready_ms);
        }
        progress.attempts += 1;
        let agent = &mut self.agents[node];
        agent.running += 1;
        agent.breaker.granted(UnixMillis(self.now_ms));
        let failed = self.fails(task, node);
        let whole_ms = of_task.work_ms * 1_000 / self.workload.nodes[node].speed_permille;
        let work_ms = if failed {
            whole_ms * FAILS_AFTER_PERCENT / 100
        } else {
            whole_ms
        };
        let end = Event::End {
            task,
            node,
            granted_ms: self.now_ms,
            work_ms,
            failed,
        };
        let lasts_ms = self.before_work_ms(of_task, &self.progress[task], node) + work_ms;
        self.schedule(self.now_ms + lasts_ms, end);
    }

    /// Messages, and what has to be moved.
    fn before_work_ms(&self, task: &Task, progress: &Progress, node: usize) -> u64 {
        let of_node = &self.workload.nodes[node];
        let held = progress.inputs.iter();
        let local = held.filter(|held| held.node == node_id(node));
        let local: u64 = local.map(|held| held.bytes).sum();
        let missing = task.input_bytes.saturating_sub(local);
        ROUND_TRIPS_PER_START * u64::from(of_node.rtt_ms)
            + missing * 1_000 / of_node.throughput_bytes_s.max(1)
    }

    /// Whether this attempt fails here: depends on seed, task, attempt and node only, so that
    /// strategies meet the same luck.
    fn fails(&self, task: usize, node: usize) -> bool {
        let attempt = self.progress[task].attempts;
        let mixed = [task as u64, node as u64, attempt]
            .into_iter()
            .fold(self.workload.seed, |seed, part| {
                Random::new(seed ^ part).number()
            });
        Random::new(mixed).happens(self.workload.nodes[node].failing_permille)
    }

    fn finish(mut self) -> Outcome {
        let slots: u64 = self
            .workload
            .nodes
            .iter()
            .map(|node| u64::from(node.slots))
            .sum();
        let first_ms = self.workload.tasks.iter().map(|task| task.arrives_ms).min();
        let outcome = &mut self.outcome;
        outcome.makespan_ms -= first_ms.unwrap_or(0).min(outcome.makespan_ms);
        outcome.utilisation_permille = self.held_ms * 1_000 / (slots * outcome.makespan_ms).max(1);
        outcome.waits_ms.sort_unstable();
        self.outcome
    }
}

fn node_id(place: usize) -> NodeId {
    NodeId::from_u128(place as u128)
}

fn number(task: TaskId) -> usize {
    task.as_u128() as usize
}
