//! How near a node is: to the coordinator, to the wanted region, to a task's inputs.

use crate::snapshot::NodeView;
use skep_model::requirements::{AffinitySense, AffinityStrength, Requirements};

/// A part of a score that nothing measures: the same for all, so that it does not tip a choice.
pub(crate) const NOT_MEASURED: u32 = 500;
/// Distance at which a node counts half as near as one beside the coordinator, milliseconds.
const HALF_NEAR_MS: u64 = 50;
/// Throughput counts as the time that this many bytes take.
const REFERENCE_BYTES: u64 = 1 << 20;
/// A node of another region than the one wanted, when nothing was measured.
const OTHER_REGION: u32 = 250;
/// Label of rules that name a region.
const REGION_LABEL: &str = "region";

/// 0 to 1000 from what was measured; none when nothing was. Falls smoothly with distance:
/// 1000 at 0 ms, 500 at 50 ms, 200 at 200 ms.
pub(crate) fn measured(node: &NodeView<'_>) -> Option<u32> {
    let transfer_ms = node
        .throughput_bytes_s
        .map(|rate| REFERENCE_BYTES * 1_000 / rate.max(1));
    let distance_ms = match (node.rtt_ms, transfer_ms) {
        (None, None) => return None,
        (rtt_ms, transfer_ms) => u64::from(rtt_ms.unwrap_or(0)) + transfer_ms.unwrap_or(0),
    };
    Some((1_000 * HALF_NEAR_MS / (HALF_NEAR_MS + distance_ms)) as u32)
}

/// Proximity of the node to whoever asks for this: what was measured, or else the region.
pub(crate) fn of_node(node: &NodeView<'_>, wanted: &Requirements) -> u32 {
    measured(node).unwrap_or_else(|| by_region(node.region, wanted))
}

/// Proximity by name alone, for a node to which nothing was measured.
pub(crate) fn by_region(region: Option<&str>, wanted: &Requirements) -> u32 {
    let (Some(region), Some(preferred)) = (region, preferred_region(wanted)) else {
        return NOT_MEASURED;
    };
    if region == preferred {
        1_000
    } else {
        OTHER_REGION
    }
}

/// The region that the rules are drawn to most.
pub(crate) fn preferred_region(wanted: &Requirements) -> Option<&str> {
    let strength = |strength| match strength {
        AffinityStrength::Required => u32::MAX,
        AffinityStrength::Weight(points) => u32::from(points),
    };
    wanted
        .affinity
        .iter()
        .filter(|rule| rule.label == REGION_LABEL && rule.sense == AffinitySense::Attract)
        .filter_map(|rule| Some((strength(rule.strength), rule.value.as_deref()?)))
        .max_by_key(|(strength, _)| *strength)
        .map(|(_, region)| region)
}

/// Inputs that lie on the node already are at no distance.
pub(crate) const fn with_inputs(proximity: u32, local_permille: u32) -> u32 {
    proximity + (1_000_u32.saturating_sub(proximity)) * local_permille / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Swarm;
    use crate::tests::{rule, wants};
    use AffinitySense::{Attract, Repel};
    use AffinityStrength::{Required, Weight};

    #[test]
    fn what_was_measured_comes_before_the_name_of_the_region() {
        let eu = wants(|w| w.affinity = vec![rule("region=eu", Attract, Weight(10))]);
        let any = Requirements::default();
        let rows = [
            // (round trip, throughput, region, wanted, proximity)
            (None, None, None, &eu, 500),
            (None, None, Some("eu"), &any, 500),
            (None, None, Some("eu"), &eu, 1_000),
            (None, None, Some("us"), &eu, 250),
            (Some(0), None, Some("us"), &eu, 1_000),
            (Some(50), None, Some("eu"), &eu, 500),
            (Some(200), None, None, &any, 200),
            (None, Some(1 << 20), None, &any, 47),
            (Some(50), Some(100 << 20), None, &any, 454),
            (Some(u32::MAX), Some(0), None, &any, 0),
        ];
        for (rtt_ms, throughput_bytes_s, region, wanted, expected) in rows {
            let swarm = Swarm::with_nodes(1);
            let mut node = swarm.snapshot().nodes[0];
            (node.rtt_ms, node.throughput_bytes_s, node.region) =
                (rtt_ms, throughput_bytes_s, region);
            assert_eq!(of_node(&node, wanted), expected, "{node:?}");
        }
    }

    #[test]
    fn the_strongest_rule_that_attracts_names_the_region() {
        let wanted = wants(|w| {
            w.affinity = vec![
                rule("region=us", Attract, Weight(90)),
                rule("region=eu", Attract, Required),
                rule("region=asia", Repel, Required),
                rule("zone=1", Attract, Required),
                rule("region", Attract, Required),
            ];
        });
        assert_eq!(preferred_region(&wanted), Some("eu"));
        assert_eq!(preferred_region(&Requirements::default()), None);
    }

    #[test]
    fn inputs_that_lie_on_the_node_bring_it_near() {
        for (proximity, local, expected) in [
            (200, 0, 200),
            (200, 500, 600),
            (200, 1_000, 1_000),
            (1_000, 500, 1_000),
        ] {
            assert_eq!(
                with_inputs(proximity, local),
                expected,
                "{proximity} {local}"
            );
        }
    }
}
