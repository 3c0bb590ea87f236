//! Times what the engine does, for its statistics only: nothing is decided by it.

use crate::ports::Clock;
use std::fmt;
use std::sync::Arc;

/// A clock, or none: in the simulator nothing takes any time.
#[derive(Default)]
pub(crate) struct Stopwatch(Option<Arc<dyn Clock>>);

impl fmt::Debug for Stopwatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stopwatch").field(&self.0.is_some()).finish()
    }
}

impl Stopwatch {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self(Some(clock))
    }

    /// What the work returns, and how many microseconds it took, if that is measured.
    pub(crate) fn time<T>(&self, work: impl FnOnce() -> T) -> (T, Option<u64>) {
        let start = self.0.as_ref().map(|clock| clock.elapsed_us());
        let done = work();
        let took = self
            .0
            .as_ref()
            .zip(start)
            .map(|(clock, start)| clock.elapsed_us().saturating_sub(start));
        (done, took)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_model::time::UnixMillis;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// Each look at it costs three milliseconds.
    struct Coarse(AtomicU64);

    impl Clock for Coarse {
        fn wall(&self) -> UnixMillis {
            UnixMillis(0)
        }

        fn elapsed_ms(&self) -> u64 {
            self.0.fetch_add(3, Ordering::Relaxed)
        }
    }

    #[test]
    fn work_is_timed_only_where_there_is_a_clock() {
        let with = Stopwatch::new(Arc::new(Coarse(AtomicU64::new(5))));
        assert_eq!(with.time(|| "done"), ("done", Some(3_000)));
        assert_eq!(Stopwatch::default().time(|| "done"), ("done", None));
    }
}
