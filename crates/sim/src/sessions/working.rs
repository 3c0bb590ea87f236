//! Sessions at work: how long it takes, and how it ends.

use super::{Doing, EXECUTIONS_FROM};
use crate::oracle::Execution;
use crate::world::World;
use skep_model::attempt::{Fence, Outcome};
use skep_model::ids::TaskId;
use skep_model::limits::WORKING_SILENCE_MS;
use skep_model::session::HeartbeatMode;

/// Sessions that work for longer than is borne, of a thousand.
const OVERSTAY_PERMILLE: u64 = 100;
/// Sessions that die while they work, of a thousand.
const DEATH_PERMILLE: u64 = 150;
/// Work that fails, of a thousand.
const FAILURE_PERMILLE: u64 = 100;
/// Longest work that is no overstaying: well over the time after which an idle session is offline.
const LONG_MS: u64 = 1_200_000;

impl World {
    /// A session works from now on, if what it was given is still its own.
    pub(super) fn begins(
        &mut self,
        index: usize,
        task: TaskId,
        fence: Fence,
    ) -> Result<(), String> {
        let healing = self.healing;
        let (Some(sessions), Some(coordinator)) = (&mut self.sessions, &self.coordinator) else {
            return Ok(());
        };
        let actor = &mut sessions.actors[index];
        let is_own = {
            let view = coordinator.engine.view();
            let view = view.read();
            let lease = view.state.task(task).and_then(|task| task.lease.as_ref());
            lease.is_some_and(|lease| lease.node == actor.seat && lease.fence == fence)
        };
        if !is_own || !actor.begun.insert((task, fence)) {
            return Ok(());
        }
        let random = &mut sessions.random;
        let longest = *random.pick(&[2_000, 60_000, LONG_MS]);
        let mut lasts = random.between(1, longest);
        let overstays = actor.mode == HeartbeatMode::Calls && random.chance(OVERSTAY_PERMILLE);
        if overstays {
            lasts = WORKING_SILENCE_MS + random.between(1, LONG_MS);
        }
        if healing {
            lasts = lasts.min(5_000);
        }
        actor.overstays = overstays && !healing;
        actor.doing = Some(Doing {
            task,
            fence,
            until: self.now + lasts,
            dies: !healing && random.chance(DEATH_PERMILLE),
        });
        let overstaying: Vec<bool> = sessions
            .actors
            .iter()
            .map(|actor| actor.overstays)
            .collect();
        let may_overlap = |node: usize| overstaying[node - EXECUTIONS_FROM];
        let execution = Execution {
            node: EXECUTIONS_FROM + index,
            fence,
        };
        self.note("session began work");
        self.oracle.starts(task, execution, may_overlap)?;
        self.session_acts_within(index, 1, 1);
        Ok(())
    }

    /// A session is done, or dead.
    pub(super) fn session_ends_work(&mut self, index: usize, doing: Doing) {
        let now = self.now;
        let Some(sessions) = &mut self.sessions else {
            return;
        };
        let actor = &mut sessions.actors[index];
        let late = actor.overstays;
        actor.doing = None;
        actor.overstays = false;
        let Doing { task, fence, .. } = doing;
        let random = &mut sessions.random;
        let note = if doing.dies {
            actor.away_until = now + random.between(1_000, 3_600_000);
            "session died at work"
        } else {
            let outcome = if random.chance(FAILURE_PERMILLE) {
                Outcome::Error {
                    code: "agent_failed".to_owned(),
                    message: String::new(),
                }
            } else {
                self.oracle.completes(task, fence);
                Outcome::Completed
            };
            actor.result = Some((task, fence, outcome));
            if late {
                "session overstayed"
            } else {
                "session ended work"
            }
        };
        let execution = Execution {
            node: EXECUTIONS_FROM + index,
            fence,
        };
        self.oracle.stops(task, execution);
        self.note(note);
    }
}
