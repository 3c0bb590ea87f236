//! Which faults a seed brings, and how often.

use crate::random::Random;

/// Chances and durations of one seed, drawn once.
#[derive(Debug, Clone)]
pub(crate) struct Faults {
    /// Mean milliseconds between two faults of any kind; 0: none at all.
    pub(crate) every_ms: u64,
    /// One-way delay of a frame, milliseconds, from and to.
    pub(crate) delay_ms: (u64, u64),
    /// Frames delivered twice, of a thousand.
    pub(crate) duplicate_permille: u64,
    /// Frames that overtake earlier ones, of a thousand.
    pub(crate) reorder_permille: u64,
    /// Frames that vanish, of a thousand. Their connection stays up until a timeout.
    pub(crate) loss_permille: u64,
    /// Duration of a commit, milliseconds, from and to.
    pub(crate) disk_ms: (u64, u64),
    /// Whether the disk may be full for a while, or fail to sync.
    pub(crate) disk_fails: bool,
    /// Whether wall clocks may jump.
    pub(crate) clock_jumps: bool,
    /// Whether node processes may be stopped for a while and go on.
    pub(crate) pauses: bool,
    /// Longest time an attempt takes, milliseconds.
    pub(crate) attempt_ms_max: u64,
    /// Attempts that fail, of a thousand.
    pub(crate) attempt_failure_permille: u64,
}

impl Faults {
    pub(crate) fn draw(random: &mut Random) -> Self {
        let quiet = random.chance(50);
        let worst_delay = *random.pick(&[2, 20, 200, 2_000]);
        let sometimes = |random: &mut Random, permille: u64, max: u64| {
            if random.chance(permille) {
                random.between(1, max)
            } else {
                0
            }
        };
        Self {
            every_ms: if quiet {
                0
            } else {
                random.between(5_000, 90_000)
            },
            delay_ms: (0, random.between(1, worst_delay)),
            duplicate_permille: sometimes(random, 300, 50),
            reorder_permille: sometimes(random, 300, 50),
            loss_permille: sometimes(random, 300, 20),
            disk_ms: (0, *random.pick(&[1, 5, 50, 1_000])),
            disk_fails: random.chance(300),
            clock_jumps: random.chance(200),
            pauses: random.chance(200),
            attempt_ms_max: *random.pick(&[60_000, 60_000, 300_000]),
            attempt_failure_permille: *random.pick(&[0, 50, 300]),
        }
    }

    /// Whether every frame of an open connection arrives, once and in order.
    pub(crate) const fn frames_arrive(&self) -> bool {
        self.loss_permille == 0 && self.duplicate_permille == 0 && self.reorder_permille == 0
    }

    /// No faults: what is left heals and goes on.
    pub(crate) fn none() -> Self {
        Self {
            every_ms: 0,
            delay_ms: (0, 5),
            duplicate_permille: 0,
            reorder_permille: 0,
            loss_permille: 0,
            disk_ms: (0, 2),
            disk_fails: false,
            clock_jumps: false,
            pauses: false,
            // A lone node must get through the backlog.
            attempt_ms_max: 500,
            attempt_failure_permille: 0,
        }
    }
}
