//! Random task graphs for the clients to submit.

use crate::random::Random;
use skep_model::attempt::FailureClass;
use skep_model::ids::TaskId;
use skep_model::task::{
    Compensation, Condition, Delivery, NewTask, Priority, RetryPolicy, TaskSpec,
};
use skep_model::time::UnixMillis;
use skep_model::work::Work;
use std::sync::Arc;

/// A graph with positions instead of ids, so that a repeated submission means the same.
#[derive(Debug, Clone)]
pub(crate) struct Graph {
    tasks: Vec<(TaskSpec, Vec<usize>, bool)>,
}

impl Graph {
    pub(crate) fn draw(random: &mut Random, now: UnixMillis) -> Self {
        let size = random.between(1, 12) as usize;
        let mut tasks = Vec::new();
        for position in 0..size {
            let mut spec = TaskSpec::noop(format!("t{position}"));
            spec.priority = Priority {
                base: random.between(1, 10) as u8,
                ..Priority::default()
            };
            spec.condition = match random.between(0, 9) {
                0 => Condition::Failure,
                1 | 2 => Condition::Always,
                _ => Condition::Success,
            };
            spec.retry = RetryPolicy {
                attempts_max: random.between(1, 4) as u32,
                ..RetryPolicy::default()
            };
            if random.chance(100) {
                spec.retry.on = vec![FailureClass::Lost];
            }
            if random.chance(250) {
                spec.delivery = Delivery::AtMostOnce;
            }
            if random.chance(50) {
                spec.deadline = Some(now.plus(random.between(1_000, 600_000)));
            }
            if random.chance(300) {
                let resources = &mut spec.requirements.resources;
                resources.cpu_millis = random.between(0, 3) * 500;
            }
            let needs = (0..position).filter(|_| random.chance(250)).collect();
            tasks.push((spec, needs, random.chance(100)));
        }
        Self { tasks }
    }

    pub(crate) fn size(&self) -> usize {
        self.tasks.len()
    }

    /// The graph with fresh ids, as an operation would stamp it.
    pub(crate) fn stamp(&self, fresh: &mut impl FnMut() -> u128) -> Vec<NewTask> {
        let ids: Vec<_> = self
            .tasks
            .iter()
            .map(|_| TaskId::from_u128(fresh()))
            .collect();
        let stamped = self
            .tasks
            .iter()
            .zip(&ids)
            .map(|((spec, needs, compensated), id)| {
                let mut spec = spec.clone();
                if *compensated {
                    let task = TaskId::from_u128(fresh());
                    spec.compensate = Some(Box::new(Compensation {
                        task,
                        work: Work::Noop,
                    }));
                }
                NewTask {
                    id: *id,
                    spec: Arc::new(spec),
                    needs: needs.iter().map(|position| ids[*position]).collect(),
                }
            });
        stamped.collect()
    }

    /// Differs for graphs that differ.
    pub(crate) fn fingerprint(&self) -> [u8; 32] {
        *blake3::hash(format!("{:?}", self.tasks).as_bytes()).as_bytes()
    }
}
