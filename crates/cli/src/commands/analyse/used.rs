//! How `skep analyse` shows what was used, what it cost and what was called.

use super::rows;
use crate::output::{table, text};
use serde_json::Value;

const TOKENS: [&str; 5] = [
    "/name",
    "/input_tokens",
    "/output_tokens",
    "/cache_read_tokens",
    "/cache_write_tokens",
];

pub(super) fn usage(answer: &Value) -> String {
    if answer.pointer("/records").and_then(Value::as_u64) == Some(0) {
        return format!("0 records: {}", text(answer, "/note"));
    }
    let columns = ["", "in", "out", "from cache", "to cache"];
    let tables = ["models", "agents", "sessions", "tasks"].map(|group| {
        let rows = rows(answer, &format!("/{group}"), &TOKENS);
        let headings = [&[group], &columns[1..]].concat();
        table(&headings, rows)
    });
    let found = format!("{} records", text(answer, "/records"));
    [&[found][..], &tables].concat().join("\n")
}

pub(super) fn costs(answer: &Value) -> String {
    let models = rows(
        answer,
        "/models",
        &["/model", "/input_tokens", "/output_tokens", "/cost"],
    );
    let nodes = rows(answer, "/nodes", &["/node", "/attempts", "/hours", "/cost"]);
    let total = match answer.pointer("/prices") {
        Some(prices) if !prices.is_null() => format!(
            "{} {} for what has a price",
            text(answer, "/total"),
            text(prices, "/currency")
        ),
        _ => text(answer, "/note"),
    };
    format!(
        "{total}\n{}\n{}",
        table(&["model", "in", "out", "cost"], models),
        table(&["node", "attempts", "hours", "cost"], nodes),
    )
}

pub(super) fn calls(answer: &Value) -> String {
    let components = answer.pointer("/components").and_then(Value::as_array);
    let shown = components.into_iter().flatten().map(|component| {
        let names = rows(component, "/names", &["/name", "/calls", "/failed"]);
        table(&[&text(component, "/component"), "calls", "failed"], names)
    });
    let shown: Vec<_> = shown.collect();
    format!("since {}\n{}", text(answer, "/since"), shown.join("\n"))
}
