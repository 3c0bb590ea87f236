//! What schedules and triggers submit: a plan that is resolved once, when they are made.

use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::fields::{check_labels, check_text};
use crate::plans::{PlanRequest, expand};
use skep_model::template::Template;
use skep_model::time::UnixMillis;
use std::collections::BTreeMap;

/// A plan to resolve, and who will submit it.
#[derive(Debug)]
pub(crate) struct Standing {
    /// The label of its runs that says who submitted them: `schedule` or `trigger`.
    pub(crate) noun: &'static str,
    /// The value of that label.
    pub(crate) name: String,
    /// Labels of its runs, beyond those of the plan.
    pub(crate) labels: BTreeMap<String, String>,
    /// The plan.
    pub(crate) plan: PlanRequest,
    /// Most tasks, with the name of the limit.
    pub(crate) tasks_max: (&'static str, usize),
    /// Most bytes as JSON, with the name of the limit.
    pub(crate) bytes_max: (&'static str, usize),
}

/// Names stand in paths and on command lines beside ids.
pub(crate) fn check_standing_name<Id: std::str::FromStr>(name: &str) -> Result<(), OperationError> {
    check_text("name", name)?;
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    if name.chars().all(plain) && name.parse::<Id>().is_err() {
        return Ok(());
    }
    let detail = "`name` should be letters, digits, `-`, `_` and `.`, and not an id";
    Err(OperationError::new(ErrorCode::FieldInvalid, detail))
}

/// What is submitted each time.
pub(crate) fn resolve(standing: Standing) -> Result<Template, OperationError> {
    let noun = standing.noun;
    let mut labels = standing.labels;
    labels.insert(noun.to_owned(), standing.name);
    check_labels(&labels)?;
    let mut ids = 0_u32;
    let mut next_id = || {
        ids += 1;
        u128::from(ids - 1)
    };
    let draft = expand(&standing.plan)?;
    let (mut run, tasks) = draft.stamp(UnixMillis(0), None, &mut next_id);
    run.labels.extend(labels);
    check_labels(&run.labels)?;
    let template = Template { run, tasks, ids };
    let limit = |(name, max): (&str, usize), given: usize| {
        if given <= max {
            return Ok(());
        }
        let detail = format!("{name} is {max}: {given} are too many for one {noun}");
        Err(OperationError::new(ErrorCode::LimitExceeded, detail))
    };
    limit(standing.tasks_max, template.tasks.len())?;
    let bytes = serde_json::to_vec(&template)
        .map_err(|error| OperationError::internal("measure a plan", &error))?;
    limit(standing.bytes_max, bytes.len())?;
    Ok(template)
}
