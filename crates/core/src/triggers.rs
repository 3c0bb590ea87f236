//! Triggers as the state keeps them: the records, and the indexes over them.

mod matching;

use crate::apply::Led;
use crate::changes::Changes;
use crate::invariants::{ensure, same};
use crate::restore::{RestoreError, once};
use crate::state::State;
use skep_model::event::EventCursor;
use skep_model::ids::{RunId, TriggerId};
use skep_model::limits::{TRIGGER_PENDING_MAX, TRIGGER_RUNS_LIVE_MAX};
use skep_model::refusal::Refusal;
use skep_model::run::RunState;
use skep_model::trigger::{MatchOutcome, Subject, TriggerRecord, Watch};
use std::collections::{BTreeMap, BTreeSet};

/// All triggers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Triggers {
    /// Boxed: tree nodes are moved on inserts.
    records: BTreeMap<TriggerId, Box<TriggerRecord>>,
    names: BTreeMap<String, TriggerId>,
    /// Those that look at what happens, by what they look at.
    watching: BTreeSet<(Subject, TriggerId)>,
    /// Those for which a run is to be submitted, by the event that waits longest.
    due: BTreeSet<(EventCursor, TriggerId)>,
    /// Live runs, and whose they are.
    runs: BTreeMap<RunId, TriggerId>,
}

impl Triggers {
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    pub(crate) fn is_named(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    pub(crate) fn contains(&self, trigger: TriggerId) -> bool {
        self.records.contains_key(&trigger)
    }

    fn get(&self, trigger: TriggerId) -> Option<&TriggerRecord> {
        self.records.get(&trigger).map(Box::as_ref)
    }

    /// Without the indexes: for what they do not say, and to damage it.
    fn record_mut(&mut self, trigger: TriggerId) -> Option<&mut TriggerRecord> {
        self.records.get_mut(&trigger).map(Box::as_mut)
    }

    #[cfg(test)]
    pub(crate) fn damaged(&mut self, trigger: TriggerId) -> Option<&mut TriggerRecord> {
        self.record_mut(trigger)
    }

    /// Puts in a trigger whose id is not taken.
    pub(crate) fn insert(&mut self, record: Box<TriggerRecord>) {
        let id = record.id;
        self.names.insert(record.spec.name.clone(), id);
        if record.is_watching() {
            let subjects = record.spec.watches.iter().map(Watch::subject);
            self.watching.extend(subjects.map(|subject| (subject, id)));
        }
        self.due
            .extend(record.next_firing().map(|next| (next.cause, id)));
        self.runs.extend(record.live.keys().map(|run| (*run, id)));
        self.records.insert(id, record);
    }

    /// Takes a trigger out.
    pub(crate) fn remove(&mut self, trigger: TriggerId) -> Option<Box<TriggerRecord>> {
        let record = self.records.remove(&trigger)?;
        self.names.remove(&record.spec.name);
        for watch in &record.spec.watches {
            self.watching.remove(&(watch.subject(), trigger));
        }
        if let Some(next) = record.next_firing() {
            self.due.remove(&(next.cause, trigger));
        }
        for run in record.live.keys() {
            self.runs.remove(run);
        }
        Some(record)
    }

    /// Changes a trigger; the indexes follow. Nothing happens to one that is not known.
    pub(crate) fn edit(&mut self, trigger: TriggerId, edit: impl FnOnce(&mut TriggerRecord)) {
        if let Some(mut record) = self.remove(trigger) {
            edit(&mut record);
            self.insert(record);
        }
    }

    /// What led to a live run; none for one that no trigger submitted.
    fn led_to(&self, run: RunId) -> Option<Led> {
        let by = *self.runs.get(&run)?;
        let depth = *self.get(by)?.live.get(&run)?;
        Some(Led { by, depth })
    }

    /// To be called when a run becomes final. Answers what led to it.
    pub(crate) fn run_ended(
        &mut self,
        run: RunId,
        state: RunState,
        changes: &mut Changes,
    ) -> Option<Led> {
        let led = self.led_to(run)?;
        self.edit(led.by, |record| {
            record.live.remove(&run);
            if let Some(last) = &mut record.last
                && let MatchOutcome::Run { run: newest, ended } = &mut last.outcome
                && *newest == run
            {
                *ended = Some(state);
            }
        });
        changes.trigger(led.by);
        Some(led)
    }
}

impl State {
    /// A trigger.
    pub fn trigger(&self, trigger: TriggerId) -> Option<&TriggerRecord> {
        self.triggers.get(trigger)
    }

    /// The trigger of this name.
    pub fn trigger_named(&self, name: &str) -> Option<&TriggerRecord> {
        self.trigger(*self.triggers.names.get(name)?)
    }

    /// All triggers, by id.
    pub fn triggers(&self) -> impl Iterator<Item = &TriggerRecord> {
        self.triggers.records.values().map(Box::as_ref)
    }

    /// The triggers for which a run is to be submitted now, with the event that each of them is to
    /// act on; the one that waits longest first.
    pub fn due_triggers(&self) -> impl Iterator<Item = (EventCursor, &TriggerRecord)> {
        let due = self.triggers.due.iter();
        due.filter_map(|(cause, id)| Some((*cause, self.trigger(*id)?)))
    }

    pub(crate) fn known_trigger(&self, trigger: TriggerId) -> Result<&TriggerRecord, Refusal> {
        self.trigger(trigger)
            .ok_or(Refusal::TriggerUnknown(trigger))
    }

    pub(crate) fn restore_trigger(&mut self, record: TriggerRecord) -> Result<(), RestoreError> {
        let trigger = record.id;
        once(self.triggers.contains(trigger), &trigger)?;
        if self.triggers.is_named(&record.spec.name) {
            return Err(RestoreError::Shared(trigger.to_string()));
        }
        let mut live = record.live.keys();
        if let Some(run) = live.find(|run| self.run(**run).is_none()) {
            let run = *run;
            return Err(RestoreError::TriggerRunMissing { trigger, run });
        }
        self.triggers.insert(Box::new(record));
        Ok(())
    }
}

/// Names, watches, what is due and live runs are those of the records, and such runs are live.
pub(crate) fn trigger_indexes_match_records(state: &State) -> Result<(), String> {
    let kept = &state.triggers;
    let mut real = Triggers::default();
    for (id, record) in &kept.records {
        same("id of a trigger", &record.id, id)?;
        real.insert(record.clone());
    }
    same(
        "number of names of triggers",
        &kept.names.len(),
        &kept.records.len(),
    )?;
    same("names of triggers", &kept.names, &real.names)?;
    same("watches", &kept.watching, &real.watching)?;
    same("events that wait", &kept.due, &real.due)?;
    same("runs of triggers", &kept.runs, &real.runs)?;
    let live = kept.runs.keys().filter(|run| state.run(**run).is_some());
    same("live runs of triggers", &live.count(), &kept.runs.len())
}

/// What waits is bounded and in its order, and each event that counted waits, led to a run, or was
/// refused.
pub(crate) fn triggers_account_for_events(state: &State) -> Result<(), String> {
    for record in state.triggers() {
        let id = record.id;
        let (waiting, live) = (record.pending.len(), record.live.len());
        let bounded = waiting <= TRIGGER_PENDING_MAX && live <= TRIGGER_RUNS_LIVE_MAX;
        ensure(bounded, || {
            format!("{id} has {waiting} events that wait and {live} live runs")
        })?;
        let mut pairs = record.pending.iter().zip(record.pending.iter().skip(1));
        ensure(pairs.all(|(a, b)| a.cause < b.cause), || {
            format!("the events of {id} wait out of order")
        })?;
        let settled = record.matched.checked_sub(waiting as u64);
        let accounted = settled.is_some_and(|settled| {
            record.fired <= settled && settled <= record.fired + record.skipped
        });
        ensure(accounted, || {
            let (matched, fired) = (record.matched, record.fired);
            format!("{id} counted {matched} events, {waiting} wait, {fired} led to runs")
        })?;
    }
    Ok(())
}
