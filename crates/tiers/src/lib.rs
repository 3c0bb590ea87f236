//! Faster places for versions of shared memory than the archive: this process (tier 1) and, if one
//! is given, a Redis or Valkey server (tier 2). The archive is tier 3.
//!
//! A version never changes its value, and its number is never given twice, so what lies in a tier
//! cannot be out of date: nothing is ever invalidated. What can change, the end of an entry, a
//! reader takes from the live state. Whatever a tier 2 server says is believed only with a seal
//! that the coordinator made; without one it is as if the server had nothing.
//!
//! This crate may not: decide which version is the present one, or fail a read. A tier that does not
//! answer is a slower read.

mod breaker;
mod envelope;
mod ledger;
mod local;
mod place;
mod shared;
mod shared_writer;

pub use envelope::TierKey;
pub use local::{LOCAL_BYTES_MAX, LOCAL_TTL};
pub use place::Place;
pub use shared::{SHARED_BYTES_MAX, SHARED_TTL, SharedTierError, without_password};
pub use shared_writer::SharedTierWriter;

use local::LocalTier;
use shared::SharedTier;
use skep_model::memory::MemoryRecord;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Tiers 1 and 2 of shared memory.
#[derive(Debug)]
pub struct MemoryTiers {
    key: TierKey,
    local: LocalTier,
    shared: Option<SharedTier>,
    counts: Counts,
}

/// How often each tier had what was looked for.
#[derive(Debug, Default)]
struct Counts {
    local_hits: AtomicU64,
    local_misses: AtomicU64,
    shared_hits: AtomicU64,
    shared_misses: AtomicU64,
}

/// What the tiers did since the process started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TierCounts {
    /// Reads that tier 1 answered.
    pub local_hits: u64,
    /// Reads that it could not answer.
    pub local_misses: u64,
    /// Bytes in tier 1, about.
    pub local_bytes: u64,
    /// What tier 2 did, if there is one.
    pub shared: Option<SharedCounts>,
}

/// What tier 2 did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SharedCounts {
    /// Reads that it answered.
    pub hits: u64,
    /// Reads that it could not answer, for whatever reason.
    pub misses: u64,
    /// Questions and writes that it did not answer in time, or refused.
    pub failures: u64,
    /// Answers that were not what the coordinator had put there.
    pub damaged: u64,
    /// Versions that were not put there, because too many waited.
    pub skipped: u64,
    /// Whether it answered when it was last asked.
    pub up: bool,
}

impl MemoryTiers {
    /// Tier 1 alone.
    pub fn local(key: TierKey) -> Self {
        Self {
            key,
            local: LocalTier::new(LOCAL_BYTES_MAX, LOCAL_TTL),
            shared: None,
            counts: Counts::default(),
        }
    }

    /// Both tiers. The server need not be reachable, now or ever. What is to be put there is put by
    /// the writer, which the caller has to run.
    ///
    /// # Errors
    /// The URL is none of a Redis server.
    pub fn with_shared(
        key: TierKey,
        url: &str,
    ) -> Result<(Self, SharedTierWriter), SharedTierError> {
        let (shared, writer) = SharedTier::open(url)?;
        let tiers = Self {
            shared: Some(shared),
            ..Self::local(key)
        };
        Ok((tiers, writer))
    }

    /// The version, if tier 1 has it. Its end may have been moved since.
    pub fn get_local(&self, place: &Place<'_>) -> Option<Arc<MemoryRecord>> {
        let found = self.local.get(&self.key.locate(place));
        let count = match found {
            Some(_) => &self.counts.local_hits,
            None => &self.counts.local_misses,
        };
        count.fetch_add(1, Ordering::Relaxed);
        found
    }

    /// Whether there is a tier 2 to ask.
    pub const fn has_shared(&self) -> bool {
        self.shared.is_some()
    }

    /// The version, if tier 2 has it and answers in time; tier 1 has it then, too.
    pub async fn get_shared(&self, place: &Place<'_>) -> Option<Arc<MemoryRecord>> {
        let shared = self.shared.as_ref()?;
        let location = self.key.locate(place);
        let found = shared.get(&self.key, location, place).await;
        let count = match found {
            Some(_) => &self.counts.shared_hits,
            None => &self.counts.shared_misses,
        };
        count.fetch_add(1, Ordering::Relaxed);
        let record = Arc::new(found?);
        self.local.put(location, Arc::clone(&record));
        Some(record)
    }

    /// Keeps what the archive gave. Never waits.
    pub fn put(&self, record: &Arc<MemoryRecord>) {
        let place = Place::of(record);
        let location = self.key.locate(&place);
        self.local.put(location, Arc::clone(record));
        if let Some(shared) = &self.shared
            && let Some(sealed) = self.key.seal(&place, record)
        {
            shared.put(location, sealed);
        }
    }

    /// What the tiers did.
    pub fn counts(&self) -> TierCounts {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let shared = self.shared.as_ref().map(|shared| SharedCounts {
            hits: read(&self.counts.shared_hits),
            misses: read(&self.counts.shared_misses),
            ..shared.counts()
        });
        TierCounts {
            local_hits: read(&self.counts.local_hits),
            local_misses: read(&self.counts.local_misses),
            local_bytes: self.local.bytes(),
            shared,
        }
    }
}
