//! Results of tools: the answer of an operation as structured content and as text, or its error.

use crate::fault::Fault;
use futures_util::StreamExt;
use rmcp::model::{CallToolResult, ContentBlock};
use serde_json::{Value, json};
use skep_operations::{ByteStream, OperationError, Reply, ReplyBody};
use std::time::Duration;

/// Bytes of a log or an artifact that one call gives.
pub(crate) const TEXT_BYTES_MAX: usize = 64 << 10;
/// How long one call gathers a text that is still being written.
const TEXT_WAIT_MAX: Duration = Duration::from_secs(25);

/// Why a tool did not do what it was asked for, in the same words as on every surface.
#[derive(Debug, Clone)]
pub(crate) enum Refusal {
    /// The operation refused.
    Operation(OperationError),
    /// The call did not reach an operation.
    Fault(Fault, String),
}

impl From<OperationError> for Refusal {
    fn from(error: OperationError) -> Self {
        Self::Operation(error)
    }
}

impl Refusal {
    /// Its parts, with the same names as in a problem document of REST.
    pub(crate) fn document(&self) -> Value {
        match self {
            Self::Operation(error) => {
                let mut document = json!({
                    "code": error.code().as_str(),
                    "title": error.code().title(),
                    "detail": error.detail(),
                    "hint": error.hint(),
                    "retryable": error.is_retryable(),
                });
                if let Some(seconds) = error.retry_after_s() {
                    document["retry_after_s"] = json!(seconds);
                }
                if let Some(version) = error.current_version() {
                    document["current_version"] = json!(version);
                }
                document
            }
            Self::Fault(fault, detail) => json!({
                "code": fault.as_str(),
                "title": fault.title(),
                "detail": detail,
                "hint": fault.advice(),
                "retryable": false,
            }),
        }
    }
}

/// A refusal as a result that the model reads.
pub(crate) fn refused(refusal: &Refusal) -> CallToolResult {
    let document = refusal.document();
    let word = |key: &str| document[key].as_str().unwrap_or_default().to_owned();
    let text = format!("{}: {}\n{}", word("code"), word("detail"), word("hint"));
    let mut result = CallToolResult::error(vec![ContentBlock::text(text)]);
    result.structured_content = Some(document);
    result
}

/// The answer of an operation as a document; `from` is the offset that was asked for.
pub(crate) async fn document(reply: Reply, from: u64) -> Result<Value, Refusal> {
    match reply.body {
        ReplyBody::Empty => Ok(json!({})),
        ReplyBody::Json(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
            Refusal::Operation(OperationError::internal("read the answer", &error))
        }),
        ReplyBody::Stream(_, stream) => text(stream, from).await,
    }
}

/// A document as a result. A text stands for itself, everything else is shown as JSON.
pub(crate) fn done(document: Value) -> CallToolResult {
    match document["text"].as_str().filter(|_| is_text(&document)) {
        Some(text) => {
            let mut result = CallToolResult::success(vec![ContentBlock::text(text)]);
            result.structured_content = Some(document);
            result
        }
        None => CallToolResult::structured(document),
    }
}

fn is_text(document: &Value) -> bool {
    document["next_offset"].is_u64()
}

/// The schema of what [`document`] makes of a stream.
pub(crate) fn text_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "text": { "type": "string" },
            "next_offset": { "type": "integer" },
            "truncated": { "type": "boolean" },
        },
    })
}

async fn text(mut stream: ByteStream, from: u64) -> Result<Value, Refusal> {
    let mut bytes = Vec::new();
    let deadline = tokio::time::Instant::now() + TEXT_WAIT_MAX;
    let truncated = loop {
        if bytes.len() >= TEXT_BYTES_MAX {
            break true;
        }
        match tokio::time::timeout_at(deadline, stream.next()).await {
            Err(_) => break true,
            Ok(None) => break false,
            Ok(Some(Ok(piece))) => bytes.extend_from_slice(&piece),
            Ok(Some(Err(error))) => {
                let error = OperationError::internal("read the bytes", &error);
                return Err(Refusal::Operation(error));
            }
        }
    };
    let truncated = truncated || bytes.len() > TEXT_BYTES_MAX;
    bytes.truncate(TEXT_BYTES_MAX);
    if bytes.contains(&0) {
        let detail = "there are zero bytes among those that were asked for";
        return Err(Refusal::Fault(Fault::NotText, detail.to_owned()));
    }
    let whole = whole_characters(&bytes, truncated);
    let next_offset = from.saturating_add(whole.len() as u64);
    Ok(json!({
        "text": String::from_utf8_lossy(whole),
        "next_offset": next_offset,
        "truncated": truncated,
    }))
}

/// Without the character at the end that a cut went through.
fn whole_characters(bytes: &[u8], is_cut: bool) -> &[u8] {
    match std::str::from_utf8(bytes) {
        Err(error) if is_cut && error.error_len().is_none() => &bytes[..error.valid_up_to()],
        _ => bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use futures_util::stream;
    use skep_operations::ErrorCode;

    async fn text_of(pieces: Vec<Vec<u8>>) -> Result<Value, Refusal> {
        let pieces = pieces.into_iter().map(|piece| Ok(Bytes::from(piece)));
        text(stream::iter(pieces).boxed(), 10).await
    }

    #[tokio::test]
    async fn a_text_is_given_whole_or_up_to_a_bound_at_a_whole_character() {
        let short = text_of(vec![b"a\n".to_vec(), b"b\n".to_vec()])
            .await
            .unwrap();
        assert_eq!(
            short,
            json!({"text": "a\nb\n", "next_offset": 14, "truncated": false})
        );
        let mut long = vec![b'x'; TEXT_BYTES_MAX - 1];
        long.extend_from_slice("ä rest".as_bytes());
        let cut = text_of(vec![long]).await.unwrap();
        assert_eq!(cut["text"].as_str().unwrap().len(), TEXT_BYTES_MAX - 1);
        assert_eq!(cut["next_offset"], 10 + TEXT_BYTES_MAX as u64 - 1);
        assert_eq!(cut["truncated"], true);
    }

    #[tokio::test]
    async fn bytes_that_are_no_text_are_refused() {
        let refusal = text_of(vec![vec![0x7f, 0, 1]]).await.unwrap_err();
        assert!(matches!(refusal, Refusal::Fault(Fault::NotText, _)));
    }

    #[test]
    fn a_refusal_is_a_result_with_code_detail_and_hint() {
        let error = OperationError::new(ErrorCode::TaskNotFound, "no task `task_1`");
        let result = refused(&error.into());
        assert_eq!(result.is_error, Some(true));
        let document = result.structured_content.unwrap();
        assert_eq!(document["code"], "task_not_found");
        assert_eq!(document["detail"], "no task `task_1`");
        let text = result.content[0].as_text().unwrap().text.clone();
        assert!(
            text.starts_with("task_not_found: no task `task_1`\n"),
            "{text}"
        );
    }

    #[test]
    fn a_log_is_shown_as_it_is_and_a_document_as_json() {
        let log = done(json!({"text": "a\n", "next_offset": 2, "truncated": false}));
        assert_eq!(log.content[0].as_text().unwrap().text, "a\n");
        let task = done(json!({"id": "task_1", "text": "x"}));
        assert_eq!(
            task.content[0].as_text().unwrap().text,
            r#"{"id":"task_1","text":"x"}"#
        );
    }
}
