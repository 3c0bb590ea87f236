//! Statements by which nodes say how attempts and their gates ended.

use super::{Words, World};
use skep_model::attempt::{AttemptReport, GateReport, Outcome};
use skep_model::command::Command;
use skep_model::ids::TaskId;
use skep_model::task::HandBack;

fn outcome(word: &str) -> Outcome {
    match word {
        "ok" => Outcome::Completed,
        "exit" => Outcome::Exited { code: 1 },
        "gate" => Outcome::GateFailed {
            gate: "lint".to_owned(),
        },
        "timeout" => Outcome::TimedOut,
        "killed" => Outcome::Killed,
        "interrupted" => Outcome::Interrupted,
        "not-started" => Outcome::NotStarted {
            reason: HandBack::Stopping,
        },
        "error" => Outcome::Error {
            code: "workspace_failed".to_owned(),
            message: "no space".to_owned(),
        },
        other => panic!("no outcome `{other}`"),
    }
}

/// From `NAME:passed` or `NAME:failed`.
fn gate_report(answer: &str) -> GateReport {
    let (name, answer) = answer.split_once(':').unwrap();
    GateReport {
        name: name.to_owned(),
        passed: answer == "passed",
        exit_code: None,
        duration_ms: 1,
        output: String::new(),
    }
}

impl World {
    pub(super) fn report(&self, words: &Words<'_>) -> Command {
        let (node, fence) = self.grant_of(words);
        let gates = words.options_named("gate").map(gate_report);
        let task = TaskId::from_u128(words.id());
        let report = AttemptReport {
            duration_ms: words.number("ms").unwrap_or(5),
            gates: gates.collect(),
            ..AttemptReport::without_process(task, fence, outcome(words.plain[1]))
        };
        Command::ReportResults {
            node,
            reports: vec![report],
        }
    }

    /// `gate TASK NAME:ANSWER`.
    pub(super) fn gate(&self, words: &Words<'_>) -> Command {
        let (node, fence) = self.grant_of(words);
        Command::ReportGate {
            node,
            task: TaskId::from_u128(words.id()),
            fence,
            gate: Box::new(gate_report(words.plain[1])),
        }
    }
}
