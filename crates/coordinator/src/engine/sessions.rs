//! Attached agents: what their calls mean, and who is told that a request for work is over.

use super::{Engine, Now, Origin, Output};
use crate::attendance::{Attendance, SessionSign};
use crate::view::View;
use skep_model::command::Actor;
use skep_model::event::Event;
use skep_model::ids::NodeId;

impl Engine {
    pub(super) fn session(&mut self, now: Now, sign: SessionSign, out: &mut Vec<Output>) {
        match sign {
            SessionSign::Called { seat, at } => {
                self.attendance.called(seat, at.min(now.elapsed_ms));
            }
            SessionSign::Asks { seat, ask, until } => {
                self.attendance.called(seat, now.elapsed_ms);
                let view = self.view.read();
                let is_open = self.attendance.asks(&view.state, seat, ask, until);
                drop(view);
                if is_open && !self.closing {
                    self.note_asking(seat);
                } else {
                    out.push(Output::AskOver(ask));
                }
            }
            SessionSign::Withdraws { seat, ask } => {
                self.attendance.withdraws(seat, ask);
                self.note_asking(seat);
            }
        }
    }

    /// Nothing is ever pushed to an agent that did not ask: to the dispatcher it is a node that is
    /// connected only as long as it asks.
    fn note_asking(&mut self, seat: NodeId) {
        let is_asking = self.attendance.is_asking(seat);
        let mut view = self.view.write();
        if set_asking(&mut view, seat, is_asking) {
            self.decision_wanted |= is_asking;
        }
    }

    /// What the silence of attached agents leads to, and requests that end without a task.
    pub(super) fn attend(&mut self, now: Now, out: &mut Vec<Output>) {
        let due = {
            let view = self.view.read();
            self.attendance.due(&view.state, now.elapsed_ms)
        };
        for (seat, command) in due.transitions {
            self.push(now, Actor::Coordinator, command, Origin::Seat(seat));
        }
        for (seat, ask) in due.over {
            out.push(Output::AskOver(ask));
            self.note_asking(seat);
        }
    }
}

/// What an applied entry means for attached agents.
pub(super) fn react_to_seats(
    attendance: &mut Attendance,
    view: &mut View,
    events: &[Event],
    now: Now,
    out: &mut Vec<Output>,
) {
    let (over, changed) = attendance.observe(&view.state, events, now.elapsed_ms);
    for seat in changed {
        set_asking(view, seat, attendance.is_asking(seat));
        out.push(Output::SeatChanged(seat));
    }
    out.extend(over.into_iter().map(Output::AskOver));
}

/// True when that is new.
fn set_asking(view: &mut View, seat: NodeId, is_asking: bool) -> bool {
    if is_asking {
        view.connected.insert(seat)
    } else {
        view.connected.remove(&seat)
    }
}
