//! The announcement of a coordinator on its local network, for as long as it runs.

use crate::exit::chain;
use skep_discovery::{
    Announcement, FingerprintPrefix, Followed, FollowingAnnouncer, InterfaceFilter,
};
use skep_model::ids::ClusterId;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// Name without a host's name.
const NAMELESS: &str = "skep";
/// Between two looks at the addresses of this machine.
const ADDRESSES_PAUSE: Duration = Duration::from_secs(15);

/// What is announced, and where.
#[derive(Debug)]
pub(crate) struct Announced {
    pub(crate) cluster: ClusterId,
    pub(crate) fingerprint: [u8; 32],
    pub(crate) public: SocketAddr,
    pub(crate) filter: InterfaceFilter,
}

/// The thread that announces the coordinator, and again when the addresses of this machine change;
/// it ends with this value.
#[derive(Debug)]
pub(crate) struct Announcing {
    stop: SyncSender<()>,
    thread: JoinHandle<()>,
}

impl Announcing {
    pub(crate) fn start(announced: Announced) -> std::io::Result<Self> {
        let (stop, stopped) = sync_channel(1);
        let thread = Builder::new()
            .name("announcing".to_owned())
            .spawn(move || announce_until(&stopped, announced))?;
        Ok(Self { stop, thread })
    }

    /// Takes the announcement back; blocks until then.
    pub(crate) fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::error!("the thread that announces the coordinator panicked");
        }
    }
}

fn announce_until(stopped: &Receiver<()>, announced: Announced) {
    let mut announcer = announcer(announced);
    // The same words are not said again every few seconds.
    let mut failure = String::new();
    loop {
        match announcer.follow() {
            Ok(followed) => {
                failure.clear();
                tell(&followed);
            }
            // It stops nobody: machines join by token.
            Err(error) => {
                let reason = chain(&error);
                if reason != failure {
                    tracing::warn!(error = reason, "the coordinator is not announced");
                    failure = reason;
                }
            }
        }
        if stopped.recv_timeout(ADDRESSES_PAUSE) != Err(RecvTimeoutError::Timeout) {
            break;
        }
    }
    if let Err(error) = announcer.stop() {
        tracing::warn!(error = chain(&error), "the announcement was not taken back");
    }
}

fn tell(followed: &Followed) {
    match followed {
        Followed::Unchanged => {}
        Followed::Announced(addresses) => {
            tracing::info!(?addresses, "the coordinator is announced");
        }
        Followed::Nowhere => {
            tracing::warn!("the coordinator is not announced: this machine has no address to name");
        }
    }
}

fn announcer(announced: Announced) -> FollowingAnnouncer {
    let node_name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let announcement = Announcement {
        cluster: announced.cluster,
        instance: instance(&node_name),
        port: announced.public.port(),
        fingerprint_prefix: FingerprintPrefix::of(&announced.fingerprint),
        addresses: Vec::new(),
    };
    FollowingAnnouncer::new(announcement, announced.public, announced.filter)
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
