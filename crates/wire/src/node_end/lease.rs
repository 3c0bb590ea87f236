//! How long the node's work is its own.

use crate::bounds::{SILENCE_PERCENT, TIMER_MS_MAX, TIMER_MS_MIN};
use crate::payload::{HoldTerms, Welcome};
use skep_model::limits::{HOLD_MS_MAX, SELF_FENCE_PERCENT};

/// The lease as the last welcome set it, counted on the node's own clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lease {
    pub(super) heartbeat_ms: u64,
    length_ms: u64,
    /// How long the work is the node's own; at least the lease.
    hold_ms: u64,
    /// The terms that say so.
    terms: Option<u64>,
    /// When the last message was *sent* that renewed the lease by being answered.
    renewed_at: u64,
}

impl Lease {
    pub(super) fn new(welcome: &Welcome, hello_sent_at: u64) -> Self {
        let length_ms = welcome.lease_ms.clamp(TIMER_MS_MIN, TIMER_MS_MAX);
        let mut lease = Self {
            heartbeat_ms: welcome.heartbeat_ms.clamp(TIMER_MS_MIN, TIMER_MS_MAX),
            length_ms,
            hold_ms: length_ms,
            terms: None,
            renewed_at: hello_sent_at,
        };
        if let Some(terms) = welcome.hold {
            lease.hold_ms = lease.at_least_the_lease(terms);
        }
        lease
    }

    /// The work is the node's own as long as these terms say.
    pub(super) fn hold(&mut self, terms: HoldTerms) {
        self.hold_ms = self.at_least_the_lease(terms);
    }

    /// The node acts by the terms of this number in every respect.
    pub(super) const fn acts_by(&mut self, number: u64) {
        self.terms = Some(number);
    }

    fn at_least_the_lease(&self, terms: HoldTerms) -> u64 {
        terms.hold_ms.clamp(self.length_ms, HOLD_MS_MAX)
    }

    /// The terms by which the node acts.
    pub(super) const fn terms(&self) -> Option<u64> {
        self.terms
    }

    /// A heartbeat sent at this time was answered.
    pub(super) fn renew(&mut self, sent_at: u64) {
        self.renewed_at = self.renewed_at.max(sent_at);
    }

    /// When the node must have stopped its work: before the hold ends, by as much as the self-fence
    /// comes before the end of the lease.
    pub(super) const fn fenced_at(&self) -> u64 {
        let ahead_ms = self.length_ms - self.length_ms * SELF_FENCE_PERCENT / 100;
        self.renewed_at.saturating_add(self.hold_ms - ahead_ms)
    }

    /// How long a connection may be silent.
    pub(super) const fn silence_ms(&self) -> u64 {
        self.length_ms * SILENCE_PERCENT / 100
    }
}
