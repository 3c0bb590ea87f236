//! Operations over one WebSocket.

use super::fixture::Coordinator;
use crate::calls::CALLS_IN_FLIGHT_MAX;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use tokio_util::sync::CancellationToken;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(20);

struct Line {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    stop: CancellationToken,
    serving: JoinSet<std::io::Result<()>>,
}

impl Line {
    async fn open(coordinator: &Coordinator, token: &str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let mut serving = JoinSet::new();
        let api = coordinator.api.clone();
        serving.spawn(crate::serve(vec![listener], None, api, stop.clone()));
        let url = format!("ws://{address}/api/v2/calls");
        let mut upgrade = url.into_client_request().unwrap();
        let bearer = format!("Bearer {token}").parse().unwrap();
        upgrade.headers_mut().insert("authorization", bearer);
        let (socket, _) = tokio_tungstenite::connect_async(upgrade).await.unwrap();
        Self {
            socket,
            stop,
            serving,
        }
    }

    async fn send(&mut self, message: Message) {
        self.socket.send(message).await.unwrap();
    }

    async fn receive(&mut self) -> Value {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.socket.next()).await;
            match message.unwrap().unwrap().unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    async fn ask(&mut self, question: Value) -> Value {
        self.send(Message::text(question.to_string())).await;
        self.receive().await
    }

    async fn close(self) {
        drop(self.socket);
        self.stop.cancel();
        self.serving.join_all().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_question_gets_its_own_answer_however_many_are_asked_at_once() {
    let coordinator = Coordinator::start().await;
    let mut line = Line::open(&coordinator, &coordinator.admin).await;
    let count = CALLS_IN_FLIGHT_MAX * 3;
    for number in 0..count {
        let task = json!({"name": format!("t{number}"), "run": "true"});
        let question = json!({"id": number, "operation": "tasks.submit", "body": task});
        let text = Message::text(question.to_string());
        line.socket.feed(text).await.unwrap();
    }
    line.socket.flush().await.unwrap();
    let mut ids = BTreeMap::new();
    for _ in 0..count {
        let answer = line.receive().await;
        assert_eq!(answer["status"], 201, "{answer}");
        let name = answer["body"]["name"].as_str().map(str::to_owned);
        ids.insert(answer["id"].as_u64().unwrap(), name);
    }
    assert_eq!(ids.len(), count);
    for (number, name) in ids {
        let expected = format!("t{number}");
        assert!(name.is_none_or(|name| name == expected), "{number}");
    }
    let page = line.ask(json!({
        "id": "page", "operation": "tasks.list", "parameters": {"limit": 2, "name": "t1500"},
    }));
    let page = page.await;
    assert_eq!(
        (&page["id"], &page["status"]),
        (&json!("page"), &json!(200))
    );
    assert_eq!(page["body"]["items"][0]["name"], "t1500", "{page}");
    line.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_question_with_a_key_is_done_once() {
    let coordinator = Coordinator::start().await;
    let mut line = Line::open(&coordinator, &coordinator.admin).await;
    let question = json!({
        "id": 1, "operation": "tasks.submit", "idempotency_key": "once",
        "body": {"name": "a", "run": "true"},
    });
    let (first, again) = (line.ask(question.clone()).await, line.ask(question).await);
    assert_eq!(first["body"]["id"], again["body"]["id"], "{first} {again}");
    assert!(first["body"]["id"].is_string(), "{first}");
    line.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_asked_is_refused_by_name_and_the_connection_goes_on() {
    let coordinator = Coordinator::start().await;
    let mut line = Line::open(&coordinator, &coordinator.admin).await;
    let cases = [
        ("{", json!(null), "call_malformed"),
        (r#"{"id": 1}"#, json!(1), "call_malformed"),
        (
            r#"{"id": {}, "operation": "tasks.list"}"#,
            json!(null),
            "call_malformed",
        ),
        (
            r#"{"id": 1, "operation": "tasks.list", "x": 1}"#,
            json!(1),
            "call_malformed",
        ),
        (
            r#"{"id": "q", "operation": "nothing"}"#,
            json!("q"),
            "operation_unknown",
        ),
        (
            r#"{"id": 1, "operation": "tasks.list", "body": {}}"#,
            json!(1),
            "call_malformed",
        ),
        (
            r#"{"id": 1, "operation": "tasks.list", "parameters": {"limit": [1]}}"#,
            json!(1),
            "query_malformed",
        ),
        (
            r#"{"id": 1, "operation": "tasks.list", "parameters": {"colour": "red"}}"#,
            json!(1),
            "query_malformed",
        ),
        (
            r#"{"id": 1, "operation": "tasks.get", "parameters": {"id": "task_x"}}"#,
            json!(1),
            "query_malformed",
        ),
        (
            r#"{"id": 1, "operation": "tasks.list", "idempotency_key": "a b"}"#,
            json!(1),
            "idempotency_key_malformed",
        ),
    ];
    for (question, id, code) in cases {
        line.send(Message::text(question)).await;
        let answer = line.receive().await;
        let found = (&answer["id"], &answer["problem"]["code"]);
        assert_eq!(found, (&id, &json!(code)), "{question}: {answer}");
        assert!(answer["status"].as_u64().unwrap() >= 400, "{answer}");
    }
    line.send(Message::binary(vec![1, 2])).await;
    assert_eq!(line.receive().await["problem"]["code"], "call_malformed");
    let upload = json!({
        "id": 1, "operation": "artifacts.put",
        "parameters": {"hash": blake3::hash(b"x").to_hex().as_str(), "offset": 0, "total": 1},
    });
    let answer = line.ask(upload).await;
    assert_eq!(answer["problem"]["code"], "call_unsupported", "{answer}");
    let status = line
        .ask(json!({"id": 1, "operation": "system.status"}))
        .await;
    assert_eq!(status["status"], 200, "{status}");
    line.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_ends_in_the_middle_of_a_connection() {
    let coordinator = Coordinator::start().await;
    let body = json!({"name": "reader", "scopes": ["read"]});
    let made = coordinator.post("/api/v2/tokens", body).await.ok();
    let secret = made["secret"].as_str().unwrap().to_owned();
    let mut line = Line::open(&coordinator, &secret).await;
    let list = json!({"id": 1, "operation": "tasks.list"});
    assert_eq!(line.ask(list.clone()).await["status"], 200);
    let forbidden = json!({"id": 1, "operation": "tokens.list"});
    assert_eq!(
        line.ask(forbidden).await["problem"]["code"],
        "scope_missing"
    );
    let path = format!("/api/v2/tokens/{}", made["id"].as_str().unwrap());
    coordinator.call("DELETE", &path, None).await.ok();
    let answer = line.ask(list).await;
    assert_eq!(answer["problem"]["code"], "token_unknown", "{answer}");
    line.close().await;
}
