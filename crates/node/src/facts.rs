//! What this machine has, measured.

use crate::error::FactsError;
use crate::hardware::hardware;
use crate::options::NodeOptions;
use skep_model::node::{Hardware, NodeFacts};
use skep_model::requirements::Resources;
use skep_runner::MeasuredIsolation;
use std::path::Path;
use sysinfo::{MemoryRefreshKind, RefreshKind, System};

const MILLIS_PER_PROCESSOR: u64 = 1_000;

/// What the node says about itself.
pub(crate) fn facts(
    options: &NodeOptions,
    measured: MeasuredIsolation,
    state_dir: &Path,
) -> Result<NodeFacts, FactsError> {
    let hardware = hardware(memory_bytes()?);
    let machine = resources_of_machine(state_dir, &hardware)?;
    let offered = options.resources.unwrap_or(machine);
    let resources = options.availability.cut(offered, &machine);
    Ok(NodeFacts {
        name: options.name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        system: system_text(),
        resources,
        slots: options.slots,
        labels: options.labels.clone(),
        capabilities: options.capabilities.clone(),
        isolation: measured.level,
        probes: measured.probes,
        class: options.class,
        region: options.region.clone(),
        hardware,
        models: options.models.clone(),
        on_disconnect: options.on_disconnect,
    })
}

fn resources_of_machine(state_dir: &Path, hardware: &Hardware) -> Result<Resources, FactsError> {
    // Respects the affinity of the process and the quota of its cgroup.
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(Resources {
        cpu_millis: processors as u64 * MILLIS_PER_PROCESSOR,
        memory_bytes: hardware.memory_bytes,
        gpu_memory_bytes: hardware.gpus.iter().map(|gpu| gpu.memory_bytes).sum(),
        disk_bytes: free_disk_bytes(state_dir)?,
    })
}

pub(crate) fn memory_bytes() -> Result<u64, FactsError> {
    let memory = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    let system = System::new_with_specifics(memory)
        .map_err(|error| FactsError::Memory(error.to_string()))?;
    let machine = system.total_memory();
    let cgroup = system
        .cgroup_limits()
        .map_or(u64::MAX, |limits| limits.total_memory);
    match machine.min(cgroup) {
        0 => Err(FactsError::Memory(
            "the system says that there is none".to_owned(),
        )),
        bytes => Ok(bytes),
    }
}

fn free_disk_bytes(path: &Path) -> Result<u64, FactsError> {
    let space = rustix::fs::statvfs(path).map_err(|error| FactsError::Disk {
        path: path.to_owned(),
        source: error.into(),
    })?;
    Ok(space.f_bavail.saturating_mul(space.f_frsize))
}

fn system_text() -> String {
    let kernel = rustix::system::uname();
    let kernel = format!(
        "{} {} {}",
        kernel.sysname().to_string_lossy(),
        kernel.release().to_string_lossy(),
        kernel.machine().to_string_lossy()
    );
    match System::long_os_version() {
        Ok(system) if !system.is_empty() => format!("{system} ({kernel})"),
        _ => kernel,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_has_a_processor_memory_and_a_disk() {
        let resources = resources_of_machine(Path::new("/"), &hardware(1 << 30)).unwrap();
        assert!(resources.cpu_millis >= 1_000 && resources.cpu_millis.is_multiple_of(1_000));
        assert!(resources.memory_bytes > 16 << 20, "{resources:?}");
        assert!(resources.disk_bytes > 0, "{resources:?}");
        assert_eq!(resources.gpu_memory_bytes, 0);
        assert!(system_text().contains("Linux"), "{}", system_text());
    }
}
