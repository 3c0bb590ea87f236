//! Logs of attempts: read, search, follow, append.

use super::TaskPath;
use crate::context::{Context, Principal};
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::exchange::{Reply, ReplyBody, RequestBody};
use crate::lookup;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use serde::{Deserialize, Serialize};
use skep_model::ids::{NodeId, TaskId};
use skep_model::limits;
use skep_model::task::TaskRecord;
use skep_store::AttemptLogError;
use std::io;
use std::time::Duration;

/// Bytes read at a time.
const PIECE_BYTES: usize = 256 * 1024;
/// Lines that one search gives out unless the caller says otherwise.
const GREP_LINES_DEFAULT: usize = 1_000;
/// How often a followed log is looked at.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(250);
/// A log is followed at most this long after its attempt ended: its last pieces may be on their
/// way.
const FOLLOW_AFTER_END: Duration = Duration::from_secs(2);

/// Which part of which log to read.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LogQuery {
    /// The task.
    id: TaskId,
    /// The attempt, counted from 1; the newest when left out.
    #[serde(default)]
    #[schemars(range(min = 1))]
    attempt: Option<u32>,
    /// First byte.
    #[serde(default)]
    offset: u64,
    /// Whether to go on until the attempt ends.
    #[serde(default)]
    follow: bool,
    /// Only lines that match this regular expression, as JSON with their numbers and offsets.
    #[serde(default)]
    grep: Option<String>,
}

/// A line that matched.
#[derive(Debug, Serialize)]
struct Line {
    number: u64,
    offset: u64,
    text: String,
}

pub(super) async fn read(
    context: Context,
    query: LogQuery,
    _: RequestBody,
) -> Result<Reply, OperationError> {
    let task = lookup::known_task(&context.services, query.id).await?;
    let attempt = attempt_number(task.record(), query.attempt)?;
    if let Some(pattern) = query.grep {
        return grep(&context, query.id, attempt, pattern).await;
    }
    let logs = context.services.logs.clone();
    let id = query.id;
    let length = blocking_log(move || logs.length(id, attempt)).await?;
    let follow = query.follow.then_some(FOLLOW_AFTER_END);
    let pieces = Pieces {
        context,
        task: id,
        attempt,
        offset: query.offset,
        follow,
    };
    let reply = Reply {
        status: None,
        headers: Vec::new(),
        body: ReplyBody::Stream(
            "text/plain; charset=utf-8",
            stream::try_unfold(pieces, Pieces::next).boxed(),
        ),
    };
    Ok(reply
        .header("x-log-attempt", attempt.to_string())
        .header("x-log-bytes", length.to_string()))
}

pub(crate) fn attempt_number(
    record: &TaskRecord,
    wanted: Option<u32>,
) -> Result<u32, OperationError> {
    let attempt = wanted.unwrap_or(record.attempts);
    if (1..=record.attempts).contains(&attempt) {
        return Ok(attempt);
    }
    let detail = format!(
        "task `{}` has {} attempts so far",
        record.id, record.attempts
    );
    Err(OperationError::new(ErrorCode::AttemptNotFound, detail))
}

async fn grep(
    context: &Context,
    task: TaskId,
    attempt: u32,
    pattern: String,
) -> Result<Reply, OperationError> {
    let logs = context.services.logs.clone();
    let lines =
        blocking_log(move || logs.grep(task, attempt, &pattern, GREP_LINES_DEFAULT)).await?;
    let lines: Vec<_> = lines
        .into_iter()
        .map(|line| Line {
            number: line.number,
            offset: line.offset,
            text: line.text,
        })
        .collect();
    Reply::json(&serde_json::json!({ "attempt": attempt, "lines": lines }))
}

/// Reads a log piece by piece.
struct Pieces {
    context: Context,
    task: TaskId,
    attempt: u32,
    offset: u64,
    /// How long to go on after the attempt ended; none when the log is not followed.
    follow: Option<Duration>,
}

impl Pieces {
    async fn next(mut self) -> io::Result<Option<(Bytes, Self)>> {
        loop {
            // Asked before the read: what came before the end is then seen by the read.
            let running = self.is_running();
            let logs = self.context.services.logs.clone();
            let (task, attempt, offset) = (self.task, self.attempt, self.offset);
            let bytes = blocking_log(move || logs.read(task, attempt, offset, PIECE_BYTES))
                .await
                .map_err(io::Error::other)?;
            if !bytes.is_empty() {
                self.offset += bytes.len() as u64;
                return Ok(Some((Bytes::from(bytes), self)));
            }
            let Some(left) = self.follow else {
                return Ok(None);
            };
            if !running {
                let Some(left) = left.checked_sub(FOLLOW_INTERVAL) else {
                    return Ok(None);
                };
                self.follow = Some(left);
            }
            tokio::time::sleep(FOLLOW_INTERVAL).await;
        }
    }

    fn is_running(&self) -> bool {
        let view = self.context.services.hive.view();
        let record = view.state.task(self.task);
        record.is_some_and(|record| record.lease.is_some() && record.attempts == self.attempt)
    }
}

/// Which attempt's log to add to.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LogPiece {
    /// The task.
    id: TaskId,
    /// The attempt, counted from 1.
    #[schemars(range(min = 1))]
    attempt: u32,
    /// Where the bytes begin in the log. Bytes that are there already are skipped.
    offset: u64,
}

/// How long the log is now.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(super) struct LogLength {
    /// Bytes.
    bytes: u64,
}

pub(super) async fn append(
    context: Context,
    piece: LogPiece,
    body: RequestBody,
) -> Result<Reply, OperationError> {
    check_fence(&context, piece.id, piece.attempt).await?;
    let mut offset = piece.offset;
    let mut pieces = match body {
        RequestBody::Whole(bytes) => stream::once(async { Ok(bytes) }).boxed(),
        RequestBody::Stream(pieces) => pieces,
    };
    while let Some(bytes) = pieces.next().await {
        let bytes = bytes.map_err(|error| {
            OperationError::new(
                ErrorCode::BodyMalformed,
                format!("the body broke off: {error}"),
            )
        })?;
        let logs = context.services.logs.clone();
        let (at, length) = (offset, bytes.len() as u64);
        blocking_log(move || logs.append(piece.id, piece.attempt, at, &bytes)).await?;
        offset += length;
    }
    let logs = context.services.logs.clone();
    let bytes = blocking_log(move || logs.length(piece.id, piece.attempt)).await?;
    Reply::json(&LogLength { bytes })
}

/// An attempt writes to its own log only. So does a node that joined to those of attempts that were
/// granted to it; the last pieces may come after the end, so an ended attempt is not refused to its
/// node. A node token of the coordinator's own machine speaks for all nodes there.
async fn check_fence(context: &Context, task: TaskId, attempt: u32) -> Result<(), OperationError> {
    let found = lookup::known_task(&context.services, task).await?;
    let record = found.record();
    attempt_number(record, Some(attempt))?;
    if matches!(context.caller, Principal::Task { .. }) && record.attempts != attempt {
        let detail = format!("attempt {attempt} of `{task}` is not the current one");
        return Err(OperationError::new(ErrorCode::FenceStale, detail));
    }
    if let Principal::Node(node) = context.caller
        && ran_on(record, attempt) != Some(node)
    {
        let detail = format!("attempt {attempt} of `{task}` was not granted to node `{node}`");
        return Err(OperationError::new(ErrorCode::NotYourNode, detail));
    }
    Ok(())
}

/// The node to which an attempt was granted.
fn ran_on(record: &TaskRecord, attempt: u32) -> Option<NodeId> {
    let current = record
        .lease
        .as_ref()
        .filter(|_| record.attempts == attempt)
        .map(|lease| lease.node);
    let mut ended = record.ended_attempts.iter();
    current.or_else(|| {
        ended
            .find(|ended| ended.attempt == attempt)
            .map(|ended| ended.node)
    })
}

pub(super) async fn of_path(context: Context, path: TaskPath) -> Result<Logs, OperationError> {
    let task = lookup::known_task(&context.services, path.id).await?;
    let attempts = task.record().attempts;
    let logs = context.services.logs.clone();
    let attempts = lookup::blocking("measure logs", move || {
        (1..=attempts)
            .map(|attempt| {
                Ok(AttemptLog {
                    attempt,
                    bytes: logs.length(path.id, attempt)?,
                })
            })
            .collect::<Result<Vec<_>, AttemptLogError>>()
    })
    .await?;
    Ok(Logs { attempts })
}

/// The logs of a task.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(super) struct Logs {
    /// One for each attempt.
    attempts: Vec<AttemptLog>,
}

/// The log of an attempt.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct AttemptLog {
    /// Counted from 1.
    attempt: u32,
    /// Its length.
    bytes: u64,
}

async fn blocking_log<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, AttemptLogError> + Send + 'static,
) -> Result<T, OperationError> {
    let joined = lookup::blocking("join a log reader", move || {
        Ok::<_, std::convert::Infallible>(work())
    });
    joined.await?.map_err(|error| match error {
        AttemptLogError::Gap { .. } => {
            OperationError::new(ErrorCode::UploadOffsetMismatch, error.to_string())
        }
        AttemptLogError::TooLarge { .. } => {
            let hint = format!(
                "Keep the first and last part: at most {} bytes per attempt.",
                limits::LOG_BYTES_PER_ATTEMPT_MAX
            );
            OperationError::new(ErrorCode::BodyTooLarge, error.to_string()).with_hint(hint)
        }
        AttemptLogError::Pattern(_) => {
            OperationError::new(ErrorCode::PatternInvalid, error.to_string())
        }
        AttemptLogError::File { .. } => {
            OperationError::internal("use the log of an attempt", &error)
        }
    })
}
