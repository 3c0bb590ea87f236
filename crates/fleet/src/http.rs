//! As much HTTP/1.1 as many cheap callers need: prebuilt requests, and of an answer its status and
//! where its body ends.

use crate::connection::Coordinator;
use anyhow::{Context, Result, ensure};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Bytes of an answer that are read at a time.
const BUFFER_BYTES: usize = 2 << 10;
/// Longest answer of which a caller waits for the end.
const ANSWER_BYTES_MAX: usize = 1 << 20;

impl Coordinator {
    /// The bytes of a request; the body, if any, is JSON.
    pub fn request(&self, method: &str, path: &str, accept: &str, body: &str) -> Arc<[u8]> {
        let Self { address, token, .. } = self;
        let length = body.len();
        format!(
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\
             accept: {accept}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
             \r\n{body}"
        )
        .into_bytes()
        .into()
    }
}

/// A kept connection; one request at a time.
#[derive(Debug)]
pub struct Caller {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// What matters of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Whether it says when to come back.
    pub says_when: bool,
}

impl Caller {
    /// Connects.
    ///
    /// # Errors
    /// The coordinator cannot be reached.
    pub async fn connect(coordinator: &Coordinator) -> Result<Self> {
        let stream = coordinator.connect().await;
        let stream = stream.with_context(|| format!("connect to `{}`", coordinator.address))?;
        Ok(Self {
            stream,
            buffer: Vec::new(),
        })
    }

    /// Sends a request and reads its whole answer.
    ///
    /// # Errors
    /// The connection broke, or the answer is not one.
    pub async fn exchange(&mut self, request: &[u8]) -> Result<Answer> {
        let head = self.send(request).await?;
        let end = head.bytes + head.body_bytes.context("the answer states no length")?;
        ensure!(end <= ANSWER_BYTES_MAX, "the answer has `{end}` bytes");
        while self.buffer.len() < end {
            self.read_more().await?;
        }
        Ok(head.answer)
    }

    /// Sends a request for a stream and reads the head of its answer; gives the connection and
    /// what came behind the head.
    ///
    /// # Errors
    /// The connection broke, or it was refused.
    pub async fn open_stream(mut self, request: &[u8]) -> Result<(TcpStream, Vec<u8>)> {
        let head = self.send(request).await?;
        let status = head.answer.status;
        ensure!(status == 200, "the stream was answered with `{status}`");
        self.buffer.drain(..head.bytes);
        Ok((self.stream, self.buffer))
    }

    async fn send(&mut self, request: &[u8]) -> Result<Head> {
        self.buffer.clear();
        let sent = self.stream.write_all(request).await;
        sent.context("send a request")?;
        loop {
            self.read_more().await?;
            if let Some(head) = Head::parse(&self.buffer)? {
                return Ok(head);
            }
        }
    }

    async fn read_more(&mut self) -> Result<()> {
        self.buffer.reserve(BUFFER_BYTES);
        let read = self.stream.read_buf(&mut self.buffer).await;
        ensure!(
            read.context("read an answer")? > 0,
            "the coordinator closed the connection"
        );
        Ok(())
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Head {
    answer: Answer,
    bytes: usize,
    body_bytes: Option<usize>,
}

impl Head {
    /// Nothing as long as the head is not complete.
    fn parse(buffer: &[u8]) -> Result<Option<Self>> {
        const END: &[u8] = b"\r\n\r\n";
        let Some(end) = buffer.windows(END.len()).position(|window| window == END) else {
            return Ok(None);
        };
        let text = std::str::from_utf8(&buffer[..end]).context("the head is not text")?;
        let status = text.split(' ').nth(1).and_then(|word| word.parse().ok());
        let status = status.with_context(|| format!("the head has no status: {text}"))?;
        let header = |wanted: &str| {
            let pairs = text.lines().filter_map(|line| line.split_once(':'));
            let mut values = pairs.filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
            values.next().map(|(_, value)| value.trim())
        };
        let length = header("content-length").map(str::parse).transpose();
        Ok(Some(Self {
            answer: Answer {
                status,
                says_when: header("retry-after").is_some_and(|value| value.parse::<u64>().is_ok()),
            },
            bytes: end + END.len(),
            body_bytes: length.context("read the content length")?,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_when_they_are_complete() {
        let text = b"HTTP/1.1 429 Too Many\r\nRetry-After: 1\r\nContent-Length: 2\r\n\r\nno";
        assert_eq!(Head::parse(&text[..30]).unwrap(), None);
        let head = Head::parse(text).unwrap().unwrap();
        let answer = Answer {
            status: 429,
            says_when: true,
        };
        assert_eq!((head.answer, head.body_bytes), (answer, Some(2)));
        assert_eq!(head.bytes + 2, text.len());
        let stream = Head::parse(b"HTTP/1.1 200 OK\r\nretry-after: soon\r\n\r\n").unwrap();
        assert_eq!(
            stream.map(|head| (head.answer.says_when, head.body_bytes)),
            Some((false, None))
        );
        assert!(Head::parse(b"nonsense\r\n\r\n").is_err());
    }
}
