//! The machine below the node: its processor, memory and graphics processors.

use skep_model::limits::NODE_FACT_ITEMS_MAX;
use skep_model::node::{Gpu, Hardware};
use sysinfo::{CpuRefreshKind, Gpus, RefreshKind, System};

/// The machine that this process runs on.
///
/// # Errors
/// The memory cannot be measured.
pub fn measured_hardware() -> Result<Hardware, crate::FactsError> {
    Ok(hardware(crate::facts::memory_bytes()?))
}

/// What the system says about the machine. What it does not say is left empty.
pub(crate) fn hardware(memory_bytes: u64) -> Hardware {
    let wanted = RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing());
    let system = System::new_with_specifics(wanted).ok();
    let processor = system
        .as_ref()
        .and_then(|system| system.cpus().first())
        .map(|processor| processor.brand().trim().to_owned());
    Hardware {
        processor: processor.unwrap_or_default(),
        cores: system.map_or(0, |system| system.cpus().len() as u32),
        memory_bytes,
        gpus: gpus(),
    }
}

/// Graphics processors with memory of their own first; none when the system cannot say.
fn gpus() -> Vec<Gpu> {
    let Ok(found) = Gpus::new_with_refreshed_list() else {
        return Vec::new();
    };
    let name = |gpu: &sysinfo::Gpu| {
        let words = [gpu.vendor(), gpu.model()];
        let words: Vec<&str> = words.into_iter().flatten().map(str::trim).collect();
        words.join(" ")
    };
    let mut gpus: Vec<Gpu> = found
        .iter()
        .take(NODE_FACT_ITEMS_MAX)
        .map(|gpu| Gpu {
            name: name(gpu),
            memory_bytes: gpu.total_memory().unwrap_or(0),
        })
        .collect();
    gpus.sort_by_key(|gpu| std::cmp::Reverse(gpu.memory_bytes));
    gpus
}
