//! Owns one multicast thread: starts it on allowed interfaces only, and sees to its end.

use std::time::{Duration, Instant};

use mdns_sd::{DaemonStatus, IfKind, IfPredicate, Receiver, ServiceDaemon};

use crate::{DiscoveryError, InterfaceFilter, STOP_WAIT_MS, interfaces};

/// How long to wait before an order is given again for which the thread's queue had no room.
const QUEUE_RETRY: Duration = Duration::from_millis(5);

/// A running multicast thread; it ends with this value.
pub(crate) struct Responder {
    /// `None` once it was told to end.
    daemon: Option<ServiceDaemon>,
}

impl std::fmt::Debug for Responder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let running = self.daemon.is_some();
        formatter
            .debug_struct("Responder")
            .field("running", &running)
            .finish()
    }
}

impl Responder {
    /// Starts the thread, which uses no interface that `filter` leaves out, also none that
    /// appears later.
    pub(crate) fn start(filter: &InterfaceFilter) -> Result<Self, DiscoveryError> {
        interfaces::require_multicast(filter, &interfaces::list()?)?;
        let daemon = ServiceDaemon::new()
            .map_err(DiscoveryError::multicast("start the multicast thread"))?;
        let responder = Self {
            daemon: Some(daemon),
        };
        let filter = filter.clone();
        let left_out = IfPredicate::new(move |one| !filter.allows(&one.name, one.ip()));
        responder
            .daemon()
            .disable_interface(IfKind::Predicate(left_out))
            .map_err(DiscoveryError::multicast("leave out interfaces"))?;
        Ok(responder)
    }

    pub(crate) fn daemon(&self) -> &ServiceDaemon {
        self.daemon
            .as_ref()
            .expect("only `stop` takes it, and it takes the responder's last use")
    }

    /// Says goodbye for what was announced and waits, within [`STOP_WAIT_MS`], for the end.
    pub(crate) fn stop(&mut self) -> Result<(), DiscoveryError> {
        let Some(daemon) = self.daemon.take() else {
            return Ok(());
        };
        let deadline = Instant::now() + Duration::from_millis(STOP_WAIT_MS);
        let Some(ended) = order_end(&daemon, deadline)? else {
            return Ok(());
        };
        match ended.recv_deadline(deadline) {
            Ok(DaemonStatus::Shutdown) => Ok(()),
            _ => Err(DiscoveryError::NotStopped),
        }
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        // Nobody is left to tell: the thread has its order, and the bound has passed.
        let _ = self.stop();
    }
}

/// Gives the order to end, again while the thread's queue is full; `None` if it ended before.
fn order_end(
    daemon: &ServiceDaemon,
    deadline: Instant,
) -> Result<Option<Receiver<DaemonStatus>>, DiscoveryError> {
    loop {
        match daemon.shutdown() {
            Ok(ended) => return Ok(Some(ended)),
            Err(mdns_sd::Error::DaemonShutdown) => return Ok(None),
            Err(mdns_sd::Error::Again) if Instant::now() < deadline => {
                std::thread::sleep(QUEUE_RETRY);
            }
            Err(mdns_sd::Error::Again) => return Err(DiscoveryError::NotStopped),
            Err(source) => {
                return Err(DiscoveryError::Multicast {
                    step: "end the multicast thread",
                    source,
                });
            }
        }
    }
}
