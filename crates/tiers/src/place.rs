//! Where a version belongs.

use skep_model::memory::{MemoryKey, MemoryRecord, MemoryVersion, Namespace};

/// A version of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// Its namespace.
    pub namespace: &'a Namespace,
    /// The entry.
    pub key: &'a MemoryKey,
    /// The version.
    pub version: MemoryVersion,
}

impl<'a> Place<'a> {
    /// Where this one belongs.
    pub const fn of(record: &'a MemoryRecord) -> Self {
        Self {
            namespace: &record.namespace,
            key: &record.key,
            version: record.version,
        }
    }
}
