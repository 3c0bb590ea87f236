//! Every command of the protocol, said by a peer that shares no code with our node, over a real
//! socket to a real coordinator. What counts is what is seen over HTTP afterwards.

use super::answer::request;
use super::fixture::facts;
use super::node_session::{Server, Socket, artifact};
use super::work::id_of;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use skep_model::attempt::ArtifactHash;
use skep_model::ids::{NodeId, TaskId};
use skep_model::token::Scope;
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;
use tokio_tungstenite::tungstenite::Message;

const PATIENCE: Duration = Duration::from_secs(20);
const BYTES: &[u8] = b"made by a part";

const PLAN: &str = "
name: demo
tasks:
  left: {run: make, isolation: s0, artifacts: ['out/**']}
  right: {run: make, isolation: s0, artifacts: ['out/**']}
  join:
    run: join
    isolation: s0
    inputs: [{from: right}, {from: left}]
    gates: [{name: lint, run: lint}]
";

/// A peer that writes JSON by hand.
struct Peer {
    server: Server,
    socket: Socket,
    node: NodeId,
    last_id: u64,
    /// Assignments that it accepted, in their order.
    assigned: VecDeque<Value>,
    /// Methods of all that was said, by either side.
    methods: BTreeSet<String>,
    /// What it gives back when it is asked to.
    gives_back: Value,
}

impl Peer {
    async fn connect() -> Self {
        let server = Server::start().await;
        let secret = server.coordinator.token(&[Scope::Node], None).await;
        Self {
            socket: server.connect("/mcpx", &secret).await.unwrap(),
            node: NodeId::from_u128(server.coordinator.services().fresh_id()),
            server,
            last_id: 0,
            assigned: VecDeque::new(),
            methods: BTreeSet::new(),
            gives_back: json!([]),
        }
    }

    async fn send(&mut self, frame: Value) {
        if let Some(method) = frame["method"].as_str() {
            self.methods.insert(method.to_owned());
        }
        self.socket
            .send(Message::text(frame.to_string()))
            .await
            .unwrap();
    }

    async fn tell(&mut self, method: &str, params: Value) {
        let frame = json!({"jsonrpc": "2.0", "method": method, "params": params});
        self.send(frame).await;
    }

    /// The result of a request. What the coordinator asks meanwhile is answered.
    async fn call(&mut self, method: &str, params: Value) -> Value {
        self.last_id += 1;
        let id = self.last_id;
        let frame = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.send(frame).await;
        loop {
            let frame = self.hear().await;
            if frame["id"] == id && frame.get("method").is_none() {
                assert!(frame.get("error").is_none(), "{method}: {frame}");
                return frame["result"].clone();
            }
        }
    }

    /// The next frame; a request in it is answered.
    async fn hear(&mut self) -> Value {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.socket.next()).await;
            let Ok(Some(Ok(message))) = next else {
                panic!("nothing more comes: {next:?}")
            };
            let Message::Text(text) = message else {
                continue;
            };
            let frame: Value = serde_json::from_str(&text).unwrap();
            if let Some(method) = frame["method"].as_str() {
                self.methods.insert(method.to_owned());
            }
            self.answer(&frame).await;
            return frame;
        }
    }

    async fn answer(&mut self, frame: &Value) {
        let result = match frame["method"].as_str() {
            Some("mcpx.orchestrate.task.assign") => {
                let items = frame["params"]["items"].as_array().unwrap();
                self.assigned.extend(items.iter().cloned());
                let accepted = items.iter().map(|item| {
                    json!({"task": item["task"], "fence": item["fence"], "answer": "accepted"})
                });
                json!({"items": accepted.collect::<Vec<_>>()})
            }
            Some("mcpx.distribute.load.balance") => json!({"given_back": self.gives_back}),
            _ => return,
        };
        let answer = json!({"jsonrpc": "2.0", "id": frame["id"], "result": result});
        self.send(answer).await;
    }

    async fn next_assignment(&mut self) -> Value {
        loop {
            if let Some(assignment) = self.assigned.pop_front() {
                return assignment;
            }
            self.hear().await;
        }
    }

    async fn get(&self, path: &str) -> Value {
        self.server.coordinator.get(path).await.ok()
    }

    async fn task(&self, task: &Value) -> Value {
        let task = task.as_str().unwrap();
        self.get(&format!("/api/v2/tasks/{task}")).await
    }

    async fn shown(&self) -> Value {
        self.get(&format!("/api/v2/nodes/{}", self.node)).await
    }

    /// Goes on looking until the condition holds; notifications are acted on beside the session.
    async fn until(&self, what: &str, path: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let looking = async {
            loop {
                let seen = self.get(path).await;
                if holds(&seen) {
                    return seen;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let seen = tokio::time::timeout(PATIENCE, looking).await;
        seen.unwrap_or_else(|_| panic!("{what} is not seen"))
    }

    async fn complete(&mut self, assignment: &Value, artifacts: Value, gates: Value) {
        let report = json!({
            "task": assignment["task"], "fence": assignment["fence"], "outcome": "completed",
            "exit_code": 0, "duration_ms": 1,
            "usage": {"user_ms": 1, "system_ms": 1, "memory_peak_bytes": 1},
            "isolation": null, "artifacts": artifacts, "gates": gates,
        });
        let answer = self
            .call(
                "mcpx.orchestrate.task.complete",
                json!({"reports": [report]}),
            )
            .await;
        assert_eq!(answer["items"][0]["answer"], "committed");
        let shown = self.task(&assignment["task"]).await;
        assert_eq!(shown["state"], "succeeded");
    }

    /// A session that takes one assignment at a time.
    async fn begin(&mut self) {
        let offer = json!({
            "version": "1.0",
            "capabilities": ["flow.credits", "dependency.resolve", "quality.gate", "task.split",
                             "result.merge", "load.balance", "of.another.age"],
            "extensions": {"orchestration": true, "coordination": false, "distribution": false},
            "credit": {"items": 1, "bytes": 1_000_000},
        });
        let agreed = self.call("mcpx.negotiate", offer).await;
        assert_eq!(agreed["capabilities"].as_array().unwrap().len(), 6);
        let hello = json!({
            "protocol": "1.0", "node": self.node, "instance": "inst_00000000000000000000000001",
            "facts": facts("peer", 4),
        });
        let welcome = self.call("mcpx.orchestrate.session.start", hello).await;
        assert_eq!(welcome["node"], json!(self.node));
        assert_eq!(self.shown().await["state"], "joining");
        let nothing = json!({"held": [], "spooled": []});
        self.call("mcpx.coordinate.state.sync", nothing).await;
        assert_eq!(self.shown().await["state"], "ready");
    }

    /// The heartbeat lengthens the lease, and the sample is shown.
    async fn tell_of_itself(&mut self) {
        let path = format!("/api/v2/nodes/{}", self.node);
        let left = |shown: &Value| shown["lease_ms_left"].as_u64().unwrap();
        let full = left(&self.shown().await);
        let before = self
            .until("the lease runs", &path, |shown| left(shown) + 50 < full)
            .await;
        let beat = json!({"sequence": 1});
        assert_eq!(self.call("mcpx.health.check", beat.clone()).await, beat);
        self.until("a longer lease", &path, |shown| left(shown) > left(&before))
            .await;
        let sample = json!({"load_permille": 250, "memory_used_bytes": 1024, "attempts": 0});
        self.tell("mcpx.metrics.report", sample).await;
        self.until("the load", &path, |shown| shown["load_permille"] == 250)
            .await;
    }

    /// Both parts, one after the other by the credit, to their ends.
    async fn do_the_parts(&mut self) {
        let first = self.next_assignment().await;
        let answer = self.call("mcpx.health.check", json!({"sequence": 2})).await;
        assert_eq!(answer["sequence"], 2);
        assert_eq!(self.assigned.len(), 0, "more than was granted");
        let running = json!({
            "items": [{"task": first["task"], "fence": first["fence"], "phase": "running"}],
            "_meta": {"credit": {"items": 100, "bytes": 100_000_000}},
        });
        self.tell("mcpx.status.update", running).await;
        let path = format!("/api/v2/tasks/{}", first["task"].as_str().unwrap());
        self.until("progress", &path, |shown| shown["state"] == "running")
            .await;
        let second = self.next_assignment().await;
        let admin = self.server.coordinator.admin.clone();
        let path = format!("/api/v2/artifacts/{}", ArtifactHash::of(BYTES));
        let mut upload = request("PUT", &path, Some(&admin), None);
        *upload.body_mut() = BYTES.to_vec().into();
        self.server.coordinator.send(upload).await.ok();
        for part in [&first, &second] {
            self.complete(part, json!([artifact(BYTES)]), json!([]))
                .await;
        }
    }

    /// Gives back an attempt that it did not start, because it has too much to do.
    async fn is_overloaded(&mut self, extra: &Value) {
        let assignment = self.next_assignment().await;
        assert_eq!(assignment["task"], *extra);
        self.gives_back = json!([{"task": extra, "fence": assignment["fence"]}]);
        let notice = json!({"overloaded": true, "waiting": 1});
        self.tell("mcpx.distribute.load.balance", notice).await;
        loop {
            let frame = self.hear().await;
            if frame["method"] == "mcpx.distribute.load.balance" {
                break;
            }
        }
        let path = format!("/api/v2/tasks/{}", extra.as_str().unwrap());
        let shown = self
            .until("what was given back", &path, |shown| {
                shown["ended_attempts"][0]["ended"]["never_started"] == "no_slot"
            })
            .await;
        assert_eq!(shown["state"], "ready");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_thirteen_commands_have_their_effect() {
    let mut peer = Peer::connect().await;
    peer.begin().await;
    peer.tell_of_itself().await;
    let coordinator = &peer.server.coordinator;
    let run = coordinator
        .post("/api/v2/runs", json!({"plan": PLAN}))
        .await
        .ok();
    peer.do_the_parts().await;

    let join = peer.next_assignment().await;
    let (task, fence) = (join["task"].clone(), join["fence"].clone());
    let [left, right]: [TaskId; 2] = ["left", "right"].map(|name| id_of(&run, name));
    let about = json!({"task": task, "fence": fence});
    let resolved = peer
        .call("mcpx.coordinate.dependency.resolve", about.clone())
        .await;
    let listed = peer.get(&format!("/api/v2/tasks/{right}/artifacts")).await;
    assert_eq!(resolved["items"][0]["task"], json!(right));
    assert_eq!(
        resolved["items"][0]["artifacts"][0]["blake3"],
        listed["items"][0]["blake3"]
    );
    let merge = json!({"task": task, "fence": fence, "shards": [left, right]});
    let merged = peer.call("mcpx.distribute.result.merge", merge).await;
    assert_eq!(merged["complete"], true);
    assert_eq!(merged["shards"][0]["task"], json!(left));
    assert_eq!(
        merged["shards"][0]["artifacts"],
        resolved["items"][1]["artifacts"]
    );

    let lint = json!({
        "name": "lint", "passed": true, "exit_code": 0, "duration_ms": 3, "output": "clean",
    });
    let gate = json!({"task": task, "fence": fence, "gate": {"report": lint}});
    let answer = peer.call("mcpx.coordinate.quality.gate", gate).await;
    assert_eq!(answer["standing"], "passed");
    assert_eq!(peer.task(&task).await["gates"], json!([lint]));

    let tasks = json!({"extra": {"run": "true", "isolation": "s0"}});
    let split = json!({"task": task, "fence": fence, "tasks": tasks});
    let added = peer.call("mcpx.distribute.task.split", split).await;
    let extra = added["tasks"]["extra"].clone();
    assert_eq!(peer.task(&extra).await["run"], run["run"]["id"]);
    peer.is_overloaded(&extra).await;

    peer.complete(&join, json!([]), json!([lint])).await;
    peer.call("mcpx.orchestrate.session.end", json!({"reason": "done"}))
        .await;
    let path = format!("/api/v2/nodes/{}", peer.node);
    peer.until("the goodbye", &path, |shown| shown["state"] == "left")
        .await;
    assert_eq!(peer.methods.len(), 14, "{:?}", peer.methods);
}
