//! One agent, one connection at a time, and a coordinator of one seat.

use crate::agent_end::{AgentEnd, AgentInput, AgentOptions, AgentOutput};
use crate::agent_host::{AgentAsk, AgentHost, AgentHostOptions, AgentHostOutput};
use crate::fault::Fault;
use crate::fixtures::{agent_task, agent_welcome, key};
use crate::payload::{AgentAnswer, AgentEnded, AgentOutcome, AgentRequest, AgentTask, AttemptKey};
use serde_json::{Map, Value};
use skep_model::task::TaskState;
use std::collections::{BTreeMap, VecDeque};

/// How the agent's work ends.
#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    Well,
    Badly,
    Back,
}

/// A task in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stand {
    Ready,
    Held { fence: u64, begun: bool },
    Done { fence: u64 },
}

/// The connection, with what is under way.
struct Wire {
    host: AgentHost,
    to_agent: VecDeque<String>,
    to_host: VecDeque<String>,
    asks: VecDeque<AgentAsk>,
}

pub(super) struct World {
    now: u64,
    agent: AgentEnd,
    wire: Option<Wire>,
    /// The agent asked for a connection.
    connects: bool,
    /// The log: survives everything.
    tasks: BTreeMap<u64, Stand>,
    next_fence: u64,
    /// What the agent works on by its own account.
    work: Option<AttemptKey>,
    reported_well: usize,
}

fn attempt(task: u64, fence: u64) -> AttemptKey {
    key(u128::from(task), fence)
}

impl World {
    pub(super) fn new() -> Self {
        let mut world = Self {
            now: 0,
            agent: AgentEnd::new(AgentOptions {
                session: Map::new(),
                jitter_seed: 7,
            }),
            wire: None,
            connects: false,
            tasks: BTreeMap::new(),
            next_fence: 1,
            work: None,
            reported_well: 0,
        };
        world.tell_agent(AgentInput::Tick);
        world
    }

    pub(super) fn reported_well(&self) -> usize {
        self.reported_well
    }

    pub(super) fn submit(&mut self) {
        let task = self.tasks.len() as u64 + 1;
        self.tasks.insert(task, Stand::Ready);
    }

    fn held(&self) -> Option<AgentTask> {
        self.tasks.iter().find_map(|(task, stand)| match stand {
            Stand::Held { fence, begun } => Some(AgentTask {
                begun: *begun,
                ..agent_task(attempt(*task, *fence))
            }),
            _ => None,
        })
    }

    fn tell_agent(&mut self, input: AgentInput) {
        for output in self.agent.handle(self.now, input) {
            match output {
                AgentOutput::Connect => self.connects = true,
                AgentOutput::Send(text) => {
                    if let Some(wire) = &mut self.wire {
                        wire.to_host.push_back(text);
                    }
                }
                AgentOutput::Disconnect(_) => self.wire = None,
                AgentOutput::Welcomed(..) => {}
                AgentOutput::Work(task) => {
                    assert_eq!(self.work, None, "a second task at a time");
                    self.work = Some(task.key());
                }
                AgentOutput::Drop(key) => {
                    assert_eq!(self.work.take(), Some(key), "it did not have that");
                }
                AgentOutput::Ended(key, answer) => {
                    assert_eq!(self.work.take(), Some(key), "it did not have that");
                    let is_well = |ended: &AgentEnded| ended.state == TaskState::Succeeded;
                    if answer.as_ref().is_ok_and(is_well) {
                        assert!(self.is_done_by(key), "a success that the log does not have");
                        self.reported_well += 1;
                    }
                }
                AgentOutput::Exit(exit) => panic!("{exit:?}"),
            }
        }
    }

    fn is_done_by(&self, key: AttemptKey) -> bool {
        self.tasks.iter().any(|(task, stand)| match stand {
            Stand::Done { fence } => attempt(*task, *fence) == key,
            _ => false,
        })
    }

    fn perform(&mut self, outputs: Vec<AgentHostOutput>) {
        for output in outputs {
            let Some(wire) = &mut self.wire else { return };
            match output {
                AgentHostOutput::Send(text) => wire.to_agent.push_back(text),
                AgentHostOutput::Asks(ask) => wire.asks.push_back(ask),
                AgentHostOutput::Hello(_) => {
                    let welcome = agent_welcome(self.held());
                    let Some(wire) = &mut self.wire else { return };
                    let outputs = wire.host.reply_hello(&welcome);
                    self.perform(outputs);
                }
                AgentHostOutput::Close { .. } => self.cut(),
            }
        }
    }

    /// Compares what the agent was told with what the seat holds.
    fn look(&mut self) {
        let held = self.held().map(Box::new);
        if let Some(wire) = &mut self.wire {
            let outputs = wire.host.holds(held);
            self.perform(outputs);
        }
    }

    pub(super) fn pass(&mut self, ms: u64) {
        self.now += ms;
        if let Some(wire) = &mut self.wire {
            let outputs = wire.host.on_tick(self.now);
            self.perform(outputs);
        }
        self.tell_agent(AgentInput::Tick);
        if self.connects && self.wire.is_none() {
            self.connects = false;
            self.wire = Some(Wire {
                host: AgentHost::new(AgentHostOptions::DEFAULTS, self.now),
                to_agent: VecDeque::new(),
                to_host: VecDeque::new(),
                asks: VecDeque::new(),
            });
            self.tell_agent(AgentInput::Connected);
        }
    }

    pub(super) fn reach_agent(&mut self, frames: usize) {
        for _ in 0..frames {
            let next = self
                .wire
                .as_mut()
                .and_then(|wire| wire.to_agent.pop_front());
            let Some(text) = next else { return };
            self.tell_agent(AgentInput::Text(text));
        }
    }

    pub(super) fn reach_host(&mut self, frames: usize) {
        for _ in 0..frames {
            let Some(wire) = &mut self.wire else { return };
            let Some(text) = wire.to_host.pop_front() else {
                return;
            };
            let outputs = wire.host.on_text(self.now, &text);
            self.perform(outputs);
        }
    }

    pub(super) fn serve(&mut self) {
        let next = self.wire.as_mut().and_then(|wire| wire.asks.pop_front());
        let Some(ask) = next else { return };
        let answer = self.carry_out(&ask.request);
        if let Some(wire) = &mut self.wire {
            let outputs = match answer {
                Ok(answer) => wire.host.reply(&ask, &answer),
                Err(fault) => wire.host.refuse(&ask, &fault),
            };
            self.perform(outputs);
        }
        self.look();
    }

    /// As the operations of sessions do it.
    fn carry_out(&mut self, request: &AgentRequest) -> Result<AgentAnswer, Fault> {
        match request {
            AgentRequest::Begin(key) => self.begin(*key),
            AgentRequest::Note(note) => self.begin(AttemptKey::new(note.task, note.fence)),
            AgentRequest::Decline(key) => self.end(*key, &AgentOutcome::HandedBack),
            AgentRequest::End(result) => self.end(result.key(), &result.outcome),
            AgentRequest::Beat(_) => Ok(AgentAnswer::Said(Value::Null)),
            other => panic!("the agent does not ask this: {other:?}"),
        }
    }

    fn stand(&mut self, wanted: AttemptKey) -> Option<&mut Stand> {
        let found = self.tasks.iter_mut().find(|(task, stand)| match stand {
            Stand::Held { fence, .. } | Stand::Done { fence } => attempt(**task, *fence) == wanted,
            Stand::Ready => false,
        });
        found.map(|(_, stand)| stand)
    }

    fn begin(&mut self, key: AttemptKey) -> Result<AgentAnswer, Fault> {
        match self.stand(key) {
            Some(Stand::Held { begun, .. }) => {
                *begun = true;
                Ok(AgentAnswer::Said(Value::Null))
            }
            _ => Err(Fault::refusal("fence_stale", "it is not held")),
        }
    }

    fn end(&mut self, key: AttemptKey, outcome: &AgentOutcome) -> Result<AgentAnswer, Fault> {
        let is_well = matches!(outcome, AgentOutcome::Completed { .. });
        let stale = || Fault::refusal("fence_stale", "it is not held");
        let stand = self.stand(key).ok_or_else(stale)?;
        let repeated = match *stand {
            Stand::Held { fence, .. } if is_well => {
                *stand = Stand::Done { fence };
                false
            }
            Stand::Held { .. } => {
                *stand = Stand::Ready;
                false
            }
            Stand::Done { .. } if is_well => true,
            _ => return Err(stale()),
        };
        let state = if is_well {
            TaskState::Succeeded
        } else {
            TaskState::Ready
        };
        Ok(AgentAnswer::Ended(AgentEnded {
            task: key.task,
            state,
            repeated,
        }))
    }

    pub(super) fn grant(&mut self) {
        let now = self.now;
        let asks = |wire: &Wire| wire.host.asks_for_work(now);
        if !self.wire.as_ref().is_some_and(asks) || self.held().is_some() {
            return self.look();
        }
        let ready = self
            .tasks
            .values_mut()
            .find(|stand| **stand == Stand::Ready);
        if let Some(stand) = ready {
            *stand = Stand::Held {
                fence: self.next_fence,
                begun: false,
            };
            self.next_fence += 1;
        }
        self.look();
    }

    pub(super) fn finish(&mut self, end: End) {
        let Some(key) = self.work else { return };
        let outcome = match end {
            End::Well => AgentOutcome::Completed {
                result: None,
                commit: None,
                artifacts: Vec::new(),
            },
            End::Badly => AgentOutcome::Failed {
                reason: "it did not work".to_owned(),
            },
            End::Back => AgentOutcome::HandedBack,
        };
        self.tell_agent(AgentInput::Finish(key, outcome));
    }

    pub(super) fn note(&mut self) {
        if let Some(key) = self.work {
            self.tell_agent(AgentInput::Note(key, "half of it".to_owned()));
        }
    }

    pub(super) fn take_back(&mut self) {
        for stand in self.tasks.values_mut() {
            if matches!(stand, Stand::Held { .. }) {
                *stand = Stand::Ready;
            }
        }
        self.look();
    }

    pub(super) fn cut(&mut self) {
        if self.wire.take().is_some() {
            self.tell_agent(AgentInput::Disconnected);
        }
    }

    /// Requests that it began to carry out are in the log; their answers are lost.
    pub(super) fn restart(&mut self) {
        let asks = self
            .wire
            .as_mut()
            .map(|wire| std::mem::take(&mut wire.asks));
        for ask in asks.into_iter().flatten().take(1) {
            let lost = self.carry_out(&ask.request);
            drop(lost);
        }
        self.cut();
    }

    pub(super) fn check(&self) {
        let held = self
            .tasks
            .values()
            .filter(|stand| matches!(stand, Stand::Held { .. }));
        assert!(held.count() <= 1, "two tasks on one seat");
        let has = self.agent.has().map(|(key, _)| key);
        assert_eq!(has, self.work, "the end and its shell disagree");
    }

    /// From here on everything works. The agent does whatever it has.
    pub(super) fn heal(&mut self) {
        const ROUNDS_MAX: usize = 4_000;
        for _ in 0..ROUNDS_MAX {
            self.pass(500);
            self.reach_host(usize::MAX);
            self.serve();
            self.grant();
            self.reach_agent(usize::MAX);
            if self.work.is_some() && self.agent.is_live() {
                self.finish(End::Well);
            }
            self.check();
            let is_done = |stand: &Stand| matches!(stand, Stand::Done { .. });
            if self.tasks.values().all(is_done) && self.work.is_none() {
                return;
            }
        }
        panic!("not settled: {:?} {:?}", self.tasks, self.agent);
    }
}
