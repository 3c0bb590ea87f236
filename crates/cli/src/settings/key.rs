//! The keys of the configuration: their names and defaults, and what their values must look like.

use crate::args::Progress;
use crate::connection::DEFAULT_URL;
use clap::ValueEnum;
use skep_discovery::{InterfaceFilter, InterfaceRule};
use skep_identity::parse_fingerprint;
use std::net::SocketAddr;
use toml::de::DeValue;

/// Days of [`skep_store::HISTORY_KEPT_MS`].
const HISTORY_DAYS_DEFAULT: &str = "30";
/// Days of [`skep_store::EVENTS_KEPT_MS`].
const EVENTS_DAYS_DEFAULT: &str = "7";
/// The longest that can be asked for: a hundred years.
const DAYS_MAX: u64 = 36_500;
/// Between the names of a list that is shown as one text; no name holds it.
const SEPARATOR: &str = ",";
/// What a list of names should be, and how to write it.
const NAMES: (&str, &str) = ("a list of texts", "write it as [\"eth0\"]");

/// A key that files may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    /// The coordinator that commands talk to.
    Url,
    /// The certificate authority that is trusted where the coordinator's address is encrypted.
    Authority,
    /// How progress is shown.
    Progress,
    /// Strategy of the scheduler that `skep up` starts.
    Strategy,
    /// Address on which `skep up` listens.
    Listen,
    /// Whether `skep up` announces itself to other machines.
    Announce,
    /// Interfaces on which it does so.
    Interfaces,
    /// Days that final tasks and runs are kept.
    HistoryDays,
    /// Days that events are kept.
    EventsDays,
}

impl Key {
    pub(crate) const ALL: [Self; 9] = [
        Self::Url,
        Self::Authority,
        Self::Progress,
        Self::Strategy,
        Self::Listen,
        Self::Announce,
        Self::Interfaces,
        Self::HistoryDays,
        Self::EventsDays,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Url => "url",
            Self::Authority => "authority",
            Self::Progress => "progress",
            Self::Strategy => "strategy",
            Self::Listen => "listen",
            Self::Announce => "announce",
            Self::Interfaces => "interfaces",
            Self::HistoryDays => "history_days",
            Self::EventsDays => "events_days",
        }
    }

    /// When a change of it in a file takes effect.
    pub(super) const fn takes_effect(self) -> &'static str {
        match self {
            Self::Url | Self::Authority | Self::Progress => "with the next command",
            Self::Strategy
            | Self::Listen
            | Self::Announce
            | Self::Interfaces
            | Self::HistoryDays
            | Self::EventsDays => "at the next start of the coordinator",
        }
    }

    pub(super) const fn default(self) -> &'static str {
        match self {
            Self::Url => DEFAULT_URL,
            Self::Progress => "auto",
            Self::Strategy => skep_scheduler::STRATEGIES[0],
            Self::Listen => "127.0.0.1:8600",
            Self::Announce => "false",
            // Nobody is trusted; or, for interfaces, all but loopback and virtual ones.
            Self::Authority | Self::Interfaces => "",
            Self::HistoryDays => HISTORY_DAYS_DEFAULT,
            Self::EventsDays => EVENTS_DAYS_DEFAULT,
        }
    }

    /// The text of a value of the file, or what kind of value it should be and how to write it.
    pub(super) fn text(self, value: &DeValue<'_>) -> Result<String, (&'static str, &'static str)> {
        match (self, value) {
            (Self::Announce, DeValue::Boolean(value)) => Ok(value.to_string()),
            (Self::Announce, _) => Err(("true or false", "write it without quotes")),
            (Self::Interfaces, DeValue::Array(items)) => {
                let names = items.iter().map(|item| match item.get_ref() {
                    DeValue::String(name) => Ok(name.as_ref()),
                    _ => Err(NAMES),
                });
                let names: Result<Vec<&str>, _> = names.collect();
                Ok(names?.join(SEPARATOR))
            }
            (Self::Interfaces, _) => Err(NAMES),
            (Self::HistoryDays | Self::EventsDays, DeValue::Integer(value)) => {
                Ok(value.to_string())
            }
            (Self::HistoryDays | Self::EventsDays, _) => {
                Err(("a whole number", "write it without quotes"))
            }
            (_, DeValue::String(value)) => Ok(value.clone().into_owned()),
            (_, _) => Err(("a text", "put it in quotes")),
        }
    }

    /// What is wrong with a value and what to write instead.
    pub(super) fn check(self, value: &str, of_project: bool) -> Result<(), (String, String)> {
        let of_the_user = [
            // Whoever can change a repository must not say who learns the tokens of its users.
            Self::Authority,
            Self::Announce,
            Self::Interfaces,
            Self::HistoryDays,
            Self::EventsDays,
        ];
        if of_project && of_the_user.contains(&self) {
            let message = format!("a project may not set `{}`", self.as_str());
            return Err((message, "set it in your own file".to_owned()));
        }
        match self {
            Self::Announce => Ok(()),
            Self::Authority => parse_fingerprint(value).map(drop).map_err(|error| {
                let message = format!("`{value}` is no fingerprint of an authority: {error}");
                let fix = "copy what `skep doctor` shows on the coordinator's machine";
                (message, fix.to_owned())
            }),
            Self::Interfaces => interfaces(value).map(drop).map_err(|message| {
                let fix = "write e.g. interfaces = [\"eth0\", \"192.168.1.0/24\"]";
                (message, fix.to_owned())
            }),
            Self::HistoryDays | Self::EventsDays => match value.parse() {
                Ok(1..=DAYS_MAX) => Ok(()),
                _ => Err((
                    format!("`{value}` is no number of days that can be kept"),
                    format!("use 1 to {DAYS_MAX}"),
                )),
            },
            Self::Url => {
                let url: skep_client::BaseUrl = value.parse().map_err(|error| {
                    (
                        crate::exit::chain(&error),
                        "write e.g. http://127.0.0.1:8600".to_owned(),
                    )
                })?;
                // Whoever can change a repository must not learn the tokens of those who use it.
                if of_project && !url.is_loopback() {
                    let message = format!("a project may not send commands to `{}`", url.host());
                    let fix = "name a coordinator on this machine, or set the url in your own file";
                    return Err((message, fix.to_owned()));
                }
                Ok(())
            }
            Self::Progress if Progress::from_str(value, false).is_ok() => Ok(()),
            Self::Progress => Err((
                format!("`{value}` is no way to show progress"),
                "use auto, plain or none".to_owned(),
            )),
            Self::Strategy => skep_scheduler::strategy(value).map(drop).map_err(|error| {
                (
                    error.to_string(),
                    format!("use {}", skep_scheduler::STRATEGIES.join(" or ")),
                )
            }),
            Self::Listen => value.parse::<SocketAddr>().map(drop).map_err(|_| {
                let message = format!("`{value}` is not an address to listen on");
                (message, "write e.g. 127.0.0.1:8600".to_owned())
            }),
        }
    }
}

/// The interfaces that a text names; all of the usual ones if it names none.
pub(super) fn interfaces(value: &str) -> Result<InterfaceFilter, String> {
    let names = value.split(SEPARATOR).filter(|name| !name.is_empty());
    let rules: Result<Vec<InterfaceRule>, _> = names.map(str::parse).collect();
    let rules = rules.map_err(|error| error.to_string())?;
    InterfaceFilter::allow(rules).map_err(|error| error.to_string())
}
