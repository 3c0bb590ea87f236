//! Shows how a run goes on, until it is final.

use crate::api::Api;
use crate::args::Progress;
use crate::commands::Session;
use crate::event_follower::EventFollower;
use crate::exit::{Exit, Failure};
use crate::output::{duration, exact, note, shown, text};
use crate::terminal_text::in_a_line;
use serde_json::Value;
use skep_operations::Timestamp;
use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};

/// Running tasks that the live view names.
const RUNNING_SHOWN_MAX: usize = 6;

/// How a run ended.
#[derive(Debug)]
pub(crate) struct RunEnd {
    /// The contract object: run, tasks, artifacts.
    pub(crate) detail: Value,
}

impl RunEnd {
    /// 0 when it succeeded, 5 when not.
    pub(crate) fn exit(&self) -> Exit {
        if text(&self.detail, "/run/state") == "succeeded" {
            Exit::Ok
        } else {
            Exit::TaskFailed
        }
    }
}

/// Follows a run by its events and shows them; ends when the run is final.
pub(crate) async fn follow(session: &Session, api: &Api, run: &str) -> Result<RunEnd, Failure> {
    RunFollower::new(session, api, run).until_end().await
}

/// A run that is followed, also over a cancellation by the one who follows it.
pub(crate) struct RunFollower<'a> {
    api: &'a Api,
    path: String,
    events: EventFollower,
    view: View,
}

impl<'a> RunFollower<'a> {
    pub(crate) fn new(session: &Session, api: &'a Api, run: &str) -> Self {
        Self {
            api,
            path: format!("/api/v2/runs/{run}"),
            // From the beginning: what happened before we came is shown, too, and nothing is
            // missed.
            events: EventFollower::after(api, "0.0".to_owned(), [("run", run)]),
            view: View::new(session),
        }
    }

    /// Shows what happens until the run is final. Dropping the future loses nothing: the next call
    /// goes on where this one was.
    pub(crate) async fn until_end(&mut self) -> Result<RunEnd, Failure> {
        let mut detail = self.api.get(&self.path).await?;
        self.view.names(&detail);
        while !is_final(&detail) {
            let event = self.events.next().await?;
            self.view.event(&event.data);
            let ended = event.name == "resync"
                || (event.name == "run_changed"
                    && is_final_state(&text(&event.data, "/data/state")));
            if ended {
                detail = self.api.get(&self.path).await?;
            }
        }
        self.view.finish(&detail);
        Ok(RunEnd { detail })
    }
}

fn is_final(detail: &Value) -> bool {
    is_final_state(&text(detail, "/run/state"))
}

/// Whether a run in this state never changes again.
pub(crate) fn is_final_state(state: &str) -> bool {
    matches!(state, "succeeded" | "failed" | "cancelled")
}

struct View {
    mode: Mode,
    /// When the run was taken in.
    started: Option<Timestamp>,
    tasks: BTreeMap<String, (String, String)>,
    lines_drawn: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Live,
    Plain,
    Silent,
}

impl View {
    fn new(session: &Session) -> Self {
        let live = std::io::stderr().is_terminal()
            && std::env::var_os("TERM").is_some_and(|term| term != "dumb");
        let mode = match session.global.progress {
            Progress::None => Mode::Silent,
            Progress::Auto if live => Mode::Live,
            Progress::Auto | Progress::Plain => Mode::Plain,
        };
        Self {
            mode,
            started: None,
            tasks: BTreeMap::new(),
            lines_drawn: 0,
        }
    }

    fn names(&mut self, detail: &Value) {
        self.started = time(detail, "/run/started_at");
        let tasks = detail.pointer("/tasks").and_then(Value::as_array);
        for task in tasks.into_iter().flatten() {
            let state = self
                .tasks
                .get(&text(task, "/id"))
                .map(|(_, state)| state.clone());
            let state = state.unwrap_or_else(|| "pending".to_owned());
            self.tasks
                .insert(text(task, "/id"), (text(task, "/name"), state));
        }
    }

    fn event(&mut self, event: &Value) {
        let kind = text(event, "/event");
        let id = text(event, "/task");
        let state = match kind.as_str() {
            "task_submitted" => {
                let state = text(event, "/data/state");
                self.tasks.insert(id, (text(event, "/data/name"), state));
                return;
            }
            "task_changed" | "task_finished" => text(event, "/data/state"),
            "task_leased" => "leased".to_owned(),
            "task_progressed" => text(event, "/data/phase"),
            "attempt_ended" => "retrying".to_owned(),
            _ => return,
        };
        let Some((name, known)) = self.tasks.get_mut(&id) else {
            return;
        };
        known.clone_from(&state);
        let name = name.clone();
        // Plain output says what matters: starts are seen by what ends.
        let worth_a_line = matches!(kind.as_str(), "task_finished" | "attempt_ended");
        match self.mode {
            Mode::Plain if worth_a_line => self.plain(&kind, &name, &state, event),
            Mode::Silent | Mode::Plain => {}
            Mode::Live => self.draw(event),
        }
    }

    fn plain(&self, kind: &str, name: &str, state: &str, event: &Value) {
        let done = self
            .tasks
            .values()
            .filter(|(_, state)| is_final_task(state))
            .count();
        let elapsed = self.elapsed(time(event, "/at"));
        let what = if kind == "attempt_ended" {
            let ended = ended_text(event.pointer("/data/ended").unwrap_or(&Value::Null));
            format!("attempt {} ended: {ended}", text(event, "/data/attempt"))
        } else {
            state.to_owned()
        };
        note(&format!(
            "{elapsed:>8}  {done}/{}  {name}: {what}",
            self.tasks.len()
        ));
    }

    /// Draws over what was drawn before: a line of counts and the tasks that run.
    fn draw(&mut self, event: &Value) {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for (_, state) in self.tasks.values() {
            *counts.entry(state.as_str()).or_default() += 1;
        }
        let summary: Vec<_> = counts
            .iter()
            .map(|(state, count)| format!("{count} {state}"))
            .collect();
        let elapsed = self.elapsed(time(event, "/at"));
        let mut lines = vec![format!("{elapsed}  {}", summary.join(", "))];
        let running = self
            .tasks
            .values()
            .filter(|(_, state)| matches!(state.as_str(), "leased" | "running" | "verifying"));
        lines.extend(
            running
                .take(RUNNING_SHOWN_MAX)
                .map(|(name, state)| format!("  {state:10} {name}")),
        );
        self.erase();
        self.lines_drawn = lines.len();
        note(&lines.join("\n"));
    }

    fn erase(&mut self) {
        if self.lines_drawn == 0 {
            return;
        }
        let mut stderr = std::io::stderr().lock();
        // Up to the first drawn line, then clear to the end of the screen.
        drop(write!(stderr, "\x1b[{}A\x1b[J", self.lines_drawn));
        self.lines_drawn = 0;
    }

    fn finish(&mut self, detail: &Value) {
        if self.mode == Mode::Live {
            self.erase();
        }
        note(&self.last_line(detail));
    }

    fn last_line(&self, detail: &Value) -> String {
        format!(
            "run {} {} in {}",
            text(detail, "/run/id"),
            text(detail, "/run/state"),
            self.elapsed(time(detail, "/run/finished_at"))
        )
    }

    /// From the submission of the run to a point in its life, by the clock of the coordinator.
    fn elapsed(&self, until: Option<Timestamp>) -> String {
        match (self.started, until) {
            (Some(started), Some(until)) => duration(until.0.since(started.0)),
            _ => "-".to_owned(),
        }
    }
}

fn time(value: &Value, pointer: &str) -> Option<Timestamp> {
    exact(value, pointer).parse().ok()
}

/// How an attempt ended, in words.
fn ended_text(ended: &Value) -> String {
    if let Some(code) = ended.pointer("/reported/exited/code") {
        return format!("exit code {code}");
    }
    if let Some(gate) = ended.pointer("/reported/gate_failed/gate") {
        return format!("gate `{}` did not pass", shown(gate));
    }
    if let Some(message) = ended.pointer("/reported/error/message") {
        return shown(message);
    }
    match ended.pointer("/reported").unwrap_or(ended).as_str() {
        Some("timed_out") => "stopped at its timeout".to_owned(),
        Some("interrupted") => "stopped by its node".to_owned(),
        Some("lost") => "its node was lost or restarted".to_owned(),
        Some(word) => in_a_line(word).replace('_', " "),
        None => shown(ended),
    }
}

fn is_final_task(state: &str) -> bool {
    matches!(
        state,
        "succeeded" | "failed" | "cancelled" | "expired" | "unknown"
    )
}

#[cfg(test)]
mod tests {
    use super::{Mode, View, ended_text};
    use serde_json::json;
    use std::collections::BTreeMap;

    #[test]
    fn a_run_takes_its_own_time_whenever_it_began_to_be_followed() {
        let mut view = View {
            mode: Mode::Silent,
            started: None,
            tasks: BTreeMap::new(),
            lines_drawn: 0,
        };
        let mut detail = json!({"run": {
            "id": "run_1",
            "state": "cancelled",
            "started_at": "2026-11-21T10:39:58.900Z",
            "finished_at": "2026-11-21T10:41:01.000Z",
        }});
        view.names(&detail);
        let line = view.last_line(&detail);
        assert_eq!(line, "run run_1 cancelled in 1 min 02 s");
        detail["run"]["finished_at"] = json!(null);
        assert_eq!(view.last_line(&detail), "run run_1 cancelled in -");
    }

    #[test]
    fn the_end_of_an_attempt_is_told_in_words() {
        let cases = [
            (json!({"reported": {"exited": {"code": 3}}}), "exit code 3"),
            (
                json!({"reported": {"gate_failed": {"gate": "lint"}}}),
                "gate `lint` did not pass",
            ),
            (json!({"reported": "timed_out"}), "stopped at its timeout"),
            (json!("lost"), "its node was lost or restarted"),
            (
                json!({"reported": {"error": {"code": "x", "message": "no room"}}}),
                "no room",
            ),
        ];
        for (ended, wanted) in cases {
            assert_eq!(ended_text(&ended), wanted);
        }
    }
}
