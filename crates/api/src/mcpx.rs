//! `/mcpx`: one connection of a node, or of an attached agent. Moves frames between the socket, the
//! protocol's state machine and the hive, and decides nothing.

mod agent;

use crate::authenticate;
use crate::failure::Failure;
use crate::realtime::not_a_websocket;
use crate::state::ApiState;
use axum::Error;
use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::http::HeaderMap;
use axum::response::Response;
use skep_coordinator::{Caller, ConnectionId, NodeConnection, ToNode};
use skep_model::attempt::AttemptReport;
use skep_model::ids::NodeId;
use skep_model::limits;
use skep_model::time::UnixMillis;
use skep_model::token::Scope;
use skep_operations::{ErrorCode, Principal, Services, missing_artifacts, node_requests};
use skep_wire::bounds::HANDSHAKE_TIMEOUT_MS;
use skep_wire::codec::{Opening, RequestId, encode_fault};
use skep_wire::coordinator_end::{CloseCode, ReplyId};
use skep_wire::payload::{
    AttemptKey, EndCode, NodeAnswer, NodeRequest, ResultAnswer, ResultAnswers, ResultVerdict, Role,
};
use skep_wire::{
    CoordinatorEnd, CoordinatorOptions, CoordinatorOutput, Fault, Frame, FrameRef, FromNode,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{JoinError, JoinSet};

/// Bytes read from a socket at a time, and gathered before a write: the defaults of 128 KiB would
/// be paid for each of ten thousand connections.
const BUFFER_BYTES: usize = 4 * 1024;

/// Longest time a frame may wait for a node to read. By then its work is given up anyway.
const SEND_TIMEOUT: Duration = Duration::from_millis(limits::LEASE_MS);

/// Checks the caller and takes over the connection.
pub(crate) async fn upgrade(
    State(api): State<ApiState>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Result<Response, Failure> {
    let caller = authenticate::principal(&headers, &api.services)?;
    let is_agent = caller.has(Scope::Agent);
    let caller = if is_agent {
        caller
    } else {
        authenticate::require(&headers, &api.services, Scope::Node)?
    };
    let upgrade = upgrade.map_err(|rejection| not_a_websocket(&rejection.to_string()))?;
    let upgrade = upgrade
        .max_message_size(limits::FRAME_BYTES_MAX)
        .max_frame_size(limits::FRAME_BYTES_MAX)
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES);
    if is_agent {
        return Ok(upgrade.on_upgrade(move |socket| begin(api, headers, caller, socket)));
    }
    let connection = connect(&api, &caller).await;
    let connection = connection
        .ok_or_else(|| Failure::new(ErrorCode::Stopped, "the coordinator takes no more nodes"))?;
    Ok(upgrade.on_upgrade(move |socket| run(api, socket, connection, None)))
}

async fn connect(api: &ApiState, caller: &Principal) -> Option<NodeConnection> {
    let caller = match caller {
        Principal::Node(node) => Caller::Joined(*node),
        _ => Caller::Holder,
    };
    api.services.hive.connect_node(caller).await
}

/// Serves a caller that may be an attached agent: its first frame says what it is.
async fn begin(api: ApiState, headers: HeaderMap, caller: Principal, mut socket: WebSocket) {
    let patience = Duration::from_millis(HANDSHAKE_TIMEOUT_MS);
    let Ok(Some(first)) = tokio::time::timeout(patience, first_frame(&mut socket)).await else {
        return;
    };
    let opening = match &first {
        Message::Text(text) => Opening::of(text),
        _ => Opening::default(),
    };
    match (opening.role, first) {
        (Role::Agent, Message::Text(text)) => match agent::Place::take(&api.agent_lines) {
            Ok(place) => {
                let line = agent::Line::new(api, headers, socket, place);
                line.serve(text.as_str().to_owned()).await;
            }
            Err(fault) => refuse(socket, opening.id.as_ref(), &fault).await,
        },
        (_, first) if caller.has(Scope::Node) => {
            if let Some(connection) = connect(&api, &caller).await {
                run(api, socket, connection, Some(first)).await;
            }
        }
        _ => refuse(socket, opening.id.as_ref(), &lacks(Scope::Node)).await,
    }
}

/// The first frame that says something; none when the connection is gone.
async fn first_frame(socket: &mut WebSocket) -> Option<Message> {
    loop {
        match socket.recv().await?.ok()? {
            Message::Ping(_) | Message::Pong(_) => {}
            Message::Close(_) => return None,
            first => return Some(first),
        }
    }
}

/// What a peer is told whose token does not go with what it says that it is.
fn lacks(scope: Scope) -> Fault {
    let message = format!("the token lacks the scope `{scope}`");
    Fault::refusal(ErrorCode::ScopeMissing.as_str(), message)
}

async fn refuse(mut socket: WebSocket, id: Option<&RequestId>, fault: &Fault) {
    let told = send(&mut socket, Message::text(encode_fault(id, fault))).await;
    if !(told && close(&mut socket, CloseCode::Protocol, &fault.message).await) {
        tracing::debug!("a refused peer was gone before it was told so");
    }
}

/// Whether it was sent: a peer that does not read must not hold its connection for ever.
async fn send(socket: &mut WebSocket, message: Message) -> bool {
    let sent = tokio::time::timeout(SEND_TIMEOUT, socket.send(message)).await;
    matches!(sent, Ok(Ok(())))
}

/// Says the last word, and whether it was sent.
async fn close(socket: &mut WebSocket, code: CloseCode, reason: &str) -> bool {
    let frame = CloseFrame {
        code: code.number(),
        reason: short(reason).into(),
    };
    send(socket, Message::Close(Some(frame))).await
}

/// Serves a node, whose first frame may have come in already.
async fn run(
    api: ApiState,
    socket: WebSocket,
    connection: NodeConnection,
    mut first: Option<Message>,
) {
    let NodeConnection { id, mut outbox } = connection;
    let now = api.services.clock.elapsed_ms();
    let mut session = Session {
        services: Arc::clone(&api.services),
        socket,
        id,
        end: CoordinatorEnd::new(options(api.services.clock.wall(), now), now),
        node: None,
        held_back: BTreeMap::new(),
        asked: JoinSet::new(),
    };
    while !session.end.is_closed() {
        let outputs = tokio::select! {
            incoming = incoming(&mut session.socket, &mut first) => match incoming {
                Some(Ok(Message::Text(text))) if session.is_of_an_agent(&text) => {
                    let id = Opening::of(&text).id;
                    refuse(session.socket, id.as_ref(), &lacks(Scope::Agent)).await;
                    break;
                }
                Some(Ok(Message::Text(text))) => {
                    session.end.on_text(api.services.clock.elapsed_ms(), &text)
                }
                Some(Ok(Message::Binary(bytes))) => {
                    let now = api.services.clock.elapsed_ms();
                    session.end.on_frame(now, FrameRef::Binary(&bytes))
                }
                // Answered by the socket itself; the node speaks often enough without.
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                Some(Ok(Message::Close(_)) | Err(_)) | None => break,
            },
            message = outbox.recv() => match message {
                Some(message) => session.translate(message),
                None => session.end.end(EndCode::Shutdown, "the node was too slow, or the coordinator stops"),
            },
            Some(answered) = session.asked.join_next() => session.answered(answered),
            () = tick(&session.end, &api.services) => {
                session.end.on_tick(api.services.clock.elapsed_ms())
            }
            () = api.shutdown.cancelled() => {
                session.end.end(EndCode::Shutdown, "the coordinator stops")
            }
        };
        if !session.perform(outputs).await {
            break;
        }
    }
    api.services.hive.node_closed(id).await;
}

/// The frame that came in before the session began, or else the next one.
async fn incoming(
    socket: &mut WebSocket,
    first: &mut Option<Message>,
) -> Option<Result<Message, Error>> {
    match first.take() {
        Some(first) => Some(Ok(first)),
        None => socket.recv().await,
    }
}

/// What this end of a connection offers.
fn options(wall: UnixMillis, elapsed_ms: u64) -> CoordinatorOptions {
    let offers = CoordinatorOptions::DEFAULTS.offers;
    CoordinatorOptions {
        offers: offers.or(node_requests::SERVED),
        unix_ms_at_zero: Some(wall.0.saturating_sub(elapsed_ms)),
        ..CoordinatorOptions::DEFAULTS
    }
}

/// Waits until the state machine's next timer.
async fn tick(end: &CoordinatorEnd, services: &Services) {
    match end.next_timer() {
        Some(at) => {
            let ms = at.saturating_sub(services.clock.elapsed_ms());
            tokio::time::sleep(Duration::from_millis(ms)).await;
        }
        None => std::future::pending().await,
    }
}

/// One connection.
struct Session {
    services: Arc<Services>,
    socket: WebSocket,
    id: ConnectionId,
    end: CoordinatorEnd,
    /// Who it says it is. The hive ends the session of one who may not say so, and the state
    /// machine passes questions on only once the session is live.
    node: Option<NodeId>,
    /// Answers to results that were not passed on, until the rest of their request is answered.
    /// Bounded: the state machine bounds unanswered requests.
    held_back: BTreeMap<ReplyId, Vec<ResultAnswer>>,
    /// Questions that are worked on; they end with the connection. Bounded by the state machine.
    asked: JoinSet<Answered>,
}

type Answered = (ReplyId, Result<NodeAnswer, Fault>);

impl Session {
    /// Whether the peer says, before anything else counts, that it is an attached agent.
    fn is_of_an_agent(&self, text: &str) -> bool {
        self.node.is_none() && Opening::of(text).role == Role::Agent
    }

    fn translate(&mut self, mut message: ToNode) -> Vec<CoordinatorOutput> {
        if let ToNode::Answers { request, answers } = &mut message {
            let held_back = self.held_back.remove(request).unwrap_or_default();
            answers.items.extend(held_back);
        }
        message.through(&mut self.end)
    }

    /// Answers a question beside the session, which goes on meanwhile.
    fn ask(&mut self, reply: ReplyId, request: NodeRequest, key: Option<Box<str>>) {
        let Some(node) = self.node else { return };
        let services = Arc::clone(&self.services);
        self.asked.spawn(async move {
            let answer = node_requests::answer(services, node, request, key.as_deref()).await;
            (reply, answer)
        });
    }

    fn answered(&mut self, answered: Result<Answered, JoinError>) -> Vec<CoordinatorOutput> {
        match answered {
            Ok((reply, Ok(answer))) => self.end.reply_ask(&reply, &answer),
            Ok((reply, Err(fault))) => self.end.refuse_ask(&reply, &fault),
            Err(error) => {
                tracing::error!(%error, "the answer to a node broke");
                self.end.end(EndCode::Shutdown, "an answer broke")
            }
        }
    }

    /// Does what the state machine asks for; false when the connection is gone.
    async fn perform(&mut self, outputs: Vec<CoordinatorOutput>) -> bool {
        for output in outputs {
            let alive = match output {
                CoordinatorOutput::Send(Frame::Text(text)) => {
                    send(&mut self.socket, Message::text(text)).await
                }
                CoordinatorOutput::Send(Frame::Binary(bytes)) => {
                    send(&mut self.socket, Message::binary(bytes)).await
                }
                CoordinatorOutput::Event(FromNode::Results { reply, reports }) => {
                    self.results(reply, reports).await
                }
                CoordinatorOutput::Event(FromNode::Hello(hello)) => {
                    self.node = Some(hello.node);
                    let event = FromNode::Hello(hello);
                    self.services.hive.node_event(self.id, event).await;
                    true
                }
                CoordinatorOutput::Event(FromNode::Ask {
                    reply,
                    request,
                    key,
                }) => {
                    self.ask(reply, *request, key);
                    true
                }
                CoordinatorOutput::Event(event) => {
                    self.services.hive.node_event(self.id, event).await;
                    true
                }
                CoordinatorOutput::Close { code, reason } => {
                    close(&mut self.socket, code, &reason).await;
                    false
                }
            };
            if !alive {
                return false;
            }
        }
        true
    }

    /// Passes on results whose artifacts are here; the others are refused, and the node sends
    /// them again after the bytes.
    async fn results(&mut self, reply: ReplyId, reports: Vec<AttemptReport>) -> bool {
        let missing = match missing_artifacts(&self.services, &reports).await {
            Ok(missing) => missing,
            Err(error) => {
                tracing::warn!(%error, "results were not taken: their artifacts were not checked");
                return false;
            }
        };
        let mut complete = Vec::with_capacity(reports.len());
        let mut refused = Vec::new();
        for (report, missing) in reports.into_iter().zip(missing) {
            match missing {
                None => complete.push(report),
                Some(hash) => refused.push(ResultAnswer::new(
                    AttemptKey::from(&report),
                    ResultVerdict::Refused {
                        reason: format!("{}: `{hash}`", ErrorCode::ArtifactMissing.as_str()),
                    },
                )),
            }
        }
        if complete.is_empty() && !refused.is_empty() {
            let outputs = self
                .end
                .reply_results(&reply, &ResultAnswers { items: refused });
            return Box::pin(self.perform(outputs)).await;
        }
        if !refused.is_empty() {
            self.held_back.insert(reply.clone(), refused);
        }
        let event = FromNode::Results {
            reply,
            reports: complete,
        };
        self.services.hive.node_event(self.id, event).await;
        true
    }
}

/// A close frame has room for 123 bytes of reason.
fn short(reason: &str) -> String {
    const REASON_BYTES_MAX: usize = 120;
    let end = reason.floor_char_boundary(REASON_BYTES_MAX.min(reason.len()));
    reason[..end].to_owned()
}
