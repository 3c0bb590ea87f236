//! `/mcpx` for an attached agent: moves frames between the socket, the protocol's state machine and
//! the operations of sessions, and decides nothing.
//!
//! Requests are carried out one after the other. While the agent wants work and has none, one request
//! for work is open beside them; whatever changes at its seat wakes the connection, which compares.

use super::{close, send};
use crate::authenticate;
use crate::state::ApiState;
use axum::extract::ws::{Message, WebSocket};
use axum::http::HeaderMap;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, OptionFuture};
use skep_coordinator::SeatWatch;
use skep_model::limits::SESSIONS_MAX;
use skep_operations::agent_line::{self, AgentSeat, SeatStanding};
use skep_operations::{Context, ErrorCode, OperationError};
use skep_wire::payload::{AgentAnswer, AgentHello, AgentWelcome, EndCode};
use skep_wire::{AgentAsk, AgentHost, AgentHostOptions, AgentHostOutput, Fault};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Pause between two requests for work: one that is refused at once must not be made again at once.
const ASK_PAUSE_MS: u64 = 250;

/// Counts a connection as long as it lives.
#[derive(Debug)]
pub(super) struct Place(Arc<AtomicUsize>);

impl Place {
    /// One of `SESSIONS_MAX`.
    pub(super) fn take(count: &Arc<AtomicUsize>) -> Result<Self, Fault> {
        let place = Self(Arc::clone(count));
        if count.fetch_add(1, Ordering::Relaxed) < SESSIONS_MAX {
            return Ok(place);
        }
        let message = format!("SESSIONS_MAX is {SESSIONS_MAX}: so many agents are connected");
        Err(Fault::refusal(ErrorCode::LimitExceeded.as_str(), message).retryable(true))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What was carried out.
enum Done {
    Registered(Result<(AgentSeat, AgentWelcome), Fault>),
    Answered(AgentAsk, Result<AgentAnswer, Fault>),
}

/// One connection.
pub(super) struct Line {
    api: ApiState,
    /// Of the upgrade: its token is checked again for each request, so a revoked one ends here too.
    headers: HeaderMap,
    socket: WebSocket,
    host: AgentHost,
    seat: Option<AgentSeat>,
    watch: Option<SeatWatch>,
    /// Requests that wait for their turn. Bounded by the state machine.
    waiting: VecDeque<AgentAsk>,
    working: Option<BoxFuture<'static, Done>>,
    /// The open request for work.
    asking: Option<BoxFuture<'static, Result<(), Fault>>>,
    /// No request for work is made before this.
    ask_at: u64,
    _place: Place,
}

impl Line {
    pub(super) fn new(api: ApiState, headers: HeaderMap, socket: WebSocket, place: Place) -> Self {
        let (now, wall) = (api.services.clock.elapsed_ms(), api.services.clock.wall());
        let options = AgentHostOptions {
            unix_ms_at_zero: Some(wall.0.saturating_sub(now)),
            ..AgentHostOptions::DEFAULTS
        };
        Self {
            api,
            headers,
            socket,
            host: AgentHost::new(options, now),
            seat: None,
            watch: None,
            waiting: VecDeque::new(),
            working: None,
            asking: None,
            ask_at: 0,
            _place: place,
        }
    }

    /// Serves the connection, whose first frame came in already, to its end.
    pub(super) async fn serve(mut self, first: String) {
        let outputs = self.host.on_text(self.now(), &first);
        let mut alive = self.perform(outputs).await;
        while alive && !self.host.is_closed() {
            let outputs = self.next().await;
            let Some(outputs) = outputs else { return };
            alive = self.perform(outputs).await && self.settle().await;
        }
    }

    fn now(&self) -> u64 {
        self.api.services.clock.elapsed_ms()
    }

    /// Waits for what happens next; none when the connection is gone.
    async fn next(&mut self) -> Option<Vec<AgentHostOutput>> {
        let now = self.now();
        let tick = sleep_until(self.next_timer(now), now);
        let watched = OptionFuture::from(self.watch.as_mut().map(SeatWatch::changed));
        tokio::select! {
            incoming = self.socket.recv() => match incoming {
                Some(Ok(Message::Text(text))) => {
                    let now = self.now();
                    Some(self.host.on_text(now, &text))
                }
                Some(Ok(Message::Binary(_))) => {
                    let now = self.now();
                    Some(self.host.on_binary(now))
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => Some(Vec::new()),
                Some(Ok(Message::Close(_)) | Err(_)) | None => None,
            },
            Some(done) = OptionFuture::from(self.working.as_mut()) => {
                self.working = None;
                Some(self.done(done))
            }
            Some(is_ours) = watched => Some(if is_ours {
                Vec::new()
            } else {
                self.host.end(EndCode::Replaced, "a newer connection is this session")
            }),
            Some(asked) = OptionFuture::from(self.asking.as_mut()) => {
                self.asking = None;
                self.ask_at = self.now().saturating_add(ASK_PAUSE_MS);
                Some(self.asked(asked))
            }
            () = tick => {
                let now = self.now();
                Some(self.host.on_tick(now))
            }
            () = self.api.shutdown.cancelled() => {
                Some(self.host.end(EndCode::Shutdown, "the coordinator stops"))
            }
        }
    }

    fn next_timer(&self, now: u64) -> Option<u64> {
        let asks = self.asking.is_none() && self.host.asks_for_work(now);
        let ask_at = asks.then_some(self.ask_at);
        self.host.next_timer().into_iter().chain(ask_at).min()
    }

    fn done(&mut self, done: Done) -> Vec<AgentHostOutput> {
        match done {
            Done::Registered(Ok((seat, welcome))) => {
                self.watch = Some(self.api.services.hive.watch_seat(seat.node));
                self.seat = Some(seat);
                self.host.reply_hello(&welcome)
            }
            Done::Registered(Err(fault)) => self.host.refuse_hello(&fault),
            Done::Answered(ask, Ok(answer)) => self.host.reply(&ask, &answer),
            Done::Answered(ask, Err(fault)) => self.host.refuse(&ask, &fault),
        }
    }

    /// A request for work is over. What came of it, the seat says; one that was refused for good,
    /// because the token is not good any more for example, ends the connection.
    fn asked(&mut self, asked: Result<(), Fault>) -> Vec<AgentHostOutput> {
        match asked {
            Err(fault) if !fault.may_pass() => self.host.end(EndCode::Removed, &fault.message),
            Err(fault) => {
                tracing::debug!(
                    reason = fault.message,
                    "a request for work was refused for now"
                );
                Vec::new()
            }
            Ok(()) => Vec::new(),
        }
    }

    /// Compares what the agent was told with what its seat holds, and begins what is to be done.
    /// False when the connection is gone.
    async fn settle(&mut self) -> bool {
        let outputs = match self.compared() {
            Ok(outputs) => outputs,
            Err(error) => {
                tracing::error!(%error, "what an agent has could not be told");
                self.host.end(EndCode::Shutdown, "an answer broke")
            }
        };
        if !self.perform(outputs).await {
            return false;
        }
        if self.working.is_none()
            && let Some((ask, seat)) = self
                .seat
                .and_then(|seat| Some((self.waiting.pop_front()?, seat)))
        {
            self.working = Some(self.carry_out(ask, seat));
        }
        let now = self.now();
        if !self.host.asks_for_work(now) {
            // Dropping it withdraws it.
            self.asking = None;
        } else if self.asking.is_none() && self.ask_at <= now {
            self.asking = self.seat.map(|seat| self.request_for_work(seat));
        }
        true
    }

    fn compared(&mut self) -> Result<Vec<AgentHostOutput>, OperationError> {
        let Some(seat) = self.seat.filter(|_| self.host.is_live()) else {
            return Ok(Vec::new());
        };
        Ok(match agent_line::standing(&self.api.services, seat)? {
            SeatStanding::Free => self.host.holds(None),
            SeatStanding::Has(task) => self.host.holds(Some(task)),
            SeatStanding::Replaced => {
                let reason = "another process is this session now";
                self.host.end(EndCode::Replaced, reason)
            }
            // Its own farewell is answered before.
            SeatStanding::Gone if self.working.is_some() => Vec::new(),
            SeatStanding::Gone => self.host.end(EndCode::Removed, "the session was ended"),
        })
    }

    fn context(&self) -> Result<Context, Fault> {
        let caller = authenticate::principal(&self.headers, &self.api.services);
        let caller = caller.map_err(|failure| {
            let error = &failure.0;
            Fault::refusal(error.code().as_str(), error.detail())
        })?;
        Ok(Context::new(Arc::clone(&self.api.services), caller))
    }

    fn register(&self, hello: AgentHello) -> BoxFuture<'static, Done> {
        let context = self.context();
        async move {
            Done::Registered(match context {
                Ok(context) => agent_line::register(context, hello.session).await,
                Err(fault) => Err(fault),
            })
        }
        .boxed()
    }

    fn carry_out(&self, ask: AgentAsk, seat: AgentSeat) -> BoxFuture<'static, Done> {
        let context = self.context();
        async move {
            let answered = match context {
                Ok(context) => agent_line::answer(context, seat, ask.request.clone()).await,
                Err(fault) => Err(fault),
            };
            Done::Answered(ask, answered)
        }
        .boxed()
    }

    fn request_for_work(&self, seat: AgentSeat) -> BoxFuture<'static, Result<(), Fault>> {
        let context = self.context();
        async move { agent_line::ask_for_work(context?, seat).await }.boxed()
    }

    /// Does what the state machine asks for; false when the connection is gone.
    async fn perform(&mut self, outputs: Vec<AgentHostOutput>) -> bool {
        for output in outputs {
            let alive = match output {
                AgentHostOutput::Send(text) => send(&mut self.socket, Message::text(text)).await,
                AgentHostOutput::Hello(hello) => {
                    self.working = Some(self.register(*hello));
                    true
                }
                AgentHostOutput::Asks(ask) => {
                    self.waiting.push_back(ask);
                    true
                }
                AgentHostOutput::Close { code, reason } => {
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
}

async fn sleep_until(at: Option<u64>, now: u64) {
    match at {
        Some(at) => tokio::time::sleep(Duration::from_millis(at.saturating_sub(now))).await,
        None => std::future::pending().await,
    }
}
