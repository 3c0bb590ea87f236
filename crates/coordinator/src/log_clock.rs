//! The time of the log: what is stamped into entries, and what tokens and timers count by.

use crate::engine::Now;
use skep_model::time::UnixMillis;

/// The time of the log, and the rule for everything that ends at a time.
///
/// Log time is the wall clock, but it never goes back and never stands still. While the wall clock
/// is behind the newest stamp, log time goes on by what really passed since that stamp: after a
/// jump forward that was corrected it stays ahead of the wall clock by the size of the jump, until
/// the wall clock has caught up.
///
/// What follows for whatever ends (join tokens, API tokens, sessions of nodes, deadlines):
///
/// * A lifetime counts from the entry that made the thing, on log time. The core takes only the
///   length of the lifetime from the command, not the end: the proposer may have looked at another
///   clock than the stamp came from. So nothing is born dead, and nothing outlives its lifetime.
/// * A jump forward ends what it jumps over, and its correction brings nothing back to life.
/// * What was made during the jump lives its whole lifetime after the correction, and no longer.
/// * A session of a node is in no log entry. One whose end is further away than a lifetime was
///   made by a clock that was ahead, and is refused; the node logs in again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogClock {
    /// The newest time that was stamped into an entry.
    stamped: UnixMillis,
    /// When that was, on the clock that only measures.
    elapsed_ms: u64,
}

impl LogClock {
    /// A clock that goes on from the newest entry.
    pub(crate) const fn starting(newest: UnixMillis, elapsed_ms: u64) -> Self {
        Self {
            stamped: newest,
            elapsed_ms,
        }
    }

    /// The time of the log.
    pub fn at(&self, now: Now) -> UnixMillis {
        let passed = now.elapsed_ms.saturating_sub(self.elapsed_ms);
        now.wall.max(self.stamped.plus(passed))
    }

    /// The time for an entry; later ones are not before it.
    pub(crate) fn stamp(&mut self, now: Now) -> UnixMillis {
        self.stamped = self.at(now);
        self.elapsed_ms = now.elapsed_ms;
        self.stamped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;

    #[test]
    fn log_time_never_goes_back_and_never_stands_still() {
        let mut clock = LogClock::starting(UnixMillis(1_000), 0);
        for (step, wall, elapsed_ms, expected) in [
            ("the wall clock leads", 5_000, 10, 5_000),
            ("a jump forward", 5_000 + HOUR, 20, 5_000 + HOUR),
            ("its correction", 5_010, 30, 5_010 + HOUR),
            ("time passes meanwhile", 6_010, 1_030, 6_010 + HOUR),
            ("the wall clock is set back", 0, 2_030, 7_010 + HOUR),
            ("it has caught up", 9_000 + HOUR, 3_030, 9_000 + HOUR),
        ] {
            let now = Now {
                wall: UnixMillis(wall),
                elapsed_ms,
            };
            assert_eq!(clock.at(now), UnixMillis(expected), "{step}");
            assert_eq!(clock.stamp(now), UnixMillis(expected), "{step}");
        }
    }
}
