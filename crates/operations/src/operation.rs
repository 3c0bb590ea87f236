//! One operation: its name, route, permission, shapes and handler, all in one value.

use crate::body::{read_body, whole};
use crate::context::Context;
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::exchange::{Reply, Request, RequestBody, Shape};
use crate::parameters::{self, PathParameters};
use crate::permission::Permission;
use crate::usage::Component;
use futures_util::future::BoxFuture;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::sync::Arc;

/// HTTP method of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// Reads.
    Get,
    /// Reads the headers only.
    Head,
    /// Makes something or asks for an action.
    Post,
    /// Changes or stores something.
    Put,
    /// Ends something.
    Delete,
}

impl Method {
    /// The word in the request line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }
}

/// How much a call costs the coordinator; surfaces may limit the dear ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cost {
    /// Reads memory or one row.
    Low,
    /// Writes the log, or reads a page of history.
    Medium,
    /// Walks much of the data.
    High,
}

/// What a second call with the same content does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repetition {
    /// The same as one call.
    Harmless,
    /// The same as one call when both carry the same idempotency key.
    Keyed,
    /// Something new; the text says how to find out whether the first was done.
    Acts(&'static str),
}

type Handler = Arc<
    dyn Fn(Context, Request) -> BoxFuture<'static, Result<Reply, OperationError>> + Send + Sync,
>;

/// One operation.
#[derive(Clone)]
pub struct Operation {
    /// Stable name, `group.verb`.
    pub id: &'static str,
    /// HTTP method.
    pub method: Method,
    /// HTTP route below `/api/v2`, with `{name}` for parameters.
    pub path: &'static str,
    /// Who may call it.
    pub permission: Permission,
    /// What it costs.
    pub cost: Cost,
    /// One sentence about it.
    pub summary: &'static str,
    /// Status of a usual answer.
    pub success: u16,
    /// What a second call does.
    pub repetition: Repetition,
    /// Parameters of path and query.
    pub parameters: fn(&mut SchemaGenerator) -> Schema,
    /// Body of the request.
    pub input: Shape,
    /// Body of the answer.
    pub output: Shape,
    handler: Handler,
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} {})", self.id, self.method.as_str(), self.path)
    }
}

impl Operation {
    /// Checks that the caller may do this to what the path names.
    ///
    /// # Errors
    /// 401, 403 and those of finding out what the path names.
    pub async fn authorise(
        &self,
        context: &Context,
        path: &PathParameters,
    ) -> Result<(), OperationError> {
        self.permission.check(context, path).await?;
        match (&context.idempotency_key, self.repetition) {
            (Some(_), Repetition::Acts(remedy)) => Err(OperationError::new(
                ErrorCode::IdempotencyKeyUnsupported,
                remedy,
            )),
            _ => Ok(()),
        }
    }

    /// Does it. The caller MUST have asked [`Operation::authorise`] first.
    ///
    /// # Errors
    /// See [`ErrorCode`].
    pub async fn perform(
        &self,
        mut context: Context,
        request: Request,
    ) -> Result<Reply, OperationError> {
        context.operation = self.id;
        let services = Arc::clone(&context.services);
        let done = (self.handler)(context, request).await;
        services
            .calls
            .count(Component::Operations, self.id, done.is_err());
        done
    }
}

/// An operation whose handler is not named yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Declaration {
    pub(crate) id: &'static str,
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) permission: Permission,
    pub(crate) cost: Cost,
    pub(crate) summary: &'static str,
    pub(crate) success: u16,
    pub(crate) repetition: Repetition,
}

impl Declaration {
    /// Handled by a function that only reads what is in memory.
    pub(crate) fn answers_at_once<P, O>(
        self,
        handle: impl Fn(&Context, &P) -> Result<O, OperationError> + Send + Sync + 'static,
    ) -> Operation
    where
        P: DeserializeOwned + JsonSchema + 'static,
        O: Serialize + JsonSchema + 'static,
    {
        self.build::<P>(Shape::Empty, json_of::<O>(), move |context, request| {
            let answer = parameters::read(&request.path, &request.query)
                .and_then(|parameters| handle(&context, &parameters))
                .and_then(|answer| Reply::json(&answer));
            Box::pin(std::future::ready(answer))
        })
    }

    /// Handled by a function of typed parameters.
    pub(crate) fn answers<P, O, F>(
        self,
        handle: impl Fn(Context, P) -> F + Send + Sync + 'static,
    ) -> Operation
    where
        P: DeserializeOwned + JsonSchema + Send + 'static,
        O: Serialize + JsonSchema + Send + 'static,
        F: Future<Output = Result<O, OperationError>> + Send + 'static,
    {
        let handle = Arc::new(handle);
        self.build::<P>(Shape::Empty, json_of::<O>(), move |context, request| {
            let handle = Arc::clone(&handle);
            Box::pin(async move {
                let parameters = parameters::read(&request.path, &request.query)?;
                Reply::json(&handle(context, parameters).await?)
            })
        })
    }

    /// Handled by a function of typed parameters and a typed JSON body.
    pub(crate) fn takes<P, B, O, F>(
        self,
        handle: impl Fn(Context, P, B) -> F + Send + Sync + 'static,
    ) -> Operation
    where
        P: DeserializeOwned + JsonSchema + Send + 'static,
        B: DeserializeOwned + JsonSchema + Send + 'static,
        O: Serialize + JsonSchema + Send + 'static,
        F: Future<Output = Result<O, OperationError>> + Send + 'static,
    {
        let handle = Arc::new(handle);
        self.build::<P>(
            json_of::<B>(),
            json_of::<O>(),
            move |mut context, request| {
                let handle = Arc::clone(&handle);
                Box::pin(async move {
                    let parameters = parameters::read(&request.path, &request.query)?;
                    let bytes = whole(request.body)?;
                    let body = read_body(&bytes)?;
                    let named = context.named_with_conditions(&request.path);
                    context.note_fingerprint(&named, &request.query, &bytes)?;
                    Reply::json(&handle(context, parameters, body).await?)
                })
            },
        )
    }

    /// Handled by a function that makes the whole answer itself.
    pub(crate) fn replies<P, F>(
        self,
        input: Shape,
        output: Shape,
        handle: impl Fn(Context, P, RequestBody) -> F + Send + Sync + 'static,
    ) -> Operation
    where
        P: DeserializeOwned + JsonSchema + Send + 'static,
        F: Future<Output = Result<Reply, OperationError>> + Send + 'static,
    {
        let handle = Arc::new(handle);
        self.build::<P>(input, output, move |context, request| {
            let handle = Arc::clone(&handle);
            Box::pin(async move {
                let parameters = parameters::read(&request.path, &request.query)?;
                handle(context, parameters, request.body).await
            })
        })
    }

    fn build<P: JsonSchema>(
        self,
        input: Shape,
        output: Shape,
        handler: impl Fn(Context, Request) -> BoxFuture<'static, Result<Reply, OperationError>>
        + Send
        + Sync
        + 'static,
    ) -> Operation {
        Operation {
            id: self.id,
            method: self.method,
            path: self.path,
            permission: self.permission,
            cost: self.cost,
            summary: self.summary,
            success: self.success,
            repetition: self.repetition,
            parameters: |generator| P::json_schema(generator),
            input,
            output,
            handler: Arc::new(handler),
        }
    }
}

/// JSON of this type.
pub(crate) fn json_of<T: JsonSchema>() -> Shape {
    Shape::Json(SchemaGenerator::subschema_for::<T>)
}
