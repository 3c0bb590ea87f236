//! The thread that gives a running coordinator a fresh certificate before the one it shows ends.

use crate::exit::chain;
use crate::reach::system_time;
use skep_coordinator::ports::Clock;
use skep_identity::CertificateKeeper;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// Between two looks at the clock. A certificate is renewed months before it ends, so a clock that
/// jumps, or an error, leaves time for many more.
const LOOK_PAUSE: Duration = Duration::from_hours(1);

/// The running thread; it ends with this value.
#[derive(Debug)]
pub(crate) struct CertificateRenewal {
    stop: SyncSender<()>,
    thread: JoinHandle<()>,
}

impl CertificateRenewal {
    pub(crate) fn start(keeper: CertificateKeeper, clock: Arc<dyn Clock>) -> std::io::Result<Self> {
        Self::looking_every(LOOK_PAUSE, keeper, clock)
    }

    fn looking_every(
        pause: Duration,
        keeper: CertificateKeeper,
        clock: Arc<dyn Clock>,
    ) -> std::io::Result<Self> {
        let (stop, stopped) = sync_channel(1);
        let thread = Builder::new()
            .name("cert-renewal".to_owned())
            .spawn(move || renew_until(&stopped, pause, keeper, clock.as_ref()))?;
        Ok(Self { stop, thread })
    }

    /// Ends it.
    pub(crate) fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::error!("the thread that renews the certificate panicked");
        }
    }
}

fn renew_until(
    stopped: &Receiver<()>,
    pause: Duration,
    mut keeper: CertificateKeeper,
    clock: &dyn Clock,
) {
    while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
        match keeper.renew_if_due(system_time(clock)) {
            Ok(true) => tracing::info!("the coordinator shows a fresh certificate"),
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(
                    error = chain(&error),
                    "the certificate could not be renewed and is tried again"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_identity::{Authority, SERVER_NAME, pinned_client_config};
    use skep_model::time::UnixMillis;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::{Instant, SystemTime};
    use tokio::net::{TcpListener, TcpStream};
    use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
    use tokio_rustls::rustls::{ClientConfig, ServerConfig};
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    const DAY_MS: u64 = 86_400_000;
    /// The certificate appears within milliseconds unless something is broken.
    const PATIENCE: Duration = Duration::from_secs(20);

    #[derive(Debug)]
    struct SetClock(AtomicU64);

    impl Clock for SetClock {
        fn wall(&self) -> UnixMillis {
            UnixMillis(self.0.load(Ordering::Relaxed))
        }

        fn elapsed_ms(&self) -> u64 {
            0
        }
    }

    /// The certificate that a client which pins the authority is shown on a new connection.
    async fn seen(
        server: &Arc<ServerConfig>,
        client: &Arc<ClientConfig>,
    ) -> CertificateDer<'static> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serve = async {
            let (stream, _) = listener.accept().await.unwrap();
            TlsAcceptor::from(Arc::clone(server)).accept(stream).await
        };
        let connect = async {
            let stream = TcpStream::connect(address).await.unwrap();
            let name = ServerName::try_from(SERVER_NAME).unwrap();
            let connector = TlsConnector::from(Arc::clone(client));
            connector.connect(name, stream).await
        };
        let (served, connected) = tokio::join!(serve, connect);
        served.unwrap();
        let connected = connected.unwrap();
        connected.get_ref().1.peer_certificates().unwrap()[0].clone()
    }

    #[tokio::test]
    async fn a_connection_after_the_renewal_sees_a_new_certificate_and_the_old_pin_holds() {
        let directory = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        let unix = now.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let unix = unix.as_millis() as u64;
        let clock = Arc::new(SetClock(AtomicU64::new(unix - 300 * DAY_MS)));
        let authority = Authority::load_or_create(directory.path(), now).unwrap();
        let pin = authority.fingerprint();
        let keeper = CertificateKeeper::start(authority, system_time(clock.as_ref())).unwrap();
        let server = keeper.server_config().unwrap();
        let shared: Arc<dyn Clock> = Arc::clone(&clock) as Arc<dyn Clock>;
        let pause = Duration::from_millis(1);
        let renewal = CertificateRenewal::looking_every(pause, keeper, shared).unwrap();
        let client = || pinned_client_config(pin);
        let first = seen(&server, &client()).await;
        clock.0.store(unix, Ordering::Relaxed);
        let started = Instant::now();
        while seen(&server, &client()).await == first {
            assert!(
                started.elapsed() < PATIENCE,
                "the old certificate is still shown"
            );
        }
        renewal.stop();
        let kept = seen(&server, &client()).await;
        assert_eq!(
            seen(&server, &client()).await,
            kept,
            "one renewal is enough"
        );
    }
}
