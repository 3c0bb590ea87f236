//! The tables `[memory.peers.NAME]` of the user's file: with whom shared memory is exchanged.

use super::{Settings, line_of};
use crate::args::milliseconds;
use skep_identity::parse_fingerprint;
use skep_model::memory::Namespace;
use skep_operations::Direction;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::de::{DeTable, DeValue};

/// The table that these stand in.
pub(super) const MEMORY: &str = "memory";
const PEERS: &str = "peers";
/// Peers of one installation.
const PEERS_MAX: usize = 64;
/// Namespaces of one peer.
const NAMESPACES_MAX: usize = 100;
/// Between two rounds that nobody asks for.
const EVERY_MS_MIN: u64 = 1_000;
const EVERY_MS_MAX: u64 = 24 * 3_600_000;

/// What the file says of a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PeerSetting {
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) token_file: PathBuf,
    pub(crate) authority: Option<String>,
    /// What is exchanged; the usual namespaces if nothing is said.
    pub(crate) namespaces: Option<Vec<Namespace>>,
    pub(crate) direction: Direction,
    pub(crate) every: Option<Duration>,
}

/// What is wrong, and what to write instead.
type Wrong = (String, String);

/// What one table has said so far.
#[derive(Default)]
struct Draft {
    url: Option<String>,
    token_file: Option<PathBuf>,
    authority: Option<String>,
    namespaces: Option<Vec<Namespace>>,
    direction: Direction,
    every: Option<Duration>,
}

impl Settings {
    /// Takes in the table `memory`. Paths in it start where the file is.
    pub(super) fn take_memory(
        &mut self,
        file: &Path,
        text: &str,
        (line, value): (usize, DeValue<'_>),
        of_project: bool,
    ) {
        if of_project {
            // Whoever can change a repository must not say where shared memory goes.
            let message = format!("a project may not set `{MEMORY}`");
            self.problem(file, Some(line), message, "set it in your own file");
            return;
        }
        let Some(table) = table_of(value) else {
            let message = format!("`{MEMORY}` should be a table");
            self.problem(file, Some(line), message, "write [memory.peers.NAME]");
            return;
        };
        for (name, value) in table {
            let line = line_of(text, name.span().start);
            let name = name.into_inner();
            let peers = table_of(value.into_inner()).filter(|_| name == PEERS);
            if let Some(peers) = peers {
                self.take_peers(file, text, peers);
            } else {
                let message = format!("`{MEMORY}.{name}` is no table of peers");
                self.problem(file, Some(line), message, "write [memory.peers.NAME]");
            }
        }
    }

    fn take_peers(&mut self, file: &Path, text: &str, peers: DeTable<'_>) {
        let directory = file.parent().unwrap_or(Path::new(""));
        for (count, (name, value)) in peers.into_iter().enumerate() {
            let line = line_of(text, name.span().start);
            let name = name.into_inner().into_owned();
            let read = match table_of(value.into_inner()) {
                _ if count >= PEERS_MAX => Err((
                    format!("`memory.peers` has more than {PEERS_MAX} peers (PEERS_MAX)"),
                    "remove some".to_owned(),
                )),
                None => Err((
                    format!("`memory.peers.{name}` should be a table"),
                    format!("write [memory.peers.{name}]"),
                )),
                Some(table) => peer(&name, table, directory),
            };
            match read {
                Ok(peer) => self.peers.push(peer),
                Err((message, fix)) => self.problem(file, Some(line), message, &fix),
            }
        }
    }
}

fn table_of(value: DeValue<'_>) -> Option<DeTable<'_>> {
    match value {
        DeValue::Table(table) => Some(table),
        _ => None,
    }
}

fn peer(name: &str, table: DeTable<'_>, directory: &Path) -> Result<PeerSetting, Wrong> {
    let mut draft = Draft::default();
    for (key, value) in table {
        let key = key.into_inner();
        let said = draft.take(&key, value.get_ref(), directory);
        said.map_err(|(message, fix)| (format!("peer `{name}`: {message}"), fix))?;
    }
    let missing = |key: &str, example: &str| {
        let message = format!("peer `{name}`: `{key}` is missing");
        (message, format!("write e.g. {example}"))
    };
    Ok(PeerSetting {
        name: name.to_owned(),
        url: draft
            .url
            .ok_or_else(|| missing("url", "url = \"https://lab.example:8600\""))?,
        token_file: draft
            .token_file
            .ok_or_else(|| missing("token_file", "token_file = \"lab.token\""))?,
        authority: draft.authority,
        namespaces: draft.namespaces,
        direction: draft.direction,
        every: draft.every,
    })
}

impl Draft {
    fn take(&mut self, key: &str, value: &DeValue<'_>, directory: &Path) -> Result<(), Wrong> {
        let text = || match value {
            DeValue::String(text) => Ok(text.as_ref()),
            _ => Err((
                format!("`{key}` should be a text"),
                "put it in quotes".to_owned(),
            )),
        };
        match key {
            "url" => self.url = Some(text()?.to_owned()),
            "token_file" => self.token_file = Some(directory.join(text()?)),
            "authority" => {
                let text = text()?;
                parse_fingerprint(text).map_err(|error| {
                    let message = format!("`{text}` is no fingerprint of an authority: {error}");
                    let fix = "copy what `skep doctor` shows on the machine of the peer";
                    (message, fix.to_owned())
                })?;
                self.authority = Some(text.to_owned());
            }
            "namespaces" => self.namespaces = Some(namespaces(value)?),
            "direction" => {
                self.direction = text()?.parse().map_err(|message: String| {
                    (message, "write e.g. direction = \"both\"".to_owned())
                })?;
            }
            "every" => {
                let text = text()?;
                let ms = milliseconds(text).ok();
                let ms = ms.filter(|ms| (EVERY_MS_MIN..=EVERY_MS_MAX).contains(ms));
                let ms = ms.ok_or_else(|| {
                    let message = format!("`every` is `{text}`; want one second to one day");
                    (message, "write e.g. every = \"5m\"".to_owned())
                })?;
                self.every = Some(Duration::from_millis(ms));
            }
            other => {
                let fix = "the keys are url, token_file, authority, namespaces, direction, every";
                return Err((format!("unknown key `{other}`"), fix.to_owned()));
            }
        }
        Ok(())
    }
}

fn namespaces(value: &DeValue<'_>) -> Result<Vec<Namespace>, Wrong> {
    let wrong = |message: String| {
        let fix = "write e.g. namespaces = [\"swarm\", \"knowledge\"]";
        (message, fix.to_owned())
    };
    let DeValue::Array(items) = value else {
        return Err(wrong("`namespaces` should be a list of texts".to_owned()));
    };
    if !(1..=NAMESPACES_MAX).contains(&items.len()) {
        let message = format!("`namespaces` should name 1 to {NAMESPACES_MAX} (NAMESPACES_MAX)");
        return Err(wrong(message));
    }
    let names = items.iter().map(|item| match item.get_ref() {
        DeValue::String(name) => name
            .parse::<Namespace>()
            .map_err(|error| wrong(error.to_string())),
        _ => Err(wrong("`namespaces` should be a list of texts".to_owned())),
    });
    names.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, of_project: bool) -> Settings {
        let mut settings = Settings::default();
        settings.take_text(Path::new("here/config.toml"), text, of_project);
        settings
    }

    #[test]
    fn a_peer_is_read_with_all_that_is_said_of_it() {
        let settings = read(
            "events_days = 3\n[memory.peers.lab]\nurl = \"http://127.0.0.1:9\"\n\
             token_file = \"lab.token\"\nnamespaces = [\"swarm\", \"team/one\"]\n\
             direction = \"pull\"\nevery = \"5m\"\n[memory.peers.office]\n\
             url = \"http://127.0.0.1:10\"\ntoken_file = \"/etc/office.token\"\n",
            false,
        );
        assert_eq!(settings.problems, []);
        let [lab, office] = &settings.peers[..] else {
            panic!("{:?}", settings.peers);
        };
        assert_eq!(lab.token_file, Path::new("here/lab.token"));
        assert_eq!(lab.direction, Direction::Pull);
        assert_eq!(lab.every, Some(Duration::from_mins(5)));
        let names: Vec<_> = lab
            .namespaces
            .iter()
            .flatten()
            .map(Namespace::as_str)
            .collect();
        assert_eq!(names, ["swarm", "team/one"]);
        assert_eq!(office.token_file, Path::new("/etc/office.token"));
        assert_eq!((office.direction, office.every), (Direction::Both, None));
    }

    #[test]
    fn what_cannot_be_used_is_named_with_its_line() {
        let peer = "[memory.peers.lab]\nurl = \"http://127.0.0.1:9\"\ntoken_file = \"t\"\n";
        for (text, said) in [
            (
                "[memory.peers.lab]\nurl = \"http://127.0.0.1:9\"\n",
                "`token_file` is missing",
            ),
            (
                "[memory.peers.lab]\ntoken_file = \"t\"\n",
                "`url` is missing",
            ),
            (
                "[memory.tiers]\nx = 1\n",
                "`memory.tiers` is no table of peers",
            ),
            ("memory = 3\n", "`memory` should be a table"),
            (&format!("{peer}every = \"0s\"\n"), "one second to one day"),
            (&format!("{peer}every = 5\n"), "`every` should be a text"),
            (
                &format!("{peer}direction = \"up\"\n"),
                "`up` is no direction",
            ),
            (&format!("{peer}namespaces = []\n"), "should name 1 to"),
            (
                &format!("{peer}namespaces = [\"A b\"]\n"),
                "is not a namespace",
            ),
            (&format!("{peer}authority = \"12\"\n"), "no fingerprint"),
            (&format!("{peer}colour = \"red\"\n"), "unknown key `colour`"),
        ] {
            let settings = read(text, false);
            let [problem] = &settings.problems[..] else {
                panic!("{text}: {:?}", settings.problems);
            };
            assert!(problem.to_string().contains(said), "{problem}");
            assert!(problem.line.is_some(), "{problem}");
            assert_eq!(settings.peers, []);
        }
        assert_eq!(read(peer, true).problems.len(), 1, "a project may not");
    }
}
