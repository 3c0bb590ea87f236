//! Words of the full text search: what is put in, and how a person's query is read.

use skep_model::attempt::Outcome;
use skep_model::limits::MEMORY_SEARCH_BYTES_MAX;
use skep_model::memory::MemoryValue;
use skep_model::task::{AttemptEnd, FinalCause, FinishedTask};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Words of a query; more are ignored.
const QUERY_WORDS_MAX: usize = 16;
/// Characters of a query; more are ignored.
const QUERY_LENGTH_MAX: usize = 512;

/// Labels as `name=value` words.
pub(crate) fn labels(labels: &BTreeMap<String, String>) -> String {
    labels
        .iter()
        .fold(String::new(), |mut text, (name, value)| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{name}={value} ");
            text
        })
}

/// What went wrong, in words: state, cause, failed gates, messages of attempts.
pub(crate) fn error(task: &FinishedTask) -> String {
    let mut text = String::from(task.record.state.as_str());
    let mut add = |word: &str| {
        text.push(' ');
        text.push_str(word);
    };
    add(cause(&task.cause));
    for attempt in &task.record.ended_attempts {
        match &attempt.ended {
            AttemptEnd::Reported(outcome) => add_outcome(&mut add, outcome),
            AttemptEnd::Lost => add("lost"),
            AttemptEnd::Revoked => add("revoked"),
            AttemptEnd::Moved => add("moved"),
            AttemptEnd::NeverStarted(reason) => add(reason.as_text()),
        }
    }
    if let Some(report) = &task.report {
        add_outcome(&mut add, &report.outcome);
        for gate in report.gates.iter().filter(|gate| !gate.passed) {
            add(&gate.name);
            add(&gate.output);
        }
    }
    text
}

/// The texts in a value of shared memory: of JSON all strings, of bytes what is a text as a whole.
pub(crate) fn memory(value: &MemoryValue) -> String {
    let mut text = String::new();
    match value {
        MemoryValue::Json(json) => {
            if let Ok(value) = serde_json::from_str(json) {
                add_strings(&mut text, &value);
            }
        }
        MemoryValue::Bytes(bytes) => {
            if let Ok(plain) = std::str::from_utf8(bytes.as_slice()) {
                add_bounded(&mut text, plain);
            }
        }
        MemoryValue::Artifact { .. } | MemoryValue::Sealed(_) => {}
    }
    text
}

/// As deep as the parser goes.
fn add_strings(text: &mut String, value: &serde_json::Value) {
    match value {
        serde_json::Value::String(part) => add_bounded(text, part),
        serde_json::Value::Array(list) => list.iter().for_each(|one| add_strings(text, one)),
        serde_json::Value::Object(map) => map.values().for_each(|one| add_strings(text, one)),
        _ => {}
    }
}

/// Adds a part as far as there is room, cut between letters. A zero byte would end the text.
fn add_bounded(text: &mut String, part: &str) {
    let room = MEMORY_SEARCH_BYTES_MAX.saturating_sub(text.len());
    if room == 0 {
        return;
    }
    if !text.is_empty() {
        text.push(' ');
    }
    let end = part.floor_char_boundary(room.min(part.len()));
    text.extend(part[..end].chars().filter(|letter| *letter != '\0'));
}

const fn cause(cause: &FinalCause) -> &'static str {
    match cause {
        FinalCause::Reported => "reported",
        FinalCause::AttemptsUsedUp => "attempts_used_up",
        FinalCause::NotRetried(_) => "not_retried",
        FinalCause::CancelRequested => "cancel_requested",
        FinalCause::RunCancelled => "run_cancelled",
        FinalCause::ConditionNotMet => "condition_not_met",
        FinalCause::DeadlinePassed => "deadline_passed",
        FinalCause::OutcomeNotLearned => "outcome_not_learned",
    }
}

fn add_outcome(add: &mut impl FnMut(&str), outcome: &Outcome) {
    match outcome {
        Outcome::Completed => {}
        Outcome::Exited { code } => add(&format!("exited {code}")),
        Outcome::GateFailed { gate } => add(&format!("gate_failed {gate}")),
        Outcome::TimedOut => add("timed_out"),
        Outcome::Killed => add("killed"),
        Outcome::Interrupted => add("interrupted"),
        Outcome::NotStarted { .. } => add("not_started"),
        Outcome::Error { code, message } => add(&format!("{code} {message}")),
    }
}

/// A person's words as an FTS5 query: all must occur, each as a phrase, the last one as a prefix.
/// Every word is quoted, so that nothing in it is an operator. None without a word to look for.
pub(crate) fn query(text: &str) -> Option<String> {
    let text: String = text
        .chars()
        .take(QUERY_LENGTH_MAX)
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect();
    let words: Vec<String> = text
        .split_whitespace()
        .filter(|word| word.chars().any(char::is_alphanumeric))
        .take(QUERY_WORDS_MAX)
        .map(|word| format!("\"{}\"", word.replace('"', "\"\"")))
        .collect();
    (!words.is_empty()).then(|| words.join(" ") + "*")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_a_query_is_quoted() {
        for (text, expected) in [
            ("build", Some(r#""build"*"#)),
            ("a OR b", Some(r#""a" "OR" "b"*"#)),
            (r#"say "hi" NEAR("#, Some(r#""say" """hi""" "NEAR("*"#)),
            ("name:x - * ^", Some(r#""name:x"*"#)),
            ("nul\0byte", Some(r#""nul" "byte"*"#)),
            ("  \"\" ** ", None),
            ("", None),
        ] {
            assert_eq!(query(text).as_deref(), expected, "{text:?}");
        }
    }
}
