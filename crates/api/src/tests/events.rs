//! The event stream in its three forms.

use super::answer::{Answer, request};
use super::fixture::Coordinator;
use axum::http::Request;
use futures_util::StreamExt;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use skep_model::attempt::Outcome;
use std::time::Duration;
use tower::ServiceExt;

const PATIENCE: Duration = Duration::from_secs(20);

/// A stream of server-sent events, read as it comes.
struct Stream {
    body: axum::body::BodyDataStream,
    text: String,
}

impl Stream {
    async fn open(
        coordinator: &Coordinator,
        path: &str,
        last: Option<&str>,
    ) -> Result<Self, Answer> {
        let mut request = request("GET", path, Some(&coordinator.admin), None);
        request
            .headers_mut()
            .insert("accept", "text/event-stream".parse().unwrap());
        if let Some(last) = last {
            request
                .headers_mut()
                .insert("last-event-id", last.parse().unwrap());
        }
        let response = coordinator.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        if !parts.status.is_success() {
            let bytes = body.collect().await.unwrap().to_bytes().to_vec();
            return Err(Answer {
                status: parts.status,
                headers: parts.headers,
                bytes,
            });
        }
        assert_eq!(parts.headers["content-type"], "text/event-stream");
        assert_eq!(parts.headers["x-accel-buffering"], "no");
        Ok(Self {
            body: body.into_data_stream(),
            text: String::new(),
        })
    }

    /// The next event as id, name and data; none at the end of the stream.
    async fn next(&mut self) -> Option<(String, String, Value)> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                let field = |name: &str| {
                    let found = event.lines().find_map(|line| line.strip_prefix(name));
                    found.map(|value| value.trim().to_owned())
                };
                let Some(data) = field("data:") else { continue };
                let data = serde_json::from_str(&data).unwrap();
                return Some((field("id:").unwrap(), field("event:").unwrap(), data));
            }
            let piece = tokio::time::timeout(PATIENCE, self.body.next())
                .await
                .unwrap()?;
            self.text
                .push_str(std::str::from_utf8(&piece.unwrap()).unwrap());
        }
    }

    async fn until(&mut self, name: &str, count: usize) -> Vec<String> {
        let mut ids = Vec::new();
        let mut found = 0;
        while found < count {
            let (id, event, _) = self.next().await.expect("the stream goes on");
            found += usize::from(event == name);
            ids.push(id);
        }
        ids
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_goes_on_without_gap_or_repetition() {
    let coordinator = Coordinator::start().await;
    let path = "/api/v2/events?after=0.0";
    let mut whole = Stream::open(&coordinator, path, None).await.unwrap();
    let mut broken = Stream::open(&coordinator, path, None).await.unwrap();
    for number in 0..5 {
        coordinator.submit(&format!("a{number}"), json!({})).await;
    }
    let mut pieces = broken.until("task_submitted", 3).await;
    drop(broken);
    for number in 0..5 {
        coordinator.submit(&format!("b{number}"), json!({})).await;
    }
    let last = pieces.last().unwrap().clone();
    let mut resumed = Stream::open(&coordinator, path, Some(&last)).await.unwrap();
    pieces.extend(resumed.until("task_submitted", 7).await);
    let all = whole.until("task_submitted", 10).await;
    assert_eq!(pieces, all);
    let unique: std::collections::BTreeSet<_> = all.iter().collect();
    assert_eq!(unique.len(), all.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_without_a_cursor_starts_now_and_ends_with_the_server() {
    let coordinator = Coordinator::start().await;
    coordinator.submit("before", json!({})).await;
    let mut stream = Stream::open(&coordinator, "/api/v2/events", None)
        .await
        .unwrap();
    coordinator.submit("after", json!({})).await;
    let (_, name, data) = stream.next().await.unwrap();
    assert_eq!(
        (&*name, &data["data"]["name"]),
        ("task_submitted", &json!("after"))
    );
    coordinator.api.shutdown.cancel();
    while stream.next().await.is_some() {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_gives_the_events_of_its_task_only() {
    let coordinator = Coordinator::start().await;
    coordinator.ready_node("forge", 4).await;
    let wanted = coordinator.submit("wanted", json!({})).await;
    let other = coordinator.submit("other", json!({})).await;
    coordinator.finish(other, Outcome::Completed).await;
    coordinator.finish(wanted, Outcome::Completed).await;
    let page = coordinator
        .get(&format!("/api/v2/events?task={wanted}"))
        .await
        .ok();
    let items = page["items"].as_array().unwrap();
    assert!(
        items
            .iter()
            .all(|event| event["task"] == wanted.to_string()),
        "{page}"
    );
    let names: Vec<_> = items
        .iter()
        .map(|event| event["event"].as_str().unwrap())
        .collect();
    assert_eq!(
        (names.first(), names.last()),
        (Some(&"task_submitted"), Some(&"task_finished"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_events_join_up_and_a_wait_ends_with_the_first_event() {
    let coordinator = Coordinator::start().await;
    for number in 0..6 {
        coordinator.submit(&format!("t{number}"), json!({})).await;
    }
    let all = coordinator.get("/api/v2/events?limit=1000").await.ok();
    let mut joined = Vec::new();
    let mut after = "0.0".to_owned();
    loop {
        let page = coordinator
            .get(&format!("/api/v2/events?limit=2&after={after}"))
            .await
            .ok();
        let items = page["items"].as_array().unwrap().clone();
        after = page["next_cursor"].as_str().unwrap().to_owned();
        if items.is_empty() {
            break;
        }
        joined.extend(items);
    }
    assert_eq!(Value::Array(joined), all["items"]);
    let path = format!("/api/v2/events?wait=20&after={after}");
    let (waited, _) = tokio::join!(coordinator.get(&path), coordinator.submit("new", json!({})));
    assert_eq!(waited.ok()["items"][0]["data"]["name"], "new");
    let malformed = coordinator.get("/api/v2/events?after=soon").await;
    assert_eq!(malformed.problem(), (400, "cursor_malformed".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_archive_gives_events_from_before_a_restart() {
    let coordinator = Coordinator::start().await;
    for number in 0..4 {
        coordinator.submit(&format!("t{number}"), json!({})).await;
    }
    let before = coordinator.get("/api/v2/events?limit=1000").await.ok()["items"].clone();
    let coordinator = coordinator.restart().await;
    let after = coordinator.get("/api/v2/events?limit=1000").await.ok()["items"].clone();
    let before = before.as_array().unwrap();
    assert_eq!(&after.as_array().unwrap()[..before.len()], &before[..]);
    let status = coordinator.get("/api/v2/system/status").await.ok();
    let cursor = status["events_cursor"].as_str().unwrap();
    let next = coordinator
        .get(&format!("/api/v2/events?after={cursor}"))
        .await
        .ok();
    assert_eq!(next["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_request_on_a_websocket_route_is_told_so() {
    let coordinator = Coordinator::start().await;
    for path in ["/swarm/realtime", "/mcpx"] {
        let answer = coordinator.get(path).await;
        assert_eq!(
            answer.problem(),
            (400, "header_malformed".to_owned()),
            "{path}"
        );
        let nobody = Request::get(path)
            .header("host", "localhost")
            .body(axum::body::Body::empty());
        let answer = coordinator.send(nobody.unwrap()).await;
        assert_eq!(
            answer.problem(),
            (401, "token_missing".to_owned()),
            "{path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_on_in_the_middle_of_an_entry_that_left_memory_skips_nothing() {
    let coordinator = Coordinator::start().await;
    let tasks = json!({"tasks": [
        {"name": "a", "kind": "noop"}, {"name": "b", "kind": "noop"}, {"name": "c", "kind": "noop"}
    ]});
    coordinator
        .call("POST", "/api/v2/tasks/batch", Some(tasks))
        .await
        .ok();
    let cursors = |page: &Value| -> Vec<String> {
        let items = page["items"].as_array().unwrap();
        let cursor = |item: &Value| item["cursor"].as_str().unwrap().to_owned();
        items.iter().map(cursor).collect()
    };
    let page = coordinator.get("/api/v2/events?after=0.0").await.ok();
    let all = cursors(&page);
    let (first, rest) = (&all[all.len() - 3], &all[all.len() - 2..]);
    // A clean stop leaves nothing in memory; the next entry is the first one there.
    let coordinator = coordinator.restart().await;
    coordinator.submit("later", json!({})).await;
    let page = coordinator
        .get(&format!("/api/v2/events?after={first}"))
        .await
        .ok();
    assert!(cursors(&page).starts_with(rest), "{page}");
}

/// A cursor that this swarm never gave out: after a backup was restored, or from another swarm.
#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_from_the_future_is_refused_in_every_form_of_the_stream() {
    let coordinator = Coordinator::start().await;
    for future in ["99999.0", "18446744073709551615.0", "99999.4294967295"] {
        let path = format!("/api/v2/events?after={future}");
        let answer = coordinator.get(&path).await;
        assert_eq!(answer.problem(), (410, "cursor_ahead".to_owned()));
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(future), "{detail}");
        let stream = Stream::open(&coordinator, &path, None).await;
        let answer = stream.err().expect("the stream is refused");
        assert_eq!(answer.problem(), (410, "cursor_ahead".to_owned()));
        // Who comes back with an id is told in the stream, which then goes on from now.
        let mut stream = Stream::open(&coordinator, "/api/v2/events", Some(future))
            .await
            .unwrap();
        let (id, name, data) = stream.next().await.unwrap();
        assert_eq!((&*name, &data["code"]), ("resync", &json!("cursor_ahead")));
        assert_ne!(id, future);
        coordinator.submit("after", json!({})).await;
        let (_, name, data) = stream.next().await.unwrap();
        assert_eq!(
            (&*name, &data["data"]["name"]),
            ("task_submitted", &json!("after"))
        );
    }
}

/// Events are given out once they are durable: a cursor that was given out is good after a
/// restart, the newest one too, and also when the coordinator had nothing to do since.
#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_that_was_given_out_is_good_after_a_restart() {
    let mut coordinator = Coordinator::start().await;
    for round in 0..3 {
        coordinator.submit(&format!("t{round}"), json!({})).await;
        let page = coordinator.get("/api/v2/events?limit=1000").await.ok();
        let last = page["items"].as_array().unwrap().last().unwrap()["cursor"].clone();
        let status = coordinator.get("/api/v2/system/status").await.ok();
        coordinator = coordinator.restart().await;
        for cursor in [&last, &page["next_cursor"], &status["events_cursor"]] {
            let cursor = cursor.as_str().unwrap();
            let path = format!("/api/v2/events?after={cursor}");
            coordinator.get(&path).await.ok();
            Stream::open(&coordinator, &path, None).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_shared_memory_are_followed_by_pattern_and_from_any_cursor() {
    let coordinator = Coordinator::start().await;
    let put = |namespace: &str, key: &str| {
        let path = format!("/api/v2/memory/{namespace}/{key}");
        let body = json!({"value": 1, "if_absent": true});
        async { coordinator.call("PUT", &{ path }, Some(body)).await }
    };
    let path = "/api/v2/events?namespace=swarm&key=plan/*";
    let mut stream = Stream::open(&coordinator, path, None).await.unwrap();
    for (namespace, key) in [("swarm", "plan%2Fa"), ("other", "plan%2Fb"), ("swarm", "x")] {
        put(namespace, key).await.ok();
    }
    let refused = put("swarm", "plan%2Fa").await;
    assert_eq!(refused.problem().1, "memory_version_conflict");
    coordinator
        .call("DELETE", "/api/v2/memory/swarm/plan%2Fa", None)
        .await
        .ok();
    put("swarm", "plan%2Fc").await.ok();
    let mut seen = Vec::new();
    for _ in 0..3 {
        let (id, name, data) = stream.next().await.unwrap();
        seen.push((id, name, data["data"]["key"].as_str().unwrap().to_owned()));
    }
    let kinds: Vec<_> = seen
        .iter()
        .map(|(_, name, key)| (name.as_str(), key.as_str()))
        .collect();
    assert_eq!(
        kinds,
        [
            ("memory_written", "plan/a"),
            ("memory_deleted", "plan/a"),
            ("memory_written", "plan/c"),
        ]
    );
    let mut resumed = Stream::open(&coordinator, path, Some(&seen[0].0))
        .await
        .unwrap();
    assert_eq!(resumed.next().await.unwrap().1, "memory_deleted");
    let listed = coordinator
        .get("/api/v2/events?namespace=*&key=plan/b")
        .await
        .ok();
    assert_eq!(listed["items"][0]["data"]["namespace"], "other");
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
}
