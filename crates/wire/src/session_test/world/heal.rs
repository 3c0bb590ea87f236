//! The good end: everything works, and everything must be settled.

use super::super::coordinator::TaskState;
use super::World;

const HEAL_ROUNDS_MAX: usize = 2_000;
const HEAL_STEP_MS: u64 = 50;

impl World {
    /// Everything works again: all tasks become final, and nothing stays on the disk.
    pub(in crate::session_test) fn heal(&mut self) {
        self.overload(false);
        for _ in 0..HEAL_ROUNDS_MAX {
            self.reach_coordinator(usize::MAX);
            self.reach_node(usize::MAX);
            self.begin();
            self.finish(0);
            self.synced();
            self.pass(HEAL_STEP_MS);
            if self.coordinator.is_settled() && self.running.is_empty() && self.disk.is_empty() {
                break;
            }
        }
        assert!(
            self.coordinator.is_settled(),
            "unsettled: {:?}",
            self.coordinator.tasks
        );
        assert!(self.disk.is_empty(), "left on disk: {:?}", self.disk.keys());
        let lost: Vec<_> = self.wanted.difference(&self.coordinator.released).collect();
        assert!(lost.is_empty(), "never arrived: {lost:?}");
        for (task, state) in &self.coordinator.tasks {
            if let TaskState::Done(key) = state {
                assert!(
                    self.coordinator.delivered.contains(key),
                    "{task} is done by nobody"
                );
            }
        }
    }
}
