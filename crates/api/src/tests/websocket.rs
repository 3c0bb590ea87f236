//! The event stream as a WebSocket.

use super::fixture::Coordinator;
use futures_util::StreamExt;
use serde_json::{Value, json};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

/// The first messages of the WebSocket with this query.
async fn told_by_websocket(coordinator: &Coordinator, query: &str, count: usize) -> Vec<Value> {
    use tokio_tungstenite::tungstenite::client::IntoClientRequest;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = tokio_util::sync::CancellationToken::new();
    let mut serving = tokio::task::JoinSet::new();
    serving.spawn(crate::serve(
        vec![listener],
        None,
        coordinator.api.clone(),
        stop.clone(),
    ));
    let mut upgrade = format!("ws://{address}/swarm/realtime?{query}")
        .into_client_request()
        .unwrap();
    let bearer = format!("Bearer {}", coordinator.admin).parse().unwrap();
    upgrade.headers_mut().insert("authorization", bearer);
    let (mut socket, _) = tokio_tungstenite::connect_async(upgrade).await.unwrap();
    let mut told = Vec::new();
    while told.len() < count {
        let message = tokio::time::timeout(PATIENCE, socket.next()).await.unwrap();
        if let Ok(text) = message.unwrap().unwrap().into_text()
            && text.starts_with('{')
        {
            told.push(serde_json::from_str(&text).unwrap());
        }
    }
    drop(socket);
    stop.cancel();
    serving.join_all().await;
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_with_a_cursor_from_the_future_is_told_to_start_again() {
    let coordinator = Coordinator::start().await;
    let first = told_by_websocket(&coordinator, "after=99999.0", 1).await;
    assert_eq!(
        (&first[0]["event"], &first[0]["code"]),
        (&json!("resync"), &json!("cursor_ahead"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_follows_shared_memory_by_pattern_from_a_cursor() {
    let coordinator = Coordinator::start().await;
    for key in ["plan%2Fa", "x", "plan%2Fb"] {
        let path = format!("/api/v2/memory/swarm/{key}");
        let body = Some(json!({"value": 1}));
        coordinator.call("PUT", &path, body).await.ok();
    }
    let query = "after=0.0&namespace=swarm&key=plan/*";
    let told = told_by_websocket(&coordinator, query, 2).await;
    let keys: Vec<_> = told.iter().map(|event| &event["data"]["key"]).collect();
    assert_eq!(keys, ["plan/a", "plan/b"]);
    let resumed = format!(
        "after={}&namespace=swarm&key=plan/*",
        told[0]["cursor"].as_str().unwrap()
    );
    let resumed = told_by_websocket(&coordinator, &resumed, 1).await;
    assert_eq!(resumed[0]["data"]["key"], "plan/b");
}
