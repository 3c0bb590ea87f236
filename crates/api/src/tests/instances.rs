//! The registry of nodes and agents.

use super::fixture::Coordinator;
use serde_json::{Value, json};

async fn names(coordinator: &Coordinator, query: &str) -> Vec<String> {
    let page = coordinator
        .get(&format!("/api/v2/instances{query}"))
        .await
        .ok();
    let items = page["items"].as_array().unwrap().iter();
    items
        .map(|item| {
            let text = |field: &str| item[field].as_str().unwrap().to_owned();
            format!("{} {} {}", text("kind"), text("name"), text("state"))
        })
        .collect()
}

#[tokio::test]
async fn nodes_and_agents_are_found_by_criteria_best_first() {
    let coordinator = Coordinator::start().await;
    let (node, agent) = coordinator.ready_node("one", 4).await;
    coordinator.agent(node, "helper").await;
    let able = json!({ "capabilities": { "rust": "expert" } });
    let path = format!("/api/v2/agents/{agent}");
    coordinator.call("PUT", &path, Some(able)).await.ok();
    assert_eq!(
        names(&coordinator, "?capability=rust").await,
        ["agent one idle"]
    );
    assert_eq!(
        names(&coordinator, "?capability=rust=specialist").await,
        [""; 0]
    );
    assert_eq!(names(&coordinator, "?kind=node").await, ["node one idle"]);
    assert_eq!(
        names(&coordinator, "?kind=agent&slots_free=2").await,
        ["agent one idle"]
    );
    coordinator
        .post(&format!("/api/v2/nodes/{node}/drain"), Value::Null)
        .await
        .ok();
    assert_eq!(
        names(&coordinator, "?kind=node").await,
        ["node one maintenance"]
    );
    let refused = coordinator
        .get("/api/v2/instances?capability=rust=godlike")
        .await;
    assert_eq!(refused.problem(), (400, "query_malformed".to_owned()));
}

#[tokio::test]
async fn a_busy_instance_is_told_from_one_with_room() {
    let coordinator = Coordinator::start().await;
    coordinator.ready_node("one", 2).await;
    let first = coordinator.submit("a", Value::Null).await;
    coordinator.granted(first).await;
    assert_eq!(names(&coordinator, "?kind=node").await, ["node one active"]);
    let second = coordinator.submit("b", Value::Null).await;
    coordinator.granted(second).await;
    assert_eq!(
        names(&coordinator, "?kind=node&state=busy").await,
        ["node one busy"]
    );
}

#[tokio::test]
async fn capabilities_are_listed_with_the_room_for_them() {
    let coordinator = Coordinator::start().await;
    let (_, agent) = coordinator.ready_node("one", 4).await;
    let able = json!({ "capabilities": { "rust": "expert", "sql": "basic" } });
    let path = format!("/api/v2/agents/{agent}");
    coordinator.call("PUT", &path, Some(able)).await.ok();
    let page = coordinator.get("/api/v2/capabilities").await.ok();
    let rust = &page["items"][0];
    assert_eq!(
        (&rust["name"], &rust["agents"]["expert"]),
        (&json!("rust"), &json!(1))
    );
    assert_eq!(rust["slots_free"], 4);
}

#[tokio::test]
async fn an_order_to_many_has_one_answer_for_each() {
    let coordinator = Coordinator::start().await;
    let (one, _) = coordinator.ready_node("one", 1).await;
    let (two, _) = coordinator.ready_node("two", 1).await;
    let path = "/api/v2/instances/broadcast";
    let all = json!({ "order": "drain" });
    let answers = coordinator.post(path, all).await.ok();
    let mut drained: Vec<&str> = answers["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["node"].as_str().unwrap())
        .collect();
    drained.sort_unstable();
    let mut both = [one.to_string(), two.to_string()];
    both.sort_unstable();
    assert_eq!(drained, both);
    assert_eq!(
        names(&coordinator, "?kind=node&state=maintenance")
            .await
            .len(),
        2
    );

    let named = json!({ "order": "resume", "instances": ["one", "nobody", "one"] });
    let answers = coordinator.post(path, named).await.ok();
    assert_eq!(answers["failed"], 1);
    let items = answers["items"].as_array().unwrap();
    assert_eq!(items.len(), 2, "each once: {answers}");
    let nobody = items.iter().find(|item| item["instance"] == "nobody");
    let error = &nobody.unwrap()["error"];
    assert_eq!(error["code"], "BROADCAST_FAILED");
    assert_eq!(error["retryable"], false, "{error}");
    assert_eq!(
        names(&coordinator, "?kind=node&state=idle").await,
        ["node one idle"]
    );

    let endless = json!({ "order": "drain", "timeout_ms": 0 });
    let refused = coordinator.post(path, endless).await;
    assert_eq!(refused.problem(), (422, "field_invalid".to_owned()));
}
