//! Typed calls: what goes out, what comes back, what is tried again.

use crate::http_server::{Reply, Server};
use serde_json::{Value, json};
use skep_client::{Client, ClientError, Method};
use std::time::Duration;

fn client(server: &Server) -> Client {
    Client::new(&server.address, Some("secret".to_owned())).unwrap()
}

/// A server that refuses `failures` times and then answers `{"ok":true}`.
async fn failing(failures: usize, refusal: fn() -> Reply) -> Server {
    let mut left = failures;
    Server::start(move |_| {
        if left == 0 {
            return Reply::json(r#"{"ok":true}"#);
        }
        left -= 1;
        refusal()
    })
    .await
}

fn overloaded() -> Reply {
    Reply::problem(503, "stopped", true)
}

#[tokio::test]
async fn a_call_carries_token_key_and_json_and_reads_json() {
    let server = Server::start(|_| Reply::json(r#"{"id":7}"#)).await;
    let client = client(&server);
    let request = client
        .request(Method::POST, "/api/v2/tasks")
        .json(&json!({"a": 1}))
        .unwrap();
    let answer: Value = request.key("k1").unwrap().send().await.unwrap();
    assert_eq!(answer, json!({"id": 7}));
    let request = server.requests.lock()[0].clone();
    assert_eq!(
        (&*request.method, &*request.path),
        ("POST", "/api/v2/tasks")
    );
    assert_eq!(request.body, br#"{"a":1}"#);
    for (name, value) in [
        ("authorization", "Bearer secret"),
        ("idempotency-key", "k1"),
        ("content-type", "application/json"),
    ] {
        assert_eq!(request.headers[name], value);
    }
    assert!(!format!("{client:?}").contains("secret"));
}

#[tokio::test]
async fn the_headers_of_an_answer_can_be_asked_for() {
    let date = "Sat, 21 Nov 2026 13:24:18 GMT";
    let server = Server::start(move |_| Reply::of(200, &format!("date: {date}\r\n"), "")).await;
    let client = client(&server);
    let request = client.request(Method::GET, "/livez");
    assert_eq!(request.send_for_headers().await.unwrap()["date"], date);
}

#[tokio::test]
async fn an_empty_answer_reads_as_nothing() {
    let server = Server::start(|_| Reply::of(204, "", "")).await;
    client(&server).delete::<()>("/x").await.unwrap();
}

#[tokio::test]
async fn a_refusal_that_may_pass_is_tried_again_where_that_does_no_harm() {
    let keyed = |client: Client| async move {
        let request = client
            .request(Method::POST, "/x")
            .json(&1)
            .unwrap()
            .key("k")
            .unwrap();
        request.send::<Value>().await
    };
    let server = failing(2, overloaded).await;
    assert_eq!(
        client(&server).get::<Value>("/x").await.unwrap(),
        json!({"ok": true})
    );
    assert_eq!(server.asked().len(), 3);
    let server = failing(2, overloaded).await;
    assert_eq!(keyed(client(&server)).await.unwrap(), json!({"ok": true}));
    let server = failing(2, Reply::silence).await;
    assert_eq!(
        client(&server).put::<_, Value>("/x", &1).await.unwrap(),
        json!({"ok": true})
    );
}

#[tokio::test]
async fn a_call_that_acts_is_sent_once_and_its_refusal_comes_back_as_it_is() {
    let server = failing(1, overloaded).await;
    let error = client(&server)
        .post::<_, Value>("/x", &1)
        .await
        .unwrap_err();
    let problem = error.problem().unwrap();
    assert_eq!(
        (problem.status, &*problem.code, problem.retryable),
        (503, "stopped", true)
    );
    assert_eq!(server.asked(), ["POST /x"]);
}

#[tokio::test]
async fn tries_are_bounded() {
    let server = failing(usize::MAX, overloaded).await;
    client(&server).get::<Value>("/x").await.unwrap_err();
    assert_eq!(server.asked().len(), skep_client::TRIES_MAX as usize);
}

#[tokio::test]
async fn a_coordinator_that_is_not_there_is_named() {
    let server = Server::start(|_| Reply::silence()).await;
    let address = server.address.clone();
    drop(server);
    let client = Client::new(&address, None).unwrap();
    let error = client
        .request(Method::GET, "/x")
        .once()
        .send::<Value>()
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains(&address), "{error}");
}

#[tokio::test]
async fn a_silent_coordinator_is_not_waited_for_longer_than_was_said() {
    let server = Server::start(|_| Reply::Answer(b"HTTP/1.1 200 x\r\n".to_vec())).await;
    let client = client(&server);
    let request = client
        .request(Method::GET, "/x")
        .timeout(Duration::from_millis(50))
        .once();
    let error = request.send::<Value>().await.unwrap_err();
    assert!(
        matches!(error, ClientError::TimedOut { timeout_ms: 50, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn an_answer_of_another_shape_is_an_error() {
    let server = Server::start(|_| Reply::json("[]")).await;
    let error = client(&server).get::<u32>("/x").await.unwrap_err();
    assert!(
        matches!(error, ClientError::AnswerMalformed { .. }),
        "{error}"
    );
}
