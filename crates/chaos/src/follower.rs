//! Readers of the event stream: each goes on after the last event it saw, whatever breaks.

use crate::history::{Cursor, Event, Stream};
use crate::http::{EventStream, Line, Server};
use crate::random::Random;
use crate::signals::Signals;
use serde_json::Value;
use std::thread;
use std::time::{Duration, Instant};

/// Longest time in which a reader has to reach the end, once there is one.
const CATCH_UP: Duration = Duration::from_secs(30);
const COME_BACK_AFTER: Duration = Duration::from_millis(40);
/// Events after which a reader leaves by itself, to come back in the middle of an entry.
const EVENTS_PER_CONNECTION_MAX: u64 = 700;
/// Events on a page, at most.
const PAGE_MAX: u64 = 150;
/// Seconds the coordinator may wait for the first event of a page.
const PAGE_WAIT_S: u64 = 1;

/// A reader with what it saw.
#[derive(Debug)]
pub(crate) struct Follower<'a> {
    server: &'a Server,
    signals: &'a Signals,
    random: Random,
    seen: Stream,
    /// When the end became known.
    ending_since: Option<Instant>,
}

impl<'a> Follower<'a> {
    pub(crate) fn new(
        name: &str,
        server: &'a Server,
        signals: &'a Signals,
        random: Random,
    ) -> Self {
        let seen = Stream {
            name: name.to_owned(),
            connections: 0,
            events: Vec::new(),
            problems: Vec::new(),
        };
        Self {
            server,
            signals,
            random,
            seen,
            ending_since: None,
        }
    }

    /// Follows by server-sent events and `Last-Event-ID`.
    pub(crate) fn by_stream(mut self) -> Stream {
        while !self.is_done() {
            match self.server.events_after(&self.last().to_string()) {
                Ok(stream) => self.read_stream(stream),
                Err(_) => thread::sleep(COME_BACK_AFTER),
            }
        }
        self.seen
    }

    /// Reads until the connection breaks or the reader has had enough of it.
    fn read_stream(&mut self, mut stream: EventStream) {
        self.seen.connections += 1;
        let leave_at =
            self.seen.events.len() as u64 + self.random.between(1, EVENTS_PER_CONNECTION_MAX);
        let mut data = String::new();
        while !self.is_done() && (self.seen.events.len() as u64) < leave_at {
            match stream.next_line() {
                Ok(Line::Text(line)) if line.is_empty() => {
                    // An event counts once the empty line behind it has come.
                    if !data.is_empty() {
                        self.take(serde_json::from_str(&data).unwrap_or_default());
                        data.clear();
                    }
                }
                Ok(Line::Text(line)) => data.extend(line.strip_prefix("data:")),
                Ok(Line::Quiet) => {}
                Err(_) => return,
            }
        }
    }

    /// Follows page by page.
    pub(crate) fn by_pages(mut self) -> Stream {
        let mut cursor = Cursor::START.to_string();
        while !self.is_done() {
            let limit = self.random.between(1, PAGE_MAX);
            let path = format!("/api/v2/events?after={cursor}&limit={limit}&wait={PAGE_WAIT_S}");
            match self.server.get(&path) {
                Ok(page) => cursor = self.take_page(&page).unwrap_or(cursor),
                Err(_) => thread::sleep(COME_BACK_AFTER),
            }
        }
        self.seen
    }

    /// The cursor after which to go on: that of the page, or that of its last event.
    fn take_page(&mut self, page: &Value) -> Option<String> {
        self.seen.connections += 1;
        for event in page["items"].as_array().into_iter().flatten() {
            self.take(event.clone());
        }
        let Some(next) = page["next_cursor"].as_str() else {
            self.seen
                .problems
                .push("a page has no `next_cursor`".to_owned());
            return None;
        };
        let by_event = self.random.chance(50) && !self.seen.events.is_empty();
        Some(if by_event {
            self.last().to_string()
        } else {
            next.to_owned()
        })
    }

    fn take(&mut self, body: Value) {
        match Event::read(body) {
            // `resync` says itself that something is missing.
            Ok(event) if event.kind().is_empty() => {
                self.seen
                    .problems
                    .push(format!("not an event: {}", event.body));
            }
            Ok(event) => self.seen.events.push(event),
            Err(problem) => self.seen.problems.push(problem),
        }
    }

    fn last(&self) -> Cursor {
        self.seen
            .events
            .last()
            .map_or(Cursor::START, |event| event.cursor)
    }

    fn is_done(&mut self) -> bool {
        if self.signals.is_stopped() {
            return true;
        }
        let Some(end) = self.signals.end_index() else {
            return false;
        };
        let since = self.ending_since.get_or_insert_with(Instant::now).elapsed();
        if self.last().index < end && since > CATCH_UP {
            let (last, bound) = (self.last(), CATCH_UP.as_secs());
            let problem = format!("it stayed at {last} for {bound} s; the end is entry {end}");
            self.seen.problems.push(problem);
            return true;
        }
        self.last().index >= end
    }
}

/// All events from the start, in one go.
pub(crate) fn all_events(server: &Server) -> anyhow::Result<Vec<Event>> {
    let mut events = Vec::new();
    let mut cursor = Cursor::START.to_string();
    loop {
        let page = server.get(&format!("/api/v2/events?after={cursor}&limit=1000"))?;
        let items = page["items"].as_array().cloned().unwrap_or_default();
        if items.is_empty() {
            return Ok(events);
        }
        for item in items {
            events.push(Event::read(item).map_err(anyhow::Error::msg)?);
        }
        let next = page["next_cursor"].as_str().unwrap_or_default();
        next.clone_into(&mut cursor);
    }
}
