//! Requests that cannot be read: each is refused by name, as a problem document.

use super::answer::{Answer, request};
use super::fixture::Coordinator;
use axum::body::Body;
use axum::http::{HeaderValue, Request};
use serde_json::json;
use skep_model::limits;
use skep_operations::API_PREFIX;

/// Headers to add, with values that need not be text.
type Headers<'a> = &'a [(&'static str, &'a [u8])];

fn with_headers(mut request: Request<Body>, headers: Headers<'_>) -> Request<Body> {
    for (name, value) in headers {
        let value = HeaderValue::from_bytes(value).unwrap();
        request.headers_mut().append(*name, value);
    }
    request
}

#[track_caller]
fn assert_detail(answer: &Answer, expected: (u16, &str), parts: &[&str]) {
    assert_eq!(answer.problem(), (expected.0, expected.1.to_owned()));
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    for part in parts {
        assert!(detail.contains(part), "`{part}` is missing in: {detail}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_is_not_utf_8_is_a_problem_on_every_route() {
    let coordinator = Coordinator::start().await;
    let mut seen = 0;
    for operation in skep_operations::registry() {
        let Some((before, rest)) = operation.path.split_once('{') else {
            continue;
        };
        let (_, after) = rest.split_once('}').unwrap();
        let path = format!("{API_PREFIX}{before}%ff%fe{after}").replace("{attempt}", "1");
        let method = operation.method.as_str();
        let answer = coordinator.call(method, &path, None).await;
        seen += 1;
        if method == "HEAD" {
            // Its answers have no body.
            assert_eq!(answer.status, 400);
            assert_eq!(answer.headers["content-type"], "application/problem+json");
            continue;
        }
        assert_eq!(
            answer.problem(),
            (400, "query_malformed".to_owned()),
            "{operation:?}"
        );
        let id = answer.json()["request_id"].as_str().unwrap().to_owned();
        assert_eq!(answer.headers["x-request-id"], *id);
        let nobody = coordinator.send(request(method, &path, None, None)).await;
        assert_eq!(nobody.problem(), (401, "token_missing".to_owned()));
    }
    assert!(seen > 10, "only {seen} routes have parameters");
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_paths_and_methods_are_problems_on_every_route() {
    let coordinator = Coordinator::start().await;
    for path in [
        "/api/v2/tasks/",
        "/api/v2/tasks/a/b/c",
        "//",
        "/%ff",
        "/api/v2/%ff%fe",
    ] {
        let answer = coordinator.get(path).await;
        assert_eq!(
            answer.problem(),
            (404, "route_unknown".to_owned()),
            "{path}"
        );
    }
    let own = [
        "/livez",
        "/readyz",
        "/metrics",
        "/openapi.json",
        "/mcpx",
        "/api/v2/calls",
        "/swarm/realtime",
    ];
    let paths = skep_operations::registry()
        .into_iter()
        .map(|operation| format!("{API_PREFIX}{}", operation.path))
        .chain(own.map(str::to_owned));
    for path in paths {
        let path = path.replace(['{', '}'], "");
        for method in ["PATCH", "TRACE", "OPTIONS"] {
            let answer = coordinator.call(method, &path, None).await;
            assert_eq!(
                answer.problem(),
                (405, "method_not_allowed".to_owned()),
                "{method} {path}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_header_of_an_upload_is_refused_and_stores_nothing() {
    let coordinator = Coordinator::start().await;
    let path = format!("/api/v2/artifacts/{}", blake3::hash(b"bytes").to_hex());
    let cases: [Headers<'_>; 8] = [
        &[("upload-offset", b"abc")],
        &[("upload-offset", b"-1")],
        &[("upload-offset", b"+0")],
        &[("upload-offset", b"")],
        &[("upload-offset", b"\xff")],
        &[("upload-length", b"99999999999999999999")],
        &[("upload-offset", b"0"), ("upload-offset", b"0")],
        &[("upload-length", b"5"), ("upload-length", b"6")],
    ];
    for headers in cases {
        let mut put = request("PUT", &path, Some(&coordinator.admin), None);
        *put.body_mut() = Body::from("bytes");
        let answer = coordinator.send(with_headers(put, headers)).await;
        let name = if headers[0].0 == "upload-offset" {
            "`Upload-Offset`"
        } else {
            "`Upload-Length`"
        };
        assert_detail(&answer, (400, "header_malformed"), &[name]);
    }
    let status = coordinator.call("HEAD", &path, None).await;
    assert_eq!(status.status, 404);
    let put = |headers: Headers<'_>| {
        let mut put = request("PUT", &path, Some(&coordinator.admin), None);
        *put.body_mut() = Body::from("bytes");
        coordinator.send(with_headers(put, headers))
    };
    let huge = (limits::ARTIFACT_BYTES_MAX + 1).to_string();
    let answer = put(&[("upload-length", huge.as_bytes())]).await;
    assert_detail(
        &answer,
        (413, "artifact_too_large"),
        &["ARTIFACT_BYTES_MAX"],
    );
    let answer = put(&[("upload-offset", b"0"), ("upload-length", b"5")]).await;
    assert_eq!(answer.ok()["complete"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parameter_that_cannot_be_read_is_named_with_its_value_and_what_it_should_be() {
    let coordinator = Coordinator::start().await;
    let task = coordinator.submit("one", json!({})).await;
    let logs = format!("tasks/{task}/logs");
    for (path, parts) in [
        (
            "tasks?limit=abc".to_owned(),
            vec!["`limit` is `abc`; want a whole number from 1 to 1000"],
        ),
        (
            "tasks?limit=0".to_owned(),
            vec!["`limit` is `0`; want a whole number from 1 to 1000"],
        ),
        (
            "events?limit=-1".to_owned(),
            vec!["`limit` is `-1`; want a whole number from 1 to 1000"],
        ),
        (
            "tasks?state=done".to_owned(),
            vec!["`state` is `done`; want one of", "`succeeded`"],
        ),
        (
            "tasks?run=x".to_owned(),
            vec!["parameter `run`: `x` is not a run id"],
        ),
        (
            "tasks/x".to_owned(),
            vec!["parameter `id`: `x` is not a task id"],
        ),
        (
            format!("{logs}?follow=yes"),
            vec!["`follow` is `yes`; want `true` or `false`"],
        ),
        (
            format!("{logs}?attempt=4294967296"),
            vec!["`attempt` is `4294967296`; want a whole number from 1 to 4294967295"],
        ),
        (
            "tasks?limt=7".to_owned(),
            vec!["`limt` is not a parameter", "`limit`"],
        ),
        (
            "tokens?limit=7".to_owned(),
            vec!["`limit` is not a parameter", "takes none"],
        ),
        (
            "tasks?limit=1&limit=2".to_owned(),
            vec!["`limit` is given 2 times"],
        ),
        (
            format!("tasks/{task}?id={task}"),
            vec!["`id` is given 2 times"],
        ),
    ] {
        let answer = coordinator.get(&format!("/api/v2/{path}")).await;
        assert_detail(&answer, (400, "query_malformed"), &parts);
    }
    let path = format!("/api/v2/tasks/{task}/attempts/1/log");
    let missing = coordinator.call("PUT", &path, None).await;
    let parts = ["`offset` is missing; want a whole number"];
    assert_detail(&missing, (400, "query_malformed"), &parts);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_that_must_be_one_is_refused_when_it_comes_twice() {
    let coordinator = Coordinator::start().await;
    let post = || {
        let body = json!({"name": "a", "kind": "noop"});
        request(
            "POST",
            "/api/v2/tasks",
            Some(&coordinator.admin),
            Some(body),
        )
    };
    let bearer = format!("Bearer {}", coordinator.admin);
    let cases: [(&str, Headers<'_>); 4] = [
        (
            "`Idempotency-Key`",
            &[("idempotency-key", b"a"), ("idempotency-key", b"b")],
        ),
        ("`Authorization`", &[("authorization", bearer.as_bytes())]),
        (
            "`If-Match`",
            &[("if-match", b"\"a\""), ("if-match", b"\"b\"")],
        ),
        ("`Host`", &[("host", b"evil.example")]),
    ];
    for (name, headers) in cases {
        let answer = coordinator.send(with_headers(post(), headers)).await;
        let parts = [name, "is given 2 times"];
        assert_detail(&answer, (400, "header_malformed"), &parts);
    }
    assert_eq!(coordinator.services().hive.view().state.task_count(), 0);
    let trace = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let twice = with_headers(post(), &[("traceparent", trace), ("traceparent", trace)]);
    let task = coordinator.send(twice).await.ok();
    let made = task["spec"]["trace_parent"].as_str().unwrap();
    assert!(!made.contains("0af7651916cd43dd8448eb211c80319c"), "{made}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_cannot_be_read_does_not_let_the_change_through() {
    let coordinator = Coordinator::start().await;
    let task = coordinator.submit("one", json!({})).await;
    let path = format!("/api/v2/tasks/{task}");
    let body = json!({"priority": 9});
    let change = request("PUT", &path, Some(&coordinator.admin), Some(body));
    let answer = coordinator
        .send(with_headers(change, &[("if-match", b"\"\xff\"")]))
        .await;
    assert_detail(&answer, (400, "header_malformed"), &["`If-Match`"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_that_no_task_can_have_is_refused() {
    let coordinator = Coordinator::start().await;
    for label in ["", "%3D", "%3Dvalue", "a%00b"] {
        let answer = coordinator
            .get(&format!("/api/v2/tasks?label={label}"))
            .await;
        let parts = ["`label`", "`KEY` or `KEY=VALUE`"];
        assert_detail(&answer, (400, "query_malformed"), &parts);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lifetime_beyond_the_limit_is_refused_by_name() {
    let coordinator = Coordinator::start().await;
    let make = |ttl: u64| {
        let body = json!({"name": "t", "scopes": ["read"], "ttl_s": ttl});
        coordinator.post("/api/v2/tokens", body)
    };
    let longest = 10 * 365 * 24 * 3_600;
    for ttl in [longest + 1, u64::MAX] {
        let parts = ["`ttl_s`", "TOKEN_TTL_S_MAX", &longest.to_string()];
        assert_detail(&make(ttl).await, (422, "limit_exceeded"), &parts);
    }
    assert_detail(&make(0).await, (422, "field_invalid"), &["`ttl_s`"]);
    let made = make(longest).await.ok();
    let year = &made["expires_at"].as_str().unwrap()[..2];
    assert_eq!(year, "20");
}

#[tokio::test(flavor = "multi_thread")]
async fn ending_a_token_that_is_not_there_is_not_found_and_a_malformed_id_is_malformed() {
    let coordinator = Coordinator::start().await;
    let unknown = "/api/v2/tokens/token_00000000000000000000000000";
    let answer = coordinator.call("DELETE", unknown, None).await;
    assert_detail(&answer, (404, "token_not_found"), &["token_0000"]);
    let malformed = coordinator.call("DELETE", "/api/v2/tokens/x", None).await;
    let parts = ["parameter `id`: `x` is not a token id"];
    assert_detail(&malformed, (400, "query_malformed"), &parts);
}
