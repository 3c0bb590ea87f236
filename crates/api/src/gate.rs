//! Lets connections in: TLS from anywhere, plain HTTP from this machine only.
//!
//! Both come in by one port: the first byte of a TLS connection is that of a handshake record,
//! which no HTTP request begins with. Handshakes run beside each other, and when there are too many
//! the oldest is given up: callers who are slow, or send nothing, keep nobody else out.
//!
//! The system itself watches over connections: one whose other end has gone without a word, or
//! takes nothing, is broken off after the same time, whatever is served on it.

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use rustix::net::sockopt;
use skep_model::limits;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;

/// Connections whose first byte or handshake is waited for; beyond it the one that has been waited
/// for longest is cut. Ten thousand nodes may come back at once, and none of them means ill.
const HANDSHAKES_MAX: usize = 12_288;
/// How long a caller may take to say what it speaks, handshake included.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the other end may take nothing of what waits for it, or not be there at all: a lease.
pub(crate) const STALL_MAX: Duration = Duration::from_millis(limits::LEASE_MS);
/// Quiet time after which the other end is asked whether it is there, and how often again, as parts
/// of the stall that ends the connection.
const ASK_AFTER_SHARE: u32 = 2;
const ASK_AGAIN_SHARE: u32 = 6;
/// Pause after the system refused to accept, as it does when descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// First byte of a TLS connection: a record that holds a handshake.
const TLS_HANDSHAKE_RECORD: u8 = 22;
/// The answer to plain HTTP from another machine.
const PLAIN_REFUSED: &[u8] = b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: TLS/1.2\r\n\
    Connection: Upgrade, close\r\nContent-Type: text/plain\r\n\r\n\
    plain HTTP is answered on this machine only: use https\n";

/// A connection that was let in: unencrypted from this machine (left), or encrypted.
type Stream = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// What a request's connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Caller {
    /// Whether it is unencrypted, and so comes from this machine.
    pub(crate) is_plain: bool,
}

impl Connected<IncomingStream<'_, Gate>> for Caller {
    fn connect_info(stream: IncomingStream<'_, Gate>) -> Self {
        Self {
            is_plain: matches!(stream.io(), Either::Left(_)),
        }
    }
}

/// Accepts connections.
pub(crate) struct Gate {
    /// At least one.
    listeners: Vec<TcpListener>,
    acceptor: Option<TlsAcceptor>,
    stall_max: Duration,
    handshakes: JoinSet<Option<(Stream, SocketAddr)>>,
    /// Those of the handshakes, the oldest first; some of them may be over.
    waited_for: VecDeque<AbortHandle>,
    handshakes_max: usize,
}

impl Gate {
    /// Without a TLS configuration only this machine is let in. Connections that stall for longer
    /// are broken off.
    pub(crate) fn new(
        listeners: Vec<TcpListener>,
        tls: Option<Arc<ServerConfig>>,
        stall_max: Duration,
    ) -> Self {
        Self {
            listeners,
            acceptor: tls.map(TlsAcceptor::from),
            stall_max,
            handshakes: JoinSet::new(),
            waited_for: VecDeque::new(),
            handshakes_max: HANDSHAKES_MAX,
        }
    }

    fn begin(&mut self, stream: TcpStream, peer: SocketAddr) {
        if self.waited_for.len() >= self.handshakes_max {
            self.waited_for.retain(|handshake| !handshake.is_finished());
        }
        if self.waited_for.len() >= self.handshakes_max
            && let Some(oldest) = self.waited_for.pop_front()
        {
            oldest.abort();
        }
        let admitting = admit(stream, peer, self.acceptor.clone());
        self.waited_for.push_back(self.handshakes.spawn(admitting));
    }
}

impl Listener for Gate {
    type Io = Stream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Stream, SocketAddr) {
        loop {
            tokio::select! {
                Some(done) = self.handshakes.join_next() => {
                    if let Ok(Some(connection)) = done {
                        return connection;
                    }
                }
                accepted = accept_any(&self.listeners) => match accepted {
                    Ok((stream, peer)) => {
                        if let Err(error) = bound_stalls(&stream, self.stall_max) {
                            tracing::debug!(%peer, %error, "a connection was gone at once");
                            continue;
                        }
                        self.begin(stream, peer);
                    }
                    Err(error) => {
                        tracing::warn!(%error, "no connection can be accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        match self.listeners.first() {
            Some(listener) => listener.local_addr(),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

/// Has the system break off a connection whose other end is silent or takes nothing.
fn bound_stalls(stream: &TcpStream, stall_max: Duration) -> io::Result<()> {
    // Whole seconds, and at least one: the system takes nothing less.
    let share = |part: u32| (stall_max / part).max(Duration::from_secs(1));
    let millis = u32::try_from(stall_max.as_millis()).unwrap_or(u32::MAX);
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, share(ASK_AFTER_SHARE))?;
    sockopt::set_tcp_keepintvl(stream, share(ASK_AGAIN_SHARE))?;
    sockopt::set_tcp_keepcnt(stream, ASK_AGAIN_SHARE / ASK_AFTER_SHARE)?;
    // Ends also a connection whose other end is there and reads nothing.
    sockopt::set_tcp_user_timeout(stream, millis)?;
    Ok(())
}

async fn accept_any(listeners: &[TcpListener]) -> io::Result<(TcpStream, SocketAddr)> {
    std::future::poll_fn(|context| {
        let mut polls = listeners
            .iter()
            .map(|listener| listener.poll_accept(context));
        polls.find(Poll::is_ready).unwrap_or(Poll::Pending)
    })
    .await
}

async fn admit(
    stream: TcpStream,
    peer: SocketAddr,
    acceptor: Option<TlsAcceptor>,
) -> Option<(Stream, SocketAddr)> {
    let admitted = tokio::time::timeout(HANDSHAKE_TIMEOUT, speak(stream, peer, acceptor)).await;
    match admitted {
        Ok(Ok(stream)) => Some((stream?, peer)),
        Ok(Err(error)) => {
            tracing::debug!(%peer, %error, "a connection was not let in");
            None
        }
        Err(_) => {
            tracing::debug!(%peer, "a connection said nothing in time");
            None
        }
    }
}

async fn speak(
    mut stream: TcpStream,
    peer: SocketAddr,
    acceptor: Option<TlsAcceptor>,
) -> io::Result<Option<Stream>> {
    // Answers are small: waiting for more to send would only delay them.
    stream.set_nodelay(true)?;
    let mut first = [0_u8; 1];
    if stream.peek(&mut first).await? == 0 {
        return Ok(None);
    }
    match acceptor {
        Some(acceptor) if first[0] == TLS_HANDSHAKE_RECORD => {
            let stream = acceptor.accept(stream).await?;
            Ok(Some(Either::Right(Box::new(stream))))
        }
        _ if peer.ip().to_canonical().is_loopback() => Ok(Some(Either::Left(stream))),
        _ => {
            stream.write_all(PLAIN_REFUSED).await?;
            stream.shutdown().await?;
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Far less than a silent caller is waited for.
    const PATIENCE: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn callers_who_say_nothing_keep_nobody_else_out() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut gate = Gate::new(vec![listener], None, STALL_MAX);
        gate.handshakes_max = 2;
        let mut silent = Vec::new();
        for _ in 0..8 {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        let mut caller = TcpStream::connect(address).await.unwrap();
        caller.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        let accepted = tokio::time::timeout(PATIENCE, gate.accept()).await;
        let (stream, peer) = accepted.expect("the caller is let in");
        assert!(matches!(stream, Either::Left(_)));
        assert_eq!(peer, caller.local_addr().unwrap());
        assert!(gate.handshakes.len() <= 3, "{}", gate.handshakes.len());
    }
}
