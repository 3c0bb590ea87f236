//! What a round did, counted and named.

use super::items::{Became, Item, Outcome};
use super::peers::Direction;
use serde::Serialize;
use skep_model::memory::{MemoryKey, Namespace};

/// Refused entries that a report names.
const REFUSED_SHOWN_MAX: usize = 100;

/// What became of entries that went one way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Tally {
    /// They are there now, alone or merged with what was there.
    pub taken: u64,
    /// What was there stays until somebody decides.
    pub conflicts: u64,
    /// They were known.
    pub unchanged: u64,
    /// What is there counts as later, and stays.
    pub older: u64,
    /// They were not taken in; each later round tries them again.
    pub refused: u64,
}

impl Tally {
    pub(super) fn add(&mut self, other: Self) {
        self.taken += other.taken;
        self.conflicts += other.conflicts;
        self.unchanged += other.unchanged;
        self.older += other.older;
        self.refused += other.refused;
    }

    const fn count(&mut self, outcome: Outcome) {
        let counted = match outcome {
            Outcome::Taken => &mut self.taken,
            Outcome::Conflict => &mut self.conflicts,
            Outcome::Unchanged => &mut self.unchanged,
            Outcome::Older => &mut self.older,
            Outcome::Refused => &mut self.refused,
        };
        *counted += 1;
    }
}

/// Why everything was compared, and not only what changed since the last round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum WholeReason {
    /// It was the first round.
    First,
    /// Another installation answers under the name of the peer.
    OtherInstallation,
    /// One of both has fewer versions than it had: it was put back from a backup.
    WentBack,
}

/// What a round did.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct PeerReport {
    /// The peer.
    pub peer: String,
    /// Which way entries went.
    pub direction: Direction,
    /// What came from the peer.
    pub pulled: Tally,
    /// What went to the peer.
    pub pushed: Tally,
    /// By namespace.
    pub(super) namespaces: Vec<NamespaceReport>,
    /// Entries that were not taken in, at most 100 of them.
    refused: Vec<RefusedItem>,
}

/// What a round did in one namespace.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(super) struct NamespaceReport {
    /// The namespace.
    pub(super) namespace: Namespace,
    /// What came from the peer.
    pub(super) pulled: Tally,
    /// What went to the peer.
    pub(super) pushed: Tally,
    /// Why everything was compared; none when only what changed was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) whole: Option<WholeReason>,
    /// Entries here that wait for a decision, those of earlier rounds included.
    pub(super) open_conflicts: usize,
    /// Whether removals there may not have been told: they are not all remembered, or the last round was
    /// longer ago than they are.
    pub(super) removals_may_be_missed: bool,
}

/// An entry that was not taken in.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct RefusedItem {
    /// Which side did not take it.
    by: RefusedBy,
    /// The namespace.
    namespace: Namespace,
    /// The key.
    key: MemoryKey,
    /// Stable code.
    code: String,
    /// What happened in this case.
    detail: String,
}

/// Who did not take an entry in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum RefusedBy {
    /// This installation.
    Here,
    /// The peer.
    Peer,
}

impl PeerReport {
    /// Nothing was done yet.
    pub(super) fn new(peer: &str, direction: Direction) -> Self {
        Self {
            peer: peer.to_owned(),
            direction,
            pulled: Tally::default(),
            pushed: Tally::default(),
            namespaces: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// Counts what became of a page.
    pub(super) fn note(&mut self, namespace: &Namespace, by: RefusedBy, page: &[(Item, Became)]) {
        for (_, became) in page {
            if let Some(report) = self.namespaces.last_mut() {
                let tally = match by {
                    RefusedBy::Here => &mut report.pulled,
                    RefusedBy::Peer => &mut report.pushed,
                };
                tally.count(became.outcome);
            }
            let is_shown = self.refused.len() < REFUSED_SHOWN_MAX;
            if became.outcome == Outcome::Refused && is_shown {
                self.refused.push(RefusedItem {
                    by,
                    namespace: namespace.clone(),
                    key: became.key.clone(),
                    code: became.code.clone().unwrap_or_default(),
                    detail: became.detail.clone().unwrap_or_default(),
                });
            }
        }
    }
}
