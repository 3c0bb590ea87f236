//! A WebSocket to the coordinator that carries text frames, such as those of MCPX.

use crate::CONNECT_TIMEOUT_MS;
use crate::client::Client;
use crate::dial::Stream;
use crate::error::ClientError;
use futures_util::{SinkExt, StreamExt};
use http::StatusCode;
use http::header::AUTHORIZATION;
use skep_model::limits::FRAME_BYTES_MAX;
use std::time::Duration;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// How long a frame may wait for the coordinator to read.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a farewell may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Bytes read at a time; the library's own default would cost 128 KiB.
const READ_BUFFER_BYTES: usize = 16 << 10;

/// Why a line is not there.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// Whoever answers does not let the caller in; trying again does not help.
    #[error("{0}")]
    Refused(String),
    /// Nobody answers, or the connection broke.
    #[error("{0}")]
    Lost(String),
}

/// An open line.
#[derive(Debug)]
pub struct Line(Box<WebSocketStream<Stream>>);

impl Client {
    /// Opens a line to this path.
    ///
    /// # Errors
    /// [`LineError`].
    pub async fn open_line(&self, path: &str) -> Result<Line, LineError> {
        let patience = Duration::from_millis(CONNECT_TIMEOUT_MS);
        let opened = tokio::time::timeout(patience, self.open_line_at_leisure(path)).await;
        opened.unwrap_or_else(|_| Err(LineError::Lost("no connection in time".to_owned())))
    }

    async fn open_line_at_leisure(&self, path: &str) -> Result<Line, LineError> {
        let lost = |error: &dyn std::error::Error| LineError::Lost(said(error));
        let stream = self.connect().await.map_err(|error| match error {
            ClientError::Untrusted { .. } => LineError::Refused(said(&error)),
            _ => lost(&error),
        })?;
        let request = self.base_url().websocket(path).into_client_request();
        let mut request = request.map_err(|error| lost(&error))?;
        if let Some(authorization) = self.authorization() {
            request.headers_mut().insert(AUTHORIZATION, authorization);
        }
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .max_message_size(Some(FRAME_BYTES_MAX))
            .max_frame_size(Some(FRAME_BYTES_MAX));
        match client_async_with_config(request, stream, Some(config)).await {
            Ok((socket, _)) => Ok(Line(Box::new(socket))),
            Err(Error::Http(response)) if is_final(response.status()) => {
                let body = response.body().as_deref().unwrap_or_default();
                let said = String::from_utf8_lossy(body);
                let message = format!("the coordinator answers {}: {said}", response.status());
                Err(LineError::Refused(message))
            }
            Err(error) => Err(lost(&error)),
        }
    }
}

/// An error with its causes.
fn said(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// Whether the caller may not come in, rather than not now.
fn is_final(status: StatusCode) -> bool {
    status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS
}

impl Line {
    /// Sends a frame.
    ///
    /// # Errors
    /// The connection broke, or nobody reads.
    pub async fn send(&mut self, text: String) -> Result<(), LineError> {
        match tokio::time::timeout(SEND_TIMEOUT, self.0.send(Message::text(text))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(LineError::Lost(said(&error))),
            Err(_) => Err(LineError::Lost("nobody reads what is sent".to_owned())),
        }
    }

    /// The next frame. Dropping the future loses nothing.
    ///
    /// # Errors
    /// The connection ended.
    pub async fn next(&mut self) -> Result<String, LineError> {
        loop {
            let lost = match self.0.next().await {
                Some(Ok(Message::Text(text))) => return Ok(text.as_str().to_owned()),
                Some(Ok(Message::Close(frame))) => {
                    frame.map_or_else(|| "closed".to_owned(), |frame| frame.to_string())
                }
                Some(Ok(_)) => continue,
                Some(Err(error)) => said(&error),
                None => "closed".to_owned(),
            };
            return Err(LineError::Lost(lost));
        }
    }

    /// Closes it, with a farewell if somebody takes one.
    pub async fn close(mut self) {
        // Whoever is gone needs no farewell.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, self.0.close()).await;
    }
}
