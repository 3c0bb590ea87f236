//! A coordinator in memory: sessions by the wire crate's own end, and the few routes nodes call.

use crate::http_server::{self, Reply, Request};
use futures_util::{SinkExt, StreamExt};
use parking_lot::Mutex;
use skep_model::attempt::{ArtifactHash, ArtifactRecord, AttemptReport, Fence, LogIndex};
use skep_model::ids::TaskId;
use skep_model::task::{TaskSpec, TaskState};
use skep_node::{Node, NodeExit, NodeOptions, Shutdown};
use skep_wire::payload::{
    AttemptKey, Capability, GateAnswer, GateStanding, Hello, HoldTerms, NodeAnswer, NodeRequest,
    Offer, ResolveAnswer, ResolvedTask, ResultAnswer, ResultAnswers, ResultVerdict, SyncReport,
    SyncVerdicts, TaskToken, Welcome,
};
use skep_wire::{
    CoordinatorEnd, CoordinatorOptions, CoordinatorOutput, Fault, Frame, FrameRef, FromNode,
};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

pub(crate) const TOKEN: &str = "node-secret";
const PATIENCE: Duration = Duration::from_secs(30);

/// What the coordinator offers.
const OFFERS: CoordinatorOptions = CoordinatorOptions {
    offers: CoordinatorOptions::DEFAULTS
        .offers
        .with(Capability::DependencyResolve)
        .with(Capability::QualityGate),
    ..CoordinatorOptions::DEFAULTS
};

/// What the coordinator knows and how it behaves.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) offers: Vec<Offer>,
    pub(crate) revoked: Vec<AttemptKey>,
    pub(crate) hellos: Vec<Hello>,
    pub(crate) syncs: Vec<SyncReport>,
    pub(crate) reports: Vec<AttemptReport>,
    pub(crate) goodbyes: usize,
    /// Terms that nodes are told.
    pub(crate) terms: Vec<HoldTerms>,
    /// The terms that nodes said they act by.
    pub(crate) acted_by: Vec<u64>,
    pub(crate) logs: BTreeMap<String, Vec<u8>>,
    pub(crate) artifacts: BTreeMap<ArtifactHash, Vec<u8>>,
    pub(crate) listings: BTreeMap<TaskId, Vec<ArtifactRecord>>,
    /// How often a listing was read over HTTP.
    pub(crate) listings_read: usize,
    /// What nodes asked over their sessions.
    pub(crate) questions: Vec<NodeRequest>,
    /// Questions are refused.
    pub(crate) refuses_questions: bool,
    /// Results are taken in, and the node never hears of it.
    pub(crate) keeps_silent: bool,
    /// HTTP requests are not answered.
    pub(crate) rest_is_down: bool,
    /// Connections of a lower number are dropped.
    generation: u32,
}

pub(crate) struct Coordinator {
    pub(crate) state: Arc<Mutex<State>>,
    changed: Arc<watch::Sender<u32>>,
    address: SocketAddr,
    _task: AbortOnDropHandle<()>,
}

impl Coordinator {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let changed = Arc::new(watch::Sender::new(0));
        let connections = TaskTracker::new();
        let accepting = connections.clone();
        let (shared, bell) = (Arc::clone(&state), Arc::clone(&changed));
        let task = connections.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                accepting.spawn(serve(stream, Arc::clone(&shared), Arc::clone(&bell)));
            }
        });
        Self {
            state,
            changed,
            address,
            _task: AbortOnDropHandle::new(task),
        }
    }

    pub(crate) fn options(&self, state_dir: &Path) -> NodeOptions {
        let mut options = NodeOptions::new(
            format!("http://{}", self.address).parse().unwrap(),
            TOKEN,
            state_dir,
            env!("CARGO_BIN_EXE_skep-node-stages"),
        );
        options.slots = 8;
        options
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock());
        ring(&self.changed);
    }

    pub(crate) fn offer(&self, offers: impl IntoIterator<Item = Offer>) {
        self.change(|state| state.offers.extend(offers));
    }

    pub(crate) fn drop_connections(&self) {
        self.change(|state| state.generation += 1);
    }

    /// Waits until the state has what `find` looks for.
    pub(crate) async fn wait<T>(&self, what: &str, find: impl Fn(&State) -> Option<T>) -> T {
        let mut changed = self.changed.subscribe();
        let began = Instant::now();
        loop {
            if let Some(found) = find(&self.state.lock()) {
                return found;
            }
            let left = PATIENCE.saturating_sub(began.elapsed());
            if tokio::time::timeout(left, changed.changed()).await.is_err() {
                let state = self.state.lock();
                panic!(
                    "waited in vain for {what}: {} hellos, reports {:?}, logs {:?}",
                    state.hellos.len(),
                    state.reports,
                    state.logs,
                );
            }
        }
    }

    pub(crate) async fn report_of(&self, task: TaskId) -> AttemptReport {
        self.wait("a report", |state| {
            state
                .reports
                .iter()
                .find(|report| report.task == task)
                .cloned()
        })
        .await
    }
}

/// A node that runs beside the test.
pub(crate) struct RunningNode {
    pub(crate) shutdown: Shutdown,
    task: AbortOnDropHandle<NodeExit>,
}

impl RunningNode {
    pub(crate) async fn start(options: NodeOptions) -> Self {
        let node = tokio::task::spawn_blocking(|| Node::start(options))
            .await
            .unwrap()
            .unwrap();
        let shutdown = Shutdown::new();
        let running = node.run(shutdown.clone());
        let task = TaskTracker::new().spawn(async { running.await.unwrap() });
        Self {
            shutdown,
            task: AbortOnDropHandle::new(task),
        }
    }

    pub(crate) async fn ended(self) -> NodeExit {
        tokio::time::timeout(PATIENCE, self.task)
            .await
            .unwrap()
            .unwrap()
    }

    pub(crate) async fn stop(self) -> NodeExit {
        self.shutdown.stop();
        self.ended().await
    }
}

/// The offer of a task's first attempt.
pub(crate) fn offer(number: u64, spec: TaskSpec) -> Offer {
    Offer {
        task: TaskId::from_u128(u128::from(number)),
        run: None,
        run_name: None,
        attempt: 1,
        fence: Fence {
            epoch: 1,
            index: LogIndex(number),
        },
        spec: Arc::new(spec),
        idempotency_key: format!("key-{number}"),
        token: TaskToken::new(format!("task-secret-{number}")),
        meta: None,
    }
}

fn ring(changed: &watch::Sender<u32>) {
    changed.send_modify(|count| *count += 1);
}

async fn serve(stream: TcpStream, state: Arc<Mutex<State>>, changed: Arc<watch::Sender<u32>>) {
    stream.set_nodelay(true).unwrap();
    let mut start = [0; 9];
    while stream.peek(&mut start).await.unwrap_or(0) < start.len() {
        tokio::task::yield_now().await;
    }
    if &start == b"GET /mcpx" {
        serve_session(stream, &state, &changed).await;
    } else {
        http_server::serve(stream, |request| {
            let reply = answer(&mut state.lock(), &request);
            ring(&changed);
            reply
        })
        .await;
    }
}

fn answer(state: &mut State, request: &Request) -> Reply {
    if state.rest_is_down {
        return Reply::silence();
    }
    let path = request.path.split('?').next().unwrap();
    let parts: Vec<&str> = path.trim_start_matches("/api/v2/").split('/').collect();
    match (&*request.method, &*parts) {
        ("PUT", ["tasks", task, "attempts", attempt, "log"]) => {
            assert_eq!(request.headers["authorization"], format!("Bearer {TOKEN}"));
            let offset: usize = request
                .path
                .split_once("offset=")
                .unwrap()
                .1
                .parse()
                .unwrap();
            let log = state.logs.entry(format!("{task}/{attempt}")).or_default();
            if offset > log.len() {
                return Reply::problem(409, "upload_offset_mismatch", false);
            }
            let known = (log.len() - offset).min(request.body.len());
            log.extend(&request.body[known..]);
            Reply::json(&format!(r#"{{"bytes":{}}}"#, log.len()))
        }
        ("GET", ["tasks", task, "artifacts"]) => {
            state.listings_read += 1;
            let token = &request.headers["authorization"];
            assert!(token.starts_with("Bearer task-secret-"), "{token}");
            let items = state
                .listings
                .get(&task.parse().unwrap())
                .cloned()
                .unwrap_or_default();
            Reply::json(&serde_json::json!({ "items": items, "next_cursor": null }).to_string())
        }
        (method, ["artifacts", hash]) => {
            let hash = hash.parse().unwrap();
            match (method, state.artifacts.get(&hash)) {
                ("HEAD", Some(_)) => Reply::of(200, "upload-complete: ?1\r\n", ""),
                ("GET", Some(bytes)) => Reply::of(200, "", bytes),
                ("PUT", _) => {
                    state.artifacts.insert(hash, request.body.clone());
                    Reply::of(
                        200,
                        &format!("upload-offset: {}\r\n", request.body.len()),
                        "",
                    )
                }
                _ => Reply::problem(404, "artifact_not_found", false),
            }
        }
        other => panic!("{other:?}"),
    }
}

#[expect(clippy::result_large_err, reason = "the library's type")]
async fn serve_session(stream: TcpStream, state: &Mutex<State>, changed: &watch::Sender<u32>) {
    let check = |request: &server::Request, response: server::Response| {
        let expected = format!("Bearer {TOKEN}");
        let given = request
            .headers()
            .get("authorization")
            .unwrap()
            .to_str()
            .unwrap();
        if given == expected {
            return Ok(response);
        }
        Err(http::Response::builder().status(401).body(None).unwrap())
    };
    let Ok(mut socket) = tokio_tungstenite::accept_hdr_async(stream, check).await else {
        return;
    };
    let began = Instant::now();
    let mut end = CoordinatorEnd::new(OFFERS, 0);
    let mut bell = changed.subscribe();
    let generation = state.lock().generation;
    loop {
        let mut outputs = Vec::new();
        tokio::select! {
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) => {
                    outputs = end.on_text(began.elapsed().as_millis() as u64, text.as_str());
                }
                Some(Ok(Message::Binary(bytes))) => {
                    let now = began.elapsed().as_millis() as u64;
                    outputs = end.on_frame(now, FrameRef::Binary(&bytes));
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                _ => return,
            },
            _ = bell.changed() => {}
        }
        if !perform(&mut end, &mut socket, outputs, state, changed).await {
            return;
        }
        let (mut pending, generation_now) = {
            let mut state = state.lock();
            let mut pending = Vec::new();
            if end.is_live() {
                pending = end.assign(&std::mem::take(&mut state.offers));
                pending.extend(end.revoke(&std::mem::take(&mut state.revoked)));
                for terms in std::mem::take(&mut state.terms) {
                    pending.extend(end.tell_hold(terms));
                }
            }
            (pending, state.generation)
        };
        if generation_now > generation {
            return;
        }
        if !perform(
            &mut end,
            &mut socket,
            std::mem::take(&mut pending),
            state,
            changed,
        )
        .await
        {
            return;
        }
    }
}

async fn perform(
    end: &mut CoordinatorEnd,
    socket: &mut WebSocketStream<TcpStream>,
    outputs: Vec<CoordinatorOutput>,
    state: &Mutex<State>,
    changed: &watch::Sender<u32>,
) -> bool {
    let mut outputs = std::collections::VecDeque::from(outputs);
    while let Some(output) = outputs.pop_front() {
        match output {
            CoordinatorOutput::Send(frame) => {
                let message = match frame {
                    Frame::Text(text) => Message::text(text),
                    Frame::Binary(bytes) => Message::binary(bytes),
                };
                if socket.send(message).await.is_err() {
                    return false;
                }
            }
            CoordinatorOutput::Event(event) => {
                outputs.extend(on_event(end, &mut state.lock(), event));
                ring(changed);
            }
            CoordinatorOutput::Close { .. } => return false,
        }
    }
    true
}

fn on_event(
    end: &mut CoordinatorEnd,
    state: &mut State,
    event: FromNode,
) -> Vec<CoordinatorOutput> {
    match event {
        FromNode::Hello(hello) => {
            let welcome = Welcome {
                node: hello.node,
                session: "s".to_owned(),
                heartbeat_ms: 5_000,
                lease_ms: 30_000,
                hold: None,
                server_version: "0".to_owned(),
                epoch: 1,
            };
            state.hellos.push(*hello);
            end.reply_hello(&welcome)
        }
        FromNode::SyncReport { reply, report } => {
            state.syncs.push(report);
            end.reply_sync(&reply, &SyncVerdicts::default())
        }
        FromNode::Results { reply, reports } => {
            let answers = reports
                .iter()
                .map(|report| ResultAnswer::new(report.into(), ResultVerdict::Committed))
                .collect();
            state.reports.extend(reports);
            if state.keeps_silent {
                return Vec::new();
            }
            end.reply_results(&reply, &ResultAnswers { items: answers })
        }
        FromNode::Ask { reply, request, .. } => {
            let resolved = |(task, artifacts): (&TaskId, &Vec<ArtifactRecord>)| ResolvedTask {
                task: *task,
                state: Some(TaskState::Succeeded),
                artifacts: artifacts.clone(),
            };
            let answer = match &*request {
                NodeRequest::Resolve(_) => NodeAnswer::Resolve(ResolveAnswer {
                    items: state.listings.iter().map(resolved).collect(),
                }),
                NodeRequest::Gate(_) => NodeAnswer::Gate(GateAnswer {
                    standing: GateStanding::Passed,
                }),
                other => panic!("no node asks this by itself: {other:?}"),
            };
            state.questions.push(*request);
            if state.refuses_questions {
                return end.refuse_ask(&reply, &Fault::refusal("overloaded", "not now"));
            }
            end.reply_ask(&reply, &answer)
        }
        FromNode::Goodbye { .. } => {
            state.goodbyes += 1;
            Vec::new()
        }
        FromNode::Heartbeat { terms, .. } => {
            state.acted_by.extend(terms);
            Vec::new()
        }
        FromNode::Progress(_)
        | FromNode::Away(_)
        | FromNode::Parked(_)
        | FromNode::Metrics(_)
        | FromNode::Assigned(_)
        | FromNode::Groups { .. }
        | FromNode::Load(_)
        | FromNode::GaveBack { .. } => Vec::new(),
    }
}
