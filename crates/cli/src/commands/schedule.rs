//! `skep schedule`: plans that are submitted again and again.

use super::Session;
use crate::api::{Api, items, path};
use crate::args::{CreateScheduleArgs, ScheduleCommand};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{table, text};
use crate::plan_input::read;
use serde_json::{Value, json};

pub(crate) async fn run(session: &Session, command: ScheduleCommand) -> Outcome {
    match command {
        ScheduleCommand::Create(args) => create(session, &args).await,
        ScheduleCommand::Ls => {
            let api = session.api()?;
            let page = api.get("/api/v2/schedules").await?;
            session.output.document(&page, list_text)?;
            Ok(Exit::Ok)
        }
        ScheduleCommand::Show { schedule } => {
            let api = session.api()?;
            let shown = api.get(&path(&["schedules", &schedule])).await?;
            session.output.document(&shown, schedule_text)?;
            Ok(Exit::Ok)
        }
        ScheduleCommand::Pause { schedule } => change(session, &schedule, "pause").await,
        ScheduleCommand::Resume { schedule } => change(session, &schedule, "resume").await,
        ScheduleCommand::Fire { schedule } => {
            let api = session.api()?;
            // With a key of its own a request whose answer was lost can be sent again.
            let key = uuid::Uuid::now_v7().to_string();
            let place = path(&["schedules", &schedule, "fire"]);
            let fired = api.post_with_key(&place, &json!({}), Some(&key)).await?;
            session.output.document(&fired, |fired| {
                format!("{} {}", text(fired, "/run/id"), text(fired, "/run/state"))
            })?;
            Ok(Exit::Ok)
        }
        ScheduleCommand::Delete { schedule } => {
            let api = session.api()?;
            let gone = api.delete(&path(&["schedules", &schedule])).await?;
            session
                .output
                .document(&gone, |gone| format!("deleted {}", text(gone, "/name")))?;
            Ok(Exit::Ok)
        }
    }
}

async fn create(session: &Session, args: &CreateScheduleArgs) -> Outcome {
    let mut body = read(&args.input)?.submission();
    body["name"] = json!(args.name);
    body["cron"] = json!(args.cron);
    body["zone"] = json!(args.zone);
    body["every_s"] = json!(args.every.map(|ms| ms / 1_000));
    body["overlap"] = json!(args.overlap.as_str());
    body["missed"] = json!(args.missed.as_str());
    let api = session.api()?;
    let made = api.post("/api/v2/schedules", &body).await?;
    session.output.document(&made, schedule_text)?;
    Ok(Exit::Ok)
}

async fn change(session: &Session, schedule: &str, verb: &str) -> Outcome {
    let api: Api = session.api()?;
    let place = path(&["schedules", schedule, verb]);
    let changed: Result<Value, Failure> = api.post(&place, &json!({})).await;
    session.output.document(&changed?, schedule_text)?;
    Ok(Exit::Ok)
}

/// When it is due, in words.
fn timing(schedule: &Value) -> String {
    match schedule["every_s"].as_u64() {
        Some(seconds) => format!("every {seconds} s"),
        None => format!("{} {}", text(schedule, "/cron"), text(schedule, "/zone")),
    }
}

fn work(schedule: &Value) -> String {
    let noun = if schedule["tasks"] == 1 {
        "task"
    } else {
        "tasks"
    };
    let count = text(schedule, "/tasks");
    format!("{}, {count} {noun}", text(schedule, "/plan"))
}

fn standing(schedule: &Value) -> String {
    if schedule["paused"] == true {
        return "paused".to_owned();
    }
    match schedule["next_at"].as_str() {
        Some(at) => at.to_owned(),
        None => "never".to_owned(),
    }
}

/// What came of the newest due time, in words.
fn last(schedule: &Value) -> String {
    let last = &schedule["last"];
    match last["outcome"].as_str() {
        None => "-".to_owned(),
        Some("submitted") => {
            let state = last["ended"].as_str().unwrap_or("live");
            format!("{} {state}", text(last, "/run"))
        }
        Some("waits") => "waits for the run before".to_owned(),
        Some(_) => format!("skipped: {}", text(last, "/reason")),
    }
}

fn list_text(page: &Value) -> String {
    let rows = items(page).iter().map(|schedule| {
        vec![
            text(schedule, "/name"),
            timing(schedule),
            standing(schedule),
            text(schedule, "/fired"),
            text(schedule, "/skipped"),
            last(schedule),
        ]
    });
    table(&["name", "when", "next", "runs", "skipped", "last"], rows)
}

fn schedule_text(schedule: &Value) -> String {
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let mut rows = vec![
        row("name", text(schedule, "/name")),
        row("id", text(schedule, "/id")),
        row("when", timing(schedule)),
        row("plan", work(schedule)),
        row("overlap", text(schedule, "/overlap")),
        row("missed", text(schedule, "/missed")),
        row("runs", text(schedule, "/fired")),
        row("skipped", text(schedule, "/skipped")),
        row("last", last(schedule)),
        row("next", standing(schedule)),
    ];
    let upcoming = schedule["upcoming"].as_array();
    for at in upcoming.into_iter().flatten().skip(1) {
        rows.push(row("", at.as_str().unwrap_or_default().to_owned()));
    }
    table(&["", ""], rows)
}
