//! Exchanging entries with other installations.

use super::super::Session;
use crate::api::Api;
use crate::args::MemoryCommand;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{table, text};
use serde_json::{Value, json};
use skep_client::Method;
use std::time::Duration;

/// How long a round may take: a first one carries everything.
const ROUND_TIMEOUT: Duration = Duration::from_hours(1);
/// What became of entries, in the order of the columns.
const COUNTS: [&str; 5] = ["taken", "conflicts", "unchanged", "older", "refused"];

pub(super) async fn run(session: &Session, api: &Api, command: MemoryCommand) -> Outcome {
    match command {
        MemoryCommand::Peers => {
            let peers = api.get("/api/v2/memory-peers").await?;
            session.output.document(&peers, peer_table)?;
        }
        MemoryCommand::Sync {
            peer,
            namespaces,
            direction,
        } => {
            let body = json!({ "peer": peer, "namespaces": namespaces, "direction": direction });
            let request = api.client().request(Method::POST, "/api/v2/memory-sync");
            let request = request.json(&body)?.timeout(ROUND_TIMEOUT);
            let report: Value = request.send().await?;
            session.output.document(&report, report_text)?;
            return refused(&report);
        }
        _ => {}
    }
    Ok(Exit::Ok)
}

fn refused(report: &Value) -> Outcome {
    let count = |side: &str| report[side]["refused"].as_u64().unwrap_or(0);
    let count = count("pulled") + count("pushed");
    if count == 0 {
        return Ok(Exit::Ok);
    }
    let message = format!("{count} entries were refused; the others are exchanged");
    Err(Failure::new(Exit::Invalid, "memory_sync_refused", message))
}

fn peer_table(page: &Value) -> String {
    let rows = page["items"].as_array().into_iter().flatten().map(|peer| {
        let namespaces = peer["namespaces"].as_array().into_iter().flatten();
        let namespaces: Vec<_> = namespaces.filter_map(Value::as_str).collect();
        let every = peer["every_s"].as_u64();
        vec![
            text(peer, "/name"),
            text(peer, "/url"),
            text(peer, "/direction"),
            namespaces.join(" "),
            every.map_or_else(|| "when asked".to_owned(), |every| format!("{every} s")),
        ]
    });
    table(&["NAME", "URL", "DIRECTION", "NAMESPACES", "EVERY"], rows)
}

fn report_text(report: &Value) -> String {
    let mut rows = Vec::new();
    for namespace in report["namespaces"].as_array().into_iter().flatten() {
        for (side, way) in [("pulled", "from there"), ("pushed", "to there")] {
            let mut row = vec![text(namespace, "/namespace"), way.to_owned()];
            row.extend(COUNTS.map(|count| namespace[side][count].to_string()));
            rows.push(row);
        }
    }
    let columns = [
        "NAMESPACE",
        "WAY",
        "TAKEN",
        "CONFLICTS",
        "UNCHANGED",
        "OLDER",
        "REFUSED",
    ];
    let mut lines = vec![table(&columns, rows)];
    for namespace in report["namespaces"].as_array().into_iter().flatten() {
        let name = text(namespace, "/namespace");
        if namespace["open_conflicts"].as_u64() > Some(0) {
            let open = &namespace["open_conflicts"];
            lines.push(format!(
                "{open} entries wait for a decision: skep memory conflicts {name}"
            ));
        }
        if namespace["removals_may_be_missed"] == true {
            lines.push(format!(
                "removals in {name} may have been missed: what was removed there may still be here"
            ));
        }
    }
    for item in report["refused"].as_array().into_iter().flatten() {
        let by = if item["by"] == "here" {
            "here"
        } else {
            "there"
        };
        lines.push(format!(
            "refused {by}: {} {}: {} ({})",
            text(item, "/namespace"),
            text(item, "/key"),
            text(item, "/detail"),
            text(item, "/code")
        ));
    }
    lines.join("\n")
}
