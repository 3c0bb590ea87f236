//! `/api/v2/calls`: operations over a WebSocket, many at a time on one connection.
//!
//! Each text frame asks for one operation and carries an id; each answer carries the same id, and
//! comes when it is there, not in the order of the questions. Questions in one frame after the other
//! cost one connection, one header and one wake-up, so a client that has much to ask should ask here.

mod answer;
mod question;

use crate::authenticate;
use crate::failure::Failure;
use crate::realtime::not_a_websocket;
use crate::state::ApiState;
use answer::Answer;
use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::http::HeaderMap;
use axum::response::Response;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, SinkExt, StreamExt};
use question::Question;
use skep_model::limits::BODY_BYTES_MAX;
use skep_operations::{Context, ErrorCode, Operation, Principal};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Questions of one connection that are answered at the same time. More are not read before one of
/// them is answered.
pub(crate) const CALLS_IN_FLIGHT_MAX: usize = 512;
/// Longest time an answer may wait for the caller to read.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes read from the socket at a time: some hundred small questions.
const BUFFER_BYTES: usize = 64 * 1024;

/// Checks the caller and takes over the connection.
pub(crate) async fn upgrade(
    State(api): State<ApiState>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Result<Response, Failure> {
    if authenticate::principal(&headers, &api.services)? == Principal::Anonymous {
        let detail = "the `Authorization` header is missing";
        return Err(Failure::new(ErrorCode::TokenMissing, detail));
    }
    let upgrade = upgrade.map_err(|rejection| not_a_websocket(&rejection.to_string()))?;
    Ok(upgrade
        .max_message_size(BODY_BYTES_MAX)
        .max_frame_size(BODY_BYTES_MAX)
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .on_upgrade(move |socket| async move {
            let line = Line::new(api, headers);
            line.serve(socket).await;
        }))
}

/// One connection.
struct Line {
    api: ApiState,
    /// Of the upgrade: its token is checked again for each question, so a revoked one ends here too.
    headers: HeaderMap,
    operations: BTreeMap<&'static str, Arc<Operation>>,
    in_flight: FuturesUnordered<BoxFuture<'static, Answer>>,
}

impl Line {
    fn new(api: ApiState, headers: HeaderMap) -> Self {
        let operations = api.operations.iter();
        let operations = operations
            .map(|operation| (operation.id, Arc::clone(operation)))
            .collect();
        Self {
            api,
            headers,
            operations,
            in_flight: FuturesUnordered::new(),
        }
    }

    async fn serve(mut self, mut socket: WebSocket) {
        loop {
            let has_room = self.in_flight.len() < CALLS_IN_FLIGHT_MAX;
            let goes_on = tokio::select! {
                incoming = socket.recv(), if has_room => match incoming {
                    Some(Ok(message)) => self.take(message) && self.take_more(&mut socket),
                    Some(Err(_)) | None => return,
                },
                Some(answer) = self.in_flight.next() => self.send(&mut socket, answer).await,
                () = self.api.shutdown.cancelled() => break,
            };
            if !goes_on {
                return;
            }
        }
        let frame = CloseFrame {
            code: close_code::AWAY,
            reason: "the coordinator stops".into(),
        };
        // The caller sees the end of the connection either way.
        let closing = socket.send(Message::Close(Some(frame)));
        let _ = tokio::time::timeout(SEND_TIMEOUT, closing).await;
    }

    /// Takes what has come in already, so that it is worked on together.
    fn take_more(&mut self, socket: &mut WebSocket) -> bool {
        while self.in_flight.len() < CALLS_IN_FLIGHT_MAX {
            match socket.recv().now_or_never() {
                Some(Some(Ok(message))) => {
                    if !self.take(message) {
                        return false;
                    }
                }
                Some(_) => return false,
                None => return true,
            }
        }
        true
    }

    /// Begins to answer a question. Whether the connection goes on.
    fn take(&mut self, message: Message) -> bool {
        let text = match message {
            Message::Text(text) => text,
            Message::Binary(_) => {
                let detail = "a question is a text frame; this one is binary";
                let answer = Answer::refused(None, ErrorCode::CallMalformed, detail);
                self.in_flight.push(std::future::ready(answer).boxed());
                return true;
            }
            Message::Ping(_) | Message::Pong(_) => return true,
            Message::Close(_) => return false,
        };
        let answering = match Question::parse(&text) {
            Ok(question) => self.answer(question),
            Err(refused) => std::future::ready(refused).boxed(),
        };
        self.in_flight.push(answering);
        true
    }

    fn answer(&self, question: Question) -> BoxFuture<'static, Answer> {
        let refused = |answer: Answer| std::future::ready(answer).boxed();
        let Some(operation) = self.operations.get(question.operation.as_str()) else {
            let detail = format!("no operation is called `{}`", question.operation);
            let id = Some(&*question.id);
            return refused(Answer::refused(id, ErrorCode::OperationUnknown, &detail));
        };
        let caller = match authenticate::principal(&self.headers, &self.api.services) {
            Ok(caller) => caller,
            Err(failure) => return refused(Answer::failed(&question.id, &failure.0)),
        };
        let mut context = Context::new(Arc::clone(&self.api.services), caller);
        context
            .idempotency_key
            .clone_from(&question.idempotency_key);
        context.if_match.clone_from(&question.if_match);
        let operation = Arc::clone(operation);
        async move {
            let id = question.id.clone();
            match question.ask(&operation, context).await {
                Ok(reply) => Answer::of(id, &operation, reply).await,
                Err(error) => Answer::failed(&id, &error),
            }
        }
        .boxed()
    }

    /// Sends an answer and all others that are there by now.
    async fn send(&mut self, socket: &mut WebSocket, first: Answer) -> bool {
        let sending = async {
            socket.feed(Message::text(first.into_text())).await?;
            while let Some(Some(answer)) = self.in_flight.next().now_or_never() {
                socket.feed(Message::text(answer.into_text())).await?;
            }
            socket.flush().await
        };
        let sent = tokio::time::timeout(SEND_TIMEOUT, sending).await;
        matches!(sent, Ok(Ok(())))
    }
}
