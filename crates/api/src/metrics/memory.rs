//! What `/metrics` says of shared memory.

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use skep_coordinator::{EngineStats, View};
use std::fmt;

/// Shared memory at one moment.
#[derive(Debug, Default)]
pub(super) struct MemorySample {
    namespaces: u64,
    entries: u64,
    bytes: u64,
    conflicts: u64,
}

impl MemorySample {
    pub(super) fn take(view: &View) -> Self {
        let mut sample = Self::default();
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
        Ok(())
    }
}
