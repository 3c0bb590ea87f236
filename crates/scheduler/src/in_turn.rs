//! In turn: the next fitting agent after the one that was granted last.

use crate::candidates::Candidates;
use crate::field::{Asked, Field};
use skep_model::ids::NodeId;
use skep_model::requirements::{Requirements, Resources};
use std::collections::{BTreeMap, BTreeSet};

/// The ring that holds for one signature.
#[derive(Debug)]
pub(crate) struct InTurn {
    ring: usize,
}

/// Whose turn it is, and the rings. Signatures that want the same resources and suit the same
/// profiles share a ring.
#[derive(Debug)]
pub(crate) struct Turns {
    /// Position of the agent whose turn it is.
    next: usize,
    known: BTreeMap<(Vec<usize>, Resources), usize>,
    rings: Vec<Ring>,
}

#[derive(Debug)]
struct Ring {
    agents: BTreeSet<usize>,
}

impl Ring {
    fn find(
        &self,
        field: &Field<'_, '_>,
        start: usize,
        wanted: &Resources,
        failed: &[NodeId],
    ) -> Option<usize> {
        let ring = self
            .agents
            .range(start..)
            .chain(self.agents.range(..start))
            .copied();
        let mut last_resort = None;
        for agent in ring.filter(|agent| field.has_room(*agent, wanted)) {
            if !failed.contains(&field.node_of(agent)) {
                return Some(agent);
            }
            last_resort = last_resort.or(Some(agent));
        }
        last_resort
    }

    /// Agents that were passed over because they are full stay full in this round.
    fn drop_full(&mut self, field: &Field<'_, '_>, start: usize, end: usize, wanted: &Resources) {
        let passed = |from: usize, to: usize| self.agents.range(from..to).copied();
        let full: Vec<usize> = if start <= end {
            passed(start, end)
                .filter(|agent| !field.has_room(*agent, wanted))
                .collect()
        } else {
            let both = passed(start, usize::MAX).chain(passed(0, end));
            both.filter(|agent| !field.has_room(*agent, wanted))
                .collect()
        };
        for agent in full {
            self.agents.remove(&agent);
        }
    }
}

impl Candidates for InTurn {
    type Course = Turns;

    fn course(field: &Field<'_, '_>) -> Turns {
        let agents = &field.snapshot.agents;
        let had_its_turn = |after| agents.partition_point(|agent| agent.id <= after);
        Turns {
            next: field.policy.after.map_or(0, had_its_turn),
            known: BTreeMap::new(),
            rings: Vec::new(),
        }
    }

    fn new<'a>(field: &Field<'_, 'a>, turns: &mut Turns, wanted: &'a Requirements) -> Self {
        let suited = field.suited_profiles(wanted);
        let profiles = suited.iter().map(|(profile, _)| *profile).collect();
        let rings = &mut turns.rings;
        let entry = turns.known.entry((profiles, wanted.resources));
        let ring = *entry.or_insert_with(|| {
            rings.push(Ring {
                agents: field.agents_of(&suited).collect(),
            });
            rings.len() - 1
        });
        Self { ring }
    }

    fn choose(
        &mut self,
        field: &Field<'_, '_>,
        turns: &mut Turns,
        asked: &Asked<'_>,
    ) -> Option<usize> {
        let wanted = &asked.wanted.resources;
        let ring = &mut turns.rings[self.ring];
        let agent = ring.find(field, turns.next, wanted, asked.failed_on)?;
        ring.drop_full(field, turns.next, agent, wanted);
        turns.next = agent + 1;
        Some(agent)
    }
}
