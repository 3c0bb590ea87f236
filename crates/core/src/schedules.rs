//! Schedules as the state keeps them: the records, and the indexes over them.

use crate::changes::Changes;
use crate::invariants::same;
use crate::restore::{RestoreError, once};
use crate::state::State;
use skep_model::ids::{RunId, ScheduleId};
use skep_model::refusal::Refusal;
use skep_model::run::RunState;
use skep_model::schedule::{FiringOutcome, ScheduleRecord};
use skep_model::time::UnixMillis;
use std::collections::{BTreeMap, BTreeSet};

/// All schedules.
#[derive(Debug, Clone, Default)]
pub(crate) struct Schedules {
    /// Boxed: tree nodes are moved on inserts.
    records: BTreeMap<ScheduleId, Box<ScheduleRecord>>,
    names: BTreeMap<String, ScheduleId>,
    /// The due times that are to be acted on next.
    due: BTreeSet<(UnixMillis, ScheduleId)>,
    /// Live runs, and whose they are.
    runs: BTreeMap<RunId, ScheduleId>,
}

impl Schedules {
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    pub(crate) fn is_named(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    pub(crate) fn contains(&self, schedule: ScheduleId) -> bool {
        self.records.contains_key(&schedule)
    }

    /// Without the indexes, to damage it.
    #[cfg(test)]
    pub(crate) fn record_mut(&mut self, schedule: ScheduleId) -> Option<&mut ScheduleRecord> {
        self.records.get_mut(&schedule).map(Box::as_mut)
    }

    /// Puts a schedule in the place of the one with its id.
    pub(crate) fn set(&mut self, record: ScheduleRecord) {
        let id = record.id;
        self.remove(id);
        self.names.insert(record.spec.name.clone(), id);
        self.due.extend(record.next_firing().map(|at| (at, id)));
        self.runs.extend(record.live.iter().map(|run| (*run, id)));
        self.records.insert(id, Box::new(record));
    }

    /// Takes a schedule out.
    pub(crate) fn remove(&mut self, schedule: ScheduleId) -> Option<Box<ScheduleRecord>> {
        let record = self.records.remove(&schedule)?;
        self.names.remove(&record.spec.name);
        if let Some(at) = record.next_firing() {
            self.due.remove(&(at, schedule));
        }
        for run in &record.live {
            self.runs.remove(run);
        }
        Some(record)
    }

    /// To be called when a run becomes final.
    pub(crate) fn run_ended(&mut self, run: RunId, state: RunState, changes: &mut Changes) {
        let Some(schedule) = self.runs.get(&run).copied() else {
            return;
        };
        let Some(mut record) = self.remove(schedule) else {
            return;
        };
        changes.schedule(record.id);
        record.live.remove(&run);
        if let Some(last) = &mut record.last
            && let FiringOutcome::Run { run: newest, ended } = &mut last.outcome
            && *newest == run
        {
            *ended = Some(state);
        }
        self.set(*record);
    }
}

impl State {
    /// A schedule.
    pub fn schedule(&self, schedule: ScheduleId) -> Option<&ScheduleRecord> {
        self.schedules.records.get(&schedule).map(Box::as_ref)
    }

    /// The schedule of this name.
    pub fn schedule_named(&self, name: &str) -> Option<&ScheduleRecord> {
        self.schedule(*self.schedules.names.get(name)?)
    }

    /// All schedules, by id.
    pub fn schedules(&self) -> impl Iterator<Item = &ScheduleRecord> {
        self.schedules.records.values().map(Box::as_ref)
    }

    /// The due times that are to be acted on next, one of each schedule, the earliest first; they
    /// may be in the past.
    pub fn due_schedules(&self) -> impl Iterator<Item = (UnixMillis, &ScheduleRecord)> {
        let due = self.schedules.due.iter();
        due.filter_map(|(at, id)| Some((*at, self.schedule(*id)?)))
    }

    pub(crate) fn known_schedule(&self, schedule: ScheduleId) -> Result<&ScheduleRecord, Refusal> {
        self.schedule(schedule)
            .ok_or(Refusal::ScheduleUnknown(schedule))
    }

    pub(crate) fn restore_schedule(&mut self, record: ScheduleRecord) -> Result<(), RestoreError> {
        let schedule = record.id;
        once(self.schedules.contains(schedule), &schedule)?;
        if self.schedules.is_named(&record.spec.name) {
            return Err(RestoreError::Shared(schedule.to_string()));
        }
        let lost = record.live.iter().find(|run| self.run(**run).is_none());
        if let Some(run) = lost {
            let run = *run;
            return Err(RestoreError::ScheduleRunMissing { schedule, run });
        }
        self.schedules.set(record);
        Ok(())
    }
}

/// Names, due times and live runs are those of the records, and such runs are live.
pub(crate) fn schedule_indexes_match_records(state: &State) -> Result<(), String> {
    let kept = &state.schedules;
    let mut real = Schedules::default();
    for (id, record) in &kept.records {
        same("id of a schedule", &record.id, id)?;
        real.set(ScheduleRecord::clone(record));
    }
    same(
        "number of names of schedules",
        &kept.names.len(),
        &kept.records.len(),
    )?;
    same("names of schedules", &kept.names, &real.names)?;
    same("due times", &kept.due, &real.due)?;
    same("runs of schedules", &kept.runs, &real.runs)?;
    let live = kept.runs.keys().filter(|run| state.run(**run).is_some());
    same("live runs of schedules", &live.count(), &kept.runs.len())
}
