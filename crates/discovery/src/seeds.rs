//! Seeds: candidates from a list, for networks on which multicast is dead.

use std::collections::BTreeSet;

use crate::{DiscoveryError, Found, HostPort, SEEDS_MAX, Source};

/// The seeds as candidates, in the order of the list, each once.
///
/// Nothing is asked of the network: an open port proves nothing about who listens. The caller
/// connects by TLS and compares the certificate authority with its join token.
pub fn seed_candidates(seeds: &[HostPort]) -> Result<Vec<Found>, DiscoveryError> {
    let mut known = BTreeSet::new();
    let candidates: Vec<_> = seeds
        .iter()
        .filter(|seed| known.insert(*seed))
        .map(candidate)
        .take(SEEDS_MAX + 1)
        .collect();
    if candidates.len() > SEEDS_MAX {
        return Err(DiscoveryError::TooManySeeds { count: seeds.len() });
    }
    Ok(candidates)
}

fn candidate(seed: &HostPort) -> Found {
    Found {
        cluster: None,
        instance: seed.to_string(),
        addresses: seed.socket_address().into_iter().collect(),
        fingerprint_prefix: None,
        api: None,
        source: Source::Seed { seed: seed.clone() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seeds(texts: &[&str]) -> Vec<HostPort> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_seed_is_a_candidate_without_claims_in_the_order_of_the_list() {
        let found = seed_candidates(&seeds(&["c2:80", "192.0.2.1:81", "c2:80"])).unwrap();
        let [named, numbered] = found.as_slice() else {
            panic!("{found:?}")
        };
        assert_eq!(
            (named.instance.as_str(), named.addresses.len()),
            ("c2:80", 0)
        );
        assert_eq!(numbered.addresses, ["192.0.2.1:81".parse().unwrap()]);
        assert!(found.iter().all(|one| one.cluster.is_none()
            && one.fingerprint_prefix.is_none()
            && one.api.is_none()
            && one.seen_on().is_empty()));
    }

    #[test]
    fn a_list_beyond_the_limit_is_refused() {
        let many: Vec<HostPort> = (1..=SEEDS_MAX + 1)
            .map(|port| format!("c1:{port}").parse().unwrap())
            .collect();
        assert_eq!(seed_candidates(&many[1..]).unwrap().len(), SEEDS_MAX);
        let error = seed_candidates(&many).unwrap_err();
        assert!(error.to_string().contains("`SEEDS_MAX`"), "{error}");
    }
}
