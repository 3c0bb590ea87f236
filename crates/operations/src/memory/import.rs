//! Takes in lines of JSON, as an export gives them, in steps of many entries.

use super::access::{EntryName, named_namespace};
use super::export::JSON_LINES;
use super::given;
use super::merging::propose;
use super::outcome::Answer;
use super::transfer::{LINE_BYTES_MAX, Line, read_line};
use super::write::done;
use crate::artifacts;
use crate::context::Context;
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::exchange::{Reply, RequestBody, Shape};
use bytes::Bytes;
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use skep_model::memory::{MemoryCondition, MemoryRefusal, MemoryWrite, Namespace};

/// Entries of one step, and bytes after which a step is full.
const ENTRIES_PER_STEP: usize = 500;
const BYTES_PER_STEP: usize = 1 << 20;
/// Refused lines that the answer names.
const REFUSED_SHOWN_MAX: usize = 100;

/// What to take in.
pub(super) const LINES: Shape = Shape::Bytes(JSON_LINES);

/// How to take it in.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Taking {
    /// Into this namespace, whatever the lines say; needed when they say nothing.
    #[serde(default)]
    namespace: Option<String>,
    /// What happens to entries that are there already.
    #[serde(default)]
    existing: Existing,
}

/// What happens to entries that are there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Existing {
    /// They are replaced.
    #[default]
    Replace,
    /// They stay.
    Keep,
}

/// What was taken in.
#[derive(Debug, Default, Serialize, schemars::JsonSchema)]
pub(super) struct Taken {
    /// Entries that were written.
    written: u64,
    /// Entries that were there already, and stay.
    kept: u64,
    /// Entries whose time is over.
    expired: u64,
    /// Earlier versions, which are not taken in.
    history: u64,
    /// Lines that were refused.
    refused: u64,
    /// The first of them.
    errors: Vec<RefusedLine>,
}

/// A line that was refused.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct RefusedLine {
    /// Which, counted from 1.
    line: u64,
    /// Stable code.
    code: String,
    /// What happened in this case.
    detail: String,
}

impl Taken {
    fn refuse(&mut self, line: u64, error: &OperationError) {
        self.refused += 1;
        if self.errors.len() < REFUSED_SHOWN_MAX {
            self.errors.push(RefusedLine {
                line,
                code: error.code().as_str().to_owned(),
                detail: error.detail().to_owned(),
            });
        }
    }
}

/// Entries that wait for their step.
#[derive(Debug, Default)]
struct Step {
    writes: Vec<MemoryWrite>,
    names: Vec<(u64, EntryName)>,
    bytes: usize,
}

impl Step {
    fn is_full(&self) -> bool {
        self.writes.len() >= ENTRIES_PER_STEP || self.bytes >= BYTES_PER_STEP
    }
}

/// A line that cannot be taken in is named, and the others go on; a body that cannot be read ends
/// it. What is written by then stays.
pub(super) async fn import(
    context: Context,
    taking: Taking,
    body: RequestBody,
) -> Result<Reply, OperationError> {
    let namespace = taking
        .namespace
        .as_deref()
        .map(named_namespace)
        .transpose()?;
    let mut lines = Lines::of(body);
    let (mut taken, mut step) = (Taken::default(), Step::default());
    while let Some((number, line)) = lines.next().await? {
        let read = one_line(&context, &line, namespace.as_ref(), taking.existing).await;
        match read {
            Ok(Read::Write(name, write)) => {
                step.bytes += write.bytes();
                step.writes.push(*write);
                step.names.push((number, name));
            }
            Ok(Read::Frame) => {}
            Ok(Read::Expired) => taken.expired += 1,
            Ok(Read::History) => taken.history += 1,
            // Nothing after it can be taken in either.
            Err(error) if error.code() == ErrorCode::NamespaceForbidden => return Err(error),
            Err(error) => taken.refuse(number, &error),
        }
        if step.is_full() {
            write(&context, std::mem::take(&mut step), &mut taken).await?;
        }
    }
    write(&context, step, &mut taken).await?;
    Reply::json(&taken)
}

/// What became of a line before it is written.
enum Read {
    Write(EntryName, Box<MemoryWrite>),
    Frame,
    Expired,
    History,
}

async fn one_line(
    context: &Context,
    line: &[u8],
    namespace: Option<&Namespace>,
    existing: Existing,
) -> Result<Read, OperationError> {
    match read_line(line, namespace, context.services.now())? {
        Line::Head(_) | Line::End => Ok(Read::Frame),
        Line::Content(bytes) => {
            artifacts::keep(context, bytes).await?;
            Ok(Read::Frame)
        }
        Line::Expired => Ok(Read::Expired),
        Line::History => Ok(Read::History),
        Line::Entry(name, body) => {
            let mut write = given::put(context, &name, *body).await?;
            if existing == Existing::Keep {
                write.condition = MemoryCondition::Absent;
            }
            Ok(Read::Write(name, Box::new(write)))
        }
    }
}

async fn write(context: &Context, step: Step, taken: &mut Taken) -> Result<(), OperationError> {
    if step.writes.is_empty() {
        return Ok(());
    }
    let proposed = propose(context, step.writes, false).await?;
    for ((line, name), answer) in step.names.into_iter().zip(proposed.answers) {
        if matches!(answer, Answer::Refused(MemoryRefusal::Exists { .. })) {
            taken.kept += 1;
            continue;
        }
        match done(&name, answer) {
            Ok(_) => taken.written += 1,
            Err(error) => taken.refuse(line, &error),
        }
    }
    Ok(())
}

/// A body, line by line.
struct Lines {
    body: RequestBody,
    waiting: Vec<u8>,
    /// Where in it the next line begins.
    start: usize,
    /// Up to where in it no end of that line was found.
    searched: usize,
    number: u64,
    is_over: bool,
}

impl Lines {
    const fn of(body: RequestBody) -> Self {
        Self {
            body,
            waiting: Vec::new(),
            start: 0,
            searched: 0,
            number: 0,
            is_over: false,
        }
    }

    /// The next line that is not empty, and its number.
    async fn next(&mut self) -> Result<Option<(u64, Vec<u8>)>, OperationError> {
        loop {
            let unsearched = &self.waiting[self.searched..];
            if let Some(length) = unsearched.iter().position(|byte| *byte == b'\n') {
                let end = self.searched + length;
                let line = self.waiting[self.start..end].to_vec();
                self.start = end + 1;
                self.searched = self.start;
                self.number += 1;
                if !line.trim_ascii().is_empty() {
                    return Ok(Some((self.number, line)));
                }
                continue;
            }
            self.waiting.drain(..self.start);
            self.start = 0;
            self.searched = self.waiting.len();
            if self.searched > LINE_BYTES_MAX {
                let detail = format!(
                    "line {} is longer than {LINE_BYTES_MAX} bytes (LINE_BYTES_MAX)",
                    self.number + 1
                );
                return Err(OperationError::new(
                    ErrorCode::MemoryImportMalformed,
                    detail,
                ));
            }
            if self.is_over {
                return Ok(None);
            }
            if let Some(bytes) = self.more().await? {
                self.waiting.extend_from_slice(&bytes);
            } else {
                self.is_over = true;
                self.waiting.push(b'\n');
            }
        }
    }

    async fn more(&mut self) -> Result<Option<Bytes>, OperationError> {
        match &mut self.body {
            RequestBody::Whole(bytes) if bytes.is_empty() => Ok(None),
            RequestBody::Whole(bytes) => Ok(Some(std::mem::take(bytes))),
            RequestBody::Stream(pieces) => pieces.next().await.transpose().map_err(|error| {
                let detail = format!("the body broke off in line {}: {error}", self.number + 1);
                OperationError::new(ErrorCode::BodyMalformed, detail)
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;

    #[tokio::test]
    async fn lines_are_found_wherever_the_pieces_end() {
        let text = b"one\n\n two \nthree";
        for size in 1..text.len() {
            let pieces: Vec<_> = text.chunks(size).map(Bytes::copy_from_slice).collect();
            let pieces = stream::iter(pieces.into_iter().map(Ok)).boxed();
            let mut lines = Lines::of(RequestBody::Stream(pieces));
            let mut found = Vec::new();
            while let Some((number, line)) = lines.next().await.unwrap() {
                found.push((number, String::from_utf8(line).unwrap()));
            }
            let expected = [(1, "one"), (3, " two "), (4, "three")];
            let expected = expected.map(|(number, line)| (number, line.to_owned()));
            assert_eq!(found, expected, "pieces of {size}");
        }
    }

    #[tokio::test]
    async fn a_line_without_an_end_is_refused_before_it_fills_the_memory() {
        let piece = Bytes::from(vec![b'x'; 1 << 20]);
        let pieces = stream::repeat_with(move || Ok(piece.clone())).boxed();
        let mut lines = Lines::of(RequestBody::Stream(pieces));
        let error = lines.next().await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::MemoryImportMalformed);
    }
}
