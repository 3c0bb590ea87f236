//! Credits: how much one side may have under way to the other.
//!
//! Grants are totals counted from the start of the connection, so that a repeated or late one does
//! no harm. The receiver grants what it has dealt with plus its window. The sender keeps its total
//! within the grant, with one exception that makes a dead end impossible: while nothing is under
//! way, one item may exceed the bytes. Items are never exceeded: a receiver that stops granting
//! stops the sender.

use crate::payload::Credit;
use skep_model::planted::{PlantedBug, planted};

/// What may be sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) items: u64,
    pub(crate) bytes: u64,
    /// Nothing is under way: the first item may exceed the bytes.
    pub(crate) may_exceed: bool,
}

impl Room {
    pub(crate) const UNBOUNDED: Self = Self {
        items: u64::MAX,
        bytes: u64::MAX,
        may_exceed: true,
    };

    /// Whether a frame of this length may hold one more than these items.
    pub(crate) const fn holds(self, items: usize, length: u64) -> bool {
        length <= self.bytes || (items == 0 && self.may_exceed)
    }
}

/// The sender's side. Without a grant it is not bounded.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Spending {
    granted: Option<Credit>,
    sent: Credit,
}

impl Spending {
    /// Credits were agreed on, and this is the first grant.
    pub(crate) const fn bounded(granted: Credit) -> Self {
        Self {
            granted: Some(granted),
            sent: Credit { items: 0, bytes: 0 },
        }
    }

    /// A grant came in; an old one changes nothing, and none counts where none was agreed on.
    pub(crate) fn grant(&mut self, credit: Credit) {
        if let Some(granted) = &mut self.granted {
            granted.items = granted.items.max(credit.items);
            granted.bytes = granted.bytes.max(credit.bytes);
        }
    }

    pub(crate) fn room(&self, nothing_under_way: bool) -> Room {
        match self.granted {
            None => Room::UNBOUNDED,
            Some(_) if planted(PlantedBug::CreditIgnored) => Room::UNBOUNDED,
            Some(granted) => Room {
                items: granted.items.saturating_sub(self.sent.items),
                bytes: granted.bytes.saturating_sub(self.sent.bytes),
                may_exceed: nothing_under_way,
            },
        }
    }

    pub(crate) const fn spend(&mut self, items: u64, bytes: u64) {
        self.sent.items = self.sent.items.saturating_add(items);
        self.sent.bytes = self.sent.bytes.saturating_add(bytes);
    }
}

/// The receiver's side.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Granting {
    window: Credit,
    received: Credit,
    done: Credit,
    granted: Credit,
    paused: bool,
}

impl Granting {
    /// The window is granted at the start.
    pub(crate) const fn new(window: Credit) -> Self {
        Self {
            window,
            received: Credit { items: 0, bytes: 0 },
            done: Credit { items: 0, bytes: 0 },
            granted: window,
            paused: false,
        }
    }

    /// Takes a frame in; false if it exceeds what was granted.
    #[must_use]
    pub(crate) const fn receive(&mut self, items: u64, bytes: u64) -> bool {
        let nothing_under_way = self.received.items == self.done.items;
        let received = Credit {
            items: self.received.items.saturating_add(items),
            bytes: self.received.bytes.saturating_add(bytes),
        };
        let fits = received.items <= self.granted.items
            && (received.bytes <= self.granted.bytes || (nothing_under_way && items == 1));
        if fits {
            self.received = received;
        }
        fits
    }

    /// Items were dealt with.
    pub(crate) const fn finish(&mut self, items: u64, bytes: u64) {
        self.done.items = self.done.items.saturating_add(items);
        self.done.bytes = self.done.bytes.saturating_add(bytes);
    }

    /// Grants nothing more for now, or again.
    pub(crate) const fn pause(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// What is to be told to the sender, once it is worth a message: half of the window.
    pub(crate) fn next_grant(&mut self) -> Option<Credit> {
        let grant = Credit {
            items: self.done.items.saturating_add(self.window.items),
            bytes: self.done.bytes.saturating_add(self.window.bytes),
        };
        let worth = |granted: u64, grant: u64, window: u64| {
            grant.saturating_sub(granted) >= (window / 2).max(1)
        };
        let is_due = worth(self.granted.items, grant.items, self.window.items)
            || worth(self.granted.bytes, grant.bytes, self.window.bytes);
        if self.paused || !is_due || planted(PlantedBug::CreditNotReturned) {
            return None;
        }
        self.granted = grant;
        Some(grant)
    }
}

#[cfg(test)]
mod tests;
