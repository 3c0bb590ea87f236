//! A very small blocking HTTP/1.1 client: one connection for each request, and event streams.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longest wait for bytes of an answer. Some routes wait by themselves for a few seconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// How often a reader of a stream looks up from it.
const STREAM_TIMEOUT: Duration = Duration::from_millis(200);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const READ_BYTES: usize = 16 * 1024;

/// Where the coordinator listens and what opens it.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) token: String,
}

/// An answer that came whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The body of a success as JSON; an error otherwise.
    pub(crate) fn json(&self) -> Result<Value> {
        let body = || String::from_utf8_lossy(&self.body);
        ensure!(
            (200..300).contains(&self.status),
            "the answer is {}: {}",
            self.status,
            body()
        );
        serde_json::from_slice(&self.body).with_context(|| format!("not JSON: {}", body()))
    }
}

impl Server {
    /// Asks for JSON.
    pub(crate) fn get(&self, path: &str) -> Result<Value> {
        self.request("GET", path, &[("connection", "close")], "")?
            .json()
    }

    /// Sends JSON under an idempotency key; any status is an answer.
    pub(crate) fn post(&self, path: &str, key: &str, body: &Value) -> Result<Answer> {
        let headers = [("connection", "close"), ("idempotency-key", key)];
        self.request("POST", path, &headers, &body.to_string())
    }

    fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<Answer> {
        let mut stream = self.send(method, path, headers, body)?;
        let (head, mut content) = read_head(&mut stream, ANSWER_TIMEOUT)?;
        let length = head.length.context("the answer states no length")?;
        while content.len() < length {
            ensure!(
                read_more(&mut stream, &mut content)? > 0,
                "the answer was cut"
            );
        }
        ensure!(content.len() == length, "the answer is longer than it says");
        Ok(Answer {
            status: head.status,
            body: content,
        })
    }

    fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<TcpStream> {
        let Self { address, token } = self;
        let mut stream = TcpStream::connect_timeout(address, CONNECT_TIMEOUT)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
        let mut text = format!(
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n",
            body.len()
        );
        for (name, value) in headers {
            text.extend([*name, ": ", *value, "\r\n"]);
        }
        text.extend(["\r\n", body]);
        stream.write_all(text.as_bytes())?;
        Ok(stream)
    }

    /// Opens the event stream after a cursor, as a browser comes back to it.
    pub(crate) fn events_after(&self, cursor: &str) -> Result<EventStream> {
        let headers = [("accept", "text/event-stream"), ("last-event-id", cursor)];
        let mut stream = self.send("GET", "/api/v2/events", &headers, "")?;
        let (head, raw) = read_head(&mut stream, ANSWER_TIMEOUT)?;
        ensure!(
            head.status == 200,
            "the event stream was answered with {}",
            head.status
        );
        ensure!(head.is_chunked, "the event stream does not come in chunks");
        stream.set_read_timeout(Some(STREAM_TIMEOUT))?;
        Ok(EventStream {
            stream,
            chunks: Chunks {
                raw,
                text: Vec::new(),
            },
        })
    }
}

/// What matters in the head of an answer.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    is_chunked: bool,
    length: Option<usize>,
}

impl Head {
    fn parse(text: &str) -> Result<Self> {
        let status = text.split(' ').nth(1).and_then(|word| word.parse().ok());
        let status = status.with_context(|| format!("the head has no status: {text}"))?;
        let mut head = Self {
            status,
            is_chunked: false,
            length: None,
        };
        for (name, value) in text.lines().filter_map(|line| line.split_once(':')) {
            if name.eq_ignore_ascii_case("content-length") {
                head.length = Some(value.trim().parse().context("read the content length")?);
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                head.is_chunked = value.trim().eq_ignore_ascii_case("chunked");
            }
        }
        Ok(head)
    }
}

/// Reads the head of an answer, and what came behind it.
fn read_head(stream: &mut TcpStream, timeout: Duration) -> Result<(Head, Vec<u8>)> {
    const END: &[u8] = b"\r\n\r\n";
    stream.set_read_timeout(Some(timeout))?;
    let mut bytes = Vec::new();
    loop {
        ensure!(
            read_more(stream, &mut bytes)? > 0,
            "the connection was closed"
        );
        if let Some(end) = bytes.windows(END.len()).position(|window| window == END) {
            let rest = bytes.split_off(end + END.len());
            let head = std::str::from_utf8(&bytes).context("the head is not text")?;
            return Ok((Head::parse(head)?, rest));
        }
    }
}

fn read_more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> std::io::Result<usize> {
    let mut buffer = [0; READ_BYTES];
    let read = stream.read(&mut buffer)?;
    bytes.extend_from_slice(&buffer[..read]);
    Ok(read)
}

/// An open stream of server-sent events.
#[derive(Debug)]
pub(crate) struct EventStream {
    stream: TcpStream,
    chunks: Chunks,
}

/// What a look at the stream brought.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A line without its end.
    Text(String),
    /// Nothing yet.
    Quiet,
}

impl EventStream {
    /// The next line; waits a moment for it. An error when the stream ended.
    pub(crate) fn next_line(&mut self) -> Result<Line> {
        loop {
            if let Some(line) = self.chunks.next_line()? {
                return Ok(Line::Text(line));
            }
            match read_more(&mut self.stream, &mut self.chunks.raw) {
                Ok(0) => bail!("the event stream ended"),
                Ok(_) => {}
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    return Ok(Line::Quiet);
                }
                Err(error) => return Err(error.into()),
            }
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
    use std::net::TcpListener;
    use std::thread;

    /// Answers one request with this text, then closes.
    fn answering(text: &'static str) -> (Server, thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let serving = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") && !request.ends_with(b"}") {
                read_more(&mut stream, &mut request).unwrap();
            }
            stream.write_all(text.as_bytes()).unwrap();
            String::from_utf8(request).unwrap()
        });
        (
            Server {
                address,
                token: "secret".to_owned(),
            },
            serving,
        )
    }

    #[test]
    fn a_request_carries_its_key_and_any_status_is_an_answer() {
        let (server, serving) = answering("HTTP/1.1 429 No\r\ncontent-length: 4\r\n\r\nbusy");
        let answer = server
            .post("/a", "key-1", &serde_json::json!({"x": 1}))
            .unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (429, &b"busy"[..]));
        assert_eq!(
            answer.json().unwrap_err().to_string(),
            "the answer is 429: busy"
        );
        let request = serving.join().unwrap();
        assert!(request.starts_with("POST /a HTTP/1.1\r\n"), "{request}");
        assert!(request.contains("idempotency-key: key-1\r\n"), "{request}");
        assert!(request.ends_with("\r\n\r\n{\"x\":1}"), "{request}");
    }

    #[test]
    fn a_cut_answer_is_an_error() {
        let (server, serving) = answering("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{\"a\":");
        assert_eq!(
            server.get("/a").unwrap_err().to_string(),
            "the answer was cut"
        );
        serving.join().unwrap();
    }

    #[test]
    fn a_stream_gives_whole_lines_until_it_ends() {
        let (server, serving) = answering(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nid: 1\r\n4\r\n\nda\n\r\n\
             2\r\nhal",
        );
        let mut stream = server.events_after("3.1").unwrap();
        assert!(serving.join().unwrap().contains("last-event-id: 3.1\r\n"));
        assert_eq!(stream.next_line().unwrap(), Line::Text("id: 1".to_owned()));
        assert_eq!(stream.next_line().unwrap(), Line::Text("da".to_owned()));
        assert_eq!(
            stream.next_line().unwrap_err().to_string(),
            "the event stream ended"
        );
    }
}
