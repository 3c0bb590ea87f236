//! Questions of a node about its attempts, over a real socket.

use super::node_session::{Node, Server, artifact};
use super::work::id_of;
use serde_json::{Value, json};
use skep_model::attempt::{ArtifactHash, Fence, GateReport, LogIndex};
use skep_model::ids::TaskId;
use skep_model::task::TaskState;
use skep_wire::payload::{
    Assignment, AttemptKey, GateAnswer, GateMessage, GateRequest, GateStanding, MergeRequest,
    NodeAnswer, NodeRequest, ResolveRequest, ResolvedTask, SplitAnswer, SplitRequest,
};
use skep_wire::{AskFailure, LinkOptions, NodeInput};
use std::collections::BTreeMap;

/// Two parts, a task that takes what both handed in, and one that nobody waits for.
const PLAN: &str = "
name: demo
tasks:
  left: {run: make, isolation: s0, artifacts: ['out/**']}
  right: {run: make, isolation: s0, artifacts: ['out/**']}
  join:
    run: join
    isolation: s0
    needs: [left, right]
    inputs: [{from: right}, {from: left}]
    gates: [{name: lint, run: lint}, {name: test, run: test}]
";

/// A server with a node that runs `join`, and the tasks of the run by name.
struct Rig {
    server: Server,
    node: Node,
    join: Assignment,
    run: Value,
}

impl Rig {
    async fn at_work() -> Self {
        let server = Server::start().await;
        let mut node = server.node("forge", LinkOptions::NEAR).await;
        let body = json!({"plan": PLAN});
        let run = server.coordinator.post("/api/v2/runs", body).await.ok();
        let bytes = b"made";
        let path = format!("/api/v2/artifacts/{}", ArtifactHash::of(bytes));
        let admin = &server.coordinator.admin;
        let mut upload = super::answer::request("PUT", &path, Some(admin), None);
        *upload.body_mut() = bytes.to_vec().into();
        server.coordinator.send(upload).await.ok();
        node.until(|node| node.started.len() == 2).await;
        for part in std::mem::take(&mut node.started) {
            node.finish(&part, vec![artifact(bytes)]).await;
        }
        node.until(|node| !node.started.is_empty()).await;
        let join = node.started.pop_front().unwrap();
        Self {
            server,
            node,
            join,
            run,
        }
    }

    fn task(&self, name: &str) -> TaskId {
        id_of(&self.run, name)
    }

    async fn ask(&mut self, request: NodeRequest, key: Option<&str>) -> Result<NodeAnswer, String> {
        ask(&mut self.node, request, key).await
    }

    fn split(&self, tasks: &Value) -> NodeRequest {
        let tasks: BTreeMap<String, Value> = serde_json::from_value(tasks.clone()).unwrap();
        NodeRequest::Split(SplitRequest {
            attempt: self.join.key(),
            tasks,
            base_dir: None,
        })
    }

    async fn gate(&mut self, gate: GateMessage) -> GateStanding {
        let attempt = self.join.key();
        let request = NodeRequest::Gate(GateRequest { attempt, gate });
        match self.ask(request, None).await {
            Ok(NodeAnswer::Gate(GateAnswer { standing })) => standing,
            other => panic!("{other:?}"),
        }
    }
}

fn resolve(attempt: AttemptKey, wanted: Vec<TaskId>) -> NodeRequest {
    NodeRequest::Resolve(ResolveRequest { attempt, wanted })
}

/// The answer, or the code of the refusal.
async fn ask(
    node: &mut Node,
    request: NodeRequest,
    key: Option<&str>,
) -> Result<NodeAnswer, String> {
    const TOKEN: u64 = 7;
    let input = NodeInput::Ask {
        token: TOKEN,
        request: Box::new(request),
        key: key.map(Into::into),
    };
    node.feed(input).await;
    node.until(|node| node.answered.contains_key(&TOKEN)).await;
    node.answered
        .remove(&TOKEN)
        .unwrap()
        .map_err(|failure| match failure {
            AskFailure::Refused(fault) => fault.data.unwrap().code,
            other => panic!("{other}"),
        })
}

fn shown(items: &[ResolvedTask]) -> Vec<(TaskId, Option<TaskState>, usize)> {
    let shown = |item: &ResolvedTask| (item.task, item.state, item.artifacts.len());
    items.iter().map(shown).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn inputs_are_resolved_at_once_and_other_runs_are_not_there() {
    let mut rig = Rig::at_work().await;
    let foreign = rig.server.coordinator.submit("foreign", json!({})).await;
    let (left, right) = (rig.task("left"), rig.task("right"));
    let done = Some(TaskState::Succeeded);
    let unknown = TaskId::from_u128(77);
    for (wanted, expected) in [
        (vec![], vec![(right, done, 1), (left, done, 1)]),
        (
            vec![left, unknown, foreign],
            vec![(left, done, 1), (unknown, None, 0), (foreign, None, 0)],
        ),
        (
            vec![rig.join.task],
            vec![(rig.join.task, Some(TaskState::Leased), 0)],
        ),
    ] {
        let request = resolve(rig.join.key(), wanted);
        let Ok(NodeAnswer::Resolve(answer)) = rig.ask(request, None).await else {
            panic!("refused")
        };
        assert_eq!(shown(&answer.items), expected);
    }
    let path = format!("/api/v2/tasks/{left}/artifacts");
    let listed = rig.server.coordinator.get(&path).await.ok();
    assert_eq!(listed["items"][0]["path"], "out/file", "the same over HTTP");
    rig.server.coordinator.archived(2).await;
    let request = resolve(rig.join.key(), vec![right]);
    let Ok(NodeAnswer::Resolve(answer)) = rig.ask(request, None).await else {
        panic!("refused")
    };
    assert_eq!(shown(&answer.items), [(right, done, 1)], "from the archive");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_holder_of_the_current_attempt_is_answered() {
    let mut rig = Rig::at_work().await;
    let mut other = rig.server.node("other", LinkOptions::NEAR).await;
    other.until(|node| node.end.is_live()).await;
    let key = rig.join.key();
    let index = LogIndex(key.fence.index.0 + 1);
    let later = Fence { index, ..key.fence };
    let keys = [
        (AttemptKey::new(key.task, later), "fence_stale"),
        (
            AttemptKey::new(TaskId::from_u128(77), key.fence),
            "fence_stale",
        ),
        (AttemptKey::new(rig.task("left"), key.fence), "fence_stale"),
    ];
    for (attempt, code) in keys {
        let gate = GateMessage::Evaluate("lint".to_owned());
        let requests = [
            resolve(attempt, Vec::new()),
            NodeRequest::Gate(GateRequest { attempt, gate }),
            NodeRequest::Split(SplitRequest {
                attempt,
                tasks: BTreeMap::new(),
                base_dir: None,
            }),
            NodeRequest::Merge(MergeRequest {
                attempt,
                shards: Vec::new(),
            }),
        ];
        for request in requests {
            assert_eq!(rig.ask(request, None).await.unwrap_err(), code);
        }
    }
    let request = resolve(key, Vec::new());
    let refused = ask(&mut other, request, None).await;
    assert_eq!(refused.unwrap_err(), "not_your_task");
}

#[tokio::test(flavor = "multi_thread")]
async fn gates_are_shown_while_the_attempt_runs() {
    let mut rig = Rig::at_work().await;
    let named = |name: &str| GateMessage::Evaluate(name.to_owned());
    let report = |name: &str, passed| {
        GateMessage::Report(GateReport {
            name: name.to_owned(),
            passed,
            exit_code: Some(i32::from(!passed)),
            duration_ms: 3,
            output: "fine".to_owned(),
        })
    };
    assert_eq!(rig.gate(named("lint")).await, GateStanding::Open);
    assert_eq!(rig.gate(named("none")).await, GateStanding::Unknown);
    assert_eq!(rig.gate(report("none", true)).await, GateStanding::Unknown);
    assert_eq!(rig.gate(report("lint", true)).await, GateStanding::Passed);
    assert_eq!(rig.gate(report("test", false)).await, GateStanding::Failed);
    assert_eq!(rig.gate(named("lint")).await, GateStanding::Passed);
    let path = format!("/api/v2/tasks/{}", rig.join.task);
    let shown = rig.server.coordinator.get(&path).await.ok();
    let gates = shown["gates"].as_array().unwrap();
    let names: Vec<_> = gates.iter().map(|gate| &gate["name"]).collect();
    assert_eq!(names, ["lint", "test"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_gates_answered_outlasts_the_coordinator() {
    let mut rig = Rig::at_work().await;
    let lint = GateReport {
        name: "lint".to_owned(),
        passed: true,
        exit_code: Some(0),
        duration_ms: 3,
        output: "fine".to_owned(),
    };
    let answer = rig.gate(GateMessage::Report(lint.clone())).await;
    assert_eq!(answer, GateStanding::Passed);
    let path = format!("/api/v2/tasks/{}", rig.join.task);
    let Rig {
        server,
        mut node,
        join,
        ..
    } = rig;
    let server = server.restart().await;
    let shown = server.coordinator.get(&path).await.ok();
    let expected = serde_json::to_value([&lint]).unwrap();
    assert_eq!(shown["gates"], expected, "before the node is back");
    node.reconnect(&server).await;
    let gate = GateMessage::Evaluate("lint".to_owned());
    let attempt = join.key();
    let request = NodeRequest::Gate(GateRequest { attempt, gate });
    let standing = GateStanding::Passed;
    let answer = NodeAnswer::Gate(GateAnswer { standing });
    assert_eq!(ask(&mut node, request, None).await, Ok(answer));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_split_adds_nothing_and_has_the_same_answer() {
    let mut rig = Rig::at_work().await;
    let tasks = json!({
        "one": {"run": "true", "isolation": "s0"},
        "two": {"run": "true", "isolation": "s0", "needs": ["one"]},
    });
    let request = rig.split(&tasks);
    let count = |rig: &Rig| {
        let view = rig.server.coordinator.services().hive.view();
        view.state.task_count()
    };
    let before = count(&rig);
    let first = rig.ask(request.clone(), Some("k")).await.unwrap();
    let NodeAnswer::Split(SplitAnswer { tasks: added }) = &first else {
        panic!("{first:?}")
    };
    assert_eq!(added.keys().collect::<Vec<_>>(), ["one", "two"]);
    assert_eq!(count(&rig), before + 2);
    assert_eq!(rig.ask(request.clone(), Some("k")).await.unwrap(), first);

    // On another connection only the log remembers.
    rig.node.reconnect(&rig.server).await;
    assert_eq!(rig.ask(request, Some("k")).await.unwrap(), first);
    let body = json!({ "tasks": tasks });
    let path = format!("/api/v2/tasks/{}/children", rig.join.task);
    let token = rig.join.token.reveal();
    let mut http = super::answer::request("POST", &path, Some(token), Some(body));
    http.headers_mut()
        .insert("idempotency-key", "k".parse().unwrap());
    let repeated = rig.server.coordinator.send(http).await.ok();
    assert_eq!(repeated["repeated"], true, "the same key over HTTP");
    assert_eq!(count(&rig), before + 2);

    // A connection goes by the key alone; the log sees that it is another request.
    rig.node.reconnect(&rig.server).await;
    let other = rig.split(&json!({"three": {"run": "true", "isolation": "s0"}}));
    let refused = rig.ask(other, Some("k")).await.unwrap_err();
    assert_eq!(refused, "idempotency_mismatch");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_split_is_bound_as_over_http() {
    let mut rig = Rig::at_work().await;
    for (tasks, code) in [
        (
            json!({"spy": {"run": "cat", "isolation": "s0", "reads": ["/etc"]}}),
            "reach_exceeded",
        ),
        (
            json!({"lost": {"run": "x", "needs": ["nobody"]}}),
            "task_invalid",
        ),
        (
            json!({"left": {"run": "x", "isolation": "s0"}}),
            "task_invalid",
        ),
        (json!({"odd": {"rnu": "x"}}), "body_malformed"),
    ] {
        let request = rig.split(&tasks);
        assert_eq!(rig.ask(request, None).await.unwrap_err(), code, "{tasks}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_come_in_the_order_that_was_asked_for() {
    let mut rig = Rig::at_work().await;
    let (left, right) = (rig.task("left"), rig.task("right"));
    let attempt = rig.join.key();
    for (shards, order, complete) in [
        (vec![left, right], vec![left, right], true),
        (vec![right, left], vec![right, left], true),
        (vec![], vec![right, left], true),
        (vec![left, attempt.task], vec![left, attempt.task], false),
    ] {
        let request = NodeRequest::Merge(MergeRequest { attempt, shards });
        let Ok(NodeAnswer::Merge(answer)) = rig.ask(request, None).await else {
            panic!("refused")
        };
        let got: Vec<_> = answer.shards.iter().map(|shard| shard.task).collect();
        assert_eq!((got, answer.complete), (order, complete));
        assert_eq!(answer.shards[0].artifacts.len(), 1);
    }
}
