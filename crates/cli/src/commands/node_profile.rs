//! What an owner says about a node: flags, kept in `node.toml` of its state directory.

use crate::args::NodeProfileArgs;
use crate::commands::node::pairs;
use crate::exit::{Exit, Failure};
use crate::places::write_private;
use serde::{Deserialize, Serialize};
use skep_model::hold::OnDisconnect;
use skep_model::limits::{NAME_LENGTH_MAX, NODE_FACT_ITEMS_MAX};
use skep_model::node::NodeClass;
use skep_model::requirements::Proficiency;
use skep_node::{Availability, NodeOptions};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// File of a node's state directory.
const FILE: &str = "node.toml";

/// What an owner says about a node. What is left out is measured, or as usual.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct NodeProfile {
    /// Attempts to run at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) slots: Option<u32>,
    /// How patient the coordinator is to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) class: Option<NodeClass>,
    /// What is to become of its attempts while it is not heard.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) on_disconnect: Option<OnDisconnect>,
    /// Where the machine stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) region: Option<String>,
    /// Models that it could serve.
    pub(crate) models: Vec<String>,
    /// Words for affinity rules.
    pub(crate) labels: BTreeMap<String, String>,
    /// What its agent can do.
    pub(crate) capabilities: BTreeMap<String, Proficiency>,
    /// When it takes work, and how much of the machine. Said in the file only.
    pub(crate) availability: Availability,
}

impl NodeProfile {
    /// What the state directory holds; nothing in particular when there is no file.
    pub(crate) fn load(state_dir: &Path) -> Result<Self, Failure> {
        let path = state_dir.join(FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => return Err(unusable(&path, &error)),
        };
        toml::from_str(&text).map_err(|error| unusable(&path, &error))
    }

    /// Writes it into a state directory.
    pub(crate) fn store(&self, state_dir: &Path) -> Result<PathBuf, Failure> {
        let path = state_dir.join(FILE);
        let text = toml::to_string(self).map_err(|error| unusable(&path, &error))?;
        write_private(&path, text.as_bytes())?;
        Ok(path)
    }

    /// This profile with what the flags say. A flag that is given replaces the whole value.
    pub(crate) fn with(mut self, flags: &NodeProfileArgs) -> Result<Self, Failure> {
        self.slots = flags.slots.or(self.slots);
        self.class = flags.class.map(Into::into).or(self.class);
        self.on_disconnect = flags.on_disconnect.map(Into::into).or(self.on_disconnect);
        if let Some(region) = &flags.region {
            self.region = (!region.is_empty()).then(|| region.clone());
        }
        if !flags.models.is_empty() {
            self.models.clone_from(&flags.models);
        }
        if !flags.labels.is_empty() {
            self.labels = pairs("label", &flags.labels)?;
        }
        if !flags.capabilities.is_empty() {
            self.capabilities = capabilities(&flags.capabilities)?;
        }
        if self.models.len() > NODE_FACT_ITEMS_MAX {
            let message = format!(
                "{} models are too many: NODE_FACT_ITEMS_MAX is {NODE_FACT_ITEMS_MAX}",
                self.models.len()
            );
            return Err(Failure::new(Exit::Invalid, "node_option_invalid", message));
        }
        Ok(self)
    }

    /// Puts it into the options of a node.
    pub(crate) fn apply(self, options: &mut NodeOptions) {
        options.slots = self.slots.unwrap_or(options.slots);
        options.class = self.class.unwrap_or(options.class);
        options.on_disconnect = self.on_disconnect;
        options.region = self.region;
        options.models = self.models;
        options.labels = self.labels;
        options.capabilities = self.capabilities;
        options.availability = self.availability;
    }
}

fn unusable(path: &Path, error: &dyn std::error::Error) -> Failure {
    let message = format!("cannot use `{}`: {error}", path.display());
    Failure::new(Exit::Invalid, "node_profile_invalid", message)
        .hint("mend the file, or remove it and say it again with `skep node configure`")
}

/// A node's name is also that of its directory: it must not lead elsewhere.
pub(crate) fn check_name(name: &str) -> Result<(), Failure> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    let fits = !name.is_empty()
        && name.len() <= NAME_LENGTH_MAX
        && !name.starts_with('.')
        && name.chars().all(plain);
    if fits {
        return Ok(());
    }
    let message = format!("`{name}` cannot be the name of a node");
    Err(Failure::new(Exit::Invalid, "node_name_invalid", message)
        .hint("use 1 to 128 letters, digits, `-`, `_` and `.`, not starting with `.`"))
}

/// The name that was given, or the host's.
pub(crate) fn name_or_host(given: Option<&String>) -> Result<String, Failure> {
    let host = || {
        let system = rustix::system::uname();
        system.nodename().to_string_lossy().into_owned()
    };
    let name = given.cloned().unwrap_or_else(host);
    check_name(&name)?;
    Ok(name)
}

fn capabilities(texts: &[String]) -> Result<BTreeMap<String, Proficiency>, Failure> {
    let capability = |text: &String| {
        let (name, level) = text.split_once('=').unwrap_or((text, "basic"));
        let level = match level {
            "basic" => Proficiency::Basic,
            "intermediate" => Proficiency::Intermediate,
            "expert" => Proficiency::Expert,
            "specialist" => Proficiency::Specialist,
            other => {
                let message = format!("`{other}` is not a proficiency");
                return Err(Failure::new(Exit::Invalid, "proficiency_unknown", message)
                    .hint("use basic, intermediate, expert or specialist"));
            }
        };
        Ok((name.to_owned(), level))
    };
    texts.iter().map(capability).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::OnDisconnectArg;

    #[test]
    fn what_was_said_is_kept_and_a_flag_replaces_it() {
        let directory = tempfile::tempdir().unwrap();
        let said = NodeProfileArgs {
            slots: Some(3),
            labels: vec!["zone=a".to_owned(), "disk=fast".to_owned()],
            capabilities: vec!["rust=expert".to_owned()],
            region: Some("office".to_owned()),
            on_disconnect: Some(OnDisconnectArg::Keep),
            ..NodeProfileArgs::default()
        };
        let first = NodeProfile::load(directory.path())
            .unwrap()
            .with(&said)
            .unwrap();
        first.store(directory.path()).unwrap();
        let kept = NodeProfile::load(directory.path()).unwrap();
        assert_eq!(kept, first);
        let change = NodeProfileArgs {
            labels: vec!["zone=b".to_owned()],
            region: Some(String::new()),
            ..NodeProfileArgs::default()
        };
        let changed = kept.with(&change).unwrap();
        assert_eq!((changed.slots, changed.region), (Some(3), None));
        assert_eq!(changed.on_disconnect, Some(OnDisconnect::Keep));
        assert_eq!(
            changed.labels,
            BTreeMap::from([("zone".to_owned(), "b".to_owned())])
        );
    }

    #[test]
    fn an_owner_says_in_the_file_when_the_machine_takes_work() {
        let directory = tempfile::tempdir().unwrap();
        let text = "slots = 2\n\n[availability]\nhours = [\"mon-fri 18:00-08:00\"]\n\
                    idle_only = { load_percent_max = 20, minutes = 10 }\n\
                    on_ac_power_only = true\ncpu_percent_max = 50\n";
        std::fs::write(directory.path().join(FILE), text).unwrap();
        let profile = NodeProfile::load(directory.path()).unwrap();
        assert_eq!(profile.availability.hours.len(), 1);
        assert_eq!(profile.availability.cpu_percent_max, Some(50));
        profile.store(directory.path()).unwrap();
        assert_eq!(NodeProfile::load(directory.path()).unwrap(), profile);
        std::fs::write(
            directory.path().join(FILE),
            "[availability]\nhours = [\"nine to five\"]\n",
        )
        .unwrap();
        let failure = NodeProfile::load(directory.path()).unwrap_err();
        assert!(failure.message.contains("nine to five"), "{failure:?}");
    }

    #[test]
    fn a_file_with_an_unknown_word_is_refused_by_name() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(FILE), "slotz = 3\n").unwrap();
        let failure = NodeProfile::load(directory.path()).unwrap_err();
        assert_eq!(failure.code, "node_profile_invalid");
        assert!(failure.message.contains("slotz"), "{}", failure.message);
    }

    #[test]
    fn a_node_name_never_leads_out_of_its_directory() {
        for name in ["a", "desk-2", "host.example", "N_1"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        let long = "n".repeat(129);
        for name in [
            "",
            ".",
            "..",
            "../x",
            "/abs",
            "a/b",
            ".hidden",
            "a b",
            long.as_str(),
        ] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
