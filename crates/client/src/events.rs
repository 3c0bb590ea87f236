//! The event stream: every event after a cursor, without gap, over as many connections as needed.

use crate::client::Client;
use crate::error::ClientError;
use crate::query::with_query;
use crate::retry::backoff_ms;
use crate::server_sent::{Record, RecordReader};
use crate::{EVENT_SILENCE_MS, TRIES_MAX};
use http::Method;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;
use std::collections::VecDeque;
use std::time::Duration;

const EVENTS_PATH: &str = "/api/v2/events";

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamedEvent {
    /// Its place in the stream; reading goes on after it.
    pub cursor: String,
    /// Its kind, e.g. `task_finished`. `resync` says that the events between the wanted cursor
    /// and this one are no longer kept.
    pub name: String,
    /// What happened.
    pub data: Value,
}

/// Follows the events; see [`Client::events`].
#[derive(Debug)]
pub struct EventStream {
    client: Client,
    path: String,
    cursor: Option<String>,
    connection: Option<(Incoming, RecordReader)>,
    waiting: VecDeque<Record>,
    failures: u32,
}

impl Client {
    /// The events after a cursor that pass these filters, such as `("run", "run_…")`. `0.0` is the
    /// cursor before all events; without one the stream begins when it is first asked for the
    /// next event.
    pub fn events<'a>(
        &self,
        after: Option<String>,
        filters: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> EventStream {
        self.events_at(with_query(EVENTS_PATH, filters), after)
    }

    /// As [`Client::events`], from any path that gives an event stream.
    pub fn events_at(&self, path: impl Into<String>, after: Option<String>) -> EventStream {
        EventStream {
            client: self.clone(),
            path: path.into(),
            cursor: after,
            connection: None,
            waiting: VecDeque::new(),
            failures: 0,
        }
    }
}

impl EventStream {
    /// The cursor of the last event, for a stream that goes on where this one ends.
    pub fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    /// Waits for the next event. A broken connection is opened anew after the last event; only
    /// when that failed `TRIES_MAX` times in a row is there an error. Asking again goes on.
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Result<StreamedEvent, ClientError> {
        loop {
            if let Some(record) = self.waiting.pop_front() {
                return self.take(record);
            }
            let received = match &mut self.connection {
                None => self.open().await,
                Some(_) => self.receive().await,
            };
            match received {
                Ok(()) => {}
                Err(error) if error.is_retryable() && self.failures + 1 < TRIES_MAX => {
                    self.failures += 1;
                    self.connection = None;
                    tokio::time::sleep(Duration::from_millis(backoff_ms(self.failures))).await;
                }
                Err(error) => {
                    self.failures = 0;
                    self.connection = None;
                    return Err(error);
                }
            }
        }
    }

    async fn open(&mut self) -> Result<(), ClientError> {
        let mut request = self
            .client
            .request(Method::GET, &*self.path)
            .header("accept", "text/event-stream")?;
        if let Some(cursor) = &self.cursor {
            request = request.header("last-event-id", cursor)?;
        }
        let body = request.open().await?.into_body();
        self.connection = Some((body, RecordReader::default()));
        Ok(())
    }

    async fn receive(&mut self) -> Result<(), ClientError> {
        let url = format!("{}{}", self.client.base_url(), self.path);
        let Some((body, reader)) = &mut self.connection else {
            return Ok(());
        };
        let silence = Duration::from_millis(EVENT_SILENCE_MS);
        let broken = |source| ClientError::Unreachable {
            url: url.clone(),
            source,
            never_sent: false,
        };
        let frame = match tokio::time::timeout(silence, body.frame()).await {
            Err(_) => {
                return Err(ClientError::TimedOut {
                    url,
                    timeout_ms: EVENT_SILENCE_MS,
                });
            }
            Ok(None) => return Err(broken("the stream ended".into())),
            Ok(Some(Err(error))) => return Err(broken(Box::new(error))),
            Ok(Some(Ok(frame))) => frame,
        };
        // Anything that arrives, a heartbeat too, shows that the coordinator is well.
        self.failures = 0;
        let Ok(bytes) = frame.into_data() else {
            return Ok(());
        };
        reader
            .push(&bytes, &mut self.waiting)
            .map_err(|_| ClientError::AnswerMalformed {
                url,
                detail: "an event is longer than `EVENT_BYTES_MAX`".to_owned(),
            })
    }

    fn take(&mut self, record: Record) -> Result<StreamedEvent, ClientError> {
        let malformed = |detail: String| ClientError::AnswerMalformed {
            url: format!("{}{}", self.client.base_url(), self.path),
            detail,
        };
        let data = serde_json::from_str(&record.data)
            .map_err(|error| malformed(format!("an event is not JSON: {error}")))?;
        let cursor = record
            .id
            .ok_or_else(|| malformed("an event has no id".to_owned()))?;
        self.cursor = Some(cursor.clone());
        Ok(StreamedEvent {
            cursor,
            name: record.name,
            data,
        })
    }
}
