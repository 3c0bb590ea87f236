//! The WebSocket of one played node: none, being opened, or open. Small buffers, for there are
//! many.

use anyhow::{Context as _, Result};
use futures_util::{Sink, Stream as _};
use skep_identity::{Fingerprint, SERVER_NAME, pinned_client_config};
use skep_model::limits::FRAME_BYTES_MAX;
use skep_wire::Frame;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::header::{AUTHORIZATION, HeaderValue};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use tokio_util::either::Either;

/// Bytes read at a time, and gathered before a write.
const BUFFER_BYTES: usize = 4 << 10;

/// Where the coordinator listens and what opens it.
#[derive(Clone)]
pub struct Coordinator {
    pub(crate) address: Arc<str>,
    pub(crate) token: Arc<str>,
    /// How its nodes speak TLS; none when they speak plain WebSocket.
    tls: Option<Arc<ClientConfig>>,
}

impl fmt::Debug for Coordinator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coordinator")
            .field("address", &self.address)
            .field("tls", &self.tls.is_some())
            .finish_non_exhaustive()
    }
}

impl Coordinator {
    /// Takes a plain HTTP URL apart.
    ///
    /// # Errors
    /// It is another kind of URL.
    pub fn new(url: &str, token: &str) -> Result<Self> {
        let address = url.strip_prefix("http://");
        let address = address.with_context(|| format!("`{url}` is not an http URL"))?;
        Ok(Self {
            address: address.trim_end_matches('/').into(),
            token: token.trim().into(),
            tls: None,
        })
    }

    /// The same, but nodes come as machines do that joined: by TLS, and they take only a
    /// coordinator for which this authority vouches.
    #[must_use]
    pub fn vouched_for_by(self, authority: Fingerprint) -> Self {
        Self {
            tls: Some(pinned_client_config(authority)),
            ..self
        }
    }

    pub(crate) async fn connect(&self) -> std::io::Result<TcpStream> {
        let stream = TcpStream::connect(&*self.address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn connect_as_node(&self) -> std::io::Result<Stream> {
        let stream = self.connect().await?;
        let Some(tls) = &self.tls else {
            return Ok(Either::Left(stream));
        };
        let name = ServerName::try_from(SERVER_NAME).map_err(std::io::Error::other)?;
        let stream = TlsConnector::from(Arc::clone(tls))
            .connect(name, stream)
            .await?;
        Ok(Either::Right(Box::new(stream)))
    }
}

type Stream = Either<TcpStream, Box<TlsStream<TcpStream>>>;
type Socket = WebSocketStream<Stream>;
type Opening = Pin<Box<dyn Future<Output = Result<Socket, Option<u16>>> + Send>>;

/// What a connection says.
#[derive(Debug)]
pub(crate) enum ConnectionEvent {
    Opened,
    /// The coordinator answered with this status instead of opening it.
    Refused(u16),
    Lost,
    Text(String),
}

/// At most one connection.
#[derive(Default)]
pub(crate) enum Connection {
    #[default]
    None,
    Opening(Opening),
    Open {
        socket: Box<Socket>,
        is_unflushed: bool,
    },
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Opening(_) => "opening",
            Self::Open { .. } => "open",
        })
    }
}

impl Connection {
    pub(crate) fn opening(coordinator: Coordinator) -> Self {
        Self::Opening(Box::pin(open(coordinator)))
    }

    /// Cuts it without a goodbye, as a machine does that loses its power: the peer gets a reset.
    /// False when there was none.
    pub(crate) fn cut(&mut self) -> bool {
        match std::mem::take(self) {
            Self::Open { socket, .. } => {
                // On failure it is closed with an end of file instead, which is as good.
                let stream = match socket.get_ref() {
                    Either::Left(stream) => stream,
                    Either::Right(stream) => stream.get_ref().0,
                };
                let _ = stream.set_zero_linger();
                true
            }
            Self::Opening(_) => true,
            Self::None => false,
        }
    }

    /// Hands over a frame; it leaves with the next [`Self::next`]. False when it broke.
    pub(crate) fn send(&mut self, frame: Frame) -> bool {
        let Self::Open {
            socket,
            is_unflushed,
        } = self
        else {
            return true;
        };
        *is_unflushed = true;
        let message = match frame {
            Frame::Text(text) => Message::text(text),
            Frame::Binary(bytes) => Message::binary(bytes),
        };
        let sent = Sink::start_send(Pin::new(&mut **socket), message).is_ok();
        if !sent {
            *self = Self::None;
        }
        sent
    }

    /// Writes what waits, and waits for what comes. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> ConnectionEvent {
        poll_fn(|context| self.poll_next(context)).await
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<ConnectionEvent> {
        let event = match self {
            Self::None => return Poll::Pending,
            Self::Opening(opening) => match ready!(opening.as_mut().poll(context)) {
                Ok(socket) => {
                    *self = Self::Open {
                        socket: Box::new(socket),
                        is_unflushed: false,
                    };
                    return Poll::Ready(ConnectionEvent::Opened);
                }
                Err(status) => status.map_or(ConnectionEvent::Lost, ConnectionEvent::Refused),
            },
            Self::Open {
                socket,
                is_unflushed,
            } => match ready!(poll_open(socket, is_unflushed, context)) {
                Some(text) => return Poll::Ready(ConnectionEvent::Text(text)),
                None => ConnectionEvent::Lost,
            },
        };
        *self = Self::None;
        Poll::Ready(event)
    }
}

/// The next text; none when the connection is gone.
fn poll_open(
    socket: &mut Socket,
    is_unflushed: &mut bool,
    context: &mut Context<'_>,
) -> Poll<Option<String>> {
    loop {
        if *is_unflushed {
            match Pin::new(&mut *socket).poll_flush(context) {
                Poll::Ready(Ok(())) => *is_unflushed = false,
                Poll::Ready(Err(_)) => return Poll::Ready(None),
                Poll::Pending => {}
            }
        }
        match ready!(Pin::new(&mut *socket).poll_next(context)) {
            Some(Ok(Message::Text(text))) => {
                return Poll::Ready(Some(text.as_str().to_owned()));
            }
            // The library has queued the pong.
            Some(Ok(Message::Ping(_))) => *is_unflushed = true,
            Some(Ok(Message::Pong(_) | Message::Binary(_) | Message::Frame(_))) => {}
            Some(Ok(Message::Close(_)) | Err(_)) | None => return Poll::Ready(None),
        }
    }
}

/// The error is the HTTP status, if it got that far.
async fn open(coordinator: Coordinator) -> Result<Socket, Option<u16>> {
    let address = format!("ws://{}/mcpx", coordinator.address);
    let mut request = address.into_client_request().map_err(|_| None)?;
    let bearer = format!("Bearer {}", coordinator.token);
    let bearer = HeaderValue::from_str(&bearer).map_err(|_| None)?;
    request.headers_mut().insert(AUTHORIZATION, bearer);
    let stream = coordinator.connect_as_node().await.map_err(|_| None)?;
    let config = WebSocketConfig::default()
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .max_message_size(Some(FRAME_BYTES_MAX))
        .max_frame_size(Some(FRAME_BYTES_MAX));
    match client_async_with_config(request, stream, Some(config)).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(response)) => Err(Some(response.status().as_u16())),
        Err(_) => Err(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_http_is_understood() {
        let coordinator = Coordinator::new("http://127.0.0.1:1/", "secret\n").unwrap();
        assert_eq!(&*coordinator.address, "127.0.0.1:1");
        assert_eq!(&*coordinator.token, "secret");
        let error = Coordinator::new("https://h", "").unwrap_err().to_string();
        assert_eq!(error, "`https://h` is not an http URL");
    }
}
