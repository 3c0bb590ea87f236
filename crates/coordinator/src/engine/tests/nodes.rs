//! The engine with a real node's end on a real session: connections that come and go, and a disk
//! that is full meanwhile.

use super::*;
use crate::admission::Caller;
use skep_model::attempt::{AttemptReport, Outcome, ResourceUse};
use skep_model::event::Event;
use skep_model::ids::{InstanceId, NodeId};
use skep_model::isolation::IsolationLevel;
use skep_model::node::{Hardware, NodeClass, NodeFacts, NodeState};
use skep_model::requirements::Resources;
use skep_model::task::TaskState;
use skep_model::time::UnixMillis;
use skep_wire::payload::{AttemptKey, EndCode, Hello, LoadNotice};
use skep_wire::{
    CoordinatorEnd, CoordinatorOptions, CoordinatorOutput, Frame, KillReason, NodeEnd, NodeInput,
    NodeOptions, NodeOutput,
};

pub(super) const NODE: NodeId = NodeId::from_u128(9);
pub(super) const MINUTES: u64 = 60_000;

pub(super) fn facts(class: NodeClass) -> NodeFacts {
    NodeFacts {
        name: "bench".to_owned(),
        version: "test".to_owned(),
        system: "test".to_owned(),
        resources: Resources::NONE,
        slots: 1,
        labels: BTreeMap::new(),
        capabilities: BTreeMap::new(),
        isolation: IsolationLevel::S1,
        probes: Vec::new(),
        class,
        region: None,
        hardware: Hardware::default(),
        models: Vec::new(),
        on_disconnect: None,
    }
}

/// The options of this start of the node's process.
fn options(class: NodeClass, starts: u64) -> NodeOptions {
    NodeOptions {
        node: NODE,
        instance: InstanceId::from_u128(u128::from(starts)),
        starts,
        facts: facts(class),
        slots: 1,
        jitter_seed: 5,
    }
}

fn disk_full() -> JournalError {
    JournalError::DiskFull {
        detail: "test".to_owned(),
    }
}

/// What a wall clock shows after so many milliseconds.
pub(super) type WallClock = fn(u64) -> UnixMillis;

/// One coordinator and one node, on a clock that the test moves.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a condition of the play that a test sets by itself"
)]
pub(super) struct Swarm {
    pub(super) engine: Engine,
    pub(super) node: NodeEnd,
    pub(super) now: u64,
    /// The wall clock, when it is another one than that of all other tests.
    pub(super) wall: Option<WallClock>,
    disk_is_full: bool,
    pub(super) reachable: bool,
    /// The node's newest connection, and whether the node believes in it.
    pub(super) connection: u64,
    is_connected: bool,
    ends: BTreeMap<u64, CoordinatorEnd>,
    pub(super) started: Vec<AttemptKey>,
    pub(super) killed: Vec<KillReason>,
    /// How the task ended, as subscribers hear it.
    pub(super) ended: Option<TaskState>,
    /// Everything that subscribers heard.
    pub(super) events: Vec<Event>,
    /// The node's process ended.
    pub(super) is_over: bool,
    /// Its attempts stand still.
    pub(super) stands_still: bool,
    /// What the node says is kept here meanwhile, if anywhere.
    pub(super) held: Option<Vec<Frame>>,
    /// The results on the node's disk.
    spool: BTreeMap<AttemptKey, AttemptReport>,
}

impl Swarm {
    /// A swarm in which the node runs one attempt.
    pub(super) fn at_work() -> Self {
        Self::of_class(NodeClass::Server)
    }

    /// The same with a node of this class.
    pub(super) fn of_class(class: NodeClass) -> Self {
        Self::with_clock(class, None)
    }

    /// The same by this wall clock.
    pub(super) fn with_clock(class: NodeClass, wall: Option<WallClock>) -> Self {
        Self::with(facts(class), wall)
    }

    /// The same with a node that says this about itself.
    pub(super) fn of(facts: NodeFacts) -> Self {
        Self::with(facts, None)
    }

    fn with(facts: NodeFacts, wall: Option<WallClock>) -> Self {
        let options = NodeOptions {
            facts,
            ..options(NodeClass::Server, 1)
        };
        let mut swarm = Self {
            engine: engine(nothing()).unwrap(),
            node: NodeEnd::new(options, Vec::new()),
            now: 0,
            wall,
            disk_is_full: false,
            reachable: true,
            connection: 0,
            is_connected: false,
            ends: BTreeMap::new(),
            started: Vec::new(),
            killed: Vec::new(),
            ended: None,
            events: Vec::new(),
            is_over: false,
            stands_still: false,
            held: None,
            spool: BTreeMap::new(),
        };
        swarm.engine(propose(1));
        swarm.pass(1_000);
        assert_eq!(swarm.started.len(), 1);
        swarm
    }

    /// The next process of the node, with what is on its disk.
    pub(super) fn restart(&mut self) {
        let spool = self.spool.values().cloned().collect();
        self.node = NodeEnd::new(options(NodeClass::Server, 2), spool);
        self.is_over = false;
    }

    pub(super) fn pass(&mut self, ms: u64) {
        let end = self.now + ms;
        while self.now < end {
            self.now += 100;
            self.node(NodeInput::Tick);
            self.engine(Input::Tick);
            let now = self.now;
            let due: Vec<_> = self
                .ends
                .iter_mut()
                .map(|(connection, end)| (*connection, end.on_tick(now)))
                .collect();
            for (connection, outputs) in due {
                self.end_said(connection, outputs);
            }
        }
    }

    pub(super) fn engine(&mut self, input: Input) {
        let honest = at(self.now);
        let wall = self.wall.map_or(honest.wall, |wall| wall(self.now));
        for output in self.engine.handle(Now { wall, ..honest }, input) {
            match output {
                Output::Commit(commit) => {
                    let result = if self.disk_is_full {
                        Err(disk_full())
                    } else {
                        Ok(())
                    };
                    self.engine(committed(commit, result));
                }
                Output::ToNode(connection, message) => {
                    let end = self.ends.get_mut(&connection.0);
                    let outputs = end.map(|end| message.through(end)).unwrap_or_default();
                    self.end_said(connection.0, outputs);
                }
                Output::Halt(error) => panic!("{error}"),
                Output::Publish(entry) => {
                    self.events.extend(entry.events.iter().cloned());
                    let ended = entry.events.iter().find_map(|event| match event {
                        Event::TaskFinished { state, .. } => Some(*state),
                        _ => None,
                    });
                    self.ended = self.ended.or(ended);
                }
                Output::Answer(..)
                | Output::AskOver(_)
                | Output::SeatChanged(_)
                | Output::Stopped => {}
            }
        }
    }

    fn end_said(&mut self, connection: u64, outputs: Vec<CoordinatorOutput>) {
        for output in outputs {
            let is_heard = self.is_connected && connection == self.connection;
            match output {
                CoordinatorOutput::Send(frame) if is_heard => self.node(frame.into()),
                CoordinatorOutput::Send(_) => {}
                CoordinatorOutput::Event(event) => {
                    self.engine(Input::Link(ConnectionId(connection), event));
                }
                CoordinatorOutput::Close { .. } => {
                    self.link_closed(connection);
                    if is_heard {
                        self.is_connected = false;
                        self.node(NodeInput::Disconnected);
                    }
                }
            }
        }
    }

    pub(super) fn node(&mut self, input: NodeInput) {
        for output in self.node.handle(self.now, input) {
            match output {
                NodeOutput::Connect if self.reachable => {
                    self.connection += 1;
                    self.is_connected = true;
                    let end = CoordinatorEnd::new(CoordinatorOptions::default(), self.now);
                    self.ends.insert(self.connection, end);
                    self.engine(Input::LinkOpened(
                        ConnectionId(self.connection),
                        Caller::Holder,
                    ));
                    self.node(NodeInput::Connected);
                }
                NodeOutput::Connect => self.node(NodeInput::Disconnected),
                NodeOutput::Send(frame) => match &mut self.held {
                    Some(held) => held.push(frame),
                    None => self.deliver(&frame),
                },
                NodeOutput::Start(assignment) => {
                    self.started.push(assignment.key());
                    self.node(NodeInput::Started(assignment.key()));
                }
                NodeOutput::Freeze => {
                    self.stands_still = true;
                    self.node(NodeInput::Frozen);
                }
                NodeOutput::Thaw => self.stands_still = false,
                NodeOutput::Kill { reason, .. } => self.killed.push(reason),
                NodeOutput::Spool { batch, reports } => {
                    let reports = reports.into_iter().map(Arc::unwrap_or_clone);
                    self.spool
                        .extend(reports.map(|report| (AttemptKey::from(&report), report)));
                    self.node(NodeInput::Spooled { batch });
                }
                NodeOutput::Unspool(keys) => {
                    for key in keys {
                        self.spool.remove(&key);
                    }
                }
                NodeOutput::Exit { .. } => self.is_over = true,
                NodeOutput::CloseConnection { .. } => {
                    self.is_connected = false;
                    if self.held.is_none() {
                        self.link_closed(self.connection);
                    }
                }
                _ => {}
            }
        }
    }

    fn deliver(&mut self, frame: &Frame) {
        let end = self.ends.get_mut(&self.connection);
        let outputs = end.map(|end| end.on_frame(self.now, frame.as_ref()));
        self.end_said(self.connection, outputs.unwrap_or_default());
    }

    /// What the node said meanwhile arrives.
    pub(super) fn release(&mut self) {
        loop {
            let next = self.held.as_mut().filter(|held| !held.is_empty());
            let Some(frame) = next.map(|held| held.remove(0)) else {
                self.held = None;
                return;
            };
            self.deliver(&frame);
        }
    }

    /// The coordinator learns that a connection is gone.
    pub(super) fn link_closed(&mut self, connection: u64) {
        self.ends.remove(&connection);
        self.engine(Input::LinkClosed(ConnectionId(connection)));
    }

    /// The node learns that its connection is gone; the coordinator does not. Says which it was.
    pub(super) fn lose_connection(&mut self) -> u64 {
        self.is_connected = false;
        self.node(NodeInput::Disconnected);
        self.connection
    }

    pub(super) fn finish_work(&mut self) {
        self.end_work(self.started[0], Outcome::Completed);
    }

    /// The process of an attempt ends like this.
    pub(super) fn end_work(&mut self, key: AttemptKey, outcome: Outcome) {
        let exit_code = match outcome {
            Outcome::Exited { code } => Some(code),
            _ => Some(0),
        };
        let report = AttemptReport {
            task: key.task,
            fence: key.fence,
            outcome,
            exit_code,
            duration_ms: 5,
            usage: ResourceUse::default(),
            isolation: None,
            artifacts: Vec::new(),
            gates: Vec::new(),
            account: None,
        };
        self.node(NodeInput::Finished(Box::new(report)));
    }

    pub(super) fn node_state(&self) -> NodeState {
        self.engine.view().read().state.node(NODE).unwrap().state
    }
}

#[test]
fn a_node_that_loses_its_connection_while_the_disk_is_full_goes_on_working() {
    let mut swarm = Swarm::at_work();
    swarm.disk_is_full = true;
    let lost = swarm.lose_connection();
    swarm.link_closed(lost);
    swarm.pass(5 * MINUTES);
    assert_eq!(swarm.killed, []);
    assert!(!swarm.node.is_live(), "a session needs the log");
    assert_ne!(swarm.node_state(), NodeState::Lost);
    swarm.disk_is_full = false;
    swarm.pass(10_000);
    assert!(swarm.node.is_live());
    swarm.finish_work();
    swarm.pass(1_000);
    assert_eq!(swarm.ended, Some(TaskState::Succeeded));
    assert_eq!(swarm.started.len(), 1, "nothing ran twice");
}

#[test]
fn a_result_waits_at_its_node_while_the_disk_is_full_and_the_session_goes_on() {
    let mut swarm = Swarm::at_work();
    swarm.disk_is_full = true;
    swarm.finish_work();
    swarm.pass(5 * MINUTES);
    assert_eq!(swarm.connection, 1, "the first connection still stands");
    assert!(swarm.node.is_live());
    assert_eq!(swarm.ended, None);
    swarm.disk_is_full = false;
    swarm.pass(10_000);
    assert_eq!(swarm.ended, Some(TaskState::Succeeded));
}

#[test]
fn a_silent_node_is_given_up_a_whole_lease_after_the_disk_has_space_again() {
    let timers = LeaseTimers::default().server;
    let mut swarm = Swarm::at_work();
    swarm.reachable = false;
    swarm.disk_is_full = true;
    let lost = swarm.lose_connection();
    swarm.link_closed(lost);
    swarm.pass(5 * MINUTES);
    assert_eq!(swarm.killed, [KillReason::SelfFenced]);
    swarm.disk_is_full = false;
    swarm.pass(timers.lease_ms + timers.grace_ms - 5_000);
    assert_eq!(swarm.node_state(), NodeState::Suspect);
    swarm.pass(10_000);
    assert_eq!(swarm.node_state(), NodeState::Lost);
}

#[test]
fn the_late_end_of_a_replaced_connection_does_not_disconnect_the_node() {
    let mut swarm = Swarm::at_work();
    let old = swarm.lose_connection();
    swarm.pass(10_000);
    assert!(swarm.node.is_live() && swarm.connection > old);
    swarm.link_closed(old);
    swarm.pass(100);
    assert!(swarm.engine.view().read().connected.contains(&NODE));
    assert_eq!(swarm.engine.stats().links, 1);
}

pub(super) fn hello(instance: u64) -> FromNode {
    FromNode::Hello(Box::new(Hello {
        protocol: "1.0".to_owned(),
        node: NODE,
        instance: InstanceId::from_u128(u128::from(instance)),
        starts: instance,
        facts: facts(NodeClass::Server),
        resume: None,
        meta: None,
    }))
}

/// The commit that a hello on a new connection leads to.
fn commit_of_hello(engine: &mut Engine, now: Now, connection: u64, instance: u64) -> Commit {
    let id = ConnectionId(connection);
    engine.feed(now, Input::LinkOpened(id, Caller::Holder), &mut Vec::new());
    commit_of(engine.handle(now, Input::Link(id, hello(instance))))
}

/// How a hello on this connection is refused while the disk is full.
fn refused_hello(engine: &mut Engine, connection: u64, instance: u64) -> EndCode {
    let id = ConnectionId(connection);
    let now = at(connection * 2 * DISK_FULL_RETRY_MS);
    let commit = commit_of_hello(engine, now, connection, instance);
    let outputs = engine.handle(now, committed(commit, Err(disk_full())));
    let ended = outputs.into_iter().find_map(|output| match output {
        Output::ToNode(to, ToNode::End { code, .. }) if to == id => Some(code),
        _ => None,
    });
    ended.expect("the hello is refused")
}

#[test]
fn only_the_process_to_which_the_log_gives_its_work_is_told_to_keep_it() {
    let mut engine = engine(nothing()).unwrap();
    assert_eq!(refused_hello(&mut engine, 1, 1), EndCode::Shutdown, "new");
    let commit = commit_of_hello(&mut engine, at(3_000), 2, 1);
    engine.handle(at(3_000), committed(commit, Ok(())));
    assert_eq!(refused_hello(&mut engine, 3, 1), EndCode::StorageFull);
    assert_eq!(refused_hello(&mut engine, 4, 2), EndCode::Shutdown, "other");
}

#[test]
fn what_a_gone_connection_proposed_does_not_wait_for_space() {
    let mut engine = engine(nothing()).unwrap();
    let commit = commit_of_hello(&mut engine, at(1), 1, 1);
    engine.handle(at(1), Input::LinkClosed(ConnectionId(1)));
    let outputs = engine.handle(at(2), committed(commit, Err(disk_full())));
    let told = outputs
        .iter()
        .any(|output| matches!(output, Output::ToNode(..)));
    assert!(!told, "{outputs:?}");
    assert_eq!(engine.stats().proposals_waiting, 0);
    let later = engine.handle(at(5_000), Input::Tick);
    let writes = later
        .iter()
        .any(|output| matches!(output, Output::Commit(commit) if !commit.entries.is_empty()));
    assert!(!writes, "{later:?}");
}

#[test]
fn an_overloaded_node_gets_nothing_until_it_says_so_or_comes_back() {
    let mut swarm = Swarm::at_work();
    let load = |swarm: &mut Swarm, overloaded| {
        let notice = LoadNotice {
            overloaded,
            waiting: 0,
        };
        let connection = ConnectionId(swarm.connection);
        swarm.engine(Input::Link(connection, FromNode::Load(notice)));
    };
    load(&mut swarm, true);
    swarm.finish_work();
    swarm.engine(propose(2));
    swarm.pass(1_000);
    assert_eq!(swarm.ended, Some(TaskState::Succeeded));
    assert_eq!(swarm.started.len(), 1, "it wants no more");
    load(&mut swarm, false);
    swarm.pass(1_000);
    assert_eq!(swarm.started.len(), 2);
    load(&mut swarm, true);
    let lost = swarm.lose_connection();
    swarm.link_closed(lost);
    swarm.pass(10_000);
    let view = swarm.engine.view();
    assert!(
        view.read().overloaded.is_empty(),
        "a new session says it anew"
    );
}
