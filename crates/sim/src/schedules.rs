//! Somebody who keeps schedules: makes, pauses, resumes and deletes them, and asks for runs; and what
//! must hold of their due times.

use crate::happening::What;
use crate::random::Random;
use crate::world::World;
use skep_coordinator::View;
use skep_model::command::{Command, Idempotency};
use skep_model::event::Event;
use skep_model::ids::{RunId, ScheduleId, TaskId};
use skep_model::run::RunSpec;
use skep_model::schedule::{
    ChangedSchedule, CreatedSchedule, FiredRun, Firing, Missed, Overlap, ScheduleSpec, SkippedDue,
    Timing, WaitingDue,
};
use skep_model::task::{NewTask, TaskSpec};
use skep_model::template::Template;
use skep_model::time::UnixMillis;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Seeds in which somebody keeps schedules, of a thousand.
const SCHEDULES_PERMILLE: u64 = 180;
/// Sets the stream of randomness apart, as for those who write to shared memory.
const STREAM: u64 = 0x0073_6368_6564;
/// Schedules of one seed at a time.
const SCHEDULES: usize = 4;
/// How late a due time may be once nothing fails any more, milliseconds.
const LATE_MS_MAX: u64 = 120_000;

/// Who keeps schedules.
#[derive(Debug)]
pub(crate) struct Keeper {
    random: Random,
    made: u64,
}

impl Keeper {
    /// The keeper of a seed, if it has one.
    pub(crate) fn of_seed(seed: u64) -> Option<Self> {
        let mut random = Random::new(seed ^ STREAM);
        random
            .chance(SCHEDULES_PERMILLE)
            .then_some(Self { random, made: 0 })
    }

    fn create(&mut self, now: UnixMillis) -> Command {
        self.made += 1;
        let random = &mut self.random;
        let every_ms = random.between(5, 120) * 1_000;
        let tasks = (0..random.between(1, 3)).map(|position| NewTask {
            id: TaskId::from_u128(position.into()),
            spec: Arc::new(TaskSpec::noop(format!("t{position}"))),
            needs: position
                .checked_sub(1)
                .map(|before| TaskId::from_u128(before.into()))
                .into_iter()
                .collect(),
        });
        let tasks: Vec<NewTask> = tasks.collect();
        let spec = ScheduleSpec {
            // The oracle reads the span from the name.
            name: format!("{}-{every_ms}", self.made),
            timing: Timing::Every { every_ms },
            overlap: *random.pick(&[Overlap::Skip, Overlap::Queue, Overlap::Allow]),
            missed: *random.pick(&[Missed::Once, Missed::None]),
            template: Arc::new(Template {
                run: RunSpec {
                    name: "scheduled".to_owned(),
                    labels: BTreeMap::new(),
                    weight: 10,
                    trace_parent: None,
                    strategy: None,
                },
                ids: tasks.len() as u32,
                tasks,
            }),
        };
        Command::CreateSchedule {
            schedule: ScheduleId::from_u128(self.made.into()),
            spec: Box::new(spec),
            first: Some(now.plus(every_ms)),
        }
    }

    /// What it wants of the schedules that it sees.
    fn draw(&mut self, view: &View, now: UnixMillis) -> Option<Command> {
        let known: Vec<_> = view.state.schedules().collect();
        if known.len() < SCHEDULES && (known.is_empty() || self.random.chance(300)) {
            return Some(self.create(now));
        }
        let record = known[self.random.next() as usize % known.len()];
        let schedule = record.id;
        Some(match self.random.between(0, 9) {
            0 => Command::DeleteSchedule(schedule),
            1 => Command::PauseSchedule(schedule),
            2..=4 => Command::ResumeSchedule {
                schedule,
                next: record
                    .spec
                    .timing
                    .next_in_spans(record.next.unwrap_or(now), now),
            },
            5 => Command::FireSchedule(Box::new(self.asked(schedule, record.spec.template.ids))),
            _ => return None,
        })
    }

    fn asked(&mut self, schedule: ScheduleId, ids: u32) -> Firing {
        let mut id = || u128::from(self.random.next()) << 64 | u128::from(self.random.next());
        Firing {
            schedule,
            due: None,
            next: None,
            run: RunId::from_u128(id()),
            tasks: (0..ids).map(|_| TaskId::from_u128(id())).collect(),
            idempotency: Some(Idempotency {
                key: format!("asked-{}", id()),
                fingerprint: [0; 32],
            }),
        }
    }
}

impl World {
    /// The keeper does something.
    pub(crate) fn keeper_acts(&mut self) -> Result<(), String> {
        let Some(mut keeper) = self.keeper.take() else {
            return Ok(());
        };
        let again = self.now + keeper.random.between(1_000, 60_000);
        if !self.healing {
            self.schedule(again, What::KeeperActs);
        }
        let wanted = self.coordinator.as_ref().and_then(|coordinator| {
            let view = coordinator.engine.view();
            let view = view.read();
            keeper.draw(&view, self.wall().max(view.state.now()))
        });
        self.keeper = Some(keeper);
        let Some(command) = wanted else {
            return Ok(());
        };
        let ticket = self.ticket();
        self.propose(ticket, command)
    }
}

/// A schedule as its events tell of it.
#[derive(Debug)]
struct Known {
    every_ms: u64,
    paused: bool,
    next: Option<UnixMillis>,
    waiting: Option<UnixMillis>,
}

/// What the events say of schedules.
#[derive(Debug, Default)]
pub(crate) struct ScheduleFacts {
    schedules: BTreeMap<ScheduleId, Known>,
    /// Due times for which a run was submitted.
    submitted: BTreeSet<(ScheduleId, UnixMillis)>,
}

impl ScheduleFacts {
    /// I32: each due time is acted on once, when it is due, and submits at most one run.
    /// I33: no due time is passed over but those that passed before the one at hand was acted on.
    pub(crate) fn event(&mut self, at: UnixMillis, event: &Event) -> Result<(), String> {
        match event {
            Event::ScheduleCreated(CreatedSchedule {
                schedule,
                name,
                next,
            }) => {
                let every_ms = name.split_once('-').and_then(|(_, ms)| ms.parse().ok());
                let known = Known {
                    every_ms: every_ms.ok_or_else(|| format!("`{name}` has no span"))?,
                    paused: false,
                    next: *next,
                    waiting: None,
                };
                self.schedules.insert(*schedule, known);
                Ok(())
            }
            Event::ScheduleChanged(ChangedSchedule {
                schedule,
                paused,
                next,
            }) => {
                let known = self.known(*schedule)?;
                known.paused = *paused;
                known.next = next.or(known.next);
                Ok(())
            }
            Event::ScheduleDeleted { schedule } => {
                self.known(*schedule)?;
                self.schedules.remove(schedule);
                Ok(())
            }
            Event::ScheduleFired(FiredRun {
                schedule,
                due: Some(due),
                next,
                ..
            }) => {
                if !self.submitted.insert((*schedule, *due)) {
                    return Err(format!("I32: {due:?} of {schedule} submitted two runs"));
                }
                self.acted(*schedule, (*due, at), *next, true)
            }
            Event::ScheduleWaits(WaitingDue {
                schedule,
                due,
                next,
            }) => {
                self.acted(*schedule, (*due, at), *next, false)?;
                let waiting = self.known(*schedule)?.waiting.replace(*due);
                match waiting {
                    Some(earlier) => Err(format!("I33: {earlier:?} of {schedule} is forgotten")),
                    None => Ok(()),
                }
            }
            Event::ScheduleSkipped(SkippedDue {
                schedule,
                due,
                next,
                ..
            }) => self.acted(*schedule, (*due, at), *next, false),
            _ => Ok(()),
        }
    }

    fn known(&mut self, schedule: ScheduleId) -> Result<&mut Known, String> {
        let known = self.schedules.get_mut(&schedule);
        known.ok_or_else(|| format!("I32: {schedule} does not exist"))
    }

    fn acted(
        &mut self,
        schedule: ScheduleId,
        (due, at): (UnixMillis, UnixMillis),
        next: Option<UnixMillis>,
        may_have_waited: bool,
    ) -> Result<(), String> {
        let known = self.known(schedule)?;
        if known.paused {
            return Err(format!(
                "I32: {due:?} of {schedule} was acted on while paused"
            ));
        }
        if may_have_waited && known.waiting == Some(due) {
            known.waiting = None;
            return Ok(());
        }
        if known.next != Some(due) || due > at {
            return Err(format!(
                "I32: {due:?} of {schedule} was acted on at {at:?}, but {:?} is due",
                known.next
            ));
        }
        let passed = at.since(due) / known.every_ms;
        let expected = due.plus((passed + 1) * known.every_ms);
        known.next = next;
        if next != Some(expected) {
            return Err(format!(
                "I33: after {due:?} of {schedule} comes {next:?}, not {expected:?}"
            ));
        }
        Ok(())
    }

    /// I33, in the end: nothing that is due is left alone, and the state says what the events said.
    pub(crate) fn none_is_late(&self, view: &View) -> Result<(), String> {
        let now = view.state.now();
        for record in view.state.schedules() {
            let known = self.schedules.get(&record.id);
            let told = known.map(|known| (known.paused, known.next, known.waiting));
            let real = (record.paused, record.next, record.waiting);
            if told != Some(real) {
                return Err(format!("I32: {} is {real:?}, not {told:?}", record.id));
            }
            let late_ms = record.next_firing().map_or(0, |due| now.since(due));
            if late_ms > LATE_MS_MAX {
                return Err(format!("I33: {} is late by {late_ms} ms", record.id));
            }
        }
        Ok(())
    }
}
