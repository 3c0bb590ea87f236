//! Lines of stdin, read on a thread of their own: a blocked read must not hold up the end of the
//! process.

use skep_model::limits::BODY_BYTES_MAX;
use std::io::{self, BufRead};
use tokio::sync::mpsc;

/// Lines that are read ahead.
const LINES_AHEAD_MAX: usize = 16;

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A line, without its end.
    Whole(Vec<u8>),
    /// A line of more than `BODY_BYTES_MAX` bytes, which were passed over.
    TooLong,
}

/// Starts to read. The channel ends with stdin; the thread ends with it, or with the process.
pub(super) fn of_stdin() -> io::Result<mpsc::Receiver<Line>> {
    let (sender, receiver) = mpsc::channel(LINES_AHEAD_MAX);
    let read = move || {
        let mut stdin = io::stdin().lock();
        while let Ok(Some(line)) = next_line(&mut stdin, BODY_BYTES_MAX) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new()
        .name("mcp-stdin".to_owned())
        .spawn(read)?;
    Ok(receiver)
}

fn next_line(input: &mut impl BufRead, bytes_max: usize) -> io::Result<Option<Line>> {
    let mut line = Vec::new();
    let mut length = 0;
    loop {
        let piece = input.fill_buf()?;
        if piece.is_empty() && length == 0 {
            // The end; an empty line has its own.
            return Ok(None);
        }
        let end = piece.iter().position(|byte| *byte == b'\n');
        let wanted = end.unwrap_or(piece.len());
        if length + wanted <= bytes_max {
            line.extend_from_slice(&piece[..wanted]);
        }
        length += wanted;
        let is_last = piece.is_empty() || end.is_some();
        let taken = end.map_or(piece.len(), |end| end + 1);
        input.consume(taken);
        if is_last && length > bytes_max {
            return Ok(Some(Line::TooLong));
        }
        if is_last {
            return Ok(Some(Line::Whole(line)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    #[test]
    fn lines_come_one_by_one_and_one_that_is_too_long_is_passed_over() {
        let text: &[u8] = b"short\n\n123456789\nlast";
        for buffer in [1, 3, 100] {
            let mut input = BufReader::with_capacity(buffer, text);
            let mut lines = Vec::new();
            while let Some(line) = next_line(&mut input, 8).unwrap() {
                lines.push(line);
            }
            let whole = |text: &str| Line::Whole(text.as_bytes().to_vec());
            let expected = [whole("short"), whole(""), Line::TooLong, whole("last")];
            assert_eq!(lines, expected, "{buffer}");
        }
    }
}
