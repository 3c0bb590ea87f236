//! Where the processes of a play run and how they find each other: the command lines of Skep.

use anyhow::{Context, Result};
use serde_json::Value;
use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// Attempts that a node runs at a time, where all nodes share a machine and where they do not.
const SLOTS_OF_A_NODE: &str = "16";
const SLOTS_OF_A_HOST: &str = "4";
/// A node carries its name as this label too, so that a task can be bound to it.
pub(crate) const LABEL: &str = "chaos";
/// Where a coordinator with a host of its own listens.
pub(crate) const PORT: u16 = 8_600;

/// How processes find each other.
#[derive(Debug, Clone)]
pub(crate) enum Wiring {
    /// All on this machine; the coordinator listens here.
    Loopback { address: SocketAddr, nodes: usize },
    /// The coordinator on this host and each node on its own, which these words enter. A node joins
    /// by a token once and starts without one from then on; the token holds this name of the
    /// coordinator instead of its addresses, if there is one.
    Hosts {
        entrances: Vec<Vec<OsString>>,
        name: Option<&'static str>,
    },
}

/// What is common to all commands of a play.
#[derive(Debug)]
pub(crate) struct Commands<'a> {
    pub(crate) wiring: &'a Wiring,
    pub(crate) skep: &'a Path,
    pub(crate) directory: &'a Path,
}

impl Wiring {
    /// Where this process reaches the coordinator.
    pub(crate) fn address(&self) -> SocketAddr {
        match self {
            Self::Loopback { address, .. } => *address,
            Self::Hosts { .. } => (Ipv4Addr::LOCALHOST, PORT).into(),
        }
    }

    pub(crate) const fn nodes(&self) -> usize {
        match self {
            Self::Loopback { nodes, .. } => *nodes,
            Self::Hosts { entrances, .. } => entrances.len(),
        }
    }

    /// Whether nodes join by a token first.
    pub(crate) const fn is_joined(&self) -> bool {
        matches!(self, Self::Hosts { .. })
    }

    /// Name of the directory where a node keeps what it keeps: another host has its own.
    pub(crate) fn home(&self, node: &str) -> String {
        match self {
            Self::Loopback { .. } => HOME.to_owned(),
            Self::Hosts { .. } => format!("{HOME}-{node}"),
        }
    }
}

/// Name of the directory where the coordinator keeps what it keeps.
pub(crate) const HOME: &str = "home";

impl Commands<'_> {
    pub(crate) fn ready_file(&self) -> PathBuf {
        self.directory.join("ready.json")
    }

    pub(crate) fn coordinator(&self) -> Vec<OsString> {
        let listen = match self.wiring {
            Wiring::Loopback { address, .. } => *address,
            Wiring::Hosts { .. } => (Ipv4Addr::UNSPECIFIED, PORT).into(),
        };
        let listen = listen.to_string();
        let words = ["up", "--nodes", "0", "--listen", &listen, "--ready-file"];
        let mut command = self.skep(&[], &words, [self.ready_file().into()]);
        if let Wiring::Hosts {
            name: Some(name), ..
        } = self.wiring
        {
            command.extend(["--advertise".into(), format!("{name}:{PORT}").into()]);
        }
        command
    }

    /// The first start of a node; the ready file of the coordinator says what it needs.
    pub(crate) fn join(&self, node: usize, ready: &Value) -> Result<Vec<OsString>> {
        let Wiring::Hosts { entrances, .. } = self.wiring else {
            return Ok(self.node(node));
        };
        let token = ready["join"]
            .as_str()
            .context("the ready file holds no `join` token")?;
        let name = name(node);
        let words = ["join", token, "--name", &name, "--state-dir"];
        Ok(self.skep(&entrances[node], &words, [self.state(&name)]))
    }

    /// Every later start of a node.
    pub(crate) fn node(&self, node: usize) -> Vec<OsString> {
        let name = name(node);
        let label = format!("{LABEL}={name}");
        let (entrance, slots): (&[OsString], _) = match self.wiring {
            Wiring::Loopback { .. } => (&[], SLOTS_OF_A_NODE),
            Wiring::Hosts { entrances, .. } => (&entrances[node], SLOTS_OF_A_HOST),
        };
        let words = [
            "node", "start", "--name", &name, "--slots", slots, "--label", &label,
        ];
        let mut command = self.skep(entrance, &words, ["--state-dir".into(), self.state(&name)]);
        if let Wiring::Loopback { address, .. } = self.wiring {
            let token = self.directory.join(HOME).join("state/node-token");
            let url = format!("http://{address}");
            command.extend(["--coordinator".into(), url.into()]);
            command.extend(["--token-file".into(), token.into()]);
        }
        command
    }

    fn state(&self, name: &str) -> OsString {
        self.directory.join(name).into()
    }

    fn skep<const N: usize>(
        &self,
        entrance: &[OsString],
        words: &[&str],
        paths: [OsString; N],
    ) -> Vec<OsString> {
        let words = words.iter().map(OsString::from);
        let skep = std::iter::once(self.skep.into());
        let entrance = entrance.iter().cloned();
        entrance.chain(skep).chain(words).chain(paths).collect()
    }
}

/// Name of a node.
pub(crate) fn name(node: usize) -> String {
    format!("n{}", node + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn commands(wiring: &Wiring) -> Commands<'_> {
        Commands {
            wiring,
            skep: Path::new("/skep"),
            directory: Path::new("/d"),
        }
    }

    fn line(words: &[OsString]) -> String {
        let words: Vec<_> = words.iter().map(|word| word.to_str().unwrap()).collect();
        words.join(" ")
    }

    #[test]
    fn nodes_beside_the_coordinator_start_with_its_own_token() {
        let address = "127.0.0.1:20000".parse().unwrap();
        let wiring = Wiring::Loopback { address, nodes: 2 };
        let commands = commands(&wiring);
        assert_eq!(commands.join(1, &json!({})).unwrap(), commands.node(1));
        assert_eq!(
            line(&commands.node(1)),
            "/skep node start --name n2 --slots 16 --label chaos=n2 --state-dir /d/n2 --coordinator \
             http://127.0.0.1:20000 --token-file /d/home/state/node-token"
        );
    }

    #[test]
    fn a_node_with_its_own_host_needs_the_join_token_once() {
        let wiring = Wiring::Hosts {
            entrances: vec![vec!["enter".into(), "7".into()]],
            name: Some("hive.test"),
        };
        let commands = commands(&wiring);
        let ready = json!({"join": "skj1_a"});
        assert_eq!(
            line(&commands.join(0, &ready).unwrap()),
            "enter 7 /skep join skj1_a --name n1 --state-dir /d/n1"
        );
        assert_eq!(
            line(&commands.node(0)),
            "enter 7 /skep node start --name n1 --slots 4 --label chaos=n1 --state-dir /d/n1"
        );
        assert_eq!(
            line(&commands.coordinator()),
            "/skep up --nodes 0 --listen 0.0.0.0:8600 --ready-file /d/ready.json --advertise \
             hive.test:8600"
        );
    }
}
