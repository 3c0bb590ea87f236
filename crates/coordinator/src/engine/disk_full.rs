//! What becomes of proposals that a full disk did not take.

use super::{Engine, Now, Origin, Output, ProposeError};
use crate::links::results_not_stored;
use crate::ports::Commit;

impl Engine {
    /// A full disk stored nothing. Whoever asked is told so and asks again: callers, and nodes,
    /// which keep their results and their work meanwhile. What the coordinator itself wants
    /// waits for space, except judgements on silent nodes, which are made anew when they can be
    /// written.
    pub(super) fn reject(&mut self, now: Now, commit: Commit, out: &mut Vec<Output>) {
        let mut kept = self.sequencer.rejected(commit.entries);
        kept.extend(self.sequencer.take_queue());
        for pending in kept {
            match pending.origin {
                Origin::Caller(ticket) => {
                    out.push(Output::Answer(ticket, Err(ProposeError::StorageFull)));
                }
                // Nothing was acknowledged: the node says it again on its next connection.
                origin if self.links.is_gone(&origin) => {}
                Origin::Registration(connection) | Origin::Confirmation(connection) => {
                    let view = self.view.read();
                    self.links.not_stored(connection, &view.state, out);
                }
                Origin::Results {
                    connection,
                    request,
                    keys,
                } => out.push(results_not_stored(connection, request, keys)),
                Origin::Transition(node) => self.liveness.settled(node),
                // Proposed anew when it can be written, with the due time after it by then.
                Origin::Schedule(schedule) => self.firings.settled(schedule),
                Origin::Trigger(trigger) => self.trigger_firings.settled(trigger),
                Origin::Seat(seat) => self.attendance.settled(seat, now.elapsed_ms),
                origin => self.sequencer.push(pending.entry, origin),
            }
        }
    }
}
