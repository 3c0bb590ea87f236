//! What a log holds, in numbers: its lines, those that match, their levels, and those that are alike.

use super::error_groups::GROUPS_MAX;
use super::message_template::{Group, Groups};
use crate::context::Context;
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::lookup;
use crate::tasks::TaskPath;
use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};
use skep_model::ids::TaskId;
use skep_store::{AttemptLogError, AttemptLogs};
use std::collections::BTreeMap;

/// Patterns that are counted at a time.
const PATTERNS_MAX: usize = 32;
/// Size of a compiled pattern.
const PATTERN_BYTES_MAX: usize = 1 << 20;
/// Bytes read at a time.
const PIECE_BYTES: usize = 256 << 10;
/// Bytes of one line; the rest of a longer one counts as further lines.
const LINE_BYTES_MAX: usize = 64 << 10;
/// Levels that lines are counted by, when one of these words stands in them.
const LEVELS: [(&str, &str); 4] = [
    ("error", r"(?i)\b(error|fatal|panic(ked)?|critical)\b"),
    ("warning", r"(?i)\bwarn(ing)?\b"),
    ("info", r"(?i)\binfo\b"),
    ("debug", r"(?i)\b(debug|trace)\b"),
];

/// What to count.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct SummaryQuery {
    /// The attempt, counted from 1; the newest when left out.
    #[schemars(range(min = 1))]
    attempt: Option<u32>,
    /// Regular expressions, at most 32.
    patterns: Vec<String>,
}

/// What a log holds.
#[derive(Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub(super) struct LogSummary {
    /// The task.
    task: TaskId,
    /// The attempt.
    attempt: u32,
    /// Its length.
    bytes: u64,
    /// Its lines.
    lines: u64,
    /// Lines by level; a line counts for the most severe word in it.
    levels: BTreeMap<&'static str, u64>,
    /// Lines that match, in the order of the patterns.
    patterns: Vec<PatternCount>,
    /// Groups of lines that are alike; the 50 largest are shown.
    groups_found: usize,
    /// The groups.
    groups: Vec<Group>,
}

/// Lines that match a pattern.
#[derive(Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
struct PatternCount {
    /// The pattern.
    pattern: String,
    /// How many lines match.
    lines: u64,
    /// Number of the first, counted from 1.
    first: Option<u64>,
    /// Number of the last.
    last: Option<u64>,
    /// The first.
    example: Option<String>,
}

pub(super) async fn summarise(
    context: Context,
    path: TaskPath,
    query: SummaryQuery,
) -> Result<LogSummary, OperationError> {
    let task = lookup::known_task(&context.services, path.id).await?;
    let attempt = crate::tasks::attempt_number(task.record(), query.attempt)?;
    if query.patterns.len() > PATTERNS_MAX {
        let detail = format!(
            "{} patterns; want at most {PATTERNS_MAX}",
            query.patterns.len()
        );
        return Err(OperationError::new(ErrorCode::LimitExceeded, detail));
    }
    let counter = Counter::new(&query.patterns)?;
    let logs = context.services.logs.clone();
    lookup::blocking("summarise a log", move || {
        counter.count(&logs, path.id, attempt)
    })
    .await
}

struct Counter {
    patterns: Vec<(Regex, PatternCount)>,
    levels: Vec<(&'static str, Regex)>,
    counts: BTreeMap<&'static str, u64>,
    groups: Groups,
    lines: u64,
}

impl Counter {
    fn new(patterns: &[String]) -> Result<Self, OperationError> {
        let compiled = patterns.iter().map(|pattern| {
            let regex = compile(pattern).map_err(|error| {
                OperationError::new(ErrorCode::PatternInvalid, error.to_string())
            })?;
            let count = PatternCount {
                pattern: pattern.clone(),
                lines: 0,
                first: None,
                last: None,
                example: None,
            };
            Ok((regex, count))
        });
        let levels = LEVELS.iter().map(|(name, words)| {
            let regex = compile(words).expect("a test compiles the words of all levels");
            (*name, regex)
        });
        Ok(Self {
            patterns: compiled.collect::<Result<_, OperationError>>()?,
            levels: levels.collect(),
            counts: LEVELS.iter().map(|(name, _)| (*name, 0)).collect(),
            groups: Groups::default(),
            lines: 0,
        })
    }

    fn count(
        mut self,
        logs: &AttemptLogs,
        task: TaskId,
        attempt: u32,
    ) -> Result<LogSummary, AttemptLogError> {
        let mut bytes = 0;
        let mut open = Vec::new();
        loop {
            let piece = logs.read(task, attempt, bytes, PIECE_BYTES)?;
            if piece.is_empty() {
                break;
            }
            bytes += piece.len() as u64;
            for part in piece.split_inclusive(|byte| *byte == b'\n') {
                open.extend_from_slice(part);
                if open.ends_with(b"\n") || open.len() >= LINE_BYTES_MAX {
                    self.line(&String::from_utf8_lossy(&open));
                    open.clear();
                }
            }
        }
        if !open.is_empty() {
            self.line(&String::from_utf8_lossy(&open));
        }
        Ok(LogSummary {
            task,
            attempt,
            bytes,
            lines: self.lines,
            levels: self.counts,
            patterns: self.patterns.into_iter().map(|(_, count)| count).collect(),
            groups_found: self.groups.len(),
            groups: self.groups.largest(GROUPS_MAX),
        })
    }

    fn line(&mut self, line: &str) {
        let line = line.trim_end();
        self.lines += 1;
        let mut levels = self.levels.iter();
        if let Some((name, _)) = levels.find(|(_, regex)| regex.is_match(line)) {
            *self.counts.entry(name).or_default() += 1;
        }
        for (regex, count) in &mut self.patterns {
            if regex.is_match(line) {
                count.lines += 1;
                count.first.get_or_insert(self.lines);
                count.last = Some(self.lines);
                count.example.get_or_insert_with(|| line.to_owned());
            }
        }
        if !line.is_empty() {
            self.groups.add(line, None);
        }
    }
}

fn compile(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern)
        .size_limit(PATTERN_BYTES_MAX)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_count_for_their_level_their_patterns_and_their_group() {
        let patterns = ["route".to_owned(), "^never$".to_owned()];
        let mut counter = Counter::new(&patterns).unwrap();
        for line in [
            "INFO started\n",
            "ERROR no route to 10.0.0.1 (warning first)\n",
            "\n",
            "error no route to 10.0.0.2",
        ] {
            counter.line(line);
        }
        assert_eq!(counter.lines, 4);
        let counts: Vec<_> = counter.counts.into_iter().collect();
        assert_eq!(
            counts,
            [("debug", 0), ("error", 2), ("info", 1), ("warning", 0)]
        );
        let (_, route) = &counter.patterns[0];
        assert_eq!(
            (route.lines, route.first, route.last),
            (2, Some(2), Some(4))
        );
        let (_, never) = &counter.patterns[1];
        assert_eq!((never.lines, never.first), (0, None));
        assert_eq!(counter.groups.seen(), 3);
    }

    #[test]
    fn a_pattern_that_is_none_is_refused() {
        let error = Counter::new(&["(".to_owned()]).err().unwrap();
        assert_eq!(error.code(), ErrorCode::PatternInvalid);
    }
}
