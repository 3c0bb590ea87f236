//! Verbs about triggers.

use super::PlanInput;
use super::nodes::milliseconds;
use clap::{Args, Subcommand};

/// Words after the help of the family.
pub(crate) const EXAMPLES: &str = "Examples:
  skep trigger create repair plan.yaml --on 'task failed,expired name=build*' --cooldown 5m
  skep trigger create review plan.yaml --on 'memory written namespace=hooks key=edits/*'
  skep trigger create alarm plan.yaml --on 'node lost,left' --on 'agent offline' --max 10
  skep trigger show repair

What can be watched, with what becomes of it and by what it is chosen:
  task     succeeded, failed, cancelled, expired, unknown        name=, label=NAME=VALUE
  run      succeeded, failed, cancelled                          name=, label=NAME=VALUE
  memory   written, deleted, expired                             namespace= (needed), key=
  node     joining, ready, draining, suspect, lost, left         name=
  agent    created, offline, removed                             name=

Without words for what becomes of it, all of them count. In a pattern `*` stands for any letters, `?`
for one. Commands of the plan find what happened in variables: SKEP_TRIGGER_SUBJECT,
SKEP_TRIGGER_CHANGE, SKEP_TRIGGER_NAME, SKEP_TRIGGER_ID, SKEP_TRIGGER_NAMESPACE, SKEP_TRIGGER_KEY and
others. Exit codes: 6 for what cannot be, 7 for what is not there, 8 for a name that is taken.";

#[derive(Debug, Subcommand)]
pub(crate) enum TriggerCommand {
    /// Make a trigger that submits a plan when something happens
    Create(CreateTriggerArgs),
    /// List the triggers
    #[command(visible_alias = "list")]
    Ls,
    /// Show a trigger, what came of the newest event, and the events that wait
    Show {
        /// Name or id
        trigger: String,
    },
    /// Hold a trigger: it watches nothing, and runs that it began go on
    Pause {
        /// Name or id
        trigger: String,
    },
    /// Let a trigger watch again; what happened meanwhile does not count
    Resume {
        /// Name or id
        trigger: String,
    },
    /// Forget a trigger and the events that wait; runs that it began go on
    #[command(visible_alias = "rm")]
    Delete {
        /// Name or id
        trigger: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct CreateTriggerArgs {
    /// Its name: letters, digits, `-`, `_` and `.`
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) input: PlanInput,
    /// What it waits for, e.g. 'task failed name=build*'; may be given several times
    #[arg(long, value_name = "WATCH", required = true)]
    pub(crate) on: Vec<String>,
    /// Time after an event that counted in which none counts, e.g. 90s, 15m or 6h
    #[arg(long, value_name = "TIME", value_parser = milliseconds)]
    pub(crate) cooldown: Option<u64>,
    /// How many events count in all; any number unless given
    #[arg(long, value_name = "COUNT")]
    pub(crate) max: Option<u32>,
}
