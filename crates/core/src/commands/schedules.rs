//! `CreateSchedule`, `PauseSchedule`, `ResumeSchedule`, `DeleteSchedule` and `FireSchedule`.

use crate::apply::Step;
use crate::bounds::within;
use crate::commands::submit::Submission;
use crate::state::State;
use skep_model::event::Event;
use skep_model::ids::ScheduleId;
use skep_model::limits::{
    SCHEDULE_GRACE_MS, SCHEDULE_RUNS_LIVE_MAX, SCHEDULE_TASKS_MAX, SCHEDULES_MAX,
};
use skep_model::planted::{PlantedBug, planted};
use skep_model::refusal::{LimitName, Refusal};
use skep_model::schedule::{
    ChangedSchedule, CreatedSchedule, FiredRun, Firing, FiringOutcome, LastFiring, Missed, Overlap,
    ScheduleRecord, ScheduleSpec, SkipReason, SkippedDue, WaitingDue,
};
use skep_model::time::UnixMillis;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What is to become of a due time.
enum Verdict {
    Begin,
    Wait,
    Skip(SkipReason),
}

impl State {
    pub(crate) fn create_schedule(
        &mut self,
        step: &mut Step,
        schedule: ScheduleId,
        spec: &ScheduleSpec,
        first: Option<UnixMillis>,
    ) -> Result<(), Refusal> {
        let limit = LimitName::SchedulesMax;
        within(limit, SCHEDULES_MAX, self.schedules.len() + 1)?;
        let tasks = spec.template.tasks.len();
        within(LimitName::ScheduleTasksMax, SCHEDULE_TASKS_MAX, tasks)?;
        if self.schedules.is_named(&spec.name) || self.schedules.contains(schedule) {
            return Err(Refusal::NameTaken(spec.name.clone()));
        }
        step.emit(Event::ScheduleCreated(CreatedSchedule {
            schedule,
            name: spec.name.clone(),
            next: first,
        }));
        self.keep_schedule(ScheduleRecord {
            id: schedule,
            spec: spec.clone(),
            created_at: self.now,
            created_by: step.actor,
            paused: false,
            next: first,
            waiting: None,
            live: BTreeSet::new(),
            fired: 0,
            skipped: 0,
            last: None,
        });
        Ok(())
    }

    /// Pausing twice is no error, so that a repeated request is none.
    pub(crate) fn pause_schedule(
        &mut self,
        step: &mut Step,
        schedule: ScheduleId,
    ) -> Result<(), Refusal> {
        let mut record = self.known_schedule(schedule)?.clone();
        if record.paused {
            return Ok(());
        }
        record.paused = true;
        step.emit(changed(&record));
        self.keep_schedule(record);
        Ok(())
    }

    /// A schedule that is not paused keeps its due time: a repeated request must not leave one out.
    pub(crate) fn resume_schedule(
        &mut self,
        step: &mut Step,
        schedule: ScheduleId,
        next: Option<UnixMillis>,
    ) -> Result<(), Refusal> {
        let mut record = self.known_schedule(schedule)?.clone();
        if !record.paused {
            return Ok(());
        }
        record.paused = false;
        record.next = next;
        step.emit(changed(&record));
        self.keep_schedule(record);
        Ok(())
    }

    pub(crate) fn delete_schedule(
        &mut self,
        step: &mut Step,
        schedule: ScheduleId,
    ) -> Result<(), Refusal> {
        self.known_schedule(schedule)?;
        self.schedules.remove(schedule);
        self.changes.schedule(schedule);
        step.emit(Event::ScheduleDeleted { schedule });
        Ok(())
    }

    pub(crate) fn fire_schedule(
        &mut self,
        step: &mut Step,
        firing: &Firing,
    ) -> Result<(), Refusal> {
        let mut record = self.known_schedule(firing.schedule)?.clone();
        let Some(due) = firing.due else {
            return self.fire_at_once(step, firing, record);
        };
        if record.paused || due > self.now || record.next_firing() != Some(due) {
            return Err(Refusal::ScheduleNotDue(firing.schedule));
        }
        let verdict = if record.waiting == Some(due) {
            record.waiting = None;
            Verdict::Begin
        } else {
            record.next = firing.next.filter(|next| *next > due);
            judge(&record, due, self.now)
        };
        match verdict {
            Verdict::Begin => match self.begin_run(step, firing, &mut record) {
                Ok(()) => {}
                Err(reason) => skip(
                    step,
                    &mut record,
                    (due, self.now),
                    SkipReason::Refused(reason),
                ),
            },
            Verdict::Wait => {
                record.waiting = Some(due);
                record.last = Some(LastFiring {
                    due: Some(due),
                    at: self.now,
                    outcome: FiringOutcome::Waits,
                });
                step.emit(Event::ScheduleWaits(WaitingDue {
                    schedule: record.id,
                    due,
                    next: record.next,
                }));
            }
            Verdict::Skip(reason) => skip(step, &mut record, (due, self.now), reason),
        }
        if planted(PlantedBug::ScheduleFiringNotKept) {
            self.schedules.set(record);
        } else {
            self.keep_schedule(record);
        }
        Ok(())
    }

    /// Somebody asked for a run: it begins whatever else is live, or is refused.
    fn fire_at_once(
        &mut self,
        step: &mut Step,
        firing: &Firing,
        mut record: ScheduleRecord,
    ) -> Result<(), Refusal> {
        let limit = LimitName::ScheduleRunsLiveMax;
        let key = firing
            .idempotency
            .as_ref()
            .map(|request| request.key.as_str());
        if !key.is_some_and(|key| self.remembers(key)) {
            within(limit, SCHEDULE_RUNS_LIVE_MAX, record.live.len() + 1)?;
        }
        self.begin_run(step, firing, &mut record)?;
        self.keep_schedule(record);
        Ok(())
    }

    /// Submits a run; an error means that nothing was changed.
    fn begin_run(
        &mut self,
        step: &mut Step,
        firing: &Firing,
        record: &mut ScheduleRecord,
    ) -> Result<(), Refusal> {
        let (spec, tasks) = record.spec.template.made_with(&firing.tasks, self.now);
        let spec = Arc::new(spec);
        let idempotency = firing.idempotency.as_ref();
        let submission = Submission::run(firing.run, &spec, &tasks, idempotency);
        self.submit(step, &submission)?;
        if self.run(firing.run).is_none() {
            // The request is a repetition: its answer was given again.
            return Ok(());
        }
        record.live.insert(firing.run);
        record.fired += 1;
        record.last = Some(LastFiring {
            due: firing.due,
            at: self.now,
            outcome: FiringOutcome::Run {
                run: firing.run,
                ended: None,
            },
        });
        step.emit(Event::ScheduleFired(FiredRun {
            schedule: record.id,
            due: firing.due,
            run: firing.run,
            next: record.next,
        }));
        Ok(())
    }

    fn keep_schedule(&mut self, record: ScheduleRecord) {
        self.changes.schedule(record.id);
        self.schedules.set(record);
    }
}

fn changed(record: &ScheduleRecord) -> Event {
    Event::ScheduleChanged(ChangedSchedule {
        schedule: record.id,
        paused: record.paused,
        next: record.next.filter(|_| !record.paused),
    })
}

fn judge(record: &ScheduleRecord, due: UnixMillis, now: UnixMillis) -> Verdict {
    if record.spec.missed == Missed::None && now.since(due) > SCHEDULE_GRACE_MS {
        return Verdict::Skip(SkipReason::Missed);
    }
    match record.spec.overlap {
        _ if record.live.is_empty() => Verdict::Begin,
        Overlap::Skip => Verdict::Skip(SkipReason::StillRunning),
        Overlap::Queue if record.waiting.is_some() => Verdict::Skip(SkipReason::AlreadyWaiting),
        Overlap::Queue => Verdict::Wait,
        Overlap::Allow if record.live.len() < SCHEDULE_RUNS_LIVE_MAX => Verdict::Begin,
        Overlap::Allow => Verdict::Skip(SkipReason::TooManyLive),
    }
}

fn skip(
    step: &mut Step,
    record: &mut ScheduleRecord,
    (due, now): (UnixMillis, UnixMillis),
    reason: SkipReason,
) {
    record.skipped += 1;
    record.last = Some(LastFiring {
        due: Some(due),
        at: now,
        outcome: FiringOutcome::Skipped(reason.clone()),
    });
    step.emit(Event::ScheduleSkipped(SkippedDue {
        schedule: record.id,
        due,
        reason,
        next: record.next,
    }));
}

#[cfg(test)]
mod tests;
