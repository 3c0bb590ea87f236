//! A frame that asks for an operation.

use super::answer::Answer;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use skep_operations::{
    Context, ErrorCode, Operation, OperationError, PathParameters, Reply, Request, RequestBody,
    Shape, is_idempotency_key,
};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Bytes of an id: it is only there to find the question again.
const ID_BYTES_MAX: usize = 64;

/// What a question looks like on the wire.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Frame<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
    #[serde(borrow)]
    operation: Cow<'a, str>,
    #[serde(borrow, default)]
    parameters: BTreeMap<Cow<'a, str>, Value>,
    #[serde(borrow)]
    body: Option<&'a RawValue>,
    idempotency_key: Option<String>,
    if_match: Option<String>,
}

/// A question that was understood.
#[derive(Debug)]
pub(super) struct Question {
    /// A number or a text, as the caller wrote it.
    pub(super) id: Box<str>,
    pub(super) operation: String,
    parameters: BTreeMap<String, Value>,
    body: Bytes,
    pub(super) idempotency_key: Option<String>,
    pub(super) if_match: Option<String>,
}

impl Question {
    /// Reads a frame, or says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, Answer> {
        let malformed =
            |id: Option<&str>, detail: &str| Answer::refused(id, ErrorCode::CallMalformed, detail);
        let frame: Frame<'_> = serde_json::from_str(text).map_err(|error| {
            let known = serde_json::from_str::<OnlyId<'_>>(text).ok();
            malformed(
                known.and_then(|known| checked_id(known.id)).as_deref(),
                &error.to_string(),
            )
        })?;
        let id = checked_id(frame.id).ok_or_else(|| {
            let detail = format!("`id` should be a number or a text of up to {ID_BYTES_MAX} bytes");
            malformed(None, &detail)
        })?;
        let key = frame.idempotency_key;
        if key.as_deref().is_some_and(|key| !is_idempotency_key(key)) {
            let code = ErrorCode::IdempotencyKeyMalformed;
            return Err(Answer::refused(Some(&id), code, "`idempotency_key`"));
        }
        let body = frame.body.map(RawValue::get).unwrap_or_default();
        let parameters = frame.parameters.into_iter();
        Ok(Self {
            id,
            operation: frame.operation.into_owned(),
            parameters: parameters
                .map(|(name, value)| (name.into_owned(), value))
                .collect(),
            body: Bytes::copy_from_slice(body.as_bytes()),
            idempotency_key: key,
            if_match: frame.if_match,
        })
    }

    /// Asks. Nobody without permission learns anything else.
    pub(super) async fn ask(
        mut self,
        operation: &Operation,
        context: Context,
    ) -> Result<Reply, OperationError> {
        let path = self.path(operation);
        operation.authorise(&context, &path).await?;
        let body = match operation.input {
            Shape::Json(_) => RequestBody::Whole(std::mem::take(&mut self.body)),
            Shape::Empty if self.body.is_empty() => RequestBody::Whole(Bytes::new()),
            Shape::Empty => {
                let detail = format!("`{}` takes no `body`", operation.id);
                return Err(OperationError::new(ErrorCode::CallMalformed, detail));
            }
            Shape::Bytes(_) => {
                let detail = format!("`{}` takes bytes: send them by HTTP", operation.id);
                return Err(OperationError::new(ErrorCode::CallUnsupported, detail));
            }
        };
        let query = self.query()?;
        let request = Request { path, query, body };
        operation.perform(context, request).await
    }

    /// The parameters that stand in the operation's route; they are taken out.
    fn path(&mut self, operation: &Operation) -> PathParameters {
        let segments = operation.path.split('/');
        let names = segments.filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
        names
            .filter_map(|name| {
                let value = text_of(self.parameters.remove(name)?)?;
                Some((name.to_owned(), value))
            })
            .collect()
    }

    /// All other parameters.
    fn query(&mut self) -> Result<String, OperationError> {
        let mut pairs = Vec::with_capacity(self.parameters.len());
        for (name, value) in std::mem::take(&mut self.parameters) {
            if value.is_object() || value.is_array() {
                let detail = format!("parameter `{name}` should be a text, a number or a boolean");
                return Err(OperationError::new(ErrorCode::QueryMalformed, detail));
            }
            pairs.extend(text_of(value).map(|text| (name, text)));
        }
        serde_urlencoded::to_string(pairs)
            .map_err(|error| OperationError::internal("encode parameters", &error))
    }
}

#[derive(Deserialize)]
struct OnlyId<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
}

/// The id, if it is one.
fn checked_id(id: &RawValue) -> Option<Box<str>> {
    let text = id.get();
    let is_simple = text.starts_with(['"', '-']) || text.starts_with(|c: char| c.is_ascii_digit());
    (is_simple && text.len() <= ID_BYTES_MAX).then(|| text.into())
}

/// A parameter as a URL has it; `null` is one that was left out.
fn text_of(value: Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}
