//! What binds: whether an agent may run a task at all, and if not, why.

use crate::breaker::BreakerView;
use crate::snapshot::{AgentView, NodeView};
use skep_model::ids::AgentId;
use skep_model::isolation::IsolationLevel;
use skep_model::node::NodeState;
use skep_model::requirements::{
    AffinityRule, AffinitySense, AffinityStrength, Performer, Proficiency, Requirements, Resources,
};
use std::collections::BTreeMap;
use std::fmt;

/// One reason why an agent cannot run a task now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejection {
    /// The task is described in words, and the agent is hosted by a node; or it is a command, and
    /// the agent is an attached one.
    Performer(Performer),
    /// The attached agent does not ask for work.
    NotAsking,
    /// Its node is not ready.
    NodeNotReady(NodeState),
    /// A person holds it.
    AgentPaused,
    /// The task was assigned to another agent by hand.
    AssignedTo(AgentId),
    /// The node isolates less than the task accepts.
    Isolation {
        /// What the task accepts at least.
        wanted: IsolationLevel,
        /// What the node measured.
        offered: IsolationLevel,
    },
    /// The agent lacks a capability, or is not good enough at it.
    Capability {
        /// Its name.
        name: String,
        /// What the task wants at least.
        wanted: Proficiency,
        /// What the agent has.
        offered: Option<Proficiency>,
    },
    /// The node breaks a required affinity rule.
    Affinity(AffinityRule),
    /// The node does not have as much, even when idle.
    TooSmall {
        /// Of what.
        resource: ResourceKind,
        /// What the task wants.
        wanted: u64,
        /// What the node has.
        total: u64,
    },
    /// The node has enough, but not free.
    InUse {
        /// Of what.
        resource: ResourceKind,
        /// What the task wants.
        wanted: u64,
        /// What is free.
        free: u64,
    },
    /// The node failed too often in a row.
    BreakerOpen {
        /// How often.
        failures: u32,
        /// Milliseconds until it is tried again.
        retry_in_ms: u64,
    },
    /// The node failed too often in a row, and another attempt is trying it out.
    BreakerTrial,
    /// All slots of the agent are taken.
    AgentFull(u32),
    /// All slots of the node are taken.
    NodeFull(u32),
}

impl Rejection {
    /// Whether it passes by itself, with time or when running attempts end.
    pub const fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::NotAsking
                | Self::InUse { .. }
                | Self::BreakerOpen { .. }
                | Self::BreakerTrial
                | Self::AgentFull(_)
                | Self::NodeFull(_)
        )
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Performer(Performer::AttachedAgent) => {
                f.write_str("the task is described in words: only attached agents take it")
            }
            Self::Performer(Performer::Node) => {
                f.write_str("an attached agent takes only tasks that are described in words")
            }
            Self::NotAsking => f.write_str("the attached agent does not ask for work"),
            Self::NodeNotReady(state) => write!(f, "the node is {state}"),
            Self::AgentPaused => f.write_str("the agent is paused"),
            Self::AssignedTo(agent) => write!(f, "the task is assigned to `{agent}`"),
            Self::Isolation { wanted, offered } => {
                write!(f, "isolation {wanted} is wanted, the node offers {offered}")
            }
            Self::Capability {
                name,
                wanted,
                offered: None,
            } => write!(
                f,
                "capability `{name}` ({}) is missing",
                proficiency_word(*wanted)
            ),
            Self::Capability {
                name,
                wanted,
                offered: Some(offered),
            } => write!(
                f,
                "capability `{name}` is {}, {} is wanted",
                proficiency_word(*offered),
                proficiency_word(*wanted)
            ),
            Self::Affinity(rule) => write!(f, "the node {}", broken_rule(rule)),
            Self::TooSmall {
                resource,
                wanted,
                total,
            } => write!(
                f,
                "{resource} {} is wanted, the node has {}",
                resource.show(*wanted),
                resource.show(*total)
            ),
            Self::InUse {
                resource,
                wanted,
                free,
            } => write!(
                f,
                "{resource} {} is wanted, {} is free",
                resource.show(*wanted),
                resource.show(*free)
            ),
            Self::BreakerOpen {
                failures,
                retry_in_ms,
            } => write!(
                f,
                "the node failed {}, it is tried again in {} s",
                times_in_a_row(*failures),
                retry_in_ms.div_ceil(1_000)
            ),
            Self::BreakerTrial => {
                f.write_str("the node failed and is being tried out with one attempt at a time")
            }
            Self::AgentFull(slots) => write!(f, "all {slots} slots of the agent are taken"),
            Self::NodeFull(slots) => write!(f, "all {slots} slots of the node are taken"),
        }
    }
}

fn times_in_a_row(count: u32) -> String {
    match count {
        1 => "when it was tried out".to_owned(),
        count => format!("{count} times in a row"),
    }
}

/// The word for a proficiency, as written in plans.
pub(crate) const fn proficiency_word(proficiency: Proficiency) -> &'static str {
    match proficiency {
        Proficiency::Basic => "basic",
        Proficiency::Intermediate => "intermediate",
        Proficiency::Expert => "expert",
        Proficiency::Specialist => "specialist",
    }
}

/// What a node does that breaks the rule; follows the word for the node.
pub(crate) fn broken_rule(rule: &AffinityRule) -> String {
    let label = match &rule.value {
        Some(value) => format!("label `{}={value}`", rule.label),
        None => format!("label `{}`", rule.label),
    };
    match rule.sense {
        AffinitySense::Attract => format!("lacks the required {label}"),
        AffinitySense::Repel => format!("has the forbidden {label}"),
    }
}

/// A kind of resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ResourceKind {
    /// Thousandths of a processor.
    Cpu,
    /// Main memory.
    Memory,
    /// GPU memory.
    GpuMemory,
    /// Disk.
    Disk,
}

impl ResourceKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Cpu, Self::Memory, Self::GpuMemory, Self::Disk];

    /// This kind's amount.
    pub const fn of(self, resources: &Resources) -> u64 {
        match self {
            Self::Cpu => resources.cpu_millis,
            Self::Memory => resources.memory_bytes,
            Self::GpuMemory => resources.gpu_memory_bytes,
            Self::Disk => resources.disk_bytes,
        }
    }

    /// An amount of this kind, for people.
    pub fn show(self, amount: u64) -> String {
        const UNITS: [(&str, u32); 4] = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
        if self == Self::Cpu {
            return match amount % 1_000 {
                0 => format!("{}", amount / 1_000),
                rest => format!("{}.{rest:03}", amount / 1_000),
            };
        }
        let exact = |shift: u32| amount > 0 && amount.trailing_zeros() >= shift;
        match UNITS.into_iter().find(|(_, shift)| exact(*shift)) {
            Some((unit, shift)) => format!("{} {unit}", amount >> shift),
            None if amount < 1 << 20 => format!("{amount} B"),
            None => format!("{} MiB", amount >> 20),
        }
    }
}

impl fmt::Display for ResourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::GpuMemory => "gpu_memory",
            Self::Disk => "disk",
        })
    }
}

/// Whether the labels match what the rule speaks of.
pub(crate) fn matches(rule: &AffinityRule, labels: &BTreeMap<String, String>) -> bool {
    match (labels.get(&rule.label), &rule.value) {
        (Some(found), Some(wanted)) => found == wanted,
        (Some(_), None) => true,
        (None, _) => false,
    }
}

/// Whether the rule binds and the labels break it.
pub(crate) fn breaks(rule: &AffinityRule, labels: &BTreeMap<String, String>) -> bool {
    rule.strength == AffinityStrength::Required
        && matches(rule, labels) != (rule.sense == AffinitySense::Attract)
}

/// Whether what does not change with the room is there: capabilities, isolation, labels. For an
/// open agent with room these are the same conditions as [`rejections`], without text.
pub(crate) fn suits(agent: &AgentView<'_>, node: &NodeView<'_>, wanted: &Requirements) -> bool {
    let proficient = |(name, least): (&String, &Proficiency)| {
        agent
            .capabilities
            .get(name)
            .is_some_and(|offered| offered >= least)
    };
    node.performer == wanted.performer
        && node.isolation >= wanted.isolation
        && wanted.capabilities.iter().all(proficient)
        && !wanted.affinity.iter().any(|rule| breaks(rule, node.labels))
}

/// Every reason why the agent cannot take a task with these requirements now.
pub(crate) fn rejections(
    agent: &AgentView<'_>,
    node: &NodeView<'_>,
    wanted: &Requirements,
) -> Vec<Rejection> {
    let mut found = Vec::new();
    if node.performer != wanted.performer {
        found.push(Rejection::Performer(wanted.performer));
    }
    match (node.state, node.performer) {
        (NodeState::Ready, _) => {}
        (NodeState::Joining, Performer::AttachedAgent) => found.push(Rejection::NotAsking),
        (state, _) => found.push(Rejection::NodeNotReady(state)),
    }
    if agent.paused {
        found.push(Rejection::AgentPaused);
    }
    if let Some(only) = wanted.agent.filter(|only| *only != agent.id) {
        found.push(Rejection::AssignedTo(only));
    }
    if node.isolation < wanted.isolation {
        found.push(Rejection::Isolation {
            wanted: wanted.isolation,
            offered: node.isolation,
        });
    }
    for (name, least) in &wanted.capabilities {
        let offered = agent.capabilities.get(name).copied();
        if offered.is_none_or(|offered| offered < *least) {
            found.push(Rejection::Capability {
                name: name.clone(),
                wanted: *least,
                offered,
            });
        }
    }
    let broken = wanted
        .affinity
        .iter()
        .filter(|rule| breaks(rule, node.labels));
    found.extend(broken.cloned().map(Rejection::Affinity));
    found.extend(
        ResourceKind::ALL
            .into_iter()
            .filter_map(|kind| lack(kind, node, wanted)),
    );
    found.extend(kept_away(node));
    if agent.slots_free == 0 {
        found.push(Rejection::AgentFull(agent.slots));
    }
    if node.slots_free == 0 {
        found.push(Rejection::NodeFull(node.slots));
    }
    found
}

fn kept_away(node: &NodeView<'_>) -> Option<Rejection> {
    match node.breaker {
        BreakerView::Open {
            failures,
            retry_in_ms,
        } => Some(Rejection::BreakerOpen {
            failures,
            retry_in_ms,
        }),
        BreakerView::HalfOpen { room: 0 } => Some(Rejection::BreakerTrial),
        BreakerView::HalfOpen { .. } | BreakerView::Closed => None,
    }
}

fn lack(resource: ResourceKind, node: &NodeView<'_>, wanted: &Requirements) -> Option<Rejection> {
    let wanted = resource.of(&wanted.resources);
    let (total, free) = (resource.of(&node.total), resource.of(&node.free));
    if total < wanted {
        return Some(Rejection::TooSmall {
            resource,
            wanted,
            total,
        });
    }
    (free < wanted).then_some(Rejection::InUse {
        resource,
        wanted,
        free,
    })
}
