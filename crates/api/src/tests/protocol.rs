//! What is the same for all routes: errors, headers, limits.

use super::answer::request;
use super::fixture::Coordinator;
use axum::body::Body;
use axum::http::Request;
use serde_json::json;
use skep_model::token::Scope;
use skep_operations::{API_PREFIX, Shape};

#[tokio::test(flavor = "multi_thread")]
async fn unknown_routes_and_methods_are_problems_too() {
    let coordinator = Coordinator::start().await;
    let unknown = coordinator.get("/api/v2/nonsense").await;
    assert_eq!(unknown.problem(), (404, "route_unknown".to_owned()));
    let method = coordinator.call("PATCH", "/api/v2/tasks", None).await;
    assert_eq!(method.problem(), (405, "method_not_allowed".to_owned()));
    let allow = method
        .headers
        .get("allow")
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    assert!(allow.contains("GET") && allow.contains("POST"), "{allow}");
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_bodies_are_refused_by_every_operation_that_takes_json() {
    let coordinator = Coordinator::start().await;
    let id = "00000000000000000000000000";
    for operation in skep_operations::registry() {
        if !matches!(operation.input, Shape::Json(_)) {
            continue;
        }
        let group = operation
            .path
            .split('/')
            .nth(1)
            .unwrap()
            .trim_end_matches('s');
        let path = operation.path.replace("{source}", "session");
        let path = path.replace("{id}", &format!("{group}_{id}"));
        let path = format!("{API_PREFIX}{path}");
        for body in [
            "{",
            "[]",
            "null",
            "{\"no_such_key\": 1}",
            "\u{feff}{}",
            "{}x",
        ] {
            let request = Request::builder()
                .method(operation.method.as_str())
                .uri(&path)
                .header("host", "localhost")
                .header("authorization", format!("Bearer {}", coordinator.admin))
                .body(Body::from(body))
                .unwrap();
            let (status, code) = coordinator.send(request).await.problem();
            let expected = [
                (400, "body_malformed"),
                (422, "task_invalid"),
                (422, "plan_invalid"),
            ];
            assert!(
                expected.contains(&(status, &*code)),
                "{} {body}: {code}",
                operation.id
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_syntax_error_is_located() {
    let coordinator = Coordinator::start().await;
    let request = Request::post("/api/v2/tokens")
        .header("host", "localhost")
        .header("authorization", format!("Bearer {}", coordinator.admin))
        .body(Body::from("{\n  \"name\": nope\n}"))
        .unwrap();
    let answer = coordinator.send(request).await;
    assert_eq!(answer.problem().1, "body_malformed");
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("line 2 column"), "{detail}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_problem_names_the_request_and_what_to_do() {
    let coordinator = Coordinator::start().await;
    let mut request = request("GET", "/api/v2/tasks", None, None);
    request
        .headers_mut()
        .insert("x-request-id", "mine-1".parse().unwrap());
    let answer = coordinator.send(request).await;
    assert_eq!(answer.headers.get("x-request-id").unwrap(), "mine-1");
    assert!(answer.headers.contains_key("www-authenticate"));
    let body = answer.json();
    assert_eq!(body["request_id"], "mine-1");
    assert_eq!(body["instance"], "/api/v2/tasks");
    assert_eq!(body["type"], "/errors/token_missing");
    assert_eq!(body["retryable"], false);
    assert!(!body["hint"].as_str().unwrap().is_empty());
    let own = coordinator.get("/api/v2/tasks").await;
    let id = own
        .headers
        .get("x-request-id")
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    assert!(id.starts_with("req_"), "{id}");
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_hosts_origins_and_media_types_are_refused() {
    let coordinator = Coordinator::start().await;
    let mut rebound = request("GET", "/livez", None, None);
    rebound
        .headers_mut()
        .insert("host", "evil.example".parse().unwrap());
    assert_eq!(coordinator.send(rebound).await.problem().1, "host_refused");
    let mut foreign = request("GET", "/livez", None, None);
    foreign
        .headers_mut()
        .insert("origin", "http://evil.example".parse().unwrap());
    assert_eq!(
        coordinator.send(foreign).await.problem().1,
        "origin_refused"
    );
    let admin = Some(&*coordinator.admin);
    let mut form = request("POST", "/api/v2/tokens", admin, Some(json!({})));
    form.headers_mut()
        .insert("content-type", "text/plain".parse().unwrap());
    assert_eq!(
        coordinator.send(form).await.problem(),
        (415, "media_type_unsupported".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_above_the_limit_is_refused() {
    let coordinator = Coordinator::start().await;
    let mut large = request("POST", "/api/v2/tokens", Some(&coordinator.admin), None);
    *large.body_mut() = Body::from(vec![b' '; skep_model::limits::BODY_BYTES_MAX + 1]);
    assert_eq!(
        coordinator.send(large).await.problem(),
        (413, "body_too_large".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_openapi_need_no_token_and_metrics_do() {
    let coordinator = Coordinator::start().await;
    for path in [
        "/livez",
        "/readyz",
        "/healthz",
        "/readyz?verbose",
        "/openapi.json",
    ] {
        let answer = coordinator.send(request("GET", path, None, None)).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    }
    let verbose = coordinator
        .send(request("GET", "/readyz?verbose", None, None))
        .await
        .text();
    assert!(
        verbose.contains("ok log:") && verbose.contains("ok disk:"),
        "{verbose}"
    );
    let nobody = coordinator
        .send(request("GET", "/metrics", None, None))
        .await;
    assert_eq!(nobody.problem().1, "token_missing");
    coordinator.api.shutdown.cancel();
    let answer = coordinator
        .send(request("GET", "/readyz", None, None))
        .await;
    assert_eq!(
        (
            answer.status.as_u16(),
            answer.text().contains("shutting down")
        ),
        (503, true)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_tasks_commits_and_requests() {
    let coordinator = Coordinator::start().await;
    coordinator.submit("one", json!({})).await;
    let reader = coordinator.token(&[Scope::Read], None).await;
    let answer = coordinator
        .send(request("GET", "/metrics", Some(&reader), None))
        .await;
    let text = answer.text();
    for line in [
        "skep_tasks{state=\"ready\"} 1",
        "skep_submitted_total 1",
        "skep_finished_total{state=\"failed\"} 0",
        "skep_lease_expirations_total 0",
        "skep_fenced_writes_total 0",
        "skep_commit_duration_seconds_count",
        "skep_proposals_queued 0",
        "skep_http_requests_total{method=\"POST\",route=\"/api/v2/tasks\",status=\"201\"} 1",
    ] {
        assert!(text.contains(line), "`{line}` is missing in\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_and_body_are_one_submission() {
    let coordinator = Coordinator::start().await;
    let send = |key: &'static str, body| {
        let mut request = request(
            "POST",
            "/api/v2/tasks",
            Some(&coordinator.admin),
            Some(body),
        );
        request
            .headers_mut()
            .insert("idempotency-key", key.parse().unwrap());
        coordinator.send(request)
    };
    let first = send("\"k1\"", json!({"name": "a", "kind": "noop"}))
        .await
        .ok();
    let again = send("k1", json!({"kind": "noop", "name": "a"})).await.ok();
    assert_eq!(first["id"], again["id"]);
    let other = send("k1", json!({"name": "b", "kind": "noop"})).await;
    assert_eq!(other.problem(), (422, "idempotency_mismatch".to_owned()));
    let new = send("k2", json!({"name": "a", "kind": "noop"})).await.ok();
    assert_ne!(first["id"], new["id"]);
    let malformed = send("a b", json!({"name": "a", "kind": "noop"})).await;
    assert_eq!(
        malformed.problem(),
        (400, "idempotency_key_malformed".to_owned())
    );
    assert_eq!(coordinator.services().hive.view().state.task_count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_on_an_operation_that_cannot_keep_it_is_refused() {
    let coordinator = Coordinator::start().await;
    let body = json!({"name": "t", "scopes": ["read"]});
    let mut request = request(
        "POST",
        "/api/v2/tokens",
        Some(&coordinator.admin),
        Some(body),
    );
    request
        .headers_mut()
        .insert("idempotency-key", "k".parse().unwrap());
    let answer = coordinator.send(request).await;
    assert_eq!(
        answer.problem(),
        (400, "idempotency_key_unsupported".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_is_kept_or_made() {
    let coordinator = Coordinator::start().await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let body = Some(json!({"name": "a", "kind": "noop"}));
    let mut given = request("POST", "/api/v2/tasks", Some(&coordinator.admin), body);
    given
        .headers_mut()
        .insert("traceparent", trace.parse().unwrap());
    let task = coordinator.send(given).await.ok();
    assert_eq!(task["spec"]["trace_parent"], trace);
    let made = coordinator
        .post("/api/v2/tasks", json!({"name": "b", "kind": "noop"}))
        .await
        .ok();
    assert_eq!(
        made["spec"]["trace_parent"].as_str().unwrap().len(),
        trace.len()
    );
}
