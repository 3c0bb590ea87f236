//! Entry points of the fuzz targets in `fuzz/`. Ordinary tests run them, too: over the corpora in
//! the repository and over changed copies of them, so that they cannot rot.
//!
//! A target takes any bytes and panics if a promise is broken: what is read can be written again,
//! an end never says what its peer cannot read, nothing is started twice, nothing comes after the
//! end, every question has one answer.
//!
//! The two session targets read a script, line by line: a line that begins with `{` is a text
//! frame that comes in, with `#` a binary one, with `+` a span of time in milliseconds, and `!`
//! with a letter is something that happens around the end.

mod coordinator_session;
mod frames;
mod node_session;
#[cfg(test)]
mod tests;

pub use coordinator_session::coordinator_session;
pub use frames::{bridge, frame_decode};
pub use node_session::node_session;

use crate::frame::FrameRef;

/// A target: bytes in, a panic if a promise is broken.
pub type Target = fn(&[u8]);

/// All targets by name, which is also that of the corpus.
pub const TARGETS: [(&str, Target); 4] = [
    ("frame_decode", frame_decode),
    ("coordinator_session", coordinator_session),
    ("node_session", node_session),
    ("bridge", bridge),
];

/// Lines of a script that are looked at; longer ones only cost time.
const LINES_MAX: usize = 256;
/// Longest span of time in one line: an hour.
const SPAN_MS_MAX: u64 = 3_600_000;

/// One line of a script.
enum Line<'a> {
    Frame(FrameRef<'a>),
    Time(u64),
    Act(u8),
}

fn lines(script: &[u8]) -> impl Iterator<Item = Line<'_>> {
    script
        .split(|byte| *byte == b'\n')
        .take(LINES_MAX)
        .filter_map(|line| match line {
            [b'{', ..] => std::str::from_utf8(line)
                .ok()
                .map(FrameRef::Text)
                .map(Line::Frame),
            [b'#', frame @ ..] => Some(Line::Frame(FrameRef::Binary(frame))),
            [b'+', digits @ ..] => {
                let span: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
                Some(Line::Time(span.min(SPAN_MS_MAX)))
            }
            [b'!', act, ..] => Some(Line::Act(*act)),
            _ => None,
        })
}
