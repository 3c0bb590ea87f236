//! How much silence of one attached agent is borne, by what it has.

use super::SessionTimers;
use skep_core::State;
use skep_model::attempt::{AttemptReport, Fence, Outcome};
use skep_model::command::{Command, HandedBack};
use skep_model::ids::{NodeId, TaskId};
use skep_model::node::{NodeRecord, NodeState};
use skep_model::planted::{PlantedBug, planted};
use skep_model::session::HeartbeatMode;
use skep_model::task::HandBack;

/// The task that an agent has, in milliseconds of the elapsed clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) task: TaskId,
    fence: Fence,
    given_at: u64,
    begun_at: Option<u64>,
    timeout_ms: Option<u64>,
}

impl Held {
    /// What the seat holds now, if anything; times are kept from what was known of the same grant.
    pub(super) fn of(state: &State, seat: NodeId, known: Option<Self>, now: u64) -> Option<Self> {
        let task = state.held_by_node(seat).next()?;
        let lease = task.lease.as_ref()?;
        let known = known.filter(|known| known.task == task.id && known.fence == lease.fence);
        let begun_at = known.and_then(|known| known.begun_at);
        Some(Self {
            task: task.id,
            fence: lease.fence,
            given_at: known.map_or(now, |known| known.given_at),
            begun_at: lease.started_at.map(|_| begun_at.unwrap_or(now)),
            timeout_ms: task.spec.work.timeout_ms(),
        })
    }

    pub(super) fn excuse(&mut self, stalled_ms: u64) {
        self.given_at += stalled_ms;
        self.begun_at = self.begun_at.map(|at| at + stalled_ms);
    }

    fn timed_out(&self, ran_ms: u64) -> AttemptReport {
        AttemptReport {
            duration_ms: ran_ms,
            ..AttemptReport::without_process(self.task, self.fence, Outcome::TimedOut)
        }
    }
}

/// What a look at a seat leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Do this.
    Act(Command),
    /// Nothing is due before this.
    At(u64),
    /// Nothing is due until something changes.
    Never,
}

/// When the times of a seat begin.
#[derive(Debug, Clone, Copy)]
pub(super) struct Since {
    /// Its last call.
    pub(super) called: u64,
    /// Nothing counts from before: the log took nothing, so that nothing could be begun or ended.
    pub(super) full_at: u64,
}

/// What is to be done about the silence of an agent. Silence, the time since it was given
/// something, and the time that it works count from when the log last took nothing at the earliest.
pub(super) fn verdict(
    timers: &SessionTimers,
    record: &NodeRecord,
    held: Option<Held>,
    since: Since,
    now: u64,
) -> Look {
    let silent_since = since.called.max(since.full_at);
    let Some(session) = &record.session else {
        return Look::Never;
    };
    match held {
        None => without_task(timers, record, silent_since, now),
        Some(held) => match held.begun_at {
            None => at_or_act(
                held.given_at.max(since.full_at) + timers.claim_ms,
                now,
                || Command::HandBackGrants {
                    node: record.id,
                    grants: vec![HandedBack {
                        task: held.task,
                        fence: held.fence,
                        reason: HandBack::NotBegun,
                    }],
                },
            ),
            Some(begun_at) => {
                let work = Working {
                    held,
                    begun_at: begun_at.max(since.full_at),
                    ran_ms: now - begun_at,
                    silent_since,
                };
                work.verdict(timers, record.id, session.heartbeat, now)
            }
        },
    }
}

fn without_task(timers: &SessionTimers, record: &NodeRecord, silent_since: u64, now: u64) -> Look {
    let seat = record.id;
    match record.state {
        NodeState::Ready | NodeState::Draining => {
            at_or_act(silent_since + timers.offline_ms, now, || {
                Command::SuspectNode(seat)
            })
        }
        NodeState::Suspect | NodeState::Lost => {
            at_or_act(silent_since + timers.forgotten_ms, now, || {
                Command::RemoveNode(seat)
            })
        }
        NodeState::Joining | NodeState::Left => Look::Never,
    }
}

/// An agent that began what it has.
struct Working {
    held: Held,
    /// From when on its timeout counts.
    begun_at: u64,
    /// How long it has worked in truth.
    ran_ms: u64,
    silent_since: u64,
}

impl Working {
    /// Whoever works is not dead because it is busy: only a heartbeat that stays out says so, or
    /// the timeout of the task, or silence that is longer than work usually is.
    fn verdict(
        &self,
        timers: &SessionTimers,
        seat: NodeId,
        heartbeat: HeartbeatMode,
        now: u64,
    ) -> Look {
        let times_out = self.held.timeout_ms.map(|ms| self.begun_at + ms);
        if times_out.is_some_and(|at| at <= now) {
            return Look::Act(Command::ReportResults {
                node: seat,
                reports: vec![self.held.timed_out(self.ran_ms)],
            });
        }
        let heartbeat = if planted(PlantedBug::BusySessionDeclaredDead) {
            HeartbeatMode::Background
        } else {
            heartbeat
        };
        let borne_ms = match heartbeat {
            HeartbeatMode::Background => Some(timers.offline_ms),
            HeartbeatMode::Calls if times_out.is_some() => None,
            HeartbeatMode::Calls => Some(timers.working_ms),
        };
        let lost_at = borne_ms.map(|ms| self.silent_since + ms);
        if lost_at.is_some_and(|at| at <= now) {
            return Look::Act(Command::LoseNode(seat));
        }
        let next = times_out.into_iter().chain(lost_at).min();
        next.map_or(Look::Never, Look::At)
    }
}

fn at_or_act(at: u64, now: u64, command: impl FnOnce() -> Command) -> Look {
    if at <= now {
        Look::Act(command())
    } else {
        Look::At(at)
    }
}
