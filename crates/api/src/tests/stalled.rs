//! Followers that stop reading, over real sockets: they are cut, and go on where they were.

use super::fixture::Coordinator;
use crate::ApiState;
use futures_util::StreamExt;
use serde_json::{Value, json};
use skep_model::event::EventCursor;
use skep_operations::events::{EventFeed, EventFilter, PIECE_BYTES_MAX};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_mins(1);
/// How long these servers wait for a follower that does not read.
const STALL_MAX: Duration = Duration::from_secs(1);
/// Longest time from the last event until the cut: less than it takes to write to a WebSocket in
/// vain.
const CUT_MAX: Duration = Duration::from_secs(20);
/// What a follower's own system takes for it while it does not read, about.
const UNREAD_BYTES: u32 = 64 * 1024;
/// Submissions of [`TASKS`] each, with names this long: together more than 8 MiB of events.
const SUBMISSIONS: usize = 3;
const TASKS: usize = 7_800;
const NAME_LENGTH: usize = 120;
const BACKLOG_BYTES_MIN: usize = 8 << 20;

/// A server that cuts early.
struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    serving: JoinSet<std::io::Result<()>>,
}

impl Server {
    async fn start(coordinator: &Coordinator) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let api = ApiState {
            stall_max: STALL_MAX,
            ..coordinator.api.clone()
        };
        let mut serving = JoinSet::new();
        serving.spawn(crate::serve(vec![listener], None, api, stop.clone()));
        Self {
            address,
            stop,
            serving,
        }
    }

    /// A connection whose system takes little that is not read.
    async fn connect(&self) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(UNREAD_BYTES).unwrap();
        socket.connect(self.address).await.unwrap()
    }

    async fn end(mut self) {
        self.stop.cancel();
        while self.serving.join_next().await.is_some() {}
    }
}

/// The two forms of the stream.
#[derive(Debug, Clone, Copy)]
enum Form {
    ServerSent,
    WebSocket,
}

/// Someone who follows, and reads only when told to.
enum Follower {
    ServerSent { stream: TcpStream, text: Vec<u8> },
    WebSocket(Box<tokio_tungstenite::WebSocketStream<TcpStream>>),
}

impl Follower {
    async fn open(server: &Server, form: Form, admin: &str, after: &str) -> Self {
        let mut stream = server.connect().await;
        let bearer = format!("Bearer {admin}");
        match form {
            Form::ServerSent => {
                // By the older version of the protocol the body comes as it is.
                let request = format!(
                    "GET /api/v2/events?after={after} HTTP/1.0\r\nHost: localhost\r\n\
                     Authorization: {bearer}\r\nAccept: text/event-stream\r\n\r\n"
                );
                stream.write_all(request.as_bytes()).await.unwrap();
                let text = Vec::new();
                Self::ServerSent { stream, text }
            }
            Form::WebSocket => {
                let url = format!("ws://{}/swarm/realtime?after={after}", server.address);
                let mut request = url.into_client_request().unwrap();
                let headers = request.headers_mut();
                headers.insert("authorization", bearer.parse().unwrap());
                let (socket, _) = client_async(request, stream).await.unwrap();
                Self::WebSocket(Box::new(socket))
            }
        }
    }

    /// The cursor of the next whole event; none when the connection is over.
    async fn next(&mut self) -> Option<String> {
        tokio::time::timeout(PATIENCE, self.read()).await.unwrap()
    }

    async fn read(&mut self) -> Option<String> {
        match self {
            Self::ServerSent { stream, text } => loop {
                if let Some(end) = text.windows(2).position(|two| two == b"\n\n") {
                    let event = String::from_utf8(text.drain(..end + 2).collect()).unwrap();
                    let id = event.lines().find_map(|line| line.strip_prefix("id: "));
                    match id {
                        Some(id) => return Some(id.to_owned()),
                        None => continue,
                    }
                }
                if stream.read_buf(text).await.is_ok_and(|bytes| bytes > 0) {
                    continue;
                }
                return None;
            },
            Self::WebSocket(socket) => loop {
                let message = socket.next().await?.ok()?;
                if let Ok(text) = message.into_text()
                    && text.starts_with('{')
                {
                    let event: Value = serde_json::from_str(&text).unwrap();
                    return Some(event["cursor"].as_str().unwrap().to_owned());
                }
            },
        }
    }
}

async fn submit_many(coordinator: &Coordinator) {
    for _ in 0..SUBMISSIONS {
        let tasks: Vec<_> = (0..TASKS)
            .map(|number| json!({"name": format!("{number:0NAME_LENGTH$}"), "kind": "noop"}))
            .collect();
        let body = json!({"tasks": tasks});
        coordinator.post("/api/v2/tasks/batch", body).await.ok();
    }
}

/// All cursors that were ever given out, and how many bytes their events have.
async fn all_cursors(coordinator: &Coordinator) -> (Vec<String>, usize) {
    let (mut cursors, mut bytes, mut after) = (Vec::new(), 0, "0.0".to_owned());
    loop {
        let path = format!("/api/v2/events?limit=1000&after={after}");
        let page = coordinator.get(&path).await.ok();
        let items = page["items"].as_array().unwrap();
        if items.is_empty() {
            return (cursors, bytes);
        }
        for item in items {
            bytes += item.to_string().len();
            cursors.push(item["cursor"].as_str().unwrap().to_owned());
        }
        after = page["next_cursor"].as_str().unwrap().to_owned();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_does_not_read_is_cut_and_goes_on_without_gap_or_repetition() {
    let coordinator = Coordinator::start().await;
    let server = Server::start(&coordinator).await;
    let mut stalled = Vec::new();
    for form in [Form::ServerSent, Form::WebSocket] {
        let mut follower = Follower::open(&server, form, &coordinator.admin, "0.0").await;
        let first = follower.next().await.unwrap();
        stalled.push((form, follower, first));
    }
    assert_eq!(coordinator.services().subscriber_count(), stalled.len());
    submit_many(&coordinator).await;
    let start = Instant::now();
    while coordinator.services().subscriber_count() > 0 {
        assert!(start.elapsed() < CUT_MAX, "they were not cut");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (all, bytes) = all_cursors(&coordinator).await;
    assert!(bytes > BACKLOG_BYTES_MIN, "{bytes}");
    for (form, mut follower, first) in stalled {
        let mut seen = vec![first];
        while let Some(cursor) = follower.next().await {
            seen.push(cursor);
        }
        assert!(seen.len() < all.len(), "{form:?}: all came before the cut");
        // The cursor to go on from is that of the last event that came whole.
        let last = seen.last().unwrap().clone();
        let mut resumed = Follower::open(&server, form, &coordinator.admin, &last).await;
        while seen.last() != all.last() {
            seen.push(resumed.next().await.expect("the stream goes on"));
        }
        assert!(seen == all, "{form:?}: a gap or repetition after `{last}`");
    }
    pieces_are_bounded(&coordinator, &all).await;
    server.end().await;
}

/// What is made ready for a follower at a time, and so waits for one that does not read.
async fn pieces_are_bounded(coordinator: &Coordinator, all: &[String]) {
    let services = coordinator.api.services.clone();
    let start = Some(EventCursor::default());
    let mut feed = EventFeed::open(services, start, EventFilter::default())
        .await
        .unwrap();
    let mut seen = Vec::new();
    while seen.len() < all.len() {
        let piece = feed.next_texts().await.unwrap();
        let mut bytes = piece.iter().map(|event| event.json().len());
        let last = bytes.next_back().unwrap();
        let before = bytes.sum::<usize>();
        assert!(before < PIECE_BYTES_MAX, "{before} bytes and {last} more");
        seen.extend(piece.iter().map(|event| event.cursor.to_string()));
    }
    assert!(seen == all, "a gap or repetition between pieces");
}
