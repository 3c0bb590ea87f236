//! Samples of the machine's load.

use skep_wire::payload::NodeMetrics;
use sysinfo::{MemoryRefreshKind, RefreshKind, System};

const PERMILLE_PER_PERCENT: f32 = 10.0;

/// Measures the load between two samples. None when the system does not say.
#[derive(Debug)]
pub(crate) struct LoadMeter {
    system: Option<System>,
}

impl LoadMeter {
    pub(crate) fn new() -> Self {
        let kinds = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
        let mut system = System::new_with_specifics(kinds).ok();
        if let Some(system) = &mut system {
            // Usage is what happened between two refreshes; this is the first of them.
            system.refresh_cpu_usage();
        }
        Self { system }
    }

    /// The load since the last sample.
    pub(crate) fn sample(&mut self, attempts: u32) -> Option<NodeMetrics> {
        let system = self.system.as_mut()?;
        system.refresh_cpu_usage();
        system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
        Some(NodeMetrics {
            load_permille: (system.global_cpu_usage() * PERMILLE_PER_PERCENT) as u32,
            memory_used_bytes: system.used_memory(),
            attempts,
            ..NodeMetrics::default()
        })
    }
}
