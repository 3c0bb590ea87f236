//! The waiting tasks in the order in which the Unified Swarm lists them.

use skep_core::State;
use skep_model::ids::TaskId;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Tasks that wait for an agent, the most urgent first, and of equal ones those that came first.
pub(super) fn most_urgent(state: &State, limit: usize) -> Vec<TaskId> {
    let mut queues: Vec<_> = state
        .ready_queues()
        .map(|queue| (queue.priority, queue.tasks.iter()))
        .collect();
    let mut heads = BinaryHeap::new();
    for (place, (priority, tasks)) in queues.iter_mut().enumerate() {
        heads.extend(tasks.next().map(|key| (*priority, Reverse(*key), place)));
    }
    let mut found = Vec::new();
    while found.len() < limit {
        let Some((priority, Reverse(key), place)) = heads.pop() else {
            break;
        };
        found.push(key.task);
        let next = queues.get_mut(place).and_then(|(_, tasks)| tasks.next());
        heads.extend(next.map(|key| (priority, Reverse(*key), place)));
    }
    found
}
