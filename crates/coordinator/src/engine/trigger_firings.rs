//! Runs for events that matched triggers: proposed as soon as they are due, one of each trigger at a
//! time.

use super::{Engine, Now, Origin};
use skep_core::State;
use skep_model::command::{Actor, Command};
use skep_model::event::EventCursor;
use skep_model::ids::{RunId, TaskId, TriggerId};
use skep_model::limits::TRIGGER_FIRINGS_IN_FLIGHT_MAX;
use skep_model::trigger::{TriggerFiring, TriggerRecord};
use std::collections::BTreeSet;

/// Which firings are on their way into the log.
#[derive(Debug, Default)]
pub(super) struct TriggerFirings {
    in_flight: BTreeSet<TriggerId>,
}

impl TriggerFirings {
    /// The log answered.
    pub(super) fn settled(&mut self, trigger: TriggerId) {
        self.in_flight.remove(&trigger);
    }

    /// Those that may be proposed now, the one that waits longest first.
    fn due<'a>(
        &'a self,
        state: &'a State,
    ) -> impl Iterator<Item = (EventCursor, &'a TriggerRecord)> {
        let room = TRIGGER_FIRINGS_IN_FLIGHT_MAX.saturating_sub(self.in_flight.len());
        let due = state.due_triggers();
        let due = due.filter(|(_, record)| !self.in_flight.contains(&record.id));
        due.take(room)
    }

    pub(super) fn is_any_due(&self, state: &State) -> bool {
        self.due(state).next().is_some()
    }
}

impl Engine {
    /// Proposes the runs of events that wait. The state compares the event with the one that is
    /// first, so that none leads to two runs, whatever became of an earlier proposal.
    pub(super) fn fire_triggers(&mut self, now: Now) {
        let mut firings = Vec::new();
        {
            let view = self.view.read();
            for (cause, record) in self.trigger_firings.due(&view.state) {
                let ids = record.spec.template.ids;
                firings.push(TriggerFiring {
                    trigger: record.id,
                    cause,
                    run: RunId::from_u128(self.entropy.id()),
                    tasks: (0..ids)
                        .map(|_| TaskId::from_u128(self.entropy.id()))
                        .collect(),
                });
            }
        }
        for firing in firings {
            let trigger = firing.trigger;
            self.trigger_firings.in_flight.insert(trigger);
            let command = Command::FireTrigger(Box::new(firing));
            self.push(now, Actor::Coordinator, command, Origin::Trigger(trigger));
        }
    }
}
