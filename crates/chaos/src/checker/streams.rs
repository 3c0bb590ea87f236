//! Rules about the event stream: in order, without a gap, without a duplicate.

use super::{Findings, Rule};
use crate::history::{Event, History};

/// Differences shown for one stream.
const SHOWN_MAX: usize = 5;

pub(super) fn check(history: &History, findings: &mut Findings) {
    check_order("the fresh read", &history.all_events, findings);
    for stream in &history.streams {
        check_order(&stream.name, &stream.events, findings);
        for problem in &stream.problems {
            findings.add(
                Rule::StreamsAreComplete,
                format!("{}: {problem}", stream.name),
            );
        }
        check_equal(&stream.name, &stream.events, &history.all_events, findings);
    }
}

/// Events that follow each other are of one entry, one place apart, or the later one is the first
/// of a later entry.
fn check_order(name: &str, events: &[Event], findings: &mut Findings) {
    let first = events.first().filter(|event| event.cursor.ordinal != 0);
    let broken = events.windows(2).filter_map(|pair| {
        let (before, after) = (pair[0].cursor, pair[1].cursor);
        let follows = if before.index == after.index {
            after.ordinal == before.ordinal + 1
        } else {
            after.index > before.index && after.ordinal == 0
        };
        (!follows).then(|| format!("{name}: {after} follows {before}"))
    });
    let broken = first
        .map(|event| format!("{name}: it begins with {}", event.cursor))
        .into_iter()
        .chain(broken);
    for detail in broken.take(SHOWN_MAX) {
        findings.add(Rule::StreamsRise, detail);
    }
}

/// A stream may end before the fresh read does; up to there both are the same.
fn check_equal(name: &str, stream: &[Event], all: &[Event], findings: &mut Findings) {
    let differences = stream
        .iter()
        .map(Some)
        .zip(all.iter().map(Some).chain(std::iter::repeat(None)))
        .filter(|(one, other)| one != other);
    for (one, other) in differences.take(SHOWN_MAX) {
        let shown = |event: Option<&Event>| {
            event.map_or_else(|| "nothing".to_owned(), |event| event.body.to_string())
        };
        let detail = format!(
            "{name} holds {} and the fresh read {}",
            shown(one),
            shown(other)
        );
        findings.add(Rule::StreamsAreComplete, detail);
    }
    findings.expect(
        !stream.is_empty() || all.is_empty(),
        Rule::StreamsAreComplete,
        || format!("{name} holds nothing"),
    );
}
