//! Seats of attached agents are no machines: figures about machines leave them out.

use super::fixture::Coordinator;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn an_attached_agent_is_not_measured_as_a_machine() {
    let coordinator = Coordinator::start().await;
    let session = coordinator.post("/api/v2/sessions", json!({ "name": "s" }));
    assert_eq!(session.await.ok()["state"], "idle");
    // Its tasks would be for a machine, and there is none.
    let measured = coordinator
        .post("/api/v2/system/benchmark", json!({ "suites": ["store"] }))
        .await;
    assert_eq!(measured.problem(), (409, "nodes_missing".to_owned()));
    let links = json!({ "suites": ["transport"] });
    let links = coordinator.post("/api/v2/system/benchmark", links).await;
    assert_eq!(links.ok()["transport"], json!([]));
    let found = coordinator.get("/api/v2/analysis/bottlenecks").await.ok();
    assert_eq!(found["figures"]["slots"], 0, "{found}");
    coordinator.ready_node("one", 4).await;
    let found = coordinator.get("/api/v2/analysis/bottlenecks").await.ok();
    assert_eq!(found["figures"]["slots"], 4, "{found}");
    let links = json!({ "suites": ["transport"] });
    let links = coordinator.post("/api/v2/system/benchmark", links).await;
    assert_eq!(links.ok()["transport"][0]["node"], "one");
}
