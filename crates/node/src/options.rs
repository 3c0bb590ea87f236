//! What a node's owner decides.

use crate::availability::Availability;
use crate::membership::Access;
use skep_client::BaseUrl;
use skep_model::hold::OnDisconnect;
use skep_model::node::NodeClass;
use skep_model::requirements::{Proficiency, Resources};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// Slots of a node whose machine has fewer processors.
const SLOTS_MIN: u32 = 2;

/// What a node's owner decides. Make it with [`NodeOptions::new`] and change what differs.
#[derive(Clone)]
pub struct NodeOptions {
    /// Where the coordinator listens, and by what it lets this node in.
    pub access: Access,
    /// Name for people.
    pub name: String,
    /// How patient the coordinator is to be with it.
    pub class: NodeClass,
    /// What is to become of its attempts while it is not heard; usual for its class if nothing.
    pub on_disconnect: Option<OnDisconnect>,
    /// Where the machine stands, in its owner's words.
    pub region: Option<String>,
    /// Models that it could serve.
    pub models: Vec<String>,
    /// Words for affinity rules.
    pub labels: BTreeMap<String, String>,
    /// What the node's own agent can do.
    pub capabilities: BTreeMap<String, Proficiency>,
    /// Attempts it runs at a time.
    pub slots: u32,
    /// What it offers to tasks, instead of what is measured.
    pub resources: Option<Resources>,
    /// When it takes work, and how much of the machine.
    pub availability: Availability,
    /// Where the node keeps its identity, results, workspaces and inputs.
    pub state_dir: PathBuf,
    /// The binary whose `main` calls [`skep_runner::internal_main`] first.
    pub supervisor_exe: PathBuf,
    /// Files and directories that attempts may read besides the system's own.
    pub extra_read_paths: Vec<PathBuf>,
    /// Files and directories that tasks never see, e.g. where tokens lie.
    pub hidden_paths: Vec<PathBuf>,
}

impl NodeOptions {
    /// A node on the coordinator's machine, without labels and capabilities, with a slot for each
    /// processor.
    pub fn new(
        coordinator: BaseUrl,
        token: impl Into<String>,
        state_dir: impl Into<PathBuf>,
        supervisor_exe: impl Into<PathBuf>,
    ) -> Self {
        let token = token.into();
        let access = Access::Token { coordinator, token };
        Self::with_access(access, state_dir, supervisor_exe)
    }

    /// A node without labels and capabilities, with a slot for each processor.
    pub fn with_access(
        access: Access,
        state_dir: impl Into<PathBuf>,
        supervisor_exe: impl Into<PathBuf>,
    ) -> Self {
        Self {
            access,
            class: NodeClass::default(),
            on_disconnect: None,
            region: None,
            models: Vec::new(),
            name: default_name(),
            labels: BTreeMap::new(),
            capabilities: BTreeMap::new(),
            slots: default_slots(),
            resources: None,
            availability: Availability::default(),
            state_dir: state_dir.into(),
            supervisor_exe: supervisor_exe.into(),
            extra_read_paths: Vec::new(),
            hidden_paths: Vec::new(),
        }
    }
}

impl fmt::Debug for NodeOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeOptions")
            .field("access", &self.access)
            .field("name", &self.name)
            .field("slots", &self.slots)
            .field("state_dir", &self.state_dir)
            .finish_non_exhaustive()
    }
}

fn default_slots() -> u32 {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    u32::try_from(processors).unwrap_or(u32::MAX).max(SLOTS_MIN)
}

fn default_name() -> String {
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    if name.is_empty() {
        "node".to_owned()
    } else {
        name
    }
}
