//! Takes in what a session or task used.

use super::NAMESPACE;
use super::tokens::Slice;
use crate::context::Context;
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::fields::check_text;
use crate::memory::documents::{self, Document};
use serde::{Deserialize, Serialize};
use skep_model::ids::TaskId;
use skep_model::memory::MemoryVersion;

/// Records are kept for 400 days: a year, and the month to compare it.
const KEPT_S: u64 = 400 * 86_400;
/// Hours times models of one record.
const SLICES_MAX: usize = 2_000;

/// What a record is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Source {
    /// A session of an agent's program: all that it used so far.
    Session,
    /// A task: what was used for it.
    Task,
}

impl Source {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Task => "task",
        }
    }
}

/// What a record is about.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SourcePath {
    /// `session` or `task`.
    source: Source,
    /// The id of the session, as the agent's program calls it, or of the task.
    id: String,
}

/// What was used.
#[derive(Debug, Clone, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UsageGiven {
    /// The agent that used it, by its name.
    #[serde(default)]
    agent: Option<String>,
    /// Of a task: the session that did it, by the id of the agent's program. If there is a record of
    /// that session, it holds the same tokens: then the task's are not added to any sum but its own.
    #[serde(default)]
    session: Option<String>,
    /// All that was used so far, by hour and model.
    slices: Vec<Slice>,
}

impl UsageGiven {
    /// Used by this agent, unless another one was named.
    pub(crate) fn by(self, agent: Option<String>) -> Self {
        Self {
            agent: self.agent.or(agent),
            ..self
        }
    }
}

/// As it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) source: Source,
    pub(super) id: String,
    #[serde(default)]
    pub(super) agent: Option<String>,
    #[serde(default)]
    pub(super) session: Option<String>,
    pub(super) slices: Vec<Slice>,
}

/// A record that was kept.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(super) struct Recorded {
    /// The namespace of shared memory in which it is.
    namespace: String,
    /// Its key there.
    key: String,
    /// Its version.
    version: MemoryVersion,
    /// Hours times models in it.
    slices: usize,
}

pub(super) async fn record(
    context: Context,
    path: SourcePath,
    given: UsageGiven,
) -> Result<Recorded, OperationError> {
    if path.source == Source::Task && path.id.parse::<TaskId>().is_err() {
        let detail = format!("`{}` is no id of a task", path.id);
        return Err(OperationError::new(ErrorCode::FieldInvalid, detail));
    }
    keep(&context, path.source, &path.id, given).await
}

/// Keeps what a task used, as its agent said it.
pub(crate) async fn of_task(
    context: &Context,
    task: TaskId,
    given: UsageGiven,
) -> Result<(), OperationError> {
    keep(context, Source::Task, &task.to_string(), given)
        .await
        .map(drop)
}

async fn keep(
    context: &Context,
    source: Source,
    id: &str,
    given: UsageGiven,
) -> Result<Recorded, OperationError> {
    check_text("id", id)?;
    for (name, text) in [("agent", &given.agent), ("session", &given.session)] {
        text.as_deref()
            .map_or(Ok(()), |text| check_text(name, text))?;
    }
    if given.slices.len() > SLICES_MAX {
        let detail = format!(
            "`slices` has {} items, more than {SLICES_MAX} (SLICES_MAX)",
            given.slices.len()
        );
        return Err(OperationError::new(ErrorCode::LimitExceeded, detail));
    }
    let now = context.services.now();
    let slices = given.slices.into_iter().map(|slice| slice.checked(now));
    let record = Record {
        source,
        id: id.to_owned(),
        agent: given.agent,
        session: given.session,
        slices: slices.collect::<Result<_, _>>()?,
    };
    let key = format!("{}/{id}", source.as_str());
    let document = Document {
        namespace: NAMESPACE,
        key: &key,
        content: &record,
        ttl_s: Some(KEPT_S),
        why: "what models used, as reported",
    };
    let version = documents::put(context, document).await?;
    Ok(Recorded {
        namespace: NAMESPACE.to_owned(),
        key,
        version,
        slices: record.slices.len(),
    })
}
