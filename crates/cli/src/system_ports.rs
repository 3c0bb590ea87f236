//! The ports of the coordinator that the system itself serves: clocks and randomness.

use skep_coordinator::ports::{Clock, Entropy};
use skep_model::time::UnixMillis;

/// The clocks of the system.
#[derive(Debug)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn wall(&self) -> UnixMillis {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        UnixMillis(since.map_or(0, |since| since.as_millis() as u64))
    }

    /// `CLOCK_BOOTTIME`: it also counts while a laptop sleeps, so that a lease does not look
    /// fresh when it wakes.
    fn elapsed_ms(&self) -> u64 {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        time.tv_sec as u64 * 1_000 + time.tv_nsec as u64 / 1_000_000
    }

    fn elapsed_us(&self) -> u64 {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        time.tv_sec as u64 * 1_000_000 + time.tv_nsec as u64 / 1_000
    }
}

/// Randomness of the system.
#[derive(Debug)]
pub(crate) struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn id(&mut self) -> u128 {
        uuid::Uuid::now_v7().as_u128()
    }

    fn seed(&mut self) -> u64 {
        getrandom::u64().expect("the system gives randomness once it has booted")
    }
}
