//! The agent with the best score.
//!
//! Two levels, so that a thousand signatures do not mean a thousand rankings of all agents: agents
//! of one profile are ranked once for all signatures that want the same resources, and a signature
//! ranks the profiles that suit it.
//!
//! Within a round load and room only fall, so what is stored is never too low: the best one is
//! checked when it is used, and the others stay as they are.

use crate::candidates::Candidates;
use crate::field::{Asked, Field};
use skep_model::requirements::{Requirements, Resources};
use std::cmp::Reverse;
use std::collections::binary_heap::PeekMut;
use std::collections::{BTreeMap, BinaryHeap};

/// An agent with its score; among equals the first agent is larger.
type Ranked = (i64, Reverse<usize>);

/// The ranking of profiles that holds for one signature.
#[derive(Debug)]
pub(crate) struct ByScore {
    board: usize,
}

/// The profiles that suit a signature, ranked by their best agents. Signatures that want the same
/// resources and see all profiles alike share one.
#[derive(Debug)]
struct Board {
    /// Which of the rankings of agents hold for the signature.
    shape: usize,
    heap: BinaryHeap<Best>,
}

/// What is kept over all signatures of a round.
#[derive(Debug, Default)]
pub(crate) struct Boards {
    rankings: Rankings,
    known: BTreeMap<(Resources, Vec<(usize, i64)>), usize>,
    all: Vec<Board>,
}

/// The best agent of one profile, for one signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Best {
    ranked: Ranked,
    profile: usize,
    /// What the signature adds to the score of each agent of the profile.
    extra: i64,
}

/// The agents of each profile, ranked by what is the same for all signatures: once for each
/// amount of resources that is asked for, because an agent that lacks room leaves its ranking.
#[derive(Debug, Default)]
struct Rankings {
    shapes: BTreeMap<Resources, usize>,
    agents: Vec<Vec<BinaryHeap<Ranked>>>,
}

impl Rankings {
    fn shape(&mut self, field: &Field<'_, '_>, wanted: &Resources) -> usize {
        if let Some(known) = self.shapes.get(wanted) {
            return *known;
        }
        field.prepare_common();
        let profiles = field.profiles();
        let mut agents: Vec<Vec<Ranked>> = vec![Vec::new(); profiles.count()];
        for agent in &field.open_agents {
            let ranked = (field.common_now(*agent), Reverse(*agent));
            agents[profiles.of_agent(*agent)].push(ranked);
        }
        self.agents
            .push(agents.into_iter().map(BinaryHeap::from).collect());
        self.shapes.insert(*wanted, self.agents.len() - 1);
        self.agents.len() - 1
    }

    /// The best agent of the profile that has room.
    fn best(
        &mut self,
        field: &Field<'_, '_>,
        (shape, profile): (usize, usize),
        wanted: &Resources,
    ) -> Option<Ranked> {
        loop {
            let mut best = self.agents[shape][profile].peek_mut()?;
            let (score, Reverse(agent)) = *best;
            if !field.has_room(agent, wanted) {
                PeekMut::pop(best);
                continue;
            }
            let now = field.common_now(agent);
            if now == score {
                return Some(*best);
            }
            best.0 = now;
        }
    }
}

impl Board {
    fn of(
        field: &Field<'_, '_>,
        rankings: &mut Rankings,
        wanted: &Resources,
        suited: Vec<(usize, i64)>,
    ) -> Self {
        let shape = rankings.shape(field, wanted);
        let of_profile = |(profile, extra): (usize, i64)| {
            let (score, agent) = *rankings.agents[shape][profile].peek()?;
            Some(Best {
                ranked: (score + extra, agent),
                profile,
                extra,
            })
        };
        Self {
            shape,
            heap: suited.into_iter().filter_map(of_profile).collect(),
        }
    }

    fn best(
        &mut self,
        field: &Field<'_, '_>,
        rankings: &mut Rankings,
        wanted: &Resources,
    ) -> Option<Best> {
        loop {
            let mut top = self.heap.peek_mut()?;
            let Some((score, agent)) = rankings.best(field, (self.shape, top.profile), wanted)
            else {
                PeekMut::pop(top);
                continue;
            };
            let now = (score + top.extra, agent);
            if now == top.ranked {
                return Some(*top);
            }
            top.ranked = now;
        }
    }

    /// The best one on a node that did not fail the task, or else the best one.
    fn best_elsewhere(
        &mut self,
        field: &Field<'_, '_>,
        rankings: &mut Rankings,
        asked: &Asked<'_>,
    ) -> Option<Best> {
        let wanted = &asked.wanted.resources;
        let mut avoided: Vec<Best> = Vec::new();
        let mut chosen = None;
        while let Some(best) = self.best(field, rankings, wanted) {
            let Reverse(agent) = best.ranked.1;
            if !asked.failed_on.contains(&field.node_of(agent)) {
                chosen = Some(best);
                break;
            }
            rankings.agents[self.shape][best.profile].pop();
            avoided.push(best);
        }
        for best in &avoided {
            let (score, agent) = best.ranked;
            rankings.agents[self.shape][best.profile].push((score - best.extra, agent));
            self.heap.push(*best);
        }
        chosen.or(avoided.first().copied())
    }
}

/// The best agent on a node that holds inputs of the task, with its score.
fn best_holder(field: &Field<'_, '_>, asked: &Asked<'_>) -> Option<Ranked> {
    let nodes = asked.inputs.holders().map(|held| held.node);
    nodes
        .filter(|node| !asked.failed_on.contains(node))
        .flat_map(|node| field.agents_on(node))
        .copied()
        .filter(|agent| field.can_take(*agent, asked.wanted))
        .map(|agent| (full_score(field, agent, asked), Reverse(agent)))
        .max()
}

/// The score of an agent for one task.
pub(crate) fn full_score(field: &Field<'_, '_>, agent: usize, asked: &Asked<'_>) -> i64 {
    let without_inputs = field.common_now(agent) + field.extra(agent, asked.wanted);
    match asked.inputs.total_bytes {
        0 => without_inputs,
        _ => without_inputs + field.input_bonus(agent, asked),
    }
}

impl Candidates for ByScore {
    type Course = Boards;

    fn course(_: &Field<'_, '_>) -> Boards {
        Boards::default()
    }

    fn new<'a>(field: &Field<'_, 'a>, course: &mut Boards, wanted: &'a Requirements) -> Self {
        let suited = field.suited_profiles(wanted);
        let Boards {
            rankings,
            known,
            all,
        } = course;
        let board = known.entry((wanted.resources, suited));
        let suited = board.key().1.clone();
        let board = *board.or_insert_with(|| {
            all.push(Board::of(field, rankings, &wanted.resources, suited));
            all.len() - 1
        });
        Self { board }
    }

    fn choose(
        &mut self,
        field: &Field<'_, '_>,
        course: &mut Boards,
        asked: &Asked<'_>,
    ) -> Option<usize> {
        let (board, rankings) = (&mut course.all[self.board], &mut course.rankings);
        let best = if asked.failed_on.is_empty() {
            board.best(field, rankings, &asked.wanted.resources)
        } else {
            board.best_elsewhere(field, rankings, asked)
        }?;
        let mut chosen = best.ranked;
        if asked.inputs.total_bytes > 0
            && let Some(holder) = best_holder(field, asked)
        {
            let Reverse(agent) = chosen.1;
            let is_last_resort = asked.failed_on.contains(&field.node_of(agent));
            chosen = if is_last_resort {
                holder
            } else {
                chosen.max(holder)
            };
        }
        let Reverse(agent) = chosen.1;
        Some(agent)
    }
}
