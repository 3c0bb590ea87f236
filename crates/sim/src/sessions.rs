//! Attached agents: they ask for work or claim it, work longer than an idle one may be silent,
//! vanish, overstay, and complete late.

mod acting;
mod working;

use crate::random::Random;
use crate::world::World;
use skep_coordinator::{AskId, ProposeError, Ticket};
use skep_model::attempt::{Fence, Outcome};
use skep_model::event::{EntryEvents, Event};
use skep_model::ids::{NodeId, RunId, TaskId};
use skep_model::limits::{SESSION_OFFLINE_MS, WORKING_SILENCE_MS};
use skep_model::session::HeartbeatMode;
use skep_model::task::AttemptEnd;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Seeds with attached agents, of a thousand.
const SESSIONS_PERMILLE: u64 = 180;
/// Sets the stream of randomness apart: seeds without sessions lead through what they led through
/// before there were any.
const STREAM: u64 = 0x0073_6573_7369_6f6e;
/// Seats have ids from here on, far from those of machines.
const SEATS_FROM: u128 = 1_000;
/// Executions of sessions are told apart from those of nodes by this.
const EXECUTIONS_FROM: usize = 1_000;

/// What a session wants of the log and waits for.
#[derive(Debug, Clone)]
enum Wish {
    /// To be an agent, to be back, to be given a task, or to be rid of one: the state will say.
    Something,
    /// To begin what it was given.
    Begin(TaskId, Fence),
    /// To be rid of a result.
    Report,
}

/// What a session works on.
#[derive(Debug, Clone, Copy)]
struct Doing {
    task: TaskId,
    fence: Fence,
    until: u64,
    /// It dies before it is done.
    dies: bool,
}

/// One session.
#[derive(Debug)]
struct Actor {
    seat: NodeId,
    mode: HeartbeatMode,
    /// Only the newest plan to act counts.
    plan: u64,
    /// When a call of it reached a coordinator last.
    called_at: u64,
    away_until: u64,
    waits: Option<(Ticket, Wish)>,
    doing: Option<Doing>,
    result: Option<(TaskId, Fence, Outcome)>,
    /// What it began in its life.
    begun: BTreeSet<(TaskId, Fence)>,
    /// It works for longer than is borne: nobody can stop it.
    overstays: bool,
}

/// All sessions, and the work that was submitted for them.
#[derive(Debug)]
pub(crate) struct Sessions {
    random: Random,
    actors: Vec<Actor>,
    submitted: u64,
    submitting: BTreeMap<Ticket, String>,
    asks: u64,
    asking: BTreeMap<AskId, usize>,
}

/// Whether this is the seat of a session, not a machine.
pub(crate) const fn is_seat(node: NodeId) -> bool {
    node.as_u128() >= SEATS_FROM && node.as_u128() < 2 * SEATS_FROM
}

impl Sessions {
    /// The sessions of a seed, if it has any.
    pub(crate) fn of_seed(seed: u64) -> Option<Self> {
        let mut random = Random::new(seed ^ STREAM);
        if !random.chance(SESSIONS_PERMILLE) {
            return None;
        }
        let actors = (0..random.between(2, 4)).map(|number| Actor {
            seat: NodeId::from_u128(SEATS_FROM + u128::from(number)),
            mode: *random.pick(&[HeartbeatMode::Calls, HeartbeatMode::Background]),
            plan: 0,
            called_at: 0,
            away_until: 0,
            waits: None,
            doing: None,
            result: None,
            begun: BTreeSet::new(),
            overstays: false,
        });
        let actors = actors.collect();
        Some(Self {
            random,
            actors,
            submitted: 0,
            submitting: BTreeMap::new(),
            asks: 0,
            asking: BTreeMap::new(),
        })
    }
}

impl Actor {
    /// Silence that is borne while it works.
    const fn borne_ms(&self) -> u64 {
        match self.mode {
            HeartbeatMode::Background => SESSION_OFFLINE_MS,
            HeartbeatMode::Calls => WORKING_SILENCE_MS,
        }
    }
}

impl World {
    /// Whether the answer was for a session.
    pub(crate) fn session_answered(
        &mut self,
        ticket: Ticket,
        answer: &Result<Arc<EntryEvents>, ProposeError>,
    ) -> Result<bool, String> {
        let Some(sessions) = &mut self.sessions else {
            return Ok(false);
        };
        if let Some(key) = sessions.submitting.remove(&ticket) {
            if let Ok(entry) = answer {
                self.described_work_is_in(&key, entry)?;
            }
            return Ok(true);
        }
        let waits = |actor: &Actor| matches!(&actor.waits, Some((known, _)) if *known == ticket);
        let Some(index) = sessions.actors.iter().position(waits) else {
            return Ok(false);
        };
        let Some((_, wish)) = sessions.actors[index].waits.take() else {
            return Ok(false);
        };
        match wish {
            Wish::Begin(task, fence) if answer.is_ok() => self.begins(index, task, fence)?,
            Wish::Report if answer.is_ok() => {
                if let Some(sessions) = &mut self.sessions {
                    sessions.actors[index].result = None;
                }
            }
            Wish::Something | Wish::Begin(..) | Wish::Report => {}
        }
        self.session_acts_within(index, 1, 200);
        Ok(true)
    }

    fn described_work_is_in(&mut self, key: &str, entry: &EntryEvents) -> Result<(), String> {
        let mut run = None::<RunId>;
        let mut tasks = Vec::new();
        for event in &entry.events {
            match event {
                Event::RunSubmitted { run: made, .. } => run = Some(*made),
                Event::TaskSubmitted { task, .. } => tasks.push(*task),
                Event::Refused { reason } => {
                    return Err(format!("described work was refused: {reason}"));
                }
                _ => {}
            }
        }
        let run = run.ok_or("described work was answered without a run")?;
        self.oracle.acked(key, run, tasks)
    }

    /// Nobody will answer any more. What was not reported is reported anew; what was submitted and
    /// not answered nobody asks for again.
    pub(crate) fn sessions_lost_coordinator(&mut self) {
        if let Some(sessions) = &mut self.sessions {
            sessions.submitting.clear();
            sessions.asking.clear();
            for actor in &mut sessions.actors {
                actor.waits = None;
            }
        }
    }

    /// A request for work is over.
    pub(crate) fn session_told(&mut self, ask: AskId) {
        let index = self
            .sessions
            .as_mut()
            .and_then(|all| all.asking.remove(&ask));
        if let Some(index) = index {
            self.session_acts_within(index, 1, 2_000);
        }
    }

    /// I31: an attached agent that works and is silent no longer than is borne keeps what it has.
    pub(crate) fn sessions_keep_their_work(&self, entry: &EntryEvents) -> Result<(), String> {
        let Some(sessions) = &self.sessions else {
            return Ok(());
        };
        for event in &entry.events {
            let Event::AttemptEnded {
                task,
                node,
                ended: AttemptEnd::Lost,
                ..
            } = event
            else {
                continue;
            };
            let mut actors = sessions.actors.iter();
            let Some(actor) = actors.find(|actor| actor.seat == *node) else {
                continue;
            };
            let works = actor.doing.is_some_and(|doing| doing.task == *task);
            let silent_ms = self.now.saturating_sub(actor.called_at);
            if works && silent_ms < actor.borne_ms() {
                return Err(format!(
                    "I31: {task} was taken from {node}, which works on it and was silent for only \
                     {silent_ms} ms"
                ));
            }
        }
        Ok(())
    }

    /// Faults are over: everybody is there, and nobody takes long any more.
    pub(crate) fn sessions_heal(&mut self) {
        let now = self.now;
        let Some(sessions) = &mut self.sessions else {
            return;
        };
        for actor in &mut sessions.actors {
            actor.away_until = 0;
            if let Some(doing) = &mut actor.doing {
                doing.until = doing.until.min(now + 5_000);
            }
        }
        for index in 0..sessions.actors.len() {
            self.session_acts_within(index, 1, 5_000);
        }
    }
}
