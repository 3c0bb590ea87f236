//! `skep work serve`: an attached agent over MCPX that runs a command for each task.

use super::super::Session;
use super::attempt::Attempt;
use crate::args::ServeArgs;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{Output, note, text};
use crate::signals::shutdown_on_signals;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, OptionFuture};
use serde_json::{Map, Value, json};
use skep_client::{Client, Line, LineError};
use skep_wire::payload::{AgentEnded, AgentTask, AttemptKey};
use skep_wire::{AgentEnd, AgentExit, AgentInput, AgentOptions, AgentOutput, Fault};
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use uuid::Uuid;

const ENDPOINT: &str = "/mcpx";
/// Longest wait for a timer.
const SLEEP_MAX_MS: u64 = 60_000;

/// Takes tasks until it is told to stop, sent away, or has done as many as it should.
pub(super) async fn serve(session: &Session, args: ServeArgs) -> Outcome {
    let client = session.api()?.client().clone();
    let stop = shutdown_on_signals();
    let mut worker = Worker::new(session.output, client, args);
    let mut is_stopping = false;
    worker.feed(AgentInput::Tick).await?;
    let exit = loop {
        if let Some(exit) = worker.exit.take() {
            break exit;
        }
        let input = tokio::select! {
            input = worker.next() => input,
            () = stop.cancelled(), if !is_stopping => {
                is_stopping = true;
                Some(AgentInput::Leave)
            }
        };
        if let Some(input) = input {
            worker.feed(input).await?;
        }
    };
    if let Some(mut attempt) = worker.attempt.take() {
        attempt.end();
        attempt.ended().await;
    }
    judge(exit)
}

fn judge(exit: AgentExit) -> Outcome {
    match exit {
        AgentExit::Left => Ok(Exit::Ok),
        AgentExit::Refused(reason) => Err(Failure::new(Exit::Denied, "session_refused", reason)),
        AgentExit::Ended(code, reason) => {
            let message = format!("{}: {reason}", code.as_str());
            Err(Failure::new(Exit::Conflict, "session_ended", message))
        }
    }
}

/// The agent: its end of the protocol, its connection, and the command that runs.
struct Worker {
    output: Output,
    client: Client,
    command: String,
    /// Its id, once it was welcomed.
    id: String,
    end: AgentEnd,
    start: Instant,
    line: Option<Line>,
    opening: Option<BoxFuture<'static, Result<Line, LineError>>>,
    attempt: Option<Attempt>,
    /// A task that begins when the command before it is gone.
    next: Option<Box<AgentTask>>,
    /// Tasks that are still to be begun, if they are counted.
    left: Option<u32>,
    exit: Option<AgentExit>,
}

impl Worker {
    fn new(output: Output, client: Client, args: ServeArgs) -> Self {
        let mark = Uuid::new_v4();
        let mut session = Map::new();
        if let Some(name) = args.name {
            session.insert("name".to_owned(), name.into());
        }
        let about = json!({
            "instance": format!("skep work serve {mark}"),
            "capabilities": super::rated(&args.capabilities),
            "heartbeat": "background",
            "client": concat!("skep work ", env!("CARGO_PKG_VERSION")),
        });
        if let Value::Object(about) = about {
            session.extend(about);
        }
        let (jitter_seed, _) = mark.as_u64_pair();
        Self {
            output,
            client,
            command: args.exec,
            id: String::new(),
            end: AgentEnd::new(AgentOptions {
                session,
                jitter_seed,
            }),
            start: Instant::now(),
            line: None,
            opening: None,
            attempt: None,
            next: None,
            left: args.count,
            exit: None,
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Waits for what happens next; none when it concerns only the command.
    async fn next(&mut self) -> Option<AgentInput> {
        let wait_ms = self.end.next_timer().map_or(SLEEP_MAX_MS, |at| {
            at.saturating_sub(self.now()).min(SLEEP_MAX_MS)
        });
        tokio::select! {
            Some(frame) = OptionFuture::from(self.line.as_mut().map(Line::next)) => {
                Some(match frame {
                    Ok(text) => AgentInput::Text(text),
                    Err(error) => self.lost(&error),
                })
            }
            Some(opened) = OptionFuture::from(self.opening.as_mut()) => {
                self.opening = None;
                Some(match opened {
                    Ok(line) => {
                        self.line = Some(line);
                        AgentInput::Connected
                    }
                    Err(LineError::Refused(reason)) => AgentInput::Refused(reason),
                    Err(error) => self.lost(&error),
                })
            }
            Some(outcome) = OptionFuture::from(self.attempt.as_mut().map(Attempt::ended)) => {
                let key = self.attempt.take().map(|attempt| attempt.key);
                self.begin_next();
                key.zip(outcome).map(|(key, outcome)| AgentInput::Finish(key, outcome))
            }
            () = tokio::time::sleep(Duration::from_millis(wait_ms)) => Some(AgentInput::Tick),
        }
    }

    fn lost(&mut self, error: &LineError) -> AgentInput {
        self.line = None;
        note(&format!(
            "no connection to the coordinator: {error}; trying again"
        ));
        AgentInput::Disconnected
    }

    /// Takes in what happened, and does what follows.
    async fn feed(&mut self, input: AgentInput) -> Result<(), Failure> {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            for output in self.end.handle(self.now(), input) {
                inputs.extend(self.perform(output).await?);
            }
        }
        Ok(())
    }

    async fn perform(&mut self, output: AgentOutput) -> Result<Option<AgentInput>, Failure> {
        match output {
            AgentOutput::Connect => {
                let client = self.client.clone();
                let opening = async move { client.open_line(ENDPOINT).await };
                self.opening = Some(opening.boxed());
            }
            AgentOutput::Send(text) => {
                if let Some(line) = &mut self.line
                    && let Err(error) = line.send(text).await
                {
                    return Ok(Some(self.lost(&error)));
                }
            }
            AgentOutput::Disconnect(reason) => {
                note(&format!("the connection is given up: {reason}"));
                self.opening = None;
                if let Some(line) = self.line.take() {
                    line.close().await;
                }
            }
            AgentOutput::Welcomed(id, name) => {
                self.id = id.to_string();
                note(&format!("session {name} ({id}) takes tasks"));
            }
            AgentOutput::Work(task) => return self.work(task),
            AgentOutput::Drop(key) => return self.dropped(key),
            AgentOutput::Ended(key, answer) => return self.ended(key, answer),
            AgentOutput::Exit(exit) => {
                if let Some(line) = self.line.take() {
                    line.close().await;
                }
                self.exit = Some(exit);
            }
        }
        Ok(None)
    }

    fn work(&mut self, task: Box<AgentTask>) -> Result<Option<AgentInput>, Failure> {
        self.say(task.key(), "begun", &Value::from(task.name.as_str()))?;
        self.next = Some(task);
        self.begin_next();
        self.left = self.left.map(|left| left.saturating_sub(1));
        Ok(self.is_last().then_some(AgentInput::NoMoreWork))
    }

    fn begin_next(&mut self) {
        if self.attempt.is_none()
            && let Some(task) = self.next.take()
        {
            let client = self.client.clone();
            self.attempt = Some(Attempt::start(client, &self.command, &self.id, &task));
        }
    }

    fn dropped(&mut self, key: AttemptKey) -> Result<Option<AgentInput>, Failure> {
        self.next = self.next.take().filter(|next| next.key() != key);
        if let Some(attempt) = &mut self.attempt
            && attempt.key == key
        {
            attempt.end();
        }
        self.say(key, "taken_back", &Value::Null)?;
        Ok(self.is_last().then_some(AgentInput::Leave))
    }

    /// Whether no task is begun after the present one.
    fn is_last(&self) -> bool {
        self.left == Some(0)
    }

    fn ended(
        &mut self,
        key: AttemptKey,
        answer: Result<AgentEnded, Fault>,
    ) -> Result<Option<AgentInput>, Failure> {
        match answer {
            Ok(ended) => self.say(key, "ended", &json!(ended.state))?,
            Err(fault) => {
                let reason = format!("{}: {}", fault.word(), fault.message);
                self.say(key, "refused", &reason.into())?;
            }
        }
        Ok(self.is_last().then_some(AgentInput::Leave))
    }

    fn say(&self, key: AttemptKey, event: &str, detail: &Value) -> Result<(), Failure> {
        let document = json!({
            "task": key.task, "fence": key.fence.to_string(), "event": event, "detail": detail,
        });
        self.output.streamed(&document, |document| {
            let line = |field: &str| text(document, field);
            match detail {
                Value::Null => format!("{}  {}", line("/task"), line("/event")),
                _ => format!("{}  {}  {}", line("/task"), line("/event"), line("/detail")),
            }
        })
    }
}
