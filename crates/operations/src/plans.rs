//! Plans: reading, expanding and examining them without submitting.

use crate::context::Context;
use crate::declare::{READ, act};
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::fields::NoParameters;
use crate::operation::{Cost, Operation};
use crate::views::PlacementView;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use skep_model::requirements::Requirements;
use skep_model::work::Work;
use skep_plan::{Draft, DraftTask, PlanErrors, PlanFile};
use std::collections::BTreeMap;

/// Where relative paths are seen from when the caller does not say.
const BASE_DIR_DEFAULT: &str = "/";

pub(crate) fn operations() -> Vec<Operation> {
    let summary = "Examines a plan: its graph, waves, critical path, and where it could run now.";
    vec![
        act("plans.validate", "/plans/validate", READ, summary)
            .cost(Cost::High)
            .takes(validate),
    ]
}

/// A plan and what it is given.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
pub(crate) struct PlanRequest {
    /// The plan: its text (YAML or JSON), or the object itself.
    pub(crate) plan: Value,
    /// Values of its parameters.
    #[serde(default)]
    pub(crate) params: BTreeMap<String, String>,
    /// Directory from which relative paths are seen; absolute.
    #[serde(default)]
    pub(crate) base_dir: Option<String>,
}

/// Reads and expands a plan.
pub(crate) fn expand(request: &PlanRequest) -> Result<Draft, OperationError> {
    let base_dir = base_dir(request.base_dir.as_deref())?;
    let params = &request.params;
    let compiled = match &request.plan {
        Value::String(text) => skep_plan::compile(text, "plan", params, base_dir),
        object => {
            let file = PlanFile::deserialize(object)
                .map_err(|error| OperationError::new(ErrorCode::PlanInvalid, error.to_string()))?;
            skep_plan::expand(&file, params, base_dir).map(|draft| (file, draft))
        }
    };
    let checked = compiled.and_then(|(file, draft)| {
        file.check_strategy(&skep_scheduler::STRATEGIES)?;
        Ok(draft)
    });
    checked.map_err(|errors| invalid(ErrorCode::PlanInvalid, &errors))
}

/// The directory from which relative paths are seen.
pub(crate) fn base_dir(given: Option<&str>) -> Result<&str, OperationError> {
    let base_dir = given.unwrap_or(BASE_DIR_DEFAULT);
    if base_dir.starts_with('/') {
        return Ok(base_dir);
    }
    let detail = format!("`base_dir` should be an absolute path, not `{base_dir}`");
    Err(OperationError::new(ErrorCode::FieldInvalid, detail))
}

/// All that is wrong, one problem a line.
pub(crate) fn invalid(code: ErrorCode, errors: &PlanErrors) -> OperationError {
    OperationError::new(code, errors.to_string())
}

/// What a plan would do.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct Examined {
    /// Name of the run.
    name: String,
    /// Its tasks, in the order of the plan.
    tasks: Vec<ExaminedTask>,
    /// Names of tasks that can run at the same time, wave after wave.
    waves: Vec<Vec<String>>,
    /// A longest chain of tasks that wait for each other.
    critical_path: Vec<String>,
    /// Where tasks could run now, once for each set of requirements.
    placements: Vec<Placement>,
}

/// A task of an examined plan.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct ExaminedTask {
    /// Its name.
    name: String,
    /// `command` or `noop`.
    kind: String,
    /// Tasks it needs.
    needs: Vec<String>,
    /// Counted from 0.
    wave: usize,
    /// Position in `placements`.
    placement: usize,
}

/// Where tasks of equal requirements could run now.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct Placement {
    /// What they need.
    requirements: Requirements,
    /// The agents.
    placement: PlacementView,
}

async fn validate(
    context: Context,
    _: NoParameters,
    request: PlanRequest,
) -> Result<Examined, OperationError> {
    let examined = expand(&request).map(|draft| examine(&context, &draft));
    std::future::ready(examined).await
}

fn examine(context: &Context, draft: &Draft) -> Examined {
    let depths = depths(&draft.tasks);
    let mut waves = vec![Vec::new(); depths.iter().max().map_or(0, |deepest| deepest + 1)];
    for (task, depth) in draft.tasks.iter().zip(&depths) {
        waves[*depth].push(task.name.clone());
    }
    let mut signatures: Vec<&Requirements> = Vec::new();
    let mut tasks = Vec::with_capacity(draft.tasks.len());
    for (task, wave) in draft.tasks.iter().zip(&depths) {
        let wanted = &task.spec.requirements;
        let known = signatures.iter().position(|signature| *signature == wanted);
        let placement = known.unwrap_or_else(|| {
            signatures.push(wanted);
            signatures.len() - 1
        });
        tasks.push(ExaminedTask {
            name: task.name.clone(),
            kind: match task.spec.work {
                Work::Noop => "noop".to_owned(),
                Work::Command(_) => "command".to_owned(),
                Work::Described(_) => "described".to_owned(),
            },
            needs: task
                .needs
                .iter()
                .map(|need| draft.tasks[*need].name.clone())
                .collect(),
            wave: *wave,
            placement,
        });
    }
    let hive = &context.services.hive;
    let placements = signatures.into_iter().map(|requirements| Placement {
        requirements: requirements.clone(),
        placement: hive.explain_requirements(requirements).into(),
    });
    Examined {
        name: draft.name.clone(),
        critical_path: critical_path(&draft.tasks, &depths),
        placements: placements.collect(),
        waves,
        tasks,
    }
}

/// For each task, how many tasks stand one behind the other before it. The plan has no cycles.
fn depths(tasks: &[DraftTask]) -> Vec<usize> {
    let mut dependents = vec![Vec::new(); tasks.len()];
    let mut open: Vec<usize> = tasks.iter().map(|task| task.needs.len()).collect();
    for (position, task) in tasks.iter().enumerate() {
        for need in &task.needs {
            dependents[*need].push(position);
        }
    }
    let mut depths = vec![0; tasks.len()];
    let mut free: Vec<usize> = open
        .iter()
        .enumerate()
        .filter(|(_, open)| **open == 0)
        .map(|(task, _)| task)
        .collect();
    while let Some(task) = free.pop() {
        for dependent in &dependents[task] {
            depths[*dependent] = depths[*dependent].max(depths[task] + 1);
            open[*dependent] -= 1;
            if open[*dependent] == 0 {
                free.push(*dependent);
            }
        }
    }
    depths
}

/// From a deepest task back along deepest needs.
fn critical_path(tasks: &[DraftTask], depths: &[usize]) -> Vec<String> {
    let deepest_first = |position: &usize| (depths[*position], std::cmp::Reverse(*position));
    let mut path = Vec::new();
    let mut next = (0..tasks.len()).max_by_key(deepest_first);
    while let Some(position) = next {
        path.push(tasks[position].name.clone());
        next = tasks[position]
            .needs
            .iter()
            .copied()
            .max_by_key(deepest_first);
    }
    path.reverse();
    path
}

#[cfg(test)]
mod tests {
    use super::{PlanRequest, expand};
    use crate::error_codes::ErrorCode;
    use serde_json::{Value, json};

    fn request(plan: &Value) -> PlanRequest {
        serde_json::from_value(json!({ "plan": plan, "params": {"extra": "x"} })).unwrap()
    }

    #[test]
    fn a_strategy_that_does_not_exist_is_refused_with_the_list() {
        let object = |strategy: &str| {
            let params = json!({"extra": "y"});
            let tasks = json!({"a": {"run": "true"}});
            json!({"name": "n", "strategy": strategy, "params": params, "tasks": tasks})
        };
        for name in skep_scheduler::STRATEGIES {
            for plan in [object(name), object(name).to_string().into()] {
                let draft = expand(&request(&plan)).unwrap();
                assert_eq!(draft.strategy.as_deref(), Some(name));
            }
        }
        for plan in [object("best"), object("best").to_string().into()] {
            let error = expand(&request(&plan)).unwrap_err();
            assert_eq!(error.code(), ErrorCode::PlanInvalid);
            let all = skep_scheduler::STRATEGIES.iter();
            assert!(all.clone().count() > 1);
            for name in all {
                assert!(error.detail().contains(name), "{}", error.detail());
            }
        }
    }

    #[test]
    fn what_is_wrong_with_a_text_and_with_its_parameters_is_said_at_once() {
        let plan = "name: n\ntasks: {a: {run: x, needs: b, timout: 5m}}\n";
        let error = expand(&request(&plan.into())).unwrap_err();
        for said in ["timout", "`b`", "extra"] {
            assert!(error.detail().contains(said), "{}", error.detail());
        }
    }
}
