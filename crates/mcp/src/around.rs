//! What another server can use that is built around Skep's own: it answers a few requests by
//! itself and passes all others on.
//!
//! Operations run for such a server with the permission of whoever sent the request, as they do
//! for Skep's own tools.

use crate::catalogue;
use crate::fault::Fault;
use crate::invocation::Caller;
use crate::request_state::{Asked, RequestStateKey, Unproven};
use crate::resources::as_error;
use crate::server::Server;
use crate::tool_result;
use rmcp::model::JsonObject;
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer};
use serde_json::Value;

/// A request that may ask its client something before it answers.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// `tools/call`, `prompts/get` or `resources/read`.
    pub method: &'a str,
    /// The tool, prompt or resource.
    pub name: &'a str,
    /// As the client sent them; it repeats them with its answer.
    pub arguments: Option<&'a JsonObject>,
}

impl Server {
    /// Runs an operation for whoever sent the request; gives what it answers.
    ///
    /// # Errors
    /// Those of the operation, and [`Fault::OperationUnknown`].
    pub async fn run_operation(
        &self,
        context: &RequestContext<RoleServer>,
        id: &str,
        arguments: JsonObject,
    ) -> Result<Value, ErrorData> {
        let entry = catalogue::find(id).ok_or_else(|| {
            Fault::OperationUnknown.error(format!("no operation is called `{id}`"))
        })?;
        let caller = Caller::of(&self.services, context)?;
        let reply = caller.invoke(entry, arguments).await;
        let reply = reply.map_err(|error| as_error(&error.into()))?;
        let document = tool_result::document(reply, 0).await;
        document.map_err(|refusal| as_error(&refusal))
    }

    /// What the client has to hand back with its answer, as it keeps it. It is no secret.
    ///
    /// # Errors
    /// [`Fault::Internal`] when nobody said who calls.
    pub fn seal_state(
        &self,
        context: &RequestContext<RoleServer>,
        question: Question<'_>,
        state: &Value,
    ) -> Result<String, ErrorData> {
        let caller = Caller::of(&self.services, context)?;
        let sealed = self
            .state_key()
            .seal(asked(&caller, question), state, self.services.now());
        Ok(sealed)
    }

    /// What the client handed back.
    ///
    /// # Errors
    /// [`Fault::RequestStateInvalid`] unless it was given to this caller for this request within
    /// the last hour.
    pub fn open_state(
        &self,
        context: &RequestContext<RoleServer>,
        question: Question<'_>,
        sealed: &str,
    ) -> Result<Value, ErrorData> {
        let caller = Caller::of(&self.services, context)?;
        let now = self.services.now();
        let opened = self.state_key().open(asked(&caller, question), sealed, now);
        opened.map_err(|why| refusal(question.name, why))
    }

    fn state_key(&self) -> RequestStateKey {
        RequestStateKey::derived_from(self.services.data_dir.secret())
    }
}

fn asked<'a>(caller: &'a Caller, question: Question<'a>) -> Asked<'a> {
    Asked {
        caller: &caller.principal,
        method: question.method,
        name: question.name,
        arguments: question.arguments,
    }
}

fn refusal(name: &str, why: Unproven) -> ErrorData {
    let what = match why {
        Unproven::Forged => "is not what this request was given",
        Unproven::Expired => "is older than an hour",
    };
    Fault::RequestStateInvalid.error(format!("the `requestState` for `{name}` {what}"))
}

/// Refuses a state for what never asks anything.
pub(crate) fn refuse_state(name: &str, state: Option<&str>) -> Result<(), ErrorData> {
    match state {
        None => Ok(()),
        Some(_) => Err(refusal(name, Unproven::Forged)),
    }
}
