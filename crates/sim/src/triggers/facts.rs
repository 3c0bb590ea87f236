//! What the events say of triggers, and what must hold of it. Which events match is found out here
//! anew, without the code that the core has for it.

use super::{ANSWER, Wanted};
use skep_coordinator::View;
use skep_model::event::{EntryEvents, Event, EventCursor};
use skep_model::ids::{RunId, TaskId, TriggerId};
use skep_model::limits::{TRIGGER_DEPTH_MAX, TRIGGER_FIRINGS_PER_MINUTE_MAX, TRIGGER_PENDING_MAX};
use skep_model::run::RunState;
use skep_model::task::TaskState;
use skep_model::time::UnixMillis;
use skep_model::trigger::{NotCounted, SkippedEvents};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How late the run for an event may be once nothing fails any more, milliseconds.
const LATE_MS_MAX: u64 = 120_000;

/// An event that matches, and how many triggers led to it, the one that it matches included.
type Match = (EventCursor, u8);

/// A trigger as its events tell of it.
#[derive(Debug)]
struct Known {
    wanted: Wanted,
    cooldown_ms: u64,
    left: Option<u32>,
    paused: bool,
    pending: VecDeque<Match>,
    /// When events counted.
    counted: Vec<UnixMillis>,
}

impl Known {
    fn of_name(name: &str) -> Option<Self> {
        let mut parts = name.split('-').skip(1);
        let word = parts.next()?;
        let cooldown_ms = parts.next()?.parse().ok()?;
        let most: u32 = parts.next()?.parse().ok()?;
        Some(Self {
            wanted: Wanted::ALL.into_iter().find(|one| one.word() == word)?,
            cooldown_ms,
            left: (most > 0).then_some(most),
            paused: false,
            pending: VecDeque::new(),
            counted: Vec::new(),
        })
    }

    /// Whether there was reason to skip an event at this time.
    fn excuses(&self, reason: &NotCounted, at: UnixMillis, depth: u8) -> bool {
        let within = |ms: u64| {
            let recent = self
                .counted
                .iter()
                .filter(|counted| at.since(**counted) < ms);
            recent.count()
        };
        match reason {
            NotCounted::CoolingDown => within(self.cooldown_ms) > 0,
            NotCounted::TooOften => within(60_000) >= TRIGGER_FIRINGS_PER_MINUTE_MAX as usize,
            NotCounted::TooManyWaiting => self.pending.len() >= TRIGGER_PENDING_MAX,
            NotCounted::TooDeep => depth > TRIGGER_DEPTH_MAX,
        }
    }
}

/// What the events say of triggers.
#[derive(Debug, Default)]
pub(crate) struct TriggerFacts {
    triggers: BTreeMap<TriggerId, Known>,
    /// Events for which a run was submitted or refused.
    acted: BTreeSet<(TriggerId, EventCursor)>,
    /// Which trigger submitted a run, and how many led to it.
    runs: BTreeMap<RunId, (TriggerId, u8)>,
    /// Tasks of triggers.
    answers: BTreeSet<TaskId>,
}

impl TriggerFacts {
    /// I34: each event that matches counts, or is said not to with a reason that holds, once.
    /// I35: each event that counts leads to at most one run, in its order and unless its trigger is
    /// held.
    pub(crate) fn entry(&mut self, entry: &EntryEvents) -> Result<(), String> {
        let mut matching = self.matching(entry);
        for event in &entry.events {
            match event {
                Event::TriggerMatched(matched) => {
                    let own = matching.entry(matched.trigger).or_default();
                    let place = own.iter().position(|(cause, _)| *cause == matched.cause);
                    let place = place.ok_or_else(|| format!("I34: {matched:?} does not match"))?;
                    let found = own.remove(place);
                    self.counts(matched.trigger, found, entry.at)?;
                }
                Event::TriggerSkipped(skipped) => {
                    let own = matching.entry(skipped.trigger).or_default();
                    self.skips(own, skipped, entry.at)?;
                }
                other => self.changes(other)?,
            }
        }
        for (trigger, left_out) in matching {
            let known = self.triggers.get(&trigger);
            let watches = known.is_some_and(|known| known.left != Some(0));
            if watches && let Some((cause, _)) = left_out.first() {
                return Err(format!("I34: nothing is said of {cause} for {trigger}"));
            }
        }
        Ok(())
    }

    /// Which events of the entry match which triggers. Those of the work of a trigger do not match
    /// itself.
    fn matching(&mut self, entry: &EntryEvents) -> BTreeMap<TriggerId, Vec<Match>> {
        let mut matching: BTreeMap<TriggerId, Vec<Match>> = BTreeMap::new();
        for (ordinal, event) in (0_u32..).zip(&entry.events) {
            if let Event::TaskSubmitted { task, name, .. } = event
                && name == ANSWER
            {
                self.answers.insert(*task);
            }
            let index = entry.index;
            let led = event.run().and_then(|run| self.runs.get(&run));
            let depth = led.map_or(0, |(_, depth)| *depth) + 1;
            let own_work = led.map(|(trigger, _)| trigger);
            for (trigger, known) in &self.triggers {
                let looks = !known.paused && known.left != Some(0);
                if looks && own_work != Some(trigger) && self.wants(known.wanted, event) {
                    let own = matching.entry(*trigger).or_default();
                    own.push((EventCursor { index, ordinal }, depth));
                }
            }
        }
        matching
    }

    fn wants(&self, wanted: Wanted, event: &Event) -> bool {
        match (wanted, event) {
            (Wanted::FailedTasks, Event::TaskFinished { state, .. }) => *state == TaskState::Failed,
            (Wanted::CancelledTasks, Event::TaskFinished { state, .. }) => {
                *state == TaskState::Cancelled
            }
            (Wanted::Answers, Event::TaskFinished { task, .. }) => self.answers.contains(task),
            (Wanted::BadRuns, Event::RunChanged { state, .. }) => {
                matches!(state, RunState::Failed | RunState::Cancelled)
            }
            (Wanted::Writes, Event::MemoryWritten { .. })
            | (Wanted::Agents, Event::AgentCreated { .. }) => true,
            _ => false,
        }
    }

    fn known(&mut self, trigger: TriggerId) -> Result<&mut Known, String> {
        let known = self.triggers.get_mut(&trigger);
        known.ok_or_else(|| format!("I34: {trigger} does not exist"))
    }

    fn counts(&mut self, trigger: TriggerId, found: Match, at: UnixMillis) -> Result<(), String> {
        if found.1 > TRIGGER_DEPTH_MAX {
            return Err(format!(
                "I34: {found:?} counts for {trigger} and is too deep"
            ));
        }
        let known = self.known(trigger)?;
        known.pending.push_back(found);
        known.counted.push(at);
        if let Some(left) = &mut known.left {
            *left = left
                .checked_sub(1)
                .ok_or("I34: more events count than may")?;
        }
        Ok(())
    }

    fn skips(
        &mut self,
        own: &mut Vec<Match>,
        skipped: &SkippedEvents,
        at: UnixMillis,
    ) -> Result<(), String> {
        let before = own.len();
        // With several reasons in one entry, their spans may overlap: the counts tell them apart.
        let mut rest = skipped.count;
        let mut deepest = 0;
        own.retain(|(cause, depth)| {
            let is_meant = rest > 0 && (skipped.first..=skipped.last).contains(cause);
            if is_meant {
                rest -= 1;
                deepest = deepest.max(*depth);
            }
            !is_meant
        });
        if before - own.len() != skipped.count as usize || skipped.count == 0 {
            return Err(format!("I34: {skipped:?} does not match"));
        }
        let known = self.known(skipped.trigger)?;
        if known.excuses(&skipped.reason, at, deepest) {
            return Ok(());
        }
        Err(format!("I34: there was no reason for {skipped:?}"))
    }

    fn changes(&mut self, event: &Event) -> Result<(), String> {
        match event {
            Event::TriggerCreated(created) => {
                let known = Known::of_name(&created.name);
                let known = known.ok_or_else(|| format!("`{}` says too little", created.name))?;
                self.triggers.insert(created.trigger, known);
            }
            Event::TriggerChanged(changed) => self.known(changed.trigger)?.paused = changed.paused,
            Event::TriggerDeleted(deleted) => {
                let waited = self.known(deleted.trigger)?.pending.len();
                self.triggers.remove(&deleted.trigger);
                // What it led to is forgotten with it.
                self.runs
                    .retain(|_, (trigger, _)| *trigger != deleted.trigger);
                if waited != deleted.unfired as usize {
                    return Err(format!(
                        "I35: {waited} events waited, not as {deleted:?} says"
                    ));
                }
            }
            Event::TriggerFired(fired) => {
                let depth = self.acts(fired.trigger, fired.cause)?;
                self.runs.insert(fired.run, (fired.trigger, depth));
            }
            Event::TriggerRefused(refused) => {
                self.acts(refused.trigger, refused.cause)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Answers how many triggers led to it.
    fn acts(&mut self, trigger: TriggerId, cause: EventCursor) -> Result<u8, String> {
        if !self.acted.insert((trigger, cause)) {
            return Err(format!("I35: {cause} led {trigger} to two runs"));
        }
        let known = self.known(trigger)?;
        if known.paused {
            return Err(format!("I35: {trigger} acted on {cause} while it was held"));
        }
        match known.pending.pop_front() {
            Some((first, depth)) if first == cause => Ok(depth),
            other => Err(format!("I35: {trigger} acted on {cause}, not on {other:?}")),
        }
    }

    /// I35, in the end: no event waits for long, and the state says what the events said.
    pub(crate) fn none_is_left(&self, view: &View) -> Result<(), String> {
        let now = view.state.now();
        for record in view.state.triggers() {
            let waiting: Vec<_> = record.pending.iter().map(|waiting| waiting.cause).collect();
            let known = self.triggers.get(&record.id);
            let told = known.map(|known| {
                let pending = known.pending.iter().map(|(cause, _)| *cause);
                (known.paused, pending.collect::<Vec<_>>())
            });
            if told != Some((record.paused, waiting)) {
                return Err(format!("I35: {record:?} is not as told: {told:?}"));
            }
            let late_ms = record.next_firing().map_or(0, |next| now.since(next.at));
            if late_ms > LATE_MS_MAX {
                return Err(format!("I35: {} is late by {late_ms} ms", record.id));
            }
        }
        Ok(())
    }
}
