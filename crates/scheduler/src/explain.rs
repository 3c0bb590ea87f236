//! Why each agent could or could not run a task.

use crate::capacity::Capacity;
use crate::fit::{self, Rejection, ResourceKind, proficiency_word};
use crate::performance::Baseline;
use crate::policy::Policy;
use crate::score::{Measures, ScoreParts, load};
use crate::snapshot::{AgentView, NodeView, Snapshot, TaskInputs};
use skep_model::ids::{AgentId, NodeId};
use skep_model::node::NodeState;
use skep_model::requirements::{AffinityRule, Performer, Requirements};

/// The answer for one task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// One sentence that says what matters most.
    pub summary: String,
    /// All agents: those that fit first, best first, then the others by how little they lack.
    pub agents: Vec<AgentExplanation>,
}

/// The answer for one agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentExplanation {
    /// The agent.
    pub agent: AgentId,
    /// Its name.
    pub agent_name: String,
    /// Its node.
    pub node: NodeId,
    /// Its node's name.
    pub node_name: String,
    /// Whether it could take the task now.
    pub verdict: Verdict,
}

/// Whether an agent could take a task now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It could.
    Fits {
        /// In thousandths; higher is better.
        score: i64,
        /// What the score is made of.
        parts: ScoreParts,
        /// Whether its node already failed the task: it is used only when no other fits.
        failed_before: bool,
    },
    /// It could not, for all of these reasons.
    Rejected(Vec<Rejection>),
}

/// What an explanation is asked about.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// What the task needs.
    pub requirements: &'a Requirements,
    /// Nodes that already failed it.
    pub failed_on: &'a [NodeId],
    /// Where its inputs lie.
    pub inputs: TaskInputs<'a>,
}

impl<'a> Question<'a> {
    /// About a task that has not failed and needs no inputs.
    pub const fn about(requirements: &'a Requirements) -> Self {
        Self {
            requirements,
            failed_on: &[],
            inputs: TaskInputs::NONE,
        }
    }
}

/// For each agent, why it could or could not run such a task now, with the scores of
/// `capability-weighted`. [`crate::Strategy::explain`] answers for the other strategies.
pub fn explain(snapshot: &Snapshot<'_>, question: &Question<'_>, policy: &Policy) -> Explanation {
    let requirements = question.requirements;
    let capacity = Capacity::of(snapshot);
    let baseline = Baseline::of(snapshot);
    let placed = snapshot
        .agents
        .iter()
        .enumerate()
        .filter_map(|(position, agent)| {
            let node = snapshot.nodes.get(agent.node)?;
            Some((position, agent, node))
        });
    let judge = |(position, agent, node): (usize, &AgentView<'_>, &NodeView<'_>)| {
        let rejections = fit::rejections(agent, node, requirements);
        let verdict = if rejections.is_empty() {
            let measures = Measures {
                performance: baseline.performance(agent),
                load: load(snapshot, &capacity, position),
                local_permille: question.inputs.local_permille(node.id),
            };
            let parts = ScoreParts::of(agent, node, requirements, measures);
            Verdict::Fits {
                score: parts.score(&policy.weights),
                parts,
                failed_before: question.failed_on.contains(&node.id),
            }
        } else {
            Verdict::Rejected(rejections)
        };
        AgentExplanation {
            agent: agent.id,
            agent_name: agent.name.to_owned(),
            node: node.id,
            node_name: node.name.to_owned(),
            verdict,
        }
    };
    let mut agents: Vec<AgentExplanation> = placed.map(judge).collect();
    agents.sort_by_key(rank);
    Explanation {
        summary: summary(snapshot, requirements, &agents),
        agents,
    }
}

/// Sorts fitting agents as the weighted strategy does, and the others by how little they lack.
fn rank(explanation: &AgentExplanation) -> (bool, bool, i64) {
    match &explanation.verdict {
        Verdict::Fits {
            score,
            failed_before,
            ..
        } => (false, *failed_before, -score),
        Verdict::Rejected(rejections) => {
            let lasting = rejections
                .iter()
                .filter(|rejection| !rejection.is_passing())
                .count();
            (true, lasting > 0, (lasting * 100 + rejections.len()) as i64)
        }
    }
}

fn summary(snapshot: &Snapshot<'_>, wanted: &Requirements, agents: &[AgentExplanation]) -> String {
    let Some(first) = agents.first() else {
        return "no agent has joined".to_owned();
    };
    let name =
        |of: &AgentExplanation| format!("agent `{}` on node `{}`", of.agent_name, of.node_name);
    match &first.verdict {
        Verdict::Fits { score, .. } => {
            let fits = |of: &&AgentExplanation| matches!(of.verdict, Verdict::Fits { .. });
            let count = agents.iter().filter(fits).count();
            format!(
                "{count} of {} agents fit; best is {}, score {score}",
                agents.len(),
                name(first)
            )
        }
        Verdict::Rejected(reasons) if reasons.iter().all(Rejection::is_passing) => {
            format!(
                "every agent that could run it is busy: on {}, {}",
                name(first),
                list(reasons)
            )
        }
        Verdict::Rejected(reasons) => lacking_everywhere(snapshot, wanted).unwrap_or_else(|| {
            format!(
                "no agent has all that is wanted; closest is {}: {}",
                name(first),
                list(reasons)
            )
        }),
    }
}

fn list(reasons: &[Rejection]) -> String {
    let texts: Vec<String> = reasons.iter().map(ToString::to_string).collect();
    texts.join(", ")
}

/// The one thing that no agent has, whatever else it has.
fn lacking_everywhere(snapshot: &Snapshot<'_>, wanted: &Requirements) -> Option<String> {
    let known = |agent: &&AgentView<'_>| agent.node < snapshot.nodes.len();
    let agents: Vec<(&AgentView<'_>, &NodeView<'_>)> = snapshot
        .agents
        .iter()
        .filter(known)
        .map(|agent| (agent, &snapshot.nodes[agent.node]))
        .filter(|(_, node)| node.performer == wanted.performer)
        .collect();
    if agents.is_empty() && wanted.performer == Performer::AttachedAgent {
        return Some("no attached agent is registered".to_owned());
    }
    if let Some(only) = wanted.agent
        && !agents.iter().any(|(agent, _)| agent.id == only)
    {
        return Some(format!(
            "the task is assigned to `{only}`, which does not exist"
        ));
    }
    for (name, least) in &wanted.capabilities {
        let best = agents
            .iter()
            .filter_map(|(agent, _)| agent.capabilities.get(name))
            .max();
        let wanted = proficiency_word(*least);
        match best {
            None => return Some(format!("no agent has the capability `{name}` ({wanted})")),
            Some(best) if best < least => {
                let best = proficiency_word(*best);
                return Some(format!(
                    "no agent is {wanted} at `{name}`; the best is {best}"
                ));
            }
            Some(_) => {}
        }
    }
    for resource in ResourceKind::ALL {
        let amount = resource.of(&wanted.resources);
        let largest = agents
            .iter()
            .map(|(_, node)| resource.of(&node.total))
            .max()
            .unwrap_or(0);
        if largest < amount {
            let (amount, largest) = (resource.show(amount), resource.show(largest));
            return Some(format!(
                "no node has {resource} >= {amount}; the largest is {largest}"
            ));
        }
    }
    lacking_on_nodes(&agents, wanted)
}

fn lacking_on_nodes(
    agents: &[(&AgentView<'_>, &NodeView<'_>)],
    wanted: &Requirements,
) -> Option<String> {
    let best = agents.iter().map(|(_, node)| node.isolation).max()?;
    if best < wanted.isolation {
        let wanted = wanted.isolation;
        return Some(format!(
            "no node offers isolation {wanted}; the best is {best}"
        ));
    }
    let broken_by_all = |rule: &&AffinityRule| {
        agents
            .iter()
            .all(|(_, node)| fit::breaks(rule, node.labels))
    };
    if let Some(rule) = wanted.affinity.iter().find(broken_by_all) {
        return Some(format!("every node {}", fit::broken_rule(rule)));
    }
    if agents
        .iter()
        .all(|(_, node)| node.state != NodeState::Ready)
    {
        let state = agents.first()?.1.state;
        return Some(format!("no node is ready; the first is {state}"));
    }
    agents
        .iter()
        .all(|(agent, _)| agent.paused)
        .then(|| "every agent is paused".to_owned())
}
