//! The WebSocket to the coordinator: none, being opened, or open.

use crate::error::chain;
use crate::login::Credentials;
use crate::{CLOSE_TIMEOUT_MS, CONNECT_TIMEOUT_MS};
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use skep_client::{ClientError, Stream as Socket};
use skep_model::limits::FRAME_BYTES_MAX;
use skep_wire::Frame;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::http::header::AUTHORIZATION;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

const ENDPOINT: &str = "/mcpx";
const UNAUTHORIZED: StatusCode = StatusCode::UNAUTHORIZED;
/// Bytes read at a time. The library's own default would cost 128 KiB for each connection.
const READ_BUFFER_BYTES: usize = 16 << 10;
/// Bytes gathered before they go to the socket.
const WRITE_BUFFER_BYTES: usize = 64 << 10;
/// Bytes that wait for a slow coordinator; beyond it the connection is given up.
const WRITE_BUFFER_BYTES_MAX: usize = 4 * FRAME_BYTES_MAX;

type Opened = WebSocketStream<Socket>;
type Opening = Pin<Box<dyn Future<Output = Result<Opened, Refusal>> + Send>>;

/// What a connection says.
#[derive(Debug)]
pub(crate) enum ConnectionEvent {
    /// It is open.
    Opened,
    /// The coordinator answered with this status instead of opening it.
    Refused(u16),
    /// Somebody answers there who is not the coordinator that this node joined.
    Untrusted(String),
    /// It could not be opened, or it broke; for logs.
    Lost(String),
    /// A frame came in.
    Frame(Frame),
}

#[derive(Debug)]
enum Refusal {
    Status(u16),
    Untrusted(String),
    Other(String),
}

enum State {
    None,
    Opening(Opening),
    Open(Box<Opened>),
}

/// At most one connection.
pub(crate) struct Connection {
    credentials: Credentials,
    state: State,
    /// Something was written that may not be in the socket yet.
    is_unflushed: bool,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::None => "none",
            State::Opening(_) => "opening",
            State::Open(_) => "open",
        };
        write!(f, "Connection({:?}, {state})", self.credentials.client())
    }
}

impl Connection {
    /// None yet.
    pub(crate) const fn new(credentials: Credentials) -> Self {
        Self {
            credentials,
            state: State::None,
            is_unflushed: false,
        }
    }

    /// Begins to open one.
    pub(crate) fn open(&mut self) {
        let opening = open(self.credentials.clone());
        self.state = State::Opening(Box::pin(async move {
            let patience = Duration::from_millis(CONNECT_TIMEOUT_MS);
            let too_late = || Refusal::Other("no connection in time".to_owned());
            tokio::time::timeout(patience, opening)
                .await
                .unwrap_or_else(|_| Err(too_late()))
        }));
    }

    /// Writes a frame; it leaves with the next [`Self::next`]. An error gives the connection
    /// up.
    pub(crate) fn send(&mut self, frame: Frame) -> Result<(), String> {
        let State::Open(socket) = &mut self.state else {
            return Ok(());
        };
        let socket = Pin::new(&mut **socket);
        let message = match frame {
            Frame::Text(text) => Message::text(text),
            Frame::Binary(bytes) => Message::binary(bytes),
        };
        if let Err(error) = Sink::start_send(socket, message) {
            self.state = State::None;
            return Err(error.to_string());
        }
        self.is_unflushed = true;
        Ok(())
    }

    /// Gives the connection up; what comes back writes the rest and says goodbye.
    pub(crate) fn close(&mut self) -> Option<impl Future<Output = ()> + Send + use<>> {
        let State::Open(mut socket) = std::mem::replace(&mut self.state, State::None) else {
            return None;
        };
        Some(async move {
            let goodbye = async {
                // The coordinator may be gone already; then there is nobody to tell.
                if SinkExt::close(&mut socket).await.is_ok() {
                    while let Some(Ok(_)) = socket.next().await {}
                }
            };
            let _ = tokio::time::timeout(Duration::from_millis(CLOSE_TIMEOUT_MS), goodbye).await;
        })
    }

    /// Writes what waits, and waits for what comes. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> ConnectionEvent {
        poll_fn(|context| self.poll_next(context)).await
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<ConnectionEvent> {
        match &mut self.state {
            State::None => Poll::Pending,
            State::Opening(opening) => {
                let opened = ready!(opening.as_mut().poll(context));
                self.is_unflushed = false;
                self.state = State::None;
                Poll::Ready(match opened {
                    Ok(socket) => {
                        self.state = State::Open(Box::new(socket));
                        ConnectionEvent::Opened
                    }
                    Err(Refusal::Status(status)) => ConnectionEvent::Refused(status),
                    Err(Refusal::Untrusted(reason)) => ConnectionEvent::Untrusted(reason),
                    Err(Refusal::Other(reason)) => ConnectionEvent::Lost(reason),
                })
            }
            State::Open(_) => {
                let event = ready!(self.poll_open(context));
                if matches!(event, ConnectionEvent::Lost(_)) {
                    self.state = State::None;
                }
                Poll::Ready(event)
            }
        }
    }

    fn poll_open(&mut self, context: &mut Context<'_>) -> Poll<ConnectionEvent> {
        let State::Open(socket) = &mut self.state else {
            return Poll::Pending;
        };
        let mut socket = Pin::new(&mut **socket);
        loop {
            if self.is_unflushed {
                match socket.as_mut().poll_flush(context) {
                    Poll::Ready(Ok(())) => self.is_unflushed = false,
                    Poll::Ready(Err(error)) => {
                        return Poll::Ready(ConnectionEvent::Lost(error.to_string()));
                    }
                    Poll::Pending => {}
                }
            }
            let lost = match ready!(socket.as_mut().poll_next(context)) {
                Some(Ok(Message::Text(text))) => {
                    let frame = Frame::Text(text.as_str().to_owned());
                    return Poll::Ready(ConnectionEvent::Frame(frame));
                }
                Some(Ok(Message::Binary(bytes))) => {
                    let frame = Frame::Binary(bytes.into());
                    return Poll::Ready(ConnectionEvent::Frame(frame));
                }
                // The library has queued the pong.
                Some(Ok(Message::Ping(_))) => {
                    self.is_unflushed = true;
                    continue;
                }
                Some(Ok(Message::Pong(_) | Message::Frame(_))) => continue,
                Some(Ok(Message::Close(frame))) => {
                    frame.map_or_else(|| "closed".to_owned(), |frame| frame.to_string())
                }
                Some(Err(error)) => error.to_string(),
                None => "closed".to_owned(),
            };
            return Poll::Ready(ConnectionEvent::Lost(lost));
        }
    }
}

async fn open(credentials: Credentials) -> Result<Opened, Refusal> {
    let other = |error: &dyn std::error::Error| Refusal::Other(chain(error));
    credentials
        .refresh()
        .await
        .map_err(|error| refusal(&error))?;
    let client = credentials.client();
    let stream = client.connect().await.map_err(|error| refusal(&error))?;
    let mut request = client
        .base_url()
        .websocket(ENDPOINT)
        .into_client_request()
        .map_err(|error| other(&error))?;
    if let Some(authorization) = client.authorization() {
        request.headers_mut().insert(AUTHORIZATION, authorization);
    }
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX)
        .max_message_size(Some(FRAME_BYTES_MAX))
        .max_frame_size(Some(FRAME_BYTES_MAX));
    match client_async_with_config(request, stream, Some(config)).await {
        Ok((socket, _)) => Ok(socket),
        // The session may be over or forgotten: the next login says whether the node is welcome.
        Err(Error::Http(response))
            if response.status() == UNAUTHORIZED && credentials.can_log_in() =>
        {
            credentials.forget();
            Err(Refusal::Other("the session is over".to_owned()))
        }
        Err(Error::Http(response)) => Err(Refusal::Status(response.status().as_u16())),
        Err(error) => Err(other(&error)),
    }
}

/// Only what waiting cannot mend is a refusal; a node that waits for approval comes back.
fn refusal(error: &ClientError) -> Refusal {
    match error {
        ClientError::Problem(problem) if problem.status == UNAUTHORIZED.as_u16() => {
            Refusal::Status(problem.status)
        }
        ClientError::Untrusted { .. } => Refusal::Untrusted(chain(error)),
        _ => Refusal::Other(chain(error)),
    }
}
