//! One lock per key, made when needed and gone when unused.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

/// Locks by key. Holders of different keys do not wait for each other.
#[derive(Debug)]
pub(crate) struct KeyLocks<K> {
    locks: Mutex<HashMap<K, Arc<Mutex<()>>>>,
}

impl<K> Default for KeyLocks<K> {
    fn default() -> Self {
        Self {
            locks: Mutex::new(HashMap::new()),
        }
    }
}

impl<K: Eq + Hash + Copy> KeyLocks<K> {
    /// Runs `work` while no one else works under this key.
    pub(crate) fn with<T>(&self, key: K, work: impl FnOnce() -> T) -> T {
        let lock = Arc::clone(self.locks.lock().entry(key).or_default());
        let result = {
            let _held = lock.lock();
            work()
        };
        let mut locks = self.locks.lock();
        // Clones are only made under the outer lock: two are the map's and ours.
        if Arc::strong_count(&lock) == 2 {
            locks.remove(&key);
        }
        result
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.locks.lock().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn work_under_one_key_never_overlaps_and_leaves_no_lock_behind() {
        let locks = KeyLocks::default();
        let inside = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for round in 0..500 {
                        locks.with(round % 2, || {
                            if round % 2 == 0 {
                                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                                inside.fetch_sub(1, Ordering::SeqCst);
                            }
                        });
                    }
                });
            }
        });
        assert_eq!(locks.len(), 0);
    }
}
