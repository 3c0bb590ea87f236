//! Nodes: machines that joined and can run work.

use crate::attempt::LogIndex;
use crate::hold::{Hold, OnDisconnect, Parked, Patience};
use crate::ids::{InstanceId, NodeId};
use crate::isolation::{IsolationLevel, ProbeResult};
use crate::planted::{PlantedBug, planted};
use crate::requirements::{Performer, Proficiency, Resources};
use crate::session::SessionFacts;
use crate::time::UnixMillis;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Where a node stands. New values are only ever appended.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// Connected, its attempts are being compared with the coordinator's.
    Joining,
    /// Takes work.
    Ready,
    /// Finishes what it has and takes nothing new.
    Draining,
    /// Silent for `SUSPECT_AFTER_MS`; gets nothing new.
    Suspect,
    /// Silent for lease and grace; its attempts were given up.
    Lost,
    /// Said goodbye or was removed.
    Left,
}

impl NodeState {
    /// The word used in the API and on screen.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Joining => "joining",
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::Suspect => "suspect",
            Self::Lost => "lost",
            Self::Left => "left",
        }
    }
}

impl fmt::Display for NodeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How patient the swarm is with a node. New values are only ever appended.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum NodeClass {
    /// Always on, well connected.
    #[default]
    Server,
    /// A laptop or a workstation: longer heartbeats, longer leases.
    Consumer,
}

impl NodeClass {
    /// The word used in the API and on screen.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Consumer => "consumer",
        }
    }
}

/// A graphics processor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Gpu {
    /// Its name, as its driver says it.
    pub name: String,
    /// Its own memory; 0 when the driver does not say.
    pub memory_bytes: u64,
}

/// The machine below a node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Hardware {
    /// Name of the processor; empty when the system does not say.
    pub processor: String,
    /// Logical processors.
    pub cores: u32,
    /// Main memory of the machine.
    pub memory_bytes: u64,
    /// Graphics processors.
    pub gpus: Vec<Gpu>,
}

/// What an operator says about a node; it wins over what the node says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct NodeAssignment {
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Region.
    pub region: Option<String>,
    /// What becomes of its attempts while it is not heard.
    pub on_disconnect: Option<OnDisconnect>,
}

/// What a node says about itself when it joins, measured where it can be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct NodeFacts {
    /// Name for people; unique among the nodes that have not left.
    pub name: String,
    /// Version of Skep it runs.
    pub version: String,
    /// Operating system and kernel.
    pub system: String,
    /// What it offers to tasks.
    pub resources: Resources,
    /// Attempts it runs at a time.
    pub slots: u32,
    /// Words for affinity rules.
    pub labels: BTreeMap<String, String>,
    /// Capabilities of its own agent.
    pub capabilities: BTreeMap<String, Proficiency>,
    /// Level that its probes measured.
    pub isolation: IsolationLevel,
    /// The probes.
    pub probes: Vec<ProbeResult>,
    /// How patient to be with it.
    #[serde(default)]
    pub class: NodeClass,
    /// Where it stands, in the owner's words (`eu-west`, `office`).
    #[serde(default)]
    pub region: Option<String>,
    /// The machine.
    #[serde(default)]
    pub hardware: Hardware,
    /// Models that its owner says it could serve.
    #[serde(default)]
    pub models: Vec<String>,
    /// What its owner wants for its attempts while it is not heard.
    #[serde(default)]
    pub on_disconnect: Option<OnDisconnect>,
}

/// A node, in full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// The node; stays the same over restarts of its process.
    pub id: NodeId,
    /// The running process.
    pub instance: InstanceId,
    /// Where it stands.
    pub state: NodeState,
    /// When `state` last changed.
    pub state_since: UnixMillis,
    /// When it first joined.
    pub joined_at: UnixMillis,
    /// What it said about itself.
    pub facts: NodeFacts,
    /// Whether a person asked it to drain.
    pub drain_requested: bool,
    /// How often it was started, as its process said when it connected last.
    pub starts: u64,
    /// What an operator said about it.
    pub assigned: NodeAssignment,
    /// Why it takes no new work by its own schedule.
    pub away: Option<String>,
    /// How long its attempts are its own while it is not heard.
    pub hold: Hold,
    /// Until when its attempts stand still, if they do.
    pub parked: Option<Parked>,
    /// The session behind it, when it is no machine but the seat of an attached agent.
    pub session: Option<Box<SessionFacts>>,
}

impl NodeRecord {
    /// What kind of work it takes.
    pub const fn performer(&self) -> Performer {
        match self.session {
            None => Performer::Node,
            Some(_) => Performer::AttachedAgent,
        }
    }

    /// Where it stands: as an operator said, or else as it says itself.
    pub fn region(&self) -> Option<&str> {
        let said = self.assigned.region.as_deref();
        said.or(self.facts.region.as_deref())
    }

    /// What becomes of its attempts while it is not heard: as an operator said, or as it says
    /// itself, or as is usual for its class. What holds right now is [`Hold::bound`].
    pub fn on_disconnect(&self) -> OnDisconnect {
        let said = self.assigned.on_disconnect.or(self.facts.on_disconnect);
        said.unwrap_or_else(|| OnDisconnect::of_class(self.facts.class))
    }

    /// Whether it holds what it has although nobody hears it, and nothing will ever end that.
    pub fn is_waited_for_in_vain(&self) -> bool {
        let is_silent = matches!(self.state, NodeState::Suspect | NodeState::Joining);
        is_silent && self.hold.bound.policy == OnDisconnect::Keep
    }

    /// Whether the node is known to act by the newest terms.
    pub fn acts_as_wanted(&self) -> bool {
        let moves = self.parked.is_some_and(|parked| !parked.stands_still);
        self.hold.bound == self.patience() && !moves
    }

    /// How long its work is to wait for it. What holds right now is [`Hold::bound`].
    pub fn patience(&self) -> Patience {
        Patience {
            policy: self.on_disconnect(),
            park_ms: self.parked.map_or(0, |parked| parked.for_ms),
        }
    }

    /// What was said about it changed in this entry: if its patience did, there are new terms.
    pub fn renew_hold(&mut self, before: Patience, at: LogIndex) {
        let wanted = self.patience();
        if wanted != before {
            self.hold = Hold {
                bound: self.hold.bound.or_more(wanted),
                since: at,
            };
        }
        if planted(PlantedBug::HoldShortenedUnheard) {
            self.hold.bound = wanted;
        }
    }
}
