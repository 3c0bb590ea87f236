//! A host, by name or address, and a port: where a coordinator says that it can be reached.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// Longest host name of the DNS.
const HOST_BYTES_MAX: usize = 253;

/// Where a coordinator is: `host:port`, `192.0.2.1:8600` or `[2001:db8::1]:8600`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPort {
    host: String,
    port: u16,
}

impl HostPort {
    /// The host without brackets: a name or an address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, never 0.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The socket address, if the host is an address and no name.
    pub fn socket_address(&self) -> Option<SocketAddr> {
        let address = self.host.parse::<IpAddr>().ok()?;
        Some(SocketAddr::new(address, self.port))
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(formatter, "[{}]:{}", self.host, self.port)
        } else {
            write!(formatter, "{}:{}", self.host, self.port)
        }
    }
}

/// The text names no host and port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` names no host and port; write `host:port`, an IPv6 address in brackets, the port not 0"
)]
pub struct ParseHostPortError {
    text: String,
}

impl FromStr for HostPort {
    type Err = ParseHostPortError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).ok_or_else(|| ParseHostPortError {
            text: text.escape_default().to_string(),
        })
    }
}

fn parse(text: &str) -> Option<HostPort> {
    let (host, port) = text.rsplit_once(':')?;
    let all_digits = port.bytes().all(|byte| byte.is_ascii_digit());
    let port = port.parse().ok().filter(|port| all_digits && *port != 0)?;
    let host = if let Some(inner) = host.strip_prefix('[') {
        let address: Ipv6Addr = inner.strip_suffix(']')?.parse().ok()?;
        address.to_string()
    } else {
        is_host_name(host).then(|| host.to_ascii_lowercase())?
    };
    Some(HostPort { host, port })
}

fn is_host_name(host: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    host.len() <= HOST_BYTES_MAX && host.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_survives_its_text_form() {
        for text in ["c1.example:8600", "192.0.2.1:1", "[2001:db8::1]:65535"] {
            assert_eq!(text.parse::<HostPort>().unwrap().to_string(), text);
        }
        assert_eq!(
            "C1.Example:80".parse::<HostPort>().unwrap().host(),
            "c1.example"
        );
    }

    #[test]
    fn an_address_is_told_from_a_name() {
        let parse = |text: &str| text.parse::<HostPort>().unwrap().socket_address();
        assert_eq!(parse("192.0.2.1:80"), Some("192.0.2.1:80".parse().unwrap()));
        assert_eq!(parse("[::1]:80"), Some("[::1]:80".parse().unwrap()));
        assert_eq!(parse("c1:80"), None);
    }

    #[test]
    fn a_text_that_names_no_host_and_port_is_refused() {
        let long = format!("{}:80", "a.".repeat(127) + "a");
        for text in [
            "",
            "c1",
            ":80",
            "c1:",
            "c1:0",
            "c1:+80",
            "c1:65536",
            "::1:80",
            "[::1]",
            "[c1]:80",
            "a b:80",
            "a..b:80",
            "\u{1b}[2J:80",
            &long,
        ] {
            assert!(text.parse::<HostPort>().is_err(), "{text:?}");
        }
    }
}
