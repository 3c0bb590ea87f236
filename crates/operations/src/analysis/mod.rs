//! Operations that look at what was recorded: figures of a time, their course, what holds work up,
//! and messages that are alike.

mod bottlenecks;
mod error_groups;
mod log_summary;
mod message_template;
pub(crate) mod node_time;
mod report;
mod trend;
mod window;

pub(crate) use window::{Spread, WINDOW_S_MAX};

use crate::declare::{READ, act, read};
use crate::operation::{Cost, Operation};
use crate::permission::TaskRule;

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        read(
            "analysis.report",
            "/analysis/report",
            READ,
            "Sums up the tasks that became final in a time: outcomes, durations, waits, who ran them.",
        )
        .cost(Cost::High)
        .answers(report::report),
        read(
            "analysis.trend",
            "/analysis/trend",
            READ,
            "Shows how a figure moved over a time, with its slope and where it changed.",
        )
        .cost(Cost::High)
        .answers(trend::trend),
        read(
            "analysis.bottlenecks",
            "/analysis/bottlenecks",
            READ,
            "Says what holds work up now, each finding with the figures behind it.",
        )
        .cost(Cost::High)
        .answers(bottlenecks::bottlenecks),
        act(
            "analysis.errors",
            "/analysis/errors",
            READ,
            "Groups messages that are alike: the given lines, or the reasons of failed tasks.",
        )
        .cost(Cost::High)
        .takes(error_groups::errors),
        act(
            "tasks.summarise_log",
            "/tasks/{id}/log-summary",
            READ.or_attempt(TaskRule::OwnRun),
            "Counts what matches in a log: patterns, levels, and lines that are alike.",
        )
        .cost(Cost::High)
        .takes(log_summary::summarise),
    ]
}
