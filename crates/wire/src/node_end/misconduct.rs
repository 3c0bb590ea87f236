//! Messages of a coordinator that cannot be read: some are survived, too many are not.

use super::NodeEnd;
use super::link::Link;
use crate::bounds::BAD_MESSAGES_MAX;
use crate::codec::BadFrame;

impl NodeEnd {
    pub(super) fn on_bad_frame(&mut self, now: u64, bad: &BadFrame) {
        if !bad.is_notification {
            let framing = self.framing();
            self.send(framing.fault(bad.id.as_ref(), &bad.error.fault()));
        }
        // A newer coordinator may say what this node does not know yet; that is no fault.
        if bad.error.is_bad_behaviour() {
            self.count_bad(now);
        }
    }

    pub(super) fn count_bad(&mut self, now: u64) {
        let Link::Up(connection) = &mut self.link else {
            return;
        };
        connection.bad_messages += 1;
        if connection.bad_messages > BAD_MESSAGES_MAX {
            self.close(now, "more than BAD_MESSAGES_MAX messages were malformed");
        }
    }
}
