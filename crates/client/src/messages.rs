//! Sends one message of the Model Context Protocol, and gives those that answer it.

use crate::artifacts::pieces_of;
use crate::client::Client;
use crate::error::{ClientError, Problem};
use crate::server_sent::RecordReader;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use http::Method;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use skep_model::limits::BODY_BYTES_MAX;
use std::collections::VecDeque;
use std::time::Duration;

const JSON: &str = "application/json";
const EVENT_STREAM: &str = "text/event-stream";

/// Messages that answer one, as they come.
pub struct Messages {
    url: String,
    pieces: BoxStream<'static, Result<Bytes, ClientError>>,
    /// Reads events; an answer of one message needs none.
    events: Option<RecordReader>,
    ready: VecDeque<String>,
}

impl std::fmt::Debug for Messages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "messages of {}", self.url)
    }
}

impl Client {
    /// Sends a message with these headers. It is sent again only when it cannot have arrived.
    ///
    /// # Errors
    /// Nobody answers, or who answers refused before the message was read. A refusal of the message
    /// itself is one of the messages.
    pub async fn exchange_messages(
        &self,
        path: &str,
        headers: &[(&'static str, String)],
        message: Bytes,
        timeout: Duration,
    ) -> Result<Messages, ClientError> {
        let both = format!("{JSON}, {EVENT_STREAM}");
        let mut request = self.request(Method::POST, path).bytes(message);
        request = request.header("content-type", JSON)?;
        request = request.header("accept", &both)?.timeout(timeout);
        for (name, value) in headers {
            request = request.header(name, value)?;
        }
        let (url, response) = request.open_whatever_status().await?;
        let (parts, body) = response.into_parts();
        let mut pieces = pieces_of(url.clone(), body).boxed();
        if is(&parts.headers, EVENT_STREAM) {
            return Ok(Messages {
                url,
                pieces,
                events: Some(RecordReader::default()),
                ready: VecDeque::new(),
            });
        }
        let mut whole = Vec::new();
        while let Some(piece) = pieces.next().await {
            whole.extend_from_slice(&piece?);
            if whole.len() > BODY_BYTES_MAX {
                let detail = format!("it is longer than {BODY_BYTES_MAX} bytes (`BODY_BYTES_MAX`)");
                return Err(ClientError::AnswerMalformed { url, detail });
            }
        }
        if !is(&parts.headers, JSON) && !parts.status.is_success() {
            let problem = Problem::read(parts.status, &whole);
            return Err(ClientError::Problem(Box::new(problem)));
        }
        let text = String::from_utf8_lossy(&whole).trim().to_owned();
        Ok(Messages {
            url,
            pieces,
            events: None,
            ready: Some(text)
                .filter(|text| !text.is_empty())
                .into_iter()
                .collect(),
        })
    }
}

fn is(headers: &HeaderMap, media_type: &str) -> bool {
    let value = headers.get(CONTENT_TYPE).map(HeaderValue::to_str);
    matches!(value, Some(Ok(text)) if text.split(';').next().unwrap_or_default().trim() == media_type)
}

impl Messages {
    /// The next message, as JSON text; none after the last.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn next(&mut self) -> Result<Option<String>, ClientError> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Ok(Some(message));
            }
            let Some(events) = &mut self.events else {
                return Ok(None);
            };
            let Some(piece) = self.pieces.next().await else {
                return Ok(None);
            };
            let mut records = Vec::new();
            if events.push(&piece?, &mut records).is_err() {
                return Err(ClientError::AnswerMalformed {
                    url: self.url.clone(),
                    detail: "an event is longer than `EVENT_BYTES_MAX`".to_owned(),
                });
            }
            let texts = records.into_iter().map(|record| record.data);
            self.ready.extend(texts.filter(|text| !text.is_empty()));
        }
    }
}
