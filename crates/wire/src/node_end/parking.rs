//! Attempts that stand still while the machine is parked.
//!
//! They go on only by the word of the coordinator in a live session, after it has said what becomes
//! of each of them: meanwhile one may have been given to others.

use super::{NodeEnd, NodeOutput};
use crate::payload::HoldTerms;

/// Whether attempts stand still.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Parking {
    /// They go on.
    #[default]
    Off,
    /// They were told to stand still; these terms are acted by as soon as they do.
    Freezing { terms: u64 },
    /// They stand still.
    Still,
    /// They may go on as soon as a session is live.
    Thawing,
}

impl NodeEnd {
    /// The coordinator said by which terms the node is to act.
    pub(super) fn on_terms(&mut self, now: u64, terms: HoldTerms) {
        let Some(lease) = &mut self.lease else {
            return;
        };
        lease.hold(terms);
        let number = terms.number;
        self.parking = match (self.parking, terms.parked) {
            (Parking::Off, true) => {
                self.outputs.push(NodeOutput::Freeze);
                Parking::Freezing { terms: number }
            }
            (Parking::Freezing { .. }, true) => Parking::Freezing { terms: number },
            (Parking::Still | Parking::Thawing, true) => Parking::Still,
            (Parking::Off, false) => Parking::Off,
            (_, false) => Parking::Thawing,
        };
        if !matches!(self.parking, Parking::Freezing { .. }) {
            lease.acts_by(number);
        }
        if self.is_live() {
            self.thaw();
            self.beat_at(now);
        }
    }

    /// A coordinator that knows of no terms parks nobody.
    pub(super) fn no_terms(&mut self) {
        if self.parking != Parking::Off {
            self.parking = Parking::Thawing;
        }
    }

    /// All attempts stand still.
    pub(super) fn on_frozen(&mut self, now: u64) {
        if let (Parking::Freezing { terms }, Some(lease)) = (self.parking, &mut self.lease) {
            lease.acts_by(terms);
            self.parking = Parking::Still;
            self.beat_at(now);
        }
    }

    /// It is known what becomes of each attempt: those that are left go on, if they may.
    pub(super) fn thaw(&mut self) {
        if self.parking == Parking::Thawing {
            self.parking = Parking::Off;
            self.outputs.push(NodeOutput::Thaw);
        }
    }
}
