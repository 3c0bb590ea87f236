//! Announces over virtual cables in a network namespace: real interfaces, more than one.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;

use skep_discovery::{
    Announcer, Browser, Followed, FollowingAnnouncer, Heard, InterfaceFilter,
    advertisable_addresses,
};

use crate::multicast::{announcement, filter, has_multicast, wait_for};
use crate::namespace::is_inside;

/// A local network, and the bridge of a container engine.
const LAN_AND_DOCKER: &str = "
    ip link add lan0 type veth peer name lan1
    ip link add docker0 type veth peer name guest1
    for one in lan0 lan1 docker0 guest1; do
        echo 1 > /proc/sys/net/ipv6/conf/$one/disable_ipv6
        ip link set $one up
    done
    ip addr add 10.77.0.1/24 dev lan0
    ip addr add 172.17.0.1/16 dev docker0";

const LAN: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const DOCKER: Ipv4Addr = Ipv4Addr::new(172, 17, 0, 1);

#[test]
fn the_default_filter_announces_on_the_lan_and_not_on_the_container_bridge() {
    let name = "veth::the_default_filter_announces_on_the_lan_and_not_on_the_container_bridge";
    if !is_inside(name, LAN_AND_DOCKER) || !has_multicast(LAN) || !has_multicast(DOCKER) {
        return;
    }
    let mut announced = announcement("both", IpAddr::from(LAN));
    announced.addresses.push(IpAddr::from(DOCKER));
    let both = filter(&["lan0", "docker0"]);
    let heard_on = |announcer_filter: &InterfaceFilter, interfaces: &[&str]| {
        let mut browser = Browser::start(&both).unwrap();
        let announcer = Announcer::start(&announced, announcer_filter).unwrap();
        let complete = |heard: &Heard| match heard {
            Heard::Found(found) if found.seen_on.len() >= interfaces.len() => Some(found.clone()),
            _ => None,
        };
        let found = wait_for(&mut browser, complete);
        assert_eq!(found.seen_on, interfaces);
        // The goodbye is the last thing that is sent: whatever went to another interface was
        // heard before.
        announcer.stop().unwrap();
        wait_for(&mut browser, |heard| match heard {
            Heard::Found(found) => {
                assert_eq!(found.seen_on, interfaces);
                None
            }
            Heard::Gone { .. } => Some(()),
        });
    };
    heard_on(&InterfaceFilter::default(), &["lan0"]);
    // The same way of listening does hear the bridge when it is named.
    heard_on(&filter(&["docker0"]), &["docker0"]);
    heard_on(&both, &["docker0", "lan0"]);
}

#[test]
fn the_addresses_of_a_join_token_are_those_of_the_lan() {
    let name = "veth::the_addresses_of_a_join_token_are_those_of_the_lan";
    if !is_inside(name, LAN_AND_DOCKER) {
        return;
    }
    let listen = "0.0.0.0:8600".parse().unwrap();
    let listed = |filter: &InterfaceFilter| -> Vec<IpAddr> {
        let found = advertisable_addresses(listen, filter).unwrap();
        found.iter().map(SocketAddr::ip).collect()
    };
    assert_eq!(listed(&InterfaceFilter::default()), [LAN]);
    assert_eq!(listed(&filter(&["docker0"])), [DOCKER]);
    assert_eq!(listed(&filter(&["127.0.0.0/8"])), [Ipv4Addr::LOCALHOST]);
}

/// Gives the interface of the local network this address, or takes it away.
#[track_caller]
fn address(change: &str, address: &str) {
    let changed = Command::new("ip")
        .args(["addr", change, address, "dev", "lan0"])
        .status();
    assert!(changed.unwrap().success(), "{change} {address}");
}

#[test]
fn an_announcement_follows_the_addresses_of_its_host() {
    let name = "veth::an_announcement_follows_the_addresses_of_its_host";
    if !is_inside(name, LAN_AND_DOCKER) || !has_multicast(LAN) {
        return;
    }
    let lan = filter(&["lan0"]);
    let announced = announcement("laptop", IpAddr::from(LAN));
    let listen = SocketAddr::from((Ipv4Addr::UNSPECIFIED, announced.port));
    let mut announcer = FollowingAnnouncer::new(announced.clone(), listen, lan.clone());
    let at = |last: u8| IpAddr::from([10, 77, 0, last]);
    assert_eq!(
        announcer.follow().unwrap(),
        Followed::Announced(vec![at(1)])
    );
    assert_eq!(announcer.follow().unwrap(), Followed::Unchanged);
    address("del", "10.77.0.1/24");
    address("add", "10.77.0.9/24");
    assert_eq!(
        announcer.follow().unwrap(),
        Followed::Announced(vec![at(9)])
    );
    let mut browser = Browser::start(&lan).unwrap();
    let found = wait_for(&mut browser, |heard| match heard {
        Heard::Found(found) if found.instance == announced.instance => Some(found.clone()),
        _ => None,
    });
    assert_eq!(found.addresses, [SocketAddr::new(at(9), announced.port)]);
    address("del", "10.77.0.9/24");
    assert_eq!(announcer.follow().unwrap(), Followed::Nowhere);
    assert_eq!(announcer.follow().unwrap(), Followed::Unchanged);
    address("add", "10.77.0.5/24");
    assert_eq!(
        announcer.follow().unwrap(),
        Followed::Announced(vec![at(5)])
    );
    announcer.stop().unwrap();
}

#[test]
fn of_two_coordinators_with_one_name_the_second_is_renamed() {
    let name = "veth::of_two_coordinators_with_one_name_the_second_is_renamed";
    if !is_inside(name, LAN_AND_DOCKER) || !has_multicast(LAN) {
        return;
    }
    let lan = filter(&["lan0"]);
    let first = announcement("twin", IpAddr::from(LAN));
    let mut second = first.clone();
    second.port += 1;
    let mut browser = Browser::start(&lan).unwrap();
    let _first = Announcer::start(&first, &lan).unwrap();
    let _second = Announcer::start(&second, &lan).unwrap();
    let renamed = wait_for(&mut browser, |heard| match heard {
        Heard::Found(found) if found.instance != first.instance => Some(found.clone()),
        _ => None,
    });
    assert_eq!(renamed.instance, format!("{} (2)", first.instance));
    assert_eq!(renamed.addresses, [SocketAddr::from((LAN, second.port))]);
    let known = browser.findings();
    let original = known.iter().find(|one| one.instance == first.instance);
    assert_eq!(
        original.unwrap().addresses,
        [SocketAddr::from((LAN, first.port))]
    );
}
