//! Keys of live rows as columns. Ids are written most significant byte first, so that fresh ones
//! land at the end of the table.

use skep_model::row::RowKey;

/// The key column of a live row.
#[derive(Debug)]
pub(crate) enum KeyBytes<'key> {
    Id([u8; 16]),
    Text(&'key str),
    Owned(Vec<u8>),
    Only,
}

impl KeyBytes<'_> {
    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Id(bytes) => bytes,
            Self::Text(text) => text.as_bytes(),
            Self::Owned(bytes) => bytes,
            Self::Only => &[],
        }
    }
}

/// The two key columns of a live row. The numbers are part of the file format.
pub(crate) fn columns(key: &RowKey) -> (i64, KeyBytes<'_>) {
    match key {
        RowKey::Task(id) => (1, KeyBytes::Id(id.as_u128().to_be_bytes())),
        RowKey::Run(id) => (2, KeyBytes::Id(id.as_u128().to_be_bytes())),
        RowKey::Node(id) => (3, KeyBytes::Id(id.as_u128().to_be_bytes())),
        RowKey::Agent(id) => (4, KeyBytes::Id(id.as_u128().to_be_bytes())),
        RowKey::Token(id) => (5, KeyBytes::Id(id.as_u128().to_be_bytes())),
        RowKey::Idempotency(key) => (6, KeyBytes::Text(key)),
        RowKey::Clock => (7, KeyBytes::Only),
        RowKey::JoinToken(id) => (8, KeyBytes::Id(id.as_u128().to_be_bytes())),
        RowKey::Enrolment(id) => (9, KeyBytes::Id(id.as_u128().to_be_bytes())),
        RowKey::Namespace(name) => (10, KeyBytes::Text(name.as_str())),
        RowKey::Memory(namespace, key) => {
            // No namespace has a zero byte, so that no two places share one text.
            let place = [namespace.as_str(), key.as_str()].join("\0");
            (11, KeyBytes::Owned(place.into_bytes()))
        }
        RowKey::MemoryFloor => (12, KeyBytes::Only),
        RowKey::Schedule(id) => (13, KeyBytes::Id(id.as_u128().to_be_bytes())),
        RowKey::Trigger(id) => (14, KeyBytes::Id(id.as_u128().to_be_bytes())),
    }
}
