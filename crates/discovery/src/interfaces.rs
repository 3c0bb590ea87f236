//! The interfaces of this host, and which of them discovery may use.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::{DiscoveryError, INTERFACE_RULES_MAX};

/// Bridges and virtual cables of container engines and hypervisors: an announcement there reaches
/// nobody but guests of this very host, with an address they often cannot use.
const EXCLUDED_PREFIXES: [&str; 11] = [
    "docker", "br-", "veth", "virbr", "vnet", "cni", "flannel", "cali", "podman", "lxc", "lxdbr",
];
/// Longest interface name of Linux.
const INTERFACE_NAME_BYTES_MAX: usize = 15;

/// Which interfaces and addresses discovery may use.
///
/// Without rules: all but loopback and the interfaces of container engines and hypervisors. With
/// rules: exactly what one of them names, and nothing is left out silently.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InterfaceFilter {
    rules: Vec<InterfaceRule>,
}

/// One entry of an allow-list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InterfaceRule {
    /// The interface of this name.
    Name(String),
    /// Addresses within this network; one address is a network of full length.
    Network {
        /// An address of the network.
        address: IpAddr,
        /// How many of its leading bits count.
        prefix_length: u8,
    },
}

impl InterfaceFilter {
    /// Allows exactly what `rules` name; an empty list is the default filter.
    pub fn allow(rules: Vec<InterfaceRule>) -> Result<Self, DiscoveryError> {
        if rules.len() > INTERFACE_RULES_MAX {
            return Err(DiscoveryError::TooManyRules { count: rules.len() });
        }
        Ok(Self { rules })
    }

    /// Whether `address` on the interface `name` may be used.
    pub fn allows(&self, name: &str, address: IpAddr) -> bool {
        if self.rules.is_empty() {
            let excluded = EXCLUDED_PREFIXES.iter().any(|one| name.starts_with(one));
            return !excluded && !address.is_loopback();
        }
        self.rules.iter().any(|rule| rule.allows(name, address))
    }
}

impl fmt::Display for InterfaceFilter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.rules.is_empty() {
            return formatter.write_str("all but loopback and virtual ones");
        }
        let rules: Vec<_> = self.rules.iter().map(ToString::to_string).collect();
        formatter.write_str(&rules.join(","))
    }
}

impl InterfaceRule {
    fn allows(&self, name: &str, address: IpAddr) -> bool {
        match self {
            Self::Name(allowed) => allowed == name,
            Self::Network {
                address: network,
                prefix_length,
            } => {
                let width = width(address);
                let shift = u32::from(width - (*prefix_length).min(width));
                let differing = bits(*network) ^ bits(address);
                network.is_ipv4() == address.is_ipv4()
                    && differing.checked_shr(shift).unwrap_or(0) == 0
            }
        }
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

impl fmt::Display for InterfaceRule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => formatter.write_str(name),
            Self::Network {
                address,
                prefix_length,
            } => {
                write!(formatter, "{address}/{prefix_length}")
            }
        }
    }
}

/// The text is no rule of an interface filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is no interface rule; write an interface name of at most \
     {INTERFACE_NAME_BYTES_MAX} characters, an address, or a network such as `192.168.1.0/24`"
)]
pub struct ParseInterfaceRuleError {
    text: String,
}

impl FromStr for InterfaceRule {
    type Err = ParseInterfaceRuleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_rule(text).ok_or_else(|| ParseInterfaceRuleError {
            text: text.escape_default().to_string(),
        })
    }
}

fn parse_rule(text: &str) -> Option<InterfaceRule> {
    if let Some((address, length)) = text.split_once('/') {
        let address = address.parse().ok()?;
        let prefix_length = length
            .parse()
            .ok()
            .filter(|length| *length <= width(address))?;
        return Some(InterfaceRule::Network {
            address,
            prefix_length,
        });
    }
    if let Ok(address) = text.parse() {
        let prefix_length = width(address);
        return Some(InterfaceRule::Network {
            address,
            prefix_length,
        });
    }
    let is_name = (1..=INTERFACE_NAME_BYTES_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b':');
    is_name.then(|| InterfaceRule::Name(text.to_owned()))
}

/// All interfaces of this host with their addresses.
pub(crate) fn list() -> Result<Vec<if_addrs::Interface>, DiscoveryError> {
    if_addrs::get_if_addrs().map_err(DiscoveryError::ListInterfaces)
}

/// Fails if the filter leaves nothing over on which multicast could work: the multicast thread
/// would wait there in silence.
pub(crate) fn require_multicast(
    filter: &InterfaceFilter,
    interfaces: &[if_addrs::Interface],
) -> Result<(), DiscoveryError> {
    // The multicast thread leaves point-to-point interfaces (VPNs) out, too.
    let usable = |one: &if_addrs::Interface| {
        one.is_oper_up() && !one.is_p2p() && filter.allows(&one.name, one.ip())
    };
    if interfaces.iter().any(usable) {
        return Ok(());
    }
    let present: Vec<_> = interfaces
        .iter()
        .map(|one| format!("{} {}", one.name, one.ip()))
        .collect();
    Err(DiscoveryError::NoInterface {
        filter: filter.to_string(),
        present: present.join(", "),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(rules: &[&str]) -> InterfaceFilter {
        InterfaceFilter::allow(rules.iter().map(|rule| rule.parse().unwrap()).collect()).unwrap()
    }

    #[test]
    fn a_filter_allows_what_its_rules_name_or_else_what_is_no_virtual_interface() {
        let cases: [(&[&str], &str, &str, bool); 18] = [
            (&[], "eth0", "192.168.1.5", true),
            (&[], "wlp3s0", "fd00::2", true),
            (&[], "lo", "127.0.0.1", false),
            (&[], "lo", "::1", false),
            (&[], "docker0", "172.17.0.1", false),
            (&[], "br-1a2b3c", "172.18.0.1", false),
            (&[], "br0", "192.168.1.5", true),
            (&[], "veth12", "10.0.0.1", false),
            (&[], "virbr0", "192.168.122.1", false),
            (&["docker0"], "docker0", "172.17.0.1", true),
            (&["docker0"], "eth0", "192.168.1.5", false),
            (&["lo"], "lo", "127.0.0.1", true),
            (&["127.0.0.0/8"], "lo", "127.0.0.1", true),
            (&["192.168.1.5"], "eth0", "192.168.1.6", false),
            (&["192.168.1.77/24", "lo"], "eth0", "192.168.1.6", true),
            (&["0.0.0.0/0"], "eth0", "192.168.1.6", true),
            (&["0.0.0.0/0"], "eth0", "fd00::2", false),
            (&["fd00::/8"], "eth0", "fd12::2", true),
        ];
        for (rules, name, address, expected) in cases {
            let allowed = filter(rules).allows(name, address.parse().unwrap());
            assert_eq!(allowed, expected, "{rules:?} {name} {address}");
        }
    }

    #[test]
    fn a_rule_survives_its_text_form() {
        for text in ["eth0", "br-1a2b3c", "10.0.0.0/8", "fd00::1/128"] {
            assert_eq!(text.parse::<InterfaceRule>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_text_that_names_no_interface_or_network_is_refused() {
        for text in [
            "",
            "10.0.0.0/33",
            "fd00::/129",
            "eth0/24",
            "a b",
            "sixteen-letters-",
            "a:b",
        ] {
            assert!(text.parse::<InterfaceRule>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_list_beyond_the_limit_is_refused() {
        let rules = vec![InterfaceRule::Name("eth0".to_owned()); INTERFACE_RULES_MAX + 1];
        let error = InterfaceFilter::allow(rules).unwrap_err();
        assert!(
            error.to_string().contains("`INTERFACE_RULES_MAX`"),
            "{error}"
        );
    }

    #[test]
    fn a_filter_that_leaves_nothing_over_names_what_is_there() {
        let present = list().unwrap();
        let error = require_multicast(&filter(&["nosuch0"]), &present).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("`nosuch0`"), "{text}");
        assert!(
            present
                .iter()
                .all(|one| text.contains(&one.ip().to_string())),
            "{text}"
        );
    }
}
