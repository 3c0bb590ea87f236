//! The shapes of answers: what tasks, runs, nodes, agents, tokens and events look like outside.

mod agent;
mod event;
mod node;
mod placement;
mod run;
mod task;
mod token;

pub use agent::{AgentKind, AgentView};
pub use event::EventView;
pub(crate) use node::Moment;
pub use node::{LinkView, NodeBreakerView, NodeUseView, NodeView};
pub use placement::{CandidateView, PlacementView};
pub use run::{ArtifactView, RunDetail, RunTask, RunView};
pub use task::{AttemptView, LeaseView, TaskDetail, TaskView};
pub use token::TokenView;

use serde::Serialize;

/// One page of a listing.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page starts; none on the last one. Opaque.
    pub next_cursor: Option<String>,
}
