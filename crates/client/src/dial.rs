//! One connection to a coordinator: plain, or TLS to the one whose certificate authority is
//! pinned.

use crate::base_url::BaseUrl;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use skep_identity::SERVER_NAME;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

/// How to reach a coordinator, and whom to trust there.
///
/// A coordinator may have several addresses. Clones share which of them answered last; the next
/// connection is tried there first. They also share where its name led then: while no name server
/// answers, it is looked for there.
#[derive(Debug, Clone)]
pub struct Dial {
    /// At least one; all of one coordinator.
    bases: Arc<[BaseUrl]>,
    favourite: Arc<Mutex<Favourite>>,
    /// For `https` and `wss` addresses.
    tls: Option<Arc<ClientConfig>>,
}

/// The address that answered last.
#[derive(Debug, Clone, Copy, Default)]
struct Favourite {
    /// Among all addresses.
    position: usize,
    /// Where its name led.
    place: Option<SocketAddr>,
}

/// Part of a connection's patience that is given to name servers.
const RESOLVING_SHARE: u32 = 3;

impl Dial {
    /// To a plain address, or with the trust that an encrypted one needs.
    pub fn new(base: BaseUrl, tls: Option<Arc<ClientConfig>>) -> Self {
        Self {
            bases: Arc::new([base]),
            favourite: Arc::default(),
            tls,
        }
    }

    /// Also by these addresses, when the ones before do not answer.
    #[must_use]
    pub fn or(self, others: impl IntoIterator<Item = BaseUrl>) -> Self {
        let bases = self.bases.iter().cloned().chain(others).collect();
        Self { bases, ..self }
    }

    /// The address that answered last, or the first one.
    pub fn base(&self) -> &BaseUrl {
        &self.bases[self.favourite.lock().position % self.bases.len()]
    }

    /// Whether an address is encrypted and nobody is trusted there.
    pub(crate) fn is_without_trust(&self) -> bool {
        self.tls.is_none() && self.bases.iter().any(BaseUrl::is_secure)
    }

    /// An address to which a token would go in the clear.
    pub(crate) fn exposed(&self) -> Option<&BaseUrl> {
        let mut bases = self.bases.iter();
        bases.find(|base| !base.is_secure() && !base.is_loopback())
    }

    /// Opens a connection; each address gets `patience`.
    ///
    /// # Errors
    /// Nobody answers at any address, or those who do are not the one that is trusted. The error
    /// is that of the address that was tried last.
    pub async fn open(&self, patience: Duration) -> io::Result<Stream> {
        let count = self.bases.len();
        let first = self.favourite.lock().position;
        let mut failure = None;
        for position in (first..first + count).map(|position| position % count) {
            let connecting = self.connect(position, patience / RESOLVING_SHARE);
            match tokio::time::timeout(patience, connecting).await {
                Ok(Ok((stream, place))) => {
                    let place = Some(place);
                    *self.favourite.lock() = Favourite { position, place };
                    return Ok(stream);
                }
                Ok(Err(error)) => failure = Some(error),
                Err(_) => failure = Some(timed_out()),
            }
        }
        Err(failure.unwrap_or_else(timed_out))
    }

    async fn connect(
        &self,
        position: usize,
        resolving: Duration,
    ) -> io::Result<(Stream, SocketAddr)> {
        let base = &self.bases[position];
        let places = self.places(position, resolving).await?;
        let stream = TcpStream::connect(places.as_slice()).await?;
        let place = stream.peer_addr()?;
        stream.set_nodelay(true)?;
        if !base.is_secure() {
            return Ok((Stream::Plain(stream), place));
        }
        let tls = self.tls.clone().ok_or_else(|| {
            let reason = "nobody is trusted: an encrypted address needs a pinned authority";
            io::Error::new(io::ErrorKind::InvalidInput, reason)
        })?;
        let name = ServerName::try_from(SERVER_NAME).map_err(io::Error::other)?;
        let stream = TlsConnector::from(tls).connect(name, stream).await?;
        Ok((Stream::Tls(Box::new(stream)), place))
    }

    /// Where an address leads; if nobody knows its name any more, where it led when it answered
    /// last. Whoever is there now has to be the one that is trusted.
    async fn places(&self, position: usize, resolving: Duration) -> io::Result<Vec<SocketAddr>> {
        let base = &self.bases[position];
        let resolved = lookup_host((base.host(), base.port()));
        let failure = match tokio::time::timeout(resolving, resolved).await {
            Ok(Ok(places)) => return Ok(places.collect()),
            Ok(Err(failure)) => failure,
            Err(_) => timed_out(),
        };
        let favourite = *self.favourite.lock();
        let place = favourite.place.filter(|_| favourite.position == position);
        place.map(|place| vec![place]).ok_or(failure)
    }
}

fn timed_out() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no connection in time")
}

/// An open connection.
#[derive(Debug)]
pub enum Stream {
    /// Unencrypted.
    Plain(TcpStream),
    /// Encrypted, to the coordinator that is trusted.
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_shutdown(context),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, buffers),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_write_vectored(context, buffers),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }
}

/// What the HTTP pool knows of a connection.
impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

/// Opens the connections of a pool.
#[derive(Debug, Clone)]
pub(crate) struct Connector {
    pub(crate) dial: Dial,
    pub(crate) patience: Duration,
}

impl tower_service::Service<http::Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<Stream>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// All requests of a client go to one place, whatever their URI.
    fn call(&mut self, _: http::Uri) -> Self::Future {
        let Self { dial, patience } = self.clone();
        Box::pin(async move { dial.open(patience).await.map(TokioIo::new) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// No name server knows a name that ends like this.
    fn dial_to_nobody(port: u16) -> Dial {
        let url = format!("http://hive.invalid:{port}");
        Dial::new(url.parse().unwrap(), None)
    }

    #[tokio::test]
    async fn while_a_name_does_not_resolve_the_place_that_answered_last_is_tried() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let place = listener.local_addr().unwrap();
        let dial = dial_to_nobody(place.port());
        assert!(dial.open(PATIENCE).await.is_err(), "it never answered");
        dial.favourite.lock().place = Some(place);
        let stream = dial.open(PATIENCE).await.unwrap();
        assert!(matches!(stream, Stream::Plain(tcp) if tcp.peer_addr().unwrap() == place));
        // It is the place of that address alone.
        let other = dial_to_nobody(place.port()).or(["http://other.invalid:1".parse().unwrap()]);
        *other.favourite.lock() = Favourite {
            position: 1,
            place: Some(place),
        };
        assert!(other.places(0, PATIENCE).await.is_err());
        assert_eq!(other.places(1, PATIENCE).await.unwrap(), [place]);
    }
}
