//! Removes what the retention policy gives up, in rounds of bounded pieces.

mod history;
mod memory;
pub(super) mod removal;

pub(super) use memory::Aged;

#[cfg(test)]
mod memory_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod upkeep_tests;

use super::retention::{self, EventBounds};
use super::{SqliteJournal, classify};
use crate::retention::{RetentionPolicy, SweepReport, before};
use history::Scan;
use rusqlite::TransactionBehavior;
use skep_coordinator::ports::{Clock, JournalError};
use skep_model::attempt::LogIndex;
use skep_model::time::UnixMillis;
use std::fmt;
use std::sync::Arc;

/// Rows looked at or removed in one piece: a few milliseconds, as long as a commit.
const ROWS_PER_PIECE: u32 = 100;
/// Versions of shared memory looked at in one piece; most need nothing but a look.
const VERSIONS_PER_PIECE: u32 = 500;
/// A round begins this long after the one before it ended, milliseconds.
const ROUND_PAUSE_MS: u64 = 60_000;
/// Without a pause between commits, a piece is done behind a commit this often, milliseconds.
const PIECE_PAUSE_MS: u64 = 500;

/// A walk through everything that may be due.
#[derive(Debug)]
pub(super) struct Round {
    stage: Stage,
}

/// What comes next in a round.
#[derive(Debug)]
enum Stage {
    History(Scan),
    Memory,
    Events,
    Log,
}

/// When the journal sweeps by itself.
pub(super) struct Upkeep {
    policy: RetentionPolicy,
    clock: Arc<dyn Clock>,
    /// When the next piece is due, in milliseconds of the clock.
    due_at_ms: u64,
    done: SweepReport,
}

impl Upkeep {
    /// The present time, and what is kept.
    pub(super) fn terms(&self) -> (UnixMillis, RetentionPolicy) {
        (self.clock.wall(), self.policy)
    }
}

impl fmt::Debug for Upkeep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upkeep")
            .field("policy", &self.policy)
            .field("due_at_ms", &self.due_at_ms)
            .finish_non_exhaustive()
    }
}

impl SqliteJournal {
    /// From now on the journal removes by itself what the policy gives up: in idle time, and now
    /// and then behind a commit when there is none.
    #[must_use]
    pub fn with_retention(mut self, policy: RetentionPolicy, clock: Arc<dyn Clock>) -> Self {
        let due_at_ms = clock.elapsed_ms();
        self.upkeep = Some(Upkeep {
            policy,
            clock,
            due_at_ms,
            done: SweepReport::default(),
        });
        self
    }

    /// One bounded piece of a round; the round goes on with the next call while there is more.
    ///
    /// # Errors
    /// As for a commit: the journal refuses everything after a failure, except on a full disk.
    pub fn sweep(
        &mut self,
        now: UnixMillis,
        policy: &RetentionPolicy,
    ) -> Result<SweepReport, JournalError> {
        self.guarded(|journal| journal.sweep_piece(now, policy))
    }

    fn sweep_piece(
        &mut self,
        now: UnixMillis,
        policy: &RetentionPolicy,
    ) -> Result<SweepReport, JournalError> {
        let checkpoint = self.head.checkpoint;
        let round = self.round.take();
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(classify("begin a sweep"))?;
        let stage = match round {
            Some(round) => round.stage,
            None => Stage::History(Scan::new(
                &transaction,
                before(now, policy.history_kept_ms),
            )?),
        };
        let (mut report, mut moved) = (SweepReport::default(), false);
        let next = match stage {
            Stage::History(scan) => Some(
                match scan.step(&transaction, ROWS_PER_PIECE, &mut report)? {
                    Some(scan) => Stage::History(scan),
                    None if memory::is_due(&transaction)? => Stage::Memory,
                    None => Stage::Events,
                },
            ),
            Stage::Memory => {
                let bounds = memory::Bounds {
                    cutoff: before(now, policy.history_kept_ms),
                    limit: VERSIONS_PER_PIECE,
                };
                let aged = &mut self.memory_aged;
                let trimmed = memory::step(&transaction, bounds, aged, &mut report)?;
                moved = trimmed > 0;
                Some(if trimmed == VERSIONS_PER_PIECE {
                    Stage::Memory
                } else {
                    Stage::Events
                })
            }
            Stage::Events => {
                let bounds = EventBounds {
                    keep_from: checkpoint,
                    kept_max: policy.event_entries_kept_max,
                    cutoff: before(now, policy.events_kept_ms),
                };
                report.event_entries =
                    retention::forget_events(&transaction, bounds, ROWS_PER_PIECE)?;
                Some(if report.event_entries < u64::from(ROWS_PER_PIECE) {
                    Stage::Log
                } else {
                    Stage::Events
                })
            }
            Stage::Log => {
                let bound = LogIndex(checkpoint.0.saturating_sub(policy.log_entries_kept));
                report.log_entries = retention::forget_log(&transaction, bound, ROWS_PER_PIECE)?;
                (report.log_entries >= u64::from(ROWS_PER_PIECE)).then_some(Stage::Log)
            }
        };
        report.more = next.is_some();
        // Without a change there is nothing to sync.
        let removed = report
            != (SweepReport {
                more: report.more,
                ..SweepReport::default()
            });
        if removed || moved {
            transaction.commit().map_err(classify("commit a sweep"))?;
        }
        self.round = next.map(|stage| Round { stage });
        Ok(report)
    }

    /// A piece in idle time, if one is due. Says whether the round goes on.
    pub(super) fn sweep_idle(&mut self) -> Result<bool, JournalError> {
        let Some(upkeep) = &self.upkeep else {
            return Ok(false);
        };
        if self.round.is_none() && upkeep.clock.elapsed_ms() < upkeep.due_at_ms {
            return Ok(false);
        }
        self.sweep_by_policy()
    }

    /// A piece behind a commit, if the last one was long ago: under a load without pauses nothing
    /// would ever be removed.
    pub(super) fn sweep_behind_commit(&mut self) {
        let due = self
            .upkeep
            .as_ref()
            .is_some_and(|upkeep| upkeep.clock.elapsed_ms() >= upkeep.due_at_ms);
        if !due {
            return;
        }
        // The commit itself is durable. What failed here is said with the next one.
        if let Err(error) = self.sweep_by_policy() {
            tracing::error!(%error, "could not remove what is no longer kept");
        }
        if let Err(error) = self.compact_step() {
            tracing::error!(%error, "could not go on with a compaction");
        }
    }

    fn sweep_by_policy(&mut self) -> Result<bool, JournalError> {
        let Some(upkeep) = &self.upkeep else {
            return Ok(false);
        };
        let (now, policy) = upkeep.terms();
        let result = self.sweep(now, &policy);
        let Some(upkeep) = &mut self.upkeep else {
            return Ok(false);
        };
        let pause = match &result {
            Ok(report) if report.more => PIECE_PAUSE_MS,
            _ => ROUND_PAUSE_MS,
        };
        upkeep.due_at_ms = upkeep.clock.elapsed_ms().saturating_add(pause);
        let report = result?;
        upkeep.done.add(&report);
        if !report.more {
            let done = std::mem::take(&mut upkeep.done);
            if done != SweepReport::default() {
                tracing::info!(?done, "removed what is no longer kept");
            }
        }
        Ok(report.more)
    }
}
