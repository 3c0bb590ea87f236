//! Carries entries between this installation and others: each side tells what changed, takes in what
//! the other tells, and strategies decide where both wrote.
//!
//! Stamps travel under the ids of installations ([`clocks`]); what is to be sent and what is known
//! already follows from entries alone ([`outgoing`], [`incoming`]); how far a peer is known is kept in
//! shared memory ([`progress`]). One round does it in both directions ([`round`]).

mod clocks;
#[cfg(test)]
mod convergence_tests;
mod incoming;
mod items;
mod outgoing;
mod peers;
mod progress;
mod report;
mod round;
mod serving;

pub use items::{Applied, Became, ChangesPage, ChangesQuestion, Delivery, Item, ItemPut, Outcome};
pub use peers::{Direction, Peer, PeerFault, PeerLink, PeerNameError, Peers};
pub use report::{PeerReport, Tally};
pub use serving::sync_with_peer;

pub(super) use serving::operations;
