//! The assignment of a batch of tasks to slots whose scores add up to most.
//!
//! Rows are the tasks that are next in service order, columns are free slots. Tasks come before
//! scores: as many as possible are placed, earlier ones before later ones, and only among
//! assignments that place the same tasks the scores decide. The next batch follows on the slots
//! that are left.

use crate::by_score::ByScore;
use crate::capacity::Capacity;
use crate::field::{Asked, Field};
use crate::order::Served;
use crate::policy::Policy;
use crate::round::{Round, signatures};
use crate::score::free_share;
use crate::snapshot::Snapshot;
use pathfinding::kuhn_munkres::kuhn_munkres_min;
use pathfinding::matrix::Matrix;
use skep_model::command::Grant;
use skep_model::requirements::Requirements;
use std::collections::BTreeMap;

/// Tasks in one assignment.
pub const OPTIMAL_TASKS_MAX: usize = 128;
/// Free slots in one assignment. With more, the whole round is placed one task after another.
pub const OPTIMAL_SLOTS_MAX: usize = 256;

/// Bound of one fine score, both ways. Two parts of it are out of the reach of any score: they
/// put sound nodes before those that failed the task, and placing a task before not placing it.
const SCORE_MAX: i64 = 10_000_000;
/// What a node that failed the task is worse by.
const LAST_RESORT: i64 = 4 * SCORE_MAX;
/// What placing a task one place earlier in service order is worth: more than all scores of a
/// batch together.
const PLACE: i64 = (OPTIMAL_TASKS_MAX as i64) * 8 * SCORE_MAX;

/// One free slot of an agent.
#[derive(Debug, Clone, Copy)]
struct Slot {
    agent: usize,
    /// Score of an agent whose slots before this one are taken, as far as it is the same for all.
    common: i64,
}

/// A task of the batch.
type Row<'a> = (usize, Asked<'a>);

/// Why the next round would not assign a batch; none when it would.
pub(crate) fn too_large(snapshot: &Snapshot<'_>) -> Option<String> {
    let open = Capacity::of(snapshot).slots_open();
    (open > OPTIMAL_SLOTS_MAX as u64).then(|| {
        format!(
            "{open} slots are free, more than the {OPTIMAL_SLOTS_MAX} that are assigned at a time: \
             placed as capability-weighted"
        )
    })
}

/// Places batch after batch; with too many free slots, one task after another by score.
pub(crate) fn run(snapshot: &Snapshot<'_>, policy: &Policy) -> Vec<Grant> {
    let signatures = signatures(snapshot);
    let mut round = Round::<ByScore>::of(snapshot, policy, &signatures);
    while let Some(slots) = slots(&round.field).filter(|_| !round.is_over()) {
        let rows = next_rows(&mut round, slots.len());
        if rows.is_empty() {
            break;
        }
        place_batch(&mut round, &rows, &slots);
    }
    round.finish()
}

/// The columns; none when there are too many.
fn slots(field: &Field<'_, '_>) -> Option<Vec<Slot>> {
    let open = field.capacity.slots_open();
    if open > OPTIMAL_SLOTS_MAX as u64 {
        return None;
    }
    let mut slots = Vec::new();
    for agent in &field.open_agents {
        let (view, _) = field.agent(*agent);
        let node = field.snapshot.agents[*agent].node;
        let of_agent = field.capacity.agent_slots(*agent);
        let free = of_agent.min(field.capacity.node_slots(node));
        let now = field.load_now(*agent);
        for taken in 0..free {
            let left = free_share(u64::from(of_agent - taken), u64::from(view.slots));
            slots.push(Slot {
                agent: *agent,
                common: field.common_at(*agent, left.min(now)),
            });
        }
        // Agents of one node may offer its slots several times.
        if slots.len() > OPTIMAL_SLOTS_MAX {
            return None;
        }
    }
    Some(slots)
}

fn place_batch<'a>(round: &mut Round<'_, 'a, ByScore>, rows: &[Row<'a>], slots: &[Slot]) {
    let (_, columns) = kuhn_munkres_min(&costs(&round.field, rows, slots));
    for ((queue, asked), column) in rows.iter().zip(columns) {
        let chosen = slots.get(column).map(|slot| slot.agent);
        // Resources are shared, so a slot may be gone when its turn comes.
        let fitting = chosen.filter(|agent| round.field.can_take(*agent, asked.wanted));
        if let Some(agent) = fitting.or_else(|| round.choose(*queue, asked)) {
            round.grant(asked, agent);
        }
    }
}

/// The tasks to assign, in service order, each of which fits somewhere. A run is charged for each
/// of them, also for the few that find their slot taken.
fn next_rows<'a>(round: &mut Round<'_, 'a, ByScore>, slots: usize) -> Vec<Row<'a>> {
    let open = round.field.capacity.slots_open() as usize;
    let bound = OPTIMAL_TASKS_MAX
        .min(open)
        .min(slots)
        .min(round.grants_left());
    let mut rows = Vec::new();
    while rows.len() < bound {
        let Some((queue, key)) = round.order.next() else {
            break;
        };
        let asked = round.asked(queue, &key);
        if round.choose(queue, &asked).is_some() {
            rows.push((queue, asked));
            round.order.advance(Served::Granted);
        } else {
            round.order.advance(Served::QueueUnfit);
        }
    }
    rows
}

/// Costs of each task in each slot. There are never fewer slots than tasks, see [`next_rows`].
fn costs(field: &Field<'_, '_>, rows: &[Row<'_>], slots: &[Slot]) -> Matrix<i64> {
    let mut costs = Matrix::new(rows.len(), slots.len(), 0);
    let mut of_queues: BTreeMap<usize, Vec<Option<i64>>> = BTreeMap::new();
    for (place, (queue, asked)) in rows.iter().enumerate() {
        let extras = of_queues
            .entry(*queue)
            .or_insert_with(|| extras(field, asked.wanted));
        let placed = (rows.len() - place) as i64 * PLACE;
        for (column, slot) in slots.iter().enumerate() {
            let extra = extras[field.profiles().of_agent(slot.agent)];
            let own = extra.and_then(|extra| own_score(field, slot.agent, asked, extra));
            if let Some(own) = own {
                let score = (own + slot.common).clamp(-LAST_RESORT - SCORE_MAX, SCORE_MAX);
                costs[(place, column)] = -placed - score;
            }
        }
    }
    costs
}

/// What the signature adds to the score of each profile that suits it.
fn extras(field: &Field<'_, '_>, wanted: &Requirements) -> Vec<Option<i64>> {
    let mut extras = vec![None; field.profiles().count()];
    for (profile, extra) in field.suited_profiles(wanted) {
        extras[profile] = Some(extra);
    }
    extras
}

/// What the task adds to the score of the agent; none when the agent cannot take it.
fn own_score(field: &Field<'_, '_>, agent: usize, asked: &Asked<'_>, extra: i64) -> Option<i64> {
    let only = asked.wanted.agent;
    if only.is_some_and(|only| only != field.agent(agent).0.id)
        || !field.has_room(agent, &asked.wanted.resources)
    {
        return None;
    }
    let failed = asked.failed_on.contains(&field.node_of(agent));
    let last_resort = if failed { LAST_RESORT } else { 0 };
    let of_inputs = match asked.inputs.total_bytes {
        0 => 0,
        _ => field.input_bonus(agent, asked),
    };
    Some(extra + of_inputs - last_resort)
}
