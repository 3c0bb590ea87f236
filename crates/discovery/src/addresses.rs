//! Under which addresses a listening socket can be reached by others.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::{DiscoveryError, InterfaceFilter, interfaces};

/// The addresses to hand out for a socket that listens on `listen`, the likeliest first.
///
/// A specific address is returned as it is, whatever the filter says: somebody chose it. For
/// `0.0.0.0` (IPv4) and `::` (both, as Linux does) the addresses of the interfaces that are up and
/// pass the filter are listed: private IPv4, other IPv4, local IPv6 (`fc00::/7`), global IPv6.
/// Link-local addresses are left out: they mean nothing without an interface.
pub fn advertisable_addresses(
    listen: SocketAddr,
    filter: &InterfaceFilter,
) -> Result<Vec<SocketAddr>, DiscoveryError> {
    if !listen.ip().is_unspecified() {
        return Ok(vec![listen]);
    }
    let present: Vec<_> = interfaces::list()?
        .into_iter()
        .filter(if_addrs::Interface::is_oper_up)
        .map(|one| (one.ip(), one.name))
        .collect();
    Ok(among(listen, filter, &present))
}

fn among(
    listen: SocketAddr,
    filter: &InterfaceFilter,
    present: &[(IpAddr, String)],
) -> Vec<SocketAddr> {
    let mut addresses: Vec<IpAddr> = present
        .iter()
        .filter(|(address, name)| filter.allows(name, *address))
        .map(|(address, _)| *address)
        .filter(|address| listen.is_ipv6() || address.is_ipv4())
        .filter(|address| is_connectable(*address) && !is_link_local(*address))
        .collect();
    sort_by_likelihood(&mut addresses);
    addresses
        .into_iter()
        .map(|address| SocketAddr::new(address, listen.port()))
        .collect()
}

/// Sorts the addresses that others reach most likely to the front, and drops repeated ones.
pub(crate) fn sort_by_likelihood(addresses: &mut Vec<IpAddr>) {
    addresses.sort_unstable_by_key(|address| (rank(*address), *address));
    addresses.dedup();
}

/// Whether one can connect to `address` at all.
pub(crate) fn is_connectable(address: IpAddr) -> bool {
    let is_broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    !(address.is_unspecified() || address.is_multicast() || is_broadcast)
}

/// Whether `address` means something only together with an interface.
pub(crate) fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

pub(crate) fn rank(address: IpAddr) -> u8 {
    match address {
        _ if address.is_loopback() => 5,
        _ if is_link_local(address) => 4,
        IpAddr::V4(address) if address.is_private() => 0,
        IpAddr::V4(_) => 1,
        IpAddr::V6(address) if Ipv6Addr::is_unique_local(&address) => 2,
        IpAddr::V6(_) => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(listen: &str, filter: &InterfaceFilter) -> Vec<String> {
        let present = [
            ("lo", "127.0.0.1"),
            ("lo", "::1"),
            ("eth0", "fe80::1"),
            ("eth0", "2001:db8::7"),
            ("eth0", "fd00::7"),
            ("eth0", "203.0.113.7"),
            ("eth0", "169.254.3.4"),
            ("eth1", "192.168.1.7"),
            ("eth2", "192.168.1.7"),
            ("wlan0", "10.0.0.7"),
            ("docker0", "172.17.0.1"),
        ];
        let present: Vec<_> = present
            .iter()
            .map(|(name, address)| (address.parse().unwrap(), (*name).to_owned()))
            .collect();
        let found = among(listen.parse().unwrap(), filter, &present);
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_usable_address_is_listed_with_private_ipv4_first() {
        assert_eq!(
            listed("[::]:80", &InterfaceFilter::default()),
            [
                "10.0.0.7:80",
                "192.168.1.7:80",
                "203.0.113.7:80",
                "[fd00::7]:80",
                "[2001:db8::7]:80"
            ]
        );
        assert_eq!(
            listed("0.0.0.0:80", &InterfaceFilter::default()),
            ["10.0.0.7:80", "192.168.1.7:80", "203.0.113.7:80"]
        );
    }

    #[test]
    fn an_explicit_list_overrides_what_is_left_out_by_default() {
        let rules = ["lo", "docker0"].map(|rule| rule.parse().unwrap());
        let filter = InterfaceFilter::allow(rules.to_vec()).unwrap();
        assert_eq!(
            listed("0.0.0.0:80", &filter),
            ["172.17.0.1:80", "127.0.0.1:80"]
        );
    }

    #[test]
    fn a_specific_address_is_returned_as_it_is() {
        for text in ["127.0.0.1:80", "[fe80::1]:80", "203.0.113.9:80"] {
            let listen = text.parse().unwrap();
            let found = advertisable_addresses(listen, &InterfaceFilter::default()).unwrap();
            assert_eq!(found, [listen]);
        }
    }

    #[test]
    fn this_hosts_own_addresses_are_listed_without_loopback() {
        let listen = "[::]:80".parse().unwrap();
        let found = advertisable_addresses(listen, &InterfaceFilter::default()).unwrap();
        assert!(
            found
                .iter()
                .all(|one| !one.ip().is_loopback() && one.port() == 80),
            "{found:?}"
        );
        let loopback = InterfaceFilter::allow(vec!["127.0.0.1".parse().unwrap()]).unwrap();
        let found = advertisable_addresses(listen, &loopback).unwrap();
        assert_eq!(found, ["127.0.0.1:80".parse().unwrap()]);
    }
}
