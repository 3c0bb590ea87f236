//! Just enough of an HTTP/1.1 server for tests.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;
use tokio_util::task::TaskTracker;

/// A request as it came. Names of headers are in lower case.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

/// What the server does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// Answers and keeps the connection.
    Answer(Vec<u8>),
    /// Writes this and breaks the connection.
    Break(Vec<u8>),
}

impl Reply {
    /// An answer with these headers, each ended by CR LF.
    pub(crate) fn of(status: u16, headers: &str, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let head = format!(
            "HTTP/1.1 {status} x\r\n{headers}content-length: {}\r\n\r\n",
            body.len()
        );
        Self::Answer([head.as_bytes(), body].concat())
    }

    /// An answer with JSON.
    pub(crate) fn json(body: &str) -> Self {
        Self::of(200, "content-type: application/json\r\n", body)
    }

    /// A refusal with this code.
    pub(crate) fn problem(status: u16, code: &str, retryable: bool) -> Self {
        let body = format!(
            r#"{{"type":"about:blank","status":{status},"title":"T","detail":"D","code":"{code}","retryable":{retryable}}}"#
        );
        Self::of(status, "content-type: application/problem+json\r\n", body)
    }

    /// No answer at all.
    pub(crate) fn silence() -> Self {
        Self::Break(Vec::new())
    }
}

/// Reads one request; none when the peer has closed.
pub(crate) async fn read_request(stream: &mut TcpStream) -> Option<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.lines();
    let mut start = lines.next().unwrap().split(' ');
    let (method, path) = (start.next().unwrap(), start.next().unwrap());
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers
        .get("content-length")
        .map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Request {
        method: method.to_owned(),
        path: path.to_owned(),
        headers,
        body,
    })
}

/// Answers requests of one connection until either side has enough.
pub(crate) async fn serve(mut stream: TcpStream, handle: impl Fn(Request) -> Reply) {
    while let Some(request) = read_request(&mut stream).await {
        let (bytes, goes_on) = match handle(request) {
            Reply::Answer(bytes) => (bytes, true),
            Reply::Break(bytes) => (bytes, false),
        };
        if stream.write_all(&bytes).await.is_err() || !goes_on {
            return;
        }
    }
}

/// A server that remembers what it was asked.
pub(crate) struct Server {
    pub(crate) address: String,
    pub(crate) requests: Arc<Mutex<Vec<Request>>>,
    _task: AbortOnDropHandle<()>,
}

impl Server {
    pub(crate) async fn start(handle: impl FnMut(&Request) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, handle) = (Arc::clone(&requests), Arc::new(Mutex::new(handle)));
        let connections = TaskTracker::new();
        let accepting = connections.clone();
        let task = connections.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, handle) = (Arc::clone(&seen), Arc::clone(&handle));
                accepting.spawn(serve(stream, move |request| {
                    let reply = (handle.lock())(&request);
                    seen.lock().push(request);
                    reply
                }));
            }
        });
        Self {
            address,
            requests,
            _task: AbortOnDropHandle::new(task),
        }
    }

    /// What it was asked, as method and path.
    pub(crate) fn asked(&self) -> Vec<String> {
        let requests = self.requests.lock();
        requests
            .iter()
            .map(|request| format!("{} {}", request.method, request.path))
            .collect()
    }
}
