//! Announces and browses by real multicast: over loopback, and between network namespaces.

#![expect(
    clippy::unwrap_used,
    reason = "clippy knows tests by their attribute, not their fixtures"
)]

mod loopback;
mod multicast;
mod namespace;
mod veth;
