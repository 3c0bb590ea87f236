//! `ReportResults`: the end of attempts. Each report is accepted or refused alone.

use crate::apply::Step;
use crate::state::State;
use skep_model::attempt::{AttemptReport, Outcome};
use skep_model::event::Event;
use skep_model::ids::NodeId;
use skep_model::planted::{PlantedBug, planted};
use skep_model::refusal::Refusal;
use skep_model::task::TaskSpec;
use skep_model::work::Work;

/// What the gates of a task say about a report of success.
#[derive(Debug, PartialEq, Eq)]
enum Evidence {
    AllPassed,
    Failed(String),
    Missing(String),
}

impl State {
    #[expect(clippy::unnecessary_wraps, reason = "all commands have one shape")]
    pub(crate) fn report_results(
        &mut self,
        step: &mut Step,
        node: NodeId,
        reports: &[AttemptReport],
    ) -> Result<(), Refusal> {
        for report in reports {
            match self.judge(node, report) {
                Ok(evidence) => self.take_report(step, report, evidence),
                Err(reason) => refuse(step, report, reason),
            }
        }
        Ok(())
    }

    /// Whether the report is for the current attempt, and what its gates prove.
    fn judge(&self, node: NodeId, report: &AttemptReport) -> Result<Evidence, Refusal> {
        let record = self.live_task(report.task)?;
        let lease = record.lease.as_ref();
        let is_current = |fence| fence == report.fence || planted(PlantedBug::FenceNotChecked);
        if lease.is_none_or(|lease| lease.node != node || !is_current(lease.fence)) {
            return Err(Refusal::StaleFence {
                task: report.task,
                given: report.fence,
            });
        }
        Ok(evidence(&record.spec, report))
    }

    fn take_report(&mut self, step: &mut Step, report: &AttemptReport, evidence: Evidence) {
        if let Outcome::NotStarted { reason } = report.outcome
            && self.never_started(report.task)
        {
            self.take_back(step, report.task, reason);
            return;
        }
        let outcome = match (&report.outcome, evidence) {
            (Outcome::Completed, Evidence::Failed(gate)) => Outcome::GateFailed { gate },
            (Outcome::Completed, Evidence::Missing(gate)) => {
                let reason = Refusal::GateEvidenceMissing {
                    task: report.task,
                    gate: gate.clone(),
                };
                refuse(step, report, reason);
                Outcome::GateFailed { gate }
            }
            // It said before that it had started.
            (Outcome::NotStarted { .. }, _) => Outcome::Interrupted,
            (outcome, _) => outcome.clone(),
        };
        self.accept_report(step, report, outcome);
    }
}

fn refuse(step: &mut Step, report: &AttemptReport, reason: Refusal) {
    step.emit(Event::ReportRefused {
        task: report.task,
        fence: report.fence,
        reason,
    });
}

/// Every declared gate must have answered, and every answer to it must be that it passed.
fn evidence(spec: &TaskSpec, report: &AttemptReport) -> Evidence {
    let Work::Command(command) = &spec.work else {
        return Evidence::AllPassed;
    };
    for gate in &command.gates {
        let mut answers = report
            .gates
            .iter()
            .filter(|answer| answer.name == gate.name);
        let first = answers.next();
        if first.is_none() {
            return Evidence::Missing(gate.name.clone());
        }
        if !first.into_iter().chain(answers).all(|answer| answer.passed) {
            return Evidence::Failed(gate.name.clone());
        }
    }
    Evidence::AllPassed
}

#[cfg(test)]
mod tests;
