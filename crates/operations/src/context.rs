//! What a handler is given: the services it may use and who calls.

use crate::body::{fingerprint, fingerprint_key};
use crate::configuration::SharedConfiguration;
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::events::EventTexts;
use crate::join::JoinDesk;
use crate::lookup;
use crate::memory::MemoryDesk;
use crate::memory_gauge::MemoryGauge;
use crate::parameters::PathParameters;
use crate::space_gauge::SpaceGauge;
use crate::usage::CallCounters;
use parking_lot::Mutex;
use skep_coordinator::ports::{Clock, Entropy};
use skep_coordinator::{Hive, TaskTokenKey};
use skep_mirror::MirrorStats;
use skep_model::attempt::Fence;
use skep_model::command::{Actor, Command, Idempotency};
use skep_model::event::{EntryEvents, Event};
use skep_model::ids::{ClusterId, NodeId, RunId, TaskId, TokenId};
use skep_model::memory::MemoryChange;
use skep_model::time::UnixMillis;
use skep_model::token::Scope;
use skep_store::{Archive, AttemptLogs, BlobStore, DataDir};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How long an answer of the log is waited for before the outcome is said to be unknown.
const PROPOSE_TIMEOUT: Duration = Duration::from_secs(30);
/// When a caller may try again who was refused for lack of memory: tasks have to end first.
const MEMORY_RETRY_MS: u64 = 5_000;

/// What the coordinator says about itself.
#[derive(Debug, Clone)]
pub struct ServerInfo {
    /// Version of Skep.
    pub version: String,
    /// The installation.
    pub cluster: ClusterId,
    /// When this process started.
    pub started_at: UnixMillis,
}

/// Everything operations work with; one for the process.
pub struct Services {
    /// The way to the log and the live state.
    pub hive: Hive,
    /// History.
    pub archive: Archive,
    /// Bytes of artifacts.
    pub blobs: BlobStore,
    /// Logs of attempts.
    pub logs: AttemptLogs,
    /// Where all of it lies, for measuring the disk.
    pub data_dir: DataDir,
    /// Wall clock.
    pub clock: Arc<dyn Clock>,
    /// Fresh ids.
    pub entropy: Mutex<Box<dyn Entropy>>,
    /// Makes and checks task tokens.
    pub task_tokens: TaskTokenKey,
    /// Lets other machines in.
    pub join: JoinDesk,
    /// About this process.
    pub server: ServerInfo,
    /// How large this process is, and may be.
    pub memory: MemoryGauge,
    /// Whether the disk has room for new work.
    pub space: SpaceGauge,
    /// What stands between callers of shared memory and what is stored.
    pub shared_memory: MemoryDesk,
    /// What the Redis mirror does, if there is one.
    pub redis_mirror: Option<Arc<MirrorStats>>,
    /// Events as text, made once for all who follow them.
    pub event_texts: EventTexts,
    /// The configuration of this process, if it has a file of its own.
    pub configuration: SharedConfiguration,
    /// How often operations and tools were called.
    pub calls: CallCounters,
    /// How many callers follow the events.
    pub subscribers: Arc<AtomicUsize>,
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Services")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

impl Services {
    /// A fresh id of any kind.
    pub fn fresh_id(&self) -> u128 {
        self.entropy.lock().id()
    }

    /// Fresh ids, drawn together.
    pub fn fresh_ids(&self, count: usize) -> Vec<u128> {
        let mut entropy = self.entropy.lock();
        (0..count).map(|_| entropy.id()).collect()
    }

    /// The present time of the log, see [`LogClock`](skep_coordinator::LogClock).
    pub fn now(&self) -> UnixMillis {
        self.hive.now()
    }

    /// How many callers follow the events now.
    pub fn subscriber_count(&self) -> usize {
        self.subscribers.load(Ordering::Relaxed)
    }
}

/// Who calls, as proved by a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// Nobody: the operation is open to all.
    Anonymous,
    /// The holder of a token.
    Token {
        /// Its record.
        id: TokenId,
        /// What it allows.
        scopes: Vec<Scope>,
    },
    /// A node that joined by a token and logged in with its key.
    Node(NodeId),
    /// A running attempt.
    Task {
        /// Its task.
        task: TaskId,
        /// The grant, current when the call came in.
        fence: Fence,
        /// The task's run.
        run: Option<RunId>,
    },
}

impl Principal {
    /// Whether the caller's token has this scope, or includes it.
    pub fn has(&self, wanted: Scope) -> bool {
        match self {
            Self::Token { scopes, .. } => scopes
                .iter()
                .any(|scope| *scope == wanted || *scope == Scope::Admin),
            Self::Node(_) => wanted == Scope::Node,
            Self::Anonymous | Self::Task { .. } => false,
        }
    }

    /// The actor that the log names.
    pub const fn actor(&self) -> Actor {
        match self {
            Self::Anonymous => Actor::Coordinator,
            Self::Token { id, .. } => Actor::Token(*id),
            Self::Node(node) => Actor::Node(*node),
            Self::Task { task, .. } => Actor::Task(*task),
        }
    }
}

/// One call: services, caller, and what the caller sent beside parameters and body.
#[derive(Debug, Clone)]
pub struct Context {
    /// The services.
    pub services: Arc<Services>,
    /// Who calls.
    pub caller: Principal,
    /// The caller's idempotency key, checked for form.
    pub idempotency_key: Option<String>,
    /// W3C traceparent of the call.
    pub trace_parent: Option<String>,
    /// `If-Match`, without quotes.
    pub if_match: Option<String>,
    /// `If-None-Match`, without quotes.
    pub if_none_match: Option<String>,
    /// Keyed hash of the canonical request; set when there is a key.
    pub(crate) fingerprint: Option<[u8; 32]>,
    /// The operation, which is part of a key's scope.
    pub(crate) operation: &'static str,
}

impl Context {
    /// A call of this caller without any of the optional headers.
    pub const fn new(services: Arc<Services>, caller: Principal) -> Self {
        Self {
            services,
            caller,
            idempotency_key: None,
            trace_parent: None,
            if_match: None,
            if_none_match: None,
            fingerprint: None,
            operation: "",
        }
    }

    /// Notes what the request is, by which a repetition of it is known.
    ///
    /// # Errors
    /// `body_malformed`.
    pub(crate) fn note_fingerprint(
        &mut self,
        path: &PathParameters,
        query: &str,
        body: &[u8],
    ) -> Result<(), OperationError> {
        if self.idempotency_key.is_some() {
            let key = fingerprint_key(self.services.data_dir.secret());
            self.fingerprint = Some(fingerprint(&key, path, query, body)?);
        }
        Ok(())
    }

    /// The key as the log keeps it: within the scope of caller and operation.
    pub(crate) fn idempotency(&self) -> Option<Idempotency> {
        let key = self.idempotency_key.as_ref()?;
        let caller = match &self.caller {
            Principal::Anonymous => "anonymous".to_owned(),
            Principal::Token { id, .. } => id.to_string(),
            Principal::Node(node) => node.to_string(),
            Principal::Task { task, .. } => task.to_string(),
        };
        Some(Idempotency {
            key: format!("{caller}:{}:{key}", self.operation),
            fingerprint: self.fingerprint?,
        })
    }

    /// The parameters of the path, and the conditions of the headers: all of them make a request
    /// what it is.
    pub(crate) fn named_with_conditions(&self, path: &PathParameters) -> PathParameters {
        let conditions = [
            ("if-match", &self.if_match),
            ("if-none-match", &self.if_none_match),
        ];
        let conditions = conditions.into_iter().filter_map(|(name, tag)| {
            let tag = tag.as_ref()?;
            Some((name.to_owned(), tag.clone()))
        });
        path.iter().cloned().chain(conditions).collect()
    }

    /// New work is refused before the disk is full: what was accepted must still be able to end.
    fn refuse_when_space_is_low(&self) -> Result<(), OperationError> {
        let services = &self.services;
        let low = services
            .space
            .low(services.clock.as_ref(), &services.data_dir);
        let Some(free) = low else {
            return Ok(());
        };
        let detail = format!("only {free} bytes are free on the coordinator's disk");
        Err(OperationError::new(ErrorCode::StorageLow, detail))
    }

    /// New work is refused before the process is killed for its size.
    fn refuse_when_memory_is_short(&self) -> Result<(), OperationError> {
        match self.services.memory.excess(self.services.clock.as_ref()) {
            None => Ok(()),
            Some(excess) => Err(
                OperationError::new(ErrorCode::Overloaded, excess.to_string())
                    .retry_after_ms(MEMORY_RETRY_MS),
            ),
        }
    }

    /// Puts a command into the log and waits until it is durable and applied.
    ///
    /// # Errors
    /// The core's refusal, an overload, or that the outcome is not known.
    pub async fn propose(&self, command: Command) -> Result<Arc<EntryEvents>, OperationError> {
        if takes_room(&command) {
            self.refuse_when_space_is_low()?;
            self.refuse_when_memory_is_short()?;
        }
        let proposed = self.services.hive.propose(self.caller.actor(), command);
        let Ok(answer) = tokio::time::timeout(PROPOSE_TIMEOUT, proposed).await else {
            return Err(OperationError::new(
                ErrorCode::OutcomeUnknown,
                format!("no answer within {} s", PROPOSE_TIMEOUT.as_secs()),
            ));
        };
        let entry = answer?;
        let refusal = entry.events.iter().find_map(|event| match event {
            Event::Refused { reason } => Some(reason.clone()),
            _ => None,
        });
        match refusal {
            None => Ok(entry),
            Some(reason) => Err(lookup::explain_refusal(&self.services, reason).await),
        }
    }
}

/// Whether a command brings in what has to be kept.
fn takes_room(command: &Command) -> bool {
    match command {
        Command::SubmitRun { .. }
        | Command::SubmitTasks { .. }
        | Command::CreateSchedule { .. }
        | Command::FireSchedule(_)
        | Command::CreateTrigger { .. } => true,
        Command::WriteMemory { writes, .. } => {
            let mut changes = writes.iter().map(|write| &write.change);
            changes.any(|change| matches!(change, MemoryChange::Put(_)))
        }
        _ => false,
    }
}
