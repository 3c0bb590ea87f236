//! What a coordinator tells its local network about itself.

use std::net::IpAddr;

use skep_model::ids::ClusterId;

use crate::addresses::is_connectable;
use crate::txt::Claim;
use crate::{
    ADDRESSES_MAX, ApiScheme, DiscoveryError, FingerprintPrefix, INSTANCE_ANNOUNCED_BYTES_MAX,
    SERVICE_TYPE,
};

/// What a coordinator announces. All of it is public: no secret belongs here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// The cluster it belongs to.
    pub cluster: ClusterId,
    /// Name of this coordinator: printable ASCII without `.` and `\`, such as the first part of
    /// the host's name. If it is taken on this network, `name (2)` is announced.
    pub instance: String,
    /// The port on which its API is spoken, over TLS.
    pub port: u16,
    /// The start of the fingerprint of the cluster's certificate authority.
    pub fingerprint_prefix: FingerprintPrefix,
    /// Its addresses. Each is announced only on the interface whose network it belongs to.
    pub addresses: Vec<IpAddr>,
}

impl Announcement {
    /// Checks the announcement and puts it into the words of the multicast thread.
    pub(crate) fn service(&self) -> Result<mdns_sd::ServiceInfo, DiscoveryError> {
        // mDNS-SD 0.21 does not notice that a name is taken if it had to escape a character of it.
        if !is_instance_name(&self.instance, INSTANCE_ANNOUNCED_BYTES_MAX)
            || self.instance.contains(['.', '\\'])
        {
            let name = self.instance.escape_default().to_string();
            return Err(DiscoveryError::BadInstanceName { name });
        }
        if self.port == 0 {
            return Err(DiscoveryError::NoPort);
        }
        let count = self.addresses.len();
        if count == 0 || count > ADDRESSES_MAX {
            return Err(DiscoveryError::AddressCount { count });
        }
        let unusable = self.addresses.iter().find(|one| !is_connectable(**one));
        if let Some(address) = unusable {
            return Err(DiscoveryError::UnusableAddress { address: *address });
        }
        let claim = Claim {
            cluster: self.cluster,
            fingerprint_prefix: self.fingerprint_prefix,
            api: ApiScheme::Https,
        };
        mdns_sd::ServiceInfo::new(
            SERVICE_TYPE,
            &self.instance,
            &self.host_name(),
            self.addresses.as_slice(),
            self.port,
            claim.entries().as_slice(),
        )
        .map_err(DiscoveryError::multicast("describe the service"))
    }

    /// A name of our own for the address records: the system's name belongs to the system's own
    /// multicast service, with which two answers would be in conflict.
    fn host_name(&self) -> String {
        let plain: String = self
            .instance
            .chars()
            .map(|character| match character.to_ascii_lowercase() {
                plain if plain.is_ascii_alphanumeric() => plain,
                _ => '-',
            })
            .take(HOST_LABEL_PART_MAX)
            .collect();
        let cluster = self.cluster.to_string();
        let tail = &cluster[cluster.len() - CLUSTER_TAIL..];
        format!("skep-{plain}-{tail}.local.")
    }
}

/// Characters of the instance name in the host name, whose label has at most 63, five of which are
/// left for the `-2` of a renamed one.
const HOST_LABEL_PART_MAX: usize = 40;
/// Characters of the cluster's id in the host name.
const CLUSTER_TAIL: usize = 10;

/// Whether `name` is printable ASCII of 1 to `bytes_max` bytes: it is shown on terminals.
pub(crate) fn is_instance_name(name: &str, bytes_max: usize) -> bool {
    let is_printable = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
    (1..=bytes_max).contains(&name.len()) && name.bytes().all(is_printable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announcement() -> Announcement {
        Announcement {
            cluster: ClusterId::from_u128(7),
            instance: "Kitchen Host".to_owned(),
            port: 8600,
            fingerprint_prefix: FingerprintPrefix::from([1; 8]),
            addresses: vec![IpAddr::from([192, 168, 1, 5])],
        }
    }

    #[test]
    fn the_host_name_is_one_label_of_our_own() {
        let service = announcement().service().unwrap();
        assert_eq!(
            service.get_hostname(),
            "skep-kitchen-host-0000000007.local."
        );
        let mut long = announcement();
        long.instance = "x".repeat(INSTANCE_ANNOUNCED_BYTES_MAX);
        let service = long.service().unwrap();
        let (label, domain) = service.get_hostname().split_once('.').unwrap();
        assert!(label.len() <= 58 && domain == "local.", "{label}");
    }

    #[test]
    fn an_announcement_that_cannot_be_used_is_refused_with_its_reason() {
        type Change = fn(&mut Announcement);
        let cases: [(Change, &str); 9] = [
            (|one| one.instance.clear(), "instance name ``"),
            (
                |one| one.instance = "x".repeat(INSTANCE_ANNOUNCED_BYTES_MAX + 1),
                "1 to 56",
            ),
            (
                |one| one.instance = "a\u{1b}[2J".to_owned(),
                "`a\\u{1b}[2J`",
            ),
            (|one| one.instance = "küche".to_owned(), "printable ASCII"),
            (|one| one.instance = "c1.example".to_owned(), "`c1.example`"),
            (|one| one.port = 0, "port `0`"),
            (|one| one.addresses.clear(), "0 addresses"),
            (
                |one| one.addresses = vec![one.addresses[0]; ADDRESSES_MAX + 1],
                "`ADDRESSES_MAX`",
            ),
            (|one| one.addresses.push(IpAddr::from([0; 4])), "`0.0.0.0`"),
        ];
        for (change, expected) in cases {
            let mut one = announcement();
            change(&mut one);
            let error = one.service().unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
