//! One coordinator in a temporary directory, and a client that calls its router.

use super::answer::{Answer, request};
use crate::{ApiState, router};
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use parking_lot::Mutex;
use serde_json::Value;
use skep_coordinator::hive::HiveThreads;
use skep_coordinator::ports::{Clock, Entropy};
use skep_coordinator::{
    Caller, Engine, EngineOptions, Hive, LeaseTimers, NodeConnection, Now, Parts, TaskTokenKey,
};
use skep_identity::ChallengeKey;
use skep_model::agent::AgentSpec;
use skep_model::attempt::{AttemptReport, Fence, Outcome, ResourceUse};
use skep_model::command::{Actor, Command};
use skep_model::ids::{AgentId, InstanceId, NodeId, TaskId, TokenId};
use skep_model::isolation::IsolationLevel;
use skep_model::node::{Hardware, NodeClass, NodeFacts};
use skep_model::requirements::Resources;
use skep_model::time::UnixMillis;
use skep_model::token::{Scope, TokenRecord};
use skep_operations::events::EventTexts;
use skep_operations::join::{JoinDesk, NodeSessionKey, Reach};
use skep_operations::{
    CallCounters, Embedder, MemoryDesk, MemoryGauge, Peers, Secrets, ServerInfo, Services,
    SpaceGauge, SystemCalendar, tokens,
};
use skep_scheduler::{CapabilityWeighted, Policy};
use skep_store::{DataDir, OpenOptions, Store};
use skep_tiers::{MemoryTiers, TierKey};
use skep_wire::{
    CoordinatorEnd, CoordinatorOptions, CoordinatorOutput, Frame, NodeEnd, NodeInput, NodeOptions,
    NodeOutput,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tower::ServiceExt;

/// Longest wait for a condition.
const PATIENCE: Duration = Duration::from_secs(20);

/// The system's clocks, and what a test added to them.
#[derive(Debug)]
pub(super) struct TestClock {
    start: Instant,
    /// How far the wall clock is wrong.
    jumped_ms: AtomicU64,
    /// Time that passed without waiting for it.
    passed_ms: AtomicU64,
}

impl TestClock {
    fn new() -> Self {
        Self {
            start: Instant::now(),
            jumped_ms: AtomicU64::new(0),
            passed_ms: AtomicU64::new(0),
        }
    }

    /// Sets the wall clock ahead by so much; 0 sets it right.
    pub(super) fn set_ahead(&self, ms: u64) {
        self.jumped_ms.store(ms, Ordering::Relaxed);
    }

    fn now(&self) -> Now {
        Now {
            wall: self.wall(),
            elapsed_ms: self.elapsed_ms(),
        }
    }

    /// Lets time pass on both clocks.
    pub(super) fn pass(&self, ms: u64) {
        self.passed_ms.fetch_add(ms, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn wall(&self) -> UnixMillis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let added = self.jumped_ms.load(Ordering::Relaxed) + self.passed_ms.load(Ordering::Relaxed);
        UnixMillis(since.as_millis() as u64 + added)
    }

    fn elapsed_ms(&self) -> u64 {
        self.start.elapsed().as_millis() as u64 + self.passed_ms.load(Ordering::Relaxed)
    }

    /// Time that a test lets pass is none that anything took: while it passes, a commit may be under
    /// way, and one that took minutes would excuse all silence.
    fn elapsed_us(&self) -> u64 {
        self.start.elapsed().as_micros() as u64
    }
}

#[derive(Debug)]
struct FreshIds(AtomicU64);

impl Entropy for FreshIds {
    fn id(&mut self) -> u128 {
        uuid::Uuid::now_v7().as_u128()
    }

    fn seed(&mut self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

fn memory_desk(data_dir: &DataDir, embedder: Option<Arc<dyn Embedder>>) -> MemoryDesk {
    MemoryDesk {
        tiers: MemoryTiers::local(TierKey::derive(data_dir.secret())),
        secrets: Secrets::in_file(data_dir.path().join("memory.key")),
        embedder,
        peers: Peers::default(),
    }
}

fn join_desk() -> JoinDesk {
    JoinDesk {
        reach: Some(Reach {
            addresses: vec!["127.0.0.1:8600".to_owned()],
            fingerprint: [7; 32],
        }),
        challenges: ChallengeKey::new([1; 32]),
        sessions: NodeSessionKey::derived_from(&[2; 32]),
    }
}

/// A running coordinator.
pub(super) struct Coordinator {
    pub(super) router: Router,
    pub(super) api: ApiState,
    pub(super) admin: String,
    pub(super) clock: Arc<TestClock>,
    threads: Option<HiveThreads>,
    directory: Option<tempfile::TempDir>,
    /// Connections of nodes that nobody reads: they stay open.
    nodes: Mutex<Vec<NodeConnection>>,
}

impl Coordinator {
    pub(super) async fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), None).await
    }

    /// One that has a model server.
    pub(super) async fn start_with(embedder: Arc<dyn Embedder>) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), Some(embedder)).await
    }

    async fn start_in(directory: tempfile::TempDir, embedder: Option<Arc<dyn Embedder>>) -> Self {
        let options = OpenOptions {
            ballast_bytes: 0,
            ..OpenOptions::default()
        };
        // Below it, because a backup goes beside it.
        let data_dir = DataDir::open(directory.path().join("coordinator"), options).unwrap();
        let store = Store::open(&data_dir).unwrap();
        let (archive, cluster) = (store.archive(), store.cluster());
        let (recovered, journal) = store.recover().unwrap();
        let clock = Arc::new(TestClock::new());
        let key = TaskTokenKey::new(*data_dir.secret());
        let engine_options = EngineOptions {
            timers: LeaseTimers::default(),
            policy: Policy::default(),
            task_token_key: key.clone(),
            server_version: "0.0.0-test".to_owned(),
            checkpoint_events: 1_000,
            overlap_from: skep_coordinator::OVERLAP_FROM_DEFAULT,
        };
        let parts = Parts {
            strategy: Box::new(CapabilityWeighted),
            entropy: Box::new(FreshIds(AtomicU64::new(0))),
            calendar: Box::new(SystemCalendar),
        };
        let engine = Engine::recover(recovered, engine_options, parts, clock.now()).unwrap();
        let (hive, threads) =
            Hive::start(engine, Box::new(journal), clock.clone(), Policy::default()).unwrap();
        let shared_memory = memory_desk(&data_dir, embedder);
        let services = Arc::new(Services {
            hive,
            archive,
            blobs: data_dir.blobs().unwrap(),
            logs: data_dir.attempt_logs().unwrap(),
            data_dir,
            clock: clock.clone(),
            entropy: Mutex::new(Box::new(FreshIds(AtomicU64::new(0)))),
            task_tokens: key,
            join: join_desk(),
            server: ServerInfo {
                version: "0.0.0-test".to_owned(),
                cluster,
                started_at: clock.wall(),
            },
            memory: MemoryGauge::new(u64::MAX),
            space: SpaceGauge::new(),
            shared_memory,
            redis_mirror: None,
            event_texts: EventTexts::default(),
            configuration: None,
            calls: CallCounters::default(),
            subscribers: Arc::new(AtomicUsize::new(0)),
        });
        let api = ApiState::new(services);
        let mut coordinator = Self {
            router: router(api.clone()),
            api,
            admin: String::new(),
            clock,
            threads: Some(threads),
            directory: Some(directory),
            nodes: Mutex::default(),
        };
        coordinator.admin = coordinator.token(&[Scope::Admin], None).await;
        coordinator
    }

    /// Stops the process, as it were, and starts another on the same data.
    pub(super) async fn restart(mut self) -> Self {
        let directory = self.directory.take().unwrap();
        self.stop();
        drop(self);
        Self::start_in(directory, None).await
    }

    fn stop(&mut self) {
        self.api.shutdown.cancel();
        self.api.services.hive.shut_down();
        if let Some(threads) = self.threads.take() {
            threads.join();
        }
    }

    pub(super) fn services(&self) -> &Services {
        &self.api.services
    }

    pub(super) async fn propose(&self, command: Command) {
        let entry = self
            .services()
            .hive
            .propose(Actor::Coordinator, command)
            .await
            .unwrap();
        let refused = entry
            .events
            .iter()
            .find(|event| matches!(event, skep_model::event::Event::Refused { .. }));
        assert!(refused.is_none(), "{refused:?}");
    }

    /// Makes a token; gives its secret.
    pub(super) async fn token(&self, scopes: &[Scope], expires_at: Option<UnixMillis>) -> String {
        let (secret, hash) = tokens::fresh_secret().unwrap();
        let id = TokenId::from_u128(self.services().fresh_id());
        let record = TokenRecord {
            id,
            name: format!("test {id}"),
            hash,
            scopes: scopes.to_vec(),
            created_at: UnixMillis(1),
            expires_at,
        };
        self.propose(Command::CreateToken(Box::new(record))).await;
        secret
    }

    /// A node that takes work and never runs any: a session whose frames nobody answers.
    pub(super) async fn ready_node(&self, name: &str, slots: u32) -> (NodeId, AgentId) {
        let node = NodeId::from_u128(self.services().fresh_id());
        let mut connection = self
            .services()
            .hive
            .connect_node(Caller::Holder)
            .await
            .unwrap();
        let mut near = NodeEnd::new(
            NodeOptions {
                node,
                instance: InstanceId::from_u128(self.services().fresh_id()),
                starts: 0,
                facts: facts(name, slots),
                slots,
                jitter_seed: 1,
            },
            Vec::new(),
        );
        let mut far = CoordinatorEnd::new(CoordinatorOptions::DEFAULTS, 0);
        near.handle(0, NodeInput::Tick);
        let mut said = near.handle(0, NodeInput::Connected);
        while !far.is_live() {
            for frame in frames(said) {
                for output in far.on_frame(0, frame.as_ref()) {
                    let CoordinatorOutput::Event(event) = output else {
                        continue;
                    };
                    self.services().hive.node_event(connection.id, event).await;
                }
            }
            let told = connection.outbox.recv().await.expect("the hive answers");
            said = Vec::new();
            for output in told.through(&mut far) {
                let CoordinatorOutput::Send(frame) = output else {
                    panic!("{output:?}")
                };
                said.extend(near.handle(0, frame.into()));
            }
        }
        self.nodes.lock().push(connection);
        let view = self.services().hive.view();
        let agent = view.state.agents_of_node(node).next().unwrap().id;
        (node, agent)
    }

    pub(super) async fn agent(&self, node: NodeId, name: &str) -> AgentId {
        let agent = AgentId::from_u128(self.services().fresh_id());
        let spec = Box::new(AgentSpec {
            name: name.to_owned(),
            role: "worker".to_owned(),
            node,
            capabilities: BTreeMap::new(),
            slots: 1,
        });
        self.propose(Command::CreateAgent { agent, spec }).await;
        agent
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes().to_vec();
        Answer {
            status: parts.status,
            headers: parts.headers,
            bytes,
        }
    }

    /// Calls as the admin, without or with a JSON body.
    pub(super) async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        self.send(request(method, path, Some(&self.admin), body))
            .await
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, None).await
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> Answer {
        self.call("POST", path, Some(body)).await
    }

    /// Waits until the task is granted; gives the fence.
    pub(super) async fn granted(&self, task: TaskId) -> Fence {
        let start = Instant::now();
        loop {
            let lease = {
                let view = self.services().hive.view();
                let record = view.state.task(task).unwrap();
                record.lease.clone().ok_or_else(|| format!("{record:?}"))
            };
            match lease {
                Ok(lease) => return lease.fence,
                Err(state) => assert!(start.elapsed() < PATIENCE, "not granted: {state}"),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until the task is granted, and reports for it.
    pub(super) async fn finish(&self, task: TaskId, outcome: Outcome) {
        let fence = self.granted(task).await;
        let node = self
            .services()
            .hive
            .view()
            .state
            .task(task)
            .unwrap()
            .lease
            .clone()
            .unwrap()
            .node;
        let exit_code = match outcome {
            Outcome::Completed => Some(0),
            Outcome::Exited { code } => Some(code),
            _ => None,
        };
        let report = AttemptReport {
            task,
            fence,
            outcome,
            exit_code,
            duration_ms: 5,
            usage: ResourceUse::default(),
            isolation: None,
            artifacts: Vec::new(),
            gates: Vec::new(),
            account: None,
        };
        self.propose(Command::ReportResults {
            node,
            reports: vec![report],
        })
        .await;
    }

    /// Submits a task of this name that does nothing; `more` adds keys.
    pub(super) async fn submit(&self, name: &str, more: Value) -> TaskId {
        let mut body = serde_json::json!({ "name": name, "kind": "noop" });
        if let Value::Object(more) = more {
            body.as_object_mut().unwrap().extend(more);
        }
        let task = self.post("/api/v2/tasks", body).await.ok();
        task["id"].as_str().unwrap().parse().unwrap()
    }

    /// Waits until the archive holds everything that is final.
    pub(super) async fn archived(&self, tasks: u64) {
        let start = Instant::now();
        loop {
            let sizes = self.services().archive.sizes().unwrap();
            let kept = self.services().hive.view().recent.finished().count();
            if sizes.tasks >= tasks && kept == 0 && sizes.search_behind == 0 {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "{sizes:?}, {kept} not archived");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Coordinator {
    fn drop(&mut self) {
        self.stop();
    }
}

pub(super) fn facts(name: &str, slots: u32) -> NodeFacts {
    NodeFacts {
        name: name.to_owned(),
        version: "0.0.0-test".to_owned(),
        system: "test".to_owned(),
        resources: Resources {
            cpu_millis: 8_000,
            memory_bytes: 8 << 30,
            gpu_memory_bytes: 0,
            disk_bytes: 8 << 30,
        },
        slots,
        labels: BTreeMap::new(),
        capabilities: BTreeMap::new(),
        isolation: IsolationLevel::S1,
        probes: Vec::new(),
        class: NodeClass::Server,
        region: None,
        hardware: Hardware::default(),
        models: Vec::new(),
        on_disconnect: None,
    }
}

fn frames(outputs: Vec<NodeOutput>) -> Vec<Frame> {
    let text = |output| match output {
        NodeOutput::Send(frame) => Some(frame),
        _ => None,
    };
    outputs.into_iter().filter_map(text).collect()
}
