//! Announces a coordinator under the addresses that its host has at the time.

use std::net::{IpAddr, SocketAddr};

use crate::{
    ADDRESSES_MAX, Announcement, Announcer, DiscoveryError, InterfaceFilter, advertisable_addresses,
};

/// An announcement that follows its host from network to network. It has no thread: its owner
/// calls [`Self::follow`] now and then.
#[derive(Debug)]
pub struct FollowingAnnouncer {
    /// What is announced; the addresses are those that were announced last.
    announcement: Announcement,
    listen: SocketAddr,
    filter: InterfaceFilter,
    announcer: Option<Announcer>,
}

/// What following led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Followed {
    /// The addresses are those that are announced.
    Unchanged,
    /// These are announced now.
    Announced(Vec<IpAddr>),
    /// The host has no address that could be announced; what was announced was taken back.
    Nowhere,
}

impl FollowingAnnouncer {
    /// Nothing is announced yet. The addresses of `announcement` do not matter: they are those
    /// under which a socket that listens on `listen` can be reached.
    pub fn new(announcement: Announcement, listen: SocketAddr, filter: InterfaceFilter) -> Self {
        let announcement = Announcement {
            addresses: Vec::new(),
            ..announcement
        };
        Self {
            announcement,
            listen,
            filter,
            announcer: None,
        }
    }

    /// Looks at the addresses of the host, and announces anew when others have come or gone.
    /// Blocks for a few seconds at most if so. After an error nothing is announced, and the next
    /// call tries again.
    ///
    /// # Errors
    /// The interfaces cannot be listed, or multicast does not work on them.
    pub fn follow(&mut self) -> Result<Followed, DiscoveryError> {
        let mut addresses: Vec<IpAddr> = advertisable_addresses(self.listen, &self.filter)?
            .iter()
            .map(SocketAddr::ip)
            .collect();
        addresses.truncate(ADDRESSES_MAX);
        let is_announced = self.announcer.is_some() || addresses.is_empty();
        if is_announced && addresses == self.announcement.addresses {
            return Ok(Followed::Unchanged);
        }
        self.withdraw()?;
        self.announcement.addresses.clone_from(&addresses);
        if addresses.is_empty() {
            return Ok(Followed::Nowhere);
        }
        self.announcer = Some(Announcer::start(&self.announcement, &self.filter)?);
        Ok(Followed::Announced(addresses))
    }

    fn withdraw(&mut self) -> Result<(), DiscoveryError> {
        self.announcer.take().map_or(Ok(()), Announcer::stop)
    }

    /// Takes the announcement back.
    ///
    /// # Errors
    /// The multicast thread did not end in time.
    pub fn stop(mut self) -> Result<(), DiscoveryError> {
        self.withdraw()
    }
}
