//! A node's shell, a wire, and the rules that must hold.

mod heal;

use super::coordinator::{Coordinator, send_away};
use crate::codec::{Message, NodeCall, Opened};
use crate::coordinator_end::{CoordinatorEnd, CoordinatorOptions, CoordinatorOutput};
use crate::fixtures::{NODE, facts, report};
use crate::frame::Frame;
use crate::node_end::{LinkOptions, NodeEnd, NodeInput, NodeOptions, NodeOutput};
use crate::payload::{AttemptKey, BalanceRequest, Credit};
use skep_model::attempt::AttemptReport;
use skep_model::ids::InstanceId;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

const TIMERS_PER_PASS_MAX: usize = 10_000;

#[derive(Debug)]
struct Wire {
    end: CoordinatorEnd,
    to_node: VecDeque<Frame>,
    to_coordinator: VecDeque<Frame>,
    /// The coordinator closed it; the node sees that after the frames under way.
    closed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Process {
    Ordered,
    Runs,
    Killed,
}

#[derive(Debug)]
pub(super) struct World {
    now: u64,
    seed: u64,
    slots: u32,
    link: LinkOptions,
    processes_of_node: u128,
    node: NodeEnd,
    connecting: bool,
    wire: Option<Wire>,
    coordinator: Coordinator,
    running: BTreeMap<AttemptKey, Process>,
    started: BTreeSet<AttemptKey>,
    writing: Option<(u64, Vec<Arc<AttemptReport>>)>,
    disk: BTreeMap<AttemptKey, AttemptReport>,
    /// Attempts that ended on their own and whose results no crash destroyed: each must arrive,
    /// or be given up by the coordinator.
    wanted: BTreeSet<AttemptKey>,
}

/// Few items at a time, so that credits matter.
const WINDOW: Credit = Credit {
    items: 2,
    bytes: 600,
};

fn new_node(
    (seed, slots): (u64, u32),
    instance: u128,
    link: LinkOptions,
    spool: Vec<AttemptReport>,
) -> NodeEnd {
    let options = NodeOptions {
        node: NODE,
        instance: InstanceId::from_u128(instance),
        starts: 0,
        facts: facts(slots),
        slots,
        jitter_seed: seed.wrapping_add(instance as u64),
    };
    NodeEnd::new(options, spool).with_link(link)
}

impl World {
    pub(super) fn new(seed: u64, slots: u32, link: LinkOptions) -> Self {
        let link = LinkOptions {
            assign_window: WINDOW,
            ..link
        };
        Self {
            link,
            now: 0,
            seed,
            slots,
            processes_of_node: 1,
            node: new_node((seed, slots), 1, link, Vec::new()),
            connecting: false,
            wire: None,
            coordinator: Coordinator::new(slots as usize),
            running: BTreeMap::new(),
            started: BTreeSet::new(),
            writing: None,
            disk: BTreeMap::new(),
            wanted: BTreeSet::new(),
        }
    }

    pub(super) fn starts(&self) -> usize {
        self.started.len()
    }

    fn tell(&mut self, input: NodeInput) {
        let outputs = self.node.handle(self.now, input);
        for output in outputs {
            self.perform(output);
        }
    }

    fn perform(&mut self, output: NodeOutput) {
        match output {
            NodeOutput::Connect => {
                assert!(self.wire.is_none() && !self.connecting, "two connections");
                self.connecting = true;
            }
            NodeOutput::Send(frame) => {
                self.check_results_are_on_disk(&frame);
                let wire = self.wire.as_mut().expect("it sends without a connection");
                wire.to_coordinator.push_back(frame);
            }
            NodeOutput::Start(assignment) => {
                let key = assignment.key();
                assert!(self.started.insert(key), "{key} is started twice");
                self.running.insert(key, Process::Ordered);
                assert!(
                    self.running.len() <= self.slots as usize,
                    "more attempts than slots"
                );
            }
            NodeOutput::Kill { attempt, .. } => {
                if let Some(process) = self.running.get_mut(&attempt) {
                    *process = Process::Killed;
                }
            }
            NodeOutput::Spool { batch, reports } => {
                assert!(self.writing.is_none(), "two batches at a time");
                self.writing = Some((batch, reports));
            }
            NodeOutput::Unspool(keys) => {
                for key in keys {
                    let released = self.coordinator.released.contains(&key);
                    assert!(released, "{key} is deleted without an answer");
                    assert!(self.disk.remove(&key).is_some(), "{key} is not on disk");
                }
            }
            NodeOutput::CloseConnection { .. } => {
                assert!(self.wire.is_some() || self.connecting, "nothing to close");
                self.wire = None;
                self.connecting = false;
            }
            NodeOutput::Exit { code, .. } => panic!("nobody asked it to leave: {code:?}"),
            NodeOutput::Welcomed(_)
            | NodeOutput::Draining(_)
            | NodeOutput::Answered { .. }
            | NodeOutput::Freeze
            | NodeOutput::Thaw => {}
        }
    }

    fn check_results_are_on_disk(&self, frame: &Frame) {
        let opened = Opened::new(frame.as_ref()).expect("it was written by the node");
        if let Ok(Message::Call {
            call: NodeCall::Results(batch),
            ..
        }) = opened.decode::<NodeCall>()
        {
            for report in &batch.reports {
                let key = AttemptKey::from(report);
                assert!(
                    self.disk.contains_key(&key),
                    "{key} is sent before it is on disk"
                );
            }
        }
    }

    /// Does what the coordinator's end wants, and lets the coordinator react to it.
    fn settle(&mut self, mut outputs: VecDeque<CoordinatorOutput>) {
        while let Some(output) = outputs.pop_front() {
            let Some(wire) = &mut self.wire else {
                return;
            };
            match output {
                CoordinatorOutput::Send(frame) => wire.to_node.push_back(frame),
                CoordinatorOutput::Close { .. } => wire.closed = true,
                CoordinatorOutput::Event(event) => {
                    outputs.extend(self.coordinator.on_event(self.now, &mut wire.end, event));
                }
            }
        }
        if let Some(wire) = &mut self.wire {
            let more = self.coordinator.dispatch(&mut wire.end);
            if !more.is_empty() {
                self.settle(more.into());
            }
        }
    }

    pub(super) fn submit(&mut self) {
        self.coordinator.submit();
        self.settle(VecDeque::new());
    }

    pub(super) fn cancel(&mut self, which: u8) {
        let attempt = self.coordinator.cancel(which);
        if let (Some(attempt), Some(wire)) = (attempt, &mut self.wire) {
            let outputs = wire.end.revoke(&[attempt]);
            self.settle(outputs.into());
        }
    }

    /// Moves the clock from timer to timer, so that nobody sees time late.
    pub(super) fn pass(&mut self, ms: u64) {
        let end = self.now + ms;
        for _ in 0..TIMERS_PER_PASS_MAX {
            let due = self.node.next_timer().unwrap_or(u64::MAX);
            if due > end {
                self.now = end;
                return self.see_time();
            }
            self.now = self.now.max(due);
            self.see_time();
        }
        panic!("the node's timers do not move on");
    }

    fn see_time(&mut self) {
        self.tell(NodeInput::Tick);
        if let Some(wire) = &mut self.wire {
            let outputs = wire.end.on_tick(self.now);
            self.settle(outputs.into());
        }
        if self.coordinator.loses_node(self.now) {
            let runs = self
                .running
                .values()
                .any(|process| *process != Process::Killed);
            assert!(
                !runs,
                "an attempt runs although its lease is over: {:?}",
                self.running
            );
            if let Some(wire) = &mut self.wire {
                let outputs = send_away(&mut wire.end);
                self.settle(outputs.into());
            }
        }
    }

    fn open_if_asked(&mut self) {
        if std::mem::take(&mut self.connecting) {
            let options = CoordinatorOptions {
                result_window: WINDOW,
                ..CoordinatorOptions::DEFAULTS
            };
            self.wire = Some(Wire {
                end: CoordinatorEnd::new(options, self.now),
                to_node: VecDeque::new(),
                to_coordinator: VecDeque::new(),
                closed: false,
            });
            self.tell(NodeInput::Connected);
        }
    }

    pub(super) fn reach_node(&mut self, frames: usize) {
        self.open_if_asked();
        for _ in 0..frames {
            let Some(wire) = &mut self.wire else {
                return;
            };
            match wire.to_node.pop_front() {
                Some(Frame::Text(text)) => self.tell(NodeInput::Text(text)),
                Some(Frame::Binary(bytes)) => self.tell(NodeInput::Binary(bytes)),
                None if wire.closed => self.break_connection(),
                None => return,
            }
        }
    }

    pub(super) fn reach_coordinator(&mut self, frames: usize) {
        self.open_if_asked();
        for _ in 0..frames {
            let Some(wire) = &mut self.wire else {
                return;
            };
            let Some(frame) = wire.to_coordinator.pop_front() else {
                return;
            };
            let outputs = wire.end.on_frame(self.now, frame.as_ref());
            self.settle(outputs.into());
        }
    }

    pub(super) fn begin(&mut self) {
        let next = self
            .running
            .iter_mut()
            .find(|(_, process)| **process == Process::Ordered);
        if let Some((key, process)) = next {
            let key = *key;
            *process = Process::Runs;
            self.tell(NodeInput::Started(key));
        }
    }

    fn pick(&self, which: u8) -> Option<AttemptKey> {
        let position = usize::from(which) % self.running.len().max(1);
        self.running.keys().nth(position).copied()
    }

    pub(super) fn verify(&mut self, which: u8) {
        if let Some(key) = self.pick(which)
            && self.running.get(&key) == Some(&Process::Runs)
        {
            self.tell(NodeInput::Verifying(key));
        }
    }

    pub(super) fn finish(&mut self, which: u8) {
        if let Some(key) = self.pick(which) {
            if self.running.remove(&key) != Some(Process::Killed) {
                self.wanted.insert(key);
            }
            self.tell(NodeInput::Finished(Box::new(report(key))));
        }
    }

    pub(super) fn synced(&mut self) {
        if let Some((batch, reports)) = self.writing.take() {
            for report in reports {
                let key = AttemptKey::from(&*report);
                self.disk.insert(key, (*report).clone());
            }
            self.tell(NodeInput::Spooled { batch });
        }
    }

    pub(super) fn break_connection(&mut self) {
        if self.connecting || self.wire.is_some() {
            self.connecting = false;
            self.wire = None;
            self.tell(NodeInput::Disconnected);
        }
    }

    pub(super) fn crash(&mut self) {
        self.connecting = false;
        self.wire = None;
        self.running.clear();
        self.writing = None;
        let (disk, released) = (&self.disk, &self.coordinator.released);
        self.wanted
            .retain(|key| disk.contains_key(key) || released.contains(key));
        self.processes_of_node += 1;
        let spool = self.disk.values().cloned().collect();
        self.node = new_node(
            (self.seed, self.slots),
            self.processes_of_node,
            self.link,
            spool,
        );
        self.tell(NodeInput::Tick);
    }

    pub(super) fn bounce(&mut self) {
        if let Some(wire) = &mut self.wire {
            let outputs = send_away(&mut wire.end);
            self.settle(outputs.into());
        }
    }

    /// The coordinator asks for work that was not started.
    pub(super) fn rebalance(&mut self, at_most: u8) {
        if let Some(wire) = &mut self.wire {
            let request = BalanceRequest {
                attempts: Vec::new(),
                at_most: u32::from(at_most),
            };
            let outputs = wire.end.ask_back(&request).unwrap_or_default();
            self.settle(outputs.into());
        }
    }

    pub(super) fn overload(&mut self, overloaded: bool) {
        self.tell(NodeInput::Overloaded(overloaded));
    }
}
