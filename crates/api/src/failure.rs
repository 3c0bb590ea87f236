//! Errors as RFC 9457 problem documents.
//!
//! Handlers answer with a [`Failure`]; the outermost layer, which knows the request's id and
//! path, turns it into the document. So no handler can answer an error in another form.

use crate::request_identity::RequestIdentity;
use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::response::IntoResponse;
use serde::Serialize;
use skep_operations::{ErrorCode, OperationError};

/// Media type of the documents.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// An error on its way out.
#[derive(Debug, Clone)]
pub(crate) struct Failure(pub(crate) OperationError);

impl Failure {
    pub(crate) fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self(OperationError::new(code, detail))
    }
}

impl From<OperationError> for Failure {
    fn from(error: OperationError) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> axum::response::Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status_of(self.0.code());
        response.extensions_mut().insert(self);
        response
    }
}

/// The HTTP status of an error code.
pub(crate) fn status_of(code: ErrorCode) -> StatusCode {
    StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// The document.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(crate) struct Problem {
    /// Page about the code, relative to the documentation.
    #[serde(rename = "type")]
    kind: String,
    /// Short title, the same for every occurrence of the code.
    title: String,
    /// HTTP status.
    status: u16,
    /// What happened in this case.
    detail: String,
    /// Path of the request.
    instance: String,
    /// Stable code.
    code: String,
    /// Whether the same request may succeed later.
    retryable: bool,
    /// Seconds to wait before.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_s: Option<u64>,
    /// The request, as the log names it.
    request_id: String,
    /// What to do.
    hint: String,
    /// The version that is there, when the request expected another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    current_version: Option<u64>,
}

impl Problem {
    pub(crate) fn new(error: &OperationError, identity: &RequestIdentity) -> Self {
        let code = error.code();
        Self {
            kind: format!("/errors/{}", code.as_str()),
            title: code.title().to_owned(),
            status: code.status(),
            detail: error.detail().to_owned(),
            instance: identity.path.clone(),
            code: code.as_str().to_owned(),
            retryable: error.is_retryable(),
            retry_after_s: error.retry_after_s(),
            request_id: identity.id.clone(),
            hint: error.hint().to_owned(),
            current_version: error.current_version(),
        }
    }
}

/// Gives a response that carries a failure its document; leaves others as they are.
pub(crate) fn render(
    mut response: axum::response::Response,
    identity: &RequestIdentity,
) -> axum::response::Response {
    let Some(Failure(error)) = response.extensions_mut().remove::<Failure>() else {
        return response;
    };
    let document = serde_json::to_vec(&Problem::new(&error, identity))
        .expect("a problem has only text and numbers");
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(document.len()));
    if let Some(seconds) = error.retry_after_s() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if response.status() == StatusCode::UNAUTHORIZED {
        let challenge = HeaderValue::from_static("Bearer realm=\"skep\"");
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, challenge);
    }
    *response.body_mut() = Body::from(document);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_coordinator::ProposeError;

    #[test]
    fn an_overload_is_429_with_a_time_to_come_back_and_a_full_disk_is_507() {
        let identity = RequestIdentity {
            id: "req_1".to_owned(),
            path: "/api/v2/tasks".to_owned(),
        };
        let overloaded = ProposeError::Overloaded {
            retry_after_ms: 1_500,
        };
        let cases = [
            (overloaded, StatusCode::TOO_MANY_REQUESTS, Some("2")),
            (
                ProposeError::StorageFull,
                StatusCode::INSUFFICIENT_STORAGE,
                None,
            ),
            (ProposeError::Stopped, StatusCode::GATEWAY_TIMEOUT, None),
        ];
        for (error, status, wait) in cases {
            let response = Failure(error.clone().into()).into_response();
            let response = render(response, &identity);
            assert_eq!(response.status(), status, "{error}");
            let header = response.headers().get(header::RETRY_AFTER);
            if let Some(wait) = wait {
                assert_eq!(header.unwrap(), wait);
            }
        }
    }
}
