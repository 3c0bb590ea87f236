//! The coordinator process of the simulation: the real engine over a simulated disk and network.

use crate::faults::Trouble;
use crate::happening::What;
use crate::network::Direction;
use crate::world::World;
use skep_coordinator::ports::{Commit, Entropy, JournalError, UtcCalendar};
use skep_coordinator::{
    Caller, ConnectionId, Engine, EngineOptions, Input, LeaseTimers, Now, Output, Parts,
    TaskTokenKey, ToNode,
};
use skep_scheduler::Policy;
use skep_wire::{CoordinatorEnd, CoordinatorOptions, CoordinatorOutput, FrameRef, FromNode};
use std::collections::BTreeMap;

/// Events between two checkpoints: small, so that many seeds recover from one.
const CHECKPOINT_EVENTS: usize = 60;

/// A coordinator that runs.
#[derive(Debug)]
pub(crate) struct Coordinator {
    pub(crate) engine: Engine,
    pub(crate) generation: u64,
    ends: BTreeMap<u64, CoordinatorEnd>,
    in_flight: Option<Commit>,
    /// Results that came in and were not answered, per connection.
    unanswered: BTreeMap<u64, usize>,
    tick_at: Option<u64>,
}

#[derive(Debug)]
struct SeededEntropy {
    random: crate::random::Random,
}

impl Entropy for SeededEntropy {
    fn id(&mut self) -> u128 {
        u128::from(self.random.next()) << 64 | u128::from(self.random.next())
    }

    fn seed(&mut self) -> u64 {
        self.random.next()
    }
}

/// From how many proposals on commits overlap: always, often, and hardly ever.
const OVERLAPS_FROM: [usize; 3] = [1, 4, 64];

impl World {
    fn clock(&self) -> Now {
        Now {
            wall: self.wall(),
            elapsed_ms: self.now,
        }
    }

    /// Starts the process from what is on disk.
    pub(crate) fn start_coordinator(&mut self) -> Result<(), String> {
        let recovered = self.disk.recover()?;
        let strategy = *self.random.pick(&skep_scheduler::STRATEGIES);
        let options = EngineOptions {
            timers: LeaseTimers::default(),
            policy: Policy::default(),
            task_token_key: TaskTokenKey::new([7; 32]),
            server_version: "simulated".to_owned(),
            checkpoint_events: CHECKPOINT_EVENTS,
            overlap_from: *self.random.pick(&OVERLAPS_FROM),
        };
        let random = crate::random::Random::new(self.random.next());
        let parts = Parts {
            strategy: skep_scheduler::strategy(strategy).map_err(|error| error.to_string())?,
            entropy: Box::new(SeededEntropy { random }),
            calendar: Box::new(UtcCalendar),
        };
        let engine = Engine::recover(recovered, options, parts, self.clock())
            .map_err(|error| format!("the log does not recover: {error}"))?;
        self.coordinator_generation += 1;
        self.coordinator_started_at = self.now;
        let generation = self.coordinator_generation;
        {
            let view = engine.view();
            let view = view.read();
            view.state
                .check()
                .map_err(|violation| format!("after recovery: {violation:?}"))?;
            self.oracle.nothing_lost(&self.disk, &view)?;
        }
        let (ends, unanswered, in_flight) = (BTreeMap::new(), BTreeMap::new(), None);
        self.coordinator = Some(Coordinator {
            engine,
            generation,
            ends,
            in_flight,
            unanswered,
            tick_at: None,
        });
        self.feed(Input::Tick)
    }

    /// SIGKILL: memory is gone, a commit on its way is stored whole or not at all.
    pub(crate) fn crash_coordinator(&mut self) -> Result<(), String> {
        let Some(coordinator) = self.coordinator.take() else {
            return Ok(());
        };
        if let Some(commit) = coordinator.in_flight
            && self.random.chance(500)
        {
            self.disk.store(&commit)?;
        }
        self.note("coordinator crashed");
        let connections: Vec<_> = coordinator.ends.into_keys().collect();
        for connection in connections {
            self.break_coordinator_end(connection);
        }
        self.client_lost_coordinator();
        let back = self.now + self.random.between(100, 40_000);
        self.schedule(back, What::CoordinatorStarts);
        Ok(())
    }

    /// Gives the engine an input, performs what follows, and checks what must hold.
    pub(crate) fn feed(&mut self, input: Input) -> Result<(), String> {
        let now = self.clock();
        let Some(coordinator) = &mut self.coordinator else {
            return Ok(());
        };
        let applied = matches!(input, Input::Committed { .. });
        let has_entries =
            matches!(&input, Input::Committed { commit, .. } if !commit.entries.is_empty());
        let outputs = coordinator.engine.handle(now, input);
        // What an entry leads to comes first, unless the next commit started before it was applied.
        if has_entries && matches!(outputs.first(), Some(Output::Commit(_))) {
            self.note("commits overlapped");
        }
        for output in outputs {
            self.perform(output)?;
        }
        self.plan_tick();
        let Some(coordinator) = &self.coordinator else {
            return Ok(());
        };
        if applied {
            self.applied += 1;
            let view = coordinator.engine.view();
            let view = view.read();
            self.oracle.observe(&self.disk, &view)?;
            if self.applied.is_multiple_of(CHECK_EVERY) {
                view.state
                    .check()
                    .map_err(|violation| format!("{violation:?}"))?;
            }
        }
        Ok(())
    }

    fn plan_tick(&mut self) {
        let now = self.clock();
        let Some(coordinator) = &mut self.coordinator else {
            return;
        };
        let ends = coordinator
            .ends
            .values()
            .filter_map(CoordinatorEnd::next_timer)
            .min();
        let wake = [coordinator.engine.next_wake(now), ends]
            .into_iter()
            .flatten()
            .min();
        let Some(at) = wake.map(|at| at.max(self.now + 1)) else {
            return;
        };
        if coordinator
            .tick_at
            .is_none_or(|planned| at < planned || planned <= self.now)
        {
            coordinator.tick_at = Some(at);
            let generation = coordinator.generation;
            self.schedule(at, What::CoordinatorTick { generation });
        }
    }

    pub(crate) fn coordinator_tick(&mut self, generation: u64) -> Result<(), String> {
        let Some(coordinator) = &mut self.coordinator else {
            return Ok(());
        };
        let is_outdated = coordinator
            .tick_at
            .is_some_and(|planned| self.now < planned);
        if coordinator.generation != generation || is_outdated {
            return Ok(());
        }
        coordinator.tick_at = None;
        let now = self.now;
        let due: Vec<_> = coordinator
            .ends
            .iter_mut()
            .map(|(connection, end)| (*connection, end.on_tick(now)))
            .collect();
        for (connection, outputs) in due {
            self.end_said(connection, outputs)?;
        }
        self.feed(Input::Tick)
    }

    fn perform(&mut self, output: Output) -> Result<(), String> {
        match output {
            Output::Commit(commit) => {
                let Some(coordinator) = &mut self.coordinator else {
                    return Ok(());
                };
                coordinator.in_flight = Some(commit);
                let generation = coordinator.generation;
                let took_ms = self
                    .random
                    .between(self.faults.disk_ms.0, self.faults.disk_ms.1);
                self.schedule(
                    self.now + took_ms,
                    What::CommitDone {
                        generation,
                        took_ms,
                    },
                );
                Ok(())
            }
            Output::Answer(ticket, answer) => self.client_answered(ticket, answer),
            Output::ToNode(connection, message) => {
                let Some(coordinator) = &mut self.coordinator else {
                    return Ok(());
                };
                let Some(end) = coordinator.ends.get_mut(&connection.0) else {
                    return Ok(());
                };
                if let ToNode::Answers { answers, .. } = &message {
                    let unanswered = coordinator.unanswered.entry(connection.0).or_default();
                    *unanswered = unanswered.saturating_sub(answers.items.len());
                }
                let is_welcome = matches!(message, ToNode::Welcome(_));
                let outputs = message.through(end);
                if is_welcome {
                    self.welcomes(connection.0)?;
                }
                self.end_said(connection.0, outputs)
            }
            Output::Publish(entry) => self.sessions_keep_their_work(&entry),
            Output::AskOver(ask) => {
                self.session_told(ask);
                Ok(())
            }
            // Only connections of attached agents look at it, and those of the simulator call.
            Output::SeatChanged(_) => Ok(()),
            Output::Halt(_) | Output::Stopped => self.crash_coordinator(),
        }
    }

    pub(crate) fn commit_done(&mut self, generation: u64, took_ms: u64) -> Result<(), String> {
        let Some(coordinator) = &mut self.coordinator else {
            return Ok(());
        };
        if coordinator.generation != generation {
            return Ok(());
        }
        let Some(commit) = coordinator.in_flight.take() else {
            return Ok(());
        };
        let result = if self.now < self.disk_full_until {
            Err(JournalError::DiskFull {
                detail: "simulated".to_owned(),
            })
        } else if self.faults.bring(Trouble::DiskFails) && self.random.chance(SYNC_FAILS_PERMILLE) {
            // What a failed sync left behind is not known: here, all or nothing.
            if self.random.chance(500) {
                self.disk.store(&commit)?;
            }
            Err(JournalError::NotDurable {
                detail: "simulated".to_owned(),
            })
        } else {
            self.disk.store(&commit)?;
            Ok(())
        };
        self.feed(Input::Committed {
            commit,
            took_ms,
            result,
        })
    }

    /// A node's connection reached the coordinator.
    pub(crate) fn accept(&mut self, connection: u64, caller: Caller) -> Result<(), String> {
        let now = self.now;
        let mut options = CoordinatorOptions::DEFAULTS;
        if let Some(flow) = self.flow {
            options.result_window = flow.result_window;
        }
        let Some(coordinator) = &mut self.coordinator else {
            return Ok(());
        };
        let end = CoordinatorEnd::new(options, now);
        coordinator.ends.insert(connection, end);
        self.feed(Input::LinkOpened(ConnectionId(connection), caller))
    }

    pub(crate) fn frame_to_coordinator(
        &mut self,
        connection: u64,
        frame: FrameRef<'_>,
    ) -> Result<(), String> {
        let now = self.now;
        let Some(coordinator) = &mut self.coordinator else {
            return Ok(());
        };
        let Some(end) = coordinator.ends.get_mut(&connection) else {
            return Ok(());
        };
        let outputs = end.on_frame(now, frame);
        self.end_said(connection, outputs)
    }

    fn end_said(&mut self, connection: u64, outputs: Vec<CoordinatorOutput>) -> Result<(), String> {
        for output in outputs {
            match output {
                CoordinatorOutput::Send(frame) => {
                    self.transmit(connection, Direction::ToNode, &frame);
                }
                CoordinatorOutput::Event(event) => {
                    if let FromNode::Results { reports, .. } = &event {
                        self.takes_within_window(connection, reports.len())?;
                    }
                    self.feed(Input::Link(ConnectionId(connection), event))?;
                }
                CoordinatorOutput::Close { .. } => self.coordinator_closes(connection)?,
            }
        }
        Ok(())
    }

    /// I24: with credits, no more results are taken on than the window holds.
    fn takes_within_window(&mut self, connection: u64, reports: usize) -> Result<(), String> {
        let Some(coordinator) = &mut self.coordinator else {
            return Ok(());
        };
        let unanswered = coordinator.unanswered.entry(connection).or_default();
        *unanswered += reports;
        match self.flow.filter(|_| self.every_frame_arrives) {
            Some(flow) if *unanswered as u64 > flow.result_window.items => Err(format!(
                "I24: {unanswered} results are unanswered, more than the window of {}",
                flow.result_window.items
            )),
            _ => Ok(()),
        }
    }

    fn coordinator_closes(&mut self, connection: u64) -> Result<(), String> {
        if let Some(coordinator) = &mut self.coordinator {
            coordinator.ends.remove(&connection);
        }
        self.close_coordinator_end(connection);
        self.feed(Input::LinkClosed(ConnectionId(connection)))
    }

    /// The coordinator learned that the node's side is gone.
    pub(crate) fn coordinator_end_lost(&mut self, connection: u64) -> Result<(), String> {
        let Some(open) = self.network.connections.get_mut(&connection) else {
            return Ok(());
        };
        if !std::mem::replace(&mut open.coordinator_end_open, false) {
            return Ok(());
        }
        if let Some(coordinator) = &mut self.coordinator {
            coordinator.ends.remove(&connection);
        }
        self.feed(Input::LinkClosed(ConnectionId(connection)))
    }
}

/// Commits between two full checks of the core's invariants.
const CHECK_EVERY: u64 = 8;
/// Commits whose sync fails, of a thousand, on disks that fail.
const SYNC_FAILS_PERMILLE: u64 = 3;
