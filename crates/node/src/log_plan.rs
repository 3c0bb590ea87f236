//! Which bytes of an attempt's output the coordinator gets.
//!
//! Its copy may not be longer than `LOG_BYTES_PER_ATTEMPT_MAX`, and is filled from front to back.
//! Output within that bound is copied as it is. Of more, the first half is sent while the attempt
//! runs, and when it has ended a line that says how much was cut, and the end.

use skep_model::limits::LOG_BYTES_PER_ATTEMPT_MAX;
use skep_runner::cut_mark;

/// Bytes at the front that are always sent.
const FRONT_BYTES: u64 = LOG_BYTES_PER_ATTEMPT_MAX / 2;
/// Room for the line that stands for the cut, and for what the runner itself does not keep.
const MARK_BYTES_MAX: u64 = 1_024;
/// Bytes at the back that are sent when something is cut.
const BACK_BYTES: u64 = FRONT_BYTES - MARK_BYTES_MAX;

/// What to send next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Output from this position on, at most so many bytes.
    Output { offset: u64, bytes_max: u64 },
    /// This text.
    Text(String),
    /// Nothing at the moment.
    Nothing,
}

/// The output as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Output {
    /// Bytes that the attempt wrote.
    pub(crate) written: u64,
    /// Whether it will write no more.
    pub(crate) ended: bool,
}

/// What follows when the coordinator has `stored` bytes.
pub(crate) fn next_piece(output: Output, stored: u64) -> Piece {
    let Output { written, ended } = output;
    if written <= FRONT_BYTES + BACK_BYTES {
        let limit = if ended {
            written
        } else {
            written.min(FRONT_BYTES)
        };
        return output_up_to(stored, limit);
    }
    if stored < FRONT_BYTES {
        return output_up_to(stored, FRONT_BYTES);
    }
    if !ended {
        return Piece::Nothing;
    }
    let back = written - BACK_BYTES;
    let mark = cut_mark(back - FRONT_BYTES);
    let behind_front = stored - FRONT_BYTES;
    let mark_length = mark.len() as u64;
    if behind_front < mark_length {
        // A cut mark is ASCII, so every position is the start of a character.
        return Piece::Text(mark[behind_front as usize..].to_owned());
    }
    output_up_to(back + behind_front - mark_length, written)
}

fn output_up_to(offset: u64, limit: u64) -> Piece {
    match limit.saturating_sub(offset) {
        0 => Piece::Nothing,
        bytes_max => Piece::Output { offset, bytes_max },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNNING: bool = false;
    const ENDED: bool = true;

    /// Sends everything in pieces; gives the ranges of output and the texts.
    fn ship(written: u64, ended: bool) -> (Vec<(u64, u64)>, String, u64) {
        const PIECE: u64 = 3 << 20;
        let (mut ranges, mut text, mut stored) = (Vec::<(u64, u64)>::new(), String::new(), 0);
        loop {
            match next_piece(Output { written, ended }, stored) {
                Piece::Nothing => return (ranges, text, stored),
                Piece::Text(piece) => {
                    // One byte at a time, as after a restart in its middle.
                    text.push_str(&piece[..1]);
                    stored += 1;
                }
                Piece::Output { offset, bytes_max } => {
                    let count = bytes_max.min(PIECE);
                    match ranges.last_mut() {
                        Some(last) if last.1 == offset => last.1 += count,
                        _ => ranges.push((offset, offset + count)),
                    }
                    stored += count;
                }
            }
        }
    }

    #[test]
    fn output_within_the_bound_is_sent_as_it_is() {
        for written in [1, 1_000, FRONT_BYTES, FRONT_BYTES + BACK_BYTES] {
            let (ranges, text, stored) = ship(written, ENDED);
            assert_eq!((ranges, &*text, stored), (vec![(0, written)], "", written));
        }
        assert_eq!(ship(0, ENDED), (vec![], String::new(), 0));
    }

    #[test]
    fn a_long_log_is_sent_front_and_back_with_the_cut_marked() {
        let written = 1 << 30;
        let (ranges, text, stored) = ship(written, ENDED);
        assert_eq!(ranges, [(0, FRONT_BYTES), (written - BACK_BYTES, written)]);
        assert_eq!(text, cut_mark(written - BACK_BYTES - FRONT_BYTES));
        assert!(stored <= LOG_BYTES_PER_ATTEMPT_MAX, "{stored}");
    }

    #[test]
    fn only_the_front_is_sent_while_the_attempt_runs() {
        assert_eq!(ship(1_000, RUNNING).2, 1_000);
        for written in [FRONT_BYTES + 1, FRONT_BYTES + BACK_BYTES + 1, 1 << 30] {
            assert_eq!(ship(written, RUNNING).0, [(0, FRONT_BYTES)], "{written}");
        }
    }
}
