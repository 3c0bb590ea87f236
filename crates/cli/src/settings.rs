//! The configuration: flag, environment, project file, user file, default, in this order; each
//! value with where it comes from.

mod edit;
mod key;
mod peers;

pub(crate) use edit::ConfigurationFile;
pub(crate) use key::Key;
pub(crate) use peers::PeerSetting;

use crate::args::Progress;
use crate::exit::{Exit, Failure};
use crate::places::Places;
use clap::ArgMatches;
use clap::ValueEnum;
use clap::parser::ValueSource;
use serde_json::json;
use skep_discovery::InterfaceFilter;
use skep_store::{EVENTS_KEPT_MS, HISTORY_KEPT_MS, RetentionPolicy};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use toml::de::DeTable;

/// Name of both files.
const FILE_NAME: &str = "config.toml";
/// Directory of a project's file.
const PROJECT_DIR: &str = ".skep";
/// Bytes of a configuration file.
const FILE_BYTES_MAX: u64 = 64 << 10;
const DAY_MS: u64 = 86_400_000;

/// A value and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) value: String,
    pub(crate) origin: String,
}

/// One thing that is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    file: PathBuf,
    line: Option<usize>,
    message: String,
    fix: String,
}

/// What files and command line say.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    /// Files that exist, the one that counts more first.
    pub(crate) files: Vec<PathBuf>,
    values: BTreeMap<Key, Setting>,
    /// With whom shared memory is exchanged.
    pub(crate) peers: Vec<PeerSetting>,
    pub(crate) problems: Vec<Problem>,
}

impl Settings {
    /// Reads the files. What is wrong with them is kept, for the caller to act on.
    pub(crate) fn load(places: &Places, here: &Path) -> Self {
        let mut settings = Self::default();
        if let Some(file) = project_file(here) {
            settings.read(&file, true);
        }
        let user = places.config.join(FILE_NAME);
        if user.is_file() {
            settings.read(&user, false);
        }
        settings
    }

    fn read(&mut self, file: &Path, of_project: bool) {
        self.files.push(file.to_owned());
        let text = match read_small(file) {
            Ok(text) => text,
            Err(error) => {
                let fix = "make it a readable file, or remove it";
                self.problem(file, None, format!("it cannot be read: {error}"), fix);
                return;
            }
        };
        self.take_text(file, &text, of_project);
    }

    fn take_text(&mut self, file: &Path, text: &str, of_project: bool) {
        let table = match DeTable::parse(text) {
            Ok(table) => table.into_inner(),
            Err(error) => {
                let line = error.span().map(|span| line_of(text, span.start));
                self.problem(file, line, error.message().to_owned(), "write it as TOML");
                return;
            }
        };
        for (name, value) in table {
            let line = line_of(text, name.span().start);
            let name = name.into_inner();
            if name == peers::MEMORY {
                self.take_memory(file, text, (line, value.into_inner()), of_project);
                continue;
            }
            let Some(key) = Key::ALL.into_iter().find(|key| key.as_str() == name) else {
                let known: Vec<_> = Key::ALL.iter().map(|key| key.as_str()).collect();
                let fix = format!("the keys are {}", known.join(", "));
                self.problem(file, Some(line), format!("unknown key `{name}`"), &fix);
                continue;
            };
            let value = match key.text(&value.into_inner()) {
                Ok(value) => value,
                Err((kind, fix)) => {
                    let message = format!("`{name}` should be {kind}");
                    self.problem(file, Some(line), message, fix);
                    continue;
                }
            };
            match key.check(&value, of_project) {
                Ok(()) => {
                    let origin = format!("{}:{line}", file.display());
                    // The project's file is read first and counts more.
                    let setting = Setting { value, origin };
                    self.values.entry(key).or_insert(setting);
                }
                Err((message, fix)) => self.problem(file, Some(line), message, &fix),
            }
        }
    }

    fn problem(&mut self, file: &Path, line: Option<usize>, message: String, fix: &str) {
        let problem = Problem {
            file: file.to_owned(),
            line,
            message,
            fix: fix.to_owned(),
        };
        self.problems.push(problem);
    }

    /// Takes in what was given on the command line or in the environment; it counts more.
    pub(crate) fn take_arguments(&mut self, matches: &ArgMatches) {
        let text = |key: Key| matches.get_one::<String>(key.as_str()).cloned();
        let (url, authority) = (text(Key::Url), text(Key::Authority));
        let progress = matches.get_one::<Progress>("progress");
        let progress = progress.and_then(Progress::to_possible_value);
        let progress = progress.map(|value| value.get_name().to_owned());
        let given = [
            (Key::Url, url),
            (Key::Authority, authority),
            (Key::Progress, progress),
        ];
        for (key, value) in given {
            let origin = match matches.value_source(key.as_str()) {
                Some(ValueSource::CommandLine) => format!("flag --{}", key.as_str()),
                Some(ValueSource::EnvVariable) => {
                    format!("environment variable SKEP_{}", key.as_str().to_uppercase())
                }
                _ => continue,
            };
            if let Some(value) = value {
                self.values.insert(key, Setting { value, origin });
            }
        }
    }

    /// A value that flag, environment or a file gives.
    pub(crate) fn given(&self, key: Key) -> Option<&Setting> {
        self.values.get(&key)
    }

    /// A value, be it the default.
    pub(crate) fn setting(&self, key: Key) -> Setting {
        self.given(key).cloned().unwrap_or_else(|| Setting {
            value: key.default().to_owned(),
            origin: "default".to_owned(),
        })
    }

    /// How progress is shown.
    pub(crate) fn progress(&self) -> Progress {
        Progress::from_str(&self.setting(Key::Progress).value, false).unwrap_or(Progress::Auto)
    }

    /// Where `skep up` listens unless a flag says otherwise.
    pub(crate) fn listen(&self) -> SocketAddr {
        let default = || {
            Key::Listen
                .default()
                .parse()
                .expect("the default is an address")
        };
        self.setting(Key::Listen)
            .value
            .parse()
            .unwrap_or_else(|_| default())
    }

    /// Whether `skep up` announces itself without a flag.
    pub(crate) fn announces(&self) -> bool {
        self.setting(Key::Announce).value == "true"
    }

    /// Where `skep up` announces itself without a flag.
    pub(crate) fn interfaces(&self) -> InterfaceFilter {
        key::interfaces(&self.setting(Key::Interfaces).value).unwrap_or_default()
    }

    /// How long what is final is kept.
    pub(crate) fn retention(&self) -> RetentionPolicy {
        let kept_ms = |key: Key, default: u64| {
            let days = self.setting(key).value.parse::<u64>();
            days.map_or(default, |days| days * DAY_MS)
        };
        RetentionPolicy {
            history_kept_ms: kept_ms(Key::HistoryDays, HISTORY_KEPT_MS),
            events_kept_ms: kept_ms(Key::EventsDays, EVENTS_KEPT_MS),
            ..RetentionPolicy::default()
        }
    }

    /// All problems as one failure; `None` when the files are good.
    pub(crate) fn failure(&self) -> Option<Failure> {
        if self.problems.is_empty() {
            return None;
        }
        let lines: Vec<_> = self.problems.iter().map(ToString::to_string).collect();
        let mut failure = Failure::new(Exit::Invalid, "config_invalid", lines.join("\n"))
            .hint("`skep config validate` checks the files again");
        failure.errors = self
            .problems
            .iter()
            .map(|problem| {
                json!({
                    "file": problem.file,
                    "line": problem.line,
                    "message": problem.message,
                    "fix": problem.fix,
                })
            })
            .collect();
        Some(failure)
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}: {}", self.message, self.fix)
    }
}

/// The project's file: the nearest one from here up to the top of the repository, or here only
/// when this is no repository.
fn project_file(here: &Path) -> Option<PathBuf> {
    let top = here
        .ancestors()
        .find(|directory| directory.join(".git").exists());
    let top = top.unwrap_or(here);
    here.ancestors()
        .take_while(|directory| directory.starts_with(top))
        .map(|directory| directory.join(PROJECT_DIR).join(FILE_NAME))
        .find(|file| file.is_file())
}

fn read_small(file: &Path) -> std::io::Result<String> {
    let bytes = std::fs::metadata(file)?.len();
    if bytes > FILE_BYTES_MAX {
        let message = format!("it has {bytes} bytes, more than FILE_BYTES_MAX ({FILE_BYTES_MAX})");
        return Err(std::io::Error::other(message));
    }
    std::fs::read_to_string(file)
}

/// Counted from 1.
fn line_of(text: &str, offset: usize) -> usize {
    text.bytes()
        .take(offset)
        .filter(|byte| *byte == b'\n')
        .count()
        + 1
}

#[cfg(test)]
mod tests;
