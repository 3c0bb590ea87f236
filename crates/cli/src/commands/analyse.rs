//! `skep analyse`: what was done, how it went over time, and what holds it up.

mod secrets;
mod used;

use super::Session;
use crate::api::{encoded, path};
use crate::args::AnalyseCommand;
use crate::exit::{Exit, Outcome};
use crate::output::{shown, table, text};
use serde_json::{Value, json};

pub(crate) async fn run(session: &Session, command: AnalyseCommand) -> Outcome {
    // The only one that needs no coordinator.
    if let AnalyseCommand::Secrets { path, depth } = command {
        return secrets::run(session, &path, depth);
    }
    let api = session.api()?;
    let (answer, show): (Value, fn(&Value) -> String) = match command {
        AnalyseCommand::Report { for_ms } => {
            let route = format!("/api/v2/analysis/report?window_s={}", for_ms / 1_000);
            (api.get(&route).await?, report)
        }
        AnalyseCommand::Trend { metric, for_ms } => {
            let (metric, window_s) = (metric.as_str(), for_ms / 1_000);
            let route = format!("/api/v2/analysis/trend?metric={metric}&window_s={window_s}");
            (api.get(&route).await?, trend)
        }
        AnalyseCommand::Bottlenecks => {
            (api.get("/api/v2/analysis/bottlenecks").await?, bottlenecks)
        }
        AnalyseCommand::Errors { for_ms } => {
            let body = json!({ "window_s": for_ms / 1_000 });
            (api.post("/api/v2/analysis/errors", &body).await?, groups)
        }
        AnalyseCommand::Secrets { path, depth } => {
            return secrets::run(session, &path, depth);
        }
        AnalyseCommand::Usage { for_ms, about } => {
            let mut route = format!("/api/v2/usage?window_s={}", for_ms / 1_000);
            if let Some(about) = about {
                let about = encoded(&about);
                route.extend(["&about=", &about]);
            }
            (api.get(&route).await?, used::usage)
        }
        AnalyseCommand::Costs { for_ms } => {
            let route = format!("/api/v2/usage-costs?window_s={}", for_ms / 1_000);
            (api.get(&route).await?, used::costs)
        }
        AnalyseCommand::Calls => (api.get("/api/v2/usage-calls").await?, used::calls),
        AnalyseCommand::Log { task, patterns } => {
            let route = path(&["tasks", &task, "log-summary"]);
            let body = json!({ "patterns": patterns });
            (api.post(&route, &body).await?, log)
        }
    };
    session.output.document(&answer, show)?;
    Ok(Exit::Ok)
}

fn rows(answer: &Value, pointer: &str, columns: &[&str]) -> Vec<Vec<String>> {
    let items = answer.pointer(pointer).and_then(Value::as_array);
    let row = |item: &Value| columns.iter().map(|column| text(item, column)).collect();
    items.into_iter().flatten().map(row).collect()
}

fn report(answer: &Value) -> String {
    let spread = |at: &str| {
        let figure = |name: &str| text(answer, &format!("{at}/{name}"));
        format!(
            "p50 {}, p95 {}, max {}",
            figure("p50"),
            figure("p95"),
            figure("max")
        )
    };
    let agents = rows(
        answer,
        "/agents",
        &["/id", "/tasks", "/succeeded", "/duration_ms/p50"],
    );
    format!(
        "tasks      {}\nsucceeded  {} of 1\nran ms     {}\nwaited ms  {}\nattempts   {}, {} of them \
         further ones\n{}",
        text(answer, "/tasks"),
        text(answer, "/success_rate"),
        spread("/duration_ms"),
        spread("/queue_wait_ms"),
        text(answer, "/attempts"),
        text(answer, "/retries"),
        table(&["agent", "tasks", "succeeded", "p50 ms"], agents),
    )
}

fn trend(answer: &Value) -> String {
    let points = rows(answer, "/points", &["/from", "/value", "/tasks"]);
    let change = match answer.pointer("/change") {
        Some(change) if !change.is_null() => format!(
            "changed at {} from {} to {}",
            text(change, "/at"),
            text(change, "/before"),
            text(change, "/after")
        ),
        _ => "no change that is more than chance".to_owned(),
    };
    format!(
        "{}\nslope per hour  {}\n{change}",
        table(&["from", "value", "tasks"], points),
        text(answer, "/slope_per_hour"),
    )
}

fn bottlenecks(answer: &Value) -> String {
    let found = answer.pointer("/findings").and_then(Value::as_array);
    let finding = |finding: &Value| {
        format!(
            "{}  {}: {}\n  {}",
            text(finding, "/severity"),
            text(finding, "/component"),
            text(finding, "/detail"),
            text(finding, "/advice")
        )
    };
    let lines: Vec<_> = found.into_iter().flatten().map(finding).collect();
    if lines.is_empty() {
        return "nothing holds work up".to_owned();
    }
    lines.join("\n")
}

fn groups(answer: &Value) -> String {
    let found = rows(answer, "/groups", &["/count", "/template", "/last_seen"]);
    format!(
        "{} messages in {} groups\n{}",
        text(answer, "/messages"),
        text(answer, "/groups_found"),
        table(&["count", "message", "last"], found),
    )
}

fn log(answer: &Value) -> String {
    let levels = answer.pointer("/levels").and_then(Value::as_object);
    let levels = levels.into_iter().flatten();
    let levels: Vec<_> = levels
        .map(|(level, count)| format!("{level} {}", shown(count)))
        .collect();
    let patterns = rows(
        answer,
        "/patterns",
        &["/pattern", "/lines", "/first", "/last"],
    );
    let alike = rows(answer, "/groups", &["/count", "/template"]);
    format!(
        "{} lines, {} bytes; {}\n{}\n{}",
        text(answer, "/lines"),
        text(answer, "/bytes"),
        levels.join(", "),
        table(&["pattern", "lines", "first", "last"], patterns),
        table(&["count", "line"], alike),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_calm_swarm_is_said_to_be_one_and_a_finding_is_shown_with_its_advice() {
        assert_eq!(
            bottlenecks(&json!({ "findings": [] })),
            "nothing holds work up"
        );
        let finding = json!({
            "component": "queue", "severity": "critical", "detail": "no node takes work",
            "advice": "Start one.",
        });
        let shown = bottlenecks(&json!({ "findings": [finding] }));
        assert_eq!(shown, "critical  queue: no node takes work\n  Start one.");
    }
}
