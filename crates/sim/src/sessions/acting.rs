//! What sessions do next.

use super::{Actor, Sessions, Wish};
use crate::happening::What;
use crate::world::World;
use skep_coordinator::{AskId, Input, SessionSign};
use skep_model::attempt::{AttemptReport, Fence, Outcome};
use skep_model::command::{Actor as By, Command, Grant, HandedBack, Phase, Progress};
use skep_model::ids::{AgentId, InstanceId, NodeId, RunId, TaskId};
use skep_model::isolation::IsolationLevel;
use skep_model::limits::SESSION_HEARTBEAT_MS;
use skep_model::node::NodeState;
use skep_model::requirements::{Performer, Requirements};
use skep_model::run::RunSpec;
use skep_model::session::{AttachedSpec, HeartbeatMode, SessionFacts};
use skep_model::task::{Delivery, HandBack, NewTask, TaskSpec};
use skep_model::work::{DescribedWork, Work};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Looks for an answer at least this often, milliseconds.
const LOOK_MS: u64 = 5_000;
/// How long a request for work waits.
const ASK_MS: u64 = 30_000;
/// What was given and is never begun, of a thousand.
const NEVER_BEGUN_PERMILLE: u64 = 100;
/// What was given and is handed back, of a thousand.
const DECLINED_PERMILLE: u64 = 100;
/// Idle sessions that claim a task instead of asking, of a thousand.
const CLAIM_PERMILLE: u64 = 300;

/// How the log says that a session stands.
struct Standing {
    state: Option<NodeState>,
    held: Option<(TaskId, Fence, bool)>,
    /// Something that it could claim.
    ready: Option<TaskId>,
}

impl World {
    /// A session acts in so many milliseconds; what it planned before is void.
    pub(super) fn session_acts_within(&mut self, index: usize, least: u64, most: u64) {
        let Some(sessions) = &mut self.sessions else {
            return;
        };
        let at = self.now + sessions.random.between(least, most);
        let actor = &mut sessions.actors[index];
        actor.plan += 1;
        let plan = actor.plan;
        self.schedule(
            at,
            What::SessionActs {
                session: index,
                plan,
            },
        );
    }

    /// Sessions begin their lives.
    pub(crate) fn sessions_start(&mut self) {
        let count = self.sessions.as_ref().map_or(0, |all| all.actors.len());
        for index in 0..count {
            self.session_acts_within(index, 1, 5_000);
        }
        if count > 0 {
            self.schedule(self.now, What::DescribedWorkComes);
        }
    }

    /// Somebody submits tasks that are described in words.
    pub(crate) fn described_work_comes(&mut self) -> Result<(), String> {
        let ticket = self.ticket();
        let Some(sessions) = &mut self.sessions else {
            return Ok(());
        };
        let again = self.now + sessions.random.between(20_000, 240_000);
        if self.healing {
            return Ok(());
        }
        sessions.submitted += 1;
        let key = format!("described-{}", sessions.submitted);
        let tasks = sessions.draw_tasks();
        let run = RunId::from_u128(sessions.draw_id());
        if self.coordinator.is_some() {
            sessions.submitting.insert(ticket, key.clone());
        }
        self.schedule(again, What::DescribedWorkComes);
        self.oracle.asked(&tasks);
        let spec = Arc::new(RunSpec {
            name: key,
            labels: BTreeMap::new(),
            weight: 10,
            trace_parent: None,
            strategy: None,
        });
        self.propose(
            ticket,
            Command::SubmitRun {
                run,
                spec,
                tasks,
                idempotency: None,
            },
        )
    }

    /// A session does the next thing.
    pub(crate) fn session_acts(&mut self, index: usize, plan: u64) -> Result<(), String> {
        let (now, healing, is_up) = (self.now, self.healing, self.coordinator.is_some());
        let Some(sessions) = &mut self.sessions else {
            return Ok(());
        };
        let actor = &mut sessions.actors[index];
        if actor.plan != plan {
            return Ok(());
        }
        if actor.away_until > now && !healing {
            let rest = actor.away_until - now;
            self.session_acts_within(index, rest, rest);
            return Ok(());
        }
        if !is_up {
            self.session_acts_within(index, 500, 10_000);
            return Ok(());
        }
        if actor.waits.is_some() {
            self.session_acts_within(index, LOOK_MS, LOOK_MS);
            return Ok(());
        }
        if let Some(doing) = actor.doing {
            let beats = actor.mode == HeartbeatMode::Background;
            if doing.until > now {
                let rest = doing.until - now;
                let rest = if beats {
                    rest.min(SESSION_HEARTBEAT_MS)
                } else {
                    rest
                };
                self.session_acts_within(index, rest, rest);
                return if beats {
                    self.session_calls(index)
                } else {
                    Ok(())
                };
            }
            self.session_ends_work(index, doing);
            self.session_acts_within(index, 1, 200);
            return Ok(());
        }
        self.session_acts_within(index, LOOK_MS, 2 * LOOK_MS);
        self.session_calls(index)?;
        self.session_wants(index)
    }

    /// A session without work says or asks something.
    fn session_wants(&mut self, index: usize) -> Result<(), String> {
        let Some(standing) = self.standing_of(index) else {
            return Ok(());
        };
        let (now, healing) = (self.now, self.healing);
        let Some(sessions) = &mut self.sessions else {
            return Ok(());
        };
        let Sessions { actors, random, .. } = sessions;
        let actor = &mut actors[index];
        let seat = actor.seat;
        if let Some((task, fence, outcome)) = actor.result.clone() {
            return self.session_reports(index, task, fence, outcome);
        }
        match (standing.state, standing.held) {
            (None, _) => {
                let command = actor.attaches();
                self.session_proposes(index, Wish::Something, command)
            }
            (Some(NodeState::Suspect | NodeState::Lost), _) => {
                self.session_proposes(index, Wish::Something, Command::TrustNode(seat))
            }
            (Some(_), Some((task, fence, true))) => {
                if actor.begun.contains(&(task, fence)) {
                    // The process that began it died.
                    return self.session_reports(index, task, fence, Outcome::Interrupted);
                }
                self.begins(index, task, fence)
            }
            (Some(_), Some((_, _, false))) if !healing && random.chance(NEVER_BEGUN_PERMILLE) => {
                actor.away_until = now + random.between(1_000, 500_000);
                Ok(())
            }
            (Some(_), Some((task, fence, false))) => {
                let declines = random.chance(DECLINED_PERMILLE) && !healing;
                let (wish, command) = given(seat, task, fence, declines);
                self.session_proposes(index, wish, command)
            }
            (Some(_), None) => match standing.ready.filter(|_| random.chance(CLAIM_PERMILLE)) {
                Some(task) => {
                    let agent = AgentId::from_u128(seat.as_u128());
                    let command = Command::GrantLeases(vec![Grant { task, agent }]);
                    self.session_proposes(index, Wish::Something, command)
                }
                None => self.session_asks(index),
            },
        }
    }

    fn standing_of(&self, index: usize) -> Option<Standing> {
        let actor = &self.sessions.as_ref()?.actors[index];
        let view = self.coordinator.as_ref()?.engine.view();
        let view = view.read();
        let held = view.state.held_by_node(actor.seat).next();
        let lease = held.and_then(|task| Some((task.id, task.lease.as_ref()?)));
        let mut ready = view
            .state
            .ready_queues()
            .filter(|queue| queue.requirements.performer == Performer::AttachedAgent);
        let ready = ready.next().and_then(|queue| queue.tasks.first());
        Some(Standing {
            state: view.state.node(actor.seat).map(|node| node.state),
            held: lease.map(|(task, lease)| (task, lease.fence, lease.started_at.is_some())),
            ready: ready.map(|key| key.task),
        })
    }

    fn session_calls(&mut self, index: usize) -> Result<(), String> {
        let now = self.now;
        let Some(sessions) = &mut self.sessions else {
            return Ok(());
        };
        let actor = &mut sessions.actors[index];
        actor.called_at = now;
        let sign = SessionSign::Called {
            seat: actor.seat,
            at: now,
        };
        self.feed(Input::Session(sign))
    }

    fn session_asks(&mut self, index: usize) -> Result<(), String> {
        let now = self.now;
        let Some(sessions) = &mut self.sessions else {
            return Ok(());
        };
        sessions.asks += 1;
        let ask = AskId(sessions.asks);
        sessions.asking.insert(ask, index);
        let seat = sessions.actors[index].seat;
        self.session_acts_within(index, ASK_MS, ASK_MS + LOOK_MS);
        let until = now + ASK_MS;
        self.feed(Input::Session(SessionSign::Asks { seat, ask, until }))
    }

    fn session_reports(
        &mut self,
        index: usize,
        task: TaskId,
        fence: Fence,
        outcome: Outcome,
    ) -> Result<(), String> {
        let Some(sessions) = &mut self.sessions else {
            return Ok(());
        };
        let actor = &mut sessions.actors[index];
        actor.result = Some((task, fence, outcome.clone()));
        let command = Command::ReportResults {
            node: actor.seat,
            reports: vec![AttemptReport::without_process(task, fence, outcome)],
        };
        self.session_proposes(index, Wish::Report, command)
    }

    fn session_proposes(
        &mut self,
        index: usize,
        wish: Wish,
        command: Command,
    ) -> Result<(), String> {
        let ticket = self.ticket();
        if let Some(sessions) = &mut self.sessions {
            sessions.actors[index].waits = Some((ticket, wish));
        }
        self.propose(ticket, command)
    }
}

/// What a session does with a task that it was given: it begins it, or hands it back.
fn given(seat: NodeId, task: TaskId, fence: Fence, declines: bool) -> (Wish, Command) {
    if declines {
        let grants = vec![HandedBack {
            task,
            fence,
            reason: HandBack::Declined,
        }];
        return (
            Wish::Something,
            Command::HandBackGrants { node: seat, grants },
        );
    }
    let items = vec![Progress {
        task,
        fence,
        phase: Phase::Running,
    }];
    let command = Command::ReportProgress { node: seat, items };
    (Wish::Begin(task, fence), command)
}

impl Actor {
    fn attaches(&self) -> Command {
        let number = self.seat.as_u128();
        Command::AttachAgent {
            seat: self.seat,
            instance: InstanceId::from_u128(number),
            agent: AgentId::from_u128(number),
            spec: Box::new(AttachedSpec {
                name: format!("s{number}"),
                role: "session".to_owned(),
                capabilities: BTreeMap::new(),
                session: SessionFacts {
                    owner: By::Coordinator,
                    heartbeat: self.mode,
                    client: "simulated".to_owned(),
                },
            }),
        }
    }
}

impl Sessions {
    fn draw_id(&mut self) -> u128 {
        u128::from(self.random.next()) << 64 | u128::from(self.random.next())
    }

    fn draw_tasks(&mut self) -> Vec<NewTask> {
        let count = self.random.between(1, 3);
        let mut tasks: Vec<NewTask> = Vec::new();
        for number in 0..count {
            let mut spec = TaskSpec {
                work: Work::Described(Box::new(DescribedWork {
                    instructions: "look around".to_owned(),
                    expected: None,
                    inputs: Vec::new(),
                    timeout_ms: None,
                })),
                requirements: Requirements {
                    isolation: IsolationLevel::S0,
                    performer: Performer::AttachedAgent,
                    ..Requirements::default()
                },
                ..TaskSpec::noop(format!("d{number}"))
            };
            if self.random.chance(250) {
                spec.delivery = Delivery::AtMostOnce;
            }
            let needs = tasks.last().map(|task| task.id);
            let needs = needs.filter(|_| self.random.chance(250));
            tasks.push(NewTask {
                id: TaskId::from_u128(self.draw_id()),
                spec: Arc::new(spec),
                needs: needs.into_iter().collect(),
            });
        }
        tasks
    }
}
