//! What `skep doctor` looks at on the coordinator.

use super::{Check, Session, failed, members};
use crate::api::Api;
use crate::exit::{Exit, Failure};
use crate::output::{duration, exact, text};
use http::header::DATE;
use serde_json::{Value, json};
use skep_client::Method;
use std::time::{Duration, SystemTime};

/// A difference of two clocks that nobody notices.
const CLOCK_SKEW_MAX: Duration = Duration::from_secs(2);
/// How long a full diagnosis may take: it reads the whole database.
const DIAGNOSIS_MAX: Duration = Duration::from_mins(30);

/// What can be said about the coordinator: nothing more once one step fails.
pub(super) async fn checks(session: &Session, full: bool) -> Vec<Check> {
    let target = match crate::connection::target(&session.global, &session.places) {
        Ok(target) => target,
        Err(failure) => return vec![failed("token", &failure)],
    };
    let url = target.url.clone();
    let api = match session.api() {
        Ok(api) => api,
        Err(failure) => return vec![failed("coordinator", &failure)],
    };
    let ready = match api.bytes("/readyz?verbose").await {
        Ok(_) => Check::ok("coordinator", format!("{url} is ready")),
        Err(failure) if failure.exit == Exit::Unreachable => {
            return vec![unreachable(session, &url, &failure)];
        }
        // Whoever answers there is somebody else, or cannot be asked.
        Err(failure) if failure.code == "coordinator_untrusted" => {
            return vec![failed("coordinator", &failure)];
        }
        Err(failure) => Check::fail(
            "coordinator",
            format!(
                "{url} is not ready: {}",
                failure.message.replace('\n', "; ")
            ),
            "its log says more; after a full disk free space and start it again",
        ),
    };
    match api.get("/api/v2/system/status").await {
        Ok(status) => {
            let token = Check::ok("token", format!("accepted, from {}", target.token_origin));
            let mut checks = vec![ready, token, same_version(&status), nodes(&status)];
            checks.extend(members::absent(&api).await);
            checks.push(members::memory(&status));
            checks.push(members::history(&status, &session.places.state));
            checks.push(clock(&api).await);
            if full {
                checks.extend(diagnosis(&api).await);
            }
            checks
        }
        Err(failure) => vec![ready, failed("token", &failure)],
    }
}

/// Nobody answers: a fault when one was named, else only something to know.
fn unreachable(session: &Session, url: &str, failure: &Failure) -> Check {
    if session.global.url.is_some() {
        return failed("coordinator", failure);
    }
    let address = skep_client::BaseUrl::parse(url).ok();
    let address = address.map(|url| (url.host().to_owned(), url.port()));
    let taken = address.filter(|(host, port)| {
        let bound = std::net::TcpListener::bind((host.as_str(), *port));
        bound.is_err_and(|error| error.kind() == std::io::ErrorKind::AddrInUse)
    });
    match taken {
        Some((_, port)) => Check::fail(
            "coordinator",
            format!("port {port} is taken by something that is not a coordinator"),
            "end that program, or use another port: skep up --listen 127.0.0.1:0",
        ),
        None => Check::warn(
            "coordinator",
            format!("none runs at {url}"),
            "start one with `skep up`; `skep run PLAN` needs none",
        ),
    }
}

fn same_version(status: &Value) -> Check {
    let (theirs, ours) = (text(status, "/version"), env!("CARGO_PKG_VERSION"));
    if theirs == ours {
        return Check::ok("versions", format!("coordinator and command are {ours}"));
    }
    let detail = format!("the coordinator is {theirs}, this command is {ours}");
    Check::warn("versions", detail, "use the same version everywhere")
}

fn nodes(status: &Value) -> Check {
    let ready = status
        .pointer("/nodes/ready")
        .and_then(Value::as_u64)
        .unwrap_or(0);
    if ready > 0 {
        let slots = text(status, "/slots");
        return Check::ok(
            "nodes",
            format!("{ready} ready, {slots} attempts at a time"),
        );
    }
    Check::warn(
        "nodes",
        "no node takes work",
        "start one with `skep node start`",
    )
}

/// Compares the clocks by the date of an answer, which has whole seconds.
async fn clock(api: &Api) -> Check {
    let before = SystemTime::now();
    let request = api.client().request(Method::GET, "/livez");
    let headers = match request.send_for_headers().await {
        Ok(headers) => headers,
        Err(error) => return failed("clock", &error.into()),
    };
    let after = SystemTime::now();
    let date = headers.get(DATE).and_then(|value| value.to_str().ok());
    match date.and_then(|date| httpdate::parse_http_date(date).ok()) {
        Some(theirs) => judge_clock(theirs, before, after),
        None => Check::warn(
            "clock",
            "the coordinator does not say its time",
            "look at what stands between here and the coordinator: it may change answers",
        ),
    }
}

/// Their second lay somewhere between `before` and `after` when both clocks agree.
fn judge_clock(theirs: SystemTime, before: SystemTime, after: SystemTime) -> Check {
    let ahead = theirs.duration_since(after).unwrap_or_default();
    let second_ends = theirs + Duration::from_secs(1);
    let behind = before.duration_since(second_ends).unwrap_or_default();
    let (skew, word) = if ahead > behind {
        (ahead, "ahead of")
    } else {
        (behind, "behind")
    };
    if skew <= CLOCK_SKEW_MAX {
        let most = CLOCK_SKEW_MAX.as_secs();
        return Check::ok("clock", format!("within {most} s of the coordinator's"));
    }
    let shown = duration(skew.as_millis() as u64);
    Check::warn(
        "clock",
        format!("the coordinator's clock is {shown} {word} the one here"),
        "let both machines take the time from a server (NTP): times in events and of tokens differ",
    )
}

/// What the coordinator finds when it examines itself, with every stored hash.
async fn diagnosis(api: &Api) -> Vec<Check> {
    let path = "/api/v2/system/diagnostics".to_owned();
    let request = api.client().request(Method::POST, path).once();
    let request = request.timeout(DIAGNOSIS_MAX);
    let sent = match request.json(&json!({ "full": true })) {
        Ok(request) => request.send::<Value>().await,
        Err(error) => Err(error),
    };
    match sent {
        Ok(report) => found(&report),
        Err(error) => vec![failed("stored data", &error.into())],
    }
}

/// The findings that are not looked at from here already. The coordinator gives names and details
/// only; the cures are known here.
fn found(report: &Value) -> Vec<Check> {
    let checks = report.pointer("/checks").and_then(Value::as_array);
    checks
        .into_iter()
        .flatten()
        .filter_map(|check| {
            let (name, cure) = match exact(check, "/name") {
                "store" => (
                    "stored data",
                    "stop the coordinator, keep a copy of its directory, and go back to a good copy",
                ),
                "log" => ("log", "its log says more; start the coordinator again"),
                "archive" => ("archive", "its log says more; check the disk"),
                "disk" => ("its disk", "free space on the coordinator's disk"),
                "clock" => ("its clock", "set the coordinator's clock (NTP)"),
                // Said above, with what is to be done.
                "nodes" => return None,
                _ => ("coordinator", "its log says more"),
            };
            let ok = check.pointer("/ok").and_then(Value::as_bool) == Some(true);
            let detail = exact(check, "/detail");
            Some(if ok {
                Check::ok(name, detail)
            } else {
                Check::fail(name, detail, cure)
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;

    #[test]
    fn a_swarm_without_ready_nodes_is_worth_a_warning() {
        assert_eq!(nodes(&json!({"nodes": {"lost": 2}})).status, Status::Warn);
        assert_eq!(
            nodes(&json!({"nodes": {"ready": 2}, "slots": 4})).status,
            Status::Ok
        );
        assert_eq!(
            same_version(&json!({"version": "0.0.0"})).status,
            Status::Warn
        );
    }

    #[test]
    fn clocks_may_differ_by_little() {
        let before = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        let after = before + Duration::from_millis(300);
        for (theirs, status, word) in [
            (1_000, Status::Ok, "within"),
            (999, Status::Ok, "within"),
            (1_002, Status::Ok, "within"),
            (1_003, Status::Warn, "ahead of"),
            (997, Status::Ok, "within"),
            (996, Status::Warn, "behind"),
            (500, Status::Warn, "8 min 19 s behind"),
        ] {
            let theirs = SystemTime::UNIX_EPOCH + Duration::from_secs(theirs);
            let check = judge_clock(theirs, before, after);
            assert_eq!(check.status, status, "{check:?}");
            assert!(check.detail.contains(word), "{check:?}");
        }
    }

    #[test]
    fn what_a_diagnosis_finds_is_told_with_a_cure() {
        let report = json!({"ok": false, "checks": [
            {"name": "log", "ok": true, "detail": "0 commands wait"},
            {"name": "nodes", "ok": false, "detail": "0 of 0 nodes take work"},
            {"name": "store", "ok": false, "detail": "entry 7 does not follow from entry 6"},
        ]});
        let checks = found(&report);
        let told: Vec<_> = checks
            .iter()
            .map(|check| (check.name, check.status, check.cure.is_some()))
            .collect();
        assert_eq!(
            told,
            [
                ("log", Status::Ok, false),
                ("stored data", Status::Fail, true)
            ]
        );
        assert!(checks[1].detail.contains("entry 7"));
    }
}
