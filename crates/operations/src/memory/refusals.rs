//! Refusals of the core, as callers see them.

use super::access::EntryName;
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use skep_model::memory::MemoryRefusal;
use skep_model::refusal::LimitName;

/// The code under which a refusal is shown.
pub(super) const fn code_of(refusal: &MemoryRefusal) -> ErrorCode {
    match refusal {
        MemoryRefusal::VersionDiffers { .. }
        | MemoryRefusal::Exists { .. }
        | MemoryRefusal::Superseded { .. } => ErrorCode::MemoryVersionConflict,
        MemoryRefusal::Missing => ErrorCode::MemoryNotFound,
        MemoryRefusal::MergeNeeded { .. } => ErrorCode::MemoryContended,
        MemoryRefusal::ConflictUnknown { .. } => ErrorCode::MemoryConflictUnknown,
        MemoryRefusal::StampAhead { .. } => ErrorCode::MemoryClockInvalid,
        MemoryRefusal::TtlTooShort { .. } => ErrorCode::MemoryTtlInvalid,
        MemoryRefusal::NotSealed => ErrorCode::MemoryNotSealed,
        MemoryRefusal::EmbeddingDamaged => ErrorCode::EmbeddingInvalid,
        MemoryRefusal::BatchRefused { .. } => ErrorCode::MemoryRefusedBefore,
        MemoryRefusal::Limit { limit, .. } => match limit {
            LimitName::MemoryTtlMsMax => ErrorCode::MemoryTtlInvalid,
            LimitName::MemoryValueBytesMax => ErrorCode::MemoryValueTooLarge,
            LimitName::NamespaceBytes | LimitName::NamespaceEntries => {
                ErrorCode::MemoryQuotaExceeded
            }
            LimitName::ReplicasPerClockMax => ErrorCode::MemoryClockInvalid,
            _ => ErrorCode::LimitExceeded,
        },
    }
}

/// The refusal of a write to this entry.
pub(super) fn refused(name: &EntryName, refusal: &MemoryRefusal) -> OperationError {
    let detail = format!("`{}` in `{}`: {refusal}", name.key, name.namespace);
    let error = OperationError::new(code_of(refusal), detail);
    match refusal.current() {
        Some(current) => error.with_current_version(current.0),
        None => error,
    }
}

/// There is no such entry.
pub(super) fn missing(name: &EntryName) -> OperationError {
    refused(name, &MemoryRefusal::Missing)
}
