//! `skep wait`: until a run or task is in a state, by its events.

use super::Session;
use crate::api::{Api, path};
use crate::args::WaitArgs;
use crate::event_follower::{EventFollower, is_resync, newest_cursor};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{Output, note, text};
use serde_json::Value;
use skep_model::run::RunState;
use skep_model::task::TaskState;
use std::time::Duration;

/// The word for any final state.
const DONE: &str = "done";

pub(crate) async fn run(session: &Session, args: WaitArgs) -> Outcome {
    let subject = Subject::of(&args.id)?;
    subject.check_state(&args.state)?;
    let api = session.api()?;
    let waiting = wait(&api, &subject, &args.state);
    let (exit, detail) = match args.timeout {
        None => waiting.await?,
        Some(seconds) => tokio::time::timeout(Duration::from_secs(seconds), waiting)
            .await
            .map_err(|_| timed_out(&args, seconds))??,
    };
    let state = text(&detail, subject.state_at());
    session
        .output
        .document(&detail, |_| format!("{} {state}", args.id))?;
    if exit == Exit::OtherState && session.output == Output::Text {
        note(&format!(
            "it ended {state} and was never seen {}",
            args.state
        ));
    }
    Ok(exit)
}

fn timed_out(args: &WaitArgs, seconds: u64) -> Failure {
    let message = format!("`{}` was not {} within {seconds} s", args.id, args.state);
    Failure::new(Exit::TimedOut, "wait_timed_out", message)
        .hint("`skep explain TASK` says what a task waits for")
}

/// What is waited for.
#[derive(Debug, PartialEq, Eq)]
enum Subject {
    Run(String),
    Task(String),
}

impl Subject {
    fn of(id: &str) -> Result<Self, Failure> {
        match id.split_once('_') {
            Some(("run", _)) => Ok(Self::Run(id.to_owned())),
            Some(("task", _)) => Ok(Self::Task(id.to_owned())),
            _ => {
                let message = format!("`{id}` is neither a run nor a task");
                Err(Failure::new(Exit::Invalid, "id_malformed", message)
                    .hint("ids start with `run_` or `task_`; `skep run ls` and `skep task ls`"))
            }
        }
    }

    fn check_state(&self, state: &str) -> Result<(), Failure> {
        let states: Vec<_> = match self {
            Self::Run(_) => RunState::ALL.iter().map(|state| state.as_str()).collect(),
            Self::Task(_) => TaskState::ALL.iter().map(|state| state.as_str()).collect(),
        };
        if state == DONE || states.contains(&state) {
            return Ok(());
        }
        let message = format!("`{state}` is not a state to wait for");
        Err(Failure::new(Exit::Invalid, "state_unknown", message)
            .hint(format!("use {DONE}, {}", states.join(", "))))
    }

    fn path(&self) -> String {
        match self {
            Self::Run(id) => path(&["runs", id]),
            Self::Task(id) => path(&["tasks", id]),
        }
    }

    fn filter(&self) -> (&'static str, &str) {
        match self {
            Self::Run(id) => ("run", id),
            Self::Task(id) => ("task", id),
        }
    }

    const fn state_at(&self) -> &'static str {
        match self {
            Self::Run(_) => "/run/state",
            Self::Task(_) => "/state",
        }
    }

    /// The state after an event, if the event says one.
    fn state_after(&self, event: &Value) -> Option<String> {
        let state = match (self, text(event, "/event").as_str()) {
            (Self::Run(_), "run_changed") | (Self::Task(_), "task_changed" | "task_finished") => {
                text(event, "/data/state")
            }
            (Self::Task(_), "task_leased") => "leased".to_owned(),
            (Self::Task(_), "task_progressed") => text(event, "/data/phase"),
            _ => return None,
        };
        Some(state)
    }
}

/// Waits and gives the exit code with the last look at the run or task.
async fn wait(api: &Api, subject: &Subject, wanted: &str) -> Result<(Exit, Value), Failure> {
    // The cursor first: what happens between both reads is then seen as an event.
    let cursor = newest_cursor(api).await?;
    let detail = api.get(&subject.path()).await?;
    let mut state = text(&detail, subject.state_at());
    let mut events = EventFollower::after(api, cursor, [subject.filter()]);
    loop {
        if let Some(exit) = verdict(wanted, &state) {
            return Ok((exit, api.get(&subject.path()).await?));
        }
        let event = events.next().await?;
        if is_resync(&event) {
            state = text(&api.get(&subject.path()).await?, subject.state_at());
        } else if let Some(next) = subject.state_after(&event.data) {
            state = next;
        }
    }
}

/// The exit code for a state, if waiting ends with it.
fn verdict(wanted: &str, state: &str) -> Option<Exit> {
    let is_final = matches!(
        state,
        "succeeded" | "failed" | "cancelled" | "expired" | "unknown"
    );
    match (wanted, state) {
        (DONE, "succeeded") => Some(Exit::Ok),
        (DONE, _) if is_final => Some(Exit::TaskFailed),
        _ if wanted == state => Some(Exit::Ok),
        _ if is_final => Some(Exit::OtherState),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_exit_code_follows_from_the_wanted_and_the_seen_state() {
        for (wanted, state, exit) in [
            ("done", "running", None),
            ("done", "rolling_back", None),
            ("done", "succeeded", Some(Exit::Ok)),
            ("done", "failed", Some(Exit::TaskFailed)),
            ("done", "cancelled", Some(Exit::TaskFailed)),
            ("failed", "failed", Some(Exit::Ok)),
            ("succeeded", "failed", Some(Exit::OtherState)),
            ("running", "leased", None),
            ("running", "running", Some(Exit::Ok)),
            ("running", "succeeded", Some(Exit::OtherState)),
        ] {
            assert_eq!(verdict(wanted, state), exit, "{wanted} {state}");
        }
    }

    #[test]
    fn states_come_from_the_events_of_the_subject() {
        let run = Subject::Run("run_1".to_owned());
        let task = Subject::Task("task_1".to_owned());
        let progressed = json!({"event": "task_progressed", "data": {"phase": "verifying"}});
        let changed = json!({"event": "run_changed", "data": {"state": "paused"}});
        assert_eq!(task.state_after(&progressed).as_deref(), Some("verifying"));
        assert_eq!(run.state_after(&progressed), None);
        assert_eq!(run.state_after(&changed).as_deref(), Some("paused"));
        assert_eq!(task.state_after(&changed), None);
    }

    #[test]
    fn an_id_or_state_that_cannot_be_waited_for_is_refused_at_once() {
        assert_eq!(Subject::of("node_1").unwrap_err().exit, Exit::Invalid);
        let run = Subject::of("run_1").unwrap();
        assert!(run.check_state("rolling_back").is_ok() && run.check_state("done").is_ok());
        assert_eq!(run.check_state("leased").unwrap_err().exit, Exit::Invalid);
    }
}
