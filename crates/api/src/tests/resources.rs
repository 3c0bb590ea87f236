//! Nodes, agents, tokens, artifacts, system.

use super::answer::request;
use super::fixture::Coordinator;
use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use skep_model::attempt::ArtifactHash;

#[tokio::test(flavor = "multi_thread")]
async fn nodes_are_shown_drained_resumed_and_removed_by_id_or_name() {
    let coordinator = Coordinator::start().await;
    let (node, _) = coordinator.ready_node("forge", 3).await;
    let list = coordinator.get("/api/v2/nodes?state=ready").await.ok();
    assert_eq!(list["items"][0]["id"], node.to_string());
    let drained = coordinator
        .post("/api/v2/nodes/forge/drain", json!({}))
        .await
        .ok();
    assert_eq!(
        (&drained["state"], &drained["drain_requested"]),
        (&json!("draining"), &json!(true))
    );
    let resumed = coordinator
        .post(&format!("/api/v2/nodes/{node}/resume"), json!({}))
        .await
        .ok();
    assert_eq!(resumed["state"], "ready");
    let removed = coordinator
        .call("DELETE", "/api/v2/nodes/forge", None)
        .await
        .ok();
    assert_eq!(removed["removed"], node.to_string());
    let gone = coordinator.get("/api/v2/nodes/forge").await;
    assert_eq!(gone.problem(), (404, "node_not_found".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_holds_an_attempt_is_not_removed() {
    let coordinator = Coordinator::start().await;
    coordinator.ready_node("forge", 1).await;
    let task = coordinator.submit("held", json!({})).await;
    coordinator.granted(task).await;
    let answer = coordinator
        .call("DELETE", "/api/v2/nodes/forge", None)
        .await;
    assert_eq!(answer.problem(), (409, "node_busy".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_are_made_changed_paused_and_deleted() {
    let coordinator = Coordinator::start().await;
    coordinator.ready_node("forge", 3).await;
    let body = json!({"name": "writer", "node": "forge", "capabilities": {"rust": "expert"}});
    let made = coordinator.post("/api/v2/agents", body.clone()).await.ok();
    assert_eq!(
        (&made["role"], &made["state"]),
        (&json!("worker"), &json!("idle"))
    );
    let again = coordinator.post("/api/v2/agents", body).await;
    assert_eq!(again.problem(), (409, "name_taken".to_owned()));
    let change = Some(json!({"paused": true, "slots": 2}));
    let changed = coordinator
        .call("PUT", "/api/v2/agents/writer", change)
        .await
        .ok();
    assert_eq!(
        (&changed["state"], &changed["slots"]),
        (&json!("paused"), &json!(2))
    );
    let health = coordinator.get("/api/v2/agents/writer/health").await.ok();
    assert_eq!(
        (&health["takes_work"], &health["success_rate"]),
        (&json!(false), &Value::Null)
    );
    let wrong = coordinator
        .call("PUT", "/api/v2/agents/writer", Some(json!({"slots": 0})))
        .await;
    assert_eq!(wrong.problem(), (422, "field_invalid".to_owned()));
    coordinator
        .call("DELETE", "/api/v2/agents/writer", None)
        .await
        .ok();
    let gone = coordinator.get("/api/v2/agents/writer").await;
    assert_eq!(gone.problem(), (404, "agent_not_found".to_owned()));
    let with_node = coordinator.get("/api/v2/agents").await.ok()["items"][0]["id"].clone();
    let path = format!("/api/v2/agents/{}", with_node.as_str().unwrap());
    let kept = coordinator.call("DELETE", &path, None).await;
    assert_eq!(kept.problem(), (409, "agent_comes_with_node".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_agents_hold_each_agent_once() {
    let coordinator = Coordinator::start().await;
    let (node, _) = coordinator.ready_node("forge", 3).await;
    for number in 0..7 {
        coordinator.agent(node, &format!("a{number}")).await;
    }
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = coordinator
            .get(&format!("/api/v2/agents?limit=3{cursor}"))
            .await
            .ok();
        let items = page["items"].as_array().unwrap();
        seen.extend(
            items
                .iter()
                .map(|agent| agent["id"].as_str().unwrap().to_owned()),
        );
        let Some(next) = page["next_cursor"].as_str() else {
            break;
        };
        cursor = format!("&cursor={next}");
    }
    let unique: std::collections::BTreeSet<_> = seen.iter().collect();
    assert_eq!((seen.len(), unique.len()), (8, 8));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_shows_its_secret_once_and_works_until_it_is_revoked() {
    let coordinator = Coordinator::start().await;
    let body = json!({"name": "reader", "scopes": ["read", "read"], "ttl_s": 3600});
    let made = coordinator.post("/api/v2/tokens", body).await;
    assert_eq!(made.status, 201);
    let made = made.ok();
    let secret = made["secret"].as_str().unwrap();
    assert!(
        secret.starts_with("swu1_") && secret.len() == 5 + 64,
        "{secret}"
    );
    assert_eq!(made["scopes"], json!(["read"]));
    let list = coordinator.get("/api/v2/tokens").await;
    assert!(!list.text().contains(secret), "the secret is listed");
    let read = || coordinator.send(request("GET", "/api/v2/tasks", Some(secret), None));
    assert_eq!(read().await.status, 200);
    let path = format!("/api/v2/tokens/{}", made["id"].as_str().unwrap());
    coordinator.call("DELETE", &path, None).await.ok();
    assert_eq!(read().await.problem(), (401, "token_unknown".to_owned()));
    let again = coordinator.call("DELETE", &path, None).await;
    assert_eq!(again.problem(), (404, "token_not_found".to_owned()));
}

async fn upload(coordinator: &Coordinator, path: &str, bytes: Vec<u8>) -> super::answer::Answer {
    let request = Request::put(path)
        .header("host", "localhost")
        .header("authorization", format!("Bearer {}", coordinator.admin))
        .body(Body::from(bytes))
        .unwrap();
    coordinator.send(request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_goes_on_where_it_broke_and_is_given_back_whole() {
    let coordinator = Coordinator::start().await;
    let bytes: Vec<u8> = (0..1_000_000_u32)
        .map(|number| (number % 251) as u8)
        .collect();
    let path = format!("/api/v2/artifacts/{}", ArtifactHash::of(&bytes));
    assert_eq!(coordinator.call("HEAD", &path, None).await.status, 404);
    let part = format!("{path}?total=1000000");
    let first = upload(&coordinator, &part, bytes[..400_000].to_vec()).await;
    assert_eq!(first.ok()["complete"], false);
    let head = coordinator.call("HEAD", &path, None).await;
    assert_eq!(
        (head.status.as_u16(), &head.headers["upload-offset"]),
        (204, &"400000".parse().unwrap())
    );
    let gap = upload(&coordinator, &format!("{path}?offset=500000"), vec![1]).await;
    assert_eq!(gap.problem(), (409, "upload_offset_mismatch".to_owned()));
    let mut rest = Request::put(&path)
        .header("host", "localhost")
        .header("authorization", format!("Bearer {}", coordinator.admin))
        .header("upload-offset", "400000")
        .body(Body::from(bytes[400_000..].to_vec()))
        .unwrap();
    rest.headers_mut()
        .insert("content-type", "application/octet-stream".parse().unwrap());
    assert_eq!(coordinator.send(rest).await.ok()["complete"], true);
    let head = coordinator.call("HEAD", &path, None).await;
    assert_eq!(
        (head.status.as_u16(), &head.headers["upload-complete"]),
        (200, &"?1".parse().unwrap())
    );
    let got = coordinator.get(&path).await;
    assert!(
        got.bytes == bytes,
        "{} of {} bytes",
        got.bytes.len(),
        bytes.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_with_another_hash_are_thrown_away() {
    let coordinator = Coordinator::start().await;
    let path = format!("/api/v2/artifacts/{}", ArtifactHash::of(b"right"));
    let wrong = upload(&coordinator, &path, b"wrong".to_vec()).await;
    assert_eq!(wrong.problem(), (422, "artifact_hash_mismatch".to_owned()));
    let got = coordinator.get(&path).await;
    assert_eq!(got.problem(), (404, "artifact_not_found".to_owned()));
    assert_eq!(
        upload(&coordinator, &path, b"right".to_vec()).await.ok()["complete"],
        true
    );
    let empty = format!("/api/v2/artifacts/{}", ArtifactHash::of(b""));
    assert_eq!(
        upload(&coordinator, &empty, Vec::new()).await.ok()["complete"],
        true
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_system_shows_its_state_and_examines_itself() {
    let coordinator = Coordinator::start().await;
    coordinator.ready_node("forge", 3).await;
    coordinator.submit("one", json!({})).await;
    let status = coordinator.get("/api/v2/system/status").await.ok();
    assert_eq!(
        (&status["nodes"]["ready"], &status["slots"]),
        (&json!(1), &json!(3))
    );
    assert_eq!(
        coordinator.get("/api/v2/system/health").await.ok()["ok"],
        true
    );
    let metrics = coordinator.get("/api/v2/system/metrics").await.ok();
    assert_eq!(metrics["tasks_submitted"], 1);
    let report = coordinator
        .post("/api/v2/system/diagnostics", json!({"full": true}))
        .await
        .ok();
    let names: Vec<_> = report["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|check| &check["name"])
        .collect();
    assert_eq!(names, ["log", "archive", "disk", "clock", "nodes", "store"]);
    assert_eq!(report["ok"], true, "{report}");
}
