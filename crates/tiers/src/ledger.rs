//! What this process has put into tier 2, so that it never takes more room there than it may.
//!
//! A process that was started anew has an empty ledger: what its predecessor left there goes by
//! itself within [`SHARED_TTL`](crate::SHARED_TTL), and until then both may lie there.

use crate::envelope::Location;
use moka::notification::RemovalCause;
use moka::sync::Cache;
use std::time::Duration;

#[derive(Debug)]
pub(crate) struct Ledger {
    sizes: Cache<Location, u32>,
}

impl Ledger {
    /// `forget` is called with what has to go to make room.
    pub(crate) fn new(
        bytes_max: u64,
        ttl: Duration,
        forget: impl Fn(Location) + Send + Sync + 'static,
    ) -> Self {
        let sizes = Cache::builder()
            .max_capacity(bytes_max)
            .weigher(|_, bytes: &u32| *bytes)
            .time_to_live(ttl)
            .eviction_listener(move |location, _, cause| {
                // What expired here expires there, too.
                if cause == RemovalCause::Size {
                    forget(*location);
                }
            })
            .build();
        Self { sizes }
    }

    /// Whether it is there already, as far as this process knows.
    pub(crate) fn has(&self, location: &Location) -> bool {
        self.sizes.contains_key(location)
    }

    pub(crate) fn add(&self, location: Location, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.sizes.insert(location, bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;
    use std::sync::Arc;

    #[test]
    fn what_does_not_fit_is_named_to_be_removed() {
        let gone = Arc::new(Mutex::new(Vec::new()));
        let listener = Arc::clone(&gone);
        let forget = move |location: Location| listener.lock().push(location);
        let ledger = Ledger::new(1_000, Duration::from_mins(1), forget);
        for number in 0..10 {
            ledger.add([number; 32], 300);
        }
        ledger.sizes.run_pending_tasks();
        let gone = gone.lock();
        assert_eq!(gone.len(), 7, "{gone:?}");
        for number in 0..10 {
            let location = [number; 32];
            assert_ne!(ledger.has(&location), gone.contains(&location), "{number}");
        }
    }
}
