//! A TCP proxy that makes a connection bad: delay and jitter for each direction, stalls, resets,
//! half-closed connections, bytes cut apart anywhere, bounded rates, refused connections.
//!
//! `skep-chaos delay-proxy --listen ADDRESS --to ADDRESS` reads one line at a time from its
//! standard input, obeys it at once, also for open connections, and answers with `ok` or
//! `error: …`. It ends with its input, so it never outlives who started it.

mod connection;
mod settings;
#[cfg(test)]
mod tests;

use crate::random::Random;
use anyhow::{Context, Result, bail};
use connection::Connection;
use settings::{GRAMMAR, Settings};
use std::io::{BufRead, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Connections open at a time; more are reset.
const CONNECTIONS_MAX: usize = 256;
/// Pause after the system refused to accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);
/// Words on the command line of the tool.
pub(crate) const USAGE: &str = "usage: skep-chaos delay-proxy --listen ADDRESS --to ADDRESS";

/// What all threads of a proxy share.
#[derive(Debug, Default)]
struct Shared {
    settings: Mutex<Settings>,
    settings_changed: Condvar,
    is_stopped: AtomicBool,
    /// Connections that reached the target so far.
    connections: AtomicU64,
    bytes: AtomicU64,
}

impl Shared {
    fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Acquire)
    }

    fn stop(&self) {
        self.is_stopped.store(true, Ordering::Release);
        self.settings_changed.notify_all();
    }
}

/// A running proxy; it ends when dropped.
#[derive(Debug)]
pub(crate) struct DelayProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

impl DelayProxy {
    /// Passes on what comes to one address to another one.
    pub(crate) fn start(listen: SocketAddr, target: SocketAddr) -> Result<Self> {
        let listener =
            TcpListener::bind(listen).with_context(|| format!("listen on `{listen}`"))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let accepting = Arc::clone(&shared);
        let acceptor = thread::Builder::new()
            .name("delay-proxy".to_owned())
            .spawn(move || accept(&listener, target, &accepting))?;
        Ok(Self {
            address,
            shared,
            acceptor: Some(acceptor),
        })
    }

    /// Where it listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Does what a line says; the error names the word that is not understood.
    pub(crate) fn obey(&self, line: &str) -> Result<(), String> {
        let told = self.shared.settings().obey(line);
        self.shared.settings_changed.notify_all();
        told
    }

    /// What went through so far.
    fn status(&self) -> String {
        let connections = self.shared.connections.load(Ordering::Relaxed);
        let bytes = self.shared.bytes.load(Ordering::Relaxed);
        format!("connections {connections} bytes {bytes}")
    }
}

impl Drop for DelayProxy {
    fn drop(&mut self) {
        self.shared.stop();
        // Wakes the acceptor; when nobody listens any more it has ended already.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            // A panic there was shown there.
            let _ = acceptor.join();
        }
    }
}

/// Accepts until the proxy stops, then waits for the connections to end.
fn accept(listener: &TcpListener, target: SocketAddr, shared: &Arc<Shared>) {
    let mut open: Vec<JoinHandle<()>> = Vec::new();
    let mut number = 0;
    while !shared.is_stopped() {
        let Ok((client, _)) = listener.accept() else {
            thread::sleep(ACCEPT_PAUSE);
            continue;
        };
        open.retain(|thread| !thread.is_finished());
        let is_refused = shared.settings().is_refusing || open.len() >= CONNECTIONS_MAX;
        if is_refused || shared.is_stopped() {
            connection::reset(client);
            continue;
        }
        number += 1;
        let connection = Connection::new(Arc::clone(shared), Random::new(number, 0));
        let thread = thread::Builder::new().name(format!("connection-{number}"));
        // Without a thread the connection is dropped, as on a machine that is full.
        open.extend(thread.spawn(move || connection.pass_on(client, target)));
    }
    for thread in open {
        let _ = thread.join();
    }
}

/// The tool: a proxy that is told what to do by lines.
pub(crate) fn run(words: impl IntoIterator<Item = String>) -> Result<()> {
    let (mut listen, mut target) = (None, None);
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let place = match word.as_str() {
            "--listen" => &mut listen,
            "--to" => &mut target,
            _ => bail!("`{word}` is not understood; {USAGE}"),
        };
        let address = words.next().and_then(|word| word.parse().ok());
        *place = Some(address.with_context(|| format!("`{word}` needs an address; {USAGE}"))?);
    }
    let listen = listen.context(USAGE)?;
    let proxy = DelayProxy::start(listen, target.context(USAGE)?)?;
    converse(&proxy, std::io::stdin().lock(), std::io::stdout())
}

/// Obeys lines until there are no more.
fn converse(proxy: &DelayProxy, lines: impl BufRead, mut answers: impl Write) -> Result<()> {
    writeln!(answers, "listening on {}", proxy.address())?;
    answers.flush()?;
    for line in lines.lines() {
        let line = line.context("read a line")?;
        if line.trim() == "status" {
            writeln!(answers, "ok {}", proxy.status())?;
        } else {
            match proxy.obey(&line) {
                Ok(()) => writeln!(answers, "ok")?,
                Err(word) => writeln!(answers, "error: `{word}` is not understood; {GRAMMAR}")?,
            }
        }
        answers.flush()?;
    }
    Ok(())
}
