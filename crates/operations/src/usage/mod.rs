//! What models used, as their providers said it; what it cost by the prices that operators gave; and
//! how often operations and tools were called.
//!
//! Records are entries of the namespace [`NAMESPACE`], one for each session or task, so that a later
//! report takes the place of the earlier one and nothing is counted twice.

mod calls;
mod costs;
mod prices;
mod record;
mod summary;
mod tokens;

use crate::declare::{READ, WRITE, put, read};
use crate::operation::{Cost, Operation};
pub use calls::{CallCounters, Component, keep_calls, sum_up_calls};
pub(crate) use record::{UsageGiven, of_task};

/// Where records and prices are.
pub(crate) const NAMESPACE: &str = "usage";

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        put(
            "usage.record",
            "/usage/{source}/{id}",
            WRITE,
            "Keeps what a session or task used of models, in place of what was said of it before.",
        )
        .takes(record::record),
        read(
            "usage.summary",
            "/usage",
            READ,
            "Sums up what models used in a time, by model, agent and task.",
        )
        .cost(Cost::High)
        .answers(summary::summary),
        read(
            "usage.costs",
            "/usage-costs",
            READ,
            "Values what was used in a time by the prices that an operator gave.",
        )
        .cost(Cost::High)
        .answers(costs::costs),
        read(
            "usage.calls",
            "/usage-calls",
            READ,
            "Says how often each operation and tool was called, over all restarts.",
        )
        .answers(calls::calls),
    ]
}
