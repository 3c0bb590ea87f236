//! Attached agents over MCPX, on real sockets.

use super::node_session::{Server, Socket};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use skep_model::token::Scope;
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::Message;

/// Longest wait for a frame.
const PATIENCE: Duration = Duration::from_secs(20);

/// An agent that says what the test says.
struct Agent {
    socket: Socket,
    next_id: u64,
    /// Calls of the coordinator that were not looked at.
    calls: VecDeque<Value>,
}

impl Agent {
    async fn connect(server: &Server, secret: &str) -> Self {
        Self {
            socket: server.connect("/mcpx", secret).await.unwrap(),
            next_id: 1,
            calls: VecDeque::new(),
        }
    }

    /// Connects and introduces itself.
    async fn welcomed(server: &Server, secret: &str, session: Value) -> (Self, Value) {
        let mut agent = Self::connect(server, secret).await;
        let agreed = json!({
            "version": "1.0", "role": "agent", "capabilities": ["dependency.resolve", "task.split"],
        });
        let agreed = agent.ask("mcpx.negotiate", agreed).await;
        assert_eq!(
            agreed["result"]["capabilities"],
            json!(["dependency.resolve"])
        );
        let hello = json!({ "protocol": "1.0", "role": "agent", "session": session });
        let welcome = agent.ask("mcpx.orchestrate.session.start", hello).await;
        (agent, welcome["result"].clone())
    }

    async fn send(&mut self, frame: Value) {
        let text = Message::text(frame.to_string());
        self.socket.send(text).await.unwrap();
    }

    /// The next frame; none when the connection was closed.
    async fn frame(&mut self) -> Option<Value> {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.socket.next()).await;
            match next.expect("no frame came") {
                Some(Ok(Message::Text(text))) => return Some(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                _ => return None,
            }
        }
    }

    async fn ask(&mut self, method: &str, params: Value) -> Value {
        let id = self.next_id;
        self.next_id += 1;
        let frame = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        self.send(frame).await;
        loop {
            let frame = self.frame().await.expect("the connection ended");
            if frame.get("method").is_some() {
                self.calls.push_back(frame);
            } else {
                assert_eq!(frame["id"], id);
                return frame;
            }
        }
    }

    /// The next call of the coordinator.
    async fn call(&mut self) -> Value {
        match self.calls.pop_front() {
            Some(call) => call,
            None => self.frame().await.expect("the connection ended"),
        }
    }

    /// Takes the task that is pushed next; gives its parameters.
    async fn accept(&mut self) -> Value {
        let call = self.call().await;
        assert_eq!(call["method"], "mcpx.orchestrate.task.assign", "{call}");
        let accepted =
            json!({ "jsonrpc": "2.0", "id": call["id"], "result": { "accepted": true } });
        self.send(accepted).await;
        call["params"].clone()
    }
}

fn refused(answer: &Value) -> &str {
    let code = answer["error"]["data"]["code"].as_str();
    code.unwrap_or_else(|| panic!("not refused: {answer}"))
}

fn named(name: &str) -> Value {
    json!({ "name": name, "instance": name, "capabilities": { "rust": "expert" } })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_given_a_task_notes_its_progress_and_completes_it() {
    let server = Server::start().await;
    let coordinator = &server.coordinator;
    let secret = coordinator.token(&[Scope::Agent], None).await;
    let (mut agent, welcome) = Agent::welcomed(&server, &secret, named("reviewer")).await;
    assert_eq!(
        (&welcome["name"], &welcome["assignment"]),
        (&json!("reviewer"), &Value::Null)
    );
    let task = coordinator
        .describe(
            "parser",
            json!({ "requires": ["rust"], "expected": "a commit" }),
        )
        .await;
    let given = agent.accept().await;
    assert_eq!(
        (&given["task"], &given["instructions"], &given["expected"]),
        (&json!(task), &json!("do parser"), &json!("a commit"))
    );
    coordinator.reaches(task, "running").await;
    let fence = &given["fence"];
    let note = json!({ "working": { "task": task, "fence": fence, "note": "half of it" } });
    let noted = agent.ask("mcpx.status.update", note).await;
    assert_eq!(noted["result"]["log_bytes"], 11);
    let beat = json!({ "sequence": 5, "task": task });
    let beaten = agent.ask("mcpx.health.check", beat).await;
    assert_eq!(
        (&beaten["result"]["sequence"], &beaten["result"]["state"]),
        (&json!(5), &json!("busy"))
    );
    let question = json!({ "task": task, "fence": fence, "wanted": [task] });
    let resolved = agent
        .ask("mcpx.coordinate.dependency.resolve", question)
        .await;
    assert_eq!(resolved["result"]["items"][0]["state"], "running");
    let done = json!({
        "task": task, "fence": fence, "outcome": "completed", "result": { "tests": 3 },
        "commit": "abc",
    });
    let ended = agent
        .ask("mcpx.orchestrate.task.complete", done.clone())
        .await;
    assert_eq!(
        (&ended["result"]["state"], &ended["result"]["repeated"]),
        (&json!("succeeded"), &json!(false))
    );
    let again = agent.ask("mcpx.orchestrate.task.complete", done).await;
    assert_eq!(again["result"]["repeated"], true);
    let shown = coordinator.get(&format!("/api/v2/tasks/{task}")).await.ok();
    assert_eq!(shown["account"]["commit"], "abc");
    let next = coordinator.describe("next", json!({})).await;
    assert_eq!(agent.accept().await["task"], json!(next));
}

#[tokio::test(flavor = "multi_thread")]
async fn stale_fences_methods_of_nodes_and_false_roles_are_refused_by_name() {
    let server = Server::start().await;
    let coordinator = &server.coordinator;
    let secret = coordinator.token(&[Scope::Agent], None).await;
    let (mut agent, _) = Agent::welcomed(&server, &secret, named("a")).await;
    let task = coordinator.describe("one", json!({})).await;
    let given = agent.accept().await;
    let stale = json!({ "task": task, "fence": "1.1", "outcome": "completed" });
    let answer = agent.ask("mcpx.orchestrate.task.complete", stale).await;
    assert_eq!(refused(&answer), "fence_stale");
    for method in [
        "mcpx.metrics.report",
        "mcpx.distribute.load.balance",
        "mcpx.distribute.task.split",
        "mcpx.coordinate.quality.gate",
    ] {
        assert_eq!(
            refused(&agent.ask(method, json!({})).await),
            "method_not_served"
        );
    }
    let back = json!({ "task": task, "fence": given["fence"], "outcome": "handed_back" });
    let answer = agent.ask("mcpx.orchestrate.task.complete", back).await;
    assert!(answer["result"]["state"].is_string(), "{answer}");
    let hello = json!({ "protocol": "1.0", "role": "agent" });
    let node = coordinator.token(&[Scope::Node], None).await;
    let mut false_agent = Agent::connect(&server, &node).await;
    let answer = false_agent
        .ask("mcpx.orchestrate.session.start", hello)
        .await;
    assert_eq!(refused(&answer), "scope_missing");
    assert!(
        answer["error"]["message"]
            .as_str()
            .unwrap()
            .contains("`agent`")
    );
    assert_eq!(false_agent.frame().await, None);
    let mut false_node = Agent::connect(&server, &secret).await;
    let answer = false_node
        .ask(
            "mcpx.orchestrate.session.start",
            json!({ "protocol": "1.0" }),
        )
        .await;
    assert_eq!(refused(&answer), "scope_missing");
    assert!(
        answer["error"]["message"]
            .as_str()
            .unwrap()
            .contains("`node`")
    );
    let reader = coordinator.token(&[Scope::Read], None).await;
    assert!(server.connect("/mcpx", &reader).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_comes_back_goes_on_with_what_it_had_and_its_old_connection_ends() {
    let server = Server::start().await;
    let coordinator = &server.coordinator;
    let secret = coordinator.token(&[Scope::Agent], None).await;
    let (mut agent, _) = Agent::welcomed(&server, &secret, named("a")).await;
    let task = coordinator.describe("long", json!({})).await;
    let given = agent.accept().await;
    coordinator.reaches(task, "running").await;
    // The old connection is still open, as after a break that only one side noticed.
    let (mut returned, welcome) = Agent::welcomed(&server, &secret, named("a")).await;
    assert_eq!(
        (
            &welcome["assignment"]["fence"],
            &welcome["assignment"]["begun"]
        ),
        (&given["fence"], &json!(true))
    );
    let end = agent.call().await;
    assert_eq!(
        (&end["method"], &end["params"]["code"]),
        (&json!("mcpx.orchestrate.session.end"), &json!("replaced"))
    );
    let done = json!({ "task": task, "fence": given["fence"], "outcome": "completed" });
    let ended = returned.ask("mcpx.orchestrate.task.complete", done).await;
    assert_eq!(ended["result"]["state"], "succeeded");
    let other = json!({ "protocol": "1.0", "role": "agent", "session": { "name": "a" } });
    let mut other_process = Agent::connect(&server, &secret).await;
    let answer = other_process
        .ask("mcpx.orchestrate.session.start", other)
        .await;
    assert_eq!(refused(&answer), "name_taken");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_cancelled_is_revoked_and_a_session_that_is_ended_is_told_so() {
    let server = Server::start().await;
    let coordinator = &server.coordinator;
    let secret = coordinator.token(&[Scope::Agent], None).await;
    let (mut agent, welcome) = Agent::welcomed(&server, &secret, named("a")).await;
    let task = coordinator.describe("one", json!({})).await;
    let given = agent.accept().await;
    coordinator.reaches(task, "running").await;
    let path = format!("/api/v2/tasks/{task}");
    coordinator.call("DELETE", &path, None).await.ok();
    let revoked = agent.call().await;
    assert_eq!(
        (
            &revoked["method"],
            &revoked["params"]["fence"],
            &revoked["params"]["verdict"]
        ),
        (
            &json!("mcpx.coordinate.state.sync"),
            &given["fence"],
            &json!("kill")
        )
    );
    let path = format!("/api/v2/sessions/{}", welcome["id"].as_str().unwrap());
    coordinator.call("DELETE", &path, None).await.ok();
    let end = agent.call().await;
    assert_eq!(end["params"]["code"], "removed");
    assert_eq!(agent.frame().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_wants_no_work_is_given_none_and_may_claim_by_name() {
    let server = Server::start().await;
    let coordinator = &server.coordinator;
    let secret = coordinator.token(&[Scope::Agent], None).await;
    let (mut agent, _) = Agent::welcomed(&server, &secret, named("a")).await;
    let none = agent
        .ask("mcpx.status.update", json!({ "wants_work": false }))
        .await;
    assert_eq!(none["result"], json!({}));
    // The connection takes its question back beside the answer.
    let deadline = Instant::now() + PATIENCE;
    loop {
        let shown = agent.ask("mcpx.coordinate.state.sync", json!({})).await;
        if shown["result"]["asks"] == json!(false) {
            break;
        }
        assert!(Instant::now() < deadline, "it still asks: {shown}");
    }
    let task = coordinator.describe("one", json!({})).await;
    let shown = agent.ask("mcpx.coordinate.state.sync", json!({})).await;
    assert_eq!(shown["result"]["assignment"], Value::Null);
    assert_eq!(coordinator.task_state(task).await, "ready");
    let claim = json!({ "task": task });
    let claimed = agent.ask("mcpx.orchestrate.task.assign", claim).await;
    assert_eq!(claimed["result"]["begun"], true);
    let failed = json!({
        "task": task, "fence": claimed["result"]["fence"], "outcome": "failed",
        "reason": "it cannot be done",
    });
    let ended = agent.ask("mcpx.orchestrate.task.complete", failed).await;
    assert!(ended["result"]["state"].is_string(), "{ended}");
    let farewell = json!({ "reason": "done" });
    let left = agent.ask("mcpx.orchestrate.session.end", farewell).await;
    assert_eq!(left["result"], json!({}));
    assert!(agent.calls.is_empty(), "{:?}", agent.calls);
    let gone = coordinator.get("/api/v2/sessions/a").await;
    gone.refused(404, "session_not_found");
}
