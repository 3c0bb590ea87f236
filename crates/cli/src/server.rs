//! Wires a coordinator together: store, hive, API. The one place that knows all of them.

use crate::announcing::{Announced, Announcing};
use crate::background::Background;
use crate::call_upkeep::CallUpkeep;
use crate::certificate_renewal::CertificateRenewal;
use crate::exit::{Exit, Failure};
use crate::farewell::say_farewell;
use crate::file_upkeep::FileUpkeep;
use crate::first_tokens::ensure_tokens;
use crate::memory_desk::{self, MemoryServers};
use crate::opened_data::{self, OpenedData};
use crate::places::{CoordinatorNote, Places};
use crate::reach::{Listeners, Network};
use crate::redis_mirror::{self, MirrorPlace};
use crate::settings::ConfigurationFile;
use crate::system_ports::{SystemClock, SystemEntropy};
use parking_lot::Mutex;
use skep_api::ApiState;
use skep_coordinator::ports::{Clock, JournalError};
use skep_coordinator::{
    CHECKPOINT_EVENTS_DEFAULT, Ended, Engine, EngineOptions, Hive, HiveThreads, LeaseTimers, Now,
    OVERLAP_FROM_DEFAULT, Parts, TaskTokenKey,
};
use skep_discovery::InterfaceFilter;
use skep_identity::{ChallengeKey, Fingerprint};
use skep_mirror::{Mirror, MirrorStats};
use skep_model::ids::ClusterId;
use skep_operations::events::EventTexts;
use skep_operations::join::{JoinDesk, NodeSessionKey, Reach};
use skep_operations::{
    CallCounters, Configuration, MemoryDesk, MemoryGauge, ServerInfo, Services, SpaceGauge,
    SystemCalendar,
};
use skep_scheduler::Policy;
use skep_store::{DataDir, RetentionPolicy};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio_rustls::rustls::ServerConfig;
use tokio_util::sync::CancellationToken;

/// Share of the machine's memory (or of its cgroup's) that a coordinator may use before it takes in
/// no new work, in percent.
const MEMORY_SHARE_PERCENT: u64 = 75;

/// What a coordinator is started with.
#[derive(Debug)]
pub(crate) struct ServerOptions<'a> {
    pub(crate) places: &'a Places,
    pub(crate) listen: SocketAddr,
    /// `HOST:PORT` under which other machines reach it, instead of this machine's addresses.
    pub(crate) advertise: &'a [String],
    pub(crate) strategy: &'a str,
    /// How long what is final is kept.
    pub(crate) retention: RetentionPolicy,
    /// Where to announce it when other machines can join; nowhere without.
    pub(crate) announce: Option<InterfaceFilter>,
    /// What shared memory may use.
    pub(crate) memory_servers: MemoryServers,
    /// Where to show the swarm to tools that read Redis; nowhere without.
    pub(crate) mirror: Option<MirrorPlace>,
}

/// A running coordinator of this process.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) note: CoordinatorNote,
    /// The authority that vouches for it to other machines; `None` when none can join.
    pub(crate) authority: Option<Fingerprint>,
    pub(crate) hive: Hive,
    threads: HiveThreads,
    file_upkeep: FileUpkeep,
    background: Background,
    call_upkeep: CallUpkeep,
    /// Of a coordinator that other machines reach.
    renewal: Option<CertificateRenewal>,
    announcing: Option<Announcing>,
    stop: CancellationToken,
    serving: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Server {
    /// Opens the data, recovers the log, listens and serves.
    pub(crate) async fn start(options: ServerOptions<'_>) -> Result<Self, Failure> {
        let listeners = Listeners::bind(options.listen)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let directory = options.places.coordinator();
        let (opened, recovered, journal) =
            opened_data::open(&directory, options.retention, &clock)?;
        let task_tokens = TaskTokenKey::new(*opened.data.secret());
        let network = listeners
            .public
            .map(|public| Network::prepare(&directory, public, options.advertise, clock.as_ref()))
            .transpose()?;
        let (tls, keeper, reach) = match network {
            Some(network) => (Some(network.tls), Some(network.keeper), Some(network.reach)),
            None => (None, None, None),
        };
        let announced = announced(&options, listeners.public, reach.as_ref(), opened.cluster);
        let addresses = reach
            .as_ref()
            .map_or_else(Vec::new, |reach: &Reach| reach.addresses.clone());
        let authority = reach.as_ref().map(|reach| reach.fingerprint);
        let join = join_desk(reach, &opened.data)?;
        let (engine, policy) = engine(
            recovered,
            options.strategy,
            task_tokens.clone(),
            clock.as_ref(),
        )?;
        let (hive, threads) = Hive::start(engine, Box::new(journal), Arc::clone(&clock), policy)?;
        say_farewell(&hive, &opened.data).await?;
        let file_upkeep = opened.file_upkeep(options.retention, &clock)?;
        let renewal = keeper.map(|keeper| CertificateRenewal::start(keeper, Arc::clone(&clock)));
        let renewal = renewal.transpose()?;
        let (memory_desk, tier_writer) = memory_desk::open(&options.memory_servers, &opened.data)?;
        let mirror = redis_mirror::open(options.mirror.as_ref(), opened.cluster)?;
        let desks = Desks {
            join,
            memory_desk,
            redis_mirror: mirror.as_ref().map(Mirror::stats),
            configuration: Arc::new(ConfigurationFile::of(options.places)),
        };
        let services = services(opened, hive.clone(), clock, task_tokens, desks)?;
        let places = options.places;
        ensure_tokens(&hive, places).await?;
        let stop = CancellationToken::new();
        let services = Arc::new(services);
        let background = Background::start(&services, tier_writer, mirror, &stop);
        let state = api_state(Arc::clone(&services), &stop);
        let note = CoordinatorNote {
            url: format!("http://{}", listeners.local),
            token_file: places.admin_token(),
            addresses,
        };
        let serving = serve(listeners.all, tls, state, stop.clone());
        places.leave_note(&note)?;
        let announcing = announced.map(Announcing::start).transpose()?;
        let call_upkeep = CallUpkeep::start(Arc::clone(&services));
        Ok(Self {
            note,
            authority,
            hive,
            threads,
            file_upkeep,
            background,
            call_upkeep,
            renewal,
            announcing,
            stop,
            serving,
        })
    }

    /// Waits until the hive ended by itself; it only does so when it must.
    pub(crate) async fn halted(&self) -> Failure {
        match self.hive.ended().await {
            Ended::Stopped => Failure::new(Exit::Failed, "coordinator_stopped", "it stopped"),
            Ended::Halted(reason) => halted(&reason),
        }
    }

    /// Whether the swarm knows a node of this name.
    pub(crate) fn knows_node(&self, name: &str) -> bool {
        let view = self.hive.view();
        view.state.machines().any(|node| node.facts.name == name)
    }

    /// Ends streams and requests, then writes what is pending.
    pub(crate) async fn stop(self) -> Result<(), Failure> {
        let announcing = self.announcing;
        let silence = move || announcing.into_iter().for_each(Announcing::stop);
        if let Err(error) = tokio::task::spawn_blocking(silence).await {
            tracing::warn!(%error, "the announcement was not taken back");
        }
        self.call_upkeep.stop().await;
        self.stop.cancel();
        self.hive.shut_down();
        let ended = self.hive.ended().await;
        match self.serving.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the listener ended with an error"),
            Err(error) => tracing::warn!(%error, "the server task failed"),
        }
        self.background.ended().await;
        let (threads, file_upkeep, renewal) = (self.threads, self.file_upkeep, self.renewal);
        let join = move || {
            threads.join();
            file_upkeep.stop();
            renewal.into_iter().for_each(CertificateRenewal::stop);
        };
        tokio::task::spawn_blocking(join)
            .await
            .map_err(|error| Failure::new(Exit::Failed, "stop_failed", error.to_string()))?;
        match ended {
            Ended::Stopped => Ok(()),
            Ended::Halted(reason) => Err(halted(&reason)),
        }
    }
}

/// What is announced: nothing on loopback, where nobody else could come.
fn announced(
    options: &ServerOptions<'_>,
    public: Option<SocketAddr>,
    reach: Option<&Reach>,
    cluster: ClusterId,
) -> Option<Announced> {
    let filter = options.announce.clone()?;
    let (Some(public), Some(reach)) = (public, reach) else {
        tracing::warn!("the coordinator is not announced: it listens on loopback only");
        return None;
    };
    Some(Announced {
        cluster,
        fingerprint: reach.fingerprint,
        public,
        filter,
    })
}

fn join_desk(reach: Option<Reach>, data: &DataDir) -> Result<JoinDesk, Failure> {
    Ok(JoinDesk {
        reach,
        challenges: ChallengeKey::new(random_bytes()?),
        sessions: NodeSessionKey::derived_from(data.secret()),
    })
}

/// What operations keep beside the log and the store.
struct Desks {
    join: JoinDesk,
    memory_desk: MemoryDesk,
    redis_mirror: Option<Arc<MirrorStats>>,
    configuration: Arc<dyn Configuration>,
}

fn services(
    opened: OpenedData,
    hive: Hive,
    clock: Arc<dyn Clock>,
    task_tokens: TaskTokenKey,
    desks: Desks,
) -> Result<Services, Failure> {
    let server = ServerInfo {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        cluster: opened.cluster,
        started_at: SystemClock.wall(),
    };
    Ok(Services {
        hive,
        archive: opened.archive,
        blobs: opened.blobs,
        logs: opened.logs,
        // Held for as long as the coordinator runs: one owner per data directory.
        data_dir: opened.data,
        clock,
        entropy: Mutex::new(Box::new(SystemEntropy)),
        task_tokens,
        join: desks.join,
        server,
        memory: MemoryGauge::new(memory_limit()?),
        space: SpaceGauge::new(),
        shared_memory: desks.memory_desk,
        redis_mirror: desks.redis_mirror,
        configuration: Some(desks.configuration),
        event_texts: EventTexts::default(),
        calls: CallCounters::default(),
        subscribers: Arc::default(),
    })
}

/// The API, with the Model Context Protocol beside REST.
fn api_state(services: Arc<Services>, stop: &CancellationToken) -> ApiState {
    let mcp = skep_mcp::Endpoint::new(Arc::clone(&services), stop.clone());
    ApiState::new(services).with_mcp(move |caller, request| {
        let mcp = mcp.clone();
        async move { mcp.handle(caller, request).await }
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "the handle is owned by `Server` and joined by `Server::stop`"
)]
fn serve(
    listeners: Vec<tokio::net::TcpListener>,
    tls: Option<Arc<ServerConfig>>,
    state: ApiState,
    stop: CancellationToken,
) -> tokio::task::JoinHandle<std::io::Result<()>> {
    tokio::spawn(skep_api::serve(listeners, tls, state, stop))
}

fn engine(
    recovered: skep_coordinator::ports::Recovered,
    strategy: &str,
    task_token_key: TaskTokenKey,
    clock: &dyn Clock,
) -> Result<(Engine, Policy), Failure> {
    let strategy = skep_scheduler::strategy(strategy)
        .map_err(|error| Failure::new(Exit::Invalid, "strategy_unknown", error.to_string()))?;
    let policy = Policy::default();
    let options = EngineOptions {
        timers: LeaseTimers::default(),
        policy,
        task_token_key,
        server_version: env!("CARGO_PKG_VERSION").to_owned(),
        checkpoint_events: CHECKPOINT_EVENTS_DEFAULT,
        overlap_from: OVERLAP_FROM_DEFAULT,
    };
    let parts = Parts {
        strategy,
        entropy: Box::new(SystemEntropy),
        calendar: Box::new(SystemCalendar),
    };
    let now = Now {
        wall: clock.wall(),
        elapsed_ms: clock.elapsed_ms(),
    };
    let engine = Engine::recover(recovered, options, parts, now).map_err(|error| match error {
        JournalError::Damaged { detail } => damaged(&detail),
        other => halted(&other.to_string()),
    })?;
    Ok((engine, policy))
}

fn damaged(detail: &str) -> Failure {
    Failure::new(Exit::Storage, "store_damaged", detail)
}

fn halted(reason: &str) -> Failure {
    Failure::new(Exit::Storage, "coordinator_halted", reason).hint(
        "nothing that was acknowledged is lost; check the disk, then start the coordinator again",
    )
}

/// Bytes of memory at which no new work is taken in.
fn memory_limit() -> Result<u64, Failure> {
    let machine = skep_node::measured_hardware().map_err(|error| {
        let message = crate::exit::chain(&error);
        Failure::new(Exit::Failed, "memory_unknown", message)
    })?;
    Ok(machine.memory_bytes / 100 * MEMORY_SHARE_PERCENT)
}

pub(crate) fn random_bytes() -> Result<[u8; 32], Failure> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(|error| {
        let message = format!("the system gave none: {error}");
        Failure::new(Exit::Failed, "no_randomness", message)
    })?;
    Ok(bytes)
}
