//! The contract of Claude-Flow's server: its tools under their own names, doing what these say.
//!
//! Each tool runs the operations that every surface has, with the permission of its caller; none
//! knows more than they do. A tool either does its work and says `success: true`, or it fails with
//! a code and a sentence. What Skep has no meaning for is not listed ([`not_served`]).

mod agents;
mod aliases;
mod analysis;
mod batch;
mod call;
mod config;
mod contract;
mod memory;
mod memory_upkeep;
mod not_served;
mod orchestrate;
mod page;
mod quality;
mod resources;
mod schedules;
mod security;
mod snapshots;
mod standing;
mod steps;
mod stored;
mod swarm;
mod system;
mod task;
mod triggers;
mod usage;
mod watching;
mod workflow;

#[cfg(test)]
mod coverage_tests;

pub(crate) use contract::ContractTool;
pub(crate) use resources::{list as resources, read as read_resource};

pub use page::page;

use crate::fault::Fault;
use crate::invocation::Caller;
use crate::wait::Waiter;
use rmcp::ErrorData;
use rmcp::model::{CallToolResult, JsonObject, Tool};

/// The tools by group, in the order of the list.
const GROUPS: [&[ContractTool]; 18] = [
    swarm::TOOLS,
    orchestrate::TOOLS,
    memory::TOOLS,
    memory_upkeep::TOOLS,
    snapshots::TOOLS,
    task::TOOLS,
    workflow::TOOLS,
    batch::TOOLS,
    schedules::TOOLS,
    triggers::TOOLS,
    analysis::TOOLS,
    usage::TOOLS,
    quality::TOOLS,
    agents::TOOLS,
    system::TOOLS,
    security::TOOLS,
    config::TOOLS,
    aliases::TOOLS,
];

/// All that are served, always in the same order.
fn served() -> impl Iterator<Item = &'static ContractTool> {
    GROUPS.into_iter().flatten()
}

/// As `tools/list` shows them.
pub(crate) fn tools() -> impl Iterator<Item = Tool> {
    served().map(ContractTool::tool)
}

/// The tool of this name, if it is served.
pub(crate) fn find(name: &str) -> Option<&'static ContractTool> {
    served().find(|tool| tool.name == name)
}

/// Why a tool that is not served cannot be called.
pub(crate) fn refusal(name: &str) -> ErrorData {
    match not_served::reason(name) {
        Some(reason) => {
            Fault::ToolNotServed.error(format!("`{name}` is not served, because {reason}"))
        }
        None => Fault::ToolUnknown.error(format!("no tool is called `{name}`")),
    }
}

/// Calls a tool. Whatever goes wrong is in the result.
pub(crate) async fn call(
    tool: &ContractTool,
    caller: Caller,
    arguments: JsonObject,
    waiter: Waiter,
) -> CallToolResult {
    call::call(tool, caller, arguments, waiter).await
}
