//! The configuration of the coordinator's process: what its file says, and changes to it.
//!
//! The file belongs to whoever runs the process; operations reach it through [`Configuration`]. It holds
//! no secrets: tokens and keys have files of their own.

use crate::context::Context;
use crate::declare::{ADMIN, act, put, read};
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::fields::NoParameters;
use crate::lookup;
use crate::operation::Operation;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Settings that one call may change: more than there are.
const CHANGES_MAX: usize = 100;

/// The configuration of a process. All calls read or write files.
pub trait Configuration: Send + Sync + fmt::Debug {
    /// The file, and all settings as it has them now.
    ///
    /// # Errors
    /// The file cannot be read, or is wrong.
    fn settings(&self) -> Result<SettingsView, ConfigurationError>;

    /// What is wrong with these changes, if anything. `None` as a value takes a setting out of the
    /// file. Changes nothing.
    fn check(&self, changes: &Changes) -> Vec<SettingProblem>;

    /// Makes all of these changes or none; who reads the file sees the old one or the new one.
    ///
    /// # Errors
    /// A change is wrong, or the file cannot be written.
    fn change(&self, changes: &Changes) -> Result<(), ConfigurationError>;
}

/// New values by key; none for those that are taken out.
pub type Changes = BTreeMap<String, Option<Value>>;

/// Why the configuration was not read or changed.
#[derive(Debug, thiserror::Error)]
pub enum ConfigurationError {
    /// Values or the file itself are wrong.
    #[error("{} settings are wrong", .0.len())]
    Wrong(Vec<SettingProblem>),
    /// The file could not be read or written.
    #[error("could not {step} `{path}`")]
    File {
        /// What was tried.
        step: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// What is wrong with a setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct SettingProblem {
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub fix: String,
}

/// All settings.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct SettingsView {
    /// The file, whether it is there or not.
    pub file: PathBuf,
    /// The settings.
    pub settings: Vec<SettingView>,
}

/// A setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct SettingView {
    /// Its name.
    pub key: String,
    /// Its value, as a text.
    pub value: String,
    /// Whether nothing in the file says it.
    pub is_default: bool,
    /// When a change of it takes effect.
    pub takes_effect: &'static str,
}

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        read(
            "config.get",
            "/config",
            ADMIN,
            "Shows what the configuration file of the coordinator says; it holds no secrets.",
        )
        .answers(get),
        act(
            "config.validate",
            "/config/validate",
            ADMIN,
            "Says what is wrong with changes to the configuration file, without making them.",
        )
        .takes(validate),
        put(
            "config.set",
            "/config",
            ADMIN,
            "Changes the configuration file of the coordinator, all of the changes or none.",
        )
        .takes(set),
    ]
}

/// Changes to the configuration file.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct SettingChanges {
    /// New values by key; `null` takes a setting out of the file, so that it has its default.
    #[serde(default)]
    settings: Changes,
}

/// Whether changes can be made.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct Validity {
    /// Whether nothing is wrong.
    valid: bool,
    /// What is wrong.
    problems: Vec<SettingProblem>,
}

/// Changes that were made.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct Changed {
    /// The file.
    file: PathBuf,
    /// The settings that have another value now, with the new one.
    changed: Vec<ChangedSetting>,
}

/// A setting that has another value now.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct ChangedSetting {
    /// The value that it had.
    before: String,
    /// As it is now.
    #[serde(flatten)]
    now: SettingView,
}

async fn get(context: Context, _: NoParameters) -> Result<SettingsView, OperationError> {
    on_file(&context, |configuration| configuration.settings()).await
}

async fn validate(
    context: Context,
    _: NoParameters,
    wanted: SettingChanges,
) -> Result<Validity, OperationError> {
    check_count(&wanted.settings)?;
    on_file(&context, move |configuration| {
        let problems = configuration.check(&wanted.settings);
        Ok(Validity {
            valid: problems.is_empty(),
            problems,
        })
    })
    .await
}

async fn set(
    context: Context,
    _: NoParameters,
    wanted: SettingChanges,
) -> Result<Changed, OperationError> {
    check_count(&wanted.settings)?;
    on_file(&context, move |configuration| {
        let before = configuration.settings()?;
        configuration.change(&wanted.settings)?;
        let now = configuration.settings()?;
        let pairs = before.settings.into_iter().zip(now.settings);
        let changed = pairs.filter(|(before, now)| before != now);
        Ok(Changed {
            file: now.file,
            changed: changed
                .map(|(before, now)| ChangedSetting {
                    before: before.value,
                    now,
                })
                .collect(),
        })
    })
    .await
}

fn check_count(changes: &Changes) -> Result<(), OperationError> {
    if changes.len() <= CHANGES_MAX {
        return Ok(());
    }
    let detail = format!(
        "`settings` has {} items, more than {CHANGES_MAX} (CHANGES_MAX)",
        changes.len()
    );
    Err(OperationError::new(ErrorCode::LimitExceeded, detail))
}

async fn on_file<T: Send + 'static>(
    context: &Context,
    work: impl FnOnce(&dyn Configuration) -> Result<T, ConfigurationError> + Send + 'static,
) -> Result<T, OperationError> {
    let Some(configuration) = context.services.configuration.clone() else {
        let detail = "this process was started without a configuration file of its own";
        return Err(OperationError::new(
            ErrorCode::ConfigurationUnavailable,
            detail,
        ));
    };
    let done = lookup::blocking("use the configuration file", move || {
        Ok::<_, std::convert::Infallible>(work(configuration.as_ref()))
    });
    done.await?.map_err(|error| match error {
        ConfigurationError::Wrong(problems) => {
            let said = problems
                .iter()
                .map(|problem| format!("{}: {}", problem.message, problem.fix));
            let said: Vec<_> = said.collect();
            OperationError::new(ErrorCode::SettingInvalid, said.join("; "))
        }
        file @ ConfigurationError::File { .. } => {
            OperationError::internal("use the configuration file", &file)
        }
    })
}

/// Where the configuration of the process is, if it has one.
pub type SharedConfiguration = Option<Arc<dyn Configuration>>;
