//! Making room on disk.

use super::super::Session;
use crate::api::Api;
use crate::exit::{Exit, Outcome};
use crate::output::bytes;
use serde_json::{Value, json};
use skep_client::Method;
use std::time::Duration;

/// Longer than the coordinator lets an answer wait; the work goes on behind it.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(1);

pub(super) async fn run(session: &Session, api: &Api, namespace: Option<String>) -> Outcome {
    let request = api.client().request(Method::POST, "/api/v2/memory-compact");
    let request = request.json(&json!({ "namespace": namespace }))?;
    let report: Value = request.timeout(ANSWER_TIMEOUT).send().await?;
    session.output.document(&report, report_text)?;
    Ok(Exit::Ok)
}

fn report_text(report: &Value) -> String {
    let total = |when: &str| bytes(report[when]["total"].as_u64().unwrap_or_default());
    let mut text = format!(
        "{} before, {} after: {} versions and {} values removed, {} pages given back",
        total("before"),
        total("after"),
        report["versions_removed"],
        report["values_removed"],
        report["pages_returned"],
    );
    if report["finished"] != true {
        text.push_str("\nnot finished: the rest is done when nothing else is");
    } else if report["wal_emptied"] != true {
        text.push_str("\nthe write-ahead log stays: somebody reads");
    }
    text
}
