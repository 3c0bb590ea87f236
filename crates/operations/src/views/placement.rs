//! Why agents could or could not run a task.

use serde::Serialize;
use skep_model::ids::{AgentId, NodeId};
use skep_scheduler::{AgentExplanation, Explanation, Verdict};

/// Where a task could run now.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct PlacementView {
    /// One sentence that says what matters most.
    pub summary: String,
    /// All agents: those that fit first, best first, then the others by how little they lack.
    pub agents: Vec<CandidateView>,
}

/// One agent.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct CandidateView {
    /// The agent.
    pub agent: AgentId,
    /// Its name.
    pub agent_name: String,
    /// Its node.
    pub node: NodeId,
    /// Its node's name.
    pub node_name: String,
    /// Whether it could take the task now.
    pub fits: bool,
    /// In thousandths; higher is better. Only of agents that fit.
    pub score: Option<i64>,
    /// Whether its node already failed the task: it is used only when no other fits.
    pub failed_before: bool,
    /// Why it does not fit; all reasons.
    pub reasons: Vec<String>,
}

impl From<Explanation> for PlacementView {
    fn from(explanation: Explanation) -> Self {
        Self {
            summary: explanation.summary,
            agents: explanation
                .agents
                .into_iter()
                .map(CandidateView::from)
                .collect(),
        }
    }
}

impl From<AgentExplanation> for CandidateView {
    fn from(explanation: AgentExplanation) -> Self {
        let (score, failed_before, reasons) = match explanation.verdict {
            Verdict::Fits {
                score,
                failed_before,
                ..
            } => (Some(score), failed_before, Vec::new()),
            Verdict::Rejected(rejections) => (
                None,
                false,
                rejections.iter().map(ToString::to_string).collect(),
            ),
        };
        Self {
            agent: explanation.agent,
            agent_name: explanation.agent_name,
            node: explanation.node,
            node_name: explanation.node_name,
            fits: score.is_some(),
            score,
            failed_before,
            reasons,
        }
    }
}
