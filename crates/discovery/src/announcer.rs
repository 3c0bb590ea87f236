//! Announces a coordinator until it is stopped.

use std::time::{Duration, Instant};

use mdns_sd::{DaemonEvent, Receiver, RecvTimeoutError};

use crate::responder::Responder;
use crate::{ANNOUNCE_WAIT_MS, Announcement, DiscoveryError, InterfaceFilter};

/// A coordinator's announcement on the local network; it ends with this value.
#[derive(Debug)]
pub struct Announcer {
    responder: Responder,
}

impl Announcer {
    /// Announces, and returns once the announcement left this host on the first interface: about a
    /// second, at most [`ANNOUNCE_WAIT_MS`].
    ///
    /// The interfaces are those that are there and pass `filter`; point-to-point ones (VPNs) are
    /// left out always. An address that the host gets later is not announced, see
    /// [`FollowingAnnouncer`](crate::FollowingAnnouncer).
    pub fn start(
        announcement: &Announcement,
        filter: &InterfaceFilter,
    ) -> Result<Self, DiscoveryError> {
        let service = announcement.service()?;
        let responder = Responder::start(filter)?;
        let daemon = responder.daemon();
        let events = daemon
            .monitor()
            .map_err(DiscoveryError::multicast("watch the multicast thread"))?;
        daemon
            .register(service)
            .map_err(DiscoveryError::multicast("announce the service"))?;
        wait_until_announced(&events).map_err(|reason| DiscoveryError::NotAnnounced {
            instance: announcement.instance.clone(),
            reason,
        })?;
        Ok(Self { responder })
    }

    /// Takes the announcement back and ends the multicast thread; dropping does the same without
    /// telling how it went. Blocks for at most [`crate::STOP_WAIT_MS`].
    pub fn stop(mut self) -> Result<(), DiscoveryError> {
        self.responder.stop()
    }
}

/// Waits for the first announcement; the error is what the thread said last.
fn wait_until_announced(events: &Receiver<DaemonEvent>) -> Result<(), String> {
    let deadline = Instant::now() + Duration::from_millis(ANNOUNCE_WAIT_MS);
    let mut reason = "nothing was sent".to_owned();
    loop {
        match events.recv_deadline(deadline) {
            Ok(DaemonEvent::Announce(..)) => return Ok(()),
            Ok(DaemonEvent::Error(error)) => reason = error.to_string(),
            Ok(_) => (),
            Err(RecvTimeoutError::Timeout) => return Err(reason),
            Err(RecvTimeoutError::Disconnected) => {
                return Err("the multicast thread ended".to_owned());
            }
        }
    }
}
