//! `skep watch`: what the swarm does, drawn anew in place on a terminal, else as lines of events.

use super::Session;
use super::runs::counts_text;
use crate::api::{Api, items, path};
use crate::args::{Progress, WatchArgs};
use crate::event_follower::{EventFollower, newest_cursor};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{Output, raw, table, text};
use crate::progress::is_final_state;
use serde_json::{Value, json};
use skep_client::with_query;
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::time::Duration;

/// Runs that the screen has room for.
const RUNS_SHOWN_MAX: usize = 8;
/// Running tasks that the screen has room for.
const TASKS_SHOWN_MAX: usize = 12;
/// At most one look at the coordinator in this time, however much happens.
const REDRAW_MIN: Duration = Duration::from_millis(250);
/// A look at least this often: loads and counts change without an event.
const REDRAW_MAX: Duration = Duration::from_secs(5);
/// Size of a terminal that does not say its size.
const SCREEN_DEFAULT: (usize, usize) = (80, 24);

pub(crate) async fn run(session: &Session, args: WatchArgs) -> Outcome {
    let api = session.api()?;
    let live = session.output == Output::Text
        && session.global.progress == Progress::Auto
        && std::io::stdout().is_terminal();
    if live {
        return draw_until_end(&api, args.run.as_deref()).await;
    }
    if let Some(run) = args.run {
        return lines_of_run(session.output, &api, &run).await;
    }
    let cursor = newest_cursor(&api).await?;
    super::events::follow(session.output, &api, cursor, None).await
}

/// Events of a run until it is final.
async fn lines_of_run(output: Output, api: &Api, run: &str) -> Outcome {
    let cursor = newest_cursor(api).await?;
    let detail = api.get(&path(&["runs", run])).await?;
    let mut state = text(&detail, "/run/state");
    let mut events = EventFollower::after(api, cursor, [("run", run)]);
    while !is_final_state(&state) {
        let event = events.next().await?;
        super::events::print(output, &event.data)?;
        if event.name == "run_changed" {
            state = text(&event.data, "/data/state");
        } else if event.name == "resync" {
            state = text(&api.get(&path(&["runs", run])).await?, "/run/state");
        }
    }
    Ok(Exit::Ok)
}

async fn draw_until_end(api: &Api, run: Option<&str>) -> Outcome {
    let cursor = newest_cursor(api).await?;
    let mut events = EventFollower::after(api, cursor, run.map(|run| ("run", run)));
    let mut screen = Screen::default();
    loop {
        let picture = Picture::take(api, run).await?;
        screen.draw(&picture.lines())?;
        if picture.is_last {
            return Ok(Exit::Ok);
        }
        tokio::time::sleep(REDRAW_MIN).await;
        match tokio::time::timeout(REDRAW_MAX, events.next()).await {
            Ok(event) => drop(event?),
            Err(_) => continue,
        }
        // What happened meanwhile is in the next picture: it is only taken off the stream.
        while let Ok(event) = tokio::time::timeout(Duration::ZERO, events.next()).await {
            event?;
        }
    }
}

/// What is shown at one moment.
struct Picture {
    status: Value,
    runs: Value,
    tasks: Value,
    nodes: Value,
    is_last: bool,
}

impl Picture {
    async fn take(api: &Api, run: Option<&str>) -> Result<Self, Failure> {
        let status = api.get("/api/v2/system/status").await?;
        let (runs, is_last) = match run {
            None => (api.all("/api/v2/runs", RUNS_SHOWN_MAX).await?, false),
            Some(run) => {
                let detail = api.get(&path(&["runs", run])).await?;
                let is_last = is_final_state(&text(&detail, "/run/state"));
                (json!({ "items": [detail["run"]] }), is_last)
            }
        };
        let filters = [("state", Some("running")), ("run", run)];
        let filters = filters
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?)));
        let tasks = api
            .all(&with_query("/api/v2/tasks", filters), TASKS_SHOWN_MAX)
            .await?;
        let nodes = api
            .all("/api/v2/nodes", skep_model::limits::PAGE_ITEMS_MAX)
            .await?;
        Ok(Self {
            status,
            runs,
            tasks,
            nodes,
            is_last,
        })
    }

    fn lines(&self) -> Vec<String> {
        let counts = counts_text(self.status.pointer("/tasks").unwrap_or(&Value::Null));
        let slots = format!(
            "{}/{}",
            text(&self.status, "/slots_taken"),
            text(&self.status, "/slots")
        );
        let mut out = format!("tasks {counts}   slots {slots}\n\n");
        let runs = items(&self.runs).iter().map(|run| {
            let counts = run.pointer("/counts").unwrap_or(&Value::Null);
            vec![
                text(run, "/id"),
                text(run, "/name"),
                text(run, "/state"),
                counts_text(counts),
            ]
        });
        out.push_str(&table(&["run", "name", "state", "tasks"], runs));
        let names = |node: &str| {
            let known = items(&self.nodes)
                .iter()
                .find(|record| text(record, "/id") == node);
            known.map_or_else(|| node.to_owned(), |record| text(record, "/name"))
        };
        let tasks = items(&self.tasks).iter().map(|task| {
            let node = names(&text(task, "/node"));
            vec![
                text(task, "/name"),
                node,
                text(task, "/attempts"),
                text(task, "/started_at"),
            ]
        });
        out.push_str("\n\n");
        out.push_str(&table(&["running", "node", "attempt", "since"], tasks));
        let nodes = items(&self.nodes).iter().map(|node| {
            let held = format!(
                "{}/{}",
                text(node, "/in_use/attempts"),
                text(node, "/slots")
            );
            vec![
                text(node, "/name"),
                text(node, "/state"),
                held,
                text(node, "/isolation"),
            ]
        });
        out.push_str("\n\n");
        out.push_str(&table(&["node", "state", "attempts", "isolation"], nodes));
        out.lines().map(str::to_owned).collect()
    }
}

/// Lines on a terminal that are drawn over by the next ones.
#[derive(Debug, Default)]
struct Screen {
    lines_drawn: usize,
}

impl Screen {
    fn draw(&mut self, lines: &[String]) -> Result<(), Failure> {
        let shown = fitting(lines, terminal_size());
        let mut out = String::new();
        if self.lines_drawn > 0 {
            let _ = write!(out, "\x1b[{}A", self.lines_drawn);
        }
        for line in &shown {
            out.push_str(line);
            // What the last picture had to the right of this is cleared.
            out.push_str("\x1b[K\n");
        }
        out.push_str("\x1b[J");
        self.lines_drawn = shown.len();
        raw(out.as_bytes())
    }
}

/// Lines cut to the width, and as many as leave room for the prompt. Control characters, which
/// names from elsewhere could hold, do not reach the terminal.
fn fitting(lines: &[String], (width, height): (usize, usize)) -> Vec<String> {
    let rows = height.saturating_sub(1).max(1);
    let cut = |line: &String| -> String {
        line.chars()
            .filter(|character| !character.is_control())
            .take(width)
            .collect()
    };
    lines.iter().take(rows).map(cut).collect()
}

fn terminal_size() -> (usize, usize) {
    match rustix::termios::tcgetwinsize(std::io::stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => {
            (usize::from(size.ws_col), usize::from(size.ws_row))
        }
        _ => SCREEN_DEFAULT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fit_the_terminal_and_cannot_steer_it() {
        let lines = [
            "a long line".to_owned(),
            "\x1b[2Jx".to_owned(),
            "third".to_owned(),
        ];
        assert_eq!(fitting(&lines, (6, 3)), ["a long", "[2Jx"]);
        assert_eq!(fitting(&lines, (3, 0)), ["a l"]);
    }

    #[test]
    fn a_picture_names_runs_tasks_and_nodes() {
        let picture = Picture {
            status: json!({"tasks": {"running": 1}, "slots": 4, "slots_taken": 1}),
            runs: json!({"items": [{"id": "run_1", "name": "demo", "state": "running",
                "counts": {"running": 1, "succeeded": 2}}]}),
            tasks: json!({"items": [{"name": "build", "node": "node_1", "attempts": 2}]}),
            nodes: json!({"items": [{"id": "node_1", "name": "local-1", "state": "ready",
                "in_use": {"attempts": 1}, "slots": 4, "isolation": "s1"}]}),
            is_last: false,
        };
        let shown = picture.lines().join("\n");
        for wanted in [
            "slots 1/4",
            "1 running, 2 succeeded",
            "build",
            "local-1  2",
            "s1",
        ] {
            assert!(shown.contains(wanted), "{wanted} is missing in\n{shown}");
        }
    }
}
