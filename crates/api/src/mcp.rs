//! `/mcp`: who calls is found out here, as for REST; what answers is put in from outside.
//!
//! So this crate does not depend on the one that speaks the protocol, and the two are built beside
//! each other.

use crate::failure::Failure;
use crate::state::ApiState;
use crate::{authenticate, dispatch};
use axum::BoxError;
use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use skep_operations::{ErrorCode, Principal};
use std::fmt;
use std::sync::Arc;

type Handle = dyn Fn(Principal, Request) -> BoxFuture<'static, Response> + Send + Sync;

/// What answers at `/mcp`.
#[derive(Clone)]
pub(crate) struct McpHandler(Arc<Handle>);

impl fmt::Debug for McpHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("McpHandler")
    }
}

impl ApiState {
    /// With this function for `/mcp`. It is given callers whose token is good, never an anonymous
    /// one; what they may do, it has to ask the operations.
    #[must_use]
    pub fn with_mcp<F, A, B>(self, answer: F) -> Self
    where
        F: Fn(Principal, Request) -> A + Send + Sync + 'static,
        A: Future<Output = axum::http::Response<B>> + Send + 'static,
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let handle = move |caller, request| {
            let answered = answer(caller, request);
            answered.map(|response| response.map(Body::new)).boxed()
        };
        Self {
            mcp: Some(McpHandler(Arc::new(handle))),
            ..self
        }
    }
}

/// Serves one request.
pub(crate) async fn serve(State(api): State<ApiState>, request: Request) -> Response {
    let Some(McpHandler(handle)) = api.mcp.clone() else {
        return dispatch::unknown_route(&request).into_response();
    };
    match authenticate::principal(request.headers(), &api.services) {
        Ok(Principal::Anonymous) => {
            let detail = "the `Authorization` header is missing";
            Failure::new(ErrorCode::TokenMissing, detail).into_response()
        }
        Ok(caller) => handle(caller, request).await,
        Err(failure) => failure.into_response(),
    }
}
