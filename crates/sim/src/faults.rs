//! Which faults a seed brings, and how often.

use crate::random::Random;
use skep_wire::payload::Credit;

/// What happens in some seeds only, because other checks are looser then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The disk is full for a while, or fails to sync.
    DiskFails,
    /// Wall clocks jump.
    ClockJumps,
    /// Node processes are stopped for a while and go on.
    Pauses,
    /// Machines sleep.
    Sleeps,
    /// State directories are copied, and the copies started.
    Copies,
}

impl Trouble {
    const ALL: [Self; 5] = [
        Self::DiskFails,
        Self::ClockJumps,
        Self::Pauses,
        Self::Sleeps,
        Self::Copies,
    ];

    /// Seeds that have it, of a thousand.
    const fn permille(self) -> u64 {
        match self {
            Self::DiskFails => 300,
            Self::ClockJumps | Self::Pauses => 200,
            Self::Sleeps => 400,
            Self::Copies => 250,
        }
    }
}

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
    /// What may happen in this seed, but not in all.
    troubles: Vec<Trouble>,
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
            troubles: Trouble::ALL
                .into_iter()
                .filter(|trouble| random.chance(trouble.permille()))
                .collect(),
            attempt_ms_max: *random.pick(&[60_000, 60_000, 300_000]),
            attempt_failure_permille: *random.pick(&[0, 50, 300]),
        }
    }

    /// Whether this may happen.
    pub(crate) fn bring(&self, trouble: Trouble) -> bool {
        self.troubles.contains(&trouble)
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
            troubles: Vec::new(),
            // A lone node must get through the backlog.
            attempt_ms_max: 500,
            attempt_failure_permille: 0,
        }
    }
}

/// Small windows of credit in both directions, so that they are felt.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flow {
    pub(crate) assign_window: Credit,
    pub(crate) result_window: Credit,
}

impl Flow {
    /// The windows of a seed, if its ends use credits.
    pub(crate) fn draw(random: &mut Random) -> Option<Self> {
        let mut window = || Credit {
            items: random.between(1, 6),
            bytes: *random.pick(&[1, 1_500, 1 << 20]),
        };
        let flow = Self {
            assign_window: window(),
            result_window: window(),
        };
        random.chance(600).then_some(flow)
    }
}
