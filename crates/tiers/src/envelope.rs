//! Versions as they lie in tier 2: encoded, behind a seal that nobody else can make.

use crate::place::Place;
use skep_model::memory::MemoryRecord;

/// Bytes of a seal, and of the name that a version has in a tier.
const HASH_BYTES: usize = blake3::OUT_LEN;
const LOCATION_CONTEXT: &str = "skep 2026 names of versions in the tiers of shared memory";
const SEAL_CONTEXT: &str = "skep 2026 seals of versions in the tiers of shared memory";

/// What a version is called in a tier.
pub(crate) type Location = [u8; HASH_BYTES];

/// The secret by which the coordinator knows its own versions again. The same secret gives the same
/// names, so a restarted coordinator finds what it had put into tier 2.
#[derive(Clone)]
pub struct TierKey {
    names: [u8; blake3::KEY_LEN],
    seals: [u8; blake3::KEY_LEN],
}

impl std::fmt::Debug for TierKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TierKey")
    }
}

impl TierKey {
    /// The key of this secret.
    pub fn derive(secret: &[u8]) -> Self {
        Self {
            names: blake3::derive_key(LOCATION_CONTEXT, secret),
            seals: blake3::derive_key(SEAL_CONTEXT, secret),
        }
    }

    pub(crate) fn locate(&self, place: &Place<'_>) -> Location {
        digest(&self.names, place, &[])
    }

    /// The version with its seal; none if it cannot be encoded.
    pub(crate) fn seal(&self, place: &Place<'_>, record: &MemoryRecord) -> Option<Vec<u8>> {
        let mut sealed = vec![0; HASH_BYTES];
        sealed = postcard::to_extend(record, sealed).ok()?;
        let (seal, body) = sealed.split_at_mut(HASH_BYTES);
        seal.copy_from_slice(&digest(&self.seals, place, body));
        Some(sealed)
    }

    /// The version, if [`Self::seal`] made this for the same place.
    pub(crate) fn unseal(&self, place: &Place<'_>, sealed: &[u8]) -> Option<MemoryRecord> {
        let (seal, body) = sealed.split_at_checked(HASH_BYTES)?;
        let seal: Location = seal.try_into().ok()?;
        // Compared in constant time.
        if blake3::Hash::from(digest(&self.seals, place, body)) != seal {
            return None;
        }
        postcard::from_bytes(body).ok()
    }
}

/// A zero byte is in no name, and the version has a fixed length.
fn digest(key: &[u8; blake3::KEY_LEN], place: &Place<'_>, body: &[u8]) -> Location {
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher.update(place.namespace.as_str().as_bytes());
    hasher.update(&[0]);
    hasher.update(place.key.as_str().as_bytes());
    hasher.update(&[0]);
    hasher.update(&place.version.0.to_le_bytes());
    hasher.update(body);
    hasher.finalize().into()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use skep_model::command::Actor;
    use skep_model::memory::{
        MemoryProvenance, MemoryPut, MemoryValue, MemoryVersion, RecordState,
    };
    use skep_model::time::UnixMillis;
    use std::sync::Arc;

    pub(crate) fn record(key: &str, version: u64, value: &str) -> MemoryRecord {
        MemoryRecord {
            namespace: "swarm".parse().unwrap(),
            key: key.parse().unwrap(),
            version: MemoryVersion(version),
            state: RecordState::Written,
            put: Some(Arc::new(MemoryPut::new(MemoryValue::Json(value.into())))),
            expires_at: None,
            written_at: UnixMillis(5),
            actor: Actor::Coordinator,
            provenance: MemoryProvenance::default(),
            stamp: None,
            replaced: None,
        }
    }

    #[test]
    fn only_what_was_sealed_for_a_place_is_found_there() {
        let key = TierKey::derive(b"ours");
        let a = record("a", 1, "1");
        let place = Place::of(&a);
        let sealed = key.seal(&place, &a).unwrap();
        assert_eq!(key.unseal(&place, &sealed).as_ref(), Some(&a));
        for other in [record("a", 2, "1"), record("b", 1, "1")] {
            assert_eq!(key.unseal(&Place::of(&other), &sealed), None);
            assert_ne!(key.locate(&Place::of(&other)), key.locate(&place));
        }
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(key.unseal(&place, &changed), None, "byte {at}");
            assert_eq!(key.unseal(&place, &sealed[..at]), None, "cut at {at}");
        }
        assert_eq!(TierKey::derive(b"theirs").unseal(&place, &sealed), None);
    }
}
