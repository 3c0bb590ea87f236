//! Samples of the machine's load.

use skep_wire::payload::NodeMetrics;
use sysinfo::{MemoryRefreshKind, RefreshKind, System};

const PERMILLE_PER_PERCENT: f32 = 10.0;
/// With less free memory than this share the node wants no more work, in percent.
const MEMORY_SCARCE_PERCENT: u64 = 3;
/// With more than this share it takes work again.
const MEMORY_ENOUGH_PERCENT: u64 = 8;

/// Measures the load between two samples. None when the system does not say.
#[derive(Debug)]
pub(crate) struct LoadMeter {
    system: Option<System>,
    is_overloaded: bool,
}

impl LoadMeter {
    pub(crate) fn new() -> Self {
        let kinds = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
        let mut system = System::new_with_specifics(kinds).ok();
        if let Some(system) = &mut system {
            // Usage is what happened between two refreshes; this is the first of them.
            system.refresh_cpu_usage();
        }
        Self {
            system,
            is_overloaded: false,
        }
    }

    /// Whether the machine was short of memory at the last sample. Busy processors are no reason:
    /// that is what slots are for.
    pub(crate) const fn is_overloaded(&self) -> bool {
        self.is_overloaded
    }

    /// The load since the last sample.
    pub(crate) fn sample(&mut self, attempts: u32) -> Option<NodeMetrics> {
        let system = self.system.as_mut()?;
        system.refresh_cpu_usage();
        system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
        let (free, total) = (system.available_memory(), system.total_memory());
        self.is_overloaded = is_short(free, total, self.is_overloaded);
        Some(NodeMetrics {
            load_permille: (system.global_cpu_usage() * PERMILLE_PER_PERCENT) as u32,
            memory_used_bytes: system.used_memory(),
            attempts,
            ..NodeMetrics::default()
        })
    }
}

/// Whether there is too little memory, if that is how it was before.
const fn is_short(free: u64, total: u64, was_short: bool) -> bool {
    let enough = if was_short {
        MEMORY_ENOUGH_PERCENT
    } else {
        MEMORY_SCARCE_PERCENT
    };
    free.saturating_mul(100) < total.saturating_mul(enough)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_was_short_of_memory_waits_until_there_is_enough() {
        for (free, was_short, is_now) in [
            (50, false, false),
            (5, false, false),
            (2, false, true),
            (5, true, true),
            (9, true, false),
        ] {
            assert_eq!(is_short(free, 100, was_short), is_now, "{free} {was_short}");
        }
        assert!(!is_short(0, 0, false), "nothing is known of the memory");
    }
}
