//! Follows the events of a coordinator as they happen (server-sent events in chunks).

use super::contract;
use super::http::Server;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// An open stream.
#[derive(Debug)]
pub(super) struct EventStream {
    stream: TcpStream,
    chunks: Chunks,
}

impl EventStream {
    /// Returns once the coordinator follows for us: no later event is missed.
    pub(super) async fn open(server: &Server) -> Result<Self> {
        let mut connection = server.connect().await?;
        let head = connection
            .send(&server.get_events(contract::EVENTS))
            .await?;
        ensure!(
            head.status == 200,
            "the event stream was answered with {}",
            head.status
        );
        ensure!(head.is_chunked, "the event stream does not come in chunks");
        let (stream, rest) = connection.into_parts(&head);
        Ok(Self {
            stream,
            chunks: Chunks {
                raw: rest,
                text: Vec::new(),
            },
        })
    }

    /// Reads on until the task or run of this id has succeeded.
    pub(super) async fn wait_for_success(&mut self, id: &str) -> Result<()> {
        loop {
            while let Some(line) = self.chunks.next_line()? {
                let Some(data) = line.strip_prefix("data:").filter(|data| data.contains(id)) else {
                    continue;
                };
                let event: Value = serde_json::from_str(data)
                    .with_context(|| format!("an event is not JSON: {data}"))?;
                if contract::succeeded(&event, id)? {
                    return Ok(());
                }
            }
            let read = self
                .stream
                .read_buf(&mut self.chunks.raw)
                .await
                .context("read events")?;
            ensure!(read > 0, "the event stream ended");
        }
    }
}

/// Joins the chunks of a body and splits it into lines.
#[derive(Debug)]
struct Chunks {
    /// Bytes as they came.
    raw: Vec<u8>,
    /// Content of complete chunks that is not a line yet.
    text: Vec<u8>,
}

impl Chunks {
    fn next_line(&mut self) -> Result<Option<String>> {
        loop {
            if let Some(end) = self.text.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.text.drain(..=end).collect();
                let line = String::from_utf8(line).context("an event is not text")?;
                return Ok(Some(line.trim_end().to_owned()));
            }
            if !self.take_chunk()? {
                return Ok(None);
            }
        }
    }

    /// Moves one complete chunk from `raw` to `text`.
    fn take_chunk(&mut self) -> Result<bool> {
        let Some(end) = self.raw.windows(2).position(|pair| pair == b"\r\n") else {
            return Ok(false);
        };
        let size = std::str::from_utf8(&self.raw[..end]).context("a chunk size is not text")?;
        let size = usize::from_str_radix(size, 16)
            .with_context(|| format!("`{size}` is not the size of a chunk"))?;
        ensure!(size > 0, "the event stream ended");
        let start = end + 2;
        let after = start + size + 2;
        if self.raw.len() < after {
            return Ok(false);
        }
        self.text.extend_from_slice(&self.raw[start..start + size]);
        self.raw.drain(..after);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_joined_over_chunks_and_reads() {
        let body = b"7\r\nid: 1\nd\r\nA\r\nata: {}\n\nx\r\n2\r\ny\n\r\n0\r\n\r\n";
        let mut chunks = Chunks {
            raw: Vec::new(),
            text: Vec::new(),
        };
        let mut lines = Vec::new();
        let mut ended = None;
        for byte in body {
            chunks.raw.push(*byte);
            match chunks.next_line() {
                Ok(line) => lines.extend(line),
                Err(error) => ended = ended.or(Some(error.to_string())),
            }
        }
        lines.extend(chunks.next_line().ok().flatten());
        assert_eq!(lines, ["id: 1", "data: {}", "", "xy"]);
        assert_eq!(ended.as_deref(), Some("the event stream ended"));
    }
}
