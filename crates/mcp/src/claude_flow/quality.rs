//! Judges finished work by what was recorded of it, and by commands that say yes or no.

mod recorded;

use super::call::{Call, Failure, Outcome, work};
use super::contract::{ContractTool, Effect, Group, list, text};
use super::steps::{self, Order};
use super::{batch, task};
use crate::fault::Fault;
use crate::swarm_uri::Named;
use recorded::by_record;
use serde_json::{Map, Value, json};

/// Criteria that one call judges.
const CRITERIA_MAX: usize = 50;
/// Judged when no criteria are named.
const USUAL: [&str; 4] = ["completed", "exit_code", "gates", "first_attempt"];

pub(super) static TOOLS: &[ContractTool] = &[ContractTool {
    name: "quality_assess",
    group: Group::Analysis,
    about: "Judges a task or run that has ended, by its record and by commands; each with evidence.",
    parameters: &[
        text("target", task::ID).required(),
        list(
            "criteria",
            "Any of completed, exit_code, gates, first_attempt, artifacts, or commands as {name, \
             run}; the first four unless said.",
        ),
    ],
    effect: Effect::Writes,
    handle: |call| Box::pin(assess(call)),
}];

/// What is said of one criterion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Passed,
    Failed,
    NotAssessed,
}

impl Verdict {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::NotAssessed => "not_assessed",
        }
    }

    const fn of(passed: bool) -> Self {
        if passed { Self::Passed } else { Self::Failed }
    }
}

/// A verdict with its evidence.
#[derive(Debug)]
struct Judgement {
    verdict: Verdict,
    evidence: Value,
}

impl Judgement {
    fn shown(&self, name: &str) -> Value {
        json!({
            "criterion": name,
            "verdict": self.verdict.as_str(),
            "evidence": self.evidence,
        })
    }

    fn not_assessed(reason: &str) -> Self {
        Self {
            verdict: Verdict::NotAssessed,
            evidence: json!({ "reason": reason }),
        }
    }
}

async fn assess(call: Call) -> Outcome {
    let id = call.required_text("target")?;
    let usual = USUAL.map(|name| json!(name));
    let criteria = call.list("criteria").unwrap_or(&usual);
    if !(1..=CRITERIA_MAX).contains(&criteria.len()) {
        let detail = format!("`criteria` should have 1 to {CRITERIA_MAX} items (CRITERIA_MAX)");
        return Err(Failure::argument(detail));
    }
    let tasks = ended_tasks(&call, id).await?;
    let commands: Vec<_> = criteria.iter().filter(|one| one.is_object()).collect();
    let mut answers = judged_by_commands(&call, id, &commands).await?.into_iter();
    let mut judged = Vec::new();
    for criterion in criteria {
        judged.push(match criterion {
            Value::String(name) => (name.clone(), by_record(name, &tasks)),
            Value::Object(_) => answers
                .next()
                .ok_or_else(|| Failure::new(Fault::Internal, "a command has no answer"))?,
            other => {
                let detail = format!("`criteria` has `{other}`; want a name, or {{name, run}}");
                return Err(Failure::argument(detail));
            }
        });
    }
    summed_up(id, &judged)
}

/// Done only when everything was judged, whatever the verdicts.
fn summed_up(id: &str, judged: &[(String, Judgement)]) -> Outcome {
    let count = |wanted: Verdict| {
        let verdicts = judged.iter().map(|(_, one)| one.verdict);
        verdicts.filter(|verdict| *verdict == wanted).count()
    };
    let shown: Vec<_> = judged.iter().map(|(name, one)| one.shown(name)).collect();
    let document = json!({
        "target": id,
        "passed": count(Verdict::Passed) == judged.len(),
        "counts": {
            "passed": count(Verdict::Passed),
            "failed": count(Verdict::Failed),
            "not_assessed": count(Verdict::NotAssessed),
        },
        "criteria": shown,
    });
    match count(Verdict::NotAssessed) {
        0 => Ok(document),
        left => {
            let detail = format!("{left} of {} criteria were not assessed", judged.len());
            Err(Failure::new(Fault::NotAssessed, detail).with(document))
        }
    }
}

/// The target's task, or all tasks of its run.
async fn ended_tasks(call: &Call, id: &str) -> Result<Vec<Value>, Failure> {
    let named = work("target", id)?;
    let operation = named.reading().operation.id;
    let document = call.operate(operation, json!({ "id": id })).await?;
    let (state, is_final) = named.state(&document);
    if !is_final {
        let detail = format!("`{id}` is {state}: there is nothing to judge yet");
        return Err(Failure::new(Fault::NotFinished, detail));
    }
    if !matches!(named, Named::Run(_)) {
        return Ok(vec![document]);
    }
    let mut tasks = Vec::new();
    for task in document["tasks"].as_array().into_iter().flatten() {
        let found = call.operate("tasks.get", json!({ "id": task["id"] }));
        tasks.push(found.await?);
    }
    Ok(tasks)
}

/// Runs the commands side by side on nodes; each ends with 0 when its criterion is met. They find
/// the target's id in `TARGET`.
async fn judged_by_commands(
    call: &Call,
    target: &str,
    commands: &[&Value],
) -> Result<Vec<(String, Judgement)>, Failure> {
    if commands.is_empty() {
        return Ok(Vec::new());
    }
    let items: Vec<Value> = commands.iter().map(|&command| command.clone()).collect();
    let (mut tasks, order) = steps::tasks("criteria", &items, Order::SideBySide)?;
    for task in tasks.values_mut() {
        if task.get("retries").is_none() {
            task["retries"] = json!(0);
        }
        let mut env = match task.get("env") {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(env)) => env.clone(),
            Some(_) => {
                let wanted = "`env` of a command in `criteria` should be an object";
                return Err(Failure::argument(wanted));
            }
        };
        env.insert("TARGET".to_owned(), json!(target));
        task["env"] = Value::Object(env);
    }
    let plan = json!({ "name": "assessment", "tasks": tasks });
    let submitted = call.operate("runs.submit", json!({ "plan": plan })).await?;
    let run = &submitted["run"]["id"];
    let results = batch::results(call, run, &order).await?;
    let judged = order.into_iter().zip(results).map(|(name, result)| {
        let verdict = match result["status"].as_str() {
            Some("succeeded") => Verdict::Passed,
            Some("failed") if !result["exitCode"].is_null() => Verdict::Failed,
            // It was never run, or goes on: that says nothing about the target.
            _ => Verdict::NotAssessed,
        };
        let evidence = json!({
            "runId": run,
            "taskId": result["taskId"],
            "status": result["status"],
            "exitCode": result["exitCode"],
            "output": result["output"],
            "reason": result["reason"],
        });
        (name, Judgement { verdict, evidence })
    });
    Ok(judged.collect())
}
