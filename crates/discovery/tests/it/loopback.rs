//! Announces and browses on the loopback of this host: nothing leaves it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use skep_discovery::{Announcer, ApiScheme, Browser, DiscoveryError, Heard, browse};

use crate::multicast::{announcement, filter, has_multicast, wait_for};

#[test]
fn what_is_announced_is_found_and_gone_once_it_is_stopped() {
    if !has_multicast(Ipv4Addr::LOCALHOST) {
        return;
    }
    let loopback = filter(&["127.0.0.1"]);
    let announced = announcement("kitchen host", IpAddr::from(Ipv4Addr::LOCALHOST));
    let mut browser = Browser::start(&loopback).unwrap();
    let announcer = Announcer::start(&announced, &loopback).unwrap();

    let found = wait_for(&mut browser, |heard| match heard {
        Heard::Found(found) if found.instance == announced.instance => Some(found.clone()),
        _ => None,
    });
    assert_eq!(found.cluster, announced.cluster);
    assert_eq!(
        found.addresses,
        [SocketAddr::new(announced.addresses[0], 8600)]
    );
    assert_eq!(found.fingerprint_prefix, announced.fingerprint_prefix);
    assert_eq!(found.api, ApiScheme::Https);
    assert_eq!(found.seen_on, ["lo"]);
    assert!(browser.findings().contains(&found));

    announcer.stop().unwrap();
    wait_for(&mut browser, |heard| match heard {
        Heard::Gone { instance } if *instance == announced.instance => Some(()),
        _ => None,
    });
    assert!(!browser.findings().contains(&found));
    browser.stop().unwrap();
}

#[test]
fn a_listing_holds_each_coordinator_once_and_ends_in_time() {
    if !has_multicast(Ipv4Addr::LOCALHOST) {
        return;
    }
    let loopback = filter(&["127.0.0.1"]);
    let announced =
        ["second", "first"].map(|name| announcement(name, IpAddr::from(Ipv4Addr::LOCALHOST)));
    let announcers = announced
        .each_ref()
        .map(|one| Announcer::start(one, &loopback).unwrap());
    let found = browse(&loopback, Duration::from_secs(2)).unwrap();
    let ours: Vec<_> = found
        .iter()
        .filter(|one| one.cluster == announced[0].cluster)
        .map(|one| &one.instance)
        .collect();
    assert_eq!(ours, [&announced[1].instance, &announced[0].instance]);
    drop(announcers);
}

#[test]
fn an_address_of_no_interface_is_not_announced_and_the_error_says_so() {
    if !has_multicast(Ipv4Addr::LOCALHOST) {
        return;
    }
    let foreign = announcement("foreign", IpAddr::from([198, 51, 100, 7]));
    let error = Announcer::start(&foreign, &filter(&["127.0.0.1"])).unwrap_err();
    assert!(
        matches!(error, DiscoveryError::NotAnnounced { .. }),
        "{error}"
    );
    assert!(error.to_string().contains(&foreign.instance), "{error}");
}

#[test]
fn a_filter_that_names_no_interface_of_this_host_is_refused() {
    let nowhere = filter(&["198.51.100.0/24"]);
    let announced = announcement("nowhere", IpAddr::from(Ipv4Addr::LOCALHOST));
    let refused = [
        Announcer::start(&announced, &nowhere).err(),
        Browser::start(&nowhere).err(),
        browse(&nowhere, Duration::from_mins(1)).err(),
    ];
    for error in refused {
        assert!(
            matches!(error, Some(DiscoveryError::NoInterface { .. })),
            "{error:?}"
        );
    }
}
