//! Wires the coordinator together as the product does, with the suite's server around Skep's own.

use crate::Arguments;
use crate::fixture::{Fixture, Shared};
use anyhow::{Context, Result};
use parking_lot::Mutex;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use serde_json::json;
use skep_api::ApiState;
use skep_coordinator::hive::HiveThreads;
use skep_coordinator::ports::{Clock, Entropy};
use skep_coordinator::{
    CHECKPOINT_EVENTS_DEFAULT, Engine, EngineOptions, Hive, LeaseTimers, Now, OVERLAP_FROM_DEFAULT,
    Parts, TaskTokenKey,
};
use skep_identity::ChallengeKey;
use skep_mcp::Endpoint;
use skep_model::command::{Actor, Command};
use skep_model::ids::TokenId;
use skep_model::time::UnixMillis;
use skep_model::token::{Scope, TokenRecord};
use skep_operations::events::EventTexts;
use skep_operations::join::{JoinDesk, NodeSessionKey};
use skep_operations::{
    CallCounters, MemoryDesk, MemoryGauge, Secrets, ServerInfo, Services, SpaceGauge,
    SystemCalendar, tokens,
};
use skep_scheduler::{CapabilityWeighted, Policy};
use skep_store::{DataDir, OpenOptions, Store};
use skep_tiers::{MemoryTiers, TierKey};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The system's clocks.
#[derive(Debug)]
struct SystemClock(Instant);

impl Clock for SystemClock {
    fn wall(&self) -> UnixMillis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        UnixMillis(since.map_or(0, |since| since.as_millis() as u64))
    }

    fn elapsed_ms(&self) -> u64 {
        self.0.elapsed().as_millis() as u64
    }
}

/// Randomness of the system.
#[derive(Debug)]
struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn id(&mut self) -> u128 {
        uuid::Uuid::now_v7().as_u128()
    }

    fn seed(&mut self) -> u64 {
        getrandom::u64().expect("the system gives randomness once it has booted")
    }
}

/// A node process that ends with its owner.
#[derive(Debug)]
struct NodeProcess(Child);

impl Drop for NodeProcess {
    fn drop(&mut self) {
        // Its attempts end with it, and nobody reads their results any more.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Serves until `stop` is cancelled.
pub(crate) async fn run(arguments: &Arguments, stop: CancellationToken) -> Result<()> {
    let home = std::path::absolute(&arguments.home).context("find the directory for data")?;
    let (services, threads) = start(&home)?;
    let admin = token(&services.hive, &home.join("token"), Scope::Admin).await?;
    let for_nodes = token(&services.hive, &home.join("node-token"), Scope::Node).await?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let listener = listener.context("listen on loopback")?;
    let address = listener.local_addr().context("ask for the port")?;

    let shared = Arc::new(Shared::new(&home, arguments.sessions)?);
    let state = mounted(arguments, Arc::clone(&services), shared, &stop);
    let serving = skep_api::serve(vec![listener], None, state, stop.clone());
    let node = start_node(&arguments.skep, address, &home, &for_nodes)?;
    let ready = json!({ "url": format!("http://{address}"), "token_file": admin });
    let written = arguments.home.join("ready.part");
    fs::write(&written, ready.to_string()).context("write the ready file")?;
    fs::rename(&written, &arguments.ready_file).context("put the ready file in place")?;

    serving.await.context("serve")?;
    drop(node);
    services.hive.shut_down();
    let join = tokio::task::spawn_blocking(move || threads.join());
    join.await.context("wait for the coordinator")
}

/// The API with the suite's server at `/mcp`.
fn mounted(
    arguments: &Arguments,
    services: Arc<Services>,
    shared: Arc<Shared>,
    stop: &CancellationToken,
) -> ApiState {
    let sessions = arguments.sessions.then(Arc::default);
    let build = move |server| Fixture::new(server, Arc::clone(&shared));
    let mcp: Endpoint<Fixture, LocalSessionManager> =
        Endpoint::around(Arc::clone(&services), stop.clone(), build, sessions);
    ApiState::new(services).with_mcp(move |caller, request| {
        let mcp = mcp.clone();
        async move { mcp.handle(caller, request).await }
    })
}

fn start(home: &Path) -> Result<(Arc<Services>, HiveThreads)> {
    let data_dir = DataDir::open(home.join("data"), OpenOptions::default())?;
    let store = Store::open(&data_dir)?;
    let (archive, cluster) = (store.archive(), store.cluster());
    let (recovered, journal) = store.recover()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock(Instant::now()));
    let key = TaskTokenKey::new(*data_dir.secret());
    let options = EngineOptions {
        timers: LeaseTimers::default(),
        policy: Policy::default(),
        task_token_key: key.clone(),
        server_version: VERSION.to_owned(),
        checkpoint_events: CHECKPOINT_EVENTS_DEFAULT,
        overlap_from: OVERLAP_FROM_DEFAULT,
    };
    let parts = Parts {
        strategy: Box::new(CapabilityWeighted),
        entropy: Box::new(SystemEntropy),
        calendar: Box::new(SystemCalendar),
    };
    let now = Now {
        wall: clock.wall(),
        elapsed_ms: clock.elapsed_ms(),
    };
    let engine = Engine::recover(recovered, options, parts, now)?;
    let policy = Policy::default();
    let (hive, threads) = Hive::start(engine, Box::new(journal), Arc::clone(&clock), policy)?;
    let shared_memory = MemoryDesk {
        tiers: MemoryTiers::local(TierKey::derive(data_dir.secret())),
        secrets: Secrets::in_file(data_dir.path().join("memory.key")),
        embedder: None,
        peers: skep_operations::Peers::default(),
    };
    let services = Services {
        hive,
        archive,
        blobs: data_dir.blobs()?,
        logs: data_dir.attempt_logs()?,
        join: JoinDesk {
            reach: None,
            // Nobody can join: it has no reach.
            challenges: ChallengeKey::new([0; 32]),
            sessions: NodeSessionKey::derived_from(data_dir.secret()),
        },
        server: ServerInfo {
            version: VERSION.to_owned(),
            cluster,
            started_at: clock.wall(),
        },
        data_dir,
        clock,
        entropy: Mutex::new(Box::new(SystemEntropy)),
        task_tokens: key,
        memory: MemoryGauge::new(u64::MAX),
        space: SpaceGauge::new(),
        shared_memory,
        redis_mirror: None,
        event_texts: EventTexts::default(),
        configuration: None,
        calls: CallCounters::default(),
        subscribers: Arc::default(),
    };
    Ok((Arc::new(services), threads))
}

/// Makes a token and leaves it in this file; gives the file.
async fn token(hive: &Hive, path: &Path, scope: Scope) -> Result<PathBuf> {
    let (secret, hash) = tokens::fresh_secret()?;
    let record = TokenRecord {
        id: TokenId::from_u128(SystemEntropy.id()),
        name: "conformance".to_owned(),
        hash,
        scopes: vec![scope],
        created_at: UnixMillis(0),
        expires_at: None,
    };
    let command = Command::CreateToken(Box::new(record));
    let made = hive.propose(Actor::Coordinator, command).await;
    made.context("make a token")?;
    fs::write(path, secret).context("write a token")?;
    Ok(path.to_owned())
}

fn start_node(skep: &Path, address: SocketAddr, home: &Path, token: &Path) -> Result<NodeProcess> {
    let state = home.join("node");
    fs::create_dir_all(&state).context("make a directory for the node")?;
    let log = fs::File::create(home.join("node.log")).context("make a log for the node")?;
    let child = std::process::Command::new(skep)
        .args(["node", "start", "--name", "conformance", "--end-with-stdin"])
        .args(["--coordinator", &format!("http://{address}")])
        .arg("--state-dir")
        .arg(&state)
        .arg("--token-file")
        .arg(token)
        .env_remove("SKEP_TOKEN")
        .env_remove("SKEP_URL")
        .env_remove("SKEP_AUTHORITY")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .with_context(|| format!("start `{}`", skep.display()))?;
    Ok(NodeProcess(child))
}
