//! Stamps abroad and at home. Each log calls itself [`ReplicaId::HOME`]; others know it by the id of
//! its installation.

use skep_model::attempt::ArtifactHash;
use skep_model::ids::ReplicaId;
use skep_model::memory::{Causality, MemoryEntry, MemoryStamp, VectorClock};

/// A stamp of this log as other installations read it.
pub(super) fn abroad(stamp: &MemoryStamp, here: ReplicaId) -> MemoryStamp {
    renamed(stamp, ReplicaId::HOME, here)
}

/// A stamp from elsewhere as this log reads it; none if it calls somebody by the name that only a log
/// gives to itself.
pub(super) fn at_home(stamp: &MemoryStamp, here: ReplicaId) -> Option<MemoryStamp> {
    let names_home = stamp.time.replica == ReplicaId::HOME;
    let is_foreign = !names_home && stamp.clock.seen(ReplicaId::HOME) == 0;
    is_foreign.then(|| renamed(stamp, here, ReplicaId::HOME))
}

fn renamed(stamp: &MemoryStamp, from: ReplicaId, to: ReplicaId) -> MemoryStamp {
    let mut stamp = stamp.clone();
    if stamp.time.replica == from {
        stamp.time.replica = to;
    }
    if let Some(count) = stamp.clock.0.remove(&from) {
        stamp.clock.0.insert(to, count);
    }
    stamp
}

/// Whether nobody else had a part in it: whoever that is knows it best.
pub(super) fn is_only_of(clock: &VectorClock, replica: ReplicaId) -> bool {
    clock.0.keys().all(|known| *known == replica)
}

/// Whether there is nothing to learn from what came: it was seen here, or was written here and is gone.
/// The stamp is one of this log.
pub(super) fn is_known(
    stamp: &MemoryStamp,
    says: ArtifactHash,
    present: Option<&MemoryEntry>,
) -> bool {
    let Some(present) = present else {
        return is_only_of(&stamp.clock, ReplicaId::HOME);
    };
    match stamp.clock.compare(&present.effective_stamp().clock) {
        Causality::Before => true,
        Causality::Equal => says == present.blake3,
        Causality::After | Causality::Concurrent => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_model::memory::HybridTime;
    use skep_model::time::UnixMillis;
    use std::collections::BTreeMap;

    const A: ReplicaId = ReplicaId::from_u128(1);
    const B: ReplicaId = ReplicaId::from_u128(2);

    fn stamp(writer: ReplicaId, clock: &[(ReplicaId, u64)]) -> MemoryStamp {
        MemoryStamp {
            time: HybridTime {
                wall: UnixMillis(5),
                counter: 3,
                replica: writer,
            },
            clock: VectorClock(clock.iter().copied().collect::<BTreeMap<_, _>>()),
        }
    }

    #[test]
    fn a_stamp_comes_home_as_it_went() {
        let own = stamp(ReplicaId::HOME, &[(ReplicaId::HOME, 7), (B, 2)]);
        let sent = abroad(&own, A);
        assert_eq!(sent, stamp(A, &[(A, 7), (B, 2)]));
        assert_eq!(at_home(&sent, A), Some(own));
        let there = stamp(A, &[(A, 7), (ReplicaId::HOME, 2)]);
        assert_eq!(abroad(&there, B), sent);
    }

    #[test]
    fn nobody_else_may_call_himself_home() {
        for wrong in [
            stamp(ReplicaId::HOME, &[(B, 1)]),
            stamp(B, &[(B, 1), (ReplicaId::HOME, 1)]),
        ] {
            assert_eq!(at_home(&wrong, A), None);
        }
    }

    #[test]
    fn what_was_written_here_and_is_gone_does_not_come_back_and_what_others_wrote_does() {
        let says = ArtifactHash([1; 32]);
        let own = stamp(ReplicaId::HOME, &[(ReplicaId::HOME, 7)]);
        assert!(is_known(&own, says, None));
        let changed = stamp(B, &[(ReplicaId::HOME, 7), (B, 1)]);
        assert!(!is_known(&changed, says, None));
    }
}
