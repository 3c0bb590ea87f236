//! What becomes due by the passing of time alone.

use super::link::{Asked, Link, connect_gives_up_at};
use super::{KillReason, NodeEnd, NodeOutput};
use crate::bounds::HEARTBEAT_JITTER_PERCENT;
use crate::codec::method;
use crate::payload::{Heartbeat, ProgressBatch};
use skep_model::limits::ITEMS_PER_FRAME_MAX;
use skep_model::planted::{PlantedBug, planted};
use skep_model::task::HandBack;

impl NodeEnd {
    /// When [`super::NodeInput::Tick`] has to be handed in at the latest; none when the node is
    /// over.
    pub fn next_timer(&self) -> Option<u64> {
        let link = match &self.link {
            Link::Over => return None,
            // A node that stops does not connect again.
            Link::Down { .. } if self.leaves_at.is_some() => None,
            Link::Down { retry_at } => Some(*retry_at),
            Link::Connecting { since } => Some(connect_gives_up_at(*since)),
            Link::Up(connection) => {
                let (gives_up_at, _) = connection.gives_up_at(self.silence_ms());
                Some(gives_up_at.min(connection.heartbeat_at.unwrap_or(u64::MAX)))
            }
        };
        let in_session = if self.is_live() {
            [
                self.attempts.progress_timer(),
                self.spool.retry_timer(),
                self.question_timer(),
            ]
        } else {
            [None; 3]
        };
        let stop = self.is_live().then(|| self.away.timer()).flatten();
        let parking = self.parking.timer(self.is_live());
        [link, self.fenced_at(), self.leaves_at, stop, parking]
            .into_iter()
            .chain(in_session)
            .flatten()
            .min()
    }

    fn silence_ms(&self) -> Option<u64> {
        self.lease.map(|lease| lease.silence_ms())
    }

    /// When attempts have to be stopped, if there are any.
    fn fenced_at(&self) -> Option<u64> {
        let lease = self.lease.as_ref()?;
        if planted(PlantedBug::NoSelfFence) {
            return None;
        }
        self.attempts.any_goes_on().then(|| lease.fenced_at())
    }

    pub(super) fn run_timers(&mut self, now: u64) {
        self.away.give_up(now);
        self.look_at_wish(now);
        if self.fenced_at().is_some_and(|at| at <= now) {
            self.fence_itself(now);
        }
        match &self.link {
            Link::Over => return,
            Link::Down { retry_at } => {
                if *retry_at <= now && self.leaves_at.is_none() {
                    self.link = Link::Connecting { since: now };
                    self.outputs.push(NodeOutput::Connect);
                }
            }
            Link::Connecting { since } => {
                if connect_gives_up_at(*since) <= now {
                    self.close(now, "connecting took longer than CONNECT_TIMEOUT_MS");
                }
            }
            Link::Up(connection) => {
                let (at, reason) = connection.gives_up_at(self.silence_ms());
                let heartbeat_due = connection.heartbeat_at.is_some_and(|due| due <= now);
                if at <= now {
                    self.close(now, reason);
                } else if heartbeat_due {
                    self.send_heartbeat(now);
                }
            }
        }
        if self.is_live() {
            self.spool.retry_refused(now);
            self.report_progress(now);
            self.give_up_questions(now);
        }
    }

    /// The lease ran out, as far as the node can know: it stops its work before anyone else may
    /// be given it. The connection goes too, so that the next session begins with the truth.
    fn fence_itself(&mut self, now: u64) {
        self.stop_attempts(KillReason::SelfFenced, HandBack::LeaseExpired);
        if matches!(self.link, Link::Up(_)) {
            self.close(
                now,
                "no heartbeat was answered for too long: the work is not this node's any more",
            );
        }
    }

    /// The next heartbeat does not wait any longer: there is something to say.
    pub(super) fn beat_at(&mut self, now: u64) {
        if let Link::Up(connection) = &mut self.link {
            connection.heartbeat_at = connection.heartbeat_at.map(|at| at.min(now));
        }
    }

    fn send_heartbeat(&mut self, now: u64) {
        let (Some(lease), Link::Up(connection)) = (&self.lease, &mut self.link) else {
            return;
        };
        let sequence = connection.next_sequence();
        let frame = connection.request(
            now,
            method::HEALTH_CHECK,
            &Heartbeat {
                sequence,
                terms: lease.terms(),
            },
            Asked::Heartbeat { sequence },
        );
        let delay = self
            .jitter
            .around(lease.heartbeat_ms, HEARTBEAT_JITTER_PERCENT);
        connection.heartbeat_at = Some(now.saturating_add(delay));
        self.send(frame);
    }

    /// A heartbeat was answered: the lease counts from when it was sent.
    pub(super) fn heartbeat_answered(&mut self, now: u64, sent_at: u64) {
        let awake_is_fresh = planted(PlantedBug::SleepCountedAsFresh);
        if let Some(lease) = &mut self.lease {
            lease.renew(if awake_is_fresh { now } else { sent_at });
        }
        if let Link::Up(connection) = &mut self.link {
            connection.round_trips.add(now.saturating_sub(sent_at));
        }
    }

    fn report_progress(&mut self, now: u64) {
        let items = self.attempts.take_progress(now);
        for chunk in items.chunks(ITEMS_PER_FRAME_MAX) {
            let batch = ProgressBatch {
                items: chunk.to_vec(),
                ..ProgressBatch::default()
            };
            let framing = self.framing();
            self.send(framing.call(None, method::STATUS_UPDATE, &batch));
        }
    }
}
