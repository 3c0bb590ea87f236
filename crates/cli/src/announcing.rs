//! The announcement of a coordinator on its local network, for as long as it runs.

use crate::exit::chain;
use skep_discovery::{
    Announcement, Announcer, DiscoveryError, FingerprintPrefix, InterfaceFilter,
    advertisable_addresses,
};
use skep_model::ids::ClusterId;
use std::net::SocketAddr;

/// Name without a host's name.
const NAMELESS: &str = "skep";

/// What is announced, and where.
#[derive(Debug)]
pub(crate) struct Announced {
    pub(crate) cluster: ClusterId,
    pub(crate) fingerprint: [u8; 32],
    pub(crate) public: SocketAddr,
    pub(crate) filter: InterfaceFilter,
}

/// Announces. That it does not work is logged, and stops nobody: machines join by token.
pub(crate) async fn announce(announced: Announced) -> Option<Announcer> {
    let started = tokio::task::spawn_blocking(move || start(&announced)).await;
    match started {
        Ok(Ok(announcer)) => return Some(announcer),
        Ok(Err(error)) => {
            tracing::warn!(error = chain(&error), "the coordinator is not announced");
        }
        Err(error) => tracing::warn!(%error, "the coordinator is not announced"),
    }
    None
}

fn start(announced: &Announced) -> Result<Announcer, DiscoveryError> {
    let addresses = advertisable_addresses(announced.public, &announced.filter)?;
    let node_name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let announcement = Announcement {
        cluster: announced.cluster,
        instance: instance(&node_name),
        port: announced.public.port(),
        fingerprint_prefix: FingerprintPrefix::of(&announced.fingerprint),
        addresses: addresses.iter().map(SocketAddr::ip).collect(),
    };
    Announcer::start(&announcement, &announced.filter)
}

/// The first part of the host's name, as far as it can be announced.
fn instance(node_name: &str) -> String {
    let label = node_name.split('.').next().unwrap_or_default();
    let plain: String = label
        .chars()
        .filter(|one| one.is_ascii_alphanumeric() || matches!(one, '-' | '_'))
        .take(skep_discovery::INSTANCE_ANNOUNCED_BYTES_MAX)
        .collect();
    if plain.is_empty() {
        NAMELESS.to_owned()
    } else {
        plain
    }
}

/// Takes the announcement back.
pub(crate) async fn end(announcer: Announcer) {
    let stopped = tokio::task::spawn_blocking(move || announcer.stop()).await;
    match stopped {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::warn!(error = chain(&error), "the announcement was not taken back");
        }
        Err(error) => tracing::warn!(%error, "the announcement was not taken back"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_the_first_part_of_the_hosts() {
        for (host, name) in [
            ("kitchen.example.org", "kitchen"),
            ("küche", "kche"),
            ("", "skep"),
            ("..", "skep"),
        ] {
            assert_eq!(instance(host), name);
        }
    }
}
