//! Places ready tasks by the strategy that each run asks for.
//!
//! Usually all runs are placed by the swarm's own strategy, in one call. When some runs name
//! another one, the swarm's strategy only says which tasks are served now, so that priority, age
//! and fair share hold across all runs. Then each strategy chooses the agents for the tasks of its
//! own runs, the strategy of the task that is served first going first, each in the room that
//! those before it left.
//!
//! So a strategy may take the only agent that fitted a task of a later one. That task stays ready,
//! and the next decision follows at once.

use skep_core::State;
use skep_model::command::Grant;
use skep_model::ids::{AgentId, RunId, TaskId};
use skep_model::task::ReadyKey;
use skep_scheduler::{
    AgentView, BreakerView, NodeView, OPTIMAL_TASKS_MAX, Policy, QueueView, STRATEGIES, Snapshot,
    Strategy, strategy,
};
use std::collections::{BTreeMap, BTreeSet};

/// The swarm's own strategy, and those that runs may ask for.
pub(crate) struct Placement {
    own: Box<dyn Strategy + Send + Sync>,
    others: Vec<Box<dyn Strategy + Send + Sync>>,
}

impl Placement {
    pub(crate) fn new(own: Box<dyn Strategy + Send + Sync>) -> Self {
        let others = STRATEGIES.iter().filter(|name| **name != own.name());
        let others = others.filter_map(|name| strategy(name).ok()).collect();
        Self { own, others }
    }

    /// The name of the swarm's own strategy.
    pub(crate) fn name(&self) -> &'static str {
        self.own.name()
    }

    /// Grants that fit the snapshot of this state.
    pub(crate) fn place(
        &self,
        state: &State,
        snapshot: &Snapshot<'_>,
        policy: &Policy,
    ) -> Vec<Grant> {
        let wanted = |queue: &QueueView<'_>| self.of_run(state, queue.run);
        let mut names = snapshot.queues.iter().map(|queue| wanted(queue).name());
        let Some(first) = names.next() else {
            return Vec::new();
        };
        if names.all(|name| name == first) {
            return wanted(&snapshot.queues[0]).place(snapshot, policy);
        }
        let served = self.own.place(snapshot, policy);
        let placed = self.place_served(state, snapshot, policy, &served);
        // Whatever strategies do: work that fits somewhere goes on.
        if placed.is_empty() { served } else { placed }
    }

    /// The strategy of a run. A name that this version does not know counts as none.
    fn of_run(&self, state: &State, run: Option<RunId>) -> &dyn Strategy {
        let spec = run.and_then(|run| state.run(run)).map(|run| &run.spec);
        let name = spec.and_then(|spec| spec.strategy.as_deref());
        let other = self
            .others
            .iter()
            .find(|other| Some(other.name()) == name)
            .unwrap_or(&self.own);
        other.as_ref()
    }

    /// Chooses the agents for the tasks that are served now, strategy by strategy.
    fn place_served(
        &self,
        state: &State,
        snapshot: &Snapshot<'_>,
        policy: &Policy,
        served: &[Grant],
    ) -> Vec<Grant> {
        let position: BTreeMap<TaskId, usize> =
            served.iter().map(|grant| grant.task).zip(0..).collect();
        let runs = served.iter().filter_map(|grant| state.task(grant.task));
        let runs: BTreeSet<Option<RunId>> = runs.map(|task| task.run).collect();
        let queues: Vec<Served> = snapshot
            .queues
            .iter()
            .enumerate()
            .filter(|(_, view)| runs.contains(&view.run))
            .filter_map(|(queue, view)| Served::of(queue, view, &position))
            .collect();
        let strategy = |queue: &Served| self.of_run(state, snapshot.queues[queue.queue].run);
        let mut turns: BTreeMap<&'static str, usize> = BTreeMap::new();
        for queue in &queues {
            let turn = turns.entry(strategy(queue).name()).or_insert(usize::MAX);
            *turn = queue.first.min(*turn);
        }
        let mut turns: Vec<(usize, &'static str)> = turns
            .into_iter()
            .map(|(name, first)| (first, name))
            .collect();
        turns.sort_unstable();

        let mut room = Room::of(snapshot);
        let mut policy = *policy;
        let mut grants = Vec::with_capacity(served.len());
        for (_, name) in turns {
            let mine = || queues.iter().filter(|queue| strategy(queue).name() == name);
            let views = mine().map(|queue| QueueView {
                tasks: &queue.tasks,
                ..snapshot.queues[queue.queue]
            });
            let Some(chosen) = mine().next().map(strategy) else {
                continue;
            };
            let round = Snapshot {
                now: snapshot.now,
                mean_ms: snapshot.mean_ms,
                nodes: room.nodes.clone(),
                agents: room.agents.clone(),
                queues: views.collect(),
                failed_on: &|task| (snapshot.failed_on)(task),
                inputs: &|task| (snapshot.inputs)(task),
            };
            let made = chosen.place(&round, &policy);
            room.take(state, &made);
            policy.grants_max = policy.grants_max.saturating_sub(made.len());
            policy.granted(&made);
            grants.extend(made);
        }
        grants
    }
}

/// What is served now of one queue.
struct Served {
    /// Position of the queue in the snapshot.
    queue: usize,
    tasks: BTreeSet<ReadyKey>,
    /// When the first of them is served.
    first: usize,
}

impl Served {
    /// None when nothing of the queue is served. Tasks are served from the head on, but for a few
    /// that a strategy passes over: so many in a row that are not served end the search.
    fn of(queue: usize, view: &QueueView<'_>, position: &BTreeMap<TaskId, usize>) -> Option<Self> {
        let mut passed_over = 0;
        let served = view.tasks.iter().map_while(|key| {
            let is_served = position.contains_key(&key.task);
            passed_over = if is_served { 0 } else { passed_over + 1 };
            (passed_over <= OPTIMAL_TASKS_MAX).then_some(is_served.then_some(*key))
        });
        let tasks: BTreeSet<ReadyKey> = served.flatten().collect();
        let first = tasks.iter().filter_map(|key| position.get(&key.task)).min();
        let first = *first?;
        Some(Self {
            queue,
            tasks,
            first,
        })
    }
}

/// What earlier strategies left. What a run holds is not counted: which tasks are served was
/// decided before, for all runs together.
struct Room<'a> {
    nodes: Vec<NodeView<'a>>,
    agents: Vec<AgentView<'a>>,
    positions: BTreeMap<AgentId, usize>,
}

impl<'a> Room<'a> {
    fn of(snapshot: &Snapshot<'a>) -> Self {
        let ids = snapshot.agents.iter().map(|agent| agent.id);
        Self {
            nodes: snapshot.nodes.clone(),
            agents: snapshot.agents.clone(),
            positions: ids.zip(0..).collect(),
        }
    }

    fn take(&mut self, state: &State, grants: &[Grant]) {
        for grant in grants {
            let agent = self.positions.get(&grant.agent);
            let agent = agent.and_then(|at| self.agents.get_mut(*at));
            let (Some(agent), Some(task)) = (agent, state.task(grant.task)) else {
                continue;
            };
            agent.slots_free = agent.slots_free.saturating_sub(1);
            let Some(node) = self.nodes.get_mut(agent.node) else {
                continue;
            };
            node.slots_free = node.slots_free.saturating_sub(1);
            node.free = node.free.minus(&task.spec.requirements.resources);
            if let BreakerView::HalfOpen { room } = &mut node.breaker {
                *room = room.saturating_sub(1);
            }
        }
    }
}

#[cfg(test)]
mod tests;
