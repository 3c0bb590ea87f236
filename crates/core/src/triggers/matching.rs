//! Which of the events of an entry match triggers, and whether they count. Decided when the entry is
//! applied, so that it is decided once: no crash comes between an event and its match.

use crate::apply::{Led, Step};
use crate::state::State;
use skep_model::event::{Event, EventCursor};
use skep_model::ids::{NodeId, RunId, TriggerId};
use skep_model::limits::{TRIGGER_DEPTH_MAX, TRIGGER_FIRINGS_PER_MINUTE_MAX, TRIGGER_PENDING_MAX};
use skep_model::memory::{MemoryEffect, MemoryKey, MemoryVersion, Namespace};
use skep_model::node::NodeState;
use skep_model::run::RunRecord;
use skep_model::task::FinishedTask;
use skep_model::time::UnixMillis;
use skep_model::trigger::{
    AgentChange, EntryChange, Happened, LastMatch, MatchOutcome, MatchedEvent, NotCounted,
    Occurrence, SkippedEvents, Subject, TriggerRecord,
};
use std::collections::BTreeMap;

const MINUTE_MS: u64 = 60_000;

/// Something that triggers may wait for.
struct Seen<'a> {
    happened: Happened,
    labels: Option<&'a BTreeMap<String, String>>,
    /// The run that it is the work of.
    run: Option<RunId>,
}

impl Seen<'_> {
    const fn of_swarm(happened: Happened) -> Self {
        Self {
            happened,
            labels: None,
            run: None,
        }
    }
}

/// What ended in the entry, in the order of its events.
struct Ends<'a> {
    tasks: std::slice::Iter<'a, FinishedTask>,
    runs: std::slice::Iter<'a, RunRecord>,
}

/// What is to be said of the matches of an entry.
#[derive(Default)]
struct Told {
    matched: Vec<MatchedEvent>,
    /// One event for all of an entry: a storm must not double what it writes.
    skipped: BTreeMap<(TriggerId, NotCounted), SkippedEvents>,
}

impl Told {
    fn skip(&mut self, trigger: TriggerId, reason: NotCounted, cause: EventCursor) {
        let key = (trigger, reason.clone());
        let skipped = self.skipped.entry(key).or_insert(SkippedEvents {
            trigger,
            reason,
            count: 0,
            first: cause,
            last: cause,
        });
        skipped.count += 1;
        skipped.last = cause;
    }
}

impl State {
    /// Lets the triggers see the events of an entry. To be called when all of them are there.
    pub(crate) fn match_triggers(&mut self, step: &mut Step) {
        if self.triggers.watching.is_empty() {
            return;
        }
        let mut events = std::mem::take(&mut step.applied.events);
        let mut told = Told::default();
        let mut ends = Ends {
            tasks: step.applied.finished.iter(),
            runs: step.applied.finished_runs.iter(),
        };
        for (ordinal, event) in (0_u32..).zip(&events) {
            let Some(seen) = self.seen(step, event, &mut ends) else {
                continue;
            };
            let index = step.index;
            let cause = EventCursor { index, ordinal };
            let led = seen.run.and_then(|run| self.led_to(step, run));
            self.consider(cause, &seen, led, &mut told);
        }
        events.extend(told.matched.into_iter().map(Event::TriggerMatched));
        let skipped = told.skipped.into_values();
        events.extend(skipped.map(Event::TriggerSkipped));
        step.applied.events = events;
    }

    fn is_watched(&self, subject: Subject) -> bool {
        self.watchers(subject).next().is_some()
    }

    fn watchers(&self, subject: Subject) -> impl Iterator<Item = TriggerId> {
        let (first, last) = (TriggerId::from_u128(0), TriggerId::from_u128(u128::MAX));
        let range = (subject, first)..=(subject, last);
        self.triggers.watching.range(range).map(|(_, id)| *id)
    }

    /// What led to a run that is live or ended in this entry.
    fn led_to(&self, step: &Step, run: RunId) -> Option<Led> {
        let ended = step.ended_triggered.get(&run).copied();
        ended.or_else(|| self.triggers.led_to(run))
    }

    /// What an event says, if somebody waits for something like it.
    fn seen<'a>(&self, step: &'a Step, event: &Event, ends: &mut Ends<'a>) -> Option<Seen<'a>> {
        match event {
            Event::TaskFinished {
                task, run, state, ..
            } => {
                let spec = &ends.tasks.next()?.record.spec;
                self.is_watched(Subject::Task).then(|| Seen {
                    happened: Happened::Task {
                        task: *task,
                        name: spec.name.clone(),
                        run: *run,
                        state: *state,
                    },
                    labels: Some(&spec.labels),
                    run: *run,
                })
            }
            Event::RunChanged { run, state, .. } if state.is_final() => {
                let spec = &ends.runs.next()?.spec;
                self.is_watched(Subject::Run).then(|| Seen {
                    happened: Happened::Run {
                        run: *run,
                        name: spec.name.clone(),
                        state: *state,
                    },
                    labels: Some(&spec.labels),
                    run: Some(*run),
                })
            }
            Event::MemoryWritten {
                namespace,
                key,
                version,
                ..
            } => self.seen_entry(step, (namespace, key, *version), EntryChange::Written),
            Event::MemoryDeleted {
                namespace,
                key,
                version,
                ..
            } => self.seen_entry(step, (namespace, key, *version), EntryChange::Deleted),
            Event::MemoryExpired {
                namespace,
                key,
                version,
                ..
            } => self.seen_entry(step, (namespace, key, *version), EntryChange::Expired),
            Event::NodeChanged { node, state } => self.seen_node(step, *node, *state),
            Event::AgentCreated { agent, name, .. } => Some(Seen::of_swarm(Happened::Agent {
                agent: *agent,
                name: name.clone(),
                change: AgentChange::Created,
            })),
            Event::AgentRemoved { agent } => Some(Seen::of_swarm(Happened::Agent {
                agent: *agent,
                name: step.gone.agents.get(agent)?.clone(),
                change: AgentChange::Removed,
            })),
            _ => None,
        }
    }

    fn seen_entry<'a>(
        &self,
        step: &Step,
        (namespace, key, version): (&Namespace, &MemoryKey, MemoryVersion),
        change: EntryChange,
    ) -> Option<Seen<'a>> {
        if !self.is_watched(Subject::Memory) {
            return None;
        }
        let happened = Happened::Memory {
            namespace: namespace.clone(),
            key: key.clone(),
            version,
            change,
        };
        // Whose work it was matters only while triggers have runs.
        let of_work = !self.triggers.runs.is_empty();
        let run = of_work.then(|| run_of_write(step, namespace, version));
        Some(Seen {
            happened,
            labels: None,
            run: run.flatten(),
        })
    }

    /// The seat of an attached agent is no machine: that it is lost is said of the agent.
    fn seen_node<'a>(&self, step: &Step, node: NodeId, state: NodeState) -> Option<Seen<'a>> {
        let (name, is_seat) = match self.node(node) {
            Some(record) => (record.facts.name.clone(), record.session.is_some()),
            None => step.gone.nodes.get(&node)?.clone(),
        };
        if !is_seat {
            return Some(Seen::of_swarm(Happened::Node { node, name, state }));
        }
        let agent = self.agents_of_node(node).next()?;
        (state == NodeState::Lost).then(|| {
            Seen::of_swarm(Happened::Agent {
                agent: agent.id,
                name: agent.spec.name.clone(),
                change: AgentChange::Offline,
            })
        })
    }

    /// A trigger does not see what its own runs do.
    fn consider(&mut self, cause: EventCursor, seen: &Seen<'_>, led: Option<Led>, told: &mut Told) {
        let depth = led.map_or(0, |led| led.depth).saturating_add(1);
        let own = led.map(|led| led.by);
        let none = BTreeMap::new();
        let labels = seen.labels.unwrap_or(&none);
        let watchers: Vec<TriggerId> = self.watchers(seen.happened.subject()).collect();
        for trigger in watchers.into_iter().filter(|trigger| Some(*trigger) != own) {
            let Some(record) = self.triggers.record_mut(trigger) else {
                continue;
            };
            let mut watches = record.spec.watches.iter();
            if !watches.any(|watch| watch.admits(&seen.happened, labels)) {
                continue;
            }
            self.changes.trigger(trigger);
            let at = self.now;
            if let Some(reason) = why_not(record, depth, at) {
                record.skipped += 1;
                record.last = Some(LastMatch {
                    cause,
                    at,
                    outcome: MatchOutcome::Skipped(reason.clone()),
                });
                told.skip(trigger, reason, cause);
                continue;
            }
            let occurrence = Occurrence {
                cause,
                at,
                happened: seen.happened.clone(),
                depth,
            };
            self.triggers
                .edit(trigger, |record| count(record, occurrence));
            let left = self.trigger(trigger).and_then(TriggerRecord::left);
            told.matched.push(MatchedEvent {
                trigger,
                cause,
                left,
            });
        }
    }
}

/// The run for whose work a version was written, as its writer said.
fn run_of_write(step: &Step, namespace: &Namespace, version: MemoryVersion) -> Option<RunId> {
    let mut effects = step.applied.memory.iter();
    effects.find_map(|effect| match effect {
        MemoryEffect::Recorded(record)
            if record.version == version && record.namespace == *namespace =>
        {
            record.provenance.run
        }
        _ => None,
    })
}

/// Why an event that matches does not count.
fn why_not(record: &TriggerRecord, depth: u8, now: UnixMillis) -> Option<NotCounted> {
    let cools =
        |at: UnixMillis| record.spec.cooldown_ms > 0 && now.since(at) < record.spec.cooldown_ms;
    let (minute, count) = record.minute;
    let is_often = now.since(minute) < MINUTE_MS && count >= TRIGGER_FIRINGS_PER_MINUTE_MAX;
    if depth > TRIGGER_DEPTH_MAX {
        Some(NotCounted::TooDeep)
    } else if record.matched_at.is_some_and(cools) {
        Some(NotCounted::CoolingDown)
    } else if is_often {
        Some(NotCounted::TooOften)
    } else if record.pending.len() >= TRIGGER_PENDING_MAX {
        Some(NotCounted::TooManyWaiting)
    } else {
        None
    }
}

fn count(record: &mut TriggerRecord, occurrence: Occurrence) {
    let now = occurrence.at;
    record.matched += 1;
    record.matched_at = Some(now);
    if record.minute.1 == 0 || now.since(record.minute.0) >= MINUTE_MS {
        record.minute = (now, 0);
    }
    record.minute.1 += 1;
    record.last = Some(LastMatch {
        cause: occurrence.cause,
        at: now,
        outcome: MatchOutcome::Waits,
    });
    record.pending.push_back(occurrence);
}
