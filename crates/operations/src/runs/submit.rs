//! Submitting a plan as a run.

use crate::context::Context;
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::fields::{NoParameters, check_labels};
use crate::lookup;
use crate::plans::{PlanRequest, expand};
use crate::tasks::submit::made;
use crate::views::RunView;
use serde::{Deserialize, Serialize};
use skep_model::command::Command;
use skep_model::event::Event;
use skep_model::ids::{RunId, TaskId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A plan to run.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
pub(super) struct NewRun {
    /// The plan and what it is given.
    #[serde(flatten)]
    plan: PlanRequest,
    /// Labels of the run, beyond those of the plan.
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

/// What was taken in.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(super) struct SubmittedRun {
    /// The run.
    run: RunView,
    /// Its tasks by name; empty when an earlier request made the run.
    tasks: BTreeMap<String, TaskId>,
    /// Whether an earlier request with the same idempotency key made it.
    repeated: bool,
}

pub(super) async fn submit(
    context: Context,
    _: NoParameters,
    new: NewRun,
) -> Result<SubmittedRun, OperationError> {
    check_labels(&new.labels)?;
    let draft = expand(&new.plan)?;
    let services = &context.services;
    let mut next_id = || services.fresh_id();
    let (mut spec, tasks) = draft.stamp(services.now(), context.trace_parent.clone(), &mut next_id);
    spec.labels.extend(new.labels);
    let names = tasks
        .iter()
        .map(|task| (task.spec.name.clone(), task.id))
        .collect();
    let run = RunId::from_u128(services.fresh_id());
    let idempotency = context.idempotency();
    let command = Command::SubmitRun {
        run,
        spec: Arc::new(spec),
        tasks,
        idempotency,
    };
    let entry = context.propose(command).await?;
    let repeated = entry
        .events
        .iter()
        .any(|event| matches!(event, Event::AlreadyDone { .. }));
    let made = made(&entry)
        .0
        .ok_or_else(|| OperationError::new(ErrorCode::Internal, "the submission made no run"))?;
    let record = lookup::known_run(services, made).await?;
    Ok(SubmittedRun {
        run: RunView::from(&*record),
        tasks: if repeated { BTreeMap::new() } else { names },
        repeated,
    })
}
