//! What the user of the machine is told, who parks the node here.

use super::EventLoop;
use crate::control::Standing;
use skep_wire::NodeInput;
use tokio::sync::oneshot;

impl EventLoop {
    /// The answer comes when the attempts stand still, or were told to go on. One that stops does
    /// not answer.
    pub(super) fn park(&mut self, for_ms: Option<u64>, reply: oneshot::Sender<Standing>) {
        if self.is_stopping {
            return;
        }
        self.feed(NodeInput::Park(for_ms));
        if self.is_freezing {
            self.parker = Some(reply);
        } else {
            self.tell_standing(reply);
        }
    }

    pub(super) fn tell_standing(&self, reply: oneshot::Sender<Standing>) {
        let standing = Standing {
            stands_still: self.parts.attempts.is_frozen(),
            connected: self.parts.brain.is_live(),
        };
        // Whoever asked may have gone.
        let _ = reply.send(standing);
    }
}
