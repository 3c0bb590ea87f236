//! Runs an operation for a caller, with the caller's own permission.

use crate::arguments;
use crate::catalogue::{self, Entry};
use rmcp::ErrorData;
use rmcp::RoleServer;
use rmcp::model::RequestMetaObject;
use rmcp::service::RequestContext;
use serde_json::{Map, Value};
use skep_model::memory::Namespace;
use skep_operations::{
    Context, ErrorCode, OperationError, Principal, Repetition, Reply, Services, is_idempotency_key,
    may_read_namespace, trace_parent,
};
use std::sync::Arc;

/// Names the one call that a model made, also when its client sends it twice.
const TOOL_USE_ID: &str = "claudecode/toolUseId";
/// W3C trace context of the client.
const TRACE_PARENT: &str = "traceparent";

/// Who calls, and what the message says beside the arguments.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) services: Arc<Services>,
    pub(crate) principal: Principal,
    tool_use: Option<String>,
    trace_parent: Option<String>,
}

impl Caller {
    /// The caller of a message that came in by HTTP.
    pub(crate) fn of(
        services: &Arc<Services>,
        context: &RequestContext<RoleServer>,
    ) -> Result<Self, ErrorData> {
        let parts = context.extensions.get::<http::request::Parts>();
        let principal = parts
            .and_then(|parts| parts.extensions.get::<Principal>())
            .cloned()
            .ok_or_else(|| crate::fault::Fault::Internal.error("nobody said who calls"))?;
        Ok(Self::new(services, principal, &context.meta))
    }

    /// This caller, with what the message says beside the arguments.
    pub(crate) fn new(
        services: &Arc<Services>,
        principal: Principal,
        meta: &RequestMetaObject,
    ) -> Self {
        let text = |key: &str| meta.get(key).and_then(Value::as_str).map(str::to_owned);
        Self {
            services: Arc::clone(services),
            principal,
            tool_use: text(TOOL_USE_ID),
            trace_parent: text(TRACE_PARENT),
        }
    }

    /// The same caller in a later step of one call: what one step submitted is not what another
    /// does, and each is done once also when the client sends the call twice.
    pub(crate) fn at_step(&self, step: u32) -> Self {
        let mut caller = self.clone();
        if let Some(key) = caller.tool_use.as_mut().filter(|_| step > 0) {
            *key = format!("{key}/{step}");
        }
        caller
    }

    /// Runs the operation.
    ///
    /// # Errors
    /// Those of the operation; the first that a caller without permission meets is that.
    pub(crate) async fn invoke(
        &self,
        entry: &Entry,
        arguments: Map<String, Value>,
    ) -> Result<Reply, OperationError> {
        let operation = &entry.operation;
        let request = arguments::request(entry, arguments)?;
        let mut context = Context::new(Arc::clone(&self.services), self.principal.clone());
        if operation.repetition == Repetition::Keyed {
            context.idempotency_key = self.idempotency_key()?;
            let trace = trace_parent(self.trace_parent.as_deref(), &self.services);
            context.trace_parent = Some(trace);
        }
        operation.authorise(&context, &request.path).await?;
        operation.perform(context, request).await
    }

    /// Checks that the caller may read this with the operation.
    pub(crate) async fn may(&self, entry: &Entry, id: &str) -> Result<(), OperationError> {
        let context = Context::new(Arc::clone(&self.services), self.principal.clone());
        let path = vec![("id".to_owned(), id.to_owned())];
        entry.operation.authorise(&context, &path).await
    }

    /// Checks that the caller may read this namespace of shared memory.
    pub(crate) async fn may_read(&self, namespace: &Namespace) -> Result<(), OperationError> {
        let entry = catalogue::find("memory.get").expect("a test reads an entry");
        self.may(entry, "").await?;
        let context = Context::new(Arc::clone(&self.services), self.principal.clone());
        may_read_namespace(&context, namespace)
    }

    fn idempotency_key(&self) -> Result<Option<String>, OperationError> {
        match &self.tool_use {
            Some(key) if !is_idempotency_key(key) => {
                let detail = format!("`{TOOL_USE_ID}` in `_meta` is used as the key");
                let code = ErrorCode::IdempotencyKeyMalformed;
                Err(OperationError::new(code, detail))
            }
            key => Ok(key.clone()),
        }
    }
}
