//! Criteria that the record of a task answers.

use super::{Judgement, Verdict};
use serde_json::{Value, json};

/// Why words alone are not judged.
const NEEDS_JUDGE: &str = "it needs somebody who understands it, and no model of Skep judges: give a \
                           command as {name, run}, or ask an attached agent by task_orchestrate";

/// The name of a criterion, and how one task is judged by it.
type Criterion = (&'static str, fn(&Value) -> Judgement);

const RECORDED: [Criterion; 5] = [
    ("completed", completed),
    ("exit_code", exit_code),
    ("gates", gates),
    ("first_attempt", first_attempt),
    ("artifacts", artifacts),
];

/// By what was recorded of all tasks: those that can be judged have to pass.
pub(super) fn by_record(name: &str, tasks: &[Value]) -> Judgement {
    let Some((_, judge)) = RECORDED.iter().find(|(known, _)| *known == name) else {
        return Judgement::not_assessed(NEEDS_JUDGE);
    };
    let all: Vec<_> = tasks.iter().map(judge).collect();
    let has = |wanted: Verdict| all.iter().any(|one| one.verdict == wanted);
    let verdict = if has(Verdict::Failed) {
        Verdict::Failed
    } else if has(Verdict::Passed) {
        Verdict::Passed
    } else {
        Verdict::NotAssessed
    };
    let evidence = tasks.iter().zip(&all).map(|(task, one)| {
        json!({
            "taskId": task["id"],
            "verdict": one.verdict.as_str(),
            "evidence": one.evidence,
        })
    });
    Judgement {
        verdict,
        evidence: evidence.collect(),
    }
}

fn completed(task: &Value) -> Judgement {
    Judgement {
        verdict: Verdict::of(task["state"] == "succeeded"),
        evidence: json!({ "state": task["state"], "reason": task["reason"] }),
    }
}

fn exit_code(task: &Value) -> Judgement {
    if task["exit_code"].is_null() {
        return Judgement::not_assessed("no attempt of it ended with an exit code");
    }
    Judgement {
        verdict: Verdict::of(task["exit_code"] == 0),
        evidence: json!({ "exitCode": task["exit_code"] }),
    }
}

fn gates(task: &Value) -> Judgement {
    let gates = task["gates"].as_array().map_or(&[][..], Vec::as_slice);
    if gates.is_empty() {
        return Judgement::not_assessed("it has no gates: nothing was checked when it ended");
    }
    Judgement {
        verdict: Verdict::of(gates.iter().all(|gate| gate["passed"] == true)),
        evidence: json!({ "gates": gates }),
    }
}

fn first_attempt(task: &Value) -> Judgement {
    let attempts = task["attempts"].as_u64().unwrap_or(0);
    if attempts == 0 {
        return Judgement::not_assessed("it was never tried");
    }
    Judgement {
        verdict: Verdict::of(attempts == 1 && task["state"] == "succeeded"),
        evidence: json!({ "attempts": attempts, "state": task["state"] }),
    }
}

fn artifacts(task: &Value) -> Judgement {
    let artifacts = task["artifacts"].as_array().map_or(&[][..], Vec::as_slice);
    Judgement {
        verdict: Verdict::of(!artifacts.is_empty()),
        evidence: json!({ "artifacts": artifacts }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_answers_what_it_can_and_nothing_else() {
        let good = json!({
            "id": "task_1", "state": "succeeded", "exit_code": 0, "attempts": 1,
            "gates": [{"name": "tests", "passed": true}], "artifacts": [],
        });
        let bad = json!({
            "id": "task_2", "state": "failed", "exit_code": 3, "attempts": 2,
            "gates": [{"name": "tests", "passed": false}], "artifacts": [{"path": "a"}],
        });
        let bare = json!({ "id": "task_3", "state": "cancelled", "attempts": 0 });
        let verdict = |name: &str, tasks: &[&Value]| {
            let tasks: Vec<_> = tasks.iter().map(|&task| task.clone()).collect();
            by_record(name, &tasks).verdict.as_str()
        };
        for (name, of_good, of_bad, of_bare) in [
            ("completed", "passed", "failed", "failed"),
            ("exit_code", "passed", "failed", "not_assessed"),
            ("gates", "passed", "failed", "not_assessed"),
            ("first_attempt", "passed", "failed", "not_assessed"),
            ("artifacts", "failed", "passed", "failed"),
            ("elegance", "not_assessed", "not_assessed", "not_assessed"),
        ] {
            assert_eq!(verdict(name, &[&good]), of_good, "{name}");
            assert_eq!(verdict(name, &[&bad]), of_bad, "{name}");
            assert_eq!(verdict(name, &[&bare]), of_bare, "{name}");
        }
        assert_eq!(verdict("gates", &[&good, &bare]), "passed");
        assert_eq!(verdict("gates", &[&good, &bad]), "failed");
        let said = by_record("elegance", &[good]).evidence["reason"].to_string();
        assert!(said.contains("task_orchestrate"), "{said}");
    }
}
