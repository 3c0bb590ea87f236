//! A coordinator that announces itself by multicast, on loopback: nothing leaves this host.

use crate::hive::{TestHive, wait_until};

/// Whether a datagram to a group comes back on loopback: without it nothing can be announced.
fn has_multicast() -> std::io::Result<()> {
    use std::net::{Ipv4Addr, UdpSocket};
    let group = Ipv4Addr::new(239, 255, 86, 0);
    let receiver = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    receiver.join_multicast_v4(&group, &Ipv4Addr::LOCALHOST)?;
    receiver.set_read_timeout(Some(std::time::Duration::from_secs(2)))?;
    let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    sender.send_to(b"there", (group, receiver.local_addr()?.port()))?;
    receiver.recv(&mut [0; 8]).map(drop)
}

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test must be visible")]
fn an_announced_coordinator_is_found_until_it_stops() {
    if let Err(error) = has_multicast() {
        eprintln!("SKIPPED (1 test): no multicast on loopback: {error}");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let up = [
        "--listen",
        "0.0.0.0:0",
        "--advertise",
        "127.0.0.1:1",
        "--announce",
        "--interface",
        "127.0.0.1",
    ];
    let mut hive = TestHive::start_in(directory.path(), &[], &up);
    let status = hive.skep(&["--json", "doctor"]).expect(0).json();
    let warned = status["checks"].as_array().unwrap().iter();
    let warned = warned.filter(|check| check["name"] == "join address");
    assert_eq!(
        warned.map(|check| &check["status"]).collect::<Vec<_>>(),
        ["warn"]
    );
    let discover = [
        "--json",
        "node",
        "discover",
        "--interface",
        "127.0.0.1",
        "--seconds",
        "2",
    ];
    let found = |hive: &TestHive| {
        let page = hive.skep(&discover).expect(0).json();
        let port = format!("127.0.0.1:{}", hive.address().port());
        page["items"]
            .as_array()
            .unwrap()
            .iter()
            .any(|one| one["addresses"].to_string().contains(&port))
    };
    wait_until("the announcement", || {
        if found(&hive) {
            return Ok(());
        }
        Err(std::fs::read_to_string(hive.path().join("up.log")).unwrap())
    });
    assert_eq!(hive.stop(), Some(0));
    wait_until("its end", || {
        if found(&hive) {
            return Err("it is still found".to_owned());
        }
        Ok(())
    });
}
