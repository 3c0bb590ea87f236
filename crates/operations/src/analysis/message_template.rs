//! The form of a message without what differs from one to the next: numbers, ids and quoted words.

use crate::rfc3339::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;

/// Stands where a number or an id was.
const NUMBER: &str = "<n>";
/// Stands where a quoted word was.
const WORD: &str = "<word>";
/// Letters and digits in one piece that are an id although they have no separator: a hash, a key.
const ID_LENGTH_MIN: usize = 8;
/// Characters of an example that are shown.
const EXAMPLE_LENGTH_MAX: usize = 500;

/// Messages that are alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub(super) struct Group {
    /// What they have in common.
    template: String,
    /// How many there are.
    count: usize,
    /// The first of them, cut when it is long.
    example: String,
    /// Number of the first of them, counted from 1.
    first: usize,
    /// Number of the last of them.
    last: usize,
    /// When the first was written, if the messages begin with times.
    first_seen: Option<Timestamp>,
    /// When the last was written.
    last_seen: Option<Timestamp>,
}

/// Gathers messages that are alike.
#[derive(Debug, Default)]
pub(super) struct Groups {
    by_template: BTreeMap<String, Group>,
    seen: usize,
}

impl Groups {
    /// One more message, with its time if that is known; one that stands at its begin counts too.
    pub(super) fn add(&mut self, message: &str, at: Option<Timestamp>) {
        self.seen += 1;
        let number = self.seen;
        let (written, text) = split_time(message.trim());
        let at = at.or(written);
        let group = self
            .by_template
            .entry(template(text))
            .or_insert_with_key(|template| Group {
                template: template.clone(),
                count: 0,
                example: text.chars().take(EXAMPLE_LENGTH_MAX).collect(),
                first: number,
                last: number,
                first_seen: at,
                last_seen: at,
            });
        group.count += 1;
        group.last = number;
        group.first_seen = group.first_seen.min(at).or(group.first_seen).or(at);
        group.last_seen = group.last_seen.max(at);
    }

    /// How many messages there were.
    pub(super) const fn seen(&self) -> usize {
        self.seen
    }

    /// How many groups there are.
    pub(super) fn len(&self) -> usize {
        self.by_template.len()
    }

    /// The largest first, at most so many.
    pub(super) fn largest(self, count: usize) -> Vec<Group> {
        let mut groups: Vec<_> = self.by_template.into_values().collect();
        groups.sort_by_key(|group| (std::cmp::Reverse(group.count), group.first));
        groups.truncate(count);
        groups
    }
}

/// A time at the begin, in brackets or not, and the rest.
fn split_time(message: &str) -> (Option<Timestamp>, &str) {
    let (first, rest) = message.split_once(' ').unwrap_or((message, ""));
    let bare = first.trim_matches(|letter| matches!(letter, '[' | ']'));
    match in_milliseconds(bare).and_then(|text| text.parse().ok()) {
        Some(time) => (Some(time), rest.trim_start()),
        None => (None, message),
    }
}

/// A time of any precision in the one that is read here.
fn in_milliseconds(text: &str) -> Option<String> {
    let text = text.strip_suffix('Z')?;
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    Some(format!("{seconds}.{fraction:0<3.3}Z"))
}

/// The message with what differs taken out.
fn template(message: &str) -> String {
    let mut template = String::with_capacity(message.len());
    let mut rest = message;
    while let Some(letter) = rest.chars().next() {
        let quoted = matches!(letter, '"' | '\'' | '`')
            .then(|| rest[1..].find(letter))
            .flatten();
        // An apostrophe within a word opens nothing.
        let within_word = template.ends_with(char::is_alphanumeric);
        if let Some(length) = quoted.filter(|_| !within_word) {
            template.extend([
                letter.encode_utf8(&mut [0; 4]),
                WORD,
                letter.encode_utf8(&mut [0; 4]),
            ]);
            rest = &rest[length + 2..];
        } else if letter.is_alphanumeric() {
            let end = rest.find(|letter: char| !letter.is_alphanumeric());
            let (piece, after) = rest.split_at(end.unwrap_or(rest.len()));
            push_piece(&mut template, piece);
            rest = after;
        } else {
            template.push(letter);
            rest = &rest[letter.len_utf8()..];
        }
    }
    template
}

/// A piece of letters and digits: an id as a whole, else only its digits are taken out.
fn push_piece(template: &mut String, piece: &str) {
    let has_digit = piece.contains(|letter: char| letter.is_ascii_digit());
    if !has_digit {
        template.push_str(piece);
    } else if piece.len() >= ID_LENGTH_MIN {
        template.push_str(NUMBER);
    } else {
        let mut in_number = false;
        for letter in piece.chars() {
            if !letter.is_ascii_digit() {
                template.push(letter);
            } else if !in_number {
                template.push_str(NUMBER);
            }
            in_number = letter.is_ascii_digit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_one_message_to_the_next_is_taken_out() {
        for (message, expected) in [
            ("exit code 3", "exit code <n>"),
            ("took 250ms, 17 left", "took <n>ms, <n> left"),
            ("no task `task_01ab`", "no task `<word>`"),
            ("open \"a b\": don't", "open \"<word>\": don't"),
            ("hash deadbeef42 of t1", "hash <n> of t<n>"),
            ("ünïcödé 5€", "ünïcödé <n>€"),
            ("an open ` quote", "an open ` quote"),
            ("", ""),
        ] {
            assert_eq!(template(message), expected, "{message}");
        }
    }

    #[test]
    fn messages_that_are_alike_are_counted_with_their_places_and_times() {
        let mut groups = Groups::default();
        for message in [
            "2026-11-21T10:00:00.000Z no route to 10.0.0.1",
            "disk full",
            "[2026-11-21T09:00:00Z] no route to 10.0.0.2",
            "2026-11-21T11:00:00.123456Z no route to 10.0.0.3",
        ] {
            groups.add(message, None);
        }
        assert_eq!((groups.seen(), groups.len()), (4, 2));
        let largest = groups.largest(1);
        let group = &largest[0];
        assert_eq!((group.count, group.first, group.last), (3, 1, 4));
        assert_eq!(group.example, "no route to 10.0.0.1");
        let time = |time: Option<Timestamp>| time.unwrap().to_string();
        assert_eq!(time(group.first_seen), "2026-11-21T09:00:00.000Z");
        assert_eq!(time(group.last_seen), "2026-11-21T11:00:00.123Z");
    }
}
