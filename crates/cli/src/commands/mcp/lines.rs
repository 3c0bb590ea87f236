//! Lines of stdin.
//!
//! What a client writes to a pipe or socket is read where it is answered: to hand each line over
//! from another thread would take longer than to read it. Files cannot be waited for that way. They
//! are read on a thread of their own, because a blocked read must not hold up the end of the
//! process.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use skep_model::limits::BODY_BYTES_MAX;
use std::collections::VecDeque;
use std::io::{self, Read, Stdin};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;

/// Lines that a thread reads ahead.
const LINES_AHEAD_MAX: usize = 16;
/// Bytes of one read.
const READ_BYTES: usize = 16 << 10;

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A line, without its end.
    Whole(Vec<u8>),
    /// A line of more than `BODY_BYTES_MAX` bytes, which were passed over.
    TooLong,
}

/// The lines, as they come.
#[derive(Debug)]
pub(super) enum Lines {
    Awaited(Awaited),
    FromThread(mpsc::Receiver<Line>),
}

/// Stdin that says when there is something to read.
#[derive(Debug)]
pub(super) struct Awaited {
    stdin: AsyncFd<Stdin>,
    splitter: Splitter,
    has_ended: bool,
}

/// Starts to read.
pub(super) fn of_stdin() -> io::Result<Lines> {
    #[expect(
        deprecated,
        reason = "what replaces it is unsafe; the descriptor of stdin stays open for good"
    )]
    let registered = AsyncFd::with_interest(io::stdin(), Interest::READABLE);
    match registered {
        Ok(stdin) => Ok(Lines::Awaited(Awaited {
            stdin,
            splitter: Splitter::new(BODY_BYTES_MAX),
            has_ended: false,
        })),
        Err(_) => thread().map(Lines::FromThread),
    }
}

/// The channel ends with stdin; the thread ends with it, or with the process.
fn thread() -> io::Result<mpsc::Receiver<Line>> {
    let (sender, receiver) = mpsc::channel(LINES_AHEAD_MAX);
    let read = move || {
        let mut stdin = io::stdin().lock();
        let mut splitter = Splitter::new(BODY_BYTES_MAX);
        let mut piece = vec![0; READ_BYTES];
        loop {
            let count = stdin.read(&mut piece).unwrap_or(0);
            splitter.take(&piece[..count]);
            while let Some(line) = splitter.next() {
                if sender.blocking_send(line).is_err() {
                    return;
                }
            }
            if count == 0 {
                return;
            }
        }
    };
    std::thread::Builder::new()
        .name("mcp-stdin".to_owned())
        .spawn(read)?;
    Ok(receiver)
}

impl Lines {
    /// The next line; none after the last. Nothing is lost when this is dropped before it is ready.
    pub(super) async fn next(&mut self) -> Option<Line> {
        match self {
            Self::Awaited(awaited) => awaited.next().await,
            Self::FromThread(lines) => lines.recv().await,
        }
    }
}

impl Awaited {
    async fn next(&mut self) -> Option<Line> {
        loop {
            let line = self.splitter.next();
            if line.is_some() || self.has_ended {
                return line;
            }
            let Ok(mut ready) = self.stdin.readable().await else {
                return None;
            };
            let mut piece = [0; READ_BYTES];
            match read_if_there(ready.get_inner(), &mut piece) {
                Ok(count) => {
                    self.splitter.take(&piece[..count]);
                    self.has_ended = count == 0;
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(_) => return None,
            }
        }
    }
}

/// Reads what is there, and never waits. The descriptor stays as it came, because other processes
/// may have it too: so the kernel is asked before each read.
fn read_if_there(stdin: &Stdin, piece: &mut [u8]) -> Result<usize, Errno> {
    let mut asked = [PollFd::new(stdin, PollFlags::IN)];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    match poll(&mut asked, Some(&now))? {
        0 => Err(Errno::AGAIN),
        _ => rustix::io::read(stdin, piece),
    }
}

/// Makes lines of what was read.
#[derive(Debug)]
struct Splitter {
    bytes_max: usize,
    /// The beginning of a line whose end has not come, as far as it may be that long.
    begun: Vec<u8>,
    /// Bytes of it that came.
    length: usize,
    whole: VecDeque<Line>,
}

impl Splitter {
    const fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            begun: Vec::new(),
            length: 0,
            whole: VecDeque::new(),
        }
    }

    /// Takes in what was read; nothing is the end, also that of the last line.
    fn take(&mut self, piece: &[u8]) {
        if piece.is_empty() && self.length > 0 {
            self.end_line();
        }
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            let text = part.strip_suffix(b"\n");
            let bytes = text.unwrap_or(part);
            self.length += bytes.len();
            if self.length <= self.bytes_max {
                self.begun.extend_from_slice(bytes);
            }
            if text.is_some() {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        let bytes = std::mem::take(&mut self.begun);
        let is_whole = std::mem::take(&mut self.length) <= self.bytes_max;
        self.whole.push_back(if is_whole {
            Line::Whole(bytes)
        } else {
            Line::TooLong
        });
    }

    fn next(&mut self) -> Option<Line> {
        self.whole.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_one_by_one_and_one_that_is_too_long_is_passed_over() {
        let text = b"short\n\n12345678\n123456789\nlast";
        for length in [1, 3, 100] {
            let mut splitter = Splitter::new(8);
            text.chunks(length).for_each(|piece| splitter.take(piece));
            splitter.take(b"");
            let lines: Vec<_> = std::iter::from_fn(|| splitter.next()).collect();
            let whole = |text: &str| Line::Whole(text.as_bytes().to_vec());
            let expected = [
                whole("short"),
                whole(""),
                whole("12345678"),
                Line::TooLong,
                whole("last"),
            ];
            assert_eq!(lines, expected, "{length}");
        }
    }

    #[test]
    fn a_text_that_ends_with_a_line_has_no_other_after_it() {
        let mut splitter = Splitter::new(8);
        splitter.take(b"one\n");
        splitter.take(b"");
        assert_eq!(splitter.next(), Some(Line::Whole(b"one".to_vec())));
        assert_eq!(splitter.next(), None);
    }
}
