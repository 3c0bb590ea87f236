//! The three optional groups of MCPX as types: fields and names of the contract, in its camel case.
//!
//! Every field may be absent and unknown ones are passed over, so that a peer of another age or
//! make is understood. What the contract leaves open stays the JSON it came as. Numbers that may
//! have a fraction are [`Number`], which is compared as it is written.

mod coordination;
mod distribution;
mod orchestration;

pub use coordination::{
    CoordinationMetadata, ProgressConfig, RollbackKind, RollbackScope, RollbackStrategy,
    RollbackTrigger, SyncPoint, SyncPointKind,
};
pub use distribution::{
    AffinityKind, AffinityRule, DistributionInfo, LoadBalancing, MergeKind, PartitionKind,
    TaskPartition,
};
pub use orchestration::{BackoffKind, GateConfig, GroupRetryPolicy, OrchestrationContext};
pub use serde_json::{Number, Value};
