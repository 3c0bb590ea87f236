//! `CreateTrigger`, `PauseTrigger`, `ResumeTrigger`, `DeleteTrigger` and `FireTrigger`.

use crate::apply::Step;
use crate::bounds::within;
use crate::commands::submit::Submission;
use crate::state::State;
use skep_model::event::Event;
use skep_model::ids::TriggerId;
use skep_model::limits::{TRIGGER_TASKS_MAX, TRIGGER_WATCHES_MAX, TRIGGERS_MAX};
use skep_model::planted::{PlantedBug, planted};
use skep_model::refusal::{LimitName, Refusal};
use skep_model::time::UnixMillis;
use skep_model::trigger::{
    ChangedTrigger, CreatedTrigger, DeletedTrigger, LastMatch, MatchOutcome, RefusedFiring,
    TriggerFiring, TriggerRecord, TriggerSpec, TriggeredRun,
};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

impl State {
    pub(crate) fn create_trigger(
        &mut self,
        step: &mut Step,
        trigger: TriggerId,
        spec: &TriggerSpec,
    ) -> Result<(), Refusal> {
        let limit = LimitName::TriggersMax;
        within(limit, TRIGGERS_MAX, self.triggers.len() + 1)?;
        let tasks = spec.template.tasks.len();
        within(LimitName::TriggerTasksMax, TRIGGER_TASKS_MAX, tasks)?;
        let watches = spec.watches.len();
        within(LimitName::TriggerWatchesMax, TRIGGER_WATCHES_MAX, watches)?;
        if self.triggers.is_named(&spec.name) || self.triggers.contains(trigger) {
            return Err(Refusal::NameTaken(spec.name.clone()));
        }
        step.emit(Event::TriggerCreated(CreatedTrigger {
            trigger,
            name: spec.name.clone(),
        }));
        self.triggers.insert(Box::new(TriggerRecord {
            id: trigger,
            spec: spec.clone(),
            created_at: self.now,
            created_by: step.actor,
            paused: false,
            pending: VecDeque::new(),
            live: BTreeMap::new(),
            matched: 0,
            fired: 0,
            skipped: 0,
            matched_at: None,
            minute: (UnixMillis(0), 0),
            last: None,
        }));
        self.changes.trigger(trigger);
        Ok(())
    }

    /// Pausing or resuming twice is no error, so that a repeated request is none.
    pub(crate) fn hold_trigger(
        &mut self,
        step: &mut Step,
        trigger: TriggerId,
        paused: bool,
    ) -> Result<(), Refusal> {
        if self.known_trigger(trigger)?.paused == paused {
            return Ok(());
        }
        self.triggers.edit(trigger, |record| record.paused = paused);
        self.changes.trigger(trigger);
        step.emit(Event::TriggerChanged(ChangedTrigger { trigger, paused }));
        Ok(())
    }

    pub(crate) fn delete_trigger(
        &mut self,
        step: &mut Step,
        trigger: TriggerId,
    ) -> Result<(), Refusal> {
        let unfired = self.known_trigger(trigger)?.pending.len() as u32;
        self.triggers.remove(trigger);
        self.changes.trigger(trigger);
        step.emit(Event::TriggerDeleted(DeletedTrigger { trigger, unfired }));
        Ok(())
    }

    /// The event is taken off whatever comes of it: a run that is refused is said to be, and is not
    /// tried for ever.
    pub(crate) fn fire_trigger(
        &mut self,
        step: &mut Step,
        firing: &TriggerFiring,
    ) -> Result<(), Refusal> {
        let (trigger, cause, run) = (firing.trigger, firing.cause, firing.run);
        let record = self.known_trigger(trigger)?;
        let due = record.next_firing().filter(|next| next.cause == cause);
        let occurrence = due.ok_or(Refusal::TriggerNotPending(trigger))?;
        let depth = occurrence.depth;
        let labels = occurrence.labels();
        let variables = occurrence.variables(&record.spec.name);
        let template = Arc::clone(&record.spec.template);
        let said = (&labels, &variables);
        let (spec, tasks) = template.made_telling(&firing.tasks, self.now, said);
        let spec = Arc::new(spec);
        let submission = Submission::run(run, &spec, &tasks, None);
        let refused = self.submit(step, &submission).err();
        let at = self.now;
        let is_live = self.run(run).is_some();
        self.triggers.edit(trigger, |record| {
            record.pending.pop_front();
            let outcome = if let Some(reason) = &refused {
                record.skipped += 1;
                MatchOutcome::Refused(reason.clone())
            } else {
                record.fired += 1;
                if is_live {
                    record.live.insert(run, depth);
                }
                MatchOutcome::Run { run, ended: None }
            };
            record.last = Some(LastMatch { cause, at, outcome });
        });
        if !planted(PlantedBug::TriggerFiringNotKept) {
            self.changes.trigger(trigger);
        }
        step.emit(match refused {
            None => Event::TriggerFired(TriggeredRun {
                trigger,
                cause,
                run,
            }),
            Some(reason) => Event::TriggerRefused(RefusedFiring {
                trigger,
                cause,
                reason,
            }),
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests;
