//! Why announcing or browsing failed.

use crate::{ADDRESSES_MAX, ANNOUNCE_WAIT_MS, INSTANCE_ANNOUNCED_BYTES_MAX, STOP_WAIT_MS};

/// What went wrong between this host and its local network.
#[derive(Debug, thiserror::Error)]
pub enum DiscoveryError {
    /// The operating system did not list its interfaces.
    #[error("list the network interfaces of this host")]
    ListInterfaces(#[source] std::io::Error),
    /// The filter leaves no interface over.
    #[error(
        "no interface that is up and can multicast passes the filter `{filter}`; this host has \
         `{present}`; name one of them, or use seeds"
    )]
    NoInterface {
        /// The filter as text.
        filter: String,
        /// Interfaces that are there, with their addresses.
        present: String,
    },
    /// The instance name cannot be announced.
    #[error(
        "instance name `{name}` cannot be announced; use 1 to {INSTANCE_ANNOUNCED_BYTES_MAX} \
         printable ASCII characters without `.` and `\\`"
    )]
    BadInstanceName {
        /// The name, escaped.
        name: String,
    },
    /// The port cannot be announced.
    #[error("port `0` cannot be announced; give the port on which the API listens")]
    NoPort,
    /// Too few or too many addresses.
    #[error("{count} addresses cannot be announced; give 1 to {ADDRESSES_MAX} (`ADDRESSES_MAX`)")]
    AddressCount {
        /// How many were given.
        count: usize,
    },
    /// An address that nobody can connect to.
    #[error("address `{address}` cannot be announced; nobody can connect to it")]
    UnusableAddress {
        /// The address.
        address: std::net::IpAddr,
    },
    /// The multicast thread did not start, or refused an order.
    #[error("{step} by multicast DNS")]
    Multicast {
        /// What was tried.
        step: &'static str,
        /// What the multicast thread says.
        #[source]
        source: mdns_sd::Error,
    },
    /// No announcement left this host in time.
    #[error(
        "instance `{instance}` was not announced within {ANNOUNCE_WAIT_MS} ms: {reason}; check that \
         the addresses belong to an interface that passes the filter, and that multicast is allowed"
    )]
    NotAnnounced {
        /// Which instance.
        instance: String,
        /// The last error of the multicast thread, if it told one.
        reason: String,
    },
    /// The multicast thread gave the subscription up, as it does when events come too fast.
    #[error("the multicast thread ended the search; the local network is flooded, use seeds")]
    SearchEnded,
    /// The thread did not confirm its end.
    #[error("the multicast thread did not end within {STOP_WAIT_MS} ms (`STOP_WAIT_MS`)")]
    NotStopped,
    /// Too many interface rules.
    #[error("{count} interface rules; the limit is {max} (`INTERFACE_RULES_MAX`)", max = crate::INTERFACE_RULES_MAX)]
    TooManyRules {
        /// How many were given.
        count: usize,
    },
}

impl DiscoveryError {
    pub(crate) fn multicast(step: &'static str) -> impl FnOnce(mdns_sd::Error) -> Self {
        move |source| Self::Multicast { step, source }
    }
}
