//! What `/metrics` says of shared memory.

use super::{counters, gauges};
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use skep_coordinator::{EngineStats, View};
use skep_operations::TierCounts;
use std::fmt;

/// Shared memory at one moment.
#[derive(Debug, Default)]
pub(super) struct MemorySample {
    namespaces: u64,
    entries: u64,
    bytes: u64,
    conflicts: u64,
    tiers: TierCounts,
}

impl MemorySample {
    pub(super) fn take(view: &View, tiers: TierCounts) -> Self {
        let mut sample = Self {
            tiers,
            ..Self::default()
        };
        for namespace in view.state.namespaces() {
            sample.namespaces += 1;
            sample.entries += namespace.entries;
            sample.bytes += namespace.bytes;
            sample.conflicts += namespace.conflicts as u64;
        }
        sample
    }

    pub(super) fn encode(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        stats: &EngineStats,
    ) -> Result<(), fmt::Error> {
        for (name, help, value) in [
            (
                "memory_namespaces",
                "Namespaces of shared memory",
                self.namespaces,
            ),
            ("memory_entries", "Entries of shared memory", self.entries),
            (
                "memory_bytes",
                "Bytes of keys, values, tags and metadata in shared memory",
                self.bytes,
            ),
            (
                "memory_conflicts",
                "Entries for which somebody has to decide between values",
                self.conflicts,
            ),
        ] {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        for (name, help, value) in [
            (
                "memory_writes",
                "Writes and removals in shared memory since the start",
                stats.memory_writes,
            ),
            (
                "memory_writes_refused",
                "Writes to shared memory that were refused",
                stats.memory_refused,
            ),
            (
                "memory_expired",
                "Entries of shared memory whose time was over",
                stats.memory_expired,
            ),
        ] {
            let counter = ConstCounter::new(value);
            counter.encode(encoder.encode_descriptor(
                name,
                help,
                None,
                counter.metric_type(),
            )?)?;
        }
        self.encode_tiers(encoder)
    }

    /// Tier 1 always; tier 2 if there is one.
    fn encode_tiers(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let tiers = &self.tiers;
        let shared = tiers.shared.unwrap_or_default();
        let has_shared = tiers.shared.is_some();
        let of_both = |local, other| {
            let both = [("tier", "1", local), ("tier", "2", other)];
            both.into_iter().take(1 + usize::from(has_shared))
        };
        counters(
            encoder,
            "memory_tier_hits",
            "Reads that a tier of shared memory answered; the archive answers the others",
            of_both(tiers.local_hits, shared.hits),
        )?;
        counters(
            encoder,
            "memory_tier_misses",
            "Reads that a tier of shared memory could not answer",
            of_both(tiers.local_misses, shared.misses),
        )?;
        gauges(
            encoder,
            "memory_tier_bytes",
            "Bytes of versions in a tier of shared memory, about",
            [("tier", "1", tiers.local_bytes)].into_iter(),
        )?;
        if !has_shared {
            return Ok(());
        }
        gauges(
            encoder,
            "memory_tier_up",
            "Whether a tier of shared memory answered when it was last asked",
            [("tier", "2", u64::from(shared.up))].into_iter(),
        )?;
        let troubles = [
            ("trouble", "no_answer", shared.failures),
            ("trouble", "damaged", shared.damaged),
            ("trouble", "skipped", shared.skipped),
        ];
        counters(
            encoder,
            "memory_tier_troubles",
            "What went wrong with tier 2 of shared memory; no answer depends on it",
            troubles.into_iter(),
        )
    }
}
