//! The nodes as `skep node ls` shows them: one line each.

use crate::output::{bytes, duration, table, text};
use serde_json::Value;

const MILLIS_PER_CPU: u64 = 1_000;

/// What is longer is no time any more: the work waits for the node.
const SHOWN_LEASE_MS_MAX: u64 = 365 * 24 * 3_600_000;

/// Columns that are left out when they are empty for all nodes.
const SOMETIMES: [&str; 2] = ["labels", "remarks"];

pub(crate) fn node_table(nodes: &Value) -> String {
    let mut header = vec![
        "name",
        "state",
        "attempts",
        "resources",
        "load",
        "lease",
        "link",
        "isolation",
        "labels",
        "remarks",
    ];
    let mut rows: Vec<Vec<String>> = crate::api::items(nodes).iter().map(row).collect();
    for name in SOMETIMES {
        let Some(column) = header.iter().position(|word| *word == name) else {
            continue;
        };
        if rows.iter().all(|row| row[column].is_empty()) {
            header.remove(column);
            for row in &mut rows {
                row.remove(column);
            }
        }
    }
    table(&header, rows)
}

fn row(node: &Value) -> Vec<String> {
    let slots = format!(
        "{}/{}",
        number(node, "/in_use/attempts").unwrap_or(0),
        number(node, "/slots").unwrap_or(0)
    );
    let cpus = number(node, "/resources/cpu_millis").unwrap_or(0) / MILLIS_PER_CPU;
    let memory = bytes(number(node, "/resources/memory_bytes").unwrap_or(0));
    vec![
        text(node, "/name"),
        text(node, "/state"),
        slots,
        format!("{cpus} cpu, {memory}"),
        number(node, "/load_permille").map_or_else(unknown, |load| format!("{} %", load / 10)),
        lease(node),
        link(node),
        text(node, "/isolation"),
        labels(node),
        remarks(node),
    ]
}

fn number(node: &Value, at: &str) -> Option<u64> {
    node.pointer(at).and_then(Value::as_u64)
}

fn unknown() -> String {
    "-".to_owned()
}

/// How long the node holds its work if it is not heard any more, in whole seconds.
fn lease(node: &Value) -> String {
    let left_ms = number(node, "/lease_ms_left");
    if left_ms.is_some_and(|ms| ms > SHOWN_LEASE_MS_MAX) {
        return "kept".to_owned();
    }
    left_ms.map_or_else(unknown, |ms| format!("{} s", ms / 1_000))
}

fn link(node: &Value) -> String {
    if node.pointer("/link/connected").and_then(Value::as_bool) != Some(true) {
        return "down".to_owned();
    }
    let rtt = number(node, "/link/rtt_ms").map(|ms| format!("{ms} ms"));
    let speed = number(node, "/link/throughput_bytes_s").map(|rate| format!("{}/s", bytes(rate)));
    let parts: Vec<String> = rtt.into_iter().chain(speed).collect();
    if parts.is_empty() {
        return "up".to_owned();
    }
    parts.join(", ")
}

fn labels(node: &Value) -> String {
    let labels = node.pointer("/labels").and_then(Value::as_object);
    let labels = labels.into_iter().flatten();
    let pairs = labels.map(|(key, value)| {
        let key = crate::output::shown(&Value::String(key.clone()));
        format!("{key}={}", crate::output::shown(value))
    });
    pairs.collect::<Vec<_>>().join(" ")
}

/// Why a node is given nothing, or less.
fn remarks(node: &Value) -> String {
    let away = node.pointer("/away").filter(|away| !away.is_null());
    let away = away.map(|away| format!("away: {}", crate::output::shown(away)));
    let parked = node.pointer("/parked/until").and_then(Value::as_str);
    let parked = parked.map(|until| format!("parked until {until}"));
    parked
        .into_iter()
        .chain(away)
        .chain(breaker(node))
        .collect::<Vec<_>>()
        .join("; ")
}

/// Whether failures keep work away from the node; nothing when they do not.
pub(crate) fn breaker(node: &Value) -> Option<String> {
    match node.pointer("/breaker/state").and_then(Value::as_str)? {
        "open" => {
            let ms = number(node, "/breaker/retry_in_ms").unwrap_or(0);
            let seconds = duration(ms.div_ceil(1_000) * 1_000).replace(".0 s", " s");
            Some(format!("breaker: open (tried again in {seconds})"))
        }
        "half_open" => Some("breaker: half open (one attempt at a time)".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn node(name: &str) -> Value {
        json!({
            "name": name, "state": "ready", "slots": 4, "in_use": {"attempts": 1},
            "resources": {"cpu_millis": 4_000, "memory_bytes": 1_u64 << 30},
            "load_permille": 123, "lease_ms_left": 27_400, "isolation": "s1",
            "link": {"connected": true, "rtt_ms": 3, "throughput_bytes_s": 1 << 20},
            "labels": {}, "away": null, "breaker": {"state": "closed"},
        })
    }

    /// The lines of a table, with a bar between cells.
    fn cells(shown: &str) -> Vec<String> {
        let line = |line: &str| {
            let cells = line.split("  ").map(str::trim);
            let cells = cells.filter(|cell| !cell.is_empty());
            cells.collect::<Vec<_>>().join(" | ")
        };
        shown.lines().map(line).collect()
    }

    #[test]
    fn a_line_says_all_that_placement_looks_at() {
        let shown = node_table(&json!({ "items": [node("desk")] }));
        let expected = [
            "NAME | STATE | ATTEMPTS | RESOURCES | LOAD | LEASE | LINK | ISOLATION",
            "desk | ready | 1/4 | 4 cpu, 1.0 GiB | 12 % | 27 s | 3 ms, 1.0 MiB/s | s1",
        ];
        assert_eq!(cells(&shown), expected, "{shown}");
        let widest = shown.lines().map(str::len).max();
        assert!(widest.is_some_and(|width| width <= 100), "{shown}");
    }

    #[test]
    fn labels_and_reasons_for_giving_nothing_are_shown_where_there_are_any() {
        let mut odd = node("attic");
        odd["labels"] = json!({"zone": "a"});
        odd["away"] = json!("on battery");
        odd["breaker"] = json!({"state": "open", "failures": 5, "retry_in_ms": 41_200});
        odd["link"] = json!({"connected": false, "rtt_ms": null});
        odd["lease_ms_left"] = Value::Null;
        let mut kept = node("loft");
        kept["lease_ms_left"] = json!(skep_model::limits::HOLD_MS_MAX);
        let shown = node_table(&json!({ "items": [node("desk"), odd, kept] }));
        let lines = cells(&shown);
        assert!(lines[0].ends_with("| LABELS | REMARKS"), "{shown}");
        let expected = "attic | ready | 1/4 | 4 cpu, 1.0 GiB | 12 % | - | down | s1 | zone=a | \
                        away: on battery; breaker: open (tried again in 42 s)";
        assert_eq!(lines[2], expected);
        assert!(lines[3].contains("| kept |"), "{shown}");
    }

    #[test]
    fn a_breaker_is_mentioned_only_while_it_keeps_work_away() {
        let rows = [
            (json!({"state": "closed"}), None),
            (
                json!({"state": "half_open"}),
                Some("breaker: half open (one attempt at a time)"),
            ),
            (
                json!({"state": "open", "retry_in_ms": 42_000}),
                Some("breaker: open (tried again in 42 s)"),
            ),
        ];
        for (state, expected) in rows {
            let shown = breaker(&json!({ "breaker": state }));
            assert_eq!(shown.as_deref(), expected, "{state}");
        }
    }
}
