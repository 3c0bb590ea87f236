//! The router, and serving it until told to stop.

use crate::gate::{Caller, Gate};
use crate::host_guard::HostGuard;
use crate::state::ApiState;
use crate::{calls, dispatch, health, mcp, mcpx, metrics, observe, realtime};
use axum::Router;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request};
use axum::middleware;
use axum::response::IntoResponse;
use axum::routing::{MethodFilter, any, get, on};
use skep_operations::{API_PREFIX, Method, Operation};
use std::future::ready;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_rustls::rustls::ServerConfig;
use tokio_util::sync::CancellationToken;

/// How long connections may take to end after the stop.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// The address of a server without a listener.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// All routes.
pub fn router(api: ApiState) -> Router {
    let mut router = Router::new()
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/healthz", get(health::ready))
        .route("/metrics", get(metrics::show))
        .route("/openapi.json", get(crate::openapi::show))
        .route("/mcp", any(mcp::serve))
        .route("/mcpx", get(mcpx::upgrade))
        .route("/api/v2/calls", get(calls::upgrade))
        .route("/swarm/realtime", get(realtime::upgrade));
    for operation in api.operations.iter() {
        let path = format!("{API_PREFIX}{}", operation.path);
        router = add(router, &api, &path, operation);
    }
    for operation in skep_operations::aliases() {
        let operation = Arc::new(operation);
        router = add(router, &api, operation.path, &operation);
    }
    router
        .fallback(|request: Request| ready(dispatch::unknown_route(&request).into_response()))
        .method_not_allowed_fallback(|request: Request| {
            ready(dispatch::unknown_method(&request).into_response())
        })
        .layer(middleware::from_fn_with_state(
            api.clone(),
            observe::observe,
        ))
        .with_state(api)
}

fn add(
    router: Router<ApiState>,
    api: &ApiState,
    path: &str,
    operation: &Arc<Operation>,
) -> Router<ApiState> {
    let api = api.clone();
    let filter = match operation.method {
        Method::Get => MethodFilter::GET,
        Method::Head => MethodFilter::HEAD,
        Method::Post => MethodFilter::POST,
        Method::Put => MethodFilter::PUT,
        Method::Delete => MethodFilter::DELETE,
    };
    let operation = Arc::clone(operation);
    router.route(
        path,
        on(
            filter,
            move |parameters: Result<RawPathParams, RawPathParamsRejection>, request: Request| {
                dispatch::serve(api.clone(), Arc::clone(&operation), parameters, request)
            },
        ),
    )
}

/// Serves until `shutdown` is cancelled, then lets open requests end. With a TLS configuration
/// other machines are served too; plain HTTP is answered on this machine only. The first
/// listener is the one that others reach.
///
/// # Errors
/// The listener broke.
pub async fn serve(
    listeners: Vec<TcpListener>,
    tls: Option<Arc<ServerConfig>>,
    api: ApiState,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    let public = listeners.first().map(TcpListener::local_addr).transpose()?;
    let guard = HostGuard::for_listener(public.unwrap_or(NOWHERE));
    let api = ApiState {
        guard,
        shutdown: shutdown.clone(),
        ..api
    };
    let stopped = shutdown.clone();
    let gate = Gate::new(listeners, tls, api.stall_max);
    let service = router(api).into_make_service_with_connect_info::<Caller>();
    let serving = axum::serve(gate, service)
        .with_graceful_shutdown(async move { shutdown.cancelled().await })
        .into_future();
    // Connections that do not end by themselves must not hold the process.
    let deadline = async {
        stopped.cancelled().await;
        tokio::time::sleep(DRAIN_TIMEOUT).await;
    };
    tokio::select! {
        result = serving => result,
        () = deadline => {
            tracing::warn!("some connections did not end in time and were cut");
            Ok(())
        }
    }
}
