//! Applying what is durable, while the next commit may be written.

use super::sessions::react_to_seats;
use super::{Engine, Now, Origin, Output};
use crate::applier::{Done, Reaction};
use crate::gathering::{self, Waiting};
use crate::ports::Commit;
use crate::view::View;
use skep_model::attempt::LogIndex;
use skep_model::command::LogEntry;
use std::sync::Arc;

/// A commit that is durable and not applied yet, with those who wait for its entries.
#[derive(Debug)]
pub(super) struct Stored {
    commit: Commit,
    waiting: Vec<Waiting<Origin>>,
}

impl Engine {
    /// The commit is durable. When so many wait that it is worth it, the next one starts before this
    /// one is applied: the disk and this thread then work at the same time. What waits was proposed
    /// without knowing of the last one.
    pub(super) fn begin_applying(
        &mut self,
        commit: Commit,
        waiting: Vec<Waiting<Origin>>,
        out: &mut Vec<Output>,
    ) {
        self.stored = Some(Stored { commit, waiting });
        if self.sequencer.outside_waiting() >= self.overlap_from {
            self.start_commit(out);
        }
    }

    /// Applies what is durable, and tells whoever waits for it.
    pub(super) fn apply_stored(&mut self, now: Now, out: &mut Vec<Output>) {
        let Some(Stored { commit, waiting }) = self.stored.take() else {
            return;
        };
        let shared = Arc::clone(&self.view);
        let mut view = shared.write();
        view.log_clock = self.log_clock;
        if let Some((archived, _)) = commit.derived.events.last() {
            view.recent.archived(archived.index);
        }
        for ((index, entry), waiting) in commit.entries.into_iter().zip(waiting) {
            self.apply(now, &mut view, (index, &entry), waiting, out);
        }
        drop(view);
        self.decision_wanted = true;
        self.derived_since = self.applier.has_derived().then_some(now.elapsed_ms);
    }

    fn apply(
        &mut self,
        now: Now,
        view: &mut View,
        (index, entry): (LogIndex, &LogEntry),
        waiting: Waiting<Origin>,
        out: &mut Vec<Output>,
    ) {
        let Done { events, write_ends } = self.applier.apply(view, index, entry, &mut self.stats);
        view.observe(&events);
        let reaction = Reaction {
            state: &view.state,
            events: &events,
        };
        self.links.react(&reaction, out);
        self.moves.note(&reaction);
        match waiting {
            Waiting::One(origin) => self.settled(now, origin, &reaction, out),
            Waiting::Several(origins) => {
                for (origin, events) in gathering::shares(&events, &write_ends, origins) {
                    let reaction = Reaction {
                        state: &view.state,
                        events: &events,
                    };
                    self.settled(now, origin, &reaction, out);
                }
            }
        }
        if reaction.changes_holds() {
            self.liveness.look_again(now.elapsed_ms);
        }
        let removed = reaction.removed_nodes();
        for node in removed {
            self.liveness.forget(node);
            view.metrics.remove(&node);
        }
        react_to_seats(&mut self.attendance, view, &events.events, now, out);
        out.push(Output::Publish(events));
    }
}
