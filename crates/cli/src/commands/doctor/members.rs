//! What `skep doctor` says about absent nodes, and about how much is kept.

use super::{Check, failed};
use crate::api::{Api, items};
use crate::output::{bytes, exact, text};
use serde_json::Value;
use std::fmt::Write as _;
use std::path::Path;

/// Nodes named in one line.
const NAMED_MAX: usize = 10;

/// Nodes that take no work, each with why and since when.
pub(super) async fn absent(api: &Api) -> Vec<Check> {
    match api.all("/api/v2/nodes", usize::MAX).await {
        Ok(nodes) => judge(&nodes),
        Err(failure) => vec![failed("absent nodes", &failure)],
    }
}

fn judge(nodes: &Value) -> Vec<Check> {
    let mut checks = Vec::new();
    for (state, cure) in [
        (
            "lost",
            "look at its machine: does it run, does it reach this one (`skep doctor` there)? If it \
             will not come back: skep node rm NAME",
        ),
        (
            "suspect",
            "look at the network between; it is given up soon, and its work goes to others",
        ),
        ("draining", "let it have work again: skep node resume NAME"),
    ] {
        let found: Vec<_> = items(nodes)
            .iter()
            .filter(|node| exact(node, "/state") == state)
            .map(described)
            .collect();
        if found.is_empty() {
            continue;
        }
        let more = found.len().saturating_sub(NAMED_MAX);
        let mut detail = format!("{state}: {}", found[..found.len() - more].join(", "));
        if more > 0 {
            let _ = write!(detail, " and {more} more");
        }
        checks.push(if state == "draining" {
            Check::ok("absent nodes", detail)
        } else {
            Check::warn("absent nodes", detail, cure)
        });
    }
    checks
}

fn described(node: &Value) -> String {
    let since = text(node, "/state_since");
    let name = text(node, "/name");
    match exact(node, "/away") {
        "" => format!("{name} since {since}"),
        why => format!(
            "{name} since {since} ({})",
            crate::terminal_text::in_a_line(why)
        ),
    }
}

/// How much is kept, and whether a copy of it would fit beside it.
pub(super) fn history(status: &Value, state: &Path) -> Check {
    let disk = rustix::fs::statvfs(state);
    let free = disk.map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize));
    judge_history(status, free)
}

/// How much is in shared memory.
pub(super) fn memory(status: &Value) -> Check {
    let size = status.pointer("/memory/bytes").and_then(Value::as_u64);
    Check::ok(
        "memory",
        format!(
            "{} entries in {} namespaces, {}; {} versions are kept",
            text(status, "/memory/entries"),
            text(status, "/memory/namespaces"),
            bytes(size.unwrap_or(0)),
            text(status, "/memory/versions"),
        ),
    )
}

fn judge_history(status: &Value, free: u64) -> Check {
    let size = status
        .pointer("/history/database_bytes")
        .and_then(Value::as_u64)
        .unwrap_or(0);
    let detail = format!(
        "{} final tasks, {} log entries, database {}",
        text(status, "/history/tasks"),
        text(status, "/history/log_entries"),
        bytes(size)
    );
    if size > free {
        let cure = "keep less: set history_days or events_days, see `skep config show`; or back up \
                    to another disk";
        return Check::warn("history", format!("{detail}: more than is free here"), cure);
    }
    Check::ok("history", detail)
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;
    use serde_json::json;

    #[test]
    fn nodes_that_are_absent_are_named_with_since_when() {
        let node = |name: &str, state: &str, away: Option<&str>| json!({"name": name, "state": state, "state_since": "T", "away": away});
        let nodes = json!({"items": [
            node("a", "ready", None),
            node("b", "lost", None),
            node("c", "draining", Some("on battery")),
            node("d", "suspect", None),
        ]});
        let told: Vec<_> = judge(&nodes)
            .into_iter()
            .map(|check| (check.status, check.detail, check.cure.is_some()))
            .collect();
        let told: Vec<_> = told
            .iter()
            .map(|(status, detail, cured)| (*status, detail.as_str(), *cured))
            .collect();
        assert_eq!(
            told,
            [
                (Status::Warn, "lost: b since T", true),
                (Status::Warn, "suspect: d since T", true),
                (Status::Ok, "draining: c since T (on battery)", false),
            ]
        );
        let many: Vec<_> = (0..12).map(|_| node("x", "lost", None)).collect();
        let checks = judge(&json!({ "items": many }));
        assert!(checks[0].detail.ends_with("and 2 more"), "{checks:?}");
    }

    #[test]
    fn shared_memory_is_told_with_its_sizes() {
        let memory = json!({"namespaces": 2, "entries": 7, "bytes": 2048, "versions": 9});
        let check = super::memory(&json!({ "memory": memory }));
        assert_eq!(
            check.detail,
            "7 entries in 2 namespaces, 2.0 KiB; 9 versions are kept"
        );
    }

    #[test]
    fn a_database_that_no_copy_of_fits_is_worth_a_warning() {
        let status = json!({"history": {"tasks": 3, "log_entries": 9, "database_bytes": 2048}});
        assert_eq!(judge_history(&status, 4096).status, Status::Ok);
        let check = judge_history(&status, 1024);
        assert_eq!(check.status, Status::Warn);
        assert!(check.detail.contains("2.0 KiB"), "{check:?}");
    }
}
