//! Two agents drawn by chance, and the better one of them: a grant costs the same however many
//! agents there are.
//!
//! The draw is a hash of the task's id, so it is the same on every machine. Where the draws miss,
//! because few agents suit a signature or have room, the signature gets a pool of its own, made
//! once in a round.

use crate::by_score::full_score;
use crate::candidates::Candidates;
use crate::field::{Asked, Field};
use skep_model::ids::TaskId;
use skep_model::requirements::Requirements;
use std::cmp::Reverse;

/// Candidates that are compared.
const COMPARED: usize = 2;
/// Draws for one task before a pool is made for its signature.
const DRAWS_MAX: u64 = 24;

/// The agents to draw from for one signature.
#[derive(Debug, Default)]
pub(crate) struct PowerOfTwo {
    /// Those that suit it, once drawing from all missed.
    own: Option<Vec<usize>>,
}

impl PowerOfTwo {
    fn draw(pool: &mut Vec<usize>, field: &Field<'_, '_>, asked: &Asked<'_>) -> Option<usize> {
        let mut found: Vec<usize> = Vec::with_capacity(COMPARED);
        for attempt in 0..DRAWS_MAX {
            if pool.is_empty() || found.len() == COMPARED {
                break;
            }
            let place = (hash(asked.task, attempt) % pool.len() as u64) as usize;
            let agent = pool[place];
            if field.is_full(agent) {
                pool.swap_remove(place);
            } else if !found.contains(&agent) && is_welcome(field, agent, asked) {
                found.push(agent);
            }
        }
        better(found.into_iter(), field, asked)
    }
}

fn is_welcome(field: &Field<'_, '_>, agent: usize, asked: &Asked<'_>) -> bool {
    !asked.failed_on.contains(&field.node_of(agent)) && field.can_take(agent, asked.wanted)
}

fn better(
    agents: impl Iterator<Item = usize>,
    field: &Field<'_, '_>,
    asked: &Asked<'_>,
) -> Option<usize> {
    agents.max_by_key(|agent| (full_score(field, *agent, asked), Reverse(*agent)))
}

/// SplitMix64 over the id: every bit of the id and of the attempt moves every bit of the draw.
fn hash(task: TaskId, attempt: u64) -> u64 {
    let id = task.as_u128();
    let mut mixed = (id >> 64) as u64 ^ id as u64;
    mixed = mixed.wrapping_add((attempt + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

impl Candidates for PowerOfTwo {
    /// The open agents; full ones leave when they are drawn.
    type Course = Vec<usize>;

    fn course(field: &Field<'_, '_>) -> Vec<usize> {
        field.open_agents.clone()
    }

    fn new<'a>(_: &Field<'_, 'a>, _: &mut Vec<usize>, _: &'a Requirements) -> Self {
        Self::default()
    }

    fn choose(
        &mut self,
        field: &Field<'_, '_>,
        open: &mut Vec<usize>,
        asked: &Asked<'_>,
    ) -> Option<usize> {
        if self.own.is_none()
            && let Some(agent) = Self::draw(open, field, asked)
        {
            return Some(agent);
        }
        let own = self.own.get_or_insert_with(|| {
            let suited = field.suited_profiles(asked.wanted);
            let suited = field.agents_of(&suited);
            suited.filter(|agent| !field.is_full(*agent)).collect()
        });
        if let Some(agent) = Self::draw(own, field, asked) {
            return Some(agent);
        }
        // Few have room: leave only them, and take the best.
        own.retain(|agent| field.has_room(*agent, &asked.wanted.resources));
        let welcome = own.iter().copied();
        let welcome = welcome.filter(|agent| is_welcome(field, *agent, asked));
        better(welcome, field, asked).or_else(|| better(own.iter().copied(), field, asked))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Swarm, task};
    use crate::{Policy, strategy};

    #[test]
    fn draws_reach_every_place_about_equally_often() {
        let mut drawn = [0_u32; 10];
        for number in 0..10_000 {
            drawn[(hash(task(number), 0) % 10) as usize] += 1;
        }
        assert!(
            drawn.iter().all(|count| (900..1_100).contains(count)),
            "{drawn:?}"
        );
    }

    #[test]
    fn of_the_two_that_are_drawn_the_better_one_wins() {
        let mut swarm = Swarm::with_nodes(40);
        for agent in &mut swarm.agents[20..] {
            agent.failed = 100;
        }
        let numbers: Vec<u64> = (0..40).collect();
        swarm.queue(Requirements::default(), &numbers);
        let grants = strategy("power-of-two")
            .unwrap()
            .place(&swarm.snapshot(), &Policy::default());
        let sound = grants.iter().filter(|grant| grant.agent.as_u128() < 20);
        // A task misses the sound half only when both draws do: one in four.
        assert_eq!(grants.len(), 40);
        assert!((25..=38).contains(&sound.count()));
    }
}
