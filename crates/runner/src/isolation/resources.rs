//! Resource limits of one process of an attempt.

use super::ConfineError;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Bytes of the largest file an attempt may write.
const FILE_BYTES_MAX: u64 = 64 << 30;
/// Threads and processes the attempt's user may have; ends a fork bomb. It counts everything of
/// that user, so it is far above what a desktop session needs.
const PROCESSES_MAX: u64 = 16_384;

/// A core dump would write the attempt's token and memory to a place nobody watches.
pub(super) fn forbid_core_dumps() -> Result<(), ConfineError> {
    lower(Resource::Core, "core", 0)
}

/// Sets the bounds of level S1.
pub(super) fn limit(memory_bytes: Option<u64>) -> Result<(), ConfineError> {
    lower(Resource::Fsize, "fsize", FILE_BYTES_MAX)?;
    lower(Resource::Nproc, "nproc", PROCESSES_MAX)?;
    // Not `as`: V8 and others reserve address space that they never use.
    memory_bytes.map_or(Ok(()), |bytes| lower(Resource::Data, "data", bytes))
}

/// Sets both limits, never above the hard limit that is there already.
fn lower(resource: Resource, name: &'static str, wanted: u64) -> Result<(), ConfineError> {
    let hard = getrlimit(resource).maximum;
    let bound = Some(hard.map_or(wanted, |hard| hard.min(wanted)));
    let limits = Rlimit {
        current: bound,
        maximum: bound,
    };
    setrlimit(resource, limits).map_err(|source| ConfineError::ResourceLimit {
        limit: name,
        source,
    })
}
