//! What strangers may write into announcements, and what becomes of it.

use skep_model::ids::ClusterId;

use super::*;
use crate::{ApiScheme, FingerprintPrefix};

fn claim(cluster: u128) -> Claim {
    Claim {
        cluster: ClusterId::from_u128(cluster),
        fingerprint_prefix: FingerprintPrefix::from([7; 8]),
        api: ApiScheme::Https,
    }
}

fn at(address: &str, interface: &str) -> HeardAddress {
    HeardAddress {
        address: address.parse().unwrap(),
        interface: interface.to_owned(),
        interface_index: 3,
        on_loopback: interface == "lo",
    }
}

/// Lets `findings` hear one announcement.
fn hear(
    findings: &mut Findings,
    claim: Claim,
    full_name: &str,
    addresses: &[(&str, &str)],
) -> Option<Found> {
    let entries = claim.entries();
    findings.hear(&Sighting {
        full_name,
        port: 8600,
        addresses: addresses
            .iter()
            .map(|(address, interface)| at(address, interface))
            .collect(),
        txt: entries
            .iter()
            .map(|(key, value)| (*key, Some(value.as_bytes())))
            .collect(),
    })
}

#[test]
fn duplicates_are_merged_and_only_news_is_told() {
    let mut findings = Findings::default();
    let mut tell = |addresses: &[(&str, &str)]| {
        hear(&mut findings, claim(1), "a._skep._tcp.local.", addresses)
    };
    assert!(tell(&[("203.0.113.7", "eth0")]).is_some());
    assert!(tell(&[("203.0.113.7", "eth0")]).is_none());
    let merged = tell(&[("fe80::1", "wlan0"), ("10.0.0.7", "eth0")]).unwrap();
    let addresses: Vec<_> = merged.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(
        addresses,
        ["10.0.0.7:8600", "203.0.113.7:8600", "[fe80::1%3]:8600"]
    );
    assert_eq!(merged.seen_on, ["eth0", "wlan0"]);
    assert_eq!((findings.sorted(), findings.ignored()), (vec![merged], 0));
}

#[test]
fn findings_are_sorted_by_cluster_and_instance_however_they_were_heard() {
    let mut findings = Findings::default();
    for (cluster, name) in [(2, "a"), (1, "b"), (1, "a")] {
        let full_name = format!("{name}._skep._tcp.local.");
        hear(
            &mut findings,
            claim(cluster),
            &full_name,
            &[("10.0.0.7", "eth0")],
        );
    }
    let sorted: Vec<_> = findings
        .sorted()
        .into_iter()
        .map(|one| (one.cluster.as_u128(), one.instance))
        .collect();
    assert_eq!(
        sorted,
        [
            (1, "a".to_owned()),
            (1, "b".to_owned()),
            (2, "a".to_owned())
        ]
    );
}

#[test]
fn an_impostor_of_the_same_name_appears_beside_and_changes_nothing() {
    let mut findings = Findings::default();
    let name = "a._skep._tcp.local.";
    let honest = hear(&mut findings, claim(1), name, &[("10.0.0.7", "eth0")]).unwrap();
    let mut false_claim = claim(1);
    false_claim.fingerprint_prefix = FingerprintPrefix::from([9; 8]);
    let impostor = hear(&mut findings, false_claim, name, &[("10.0.0.66", "eth0")]).unwrap();
    let all = findings.sorted();
    assert!(
        all.len() == 2 && all.contains(&honest) && all.contains(&impostor),
        "{all:?}"
    );
}

#[test]
fn an_address_that_leads_nowhere_or_back_to_the_listener_is_ignored() {
    for address in [
        "0.0.0.0",
        "::",
        "224.0.0.251",
        "255.255.255.255",
        "ff02::fb",
        "127.0.0.1",
        "::1",
    ] {
        let mut findings = Findings::default();
        let found = hear(
            &mut findings,
            claim(1),
            "a._skep._tcp.local.",
            &[(address, "eth0")],
        );
        assert_eq!((found, findings.ignored()), (None, 1), "{address}");
    }
    let mut findings = Findings::default();
    let own = [("127.0.0.1", "lo")];
    assert!(hear(&mut findings, claim(1), "a._skep._tcp.local.", &own).is_some());
}

#[test]
fn an_instance_name_is_read_back_as_it_was_announced_or_ignored() {
    let long = format!("{}._skep._tcp.local.", "x".repeat(INSTANCE_BYTES_MAX + 1));
    let cases = [
        ("a._skep._tcp.local.", Some("a")),
        (
            r"host\.example\\ (2)._SKEP._tcp.local.",
            Some(r"host.example\ (2)"),
        ),
        ("._skep._tcp.local.", None),
        ("_skep._tcp.local.", None),
        ("a._other._tcp.local.", None),
        ("a_skep._tcp.local.", None),
        (r"a\._skep._tcp.local.", None),
        ("a\u{1b}[2J._skep._tcp.local.", None),
        ("\u{202e}a._skep._tcp.local.", None),
        ("ä", None),
        ("", None),
        (&long, None),
    ];
    for (full_name, expected) in cases {
        assert_eq!(instance_of(full_name).as_deref(), expected, "{full_name:?}");
    }
}

#[test]
fn findings_and_addresses_stay_within_bounds_and_the_first_stay() {
    let mut findings = Findings::default();
    for index in 0..FOUND_MAX + 5 {
        let full_name = format!("n{index}._skep._tcp.local.");
        hear(
            &mut findings,
            claim(1),
            &full_name,
            &[("203.0.113.7", "eth0")],
        );
    }
    assert_eq!(
        (findings.sorted().len(), findings.ignored()),
        (FOUND_MAX, 5)
    );

    let flood: Vec<_> = (0..40).map(|index| format!("10.0.0.{index}")).collect();
    let flood: Vec<_> = flood
        .iter()
        .map(|address| (address.as_str(), "eth0"))
        .collect();
    let flooded = hear(&mut findings, claim(1), "n0._skep._tcp.local.", &flood).unwrap();
    assert_eq!(flooded.addresses.len(), ADDRESSES_MAX);
    assert!(
        flooded
            .addresses
            .contains(&"203.0.113.7:8600".parse().unwrap())
    );
}

#[test]
fn an_instance_that_said_goodbye_is_forgotten_once() {
    let mut findings = Findings::default();
    hear(
        &mut findings,
        claim(1),
        "a._skep._tcp.local.",
        &[("10.0.0.7", "eth0")],
    );
    assert_eq!(findings.forget("b._skep._tcp.local."), None);
    assert_eq!(findings.forget("a._skep._tcp.local."), Some("a".to_owned()));
    assert_eq!(findings.forget("a._skep._tcp.local."), None);
    assert!(findings.sorted().is_empty());
}
