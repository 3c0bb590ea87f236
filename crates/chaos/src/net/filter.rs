//! Rules for `nft` that drop packets where they arrive, as a network would that lost them.

use std::net::Ipv4Addr;

/// The table of all our faults: without it the host is whole again.
const TABLE: &str = "table inet fault";

/// Which arriving packets a host loses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lost {
    /// All that come from there.
    From(Ipv4Addr),
    /// Those that come from there and are larger than so many bytes.
    LargeFrom(Ipv4Addr, u16),
    /// So many of a hundred, wherever they come from; less than all.
    Percent(u8),
    /// All that come by the cable.
    All,
}

/// A script that loses these and nothing else.
pub(super) fn lose(lost: &[Lost]) -> String {
    let rules = lost.iter().map(|lost| match lost {
        Lost::From(address) => format!("ip saddr {address} counter drop\n"),
        Lost::LargeFrom(address, bytes) => {
            format!("ip saddr {address} meta length > {bytes} counter drop\n")
        }
        Lost::Percent(percent) => {
            format!("iifname \"eth0\" numgen random mod 100 < {percent} counter drop\n")
        }
        Lost::All => "iifname \"eth0\" counter drop\n".to_owned(),
    });
    let rules: String = rules.collect();
    let begin = format!(
        "{TABLE} {{\nchain input {{\n{}\n",
        hook("filter", "input", 0)
    );
    format!("{}{begin}{rules}}}\n}}\n", heal())
}

/// Where a chain is asked about packets.
fn hook(kind: &str, place: &str, priority: i32) -> String {
    format!("type {kind} hook {place} priority {priority}; policy accept;")
}

/// A script after which nothing is lost.
pub(super) fn heal() -> String {
    // Deleting a table needs one.
    format!("add {TABLE}\ndelete {TABLE}\n")
}

/// A script for a node's host after which the coordinator sees it at another address, as behind a
/// gateway that forgot whose connections it passed on: what belongs to those before goes astray,
/// and no reset says so.
pub(super) fn rebind(home: Ipv4Addr, seen_as: Ipv4Addr, coordinator: Ipv4Addr) -> String {
    let (leave, come) = (
        hook("filter", "postrouting", 0),
        hook("filter", "prerouting", -300),
    );
    format!(
        "{}{TABLE} {{\nchain leave {{\n{leave}\nip daddr {coordinator} counter ip saddr set \
         {seen_as}\n}}\nchain come {{\n{come}\nip daddr {seen_as} tcp flags & rst == rst counter \
         drop\nip daddr {seen_as} ip daddr set {home}\n}}\n}}\n",
        heal()
    )
}

/// A script that leads what is meant for one address to another one, on the same port.
pub(super) fn detour(from: Ipv4Addr, to: Ipv4Addr, port: u16) -> String {
    let hook = hook("nat", "output", -100);
    let rule = format!("ip daddr {from} tcp dport {port} dnat to {to}:{port}");
    format!("table ip detour {{\nchain output {{\n{hook}\n{rule}\n}}\n}}\n")
}

/// How many packets were lost, by the listing of the table.
pub(super) fn count(listing: &str) -> u64 {
    let counters = listing.split("counter packets ").skip(1);
    let numbers = counters.filter_map(|rest| rest.split(' ').next()?.parse::<u64>().ok());
    numbers.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_replaces_the_faults_before_it() {
        let script = lose(&[Lost::From(Ipv4Addr::new(10, 77, 0, 1)), Lost::Percent(30)]);
        assert!(script.starts_with(&heal()), "{script}");
        assert!(
            script.contains("ip saddr 10.77.0.1 counter drop"),
            "{script}"
        );
        assert!(
            script.contains("numgen random mod 100 < 30 counter"),
            "{script}"
        );
    }

    #[test]
    fn a_rebound_node_is_seen_elsewhere_and_hears_of_no_reset() {
        let [home, seen_as, coordinator] = [11, 61, 1].map(|last| Ipv4Addr::new(10, 77, 0, last));
        let script = rebind(home, seen_as, coordinator);
        for rule in [
            "ip daddr 10.77.0.1 counter ip saddr set 10.77.0.61\n",
            "ip daddr 10.77.0.61 tcp flags & rst == rst counter drop\n",
            "ip daddr 10.77.0.61 ip daddr set 10.77.0.11\n",
        ] {
            assert!(script.contains(rule), "{script}");
        }
        assert!(script.starts_with(&heal()), "{script}");
    }

    #[test]
    fn lost_packets_are_added_up_over_all_rules() {
        let listing = "ip saddr 10.77.0.1 counter packets 12 bytes 99 drop\n\
                       numgen random mod 100 < 30 counter packets 5 bytes 1 drop\n";
        assert_eq!(count(listing), 17);
        assert_eq!(count("table inet fault {\n}\n"), 0);
    }
}
