//! Attempts that stand still while the machine is parked, by the word of the coordinator or of the
//! machine's owner.
//!
//! They go on only in a live session, after the coordinator has said what becomes of each of them:
//! meanwhile one may have been given to others. What the owner wants is told to the coordinator as
//! soon as there is a session, and holds until the coordinator has taken it over.

use super::{NodeEnd, NodeOutput};
use crate::bounds::PARK_NOTICE_TIMEOUT_MS;
use crate::codec::method;
use crate::payload::{HoldTerms, ParkNotice, ProgressBatch};
use skep_model::limits::{PARK_MS_MAX, PARK_MS_MIN};

/// Whether attempts stand still.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Stillness {
    /// They go on.
    #[default]
    Off,
    /// They were told to stand still; these terms, if any, are acted by as soon as they do.
    Freezing { terms: Option<u64> },
    /// They stand still.
    Still,
    /// They may go on as soon as a session is live.
    Thawing,
}

/// What the owner wants and the coordinator has not taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// They stand still until then.
    Park { until: u64, is_told: bool },
    /// They go on; the coordinator was told, or will be, and has until then to say so.
    Unpark { until: u64 },
}

/// Whether attempts stand still, and who wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Parking {
    stillness: Stillness,
    wish: Option<Wish>,
    /// The newest terms say that the node is parked.
    is_known: bool,
}

impl Parking {
    /// The coordinator said whether it thinks that the node is parked.
    fn heard(&mut self, parked: bool) {
        self.is_known = parked;
        let is_taken_over = match self.wish {
            Some(Wish::Park { is_told, .. }) => is_told && parked,
            Some(Wish::Unpark { .. }) => !parked,
            None => false,
        };
        if is_taken_over {
            self.wish = None;
        }
    }

    const fn is_wished(&self) -> bool {
        matches!(self.wish, Some(Wish::Park { .. }))
    }

    /// Lets them go on at the next occasion.
    fn may_go_on(&mut self) {
        self.wish = None;
        if self.stillness != Stillness::Off {
            self.stillness = Stillness::Thawing;
        }
    }

    /// When a wish is over, or has to be told again. One that cannot be told waits for a session.
    pub(super) const fn timer(&self, is_live: bool) -> Option<u64> {
        match self.wish {
            Some(Wish::Park { until, .. }) => Some(until),
            Some(Wish::Unpark { until }) if is_live => Some(until),
            _ => None,
        }
    }
}

impl NodeEnd {
    /// The coordinator said by which terms the node is to act.
    pub(super) fn on_terms(&mut self, now: u64, terms: HoldTerms) {
        let Some(lease) = &mut self.lease else {
            return;
        };
        lease.hold(terms);
        let number = terms.number;
        self.parking.heard(terms.parked);
        let stays = terms.parked || self.parking.is_wished();
        self.parking.stillness = match (self.parking.stillness, stays) {
            (Stillness::Off, true) => {
                self.outputs.push(NodeOutput::Freeze);
                let terms = Some(number);
                Stillness::Freezing { terms }
            }
            (Stillness::Freezing { .. }, true) => {
                let terms = Some(number);
                Stillness::Freezing { terms }
            }
            (Stillness::Still | Stillness::Thawing, true) => Stillness::Still,
            (Stillness::Off, false) => Stillness::Off,
            (_, false) => Stillness::Thawing,
        };
        if !matches!(self.parking.stillness, Stillness::Freezing { .. }) {
            lease.acts_by(number);
        }
        if self.is_live() {
            self.thaw();
            self.beat_at(now);
        }
    }

    /// A coordinator that knows of no terms parks nobody.
    pub(super) fn no_terms(&mut self) {
        self.parking.heard(false);
        if !self.parking.is_wished() {
            self.parking.may_go_on();
        }
    }

    /// All attempts stand still.
    pub(super) fn on_frozen(&mut self, now: u64) {
        let Stillness::Freezing { terms } = self.parking.stillness else {
            return;
        };
        self.parking.stillness = Stillness::Still;
        if let (Some(terms), Some(lease)) = (terms, &mut self.lease) {
            lease.acts_by(terms);
        }
        self.beat_at(now);
    }

    /// The owner wants the attempts to stand still for so long, or to go on.
    pub(super) fn on_park(&mut self, now: u64, for_ms: Option<u64>) {
        // Nothing changes any more for one that stops.
        if self.leaves_at.is_some() {
            return;
        }
        match for_ms {
            Some(for_ms) => self.park(now, for_ms),
            None => self.unpark(now),
        }
        if self.is_live() {
            self.tell_wish(now);
            self.thaw();
        }
    }

    fn park(&mut self, now: u64, for_ms: u64) {
        let for_ms = for_ms.clamp(PARK_MS_MIN, PARK_MS_MAX);
        self.parking.wish = Some(Wish::Park {
            until: now.saturating_add(for_ms),
            is_told: false,
        });
        self.parking.stillness = match self.parking.stillness {
            Stillness::Off => {
                self.outputs.push(NodeOutput::Freeze);
                Stillness::Freezing { terms: None }
            }
            Stillness::Thawing => Stillness::Still,
            other => other,
        };
    }

    /// Who is known to be parked, or may be, goes on by the word of the coordinator.
    fn unpark(&mut self, now: u64) {
        let may_be_known = matches!(self.parking.wish, Some(Wish::Park { is_told: true, .. }));
        if self.parking.is_known || may_be_known {
            let until = now.saturating_add(PARK_NOTICE_TIMEOUT_MS);
            self.parking.wish = Some(Wish::Unpark { until });
        } else {
            self.parking.may_go_on();
        }
    }

    /// In a live session: says what the owner wants, if the coordinator has not taken it over.
    pub(super) fn tell_wish(&mut self, now: u64) {
        let notice = match &mut self.parking.wish {
            None => return,
            Some(Wish::Park { until, is_told }) => {
                *is_told = true;
                Some(until.saturating_sub(now).max(PARK_MS_MIN))
            }
            Some(Wish::Unpark { until }) => {
                *until = now.saturating_add(PARK_NOTICE_TIMEOUT_MS);
                None
            }
        };
        let batch = ProgressBatch {
            parked: Some(ParkNotice(notice)),
            ..ProgressBatch::default()
        };
        let framing = self.framing();
        self.send(framing.call(None, method::STATUS_UPDATE, &batch));
    }

    /// A wish may be over. Who the coordinator thinks is parked goes on by its word; one that it
    /// never parked, an older one for instance, goes on without.
    pub(super) fn look_at_wish(&mut self, now: u64) {
        let is_live = self.is_live();
        if self.parking.timer(is_live).is_none_or(|at| now < at) {
            return;
        }
        match self.parking.wish {
            Some(Wish::Unpark { .. }) if self.parking.is_known => self.tell_wish(now),
            Some(Wish::Park { .. }) if self.parking.is_known => self.parking.wish = None,
            _ => self.parking.may_go_on(),
        }
        if is_live {
            self.thaw();
        }
    }

    /// It is known what becomes of each attempt: those that are left go on, if they may.
    pub(super) fn thaw(&mut self) {
        if self.parking.stillness == Stillness::Thawing {
            self.parking.stillness = Stillness::Off;
            self.outputs.push(NodeOutput::Thaw);
        }
    }
}
