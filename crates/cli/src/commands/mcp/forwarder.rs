//! Carries messages between stdin, stdout and `/mcp` of the coordinator.
//!
//! Nothing is decided here and nothing kept but the revision that an older client agreed on, and the
//! attached agent that the client registered, which is kept alive while this process lives. A
//! request that nobody waits for any more is let go of: that ends the wait, not the work.

use super::coordinator::Coordinator;
use super::lines::{self, Line, Lines};
use super::message::{self, Malformed, Message, Way};
use super::own_session::OwnSession;
use super::subscriptions::{self, Opened, Subscriptions, Wish};
use crate::args::Toolset;
use crate::commands::Session;
use crate::exit::{Exit, Failure, Outcome};
use crate::output;
use crate::signals::shutdown_on_signals_though_busy;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use parking_lot::Mutex;
use serde_json::Value;
use skep_client::{ClientError, Messages};
use skep_model::limits::{BODY_BYTES_MAX, SESSION_HEARTBEAT_MS};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Requests that wait for their answers.
const REQUESTS_MAX: usize = 64;
/// How long the head of an answer may take: longer than the longest wait of a tool.
const ANSWER_MAX: Duration = Duration::from_secs(330);
/// How long answers may take once stdin has ended.
const FAREWELL_MAX: Duration = Duration::from_secs(10);

/// Numbers of JSON-RPC for what goes wrong before the coordinator sees a message.
const PARSE_ERROR: i64 = -32_700;
const INVALID_REQUEST: i64 = -32_600;
const INTERNAL_ERROR: i64 = -32_603;

/// Requests whose answers are on their way, by the text of their ids.
type InFlight<'a> = FuturesUnordered<BoxFuture<'a, String>>;

/// Forwards until stdin ends or a signal comes.
pub(super) async fn run(session: &Session, toolset: Toolset) -> Outcome {
    let stop = shutdown_on_signals_though_busy();
    let mut lines = lines::of_stdin()?;
    let forwarder = Forwarder {
        coordinator: Coordinator::new(session),
        path: format!("/mcp?toolset={}", toolset.as_str()),
        revision: Mutex::default(),
        waiting: Mutex::default(),
        session: OwnSession::default(),
        subscriptions: Subscriptions::default(),
        mark: mark()?,
    };
    let forwarded = forwarder.forward_all(&mut lines, &stop).await;
    forwarder.leave().await;
    // Whatever happened, a coordinator of our own ends in order.
    forwarder.coordinator.stop().await?;
    forwarded.map(|()| Exit::Ok)
}

pub(super) struct Forwarder<'a> {
    pub(super) coordinator: Coordinator<'a>,
    path: String,
    /// What an older client agreed on.
    revision: Mutex<Option<String>>,
    waiting: Mutex<BTreeMap<String, Waiting>>,
    session: OwnSession,
    subscriptions: Subscriptions,
    /// Tells the sessions of this process apart from those of others.
    mark: u32,
}

/// Four bytes that no other process has.
fn mark() -> Result<u32, Failure> {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).map_err(|error| std::io::Error::other(error.to_string()))?;
    Ok(u32::from_le_bytes(bytes))
}

/// A request that waits for its answer.
#[derive(Debug, Clone)]
struct Waiting {
    let_go: CancellationToken,
    is_listening: bool,
}

impl Forwarder<'_> {
    async fn forward_all(
        &self,
        lines: &mut Lines,
        stop: &CancellationToken,
    ) -> Result<(), Failure> {
        let mut in_flight = InFlight::new();
        let mut beats = tokio::time::interval(Duration::from_millis(SESSION_HEARTBEAT_MS));
        beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                line = lines.next() => match line {
                    Some(line) => self.take(line, &mut in_flight)?,
                    None => break,
                },
                Some(id) = in_flight.next() => drop(self.waiting.lock().remove(&id)),
                _ = beats.tick(), if self.session.is_registered() => {
                    in_flight.push(Box::pin(async {
                        self.beat().await;
                        String::new()
                    }));
                }
                () = stop.cancelled() => return Ok(()),
            }
        }
        self.let_go_of_listeners();
        let farewell = async { while in_flight.next().await.is_some() {} };
        tokio::select! {
            _ = tokio::time::timeout(FAREWELL_MAX, farewell) => {}
            () = stop.cancelled() => {}
        }
        Ok(())
    }

    async fn beat(&self) {
        if let Ok(client) = self.coordinator.client().await {
            self.session.beat(&client).await;
        }
    }

    /// The session of the client ends with its process.
    async fn leave(&self) {
        if self.session.is_registered()
            && let Ok(client) = self.coordinator.client().await
        {
            self.session.leave(&client).await;
        }
    }

    /// Sends a line on its way, or answers what cannot go there.
    fn take<'f>(&'f self, line: Line, in_flight: &mut InFlight<'f>) -> Result<(), Failure> {
        let bytes = match line {
            Line::Whole(bytes) => bytes,
            Line::TooLong => {
                let detail = format!("BODY_BYTES_MAX is {BODY_BYTES_MAX}");
                let hint = "Send less at a time.";
                let code = "body_too_large";
                return say(&message::error(None, INVALID_REQUEST, code, &detail, hint));
            }
        };
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        let message = match message::read(&bytes) {
            Ok(message) => message,
            Err(Malformed { is_json, detail }) => {
                let (rpc, code) = if is_json {
                    (INVALID_REQUEST, "mcp_invalid_request")
                } else {
                    (PARSE_ERROR, "mcp_parse_error")
                };
                let hint = "Write one JSON-RPC 2.0 message on a line.";
                return say(&message::error(None, rpc, code, &detail, hint));
            }
        };
        match message.way() {
            Way::Drop => Ok(()),
            Way::Cancel(id) => {
                if let Some(waiting) = self.waiting.lock().get(&id.to_string()) {
                    waiting.let_go.cancel();
                }
                Ok(())
            }
            Way::Forward(id) => match message.wish() {
                Some(wish) => self.grant(id, wish, in_flight),
                None => self.forward(id, message, bytes.into(), in_flight),
            },
        }
    }

    fn forward<'f>(
        &'f self,
        id: Value,
        message: Message,
        bytes: Bytes,
        in_flight: &mut InFlight<'f>,
    ) -> Result<(), Failure> {
        let key = id.to_string();
        let bytes = self.session.filled_in(&message, bytes, self.mark);
        let mut all = self.waiting.lock();
        let refusal = if all.len() >= REQUESTS_MAX {
            Some((
                "overloaded",
                format!("{REQUESTS_MAX} requests wait for answers"),
            ))
        } else if all.contains_key(&key) {
            let detail = format!("a request with the id `{key}` waits for its answer");
            Some(("mcp_invalid_request", detail))
        } else {
            None
        };
        if let Some((code, detail)) = refusal {
            drop(all);
            let hint = "Wait for answers, and give each request an id of its own.";
            return say(&message::error(
                Some(&id),
                INVALID_REQUEST,
                code,
                &detail,
                hint,
            ));
        }
        let waiting = Waiting {
            let_go: CancellationToken::new(),
            is_listening: message.is_listening(),
        };
        all.insert(key.clone(), waiting.clone());
        in_flight.push(Box::pin(async move {
            tokio::select! {
                () = self.answer(&id, &message, bytes) => {}
                // Whoever let go of it wants no answer.
                () = waiting.let_go.cancelled() => {}
            }
            key
        }));
        Ok(())
    }

    /// Follows a resource, or no more.
    fn grant<'f>(
        &'f self,
        id: Value,
        wish: Wish,
        in_flight: &mut InFlight<'f>,
    ) -> Result<(), Failure> {
        let (uri, after) = match wish {
            Wish::Subscribe { uri, after } => (uri, after),
            Wish::Unsubscribe { uri } => {
                self.subscriptions.close(&uri);
                return say(&subscriptions::done(&id));
            }
        };
        let let_go = match self.subscriptions.open(&uri) {
            Opened::New(let_go) => let_go,
            Opened::Known => return say(&subscriptions::done(&id)),
            Opened::Full => return say(&subscriptions::full(&id)),
        };
        in_flight.push(Box::pin(async move {
            let following = subscriptions::follow(self, &id, &uri, after);
            let followed = Box::pin(let_go.run_until_cancelled(following)).await;
            if let Some(ended) = followed {
                self.subscriptions.close(&uri);
                Self::say_failure(&id, ended);
            }
            String::new()
        }));
        Ok(())
    }

    /// Subscriptions never end by themselves.
    fn let_go_of_listeners(&self) {
        self.subscriptions.close_all();
        for waiting in self.waiting.lock().values() {
            if waiting.is_listening {
                waiting.let_go.cancel();
            }
        }
    }

    async fn answer(&self, id: &Value, message: &Message, bytes: Bytes) {
        let said = match self.exchange(message, bytes).await {
            Ok(answers) => self.pass_on(message, answers).await,
            Err(failure) => Err(failure),
        };
        Self::say_failure(id, said);
    }

    fn say_failure(id: &Value, said: Result<(), Failure>) {
        if let Err(failure) = said {
            let hint = failure.hint.as_deref().unwrap_or_default();
            let text = failure.message.as_str();
            let error = message::error(Some(id), INTERNAL_ERROR, &failure.code, text, hint);
            if say(&error).is_err() {
                tracing::debug!("nobody reads the answers any more");
            }
        }
    }

    /// Sends it; once more when the coordinator that was known has gone without seeing it.
    pub(super) async fn exchange(
        &self,
        message: &Message,
        bytes: Bytes,
    ) -> Result<Messages, Failure> {
        let headers = message.headers(self.revision.lock().as_deref());
        let mut tries = 0;
        loop {
            tries += 1;
            let client = self.coordinator.client().await?;
            let sent = client.exchange_messages(&self.path, &headers, bytes.clone(), ANSWER_MAX);
            let error = match sent.await {
                Ok(answers) => return Ok(answers),
                Err(error) => error,
            };
            let is_gone = matches!(error, ClientError::Unreachable { .. });
            let is_unseen = matches!(
                error,
                ClientError::Unreachable {
                    never_sent: true,
                    ..
                }
            );
            if is_gone {
                self.coordinator.forget().await;
            }
            if !is_unseen || tries > 1 {
                return Err(error.into());
            }
        }
    }

    async fn pass_on(&self, message: &Message, mut answers: Messages) -> Result<(), Failure> {
        while let Some(answer) = answers.next().await? {
            if message.is_initialize() {
                let agreed = message::agreed_revision(&answer);
                *self.revision.lock() = agreed;
                say(&message::with_subscriptions(&answer))?;
                continue;
            }
            self.session.learn(message, &answer);
            say(&answer)?;
        }
        Ok(())
    }
}

/// Writes a message as a line. One that came with line breaks is written without.
pub(super) fn say(message: &str) -> Result<(), Failure> {
    let mut line: String = message.lines().collect();
    line.push('\n');
    output::raw(line.as_bytes())
}
