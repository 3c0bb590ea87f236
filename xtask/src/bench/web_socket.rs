//! A very small WebSocket client: text frames, and nothing that a benchmark does not need.

use super::http::{Connection, Server};
use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The key of the opening handshake; the server's proof of having seen it is not looked at.
const KEY: &str = "c2tlcC1iZW5jaC1rZXktMQ==";
const SWITCHING_PROTOCOLS: u16 = 101;
const TEXT: u8 = 1;
const PING: u8 = 9;
const PONG: u8 = 10;
/// First bit of the first byte: the frame is the whole message.
const FINAL: u8 = 0x80;
/// First bit of the second byte: the content is masked, which clients have to do.
const MASKED: u8 = 0x80;
const LENGTH_OF_16_BITS: u8 = 126;
const LENGTH_OF_64_BITS: u8 = 127;

#[derive(Debug)]
pub(super) struct WebSocket {
    stream: TcpStream,
    outgoing: Vec<u8>,
    incoming: Vec<u8>,
}

impl WebSocket {
    pub(super) async fn open(server: &Server, path: &str) -> Result<Self> {
        let mut connection: Connection = server.connect().await?;
        let head = connection.send(&server.upgrade(path, KEY)).await?;
        ensure!(
            head.status == SWITCHING_PROTOCOLS,
            "the upgrade of `{path}` is answered with {}",
            head.status
        );
        let (stream, incoming) = connection.into_parts(&head);
        Ok(Self {
            stream,
            outgoing: Vec::new(),
            incoming,
        })
    }

    /// Adds a text to what goes out next.
    pub(super) fn queue(&mut self, text: &str) {
        frame(&mut self.outgoing, TEXT, text.as_bytes());
    }

    /// Sends all that was added.
    pub(super) async fn flush(&mut self) -> Result<()> {
        if !self.outgoing.is_empty() {
            let sent = self.stream.write_all(&self.outgoing).await;
            sent.context("send frames")?;
            self.outgoing.clear();
        }
        Ok(())
    }

    /// All texts that are there, at least one; none when the connection is closed.
    pub(super) async fn receive(&mut self) -> Result<Vec<String>> {
        loop {
            let texts = self.take()?;
            if !texts.is_empty() {
                return Ok(texts);
            }
            self.flush().await?;
            let read = self.stream.read_buf(&mut self.incoming).await;
            if read.context("read frames")? == 0 {
                return Ok(texts);
            }
        }
    }

    /// Takes the whole frames out of what was read.
    fn take(&mut self) -> Result<Vec<String>> {
        let mut texts = Vec::new();
        let mut at = 0;
        while let Some(frame) = whole_frame(&self.incoming[at..]) {
            let content = &self.incoming[at + frame.head..at + frame.head + frame.length];
            match frame.kind {
                TEXT => texts.push(String::from_utf8(content.to_vec())?),
                PING => self::frame(&mut self.outgoing, PONG, content),
                other => bail!("a frame of kind {other}"),
            }
            at += frame.head + frame.length;
        }
        self.incoming.drain(..at);
        Ok(texts)
    }
}

/// Where a frame begins and ends, and what it is.
#[derive(Debug, PartialEq, Eq)]
struct Frame {
    kind: u8,
    head: usize,
    length: usize,
}

/// The first frame, if all of it is there. Servers do not mask.
fn whole_frame(bytes: &[u8]) -> Option<Frame> {
    let (kind, length) = (bytes.first()? & 0x0f, bytes.get(1)?);
    let (head, length): (usize, usize) = match *length {
        LENGTH_OF_16_BITS => {
            let length = bytes.get(2..4)?.try_into().ok()?;
            (4, usize::from(u16::from_be_bytes(length)))
        }
        LENGTH_OF_64_BITS => {
            let length = bytes.get(2..10)?.try_into().ok()?;
            (10, usize::try_from(u64::from_be_bytes(length)).ok()?)
        }
        short => (2, usize::from(short)),
    };
    (bytes.len() >= head.checked_add(length)?).then_some(Frame { kind, head, length })
}

/// Adds a frame. Its mask is zero, which leaves the content as it is.
fn frame(outgoing: &mut Vec<u8>, kind: u8, content: &[u8]) {
    outgoing.push(FINAL | kind);
    match u16::try_from(content.len()) {
        Ok(length) if length < u16::from(LENGTH_OF_16_BITS) => outgoing.push(MASKED | length as u8),
        Ok(length) => {
            outgoing.push(MASKED | LENGTH_OF_16_BITS);
            outgoing.extend_from_slice(&length.to_be_bytes());
        }
        Err(_) => {
            outgoing.push(MASKED | LENGTH_OF_64_BITS);
            outgoing.extend_from_slice(&(content.len() as u64).to_be_bytes());
        }
    }
    outgoing.extend_from_slice(&[0; 4]);
    outgoing.extend_from_slice(content);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a server would send it: without mask.
    fn unmasked(content: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        frame(&mut bytes, TEXT, content);
        bytes[1] &= !MASKED;
        let head = bytes.len() - content.len();
        bytes.drain(head - 4..head);
        bytes
    }

    #[test]
    fn frames_are_read_when_they_are_whole() {
        for length in [0, 5, 125, 126, 65_535, 65_536] {
            let bytes = unmasked(&vec![b'x'; length]);
            let found = whole_frame(&bytes).unwrap();
            assert_eq!((found.kind, found.length), (TEXT, length));
            assert_eq!(found.head + found.length, bytes.len());
            for cut in [0, 1, bytes.len() - 1] {
                assert_eq!(whole_frame(&bytes[..cut]), None, "{length} cut at {cut}");
            }
        }
    }
}
