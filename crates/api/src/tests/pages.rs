//! Listings page by page.

use super::fixture::Coordinator;
use super::work::id_of;
use serde_json::json;
use skep_model::attempt::Outcome;
use std::collections::BTreeSet;

/// Follows the cursors of a listing; gives the ids in the order in which they came.
async fn all_pages(coordinator: &Coordinator, path: &str) -> Vec<String> {
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = coordinator.get(&format!("{path}{cursor}")).await.ok();
        for item in page["items"].as_array().unwrap() {
            seen.push(item["id"].as_str().unwrap().to_owned());
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return seen,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_hold_every_task_once_live_and_final() {
    let coordinator = Coordinator::start().await;
    coordinator.ready_node("forge", 100).await;
    let mut all = BTreeSet::new();
    for number in 0..9 {
        let task = coordinator
            .submit(&format!("done{number}"), json!({}))
            .await;
        coordinator.finish(task, Outcome::Completed).await;
        all.insert(task.to_string());
    }
    coordinator.archived(9).await;
    coordinator
        .post("/api/v2/nodes/forge/drain", json!({}))
        .await
        .ok();
    for number in 0..8 {
        let labels = json!({"labels": {"half": format!("{}", number % 2)}});
        all.insert(
            coordinator
                .submit(&format!("live{number}"), labels)
                .await
                .to_string(),
        );
    }
    for limit in [1, 2, 3, 8, 9, 17, 100] {
        let seen = all_pages(&coordinator, &format!("/api/v2/tasks?limit={limit}")).await;
        let unique: BTreeSet<_> = seen.iter().cloned().collect();
        assert_eq!((seen.len(), &unique), (17, &all), "limit {limit}");
        let mut newest_first = seen[..8].to_vec();
        newest_first.sort_by(|left, right| right.cmp(left));
        assert_eq!(seen[..8], newest_first, "limit {limit}");
    }
    for (filter, count) in [
        ("state=succeeded", 9),
        ("state=ready", 8),
        ("name=live", 8),
        ("label=half%3D1", 4),
        ("label=half", 8),
        ("search=done3", 1),
    ] {
        let seen = all_pages(&coordinator, &format!("/api/v2/tasks?limit=2&{filter}")).await;
        assert_eq!(seen.len(), count, "{filter}: {seen:?}");
    }
    let nonsense = coordinator.get("/api/v2/tasks?cursor=nonsense").await;
    assert_eq!(nonsense.problem(), (400, "cursor_malformed".to_owned()));
    let limit = coordinator.get("/api/v2/tasks?limit=0").await;
    assert_eq!(limit.problem(), (400, "query_malformed".to_owned()));
}

/// Whatever ends or comes between two pages: what was there before the first page is seen.
#[tokio::test(flavor = "multi_thread")]
async fn tasks_that_change_between_pages_are_still_seen() {
    let coordinator = Coordinator::start().await;
    coordinator.ready_node("forge", 100).await;
    for seed in 0..6_u64 {
        let mut live = Vec::new();
        for number in 0..10 {
            live.push(
                coordinator
                    .submit(&format!("s{seed}-{number}"), json!({}))
                    .await,
            );
        }
        let before: BTreeSet<_> = all_pages(&coordinator, "/api/v2/tasks?limit=1000")
            .await
            .into_iter()
            .collect();
        let mut seen = BTreeSet::new();
        let mut cursor = String::new();
        for step in seed.. {
            let page = coordinator
                .get(&format!("/api/v2/tasks?limit=3{cursor}"))
                .await
                .ok();
            let items = page["items"].as_array().unwrap();
            seen.extend(
                items
                    .iter()
                    .map(|task| task["id"].as_str().unwrap().to_owned()),
            );
            let Some(next) = page["next_cursor"].as_str() else {
                break;
            };
            cursor = format!("&cursor={next}");
            // Spread over old and new tasks by the step, so that both sides of the cursor move.
            if !live.is_empty() {
                let task = live.remove((step * 7 % live.len() as u64) as usize);
                coordinator.finish(task, Outcome::Completed).await;
            }
            if step % 3 == 0 {
                coordinator
                    .submit(&format!("new{seed}-{step}"), json!({}))
                    .await;
            }
        }
        let missed: Vec<_> = before.difference(&seen).collect();
        assert!(missed.is_empty(), "seed {seed}: {missed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_hold_every_run_once() {
    let coordinator = Coordinator::start().await;
    coordinator.ready_node("forge", 100).await;
    let plan = "{name: small, tasks: {only: {kind: noop}}}";
    for number in 0..7 {
        let run = coordinator
            .post("/api/v2/runs", json!({"plan": plan}))
            .await
            .ok();
        if number % 2 == 0 {
            coordinator
                .finish(id_of(&run, "only"), Outcome::Completed)
                .await;
        }
    }
    coordinator.archived(4).await;
    for limit in [1, 2, 3, 7] {
        let seen = all_pages(&coordinator, &format!("/api/v2/runs?limit={limit}")).await;
        let unique: BTreeSet<_> = seen.iter().collect();
        assert_eq!((seen.len(), unique.len()), (7, 7), "limit {limit}");
    }
}
