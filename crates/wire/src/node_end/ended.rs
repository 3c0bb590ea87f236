//! Which attempts were here before, so that none is run twice.

use crate::bounds::ENDED_ATTEMPTS_REMEMBERED_MAX;
use crate::payload::AttemptKey;
use skep_model::attempt::Fence;
use skep_model::ids::TaskId;
use std::collections::{BTreeMap, VecDeque};

/// The highest fence of each task that ended here; the oldest give way.
#[derive(Debug, Default)]
pub(super) struct EndedMemory {
    fences: BTreeMap<TaskId, Fence>,
    order: VecDeque<AttemptKey>,
}

impl EndedMemory {
    pub(super) fn remember(&mut self, attempt: AttemptKey) {
        let known = self.fences.get(&attempt.task);
        if known.is_some_and(|fence| *fence >= attempt.fence) {
            return;
        }
        self.fences.insert(attempt.task, attempt.fence);
        self.order.push_back(attempt);
        if self.order.len() > ENDED_ATTEMPTS_REMEMBERED_MAX
            && let Some(oldest) = self.order.pop_front()
            && self.fences.get(&oldest.task) == Some(&oldest.fence)
        {
            self.fences.remove(&oldest.task);
        }
    }

    pub(super) fn fence_of(&self, task: TaskId) -> Option<Fence> {
        self.fences.get(&task).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_model::attempt::LogIndex;

    fn attempt(task: usize, index: u64) -> AttemptKey {
        let fence = Fence {
            epoch: 1,
            index: LogIndex(index),
        };
        AttemptKey::new(TaskId::from_u128(task as u128), fence)
    }

    #[test]
    fn the_highest_fence_of_a_task_stays() {
        let mut memory = EndedMemory::default();
        memory.remember(attempt(1, 5));
        memory.remember(attempt(1, 3));
        let task = TaskId::from_u128(1);
        assert_eq!(memory.fence_of(task), Some(attempt(1, 5).fence));
    }

    #[test]
    fn the_memory_is_bounded_and_the_oldest_give_way() {
        let mut memory = EndedMemory::default();
        for task in 0..=ENDED_ATTEMPTS_REMEMBERED_MAX {
            memory.remember(attempt(task, 1));
        }
        assert_eq!(memory.fence_of(TaskId::from_u128(0)), None);
        assert!(memory.fence_of(TaskId::from_u128(1)).is_some());
        assert_eq!(memory.order.len(), ENDED_ATTEMPTS_REMEMBERED_MAX);
    }
}
