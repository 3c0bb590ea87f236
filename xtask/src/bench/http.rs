//! A very small HTTP/1.1 client: prebuilt requests over kept connections. Client and server share
//! the cores here, so what it does not do is measured too.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longest time for everything a row does at a coordinator.
const ROW_TIMEOUT: Duration = Duration::from_mins(5);
const BUFFER_BYTES: usize = 16 * 1024;

/// Where the coordinator listens and what opens it.
#[derive(Debug, Clone)]
pub(super) struct Server {
    /// `host:port`.
    address: Arc<str>,
    token: Arc<str>,
}

impl Server {
    /// Takes the URL of the ready file apart.
    pub(super) fn new(url: &str, token: &str) -> Result<Self> {
        let address = url
            .strip_prefix("http://")
            .map(|rest| rest.trim_end_matches('/'));
        let address = address.with_context(|| format!("`{url}` is not an http URL"))?;
        Ok(Self {
            address: address.into(),
            token: token.trim().into(),
        })
    }

    /// The bytes of a request without a body.
    pub(super) fn get(&self, path: &str) -> Vec<u8> {
        self.request("GET", path, "application/json", "")
    }

    /// The bytes of a request for a stream of events.
    pub(super) fn get_events(&self, path: &str) -> Vec<u8> {
        self.request("GET", path, "text/event-stream", "")
    }

    /// The bytes of a request with a JSON body.
    pub(super) fn post(&self, path: &str, body: &Value) -> Vec<u8> {
        self.request("POST", path, "application/json", &body.to_string())
    }

    /// The bytes of a request that stores a JSON body.
    pub(super) fn put(&self, path: &str, body: &Value) -> Vec<u8> {
        self.request("PUT", path, "application/json", &body.to_string())
    }

    /// The bytes of a request that makes the connection a WebSocket.
    pub(super) fn upgrade(&self, path: &str, key: &str) -> Vec<u8> {
        let Self { address, token } = self;
        format!(
            "GET {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\
             connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: {key}\r\n\r\n"
        )
        .into_bytes()
    }

    fn request(&self, method: &str, path: &str, accept: &str, body: &str) -> Vec<u8> {
        let Self { address, token } = self;
        let length = body.len();
        format!(
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\
             accept: {accept}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
             \r\n{body}"
        )
        .into_bytes()
    }

    /// A connection without delay of small packets.
    pub(super) async fn connect(&self) -> Result<Connection> {
        let stream = TcpStream::connect(&*self.address).await;
        let stream = stream.with_context(|| format!("connect to `{}`", self.address))?;
        stream.set_nodelay(true).context("set TCP_NODELAY")?;
        Ok(Connection {
            stream,
            buffer: Vec::with_capacity(BUFFER_BYTES),
        })
    }
}

/// A kept connection; one request at a time.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    /// What was read of the present answer.
    buffer: Vec<u8>,
}

impl Connection {
    /// Sends a request and returns the body of its answer, which has to be a success.
    pub(super) async fn exchange(&mut self, request: &[u8]) -> Result<&[u8]> {
        let head = self.send(request).await?;
        let length = head.body_bytes.context("the answer states no length")?;
        let end = head.bytes + length;
        while self.buffer.len() < end {
            self.read_more().await?;
        }
        ensure!(
            self.buffer.len() == end,
            "the answer is longer than it says"
        );
        let body = &self.buffer[head.bytes..];
        if !(200..300).contains(&head.status) {
            bail!(
                "the answer is {}: {}",
                head.status,
                String::from_utf8_lossy(body)
            );
        }
        Ok(body)
    }

    /// As [`Self::exchange`], for a JSON answer.
    pub(super) async fn exchange_json(&mut self, request: &[u8]) -> Result<Value> {
        let body = self.exchange(request).await?;
        serde_json::from_slice(body)
            .with_context(|| format!("the answer is not JSON: {}", String::from_utf8_lossy(body)))
    }

    /// Sends a request and reads the head of its answer, with some of the body behind it.
    pub(super) async fn send(&mut self, request: &[u8]) -> Result<Head> {
        self.buffer.clear();
        self.stream
            .write_all(request)
            .await
            .context("send a request")?;
        loop {
            self.read_more().await?;
            if let Some(head) = Head::parse(&self.buffer)? {
                return Ok(head);
            }
        }
    }

    async fn read_more(&mut self) -> Result<()> {
        let read = self
            .stream
            .read_buf(&mut self.buffer)
            .await
            .context("read an answer")?;
        ensure!(read > 0, "the coordinator closed the connection");
        Ok(())
    }

    /// Gives up the parts, with what was read behind the head.
    pub(super) fn into_parts(mut self, head: &Head) -> (TcpStream, Vec<u8>) {
        self.buffer.drain(..head.bytes);
        (self.stream, self.buffer)
    }
}

/// What matters in the head of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) status: u16,
    /// Whether the body comes in chunks.
    pub(super) is_chunked: bool,
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
        let mut head = Self {
            status,
            is_chunked: false,
            bytes: end + END.len(),
            body_bytes: None,
        };
        for (name, value) in text.lines().filter_map(|line| line.split_once(':')) {
            if name.eq_ignore_ascii_case("content-length") {
                head.body_bytes = Some(value.trim().parse().context("read the content length")?);
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                head.is_chunked = value.trim().eq_ignore_ascii_case("chunked");
            }
        }
        Ok(Some(head))
    }
}

/// Runs a client on this thread, at most for [`ROW_TIMEOUT`].
pub(super) fn run_client<T>(client: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let bounded = async { tokio::time::timeout(ROW_TIMEOUT, client).await };
    let answer = runtime.context("start a runtime")?.block_on(bounded);
    answer.with_context(|| format!("not done within {} s", ROW_TIMEOUT.as_secs()))?
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpListener;
    use std::thread;

    #[test]
    fn heads_are_read_when_they_are_complete() {
        let text = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok";
        assert_eq!(Head::parse(&text[..30]).unwrap(), None);
        let head = Head::parse(text).unwrap().unwrap();
        let expected = Head {
            status: 201,
            is_chunked: false,
            bytes: 43,
            body_bytes: Some(2),
        };
        assert_eq!(head, expected);
        let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        assert!(Head::parse(chunked).unwrap().unwrap().is_chunked);
        assert!(Head::parse(b"nonsense\r\n\r\n").is_err());
    }

    /// Answers each request on one connection with the next of these texts.
    fn serve(answers: &'static [&'static str]) -> (Server, thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Server::new(
            &format!("http://{}/", listener.local_addr().unwrap()),
            "secret\n",
        );
        let serving = thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let answer = |text: &&str| {
                let lines = reader.by_ref().lines().map(Result::unwrap);
                let head: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
                let length = head
                    .last()
                    .unwrap()
                    .rsplit(' ')
                    .next()
                    .unwrap()
                    .parse()
                    .unwrap();
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                // In two pieces, so that the client has to wait for the second.
                let (first, second) = text.split_at(text.len() / 2);
                for piece in [first, second] {
                    (&stream).write_all(piece.as_bytes()).unwrap();
                }
                format!("{} {}", head[0], String::from_utf8(body).unwrap())
            };
            answers.iter().map(answer).collect()
        });
        (server.unwrap(), serving)
    }

    #[test]
    fn a_connection_is_used_again_and_a_refusal_is_an_error() {
        let (server, serving) = serve(&[
            "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n{\"id\":1}",
            "HTTP/1.1 429 Too Many\r\ncontent-length: 4\r\n\r\nbusy",
        ]);
        run_client(async {
            let mut connection = server.connect().await?;
            let answer = connection.exchange_json(&server.get("/a")).await?;
            assert_eq!(answer["id"], 1);
            let request = server.post("/b", &serde_json::json!([1]));
            let error = connection.exchange(&request).await.unwrap_err();
            assert_eq!(error.to_string(), "the answer is 429: busy");
            Ok(())
        })
        .unwrap();
        let seen = serving.join().unwrap();
        assert_eq!(seen, ["GET /a HTTP/1.1 ", "POST /b HTTP/1.1 [1]"]);
    }
}
