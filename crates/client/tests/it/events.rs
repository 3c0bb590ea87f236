//! The event stream over connections that break.

use crate::http_server::{Reply, Server};
use serde_json::json;
use skep_client::Client;

/// An event stream that breaks off after these bytes.
fn stream(bytes: &str) -> Reply {
    let head = "HTTP/1.1 200 x\r\ncontent-type: text/event-stream\r\n\r\n";
    Reply::Break(format!("{head}{bytes}").into_bytes())
}

#[tokio::test]
async fn a_broken_stream_goes_on_after_the_last_event() {
    let mut parts = [
        stream(
            ": hello\n\nid: 1.0\nevent: a\ndata: {\"n\":1}\n\nid: 1.1\ndata: {\"n\":2}\n\nid: 1.",
        ),
        Reply::silence(),
        stream(": beat\n\n"),
        stream("id: 2.0\ndata: {\"n\":3}\n\n"),
        Reply::problem(410, "cursor_expired", false),
    ]
    .into_iter();
    let server = Server::start(move |_| parts.next().unwrap()).await;
    let client = Client::new(&server.address, None).unwrap();
    let mut events = client.events(Some("0.5".to_owned()), [("run", "run_1")]);
    for (cursor, name, number) in [("1.0", "a", 1), ("1.1", "", 2), ("2.0", "", 3)] {
        let event = events.next().await.unwrap();
        assert_eq!((&*event.cursor, &*event.name), (cursor, name));
        assert_eq!(event.data, json!({ "n": number }));
    }
    assert_eq!(events.cursor(), Some("2.0"));
    let error = events.next().await.unwrap_err();
    assert!(error.has_code("cursor_expired"), "{error}");
    let requests = server.requests.lock().clone();
    let resumed: Vec<_> = requests
        .iter()
        .map(|request| request.headers["last-event-id"].as_str())
        .collect();
    assert_eq!(resumed, ["0.5", "1.1", "1.1", "1.1", "2.0"]);
    for request in &requests {
        assert_eq!(request.path, "/api/v2/events?run=run_1");
        assert_eq!(request.headers["accept"], "text/event-stream");
    }
}
