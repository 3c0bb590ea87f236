//! Turns a request into a call of its operation, and the reply into a response.

use crate::authenticate;
use crate::event_stream;
use crate::failure::Failure;
use crate::request_identity::{self, single};
use crate::state::ApiState;
use axum::body::Body;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use skep_model::limits;
use skep_operations::{
    Context, ErrorCode, Operation, OperationError, PathParameters, Repetition, Reply, ReplyBody,
    RequestBody, Shape,
};
use std::sync::Arc;

const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("upload-length");

/// Serves one request to an operation.
pub(crate) async fn serve(
    api: ApiState,
    operation: Arc<Operation>,
    parameters: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
) -> Response {
    let path = path(parameters);
    match call(&api, &operation, path, request).await {
        Ok(response) => response,
        Err(failure) => failure.into_response(),
    }
}

fn path(
    parameters: Result<RawPathParams, RawPathParamsRejection>,
) -> Result<PathParameters, Failure> {
    let parameters = parameters.map_err(|rejection| {
        let detail = format!(
            "the path cannot be decoded: {}; want UTF-8 in percent codes",
            rejection.body_text()
        );
        Failure::new(ErrorCode::QueryMalformed, detail)
    })?;
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    Ok(parameters.iter().map(owned).collect())
}

/// The query, with what uploads say in headers.
fn query(operation: &Operation, request: &Request) -> Result<String, Failure> {
    let mut query = request.uri().query().unwrap_or_default().to_owned();
    if !matches!(operation.input, Shape::Bytes(_)) {
        return Ok(query);
    }
    for (header, title, name) in [
        (UPLOAD_OFFSET, "Upload-Offset", "offset"),
        (UPLOAD_LENGTH, "Upload-Length", "total"),
    ] {
        if let Some(text) = single(request.headers(), &header, title)? {
            let number = whole_number(text).ok_or_else(|| {
                let detail = format!("`{title}` is `{text}`; want a whole number of bytes");
                Failure::new(ErrorCode::HeaderMalformed, detail)
            })?;
            let separator = if query.is_empty() { "" } else { "&" };
            query.extend([separator, name, "=", &number.to_string()]);
        }
    }
    Ok(query)
}

/// Digits only: the standard library would take a sign too.
fn whole_number(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

async fn call(
    api: &ApiState,
    operation: &Operation,
    path: Result<PathParameters, Failure>,
    request: Request,
) -> Result<Response, Failure> {
    let context = context(api, operation, request.headers())?;
    // Who may not call must not make us read a body, and learns nothing of what is wrong with it.
    let nothing = PathParameters::new();
    let named = path.as_ref().unwrap_or(&nothing);
    operation.authorise(&context, named).await?;
    let path = path?;
    let query = query(operation, &request)?;
    if operation.id == event_stream::OPERATION && event_stream::is_wanted(request.headers()) {
        return event_stream::respond(api, &context, request.headers(), &query).await;
    }
    let body = match operation.input {
        Shape::Bytes(_) => RequestBody::Stream(
            request
                .into_body()
                .into_data_stream()
                .map_err(std::io::Error::other)
                .boxed(),
        ),
        Shape::Json(_) => RequestBody::Whole(json_body(operation, request).await?),
        Shape::Empty => RequestBody::Whole(Bytes::new()),
    };
    let reply = operation
        .perform(context, skep_operations::Request { path, query, body })
        .await?;
    Ok(respond(operation, reply)?)
}

fn context(api: &ApiState, operation: &Operation, headers: &HeaderMap) -> Result<Context, Failure> {
    let caller = authenticate::principal(headers, &api.services)?;
    let mut context = Context::new(Arc::clone(&api.services), caller);
    context.idempotency_key = request_identity::idempotency_key(headers)?;
    context.if_match = request_identity::entity_tag(headers, &header::IF_MATCH, "If-Match")?;
    context.if_none_match =
        request_identity::entity_tag(headers, &header::IF_NONE_MATCH, "If-None-Match")?;
    if operation.repetition == Repetition::Keyed {
        context.trace_parent = Some(request_identity::trace_parent(headers, &api.services));
    }
    Ok(context)
}

async fn json_body(operation: &Operation, request: Request) -> Result<Bytes, Failure> {
    let (name, bytes_max) = if operation.permission.is_open {
        ("OPEN_BODY_BYTES_MAX", limits::OPEN_BODY_BYTES_MAX)
    } else {
        ("BODY_BYTES_MAX", limits::BODY_BYTES_MAX)
    };
    let media_type = request.headers().get(header::CONTENT_TYPE).cloned();
    let body = axum::body::to_bytes(request.into_body(), bytes_max)
        .await
        .map_err(|error| unreadable(&error, name, bytes_max))?;
    if !body.is_empty() && !media_type.as_ref().is_none_or(is_json) {
        let given = media_type
            .as_ref()
            .map(HeaderValue::as_bytes)
            .unwrap_or_default();
        let detail = format!("`Content-Type` is `{}`", String::from_utf8_lossy(given));
        return Err(Failure::new(ErrorCode::MediaTypeUnsupported, detail));
    }
    Ok(body)
}

fn unreadable(error: &axum::Error, name: &str, bytes_max: usize) -> Failure {
    let too_large = std::error::Error::source(error)
        .is_some_and(<dyn std::error::Error>::is::<http_body_util::LengthLimitError>);
    if too_large {
        let detail = format!("{name} is {bytes_max}");
        return Failure::new(ErrorCode::BodyTooLarge, detail);
    }
    Failure::new(
        ErrorCode::BodyMalformed,
        "the body ended before it was complete",
    )
}

fn is_json(value: &HeaderValue) -> bool {
    let text = value.to_str().unwrap_or_default();
    let essence = text
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"))
}

fn respond(operation: &Operation, reply: Reply) -> Result<Response, OperationError> {
    let broken =
        |step: &'static str| move |error: axum::http::Error| OperationError::internal(step, &error);
    let mut builder = Response::builder().status(reply.status.unwrap_or(operation.success));
    let mut length_given = false;
    for (name, value) in reply.headers {
        let name = HeaderName::from_static(name);
        length_given |= name == header::CONTENT_LENGTH;
        builder = builder.header(name, value);
    }
    let response = match reply.body {
        ReplyBody::Empty if length_given => builder.body(Body::empty()),
        ReplyBody::Empty => builder
            .header(header::CONTENT_LENGTH, 0)
            .body(Body::empty()),
        ReplyBody::Json(bytes) => builder
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::CACHE_CONTROL, "no-store")
            .body(Body::from(bytes)),
        ReplyBody::Stream(media_type, stream) => builder
            .header(header::CONTENT_TYPE, media_type)
            .header("x-content-type-options", "nosniff")
            .body(Body::from_stream(stream)),
    };
    response.map_err(broken("build the response"))
}

/// The answer to a route that does not exist.
pub(crate) fn unknown_route(request: &Request) -> Failure {
    let detail = format!("nothing is at `{}`", request.uri().path());
    Failure::new(ErrorCode::RouteUnknown, detail)
}

/// The answer to a method that a route does not take.
pub(crate) fn unknown_method(request: &Request) -> Failure {
    let detail = format!(
        "`{}` does not take {}",
        request.uri().path(),
        request.method()
    );
    Failure::new(ErrorCode::MethodNotAllowed, detail)
}

/// A plain answer of text.
pub(crate) fn text(status: StatusCode, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}
