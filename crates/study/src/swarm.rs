//! What is simulated: nodes, and the work that they are given.

use skep_model::requirements::{Proficiency, Requirements};
use std::collections::BTreeMap;

/// One node with one agent.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) region: &'static str,
    /// Round trip to the coordinator.
    pub(crate) rtt_ms: u32,
    pub(crate) throughput_bytes_s: u64,
    /// Work done in a second, in thousandths of what the measured machine did.
    pub(crate) speed_permille: u64,
    pub(crate) slots: u32,
    pub(crate) capabilities: BTreeMap<String, Proficiency>,
    /// How many of its attempts fail, in thousandths.
    pub(crate) failing_permille: u64,
}

/// One task.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    /// When it is submitted.
    pub(crate) arrives_ms: u64,
    /// How long the measured machine took.
    pub(crate) work_ms: u64,
    /// Position of what it needs in [`Workload::signatures`].
    pub(crate) signature: usize,
    /// The task whose result it needs first.
    pub(crate) follows: Option<usize>,
    /// Size of that result.
    pub(crate) input_bytes: u64,
}

/// Nodes and tasks of one replay.
#[derive(Debug, Clone)]
pub(crate) struct Workload {
    pub(crate) seed: u64,
    pub(crate) nodes: Vec<Node>,
    pub(crate) signatures: Vec<Requirements>,
    pub(crate) tasks: Vec<Task>,
}
