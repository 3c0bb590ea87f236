//! Words of the full text search: what is put in, and how a person's query is read.

use skep_model::attempt::Outcome;
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
