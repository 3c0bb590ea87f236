//! What all requests share.

use crate::gate::STALL_MAX;
use crate::host_guard::HostGuard;
use crate::mcp::McpHandler;
use crate::metrics::Metrics;
use bytes::Bytes;
use skep_operations::{Operation, Services};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What all requests share. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ApiState {
    pub(crate) services: Arc<Services>,
    pub(crate) operations: Arc<[Arc<Operation>]>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) guard: HostGuard,
    pub(crate) openapi: Bytes,
    /// Cancelled when the server stops: long answers end then.
    pub(crate) shutdown: CancellationToken,
    /// How long a connection may take nothing of what waits for it.
    pub(crate) stall_max: Duration,
    /// Attached agents that are connected.
    pub(crate) agent_lines: Arc<AtomicUsize>,
    /// What answers at `/mcp`; nothing does without.
    pub(crate) mcp: Option<McpHandler>,
}

impl ApiState {
    /// The state of a server that answers to loopback names only, as [`crate::serve`] changes it
    /// for its listener.
    pub fn new(services: Arc<Services>) -> Self {
        let operations = skep_operations::registry()
            .into_iter()
            .map(Arc::new)
            .collect();
        let document = crate::openapi::openapi().to_string();
        Self {
            services,
            operations,
            metrics: Arc::new(Metrics::new()),
            guard: HostGuard::for_listener((Ipv4Addr::LOCALHOST, 0).into()),
            openapi: Bytes::from(document),
            shutdown: CancellationToken::new(),
            stall_max: STALL_MAX,
            agent_lines: Arc::default(),
            mcp: None,
        }
    }
}
