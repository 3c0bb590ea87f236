//! The world of one seed: a queue of things that happen, in virtual time.

use crate::client::Clients;
use crate::coordinator::Coordinator;
use crate::disk::Disk;
use crate::faults::{Faults, Flow};
use crate::happening::What;
use crate::joining::Joining;
use crate::memory::Memory;
use crate::network::Network;
use crate::node::{Node, Standing};
use crate::oracle::Oracle;
use crate::policies;
use crate::random::Random;
use crate::schedules::Keeper;
use crate::sessions::Sessions;
use crate::triggers::Watcher;
use skep_model::ids::NodeId;
use skep_model::node::NodeClass;
use skep_model::time::UnixMillis;
use skep_wire::Frame;
use std::collections::BTreeMap;

/// Virtual time with faults, milliseconds: half an hour.
pub(crate) const FAULTY_MS: u64 = 1_800_000;
/// Virtual time in which everything must have ended once faults stop.
const SETTLE_MS_MAX: u64 = 1_200_000;
/// Things that may happen in one seed; more means that something spins.
const STEPS_MAX: u64 = 3_000_000;
/// Seeds whose machines come in by join tokens, of a thousand.
const JOINING_PERMILLE: u64 = 500;
/// Wall time at the start of every seed.
const EPOCH_MS: u64 = 1_800_000_000_000;

/// Everything there is.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) wall_offset: i64,
    pub(crate) random: Random,
    pub(crate) faults: Faults,
    pub(crate) healing: bool,
    queue: BTreeMap<(u64, u64), What>,
    next_event: u64,
    pub(crate) disk: Disk,
    pub(crate) disk_full_until: u64,
    pub(crate) coordinator: Option<Coordinator>,
    pub(crate) coordinator_generation: u64,
    pub(crate) coordinator_started_at: u64,
    /// The network of this seed loses, doubles and reorders nothing, but for cuts.
    pub(crate) every_frame_arrives: bool,
    /// Credits, in seeds whose ends use them.
    pub(crate) flow: Option<Flow>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) network: Network,
    pub(crate) clients: Clients,
    pub(crate) oracle: Oracle,
    /// In swarms whose machines come in by join tokens.
    pub(crate) joining: Option<Joining>,
    /// In seeds in which somebody writes to shared memory.
    pub(crate) memory: Option<Memory>,
    /// In seeds in which somebody keeps schedules.
    pub(crate) keeper: Option<Keeper>,
    /// In seeds in which somebody keeps triggers.
    pub(crate) watcher: Option<Watcher>,
    /// In seeds with attached agents.
    pub(crate) sessions: Option<Sessions>,
    /// Found where nothing could be returned.
    pub(crate) violation: Option<String>,
    pub(crate) applied: u64,
    trace: blake3::Hasher,
    pub(crate) tell: Option<fn(&str)>,
    steps: u64,
}

/// What a seed that held led through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Hash over everything that happened; equal for equal seeds.
    pub digest: String,
    /// Things that happened.
    pub steps: u64,
    /// Virtual milliseconds.
    pub virtual_ms: u64,
    /// How often each rare thing happened.
    pub seen: BTreeMap<&'static str, u64>,
}

/// Plays one seed; `trace` is told everything that happens.
///
/// # Errors
/// What was violated, and at which step.
pub fn run_seed(seed: u64, trace: Option<fn(&str)>) -> Result<Report, String> {
    let mut world = World::new(seed);
    world.tell = trace;
    match world.play() {
        Ok(()) => Ok(world.report()),
        Err(violation) => Err(format!(
            "step {} at {} ms: {violation}",
            world.steps, world.now
        )),
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let faults = Faults::draw(&mut random);
        let every_frame_arrives = faults.frames_arrive();
        let flow = Flow::draw(&mut random);
        let joining = random.chance(JOINING_PERMILLE).then(Joining::default);
        let nodes = (0..random.between(1, 5)).map(|index| {
            let id = NodeId::from_u128(u128::from(index) + 1);
            let slots = random.between(1, 4) as u32;
            let class = *random.pick(&[NodeClass::Server, NodeClass::Server, NodeClass::Consumer]);
            let mut node = Node::new(id, index as usize, slots, class);
            node.says(policies::draw(&mut random));
            if joining.is_some() {
                node.standing = Standing::Outside;
            }
            node
        });
        let nodes = nodes.collect();
        let mut oracle = Oracle::default();
        oracle.members.join_by_tokens = joining.is_some();
        Self {
            now: 1_000,
            wall_offset: 0,
            random,
            faults,
            healing: false,
            queue: BTreeMap::new(),
            next_event: 0,
            disk: Disk::default(),
            disk_full_until: 0,
            coordinator: None,
            coordinator_generation: 0,
            coordinator_started_at: 0,
            every_frame_arrives,
            flow,
            nodes,
            network: Network::default(),
            clients: Clients::default(),
            oracle,
            joining,
            memory: Memory::of_seed(seed),
            keeper: Keeper::of_seed(seed),
            watcher: Watcher::of_seed(seed),
            sessions: Sessions::of_seed(seed),
            violation: None,
            applied: 0,
            trace: blake3::Hasher::new(),
            tell: None,
            steps: 0,
        }
    }

    fn play(&mut self) -> Result<(), String> {
        self.start_coordinator()?;
        for node in 0..self.nodes.len() {
            self.start_node(node)?;
        }
        self.schedule(self.now, What::ClientActs);
        if self.memory.is_some() {
            self.schedule(self.now, What::WriterActs);
        }
        if self.keeper.is_some() {
            self.schedule(self.now, What::KeeperActs);
        }
        if self.watcher.is_some() {
            self.schedule(self.now, What::WatcherActs);
        }
        self.sessions_start();
        self.plan_fault();
        self.run_until(FAULTY_MS, |_| false)?;
        self.heal()?;
        self.sessions_heal();
        let deadline = self.now + SETTLE_MS_MAX;
        while self.now < deadline {
            self.release_everything()?;
            let next = self.now + 30_000;
            self.run_until(next, |_| false)?;
            if self.is_settled() {
                return self.final_checks();
            }
        }
        Err(format!("liveness: {}", self.why_unsettled()))
    }

    fn run_until(&mut self, until: u64, stop: impl Fn(&Self) -> bool) -> Result<(), String> {
        while let Some(entry) = self.queue.first_entry() {
            let (at, _) = *entry.key();
            if at > until || stop(self) {
                break;
            }
            let Some((_, what)) = self.queue.pop_first() else {
                break;
            };
            self.now = self.now.max(at);
            self.steps += 1;
            if self.steps > STEPS_MAX {
                return Err(format!("it spins: {what:?} is next"));
            }
            self.trace_step(&what);
            self.happen(what)?;
            if let Some(violation) = self.violation.take() {
                return Err(violation);
            }
        }
        self.now = self.now.max(until);
        Ok(())
    }

    fn trace_step(&mut self, what: &What) {
        self.trace.update(&self.now.to_le_bytes());
        let text = match what {
            What::Frame { frame, .. } => match frame {
                Frame::Text(text) => text.clone(),
                Frame::Binary(bytes) => format!("{bytes:?}"),
            },
            What::SpoolDone { node, batch, .. } => format!("spool {node} {batch}"),
            other => format!("{other:?}"),
        };
        self.trace.update(text.as_bytes());
        if let Some(tell) = self.tell {
            let (now, kind) = (
                self.now,
                if matches!(what, What::Frame { .. }) {
                    format!("{what:?}")
                } else {
                    text
                },
            );
            tell(&format!("{now} {kind}"));
        }
    }

    pub(crate) fn schedule(&mut self, at: u64, what: What) {
        self.next_event += 1;
        self.queue.insert((at, self.next_event), what);
    }

    pub(crate) fn wall(&self) -> UnixMillis {
        UnixMillis((EPOCH_MS + self.now).saturating_add_signed(self.wall_offset))
    }

    pub(crate) fn note(&mut self, name: &'static str) {
        *self.oracle.seen.entry(name).or_default() += 1;
    }

    fn is_settled(&self) -> bool {
        let answered = self
            .clients
            .submissions
            .iter()
            .all(|submission| submission.answered);
        let Some(coordinator) = &self.coordinator else {
            return false;
        };
        let view = coordinator.engine.view();
        let view = view.read();
        let written = self.memory.as_ref().is_none_or(Memory::is_settled);
        answered && written && self.oracle.unfinished(&view).is_none()
    }

    fn why_unsettled(&self) -> String {
        let Some(coordinator) = &self.coordinator else {
            return "the coordinator is down".to_owned();
        };
        let view = coordinator.engine.view();
        let view = view.read();
        let nodes: Vec<_> = view
            .state
            .nodes()
            .map(|node| format!("{} is {}", node.facts.name, node.state))
            .collect();
        let open = self.oracle.unfinished(&view);
        format!(
            "{}; {}",
            open.unwrap_or_else(|| "a submission or a write has no answer".into()),
            nodes.join(", ")
        )
    }

    fn final_checks(&mut self) -> Result<(), String> {
        let Some(coordinator) = &self.coordinator else {
            return Ok(());
        };
        let view = coordinator.engine.view();
        let view = view.read();
        self.oracle.observe(&self.disk, &view)?;
        view.state
            .check()
            .map_err(|violation| format!("{violation:?}"))?;
        self.counted_right(&view)?;
        self.oracle.schedules.none_is_late(&view)?;
        self.oracle.triggers.none_is_left(&view)?;
        self.oracle.nothing_lost(&self.disk, &view)
    }

    fn report(&self) -> Report {
        Report {
            digest: self.trace.finalize().to_hex()[..32].to_owned(),
            steps: self.steps,
            virtual_ms: self.now,
            seen: self.oracle.seen.clone(),
        }
    }
}
