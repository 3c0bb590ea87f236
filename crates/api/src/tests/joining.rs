//! Machines join by tokens, log in with their keys, and speak for themselves only.

use super::answer::request;
use super::fixture::Coordinator;
use crate::authenticate;
use axum::http::{HeaderMap, header};
use serde_json::{Value, json};
use skep_identity::{JoinToken, Login, NodeKey, Nonce, join_message};
use skep_model::attempt::Outcome;
use skep_model::command::Command;
use skep_model::ids::{InstanceId, NodeId};
use skep_model::limits;
use skep_operations::Principal;

/// Status and body of an answer to a caller without a token.
pub(super) async fn ask(coordinator: &Coordinator, path: &str, body: Value) -> (u16, Value) {
    let answer = coordinator
        .send(request("POST", path, None, Some(body)))
        .await;
    (answer.status.as_u16(), answer.json())
}

/// Status and body of an answer to the admin.
pub(super) async fn admin(
    coordinator: &Coordinator,
    method: &str,
    path: &str,
    body: Option<Value>,
) -> (u16, Value) {
    let answer = coordinator.call(method, path, body).await;
    (answer.status.as_u16(), answer.json())
}

/// Who shows this token, or the code of the refusal.
pub(super) fn principal(coordinator: &Coordinator, token: &str) -> Result<Principal, String> {
    let mut headers = HeaderMap::new();
    let value = format!("Bearer {token}").parse().unwrap();
    headers.insert(header::AUTHORIZATION, value);
    authenticate::principal(&headers, coordinator.services())
        .map_err(|failure| failure.0.code().as_str().to_owned())
}

/// A machine that is about to join.
pub(super) struct Machine {
    key: NodeKey,
    name: &'static str,
}

impl Machine {
    pub(super) fn new(name: &'static str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let key = NodeKey::load_or_create(&directory.path().join("node.key")).unwrap();
        Self { key, name }
    }

    fn application(&self, token: &JoinToken) -> Value {
        let public = self.key.public();
        json!({
            "token": token.id,
            "secret": token.secret.reveal(),
            "name": self.name,
            "key": public.to_hex(),
            "signature": self.key.sign(&join_message(token.id, &public)).to_hex(),
        })
    }

    pub(super) async fn login(&self, coordinator: &Coordinator, node: NodeId) -> (u16, Value) {
        let (_, challenge) = ask(coordinator, "/api/v2/nodes/challenge", Value::Null).await;
        let login = Login {
            cluster: challenge["cluster"].as_str().unwrap().parse().unwrap(),
            node,
            instance: InstanceId::from_u128(1),
            starts: 1,
        };
        let nonce = challenge["nonce"].as_str().unwrap();
        let message = login.message(&Nonce::from_hex(nonce).unwrap());
        let signed = json!({
            "node": node,
            "instance": login.instance,
            "starts": 1,
            "nonce": nonce,
            "signature": self.key.sign(&message).to_hex(),
        });
        ask(coordinator, "/api/v2/nodes/login", signed).await
    }
}

pub(super) async fn token(coordinator: &Coordinator, body: Value) -> JoinToken {
    let (status, made) = admin(coordinator, "POST", "/api/v2/join-tokens", Some(body)).await;
    assert_eq!(status, 201, "{made}");
    JoinToken::decode(made["token"].as_str().unwrap()).unwrap()
}

pub(super) async fn join(
    coordinator: &Coordinator,
    machine: &Machine,
    token: &JoinToken,
) -> (u16, Value) {
    let application = machine.application(token);
    ask(coordinator, "/api/v2/join", application).await
}

pub(super) fn node_of(admission: &Value) -> NodeId {
    admission["node"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_machine_joins_logs_in_and_speaks_for_itself() {
    let coordinator = Coordinator::start().await;
    let token = token(&coordinator, json!({ "uses": 1 })).await;
    let machine = Machine::new("desk");
    let (status, admission) = join(&coordinator, &machine, &token).await;
    assert_eq!(
        (status, &admission["approved"]),
        (200, &json!(true)),
        "{admission}"
    );
    let (again, same) = join(&coordinator, &machine, &token).await;
    assert_eq!(
        (again, &same["node"]),
        (200, &admission["node"]),
        "a lost answer is no second use"
    );
    let (status, session) = machine.login(&coordinator, node_of(&admission)).await;
    assert_eq!(status, 200, "{session}");
    let caller = principal(&coordinator, session["token"].as_str().unwrap());
    assert_eq!(caller, Ok(Principal::Node(node_of(&admission))));
}

#[tokio::test]
async fn a_join_that_is_not_in_order_is_refused_with_its_own_code() {
    let coordinator = Coordinator::start().await;
    let once = token(&coordinator, json!({ "uses": 1 })).await;
    let machine = Machine::new("desk");
    let other = Machine::new("other");
    let mut wrong_secret = machine.application(&once);
    wrong_secret["secret"] = json!("00".repeat(32));
    let mut foreign_key = machine.application(&once);
    foreign_key["key"] = json!(other.key.public().to_hex());
    for (application, status, code) in [
        (wrong_secret, 401, "join_token_unknown"),
        (foreign_key, 401, "login_refused"),
        (machine.application(&once), 200, ""),
        (other.application(&once), 401, "join_token_used_up"),
    ] {
        let (given, answer) = ask(&coordinator, "/api/v2/join", application).await;
        assert_eq!(
            (given, answer["code"].as_str().unwrap_or("")),
            (status, code),
            "{answer}"
        );
    }
    let open = token(&coordinator, json!({})).await;
    let namesake = Machine::new("desk");
    let (status, answer) = join(&coordinator, &namesake, &open).await;
    assert_eq!((status, &answer["code"]), (409, &json!("name_taken")));
}

#[tokio::test]
async fn a_machine_that_waits_for_approval_gets_no_session_until_then() {
    let coordinator = Coordinator::start().await;
    let preset = json!({ "labels": {}, "pool": null, "ephemeral": false, "needs_approval": true });
    let token = token(&coordinator, json!({ "preset": preset })).await;
    let machine = Machine::new("desk");
    let (_, admission) = join(&coordinator, &machine, &token).await;
    let node = node_of(&admission);
    let (status, answer) = machine.login(&coordinator, node).await;
    assert_eq!(
        (status, &answer["code"]),
        (403, &json!("node_not_approved"))
    );
    let code = admission["pairing_code"].as_str().unwrap();
    assert!(
        answer["detail"].as_str().unwrap().contains(code),
        "{answer}"
    );
    let (status, _) = admin(&coordinator, "POST", "/api/v2/nodes/desk/approve", None).await;
    assert_eq!(status, 200);
    assert_eq!(machine.login(&coordinator, node).await.0, 200);
}

#[tokio::test]
async fn a_session_ends_with_the_removal_of_its_node_and_a_stranger_gets_none() {
    let coordinator = Coordinator::start().await;
    let token = token(&coordinator, json!({})).await;
    let machine = Machine::new("desk");
    let (_, admission) = join(&coordinator, &machine, &token).await;
    let node = node_of(&admission);
    let stranger = Machine::new("stranger");
    let (status, answer) = stranger.login(&coordinator, node).await;
    assert_eq!((status, &answer["code"]), (401, &json!("login_refused")));
    let (_, session) = machine.login(&coordinator, node).await;
    assert_eq!(
        admin(&coordinator, "DELETE", "/api/v2/nodes/desk", None)
            .await
            .0,
        200
    );
    let caller = principal(&coordinator, session["token"].as_str().unwrap());
    assert_eq!(caller, Err("login_refused".to_owned()));
    assert_eq!(machine.login(&coordinator, node).await.0, 401);
}

#[tokio::test]
async fn join_tokens_are_listed_without_secrets_and_can_be_revoked() {
    let coordinator = Coordinator::start().await;
    let token = token(&coordinator, json!({ "kind": "server", "ttl_s": 60 })).await;
    let (_, page) = admin(&coordinator, "GET", "/api/v2/join-tokens", None).await;
    assert_eq!(page["items"][0]["kind"], "server");
    assert!(!page.to_string().contains(&token.secret.reveal()));
    let path = format!("/api/v2/join-tokens/{}", token.id);
    assert_eq!(admin(&coordinator, "DELETE", &path, None).await.0, 200);
    assert_eq!(admin(&coordinator, "DELETE", &path, None).await.0, 404);
    let (status, answer) = join(&coordinator, &Machine::new("late"), &token).await;
    assert_eq!(
        (status, &answer["code"]),
        (401, &json!("join_token_unknown"))
    );
    for wrong in [
        json!({ "ttl_s": 0 }),
        json!({ "uses": 0 }),
        json!({ "ttl_s": 1_u64 << 40 }),
    ] {
        let (status, answer) =
            admin(&coordinator, "POST", "/api/v2/join-tokens", Some(wrong)).await;
        assert_eq!((status, &answer["code"]), (422, &json!("field_invalid")));
    }
}

#[tokio::test]
async fn a_token_for_an_attached_agent_is_not_made() {
    let coordinator = Coordinator::start().await;
    for (kind, code) in [
        ("agent", "agent_needs_no_join_token"),
        ("queen", "field_invalid"),
    ] {
        let wanted = Some(json!({ "kind": kind }));
        let (status, answer) = admin(&coordinator, "POST", "/api/v2/join-tokens", wanted).await;
        assert_eq!((status, &answer["code"]), (422, &json!(code)), "{answer}");
    }
    let (_, page) = admin(&coordinator, "GET", "/api/v2/join-tokens", None).await;
    assert_eq!(page["items"], json!([]), "nothing was minted");
    for kind in ["server", "node", "volunteer"] {
        let made = token(&coordinator, json!({ "kind": kind })).await;
        assert_eq!(made.kind.as_str(), kind);
        let (_, admission) = join(&coordinator, &Machine::new(kind), &made).await;
        assert_eq!(admission["kind"], kind);
    }
}

#[tokio::test]
async fn a_machine_may_not_take_a_name_that_looks_like_something_else() {
    let coordinator = Coordinator::start().await;
    let token = token(&coordinator, json!({})).await;
    let id = NodeId::from_u128(5).to_string();
    let odd = ["two words", "a\u{202e}b", "n\u{0430}me", "a/b", "", &id];
    for name in odd {
        let machine = Machine::new(Box::leak(name.to_owned().into_boxed_str()));
        let (status, answer) = join(&coordinator, &machine, &token).await;
        let code = &answer["code"];
        assert_eq!((status, code), (422, &json!("field_invalid")), "{name}");
    }
}

#[tokio::test]
async fn an_id_names_one_machine_only() {
    let coordinator = Coordinator::start().await;
    let preset = json!({ "labels": {}, "pool": null, "ephemeral": false, "needs_approval": true });
    let token = token(&coordinator, json!({ "preset": preset })).await;
    let (_, victim) = join(&coordinator, &Machine::new("desk"), &token).await;
    // By way of the log, past the check of names; its id is the smaller one.
    let impostor = NodeId::from_u128(1);
    let name = victim["node"].as_str().unwrap().to_owned();
    let (key, token) = ([9; 32], token.id);
    let enrolled = Command::EnrolNode {
        node: impostor,
        key,
        token,
        name: name.clone(),
    };
    coordinator.propose(enrolled).await;
    let path = format!("/api/v2/nodes/{name}/approve");
    let (status, approved) = admin(&coordinator, "POST", &path, None).await;
    assert_eq!((status, &approved["node"]), (200, &victim["node"]));
    let view = coordinator.services().hive.view();
    assert!(!view.state.enrolment(impostor).unwrap().approved);
}

#[tokio::test]
async fn a_machine_adds_nothing_to_the_logs_of_others() {
    let coordinator = Coordinator::start().await;
    let token = token(&coordinator, json!({})).await;
    let machine = Machine::new("stranger");
    let (_, admission) = join(&coordinator, &machine, &token).await;
    let (_, session) = machine.login(&coordinator, node_of(&admission)).await;
    let session = session["token"].as_str().unwrap();
    coordinator.ready_node("honest", 1).await;
    let task = coordinator.submit("work", json!({})).await;
    coordinator.granted(task).await;
    let path = format!("/api/v2/tasks/{task}/attempts/1/log?offset=0");
    let forged = || {
        let mut request = request("PUT", &path, Some(session), None);
        *request.body_mut() = "all tests passed\n".into();
        request
    };
    let answer = coordinator.send(forged()).await;
    assert_eq!(answer.problem(), (403, "not_your_node".to_owned()));
    coordinator.finish(task, Outcome::Completed).await;
    let answer = coordinator.send(forged()).await;
    assert_eq!(answer.problem(), (403, "not_your_node".to_owned()), "ended");
}

#[tokio::test]
async fn whoever_needs_no_token_sends_no_large_body() {
    let coordinator = Coordinator::start().await;
    let large = json!({ "name": "x".repeat(limits::OPEN_BODY_BYTES_MAX) });
    for path in ["/api/v2/join", "/api/v2/nodes/login"] {
        let (status, answer) = ask(&coordinator, path, large.clone()).await;
        assert_eq!((status, &answer["code"]), (413, &json!("body_too_large")));
        let detail = answer["detail"].as_str().unwrap();
        assert!(detail.contains("OPEN_BODY_BYTES_MAX"), "{detail}");
    }
}
