//! Verbs about schedules.

use super::PlanInput;
use super::nodes::milliseconds;
use clap::{Args, Subcommand, ValueEnum};

/// Words after the help of the family.
pub(crate) const EXAMPLES: &str = "Examples:
  skep schedule create nightly plan.yaml --cron '30 4 * * *' --zone Europe/Berlin
  skep schedule create beat plan.yaml --every 15m --overlap queue
  skep schedule show nightly
  skep schedule fire nightly

A cron expression has five fields: minute, hour, day of the month, month, weekday. The plan is read
and checked when the schedule is made. Exit codes: 6 for what cannot be, 7 for what is not there, 8
for a name that is taken.";

#[derive(Debug, Subcommand)]
pub(crate) enum ScheduleCommand {
    /// Make a schedule that submits a plan again and again
    Create(CreateScheduleArgs),
    /// List the schedules
    #[command(visible_alias = "list")]
    Ls,
    /// Show a schedule, what came of it last, and its next due times
    Show {
        /// Name or id
        schedule: String,
    },
    /// Hold a schedule; runs that it began go on
    Pause {
        /// Name or id
        schedule: String,
    },
    /// Let a schedule go on; what was due meanwhile is left out
    Resume {
        /// Name or id
        schedule: String,
    },
    /// Submit at once what a schedule submits; its due times stay
    Fire {
        /// Name or id
        schedule: String,
    },
    /// Forget a schedule; runs that it began go on
    #[command(visible_alias = "rm")]
    Delete {
        /// Name or id
        schedule: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct CreateScheduleArgs {
    /// Its name: letters, digits, `-`, `_` and `.`
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) input: PlanInput,
    /// When: five fields, or @hourly, @daily, @weekly, @monthly, @yearly
    #[arg(
        long,
        value_name = "EXPRESSION",
        required_unless_present = "every",
        conflicts_with = "every"
    )]
    pub(crate) cron: Option<String>,
    /// The time zone of the expression; UTC unless given
    #[arg(long, value_name = "NAME", conflicts_with = "every")]
    pub(crate) zone: Option<String>,
    /// When: again and again after this time, e.g. 90s, 15m or 6h
    #[arg(long, value_name = "TIME", value_parser = milliseconds)]
    pub(crate) every: Option<u64>,
    /// What happens at a due time while an earlier run is live
    #[arg(long, value_enum, default_value = "skip")]
    pub(crate) overlap: OverlapArg,
    /// What happens to due times that passed while no coordinator ran
    #[arg(long, value_enum, default_value = "once")]
    pub(crate) missed: MissedArg,
}

/// What happens at a due time while an earlier run is live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OverlapArg {
    /// Nothing is submitted for it
    Skip,
    /// One due time waits for the run to end
    Queue,
    /// The next run begins beside it
    Allow,
}

impl OverlapArg {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Queue => "queue",
            Self::Allow => "allow",
        }
    }
}

/// What happens to due times that passed unseen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum MissedArg {
    /// One run for all of them
    Once,
    /// Nothing
    None,
}

impl MissedArg {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Once => "once",
            Self::None => "none",
        }
    }
}
