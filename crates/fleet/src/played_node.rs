//! One played node: a real session brain over a real socket, and attempts that end at once.

use crate::connection::{Connection, ConnectionEvent, Coordinator};
use crate::fleet::Counts;
use skep_model::attempt::{AttemptReport, Outcome, ResourceUse};
use skep_model::ids::{InstanceId, NodeId};
use skep_model::isolation::IsolationLevel;
use skep_model::limits::SLOTS_MAX;
use skep_model::node::{Hardware, NodeClass, NodeFacts};
use skep_model::requirements::Resources;
use skep_model::work::Work;
use skep_wire::payload::Assignment;
use skep_wire::{NodeEnd, NodeInput, NodeOptions, NodeOutput};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Longest wait for a timer of a brain that has none.
const IDLE_MS: u64 = 60_000;
/// What a played machine offers for each of its slots.
const SLOT_CPU_MILLIS: u64 = 1_000;
const SLOT_MEMORY_BYTES: u64 = 1 << 30;

/// A node between two inputs.
#[derive(Debug)]
pub(crate) struct PlayedNode {
    coordinator: Coordinator,
    end: NodeEnd,
    connection: Connection,
    inputs: VecDeque<NodeInput>,
    counts: Arc<Counts>,
    is_live: bool,
    /// Its clock.
    start: Instant,
}

/// Why a node wakes up.
enum Wake {
    Cut,
    Connection(ConnectionEvent),
    Timer,
}

impl PlayedNode {
    pub(crate) fn new(
        number: usize,
        slots: u32,
        coordinator: Coordinator,
        counts: Arc<Counts>,
    ) -> Self {
        let options = NodeOptions {
            node: NodeId::from_u128(Uuid::now_v7().as_u128()),
            instance: InstanceId::from_u128(Uuid::now_v7().as_u128()),
            starts: 1,
            facts: facts(number, slots),
            slots,
            jitter_seed: number as u64,
        };
        Self {
            coordinator,
            end: NodeEnd::new(options, Vec::new()),
            connection: Connection::None,
            inputs: VecDeque::new(),
            counts,
            is_live: false,
            start: Instant::now(),
        }
    }

    /// Plays until told to stop. A change of `cuts` breaks the connection.
    pub(crate) async fn play(mut self, mut cuts: watch::Receiver<u64>, stop: CancellationToken) {
        cuts.mark_unchanged();
        self.feed(NodeInput::Tick);
        while !self.end.is_over() {
            let timer =
                self.start + Duration::from_millis(self.end.next_timer().unwrap_or(IDLE_MS));
            let wake = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Ok(()) = cuts.changed() => Wake::Cut,
                event = self.connection.next() => Wake::Connection(event),
                () = sleep_until(timer) => Wake::Timer,
            };
            match wake {
                Wake::Cut => self.cut(),
                Wake::Connection(event) => self.on_connection(event),
                Wake::Timer => self.feed(NodeInput::Tick),
            }
        }
        self.note_presence(false);
    }

    fn cut(&mut self) {
        if self.connection.cut() {
            self.feed(NodeInput::Disconnected);
        }
        self.counts
            .cuts_noticed
            .send_modify(|noticed| *noticed += 1);
    }

    fn on_connection(&mut self, event: ConnectionEvent) {
        self.feed(match event {
            ConnectionEvent::Opened => NodeInput::Connected,
            ConnectionEvent::Text(text) => NodeInput::Text(text),
            ConnectionEvent::Refused(status) => {
                self.counts.refused.add(1);
                NodeInput::ConnectRefused { status }
            }
            ConnectionEvent::Lost => {
                self.counts.lost.add(1);
                NodeInput::Disconnected
            }
        });
    }

    fn feed(&mut self, input: NodeInput) {
        self.inputs.push_back(input);
        let now = self.start.elapsed().as_millis() as u64;
        while let Some(input) = self.inputs.pop_front() {
            for output in self.end.handle(now, input) {
                self.perform(output);
            }
        }
        self.note_presence(self.end.is_live());
    }

    fn note_presence(&mut self, is_live: bool) {
        if is_live != self.is_live {
            self.is_live = is_live;
            self.counts.live.send_modify(|live| {
                *live = if is_live { *live + 1 } else { *live - 1 };
            });
        }
    }

    fn perform(&mut self, output: NodeOutput) {
        match output {
            NodeOutput::Connect => {
                self.connection = Connection::opening(self.coordinator.clone());
            }
            NodeOutput::Send(frame) => {
                if !self.connection.send(frame) {
                    self.inputs.push_back(NodeInput::Disconnected);
                }
            }
            NodeOutput::Start(assignment) => {
                self.counts.attempts.add(1);
                let report = Box::new(report(&assignment));
                self.inputs.push_back(NodeInput::Finished(report));
            }
            // In memory only, and said to be on disk: what a sync costs a node is not measured.
            NodeOutput::Spool { batch, .. } => {
                self.inputs.push_back(NodeInput::Spooled { batch });
            }
            NodeOutput::CloseConnection { .. } => self.connection = Connection::None,
            NodeOutput::Freeze => self.inputs.push_back(NodeInput::Frozen),
            // Attempts end when they start, so there is nothing to kill, nothing to let go on and
            // nothing on disk; the brain is over by itself after `Exit`.
            NodeOutput::Kill { .. }
            | NodeOutput::Unspool(_)
            | NodeOutput::Welcomed(_)
            | NodeOutput::Draining(_)
            | NodeOutput::Answered { .. }
            | NodeOutput::Thaw
            | NodeOutput::Exit { .. } => {}
        }
    }
}

/// What becomes of an attempt: doing nothing is done at once, and a process is not played.
fn report(assignment: &Assignment) -> AttemptReport {
    let outcome = match assignment.work {
        Work::Noop => Outcome::Completed,
        Work::Command(_) | Work::Described(_) => Outcome::Error {
            code: "not_played".to_owned(),
            message: "a played node starts no process: submit tasks that do nothing".to_owned(),
        },
    };
    AttemptReport {
        task: assignment.task,
        fence: assignment.fence,
        outcome,
        exit_code: None,
        duration_ms: 0,
        usage: ResourceUse::default(),
        isolation: None,
        artifacts: Vec::new(),
        gates: Vec::new(),
        account: None,
    }
}

fn facts(number: usize, slots: u32) -> NodeFacts {
    let slots = slots.min(SLOTS_MAX);
    NodeFacts {
        name: format!("played-{number:05}"),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        system: "played by skep-fleet".to_owned(),
        resources: Resources {
            cpu_millis: u64::from(slots) * SLOT_CPU_MILLIS,
            memory_bytes: u64::from(slots) * SLOT_MEMORY_BYTES,
            ..Resources::NONE
        },
        slots,
        labels: BTreeMap::new(),
        capabilities: BTreeMap::new(),
        isolation: IsolationLevel::default(),
        probes: Vec::new(),
        class: NodeClass::Server,
        region: None,
        hardware: Hardware::default(),
        models: Vec::new(),
        on_disconnect: None,
    }
}
