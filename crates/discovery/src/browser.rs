//! Listens for coordinators that announce themselves.

use std::time::{Duration, Instant};

use mdns_sd::{InterfaceId, Receiver, RecvTimeoutError, ResolvedService, ScopedIp, ServiceEvent};

use crate::findings::{Findings, HeardAddress, Sighting};
use crate::responder::Responder;
use crate::{BROWSE_MS_MAX, DiscoveryError, Found, InterfaceFilter, SERVICE_TYPE};

/// Lists what is heard within `duration`, by cluster and instance.
///
/// Silence is an empty list. It means little: many networks drop multicast. A second is enough for
/// what is announced already; [`BROWSE_MS_MAX`] is the most.
pub fn browse(filter: &InterfaceFilter, duration: Duration) -> Result<Vec<Found>, DiscoveryError> {
    let mut browser = Browser::start(filter)?;
    let deadline = deadline_after(duration);
    while browser.next_until(deadline)?.is_some() {}
    let found = browser.findings();
    browser.stop()?;
    Ok(found)
}

/// Listens until it is stopped or dropped.
#[derive(Debug)]
pub struct Browser {
    responder: Responder,
    events: Receiver<ServiceEvent>,
    findings: Findings,
}

/// What a browser heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// A coordinator that is new, or about which more is known now.
    Found(Found),
    /// An instance said goodbye, or did not renew its announcement.
    Gone {
        /// Its name.
        instance: String,
    },
}

impl Browser {
    /// Starts to listen on the interfaces that pass `filter`.
    pub fn start(filter: &InterfaceFilter) -> Result<Self, DiscoveryError> {
        let responder = Responder::start(filter)?;
        let events = responder
            .daemon()
            .browse(SERVICE_TYPE)
            .map_err(DiscoveryError::multicast("search for the service"))?;
        Ok(Self {
            responder,
            events,
            findings: Findings::default(),
        })
    }

    /// The next thing that is heard; `None` if nothing is within `wait`.
    pub fn next(&mut self, wait: Duration) -> Result<Option<Heard>, DiscoveryError> {
        self.next_until(deadline_after(wait))
    }

    fn next_until(&mut self, deadline: Instant) -> Result<Option<Heard>, DiscoveryError> {
        // A network that never falls silent must not hold the caller: the queue of events would
        // be read on without looking at the clock.
        while Instant::now() < deadline {
            let event = match self.events.recv_deadline(deadline) {
                Ok(event) => event,
                Err(RecvTimeoutError::Timeout) => return Ok(None),
                Err(RecvTimeoutError::Disconnected) => return Err(DiscoveryError::SearchEnded),
            };
            if let Some(heard) = self.hear(&event) {
                return Ok(Some(heard));
            }
        }
        Ok(None)
    }

    fn hear(&mut self, event: &ServiceEvent) -> Option<Heard> {
        match event {
            ServiceEvent::ServiceResolved(service) => {
                self.findings.hear(&sighting(service)).map(Heard::Found)
            }
            ServiceEvent::ServiceRemoved(_, full_name) => {
                let instance = self.findings.forget(full_name)?;
                Some(Heard::Gone { instance })
            }
            _ => None,
        }
    }

    /// What is known now, by cluster and instance; at most [`crate::FOUND_MAX`].
    pub fn findings(&self) -> Vec<Found> {
        self.findings.sorted()
    }

    /// Announcements that were ignored because they were malformed or too many.
    pub fn ignored(&self) -> u64 {
        self.findings.ignored()
    }

    /// Ends the multicast thread; dropping does the same without telling how it went. Blocks for
    /// at most [`crate::STOP_WAIT_MS`].
    pub fn stop(mut self) -> Result<(), DiscoveryError> {
        self.responder.stop()
    }
}

fn deadline_after(wait: Duration) -> Instant {
    Instant::now() + wait.min(Duration::from_millis(BROWSE_MS_MAX))
}

fn sighting(service: &ResolvedService) -> Sighting<'_> {
    let entries = service.txt_properties.iter();
    Sighting {
        full_name: &service.fullname,
        port: service.port,
        addresses: service.addresses.iter().flat_map(heard_on).collect(),
        txt: entries.map(|entry| (entry.key(), entry.val())).collect(),
    }
}

/// The address once for each interface on which it was heard.
fn heard_on(scoped: &ScopedIp) -> Vec<HeardAddress> {
    let interfaces: &[InterfaceId] = match scoped {
        ScopedIp::V4(address) => address.interface_ids(),
        ScopedIp::V6(address) => std::slice::from_ref(address.scope_id()),
        _ => &[],
    };
    let heard = |interface: &InterfaceId| HeardAddress {
        address: scoped.to_ip_addr(),
        interface: interface.name.clone(),
        interface_index: interface.index,
        on_loopback: is_loopback(interface),
    };
    interfaces.iter().map(heard).collect()
}

/// Linux numbers interfaces from 1, and each network namespace starts with its loopback.
fn is_loopback(interface: &InterfaceId) -> bool {
    interface.index == 1 && interface.name == "lo"
}
