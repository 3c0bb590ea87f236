//! Making a schedule: the timing and the plan are checked before anything is kept.

use super::calendar::{SystemCalendar, SystemZone, UTC};
use super::view::ScheduleDetail;
use crate::context::Context;
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::fields::NoParameters;
use crate::plans::PlanRequest;
use crate::templates::{Standing, check_standing_name, resolve};
use serde::Deserialize;
use serde_json::Value;
use skep_coordinator::ports::Calendar;
use skep_model::command::Command;
use skep_model::ids::ScheduleId;
use skep_model::limits::{
    SCHEDULE_BYTES_MAX, SCHEDULE_INTERVAL_MS_MAX, SCHEDULE_INTERVAL_MS_MIN, SCHEDULE_TASKS_MAX,
};
use skep_model::schedule::{Cron, Missed, Overlap, ScheduleSpec, Timing};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A schedule to make: when, and a plan as for a run.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewSchedule {
    /// Its name: letters, digits, `-`, `_` and `.`.
    name: String,
    /// Five fields (minute, hour, day of the month, month, weekday), or `@hourly`, `@daily`,
    /// `@weekly`, `@monthly`, `@yearly`. Either this or `every_s`.
    #[serde(default)]
    cron: Option<String>,
    /// The time zone of `cron` by its IANA name, such as `Europe/Berlin`; `UTC` unless given.
    #[serde(default)]
    zone: Option<String>,
    /// Seconds from one due time to the next.
    #[serde(default)]
    every_s: Option<u64>,
    /// What happens at a due time while an earlier run is live: `skip` unless given.
    #[serde(default)]
    overlap: Overlap,
    /// What happens to due times that passed while no coordinator ran: `once` unless given.
    #[serde(default)]
    missed: Missed,
    /// The plan: its text (YAML or JSON), or the object itself.
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
    new: NewSchedule,
) -> Result<ScheduleDetail, OperationError> {
    check_standing_name::<ScheduleId>(&new.name)?;
    let timing = timing(&new)?;
    let template = resolve(Standing {
        noun: "schedule",
        name: new.name.clone(),
        labels: new.labels,
        plan: PlanRequest {
            plan: new.plan,
            params: new.params,
            base_dir: new.base_dir,
        },
        tasks_max: ("SCHEDULE_TASKS_MAX", SCHEDULE_TASKS_MAX),
        bytes_max: ("SCHEDULE_BYTES_MAX", SCHEDULE_BYTES_MAX),
    })?;
    let now = context.services.now();
    let first = SystemCalendar.next(&timing, now, now);
    if first.is_none() {
        return Err(never(&timing));
    }
    let schedule = ScheduleId::from_u128(context.services.fresh_id());
    let spec = ScheduleSpec {
        name: new.name,
        timing,
        overlap: new.overlap,
        missed: new.missed,
        template: Arc::new(template),
    };
    let command = Command::CreateSchedule {
        schedule,
        spec: Box::new(spec),
        first,
    };
    context.propose(command).await?;
    super::get(&context, &super::named(schedule))
}

fn timing(new: &NewSchedule) -> Result<Timing, OperationError> {
    let invalid = |detail: String| Err(OperationError::new(ErrorCode::FieldInvalid, detail));
    match (&new.cron, new.every_s) {
        (Some(expression), None) => {
            let cron = expression.parse::<Cron>();
            cron.map_err(|error| OperationError::new(ErrorCode::CronInvalid, error.to_string()))?;
            let zone = new.zone.as_deref().unwrap_or(UTC);
            if SystemZone::named(zone).is_none() {
                return Err(unknown_zone(zone));
            }
            Ok(Timing::Cron {
                expression: expression.clone(),
                zone: zone.to_owned(),
            })
        }
        (None, Some(_)) if new.zone.is_some() => {
            invalid("`zone` belongs to `cron`: a span is the same everywhere".to_owned())
        }
        (None, Some(seconds)) => {
            let every_ms = seconds.saturating_mul(1_000);
            if (SCHEDULE_INTERVAL_MS_MIN..=SCHEDULE_INTERVAL_MS_MAX).contains(&every_ms) {
                return Ok(Timing::Every { every_ms });
            }
            invalid(format!(
                "`every_s` is {seconds}; want {} to {} (`SCHEDULE_INTERVAL_MS_MAX`)",
                SCHEDULE_INTERVAL_MS_MIN / 1_000,
                SCHEDULE_INTERVAL_MS_MAX / 1_000
            ))
        }
        _ => invalid("want either `cron` or `every_s`, and not both".to_owned()),
    }
}

fn unknown_zone(zone: &str) -> OperationError {
    let detail = format!(
        "the coordinator's machine knows no time zone `{zone}`: want an IANA name such as \
         `Europe/Berlin`, or `UTC`"
    );
    OperationError::new(ErrorCode::TimeZoneUnknown, detail)
}

/// Why a timing has no due time.
pub(super) fn never(timing: &Timing) -> OperationError {
    match timing {
        Timing::Cron { zone, .. } if SystemZone::named(zone).is_none() => unknown_zone(zone),
        Timing::Cron { expression, .. } => {
            let detail = format!("`{expression}` means no day of the next eight years");
            OperationError::new(ErrorCode::CronInvalid, detail)
        }
        Timing::Every { .. } => {
            OperationError::new(ErrorCode::Internal, "a span has no next due time")
        }
    }
}
