//! The time that the node's session goes by.

use rustix::time::{ClockId, clock_gettime};

/// Milliseconds since the machine started, its sleep included: a lease also runs out while a
/// laptop is closed.
pub(crate) fn boot_ms() -> u64 {
    let time = clock_gettime(ClockId::Boottime);
    // Neither is negative: the clock starts at zero.
    time.tv_sec.unsigned_abs() * 1_000 + time.tv_nsec.unsigned_abs() / 1_000_000
}

/// Milliseconds since 1970.
pub(crate) fn unix_ms() -> u64 {
    let time = clock_gettime(ClockId::Realtime);
    time.tv_sec.unsigned_abs() * 1_000 + time.tv_nsec.unsigned_abs() / 1_000_000
}
