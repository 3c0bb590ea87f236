//! Making a trigger: what it waits for and the plan are checked before anything is kept.

use super::view::TriggerDetail;
use crate::context::Context;
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::fields::NoParameters;
use crate::plans::PlanRequest;
use crate::templates::{Standing, check_standing_name, resolve};
use serde::Deserialize;
use serde_json::Value;
use skep_model::command::Command;
use skep_model::ids::TriggerId;
use skep_model::limits::{
    ENV_VARS_MAX, LABELS_MAX, TRIGGER_BYTES_MAX, TRIGGER_COOLDOWN_MS_MAX, TRIGGER_TASKS_MAX,
    TRIGGER_WATCHES_MAX,
};
use skep_model::template::Template;
use skep_model::trigger::{TRIGGER_LABELS, TRIGGER_VARIABLES, TriggerSpec, Watch};
use skep_model::work::Work;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A trigger to make: what it waits for, and a plan as for a run.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewTrigger {
    /// Its name: letters, digits, `-`, `_` and `.`.
    name: String,
    /// What it waits for, 1 to 16 times: `SUBJECT [CHANGE,..] [FIELD=PATTERN ..]`, such as
    /// `task failed,expired name=build*`, `run failed label=kind=ci`,
    /// `memory written namespace=swarm key=plans/*`, `node lost`, `agent offline`. In a pattern `*`
    /// stands for any letters, `?` for one.
    on: Vec<String>,
    /// Seconds after an event that counted in which none counts; 0 unless given.
    #[serde(default)]
    cooldown_s: u64,
    /// How many events count in all; any number unless given.
    #[serde(default)]
    firings_max: Option<u32>,
    /// The plan: its text (YAML or JSON), or the object itself. Its commands find what happened in
    /// variables: `SKEP_TRIGGER_SUBJECT`, `SKEP_TRIGGER_CHANGE`, `SKEP_TRIGGER_NAME`,
    /// `SKEP_TRIGGER_KEY` and others.
    plan: Value,
    /// Values of its parameters.
    #[serde(default)]
    params: BTreeMap<String, String>,
    /// Directory from which relative paths are seen; absolute.
    #[serde(default)]
    base_dir: Option<String>,
    /// Labels of the runs, beyond those of the plan.
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

pub(super) async fn create(
    context: Context,
    _: NoParameters,
    new: NewTrigger,
) -> Result<TriggerDetail, OperationError> {
    check_standing_name::<TriggerId>(&new.name)?;
    let watches = watches(&new.on)?;
    let cooldown_ms = cooldown_ms(new.cooldown_s)?;
    if new.firings_max == Some(0) {
        return invalid("`firings_max` is 0: leave it out for any number".to_owned());
    }
    let template = resolve(Standing {
        noun: "trigger",
        name: new.name.clone(),
        labels: new.labels,
        plan: PlanRequest {
            plan: new.plan,
            params: new.params,
            base_dir: new.base_dir,
        },
        tasks_max: ("TRIGGER_TASKS_MAX", TRIGGER_TASKS_MAX),
        bytes_max: ("TRIGGER_BYTES_MAX", TRIGGER_BYTES_MAX),
    })?;
    has_room_for_what_is_told(&template)?;
    let trigger = TriggerId::from_u128(context.services.fresh_id());
    let spec = TriggerSpec {
        name: new.name,
        watches,
        cooldown_ms,
        firings_max: new.firings_max,
        template: Arc::new(template),
    };
    let spec = Box::new(spec);
    context
        .propose(Command::CreateTrigger { trigger, spec })
        .await?;
    super::get(&context, &super::named(trigger))
}

fn invalid<T>(detail: String) -> Result<T, OperationError> {
    Err(OperationError::new(ErrorCode::FieldInvalid, detail))
}

fn watches(texts: &[String]) -> Result<Vec<Watch>, OperationError> {
    if !(1..=TRIGGER_WATCHES_MAX).contains(&texts.len()) {
        return invalid(format!(
            "`on` has {} watches; want 1 to {TRIGGER_WATCHES_MAX} (`TRIGGER_WATCHES_MAX`)",
            texts.len()
        ));
    }
    let watches = texts.iter().map(|text| {
        let watch = text.parse::<Watch>();
        watch.map_err(|error| {
            let detail = format!("`{text}`: {error}");
            OperationError::new(ErrorCode::WatchInvalid, detail)
        })
    });
    watches.collect()
}

fn cooldown_ms(seconds: u64) -> Result<u64, OperationError> {
    let ms = seconds.saturating_mul(1_000);
    if ms <= TRIGGER_COOLDOWN_MS_MAX {
        return Ok(ms);
    }
    invalid(format!(
        "`cooldown_s` is {seconds}; want at most {} (`TRIGGER_COOLDOWN_MS_MAX`)",
        TRIGGER_COOLDOWN_MS_MAX / 1_000
    ))
}

/// What happened is told in labels and variables that have names of their own.
fn has_room_for_what_is_told(template: &Template) -> Result<(), OperationError> {
    let labels = template.run.labels.keys().map(String::as_str);
    let labels: BTreeSet<&str> = labels.chain(TRIGGER_LABELS).collect();
    let beyond = |limit: &str, max: usize, given: usize| {
        let detail = format!("{limit} is {max}: with those of the trigger {given} are too many");
        Err(OperationError::new(ErrorCode::LimitExceeded, detail))
    };
    if labels.len() > LABELS_MAX {
        return beyond("LABELS_MAX", LABELS_MAX, labels.len());
    }
    let own = template.tasks.iter().map(|task| &task.spec.work);
    let undoing = template
        .tasks
        .iter()
        .filter_map(|task| task.spec.compensate.as_ref());
    for work in own.chain(undoing.map(|undo| &undo.work)) {
        let Work::Command(command) = work else {
            continue;
        };
        let given = command.env.len() + TRIGGER_VARIABLES.len();
        if given > ENV_VARS_MAX {
            return beyond("ENV_VARS_MAX", ENV_VARS_MAX, given);
        }
    }
    Ok(())
}
