//! Whether an attempt that stands still on a parked node waits for it, or is begun anew elsewhere:
//! whichever is expected to end earlier.
//!
//! Nobody knows how long an attempt takes. Expected is what successful attempts took on its agent,
//! drawn to the average of the swarm while there are few of them. One that has lasted as long as
//! that, or of which nothing is known, is taken to be half done: it lasts as long again. On another
//! agent the same attempt takes longer or shorter by as much as the two differ otherwise. None
//! lasts longer than its timeout.

use crate::performance::expected_ms;
use skep_model::time::UnixMillis;

/// What an agent did so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Attempts that succeeded.
    pub succeeded: u64,
    /// Their total duration, milliseconds.
    pub busy_ms: u64,
}

/// An attempt that stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StandingStill {
    /// When its node is to wake up, as was announced.
    pub until: UnixMillis,
    /// How long it had run when it began to stand still, milliseconds.
    pub ran_ms: u64,
    /// How long it may run in all, milliseconds, if that is bounded.
    pub timeout_ms: Option<u64>,
    /// When its task expires.
    pub deadline: Option<UnixMillis>,
    /// Who runs it.
    pub pace: Pace,
    /// What a successful attempt took on average in the swarm, milliseconds; 0 when there was none.
    pub mean_ms: u64,
}

impl StandingStill {
    /// Whether this agent, on another node, is expected to end it earlier if it begins anew now.
    /// One whose task expires before its node wakes up has nothing to lose.
    pub fn is_better_moved(&self, now: UnixMillis, to: Pace) -> bool {
        let whole_ms = self.whole_ms();
        let resumed_end = self.until.max(now).plus(whole_ms - self.ran_ms);
        let moved_end = now.plus(self.elsewhere_ms(whole_ms, to));
        let expires_waiting = self.deadline.is_some_and(|deadline| deadline <= self.until);
        expires_waiting || moved_end < resumed_end
    }

    fn expected_ms(&self, pace: Pace) -> u64 {
        expected_ms(self.mean_ms, pace.succeeded, pace.busy_ms)
    }

    /// How long it is expected to run in all where it is, milliseconds; never less than it ran.
    fn whole_ms(&self) -> u64 {
        let expected_ms = self.expected_ms(self.pace);
        let whole_ms = if expected_ms > self.ran_ms {
            expected_ms
        } else {
            self.ran_ms.saturating_mul(2)
        };
        self.bounded(whole_ms).max(self.ran_ms)
    }

    /// How long it is expected to run there if it takes so long here, milliseconds.
    fn elsewhere_ms(&self, whole_ms: u64, to: Pace) -> u64 {
        let (here, there) = (self.expected_ms(self.pace), self.expected_ms(to));
        if here == 0 || there == 0 {
            return whole_ms;
        }
        let scaled = u128::from(whole_ms) * u128::from(there) / u128::from(here);
        self.bounded(u64::try_from(scaled).unwrap_or(u64::MAX))
    }

    fn bounded(&self, ms: u64) -> u64 {
        self.timeout_ms.map_or(ms, |timeout_ms| ms.min(timeout_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: Pace = Pace {
        succeeded: 0,
        busy_ms: 0,
    };
    const MINUTE: u64 = 60_000;

    /// An agent that did very many attempts of so many minutes.
    const fn of_minutes(minutes: u64) -> Pace {
        Pace {
            succeeded: 1_000_000,
            busy_ms: minutes * MINUTE * 1_000_000,
        }
    }

    /// All times in minutes from now.
    struct Row {
        wakes: u64,
        ran: u64,
        mean: u64,
        timeout: Option<u64>,
        deadline: Option<u64>,
        here: Pace,
        there: Pace,
    }

    const ROW: Row = Row {
        wakes: 30,
        ran: 10,
        mean: 60,
        timeout: None,
        deadline: None,
        here: NEW,
        there: NEW,
    };

    const ROWS: &[(&str, Row, bool)] = &[
        ("10 minutes are lost, 30 are won", ROW, true),
        (
            "30 minutes are lost, 30 are won",
            Row { ran: 30, ..ROW },
            false,
        ),
        ("the node wakes up soon", Row { wakes: 5, ..ROW }, false),
        (
            "it is awake and late",
            Row {
                wakes: 0,
                ran: 0,
                ..ROW
            },
            false,
        ),
        ("it had not begun", Row { ran: 0, ..ROW }, true),
        ("nothing is known: lost 10", Row { mean: 0, ..ROW }, true),
        (
            "nothing is known: lost 40",
            Row {
                mean: 0,
                ran: 40,
                ..ROW
            },
            false,
        ),
        ("longer than usual already", Row { ran: 90, ..ROW }, false),
        (
            "longer than usual, away longer still",
            Row {
                ran: 90,
                wakes: 95,
                ..ROW
            },
            true,
        ),
        (
            "twice as fast there: 60 there, 30 and 60 here",
            Row {
                ran: 60,
                here: of_minutes(120),
                there: of_minutes(60),
                ..ROW
            },
            true,
        ),
        (
            "half as fast there: 120 there, 30 and 50 here",
            Row {
                here: of_minutes(60),
                there: of_minutes(120),
                ..ROW
            },
            false,
        ),
        (
            "a timeout bounds both: 40 there, 30 and 30 here",
            Row {
                timeout: Some(40),
                here: of_minutes(60),
                there: of_minutes(120),
                ..ROW
            },
            true,
        ),
        (
            "it would expire before the node wakes up",
            Row {
                ran: 90,
                deadline: Some(30),
                ..ROW
            },
            true,
        ),
        (
            "nobody makes it in time: what ends earlier is closer",
            Row {
                ran: 40,
                deadline: Some(31),
                ..ROW
            },
            false,
        ),
    ];

    #[test]
    fn what_ends_earlier_is_chosen() {
        for (name, row, expected) in ROWS {
            let now = UnixMillis(1_000_000);
            let in_minutes = |minutes: u64| now.plus(minutes * MINUTE);
            let attempt = StandingStill {
                until: in_minutes(row.wakes),
                ran_ms: row.ran * MINUTE,
                timeout_ms: row.timeout.map(|timeout| timeout * MINUTE),
                deadline: row.deadline.map(in_minutes),
                pace: row.here,
                mean_ms: row.mean * MINUTE,
            };
            assert_eq!(attempt.is_better_moved(now, row.there), *expected, "{name}");
        }
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() {
        let most = Pace {
            succeeded: u64::MAX,
            busy_ms: u64::MAX,
        };
        let attempt = StandingStill {
            until: UnixMillis(u64::MAX),
            ran_ms: u64::MAX,
            timeout_ms: Some(1),
            deadline: None,
            pace: NEW,
            mean_ms: u64::MAX,
        };
        assert!(attempt.is_better_moved(UnixMillis(0), most));
    }
}
