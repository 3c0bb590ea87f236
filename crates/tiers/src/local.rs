//! Tier 1: versions in this process.

use crate::envelope::Location;
use moka::sync::Cache;
use skep_model::memory::MemoryRecord;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of versions that tier 1 keeps, about.
pub const LOCAL_BYTES_MAX: u64 = 100 << 20;
/// How long it keeps one.
pub const LOCAL_TTL: Duration = Duration::from_mins(5);
/// What a version takes besides its names and values.
const RECORD_BYTES: usize = 512;

#[derive(Debug)]
pub(crate) struct LocalTier {
    versions: Cache<Location, Arc<MemoryRecord>>,
}

impl LocalTier {
    pub(crate) fn new(bytes_max: u64, ttl: Duration) -> Self {
        let versions = Cache::builder()
            .max_capacity(bytes_max)
            .weigher(|_, record: &Arc<MemoryRecord>| weight(record))
            .time_to_live(ttl)
            .build();
        Self { versions }
    }

    pub(crate) fn get(&self, location: &Location) -> Option<Arc<MemoryRecord>> {
        self.versions.get(location)
    }

    pub(crate) fn put(&self, location: Location, record: Arc<MemoryRecord>) {
        self.versions.insert(location, record);
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.versions.weighted_size()
    }
}

fn weight(record: &MemoryRecord) -> u32 {
    let put = record.put.as_ref();
    // An artifact lies elsewhere; counting its size only makes room sooner.
    let bytes = put.map_or(0, |put| put.charged(&record.key));
    u32::try_from(bytes)
        .unwrap_or(u32::MAX)
        .saturating_add(RECORD_BYTES as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::tests::record;

    #[test]
    fn what_is_too_much_goes() {
        let tier = LocalTier::new(20_000, LOCAL_TTL);
        let text = format!("\"{}\"", "x".repeat(5_000));
        for number in 0..20 {
            tier.put([number; 32], Arc::new(record("a", number.into(), &text)));
        }
        tier.versions.run_pending_tasks();
        assert!(tier.bytes() <= 20_000, "{}", tier.bytes());
        let kept = (0..20).filter(|number| tier.get(&[*number; 32]).is_some());
        let kept = kept.count();
        assert!((1..=3).contains(&kept), "{kept}");
    }
}
