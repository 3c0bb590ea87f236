//! Whether the node takes work, as it tells the coordinator; and how it announces its stop.

use super::NodeEnd;
use crate::bounds::STOP_NOTICE_TIMEOUT_MS;
use crate::codec::method;
use crate::payload::{AwayNotice, ProgressBatch};

/// Why a node that was told to stop is away.
const STOPPING: &str = "stopping";

/// Whether the node is away, and what the coordinator knows of it.
#[derive(Debug, Default)]
pub(super) struct Away {
    reason: Option<String>,
    /// A node that stops waits until then to hear that nothing more comes.
    expects_until: Option<u64>,
}

impl Away {
    /// Whether no assignment can be on its way, as far as is known.
    pub(super) fn expects_nothing(&self, now: u64) -> bool {
        self.expects_until.is_none_or(|until| until <= now)
    }

    /// The time of waiting may be over.
    pub(super) fn give_up(&mut self, now: u64) {
        if self.expects_nothing(now) {
            self.expects_until = None;
        }
    }

    /// When a node that stops gives up waiting.
    pub(super) const fn timer(&self) -> Option<u64> {
        self.expects_until
    }
}

impl NodeEnd {
    /// The node does not want work any more, or again.
    pub(super) fn on_away(&mut self, reason: Option<String>) {
        // Nothing changes any more for one that stops.
        if self.leaves_at.is_some() || self.away.reason == reason {
            return;
        }
        self.away.reason = reason;
        if self.is_live() {
            self.tell_away();
        }
    }

    /// A session became live: the coordinator thinks that the node takes work.
    pub(super) fn tell_if_away(&mut self) {
        if self.away.reason.is_some() {
            self.tell_away();
        }
    }

    /// The node was told to stop: nothing new should be granted to it.
    pub(super) fn announce_stop(&mut self, now: u64) {
        self.away.reason = Some(STOPPING.to_owned());
        if !self.is_live() {
            return;
        }
        // Who is draining gets nothing, and is not told so a second time.
        if !self.is_draining {
            self.away.expects_until = Some(now.saturating_add(STOP_NOTICE_TIMEOUT_MS));
        }
        self.tell_away();
    }

    /// The coordinator said that nothing more comes.
    pub(super) fn nothing_more_comes(&mut self) {
        self.away.expects_until = None;
    }

    fn tell_away(&mut self) {
        let batch = ProgressBatch {
            away: Some(AwayNotice(self.away.reason.clone())),
            ..ProgressBatch::default()
        };
        let framing = self.framing();
        self.send(framing.call(None, method::STATUS_UPDATE, &batch));
    }
}
