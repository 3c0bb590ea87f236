//! A frame that answers.

use bytes::Bytes;
use futures_util::TryStreamExt;
use serde::Serialize;
use skep_model::limits::BODY_BYTES_MAX;
use skep_operations::{ByteStream, ErrorCode, Operation, OperationError, Reply, ReplyBody};

/// What was asked, and what came of it.
#[derive(Debug)]
pub(super) struct Answer(String);

/// Why not.
#[derive(Serialize)]
struct Refusal<'a> {
    code: &'a str,
    title: &'a str,
    detail: &'a str,
    retryable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_s: Option<u64>,
    hint: &'a str,
}

impl Answer {
    /// What an operation gave.
    pub(super) async fn of(id: Box<str>, operation: &Operation, reply: Reply) -> Self {
        let status = reply.status.unwrap_or(operation.success);
        let body = match reply.body {
            ReplyBody::Empty => "null".into(),
            ReplyBody::Json(bytes) => bytes,
            ReplyBody::Stream("application/json", stream) => match gather(stream).await {
                Ok(bytes) => bytes,
                Err(error) => return Self::failed(&id, &error),
            },
            ReplyBody::Stream(media_type, _) => {
                let detail = format!(
                    "`{}` answers with `{media_type}`: ask for it by HTTP",
                    operation.id
                );
                return Self::refused(Some(&id), ErrorCode::CallUnsupported, &detail);
            }
        };
        match String::from_utf8(body) {
            Ok(body) => Self::framed(Some(&id), status, "body", &body),
            Err(error) => {
                let error = OperationError::internal("encode the answer", &error);
                Self::failed(&id, &error)
            }
        }
    }

    /// Why an operation did not do it.
    pub(super) fn failed(id: &str, error: &OperationError) -> Self {
        Self::problem(Some(id), error)
    }

    /// Why nobody was asked.
    pub(super) fn refused(id: Option<&str>, code: ErrorCode, detail: &str) -> Self {
        Self::problem(id, &OperationError::new(code, detail))
    }

    /// The frame.
    pub(super) fn into_text(self) -> String {
        self.0
    }

    fn problem(id: Option<&str>, error: &OperationError) -> Self {
        let code = error.code();
        let refusal = Refusal {
            code: code.as_str(),
            title: code.title(),
            detail: error.detail(),
            retryable: error.is_retryable(),
            retry_after_s: error.retry_after_s(),
            hint: error.hint(),
        };
        let text = serde_json::to_string(&refusal).expect("a problem has only text and numbers");
        Self::framed(id, code.status(), "problem", &text)
    }

    /// Both texts are JSON already.
    fn framed(id: Option<&str>, status: u16, name: &str, json: &str) -> Self {
        let id = id.unwrap_or("null");
        Self(format!(
            "{{\"id\":{id},\"status\":{status},\"{name}\":{json}}}"
        ))
    }
}

async fn gather(mut stream: ByteStream) -> Result<Vec<u8>, OperationError> {
    let mut whole = Vec::new();
    loop {
        let piece: Option<Bytes> = stream
            .try_next()
            .await
            .map_err(|error| OperationError::internal("read the answer", &error))?;
        let Some(piece) = piece else {
            return Ok(whole);
        };
        whole.extend_from_slice(&piece);
        if whole.len() > BODY_BYTES_MAX {
            let detail = format!("the answer is longer than {BODY_BYTES_MAX} bytes: ask by HTTP");
            return Err(OperationError::new(ErrorCode::CallUnsupported, detail));
        }
    }
}
