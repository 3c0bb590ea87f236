//! The end of an output, within a bound.

use crate::supervised::OutputSink;
use std::collections::VecDeque;
use std::io;

/// Keeps the end of an output, within a bound.
#[derive(Debug)]
pub(crate) struct TailBuffer {
    bytes: VecDeque<u8>,
    bytes_max: usize,
    dropped: u64,
}

impl TailBuffer {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            bytes: VecDeque::new(),
            bytes_max,
            dropped: 0,
        }
    }

    /// The kept end, with a mark if the beginning was dropped; within the bound in any case.
    pub(crate) fn into_text(self) -> String {
        let mark = match self.dropped {
            0 => String::new(),
            dropped => format!("[{dropped} bytes dropped]\n"),
        };
        let bytes: Vec<u8> = self.bytes.into();
        let mut text = String::from_utf8_lossy(&bytes).into_owned();
        // Each byte that is not UTF-8 became three.
        let too_many = (mark.len() + text.len()).saturating_sub(self.bytes_max);
        let cut = text.ceil_char_boundary(too_many.min(text.len()));
        text.replace_range(..cut, &mark);
        text
    }
}

impl OutputSink for TailBuffer {
    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes.extend(bytes);
        let surplus = self.bytes.len().saturating_sub(self.bytes_max);
        self.bytes.drain(..surplus);
        self.dropped += surplus as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_buffer_keeps_the_end_within_its_bound() {
        let mut tail = TailBuffer::new(40);
        for _ in 0..100 {
            tail.take(b"0123456789").unwrap();
        }
        let text = tail.into_text();
        assert!(text.starts_with("[960 bytes dropped]\n"), "{text}");
        assert!(text.ends_with("0123456789") && text.len() <= 40, "{text}");
    }

    #[test]
    fn bytes_that_are_not_text_do_not_break_the_bound() {
        let mut tail = TailBuffer::new(30);
        tail.take(&[0xff; 30]).unwrap();
        assert!(tail.into_text().len() <= 30);
    }
}
