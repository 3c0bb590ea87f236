//! A node from its start to its end.

use crate::attempt_thread::Workshop;
use crate::attempts::Attempts;
use crate::availability::Schedule;
use crate::clock::{boot_ms, unix_ms};
use crate::connection::Connection;
use crate::control::Control;
use crate::custodian::{Custodian, LeftLog, left_logs};
use crate::error::NodeError;
use crate::event_loop::{EventLoop, Parts};
use crate::facts::facts;
use crate::inbox::Inbox;
use crate::input_cache::InputCache;
use crate::load::LoadMeter;
use crate::login::{Credentials, Process};
use crate::membership::Access;
use crate::options::NodeOptions;
use crate::spool::{SpoolFile, SpoolQueue, SpoolWriter};
use crate::staging::Staging;
use crate::state_dir::StateDir;
use crate::throughput::Throughput;
use skep_model::attempt::AttemptReport;
use skep_model::ids::{InstanceId, NodeId};
use skep_model::limits::{NAME_LENGTH_MAX, SLOTS_MAX};
use skep_model::node::NodeFacts;
use skep_runner::{Runner, RunnerOptions};
use skep_wire::payload::AttemptKey;
use skep_wire::{ExitCode, LinkOptions, NodeEnd};
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// Tells a node to stop.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    pub(crate) politely: CancellationToken,
    pub(crate) at_once: CancellationToken,
}

impl Shutdown {
    /// One that was not used yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stops attempts with their grace, hands in what they report, says goodbye. For a node that
    /// finishes its work first, drain it at the coordinator before.
    pub fn stop(&self) {
        self.politely.cancel();
    }

    /// Leaves now. Attempts die with the process; results on disk wait for the next start.
    pub fn stop_at_once(&self) {
        self.at_once.cancel();
    }
}

/// Why a node ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeExit {
    /// The session ended for good.
    Session {
        /// Why.
        code: ExitCode,
        /// For people.
        reason: String,
    },
    /// It was told to leave at once.
    StoppedAtOnce,
    /// Somebody answers at the coordinator's address who is not the coordinator it joined.
    Untrusted {
        /// What was wrong.
        reason: String,
    },
    /// Results cannot be made durable any more, so nothing it said later could be relied on.
    SpoolBroken {
        /// What the disk said.
        reason: String,
    },
}

impl NodeExit {
    /// Whether everything went as it was asked for.
    pub fn is_orderly(&self) -> bool {
        matches!(
            self,
            Self::StoppedAtOnce
                | Self::Session {
                    code: ExitCode::Shutdown,
                    ..
                }
        )
    }
}

impl std::fmt::Display for NodeExit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Session {
                code: ExitCode::AuthRefused,
                reason,
            } => write!(
                f,
                "the token was refused: {reason}; give the node a token that has the scope `node`"
            ),
            Self::Session { reason, .. } | Self::Untrusted { reason } => f.write_str(reason),
            Self::StoppedAtOnce => f.write_str("the node was told to stop at once"),
            Self::SpoolBroken { reason } => {
                write!(f, "results can no longer be made durable: {reason}")
            }
        }
    }
}

/// A node that is ready to run.
#[derive(Debug)]
pub struct Node {
    options: NodeOptions,
    id: NodeId,
    process: Process,
    facts: NodeFacts,
    state: StateDir,
    runner: Arc<Runner>,
    spool: SpoolFile,
    recovered: Vec<AttemptReport>,
    staging: Staging,
    cache: InputCache,
    left_logs: Vec<LeftLog>,
    credentials: Credentials,
    jitter_seed: u64,
}

impl Node {
    /// Takes the state directory, clears it of what a crash left, reads the spool and measures
    /// the machine. Blocks for about as long as the isolation probe takes.
    pub fn start(options: NodeOptions) -> Result<Self, NodeError> {
        check(&options)?;
        let state = StateDir::open(&options.state_dir)?;
        let id = match &options.access {
            Access::Token { .. } => state.identity()?,
            Access::Key { membership, .. } => membership.node,
        };
        let process = Process {
            instance: InstanceId::from_u128(Uuid::now_v7().as_u128()),
            starts: state.count_start()?,
        };
        let credentials = Credentials::new(&options.access, process)?;
        let (spool, recovered) = SpoolFile::open(&state.spool())?;
        let unanswered = recovered.iter().map(AttemptKey::from).collect();
        let staging = Staging::open(state.staging(), &unanswered)
            .map_err(NodeError::file("open", &state.staging()))?;
        let cache =
            InputCache::open(state.cache()).map_err(NodeError::file("open", &state.cache()))?;
        let runner = make_runner(&options, &state)?;
        let left_logs = left_logs(&runner).map_err(NodeError::file("read", &state.runner()))?;
        let measured = runner
            .probe_isolation()
            .map_err(crate::FactsError::Isolation)?;
        let facts = facts(&options, measured, state.root())?;
        Ok(Self {
            options,
            id,
            process,
            facts,
            state,
            runner: Arc::new(runner),
            spool,
            recovered,
            staging,
            cache,
            left_logs,
            credentials,
            jitter_seed: getrandom::u64().map_err(NodeError::Random)?,
        })
    }

    /// The node; stays the same over restarts.
    pub const fn id(&self) -> NodeId {
        self.id
    }

    /// This start of its process.
    pub const fn instance(&self) -> InstanceId {
        self.process.instance
    }

    /// What it says about itself.
    pub const fn facts(&self) -> &NodeFacts {
        &self.facts
    }

    /// Runs until it is told to stop, or the coordinator or the disk ends it.
    pub async fn run(self, shutdown: Shutdown) -> Result<NodeExit, NodeError> {
        let control = Control::open(self.state.root())
            .map_err(NodeError::file("listen in", self.state.root()))?;
        let inbox = Arc::new(Inbox::default());
        let queue = Arc::new(SpoolQueue::default());
        let spool_thread = SpoolWriter::start(self.spool, Arc::clone(&queue), Arc::clone(&inbox))?;
        let workshop = Arc::new(Workshop {
            runner: self.runner,
            client: self.credentials.client().clone(),
            authority: self.options.access.authority().map(str::to_owned),
            cache: self.cache,
            staging: self.staging,
            inbox: Arc::clone(&inbox),
            runtime: Handle::current(),
            side_tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            uploads: Throughput::default(),
        });
        let session = Arc::new(Notify::new());
        let custodian = Custodian {
            workshop: Arc::clone(&workshop),
            logs: self.left_logs,
            session: Arc::clone(&session),
        };
        workshop.spawn(custodian.run());
        workshop.spawn(control.serve(Arc::clone(&inbox)));
        let sessions = self.credentials.clone();
        workshop.spawn(sessions.keep_fresh(workshop.stop.clone()));
        let brain_options = skep_wire::NodeOptions {
            node: self.id,
            instance: self.process.instance,
            starts: self.process.starts,
            facts: self.facts,
            slots: self.options.slots,
            jitter_seed: self.jitter_seed,
        };
        let link = link(&self.options.access);
        let event_loop = EventLoop::new(Parts {
            brain: NodeEnd::new(brain_options, self.recovered).with_link(link),
            connection: Connection::new(self.credentials),
            inbox,
            queue,
            attempts: Attempts::new(Arc::clone(&workshop)),
            workshop,
            session,
            load: LoadMeter::new(),
            schedule: Schedule::new(self.options.availability),
            clock: boot_ms,
        });
        let exit = event_loop.run(shutdown, spool_thread).await;
        // Held until here, so that no second process meets the end of this one.
        drop(self.state);
        Ok(exit)
    }
}

/// A member is on another machine; the holder of a token is next to its coordinator.
fn link(access: &Access) -> LinkOptions {
    let link = match access {
        Access::Token { .. } => LinkOptions::NEAR,
        Access::Key { .. } => LinkOptions::FAR,
    };
    LinkOptions {
        unix_ms_at_zero: unix_ms().checked_sub(boot_ms()),
        ..link
    }
}

fn check(options: &NodeOptions) -> Result<(), NodeError> {
    let refuse = |option, value: String, detail: String| {
        Err(NodeError::Option {
            option,
            value,
            detail,
        })
    };
    if !(1..=SLOTS_MAX).contains(&options.slots) {
        let detail = format!("it should be 1 to {SLOTS_MAX} (`SLOTS_MAX`)");
        return refuse("slots", options.slots.to_string(), detail);
    }
    let length = options.name.chars().count();
    if length == 0 || length > NAME_LENGTH_MAX {
        let detail = format!("it should have 1 to {NAME_LENGTH_MAX} characters");
        return refuse("name", options.name.clone(), detail);
    }
    if let Some((option, value)) = options.availability.nonsense() {
        return refuse(option, value, "it should be 1 to 100".to_owned());
    }
    if !options.supervisor_exe.is_file() {
        let path = options.supervisor_exe.display().to_string();
        return refuse(
            "supervisor program",
            path,
            "there is no such file".to_owned(),
        );
    }
    Ok(())
}

fn make_runner(options: &NodeOptions, state: &StateDir) -> Result<Runner, NodeError> {
    let path = state.runner();
    let mut runner_options = RunnerOptions::new(path.clone(), options.supervisor_exe.clone());
    runner_options
        .extra_read_paths
        .clone_from(&options.extra_read_paths);
    runner_options
        .hidden_paths
        .clone_from(&options.hidden_paths);
    let runner =
        Runner::new(runner_options).map_err(NodeError::file("make the runner's", &path))?;
    runner.sweep().map_err(NodeError::file("clear", &path))?;
    Ok(runner)
}
