//! The installations that this one exchanges entries with. Operators name them; a call only says which
//! one is meant, so that nobody makes a coordinator send its token somewhere else.

use super::items::{Applied, ChangesPage, ChangesQuestion, Delivery};
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use skep_model::limits::NAME_LENGTH_MAX;
use skep_model::memory::Namespace;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// Which way entries go.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From the peer to here.
    Pull,
    /// From here to the peer.
    Push,
    /// Both, the peer's first.
    #[default]
    Both,
}

impl Direction {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Both => "both",
        }
    }

    pub(super) const fn pulls(self) -> bool {
        matches!(self, Self::Pull | Self::Both)
    }

    pub(super) const fn pushes(self) -> bool {
        matches!(self, Self::Push | Self::Both)
    }

    /// Whether all that the other wants is within this.
    pub(super) const fn includes(self, other: Self) -> bool {
        (self.pulls() || !other.pulls()) && (self.pushes() || !other.pushes())
    }
}

impl FromStr for Direction {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Pull, Self::Push, Self::Both];
        let found = all.into_iter().find(|one| one.as_str() == text);
        found.ok_or_else(|| format!("`{text}` is no direction; want `pull`, `push` or `both`"))
    }
}

/// Why a peer did not do what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerFault {
    /// Nobody answers, or not in time, or the connection broke.
    #[error("{detail}")]
    Unreachable {
        /// What happened.
        detail: String,
    },
    /// It refuses.
    #[error("{detail} (`{code}`)")]
    Refused {
        /// Its code.
        code: String,
        /// What it says.
        detail: String,
    },
}

impl PeerFault {
    pub(super) fn error(&self, peer: &str, so_far: &str) -> OperationError {
        let code = match self {
            Self::Unreachable { .. } => ErrorCode::MemoryPeerUnreachable,
            Self::Refused { .. } => ErrorCode::MemoryPeerRefused,
        };
        OperationError::new(code, format!("peer `{peer}`: {self}; {so_far}"))
    }
}

/// The way to a peer.
pub trait PeerLink: Send + Sync + fmt::Debug {
    /// Where it is, for people.
    fn address(&self) -> String;

    /// What changed there.
    fn changes<'a>(
        &'a self,
        question: &'a ChangesQuestion,
    ) -> BoxFuture<'a, Result<ChangesPage, PeerFault>>;

    /// Brings entries there. A delivery that is repeated does no harm.
    fn deliver<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Result<Applied, PeerFault>>;
}

/// An installation to exchange entries with.
#[derive(Debug)]
pub struct Peer {
    /// What it is called here.
    pub name: String,
    /// The way to it.
    pub link: Arc<dyn PeerLink>,
    /// What is exchanged.
    pub namespaces: Vec<Namespace>,
    /// Which way.
    pub direction: Direction,
    /// How often without being asked; never without.
    pub every: Option<Duration>,
    /// One round at a time.
    pub(super) round: tokio::sync::Mutex<()>,
}

/// A text that is no name of a peer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no name of a peer: want 1 to {NAME_LENGTH_MAX} letters, digits, `.`, `_` and `-`"
)]
pub struct PeerNameError(String);

impl Peer {
    /// A peer of this name, with which `swarm` and `knowledge` are exchanged both ways when asked for.
    ///
    /// # Errors
    /// The name cannot be used.
    pub fn new(name: &str, link: Arc<dyn PeerLink>) -> Result<Self, PeerNameError> {
        let allowed = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
        if !(1..=NAME_LENGTH_MAX).contains(&name.len()) || !name.chars().all(allowed) {
            let shown = name.chars().take(NAME_LENGTH_MAX).collect();
            return Err(PeerNameError(shown));
        }
        let usual = [Namespace::SWARM, Namespace::KNOWLEDGE];
        let usual = usual.map(|name| name.parse().expect("the usual namespaces have names"));
        Ok(Self {
            name: name.to_owned(),
            link,
            namespaces: usual.to_vec(),
            direction: Direction::default(),
            every: None,
            round: tokio::sync::Mutex::default(),
        })
    }
}

/// All of them.
#[derive(Debug, Default)]
pub struct Peers(BTreeMap<String, Peer>);

impl Peers {
    /// These; of two with one name the later one.
    pub fn new(peers: Vec<Peer>) -> Self {
        let named = peers.into_iter().map(|peer| (peer.name.clone(), peer));
        Self(named.collect())
    }

    /// By name.
    pub fn iter(&self) -> impl Iterator<Item = &Peer> {
        self.0.values()
    }

    /// The one of this name.
    ///
    /// # Errors
    /// `memory_peer_unknown`, which lists those that are known.
    pub(super) fn named(&self, name: &str) -> Result<&Peer, OperationError> {
        if let Some(peer) = self.0.get(name) {
            return Ok(peer);
        }
        let known: Vec<_> = self.0.keys().map(String::as_str).collect();
        let known = if known.is_empty() {
            "none is configured".to_owned()
        } else {
            format!("configured are `{}`", known.join("`, `"))
        };
        let name: String = name.chars().take(NAME_LENGTH_MAX).collect();
        let detail = format!("there is no peer `{name}`; {known}");
        Err(OperationError::new(ErrorCode::MemoryPeerUnknown, detail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Nowhere;

    impl PeerLink for Nowhere {
        fn address(&self) -> String {
            "nowhere".to_owned()
        }

        fn changes<'a>(
            &'a self,
            _: &'a ChangesQuestion,
        ) -> BoxFuture<'a, Result<ChangesPage, PeerFault>> {
            unreachable!("nobody asks it")
        }

        fn deliver<'a>(&'a self, _: &'a Delivery) -> BoxFuture<'a, Result<Applied, PeerFault>> {
            unreachable!("nobody brings it anything")
        }
    }

    #[test]
    fn a_peer_is_found_by_its_name_and_others_are_told_which_there_are() {
        let peer = |name: &str| Peer::new(name, Arc::new(Nowhere)).unwrap();
        let none = Peers::default().named("lab").unwrap_err();
        assert!(none.detail().contains("none is configured"), "{none}");
        let peers = Peers::new(vec![peer("office"), peer("lab")]);
        assert_eq!(peers.named("lab").unwrap().name, "lab");
        let unknown = peers.named("http://10.0.0.1").unwrap_err();
        assert_eq!(unknown.code(), ErrorCode::MemoryPeerUnknown);
        assert!(unknown.detail().contains("`lab`, `office`"), "{unknown}");
        for wrong in ["", "a/b", "a b", &"x".repeat(NAME_LENGTH_MAX + 1)] {
            assert!(Peer::new(wrong, Arc::new(Nowhere)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_direction_includes_its_parts() {
        use Direction::{Both, Pull, Push};
        for (whole, part, includes) in [
            (Both, Pull, true),
            (Both, Push, true),
            (Both, Both, true),
            (Pull, Both, false),
            (Pull, Push, false),
            (Push, Push, true),
        ] {
            assert_eq!(whole.includes(part), includes, "{whole:?} {part:?}");
            assert_eq!(whole.as_str().parse(), Ok(whole));
        }
        assert!("sideways".parse::<Direction>().is_err());
    }
}
