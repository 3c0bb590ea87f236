//! A call of a tool of the contract: what it is given, how it runs operations, and the form of its
//! answer.

use super::contract::ContractTool;
use crate::catalogue;
use crate::fault::Fault;
use crate::invocation::Caller;
use crate::swarm_uri::Named;
use crate::tool_result::{self, Refusal};
use crate::toolset::object;
use crate::wait::{self, Waiter};
use rmcp::model::{CallToolResult, ContentBlock};
use serde_json::{Map, Value, json};
use skep_operations::{OperationError, Timestamp};
use std::sync::atomic::{AtomicU32, Ordering};

/// How long a call waits for work that it started, seconds: below the minute after which clients
/// give up.
pub(super) const WAIT_S: u64 = 45;

/// What a tool gives: an object without `success` and `timestamp`, which come with it.
pub(super) type Outcome = Result<Value, Failure>;

/// Why a tool did not do what its name says, and what is known all the same.
#[derive(Debug)]
pub(super) struct Failure {
    refusal: Refusal,
    facts: Map<String, Value>,
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self {
            refusal,
            facts: Map::new(),
        }
    }
}

impl From<OperationError> for Failure {
    fn from(error: OperationError) -> Self {
        Refusal::Operation(error).into()
    }
}

impl Failure {
    pub(super) fn new(fault: Fault, detail: impl Into<String>) -> Self {
        Refusal::Fault(fault, detail.into()).into()
    }

    /// An argument that cannot be used.
    pub(super) fn argument(detail: impl Into<String>) -> Self {
        Self::new(Fault::ParamsInvalid, detail)
    }

    /// With what is known all the same.
    pub(super) fn with(self, facts: Value) -> Self {
        Self {
            facts: object(facts),
            ..self
        }
    }

    /// With this as well.
    pub(super) fn and(mut self, facts: Value) -> Self {
        self.facts.extend(object(facts));
        self
    }

    /// Whether the operation said that there is no such thing.
    pub(super) fn is_not_found(&self) -> bool {
        matches!(&self.refusal, Refusal::Operation(error) if error.code().status() == 404)
    }

    /// Whether the caller may not do this, whatever is there.
    pub(super) fn is_forbidden(&self) -> bool {
        matches!(&self.refusal, Refusal::Operation(error) if error.code().status() == 403)
    }

    pub(super) const fn refusal(&self) -> &Refusal {
        &self.refusal
    }

    /// Whether the bytes that were read are no text.
    pub(super) fn is_not_text(&self) -> bool {
        matches!(&self.refusal, Refusal::Fault(Fault::NotText, _))
    }
}

/// One call.
pub(super) struct Call {
    pub(super) caller: Caller,
    arguments: Map<String, Value>,
    pub(super) waiter: Waiter,
    /// Operations that were run.
    steps: AtomicU32,
}

impl Call {
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.arguments.get(name).and_then(Value::as_str)
    }

    /// A text that the check of arguments made sure of.
    pub(super) fn required_text(&self, name: &str) -> Result<&str, Failure> {
        let missing = || Failure::argument(format!("`{name}` is missing"));
        self.text(name).ok_or_else(missing)
    }

    pub(super) fn number(&self, name: &str) -> Option<f64> {
        self.arguments.get(name).and_then(Value::as_f64)
    }

    /// A whole number of at least 0.
    pub(super) fn count(&self, name: &str) -> Result<Option<u64>, Failure> {
        let Some(value) = self.arguments.get(name) else {
            return Ok(None);
        };
        let whole = value.as_u64().or_else(|| {
            let number = value.as_f64().unwrap_or(-1.0);
            (number >= 0.0 && number.fract() == 0.0).then_some(number as u64)
        });
        let wanted = || Failure::argument(format!("`{name}` is `{value}`; want a whole number"));
        whole.map(Some).ok_or_else(wanted)
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.arguments.get(name).and_then(Value::as_bool) == Some(true)
    }

    pub(super) fn value(&self, name: &str) -> Option<&Value> {
        self.arguments.get(name)
    }

    pub(super) fn list(&self, name: &str) -> Option<&[Value]> {
        let list = self.arguments.get(name).and_then(Value::as_array);
        list.map(Vec::as_slice)
    }

    pub(super) fn texts(&self, name: &str) -> Vec<&str> {
        let list = self.list(name).unwrap_or_default();
        list.iter().filter_map(Value::as_str).collect()
    }

    /// Runs an operation for the caller and gives its document.
    pub(super) async fn operate(&self, id: &str, arguments: Value) -> Outcome {
        let step = self.steps.fetch_add(1, Ordering::Relaxed);
        operate(&self.caller.at_step(step), id, arguments).await
    }

    /// Waits until a run or task is final, or [`WAIT_S`] are over.
    pub(super) async fn wait(&self, id: &str) -> Result<Waited, Failure> {
        let arguments = object(json!({ "id": id, "timeout_s": WAIT_S }));
        let mut waited = wait::wait(&self.caller, arguments, &self.waiter).await?;
        Ok(Waited {
            is_final: waited["final"] == true,
            state: waited["state"].as_str().unwrap_or_default().to_owned(),
            document: waited["document"].take(),
        })
    }
}

/// What was waited for.
#[derive(Debug)]
pub(super) struct Waited {
    pub(super) is_final: bool,
    pub(super) state: String,
    /// Of the run or task.
    pub(super) document: Value,
}

/// Runs an operation for a caller and gives its document.
pub(super) async fn operate(caller: &Caller, id: &str, arguments: Value) -> Outcome {
    let unknown = || Failure::new(Fault::OperationUnknown, format!("no operation `{id}`"));
    let entry = catalogue::find(id).ok_or_else(unknown)?;
    let reply = caller.invoke(entry, object(arguments)).await?;
    Ok(tool_result::document(reply, 0).await?)
}

/// The run or task that an id names.
pub(super) fn work(name: &str, id: &str) -> Result<Named, Failure> {
    let named = Named::by_id(id).filter(|named| !matches!(named, Named::Node(_)));
    named.ok_or_else(|| {
        Failure::argument(format!("`{name}` is `{id}`; want the id of a task or run"))
    })
}

/// Calls a tool.
pub(super) async fn call(
    tool: &ContractTool,
    caller: Caller,
    arguments: Map<String, Value>,
    waiter: Waiter,
) -> CallToolResult {
    let services = std::sync::Arc::clone(&caller.services);
    let outcome = match tool.check(arguments) {
        Err(wrong) => Err(Failure::argument(wrong)),
        Ok((arguments, ignored)) => {
            let call = Call {
                caller,
                arguments,
                waiter,
                steps: AtomicU32::new(0),
            };
            let done = (tool.handle)(call).await;
            done.map(|document| with_ignored(document, &ignored))
        }
    };
    answer(outcome, services.now().into())
}

/// Arguments that nothing was done with are named, so that nobody relies on them.
fn with_ignored(mut document: Value, ignored: &[String]) -> Value {
    if !ignored.is_empty() {
        document["ignoredArguments"] = json!(ignored);
    }
    document
}

/// One text of pretty-printed JSON, and the same as structured content.
fn answer(outcome: Outcome, now: Timestamp) -> CallToolResult {
    let is_error = outcome.is_err();
    let mut document = match outcome {
        Ok(document) => object(document),
        Err(failure) => {
            let mut document = failure.facts;
            for (key, value) in object(failure.refusal.document()) {
                // The original's name for the sentence.
                let key = if key == "detail" {
                    "error".to_owned()
                } else {
                    key
                };
                document.insert(key, value);
            }
            document
        }
    };
    document.insert("success".to_owned(), json!(!is_error));
    document.insert("timestamp".to_owned(), json!(now.to_string()));
    let document = Value::Object(document);
    let text = format!("{document:#}");
    let content = vec![ContentBlock::text(text)];
    let mut result = if is_error {
        CallToolResult::error(content)
    } else {
        CallToolResult::success(content)
    };
    result.structured_content = Some(document);
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_operations::ErrorCode;

    fn shown(outcome: Outcome) -> (bool, Value) {
        let result = answer(outcome, skep_model::time::UnixMillis(1_000).into());
        let text = &result.content[0].as_text().unwrap().text;
        let document: Value = serde_json::from_str(text).unwrap();
        assert_eq!(Some(&document), result.structured_content.as_ref());
        assert!(text.contains("\n  \""), "{text}");
        (result.is_error == Some(true), document)
    }

    #[test]
    fn an_answer_says_whether_it_was_done_and_when() {
        let (is_error, document) = shown(Ok(json!({"count": 2})));
        assert!(!is_error);
        assert_eq!(
            document,
            json!({"count": 2, "success": true, "timestamp": "1970-01-01T00:00:01.000Z"})
        );
    }

    #[test]
    fn a_failure_has_its_code_a_sentence_and_what_is_known() {
        let error = OperationError::new(ErrorCode::TaskNotFound, "no task `t`");
        let failure = Failure::from(error).with(json!({"success": true, "taskId": "t"}));
        assert!(failure.is_not_found());
        let (is_error, document) = shown(Err(failure));
        assert!(is_error);
        assert_eq!(document["success"], false);
        assert_eq!(
            (&document["code"], &document["error"], &document["taskId"]),
            (&json!("task_not_found"), &json!("no task `t`"), &json!("t"))
        );
    }
}
