//! `/livez` and `/readyz`: without a token, without secrets.

use crate::dispatch::text;
use crate::state::ApiState;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use skep_operations::system::{Check, readiness};
use std::fmt::Write as _;

/// The process answers.
pub(crate) async fn live() -> Response {
    std::future::ready(text(StatusCode::OK, "ok\n")).await
}

/// The coordinator takes commands; with `?verbose` says what was checked.
pub(crate) async fn ready(State(api): State<ApiState>, RawQuery(query): RawQuery) -> Response {
    let mut checks = readiness(&api.services).await;
    checks.push(Check::new(
        "serving",
        !api.shutdown.is_cancelled(),
        if api.shutdown.is_cancelled() {
            "shutting down"
        } else {
            "accepts requests"
        },
    ));
    let ready = checks.iter().all(|check| check.ok);
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let verbose =
        query.is_some_and(|query| query.split('&').any(|part| part.starts_with("verbose")));
    let mut body = String::new();
    for check in checks.iter().filter(|check| verbose || !check.ok) {
        let mark = if check.ok { "ok" } else { "failed" };
        writeln!(body, "{mark} {}: {}", check.name, check.detail).expect("writing to memory");
    }
    body.push_str(if ready { "ready\n" } else { "not ready\n" });
    text(status, body)
}
