//! How long the node's work is its own.

use crate::bounds::{SILENCE_PERCENT, TIMER_MS_MAX, TIMER_MS_MIN};
use crate::payload::Welcome;
use skep_model::limits::SELF_FENCE_PERCENT;

/// The lease as the last welcome set it, counted on the node's own clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lease {
    pub(super) heartbeat_ms: u64,
    length_ms: u64,
    /// When the last message was *sent* that renewed the lease by being answered.
    renewed_at: u64,
}

impl Lease {
    pub(super) fn new(welcome: &Welcome, hello_sent_at: u64) -> Self {
        Self {
            heartbeat_ms: welcome.heartbeat_ms.clamp(TIMER_MS_MIN, TIMER_MS_MAX),
            length_ms: welcome.lease_ms.clamp(TIMER_MS_MIN, TIMER_MS_MAX),
            renewed_at: hello_sent_at,
        }
    }

    /// A heartbeat sent at this time was answered.
    pub(super) fn renew(&mut self, sent_at: u64) {
        self.renewed_at = self.renewed_at.max(sent_at);
    }

    /// When the node must have stopped its work.
    pub(super) const fn fenced_at(&self) -> u64 {
        self.renewed_at
            .saturating_add(self.length_ms * SELF_FENCE_PERCENT / 100)
    }

    /// How long a connection may be silent.
    pub(super) const fn silence_ms(&self) -> u64 {
        self.length_ms * SILENCE_PERCENT / 100
    }
}
