//! A real node's end over a real socket.

use super::fixture::{Coordinator, facts};
use crate::serve;
use axum::body::Body;
use axum::http::Request;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use skep_model::attempt::{ArtifactHash, ArtifactRecord, AttemptReport, Outcome, ResourceUse};
use skep_model::ids::{InstanceId, NodeId};
use skep_model::token::Scope;
use skep_wire::payload::{Assignment, AttemptKey, NodeAnswer};
use skep_wire::{AskFailure, Frame, LinkOptions, NodeEnd, NodeInput, NodeOptions, NodeOutput};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

const PATIENCE: Duration = Duration::from_secs(20);

pub(super) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A node without a runner: the test says how attempts end.
pub(super) struct Node {
    pub(super) end: NodeEnd,
    socket: Socket,
    start: Instant,
    /// It asked for a connection that it does not have yet.
    connects: bool,
    pub(super) started: VecDeque<Assignment>,
    pub(super) unspooled: Vec<AttemptKey>,
    /// What came of questions.
    pub(super) answered: BTreeMap<u64, Result<NodeAnswer, AskFailure>>,
    /// Text frames that came in.
    texts: Vec<String>,
    /// The forms of binary frames that came in.
    forms: BTreeSet<u8>,
}

pub(super) struct Server {
    pub(super) coordinator: Coordinator,
    address: String,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Server {
    pub(super) async fn start() -> Self {
        Self::of(Coordinator::start().await).await
    }

    /// Stops the process, as it were, and starts another on the same data.
    pub(super) async fn restart(self) -> Self {
        let Self {
            coordinator,
            serving,
            ..
        } = self;
        coordinator.api.shutdown.cancel();
        serving.await.unwrap().unwrap();
        Self::of(coordinator.restart().await).await
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a test owns and joins its server"
    )]
    async fn of(coordinator: Coordinator) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let serving = tokio::spawn(serve(
            vec![listener],
            None,
            coordinator.api.clone(),
            coordinator.api.shutdown.clone(),
        ));
        Self {
            coordinator,
            address,
            serving,
        }
    }

    pub(super) async fn connect(&self, path: &str, secret: &str) -> Result<Socket, Error> {
        let mut request = format!("ws://{}{path}", self.address)
            .into_client_request()
            .unwrap();
        let bearer = format!("Bearer {secret}").parse().unwrap();
        request.headers_mut().insert("authorization", bearer);
        connect_async(request).await.map(|(socket, _)| socket)
    }

    pub(super) async fn node(&self, name: &str, link: LinkOptions) -> Node {
        let secret = self.coordinator.token(&[Scope::Node], None).await;
        let options = NodeOptions {
            node: NodeId::from_u128(self.coordinator.services().fresh_id()),
            instance: InstanceId::from_u128(self.coordinator.services().fresh_id()),
            starts: 0,
            facts: facts(name, 4),
            slots: 4,
            jitter_seed: 1,
        };
        let mut node = Node {
            end: NodeEnd::new(options, Vec::new()).with_link(link),
            socket: self.connect("/mcpx", &secret).await.unwrap(),
            start: Instant::now(),
            connects: false,
            started: VecDeque::new(),
            unspooled: Vec::new(),
            answered: BTreeMap::new(),
            texts: Vec::new(),
            forms: BTreeSet::new(),
        };
        node.feed(NodeInput::Tick).await;
        node.feed(NodeInput::Connected).await;
        node
    }
}

impl Node {
    /// Goes on with a new connection.
    pub(super) async fn reconnect(&mut self, server: &Server) {
        let secret = server.coordinator.token(&[Scope::Node], None).await;
        self.socket = server.connect("/mcpx", &secret).await.unwrap();
        self.feed(NodeInput::Disconnected).await;
        let begin = Instant::now();
        while !self.connects {
            assert!(begin.elapsed() < PATIENCE, "it does not connect");
            tokio::time::sleep(Duration::from_millis(10)).await;
            self.feed(NodeInput::Tick).await;
        }
        self.feed(NodeInput::Connected).await;
        self.until(|node| node.end.is_live()).await;
    }

    pub(super) async fn feed(&mut self, input: NodeInput) {
        self.connects &= input != NodeInput::Connected;
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let now = self.start.elapsed().as_millis() as u64;
            for output in self.end.handle(now, input) {
                match output {
                    NodeOutput::Send(frame) => {
                        let message = match frame {
                            Frame::Text(text) => Message::text(text),
                            Frame::Binary(bytes) => Message::binary(bytes),
                        };
                        self.socket.send(message).await.unwrap();
                    }
                    NodeOutput::Start(assignment) => self.started.push_back(*assignment),
                    NodeOutput::Spool { batch, .. } => {
                        inputs.push_back(NodeInput::Spooled { batch });
                    }
                    NodeOutput::Unspool(keys) => self.unspooled.extend(keys),
                    NodeOutput::Answered { token, answer } => {
                        self.answered.insert(token, answer.map(|answer| *answer));
                    }
                    NodeOutput::Connect => self.connects = true,
                    NodeOutput::Kill { .. } | NodeOutput::Welcomed(_) | NodeOutput::Draining(_) => {
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    /// Goes on with the session until the condition holds.
    pub(super) async fn until(&mut self, holds: impl Fn(&Self) -> bool) {
        let begin = Instant::now();
        while !holds(self) {
            assert!(
                begin.elapsed() < PATIENCE,
                "the session does not go on: {:?}",
                self.end
            );
            let now = self.start.elapsed().as_millis() as u64;
            let tick = self
                .end
                .next_timer()
                .map_or(1_000, |at| at.saturating_sub(now));
            let wait = Duration::from_millis(tick.min(1_000));
            match tokio::time::timeout(wait, self.socket.next()).await {
                Ok(Some(Ok(Message::Text(text)))) => {
                    self.texts.push(text.to_string());
                    self.feed(NodeInput::Text(text.to_string())).await;
                }
                Ok(Some(Ok(Message::Binary(bytes)))) => {
                    self.forms.extend(bytes.first());
                    self.feed(NodeInput::Binary(bytes.to_vec())).await;
                }
                Ok(Some(Ok(_))) => {}
                Ok(other) => panic!(
                    "the connection ended: {other:?} after {:?}",
                    self.texts.last()
                ),
                Err(_) => self.feed(NodeInput::Tick).await,
            }
        }
    }

    pub(super) async fn finish(&mut self, assignment: &Assignment, artifacts: Vec<ArtifactRecord>) {
        self.feed(NodeInput::Started(assignment.key())).await;
        let report = AttemptReport {
            task: assignment.task,
            fence: assignment.fence,
            outcome: Outcome::Completed,
            exit_code: None,
            duration_ms: 1,
            usage: ResourceUse::default(),
            isolation: None,
            artifacts,
            gates: Vec::new(),
            account: None,
        };
        self.feed(NodeInput::Finished(Box::new(report))).await;
    }
}

pub(super) fn artifact(bytes: &[u8]) -> ArtifactRecord {
    ArtifactRecord {
        name: "out".to_owned(),
        path: "out/file".to_owned(),
        bytes: bytes.len() as u64,
        blake3: ArtifactHash::of(bytes),
        executable: false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_goes_over_the_socket_and_back() {
    let node = goes_there_and_back(LinkOptions::PLAIN).await;
    assert_eq!(node.forms, BTreeSet::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn nearby_frames_are_text_and_work_goes_by_credits() {
    let node = goes_there_and_back(LinkOptions::NEAR).await;
    assert_eq!(node.forms, BTreeSet::new());
    let agreed: Value = serde_json::from_str(&node.texts[0]).unwrap();
    assert!(agreed["result"]["credit"]["items"].as_u64().unwrap() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn from_afar_frames_are_binary_and_large_ones_compressed() {
    let node = goes_there_and_back(LinkOptions::FAR).await;
    let agreed: Value = serde_json::from_str(&node.texts[0]).unwrap();
    let names = [
        "frames.messagepack",
        "frames.zstd",
        "flow.credits",
        "dependency.resolve",
        "quality.gate",
        "task.split",
        "load.balance",
        "result.merge",
    ];
    assert_eq!(agreed["result"]["capabilities"], json!(names));
    assert_eq!(node.texts.len(), 1, "all that follows is binary");
    // 1 is plain, 2 is compressed.
    assert_eq!(node.forms, BTreeSet::from([1, 2]));
}

async fn goes_there_and_back(link: LinkOptions) -> Node {
    let server = Server::start().await;
    let mut node = server.node("forge", link).await;
    let words = "again and ".repeat(200);
    let work = json!({"kind": "command", "run": format!("echo {words}"), "isolation": "s0"});
    let task = server.coordinator.submit("one", work).await;
    node.until(|node| !node.started.is_empty()).await;
    let assignment = node.started.pop_front().unwrap();
    assert_eq!((assignment.task, assignment.attempt), (task, 1));
    node.finish(&assignment, Vec::new()).await;
    node.until(|node| node.unspooled == [assignment.key()])
        .await;
    let shown = server
        .coordinator
        .get(&format!("/api/v2/tasks/{task}"))
        .await
        .ok();
    assert_eq!(shown["state"], "succeeded");
    server.coordinator.api.shutdown.cancel();
    let served = tokio::time::timeout(PATIENCE, server.serving).await;
    served
        .expect("open connections end with the server")
        .unwrap()
        .unwrap();
    node
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_is_not_taken_before_the_bytes_of_its_artifacts() {
    let server = Server::start().await;
    let mut node = server.node("forge", LinkOptions::PLAIN).await;
    let task = server.coordinator.submit("one", json!({})).await;
    node.until(|node| !node.started.is_empty()).await;
    let assignment = node.started.pop_front().unwrap();
    let bytes = b"made by the attempt";
    node.finish(&assignment, vec![artifact(bytes)]).await;
    let other = server.coordinator.submit("other", json!({})).await;
    node.until(|node| !node.started.is_empty()).await;
    let without = node.started.pop_front().unwrap();
    assert_eq!(without.task, other);
    node.finish(&without, Vec::new()).await;
    node.until(|node| node.unspooled == [without.key()]).await;
    let path = format!("/api/v2/tasks/{task}");
    let shown = server.coordinator.get(&path).await.ok();
    assert_ne!(shown["state"], "succeeded", "its bytes are not here");

    let upload = Request::put(format!("/api/v2/artifacts/{}", ArtifactHash::of(bytes)))
        .header("host", "localhost")
        .header(
            "authorization",
            format!("Bearer {}", server.coordinator.admin),
        )
        .body(Body::from(bytes.to_vec()))
        .unwrap();
    server.coordinator.send(upload).await.ok();
    node.until(|node| node.unspooled.contains(&assignment.key()))
        .await;
    let shown = server.coordinator.get(&path).await.ok();
    assert_eq!(
        (&shown["state"], &shown["artifacts"][0]["path"]),
        (&json!("succeeded"), &json!("out/file"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_node_tokens_open_a_node_session() {
    let server = Server::start().await;
    for (scope, status) in [(Scope::Read, 403), (Scope::Write, 403)] {
        let secret = server.coordinator.token(&[scope], None).await;
        let refused = server.connect("/mcpx", &secret).await.unwrap_err();
        let Error::Http(response) = refused else {
            panic!("{refused}")
        };
        assert_eq!(response.status().as_u16(), status);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_gets_the_events_as_frames_and_is_told_of_the_stop() {
    let server = Server::start().await;
    let secret = server.coordinator.token(&[Scope::Read], None).await;
    let mut socket = server
        .connect("/swarm/realtime?after=0.0", &secret)
        .await
        .unwrap();
    server.coordinator.submit("seen", json!({})).await;
    let mut names = Vec::new();
    while names.last() != Some(&json!("task_submitted")) {
        let message = tokio::time::timeout(PATIENCE, socket.next()).await.unwrap();
        if let Message::Text(text) = message.unwrap().unwrap() {
            names.push(serde_json::from_str::<Value>(&text).unwrap()["event"].clone());
        }
    }
    server.coordinator.api.shutdown.cancel();
    loop {
        let message = tokio::time::timeout(PATIENCE, socket.next()).await.unwrap();
        if let Message::Close(frame) = message.expect("a close frame comes first").unwrap() {
            assert_eq!(u16::from(frame.unwrap().code), 1001);
            return;
        }
    }
}
