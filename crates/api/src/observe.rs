//! What happens around every request: identity, host check, metrics, problem documents.

use crate::failure::{self, Failure};
use crate::gate::Caller;
use crate::request_identity::{REQUEST_ID, RequestIdentity};
use crate::state::ApiState;
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::time::Instant;

/// The outermost layer.
pub(crate) async fn observe(State(api): State<ApiState>, request: Request, next: Next) -> Response {
    let start = Instant::now();
    let identity = RequestIdentity::of(request.headers(), request.uri().path(), &api.services);
    let method = request.method().clone();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "unmatched".to_owned(), |path| path.as_str().to_owned());
    let caller = request.extensions().get::<ConnectInfo<Caller>>();
    let is_plain = caller.is_some_and(|caller| caller.0.is_plain);
    let checked = api.guard.check(request.headers(), request.uri(), is_plain);
    let response = match checked {
        Ok(()) => next.run(request).await,
        Err(failure) => failure.into_response(),
    };
    log_failure(&response, &identity, &method);
    let mut response = failure::render(response, &identity);
    if let Ok(id) = HeaderValue::from_str(&identity.id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    api.metrics
        .answered(&method, route, response.status(), start.elapsed());
    response
}

/// The cause of a 500 was logged where it arose; this line ties it to the request id.
fn log_failure(response: &Response, identity: &RequestIdentity, method: &Method) {
    let Some(Failure(error)) = response.extensions().get::<Failure>() else {
        return;
    };
    let RequestIdentity {
        id: request_id,
        path,
    } = identity;
    if response.status().is_server_error() {
        tracing::warn!(%method, path, request_id, %error, "a request failed");
    } else {
        tracing::debug!(%method, path, request_id, %error, "a request was refused");
    }
}
