//! `skep doctor`: looks at this machine and at the coordinator, and says what to do about faults.

mod coordinator;
mod machine;
mod members;
mod network;

use super::Session;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::text;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Looks at everything; `full` has the coordinator verify all that it stores, too.
pub(crate) async fn run(session: &Session, full: bool) -> Outcome {
    let report = report(session, full).await;
    let ok = report.pointer("/ok").and_then(Value::as_bool) == Some(true);
    session.output.document(&report, shown)?;
    Ok(if ok { Exit::Ok } else { Exit::Failed })
}

/// What is found, as a document.
pub(crate) async fn report(session: &Session, full: bool) -> Value {
    let mut checks = machine::checks(session).await;
    checks.extend(network::checks(session).await);
    checks.extend(coordinator::checks(session, full).await);
    let ok = checks.iter().all(|check| check.status != Status::Fail);
    let list: Vec<_> = checks.iter().map(Check::document).collect();
    json!({ "ok": ok, "checks": list })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Ok,
    Warn,
    Fail,
}

/// One thing that was looked at.
#[derive(Debug)]
struct Check {
    name: &'static str,
    status: Status,
    detail: String,
    cure: Option<String>,
}

impl Check {
    fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Self {
            name,
            status: Status::Ok,
            detail: detail.into(),
            cure: None,
        }
    }

    fn warn(name: &'static str, detail: impl Into<String>, cure: impl Into<String>) -> Self {
        let cure = Some(cure.into());
        Self {
            name,
            status: Status::Warn,
            detail: detail.into(),
            cure,
        }
    }

    fn fail(name: &'static str, detail: impl Into<String>, cure: impl Into<String>) -> Self {
        Self {
            status: Status::Fail,
            ..Self::warn(name, detail, cure)
        }
    }

    fn document(&self) -> Value {
        let status = match self.status {
            Status::Ok => "ok",
            Status::Warn => "warn",
            Status::Fail => "fail",
        };
        json!({ "name": self.name, "status": status, "detail": self.detail, "cure": self.cure })
    }
}

fn shown(report: &Value) -> String {
    let checks = report.pointer("/checks").and_then(Value::as_array);
    let lines = checks.into_iter().flatten().map(|check| {
        let status = text(check, "/status");
        let mut line = format!(
            "{status:4}  {:14}  {}",
            text(check, "/name"),
            text(check, "/detail")
        );
        if let Some(cure) = check.pointer("/cure").and_then(Value::as_str) {
            let _ = write!(line, "\n      {:14}  cure: {cure}", "");
        }
        line
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// What was looked at could not be looked at.
fn failed(name: &'static str, failure: &Failure) -> Check {
    let cure = failure
        .hint
        .clone()
        .unwrap_or_else(|| "see `skep config show`".to_owned());
    Check::fail(name, failure.message.clone(), cure)
}
