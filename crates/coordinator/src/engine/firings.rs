//! Due times of schedules: proposed when they are due, one of each schedule at a time.

use super::{Engine, Now, Origin};
use crate::ports::Calendar;
use skep_core::State;
use skep_model::command::{Actor, Command};
use skep_model::ids::{RunId, ScheduleId, TaskId};
use skep_model::limits::SCHEDULE_FIRINGS_IN_FLIGHT_MAX;
use skep_model::schedule::{Firing, ScheduleRecord};
use skep_model::time::UnixMillis;
use std::collections::BTreeSet;

/// Which due times are on their way into the log.
#[derive(Debug)]
pub(super) struct Firings {
    calendar: Box<dyn Calendar>,
    in_flight: BTreeSet<ScheduleId>,
}

impl Firings {
    pub(super) fn new(calendar: Box<dyn Calendar>) -> Self {
        Self {
            calendar,
            in_flight: BTreeSet::new(),
        }
    }

    /// The log answered.
    pub(super) fn settled(&mut self, schedule: ScheduleId) {
        self.in_flight.remove(&schedule);
    }

    /// Those that wait for their time, the earliest first; none while no more may be proposed.
    fn waiting<'a>(
        &'a self,
        state: &'a State,
    ) -> impl Iterator<Item = (UnixMillis, &'a ScheduleRecord)> {
        let room = SCHEDULE_FIRINGS_IN_FLIGHT_MAX.saturating_sub(self.in_flight.len());
        let due = state.due_schedules();
        let waiting = due.filter(|(_, record)| !self.in_flight.contains(&record.id));
        waiting.take(room)
    }

    /// When the next one is due; it may be in the past.
    pub(super) fn next_due(&self, state: &State) -> Option<UnixMillis> {
        self.waiting(state).next().map(|(at, _)| at)
    }
}

impl Engine {
    /// Proposes what is due. The state compares the due time with its own, so that none is acted on
    /// twice, whatever became of an earlier proposal.
    pub(super) fn fire_schedules(&mut self, now: Now) {
        let log_time = self.log_time(now);
        let mut firings = Vec::new();
        {
            let view = self.view.read();
            let waiting = self.firings.waiting(&view.state);
            for (due, record) in waiting.take_while(|(due, _)| *due <= log_time) {
                let calendar = &self.firings.calendar;
                let ids = record.spec.template.ids;
                firings.push(Firing {
                    schedule: record.id,
                    due: Some(due),
                    next: calendar.next(&record.spec.timing, due, log_time),
                    run: RunId::from_u128(self.entropy.id()),
                    tasks: (0..ids)
                        .map(|_| TaskId::from_u128(self.entropy.id()))
                        .collect(),
                    idempotency: None,
                });
            }
        }
        for firing in firings {
            let schedule = firing.schedule;
            self.firings.in_flight.insert(schedule);
            let command = Command::FireSchedule(Box::new(firing));
            self.push(now, Actor::Coordinator, command, Origin::Schedule(schedule));
        }
    }
}
