//! Attempts of the simulation: they start, last, and end as the seed wants.

use crate::happening::What;
use crate::node::{Node, Running};
use crate::oracle::Execution;
use crate::world::World;
use skep_model::attempt::{AttemptReport, Outcome, ResourceUse};
use skep_model::limits::SELF_FENCE_PERCENT;
use skep_wire::NodeInput;
use skep_wire::payload::{Assignment, AttemptKey};

impl Node {
    /// What it runs and was not told to stop.
    fn wanted(&self) -> Vec<AttemptKey> {
        let running = self.running.iter();
        let wanted = running.filter(|(_, running)| !running.is_told_to_stop);
        wanted.map(|(attempt, _)| *attempt).collect()
    }
}

impl World {
    /// Nothing that the node was not told to stop is executed any more.
    pub(crate) fn attempts_stand_still(&mut self, index: usize) {
        self.nodes[index].stands_still = true;
        for attempt in self.nodes[index].wanted() {
            self.oracle
                .stops(attempt.task, Execution::of(index, attempt));
        }
    }

    /// What the node was not told to stop meanwhile is executed again.
    pub(crate) fn attempts_go_on(&mut self, index: usize) -> Result<(), String> {
        self.nodes[index].stands_still = false;
        for attempt in self.nodes[index].wanted() {
            let nodes = &self.nodes;
            let may_overlap = |node: usize| nodes[node].may_overlap;
            let execution = Execution::of(index, attempt);
            self.oracle.goes_on(attempt.task, execution, may_overlap)?;
        }
        Ok(())
    }

    /// I16: a node gives its work up only when it could not be heard: a full disk of the
    /// coordinator is no reason.
    pub(crate) fn had_reason_to_fence(
        &mut self,
        index: usize,
        attempt: AttemptKey,
    ) -> Result<(), String> {
        self.note("node fenced itself");
        let fenced_at = self.nodes[index]
            .disturbed_until
            .max(self.coordinator_started_at)
            .saturating_add(self.nodes[index].lease_ms() * SELF_FENCE_PERCENT / 100);
        let in_touch = self.coordinator.is_some() && self.every_frame_arrives;
        if in_touch && self.now >= fenced_at {
            return Err(format!(
                "I16: n{index} stopped {attempt}, though nothing kept it from the coordinator for a lease until {fenced_at} ms"
            ));
        }
        Ok(())
    }

    pub(crate) fn attempt_starts(
        &mut self,
        index: usize,
        assignment: &Assignment,
    ) -> Result<(), String> {
        let attempt = assignment.key();
        let execution = Execution::of(index, attempt);
        let nodes = &self.nodes;
        let may_overlap = |node: usize| nodes[node].may_overlap;
        self.oracle.starts(attempt.task, execution, may_overlap)?;
        let running = Running {
            since: self.now,
            is_told_to_stop: false,
        };
        self.nodes[index].running.insert(attempt, running);
        if self.nodes[index].stands_still {
            self.oracle.stops(attempt.task, execution);
        }
        let longest = *self
            .random
            .pick(&[5, 500, 5_000, self.faults.attempt_ms_max]);
        let longest = longest.min(self.faults.attempt_ms_max);
        let at = self.now + self.random.between(0, longest);
        let outcome = if self.random.chance(self.faults.attempt_failure_permille) {
            match self.random.between(0, 2) {
                0 => Outcome::Exited { code: 1 },
                1 => Outcome::TimedOut,
                _ => Outcome::Error {
                    code: "simulated".to_owned(),
                    message: String::new(),
                },
            }
        } else {
            Outcome::Completed
        };
        let generation = self.nodes[index].generation;
        self.schedule(
            at,
            What::AttemptEnds {
                node: index,
                generation,
                attempt,
                outcome,
            },
        );
        self.schedule(
            self.now,
            What::AttemptStarted {
                node: index,
                generation,
                attempt,
            },
        );
        Ok(())
    }

    pub(crate) fn attempt_ends(
        &mut self,
        index: usize,
        attempt: AttemptKey,
        outcome: Outcome,
    ) -> Result<(), String> {
        if self.nodes[index].running.remove(&attempt).is_none() {
            return Ok(());
        }
        let execution = Execution::of(index, attempt);
        self.oracle.stops(attempt.task, execution);
        if outcome == Outcome::Completed {
            self.oracle.completes(attempt.task, attempt.fence);
        }
        let report = AttemptReport {
            task: attempt.task,
            fence: attempt.fence,
            exit_code: (outcome == Outcome::Completed).then_some(0),
            outcome,
            duration_ms: 1,
            usage: ResourceUse::default(),
            isolation: None,
            artifacts: Vec::new(),
            gates: Vec::new(),
            account: None,
        };
        self.node_input(index, NodeInput::Finished(Box::new(report)))
    }

    pub(crate) fn spool_done(
        &mut self,
        index: usize,
        batch: u64,
        reports: Vec<AttemptReport>,
    ) -> Result<(), String> {
        for report in reports {
            self.nodes[index].spool.insert((&report).into(), report);
        }
        self.node_input(index, NodeInput::Spooled { batch })
    }
}
