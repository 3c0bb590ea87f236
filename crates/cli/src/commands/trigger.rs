//! `skep trigger`: plans that are submitted when something happens.

use super::Session;
use crate::api::{Api, items, path};
use crate::args::{CreateTriggerArgs, TriggerCommand};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{table, text};
use crate::plan_input::read;
use serde_json::{Value, json};

pub(crate) async fn run(session: &Session, command: TriggerCommand) -> Outcome {
    match command {
        TriggerCommand::Create(args) => create(session, &args).await,
        TriggerCommand::Ls => {
            let api = session.api()?;
            let page = api.get("/api/v2/triggers").await?;
            session.output.document(&page, list_text)?;
            Ok(Exit::Ok)
        }
        TriggerCommand::Show { trigger } => {
            let api = session.api()?;
            let shown = api.get(&path(&["triggers", &trigger])).await?;
            session.output.document(&shown, trigger_text)?;
            Ok(Exit::Ok)
        }
        TriggerCommand::Pause { trigger } => change(session, &trigger, "pause").await,
        TriggerCommand::Resume { trigger } => change(session, &trigger, "resume").await,
        TriggerCommand::Delete { trigger } => {
            let api = session.api()?;
            let gone = api.delete(&path(&["triggers", &trigger])).await?;
            session
                .output
                .document(&gone, |gone| format!("deleted {}", text(gone, "/name")))?;
            Ok(Exit::Ok)
        }
    }
}

async fn create(session: &Session, args: &CreateTriggerArgs) -> Outcome {
    let mut body = read(&args.input)?.submission();
    body["name"] = json!(args.name);
    body["on"] = json!(args.on);
    body["cooldown_s"] = json!(args.cooldown.map_or(0, |ms| ms / 1_000));
    body["firings_max"] = json!(args.max);
    let api = session.api()?;
    let made = api.post("/api/v2/triggers", &body).await?;
    session.output.document(&made, trigger_text)?;
    Ok(Exit::Ok)
}

async fn change(session: &Session, trigger: &str, verb: &str) -> Outcome {
    let api: Api = session.api()?;
    let place = path(&["triggers", trigger, verb]);
    let changed: Result<Value, Failure> = api.post(&place, &json!({})).await;
    session.output.document(&changed?, trigger_text)?;
    Ok(Exit::Ok)
}

/// What it waits for, one line each.
fn watches(trigger: &Value) -> Vec<String> {
    let on = trigger["on"].as_array().into_iter().flatten();
    on.filter_map(|watch| watch.as_str().map(str::to_owned))
        .collect()
}

fn standing(trigger: &Value) -> &'static str {
    if trigger["paused"] == true {
        "paused"
    } else if trigger["firings_left"] == 0 {
        "used up"
    } else {
        "watches"
    }
}

/// What came of the newest event, in words.
fn last(trigger: &Value) -> String {
    let last = &trigger["last"];
    match last["outcome"].as_str() {
        None => "-".to_owned(),
        Some("submitted") => {
            let state = last["ended"].as_str().unwrap_or("live");
            format!("{} {state}", text(last, "/run"))
        }
        Some("waits") => "waits for its run".to_owned(),
        Some(_) => format!("skipped: {}", text(last, "/reason")),
    }
}

fn list_text(page: &Value) -> String {
    let rows = items(page).iter().map(|trigger| {
        vec![
            text(trigger, "/name"),
            watches(trigger).join(" | "),
            standing(trigger).to_owned(),
            text(trigger, "/waiting"),
            text(trigger, "/fired"),
            text(trigger, "/skipped"),
            last(trigger),
        ]
    });
    let heads = ["name", "on", "state", "waiting", "runs", "skipped", "last"];
    table(&heads, rows)
}

fn trigger_text(trigger: &Value) -> String {
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let noun = if trigger["tasks"] == 1 {
        "task"
    } else {
        "tasks"
    };
    let plan = format!(
        "{}, {} {noun}",
        text(trigger, "/plan"),
        text(trigger, "/tasks")
    );
    let left = match trigger["firings_left"].as_u64() {
        Some(left) => format!("{left} of {}", text(trigger, "/firings_max")),
        None => "any number".to_owned(),
    };
    let mut rows = vec![
        row("name", text(trigger, "/name")),
        row("id", text(trigger, "/id")),
    ];
    for (position, watch) in watches(trigger).into_iter().enumerate() {
        rows.push(row(if position == 0 { "on" } else { "" }, watch));
    }
    rows.extend([
        row("state", standing(trigger).to_owned()),
        row("plan", plan),
        row("cool-down", format!("{} s", text(trigger, "/cooldown_s"))),
        row("events left", left),
        row("waiting", text(trigger, "/waiting")),
        row("runs", text(trigger, "/fired")),
        row("skipped", text(trigger, "/skipped")),
        row("last", last(trigger)),
    ]);
    table(&["", ""], rows)
}
