//! Whether multicast works here at all, tried without Skep; and what the tests announce.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

use skep_discovery::{Announcement, Browser, FingerprintPrefix, Heard, InterfaceFilter};
use skep_model::ids::ClusterId;

/// Bound of each wait for something that must come.
pub(crate) const WAIT: Duration = Duration::from_secs(15);
/// A group that is meant for local experiments.
const GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 86, 0);

pub(crate) fn filter(rules: &[&str]) -> InterfaceFilter {
    InterfaceFilter::allow(rules.iter().map(|rule| rule.parse().unwrap()).collect()).unwrap()
}

pub(crate) fn announcement(instance: &str, address: IpAddr) -> Announcement {
    Announcement {
        cluster: ClusterId::from_u128(u128::from(std::process::id())),
        instance: format!("{instance}-{}", std::process::id()),
        port: 8600,
        fingerprint_prefix: FingerprintPrefix::from([0xfe; 8]),
        addresses: vec![address],
    }
}

/// Waits until the browser hears what `wanted` looks for.
#[track_caller]
pub(crate) fn wait_for<T>(browser: &mut Browser, wanted: impl Fn(&Heard) -> Option<T>) -> T {
    let deadline = Instant::now() + WAIT;
    while let Some(heard) = browser
        .next(deadline.saturating_duration_since(Instant::now()))
        .unwrap()
    {
        if let Some(found) = wanted(&heard) {
            return found;
        }
    }
    panic!("not heard within {WAIT:?}; known: {:?}", browser.findings());
}

/// Whether a datagram to a group comes back on the interface of `address`; says so on stderr if
/// not, so that nobody takes the test for passed.
#[expect(clippy::print_stderr, reason = "a skipped test must be visible")]
pub(crate) fn has_multicast(address: Ipv4Addr) -> bool {
    match round_trip(address) {
        Ok(()) => true,
        Err(error) => {
            eprintln!("SKIPPED (1 test): no multicast on the interface of {address}: {error}");
            false
        }
    }
}

fn round_trip(address: Ipv4Addr) -> std::io::Result<()> {
    let receiver = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    receiver.join_multicast_v4(&GROUP, &address)?;
    receiver.set_read_timeout(Some(Duration::from_secs(2)))?;
    // Linux sends a group's datagram out of the interface whose address the socket is bound to.
    let sender = UdpSocket::bind((address, 0))?;
    sender.send_to(b"skep", (GROUP, receiver.local_addr()?.port()))?;
    receiver.recv(&mut [0; 8]).map(|_| ())
}
