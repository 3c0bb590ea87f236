//! Proposes coordinators on the local network, and says under which addresses a host is reachable.
//!
//! A coordinator may announce itself by multicast DNS ([`Announcer`], and
//! [`FollowingAnnouncer`] for a host that moves); [`browse`] lists what was
//! heard. Where multicast is dead (containers, guest Wi-Fi, most VPNs) the addresses in a join token
//! do the same job. [`advertisable_addresses`] turns a listen address into addresses that others
//! can use.
//!
//! Discovery only proposes. Everybody on the network can announce anything, so a [`Found`] is a
//! claim of a stranger, checked for its form and nothing else. The join token decides: it carries
//! the fingerprint of the certificate authority, and only a coordinator that proves it is joined.
//!
//! Functions that talk to the network block the calling thread for a bounded time. The multicast
//! work itself runs on a thread named `mDNS_daemon`, one per [`Announcer`] or [`Browser`], which
//! ends with its owner.
//!
//! This crate may not: decide whom to trust, connect to what it found, resolve host names, print,
//! or keep anything on disk.

mod addresses;
mod announcement;
mod announcer;
mod browser;
mod error;
mod findings;
mod fingerprint;
mod following;
mod found;
mod host_port;
mod interfaces;
mod responder;
mod txt;

pub use addresses::advertisable_addresses;
pub use announcement::Announcement;
pub use announcer::Announcer;
pub use browser::{Browser, Heard, browse};
pub use error::DiscoveryError;
pub use fingerprint::{FingerprintPrefix, ParseFingerprintPrefixError};
pub use following::{Followed, FollowingAnnouncer};
pub use found::{ApiScheme, Found};
pub use host_port::{HostPort, ParseHostPortError};
pub use interfaces::{InterfaceFilter, InterfaceRule, ParseInterfaceRuleError};

/// The service type under which coordinators announce themselves.
pub const SERVICE_TYPE: &str = "_skep._tcp.local.";
/// Version of the TXT record; announcements of another one are ignored.
pub const TXT_VERSION: &str = "1";
/// Findings one browser keeps; more are ignored and counted.
pub const FOUND_MAX: usize = 256;
/// Addresses kept of one finding, and sent in one announcement.
pub const ADDRESSES_MAX: usize = 16;
/// Entries of one TXT record; a record with more is ignored.
pub const TXT_ENTRIES_MAX: usize = 16;
/// Bytes of one TXT value that is understood; an announcement with a longer one is ignored.
pub const TXT_VALUE_BYTES_MAX: usize = 64;
/// Bytes of an instance name: one DNS label.
pub const INSTANCE_BYTES_MAX: usize = 63;
/// Bytes of the instance name that is announced: leaves room for the ` (2)` of a renamed one.
pub const INSTANCE_ANNOUNCED_BYTES_MAX: usize = 56;
/// Rules in one interface filter.
pub const INTERFACE_RULES_MAX: usize = 64;
/// How long an announcer waits until its first announcement is out; probing takes 0.75 s of it.
pub const ANNOUNCE_WAIT_MS: u64 = 5_000;
/// How long an announcer or a browser waits for its thread to say goodbye and end.
pub const STOP_WAIT_MS: u64 = 2_000;
/// Longest time to listen in one call: one hour. A longer wish is cut to it.
pub const BROWSE_MS_MAX: u64 = 3_600_000;
