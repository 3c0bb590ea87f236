//! Text from elsewhere on its way to a terminal: shown, never obeyed.
//!
//! Names, messages and reasons come from plans, tasks and nodes. What would steer a terminal or
//! pretend to be another line is shown as an escape, e.g. `\n` or `\x1b`.

use std::borrow::Cow;
use std::fmt::Write as _;

/// What begins a control sequence.
const ESCAPE: char = '\x1b';
/// Bytes of a colour sequence; a longer one is none.
const COLOUR_BYTES_MAX: usize = 32;

/// A value that is part of a line: all of its control characters become visible.
pub(crate) fn in_a_line(text: &str) -> Cow<'_, str> {
    escaped(text, &[])
}

/// Lines that were put together here: ends of lines and tabs stay, the rest becomes visible.
pub(crate) fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, &['\n', '\t'])
}

fn escaped<'a>(text: &'a str, kept: &[char]) -> Cow<'a, str> {
    let harmless = |letter: char| kept.contains(&letter) || !steers(letter);
    if text.chars().all(harmless) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        if harmless(letter) {
            out.push(letter);
        } else {
            push_visible(&mut out, letter);
        }
    }
    Cow::Owned(out)
}

/// Control characters, other ends of lines, and those that turn the direction of what follows.
fn steers(letter: char) -> bool {
    letter.is_control()
        || matches!(
            letter,
            '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

fn push_visible(out: &mut String, letter: char) {
    let code = u32::from(letter);
    // Writing to a string cannot fail.
    let _ = match letter {
        '\n' => write!(out, "\\n"),
        '\r' => write!(out, "\\r"),
        '\t' => write!(out, "\\t"),
        _ if letter.is_ascii() => write!(out, "\\x{code:02x}"),
        _ => write!(out, "\\u{{{code:x}}}"),
    };
}

/// The output of a command on its way to a terminal, in pieces that may end anywhere. Lines, tabs,
/// carriage returns of progress bars and colours stay; the rest becomes visible.
#[derive(Debug, Default)]
pub(crate) struct CommandOutput {
    /// The end of the last piece, which is understood only with the next one.
    unfinished: Vec<u8>,
    coloured: bool,
}

impl CommandOutput {
    /// What can be shown after this piece.
    pub(crate) fn take(&mut self, piece: &[u8]) -> String {
        let mut bytes = std::mem::take(&mut self.unfinished);
        bytes.extend_from_slice(piece);
        let end = finished(&bytes);
        self.unfinished = bytes.split_off(end);
        self.shown(&bytes)
    }

    /// What is left at the end; colours end, too.
    pub(crate) fn end(&mut self) -> String {
        let rest = std::mem::take(&mut self.unfinished);
        let mut out = self.shown(&rest);
        if std::mem::take(&mut self.coloured) {
            out.push_str("\x1b[0m");
        }
        out
    }

    fn shown(&mut self, bytes: &[u8]) -> String {
        let text = String::from_utf8_lossy(bytes);
        let mut rest = text.as_ref();
        let mut out = String::with_capacity(rest.len());
        while let Some(letter) = rest.chars().next() {
            if let Some(length) = colour(rest) {
                self.coloured = true;
                out.push_str(&rest[..length]);
                rest = &rest[length..];
                continue;
            }
            if matches!(letter, '\n' | '\t' | '\r') || !steers(letter) {
                out.push(letter);
            } else {
                push_visible(&mut out, letter);
            }
            rest = &rest[letter.len_utf8()..];
        }
        out
    }
}

/// The length of the colour sequence with which the text begins.
fn colour(text: &str) -> Option<usize> {
    let parameters = text.strip_prefix("\x1b[")?;
    let length = parameters.find(|letter: char| !is_parameter(letter))?;
    let whole = 2 + length + 1;
    (parameters[length..].starts_with('m') && whole <= COLOUR_BYTES_MAX).then_some(whole)
}

const fn is_parameter(letter: char) -> bool {
    letter.is_ascii_digit() || matches!(letter, ';' | ':')
}

/// How many bytes can be understood without what follows.
fn finished(bytes: &[u8]) -> usize {
    let end = bytes.len();
    let recent = end.saturating_sub(COLOUR_BYTES_MAX);
    let escape = bytes[recent..]
        .iter()
        .rposition(|byte| *byte == ESCAPE as u8);
    if let Some(start) = escape.map(|position| recent + position) {
        let goes_on = match &bytes[start + 1..] {
            [] => true,
            [b'[', parameters @ ..] => parameters
                .iter()
                .all(|byte| is_parameter(char::from(*byte))),
            _ => false,
        };
        if goes_on {
            return start;
        }
    }
    // A character of several bytes whose last ones have not come.
    let begins = (1..=end.min(3)).find(|back| width(bytes[end - back]) > *back);
    end - begins.unwrap_or(0)
}

/// The bytes of the character that begins with this byte; 1 for a byte that begins none.
const fn width(lead: u8) -> usize {
    match lead {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_steer_a_terminal_is_shown() {
        for (text, in_line, in_lines) in [
            ("plain ünï", "plain ünï", "plain ünï"),
            ("a\nb\tc", r"a\nb\tc", "a\nb\tc"),
            ("\x1b[2Jx\x07", r"\x1b[2Jx\x07", r"\x1b[2Jx\x07"),
            ("a\r\x7f", r"a\r\x7f", r"a\r\x7f"),
            ("\u{9b}31m", r"\u{9b}31m", r"\u{9b}31m"),
            (
                "a\u{202e}b\u{2028}",
                r"a\u{202e}b\u{2028}",
                r"a\u{202e}b\u{2028}",
            ),
        ] {
            assert_eq!(in_a_line(text), in_line);
            assert_eq!(lines(text), in_lines);
        }
    }

    #[test]
    fn the_output_of_a_command_keeps_its_lines_and_colours_only() {
        let mut output = CommandOutput::default();
        let shown = output.take(b"10%\r20%\r\n\x1b[1;31mred\x1b[0m\t\x1b[2J\x1b]0;t\x07\xff");
        let wanted = "10%\r20%\r\n\x1b[1;31mred\x1b[0m\t\\x1b[2J\\x1b]0;t\\x07\u{fffd}";
        assert_eq!(shown, wanted);
        assert_eq!(output.end(), "\x1b[0m");
        assert_eq!(output.end(), "");
    }

    #[test]
    fn it_does_not_matter_where_the_pieces_end() {
        let whole = "grün \x1b[38;5;1mrot\x1b[0m 🐝 \x1b[2J\x1b[3".as_bytes();
        let mut at_once = CommandOutput::default();
        let wanted = at_once.take(whole) + &at_once.end();
        for size in 1..whole.len() {
            let mut output = CommandOutput::default();
            let mut shown: String = whole.chunks(size).map(|piece| output.take(piece)).collect();
            shown.push_str(&output.end());
            assert_eq!(shown, wanted, "in pieces of {size}");
        }
    }

    #[test]
    fn an_endless_sequence_is_not_held_back_for_ever() {
        let mut output = CommandOutput::default();
        let endless = [b"\x1b[".as_slice(), &[b'1'; COLOUR_BYTES_MAX]].concat();
        assert!(output.take(&endless).starts_with(r"\x1b[111"));
    }
}
