//! A machine that joined by a token: TLS, its own key, binary frames.

use crate::hive::{Process, command, skep_in, wait_until};
use serde_json::Value;
use std::fs::File;
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;

const PLAN: &str = "{name: far, tasks: {work: {run: 'echo done', isolation: s0, gates: [{name: one, run: 'true'}, {name: two, run: 'true'}]}}}";

/// A coordinator that other machines reach by TLS, and a join token of it.
fn reachable(path: &Path) -> (Process, String) {
    // Free a moment ago: the port has to be known before it is advertised.
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let (listen, advertise) = (format!("0.0.0.0:{port}"), format!("127.0.0.1:{port}"));
    let up = [
        "up",
        "--listen",
        &listen,
        "--advertise",
        &advertise,
        "--nodes",
        "0",
        "--ready-file",
        "ready.json",
    ];
    let up = Process::start_with(command(path, &up), log(path, "up.log"));
    wait_until("a ready coordinator", || {
        let ready = read(path, "ready.json");
        if ready.is_empty() {
            return Err(read(path, "up.log"));
        }
        Ok(())
    });
    let ready: Value = serde_json::from_str(&read(path, "ready.json")).unwrap();
    (up, ready["join"].as_str().unwrap().to_owned())
}

fn log(path: &Path, name: &str) -> Stdio {
    File::create(path.join(name)).unwrap().into()
}

fn read(path: &Path, name: &str) -> String {
    std::fs::read_to_string(path.join(name)).unwrap_or_default()
}

#[test]
fn a_member_agrees_on_compressed_frames_and_credits_and_works() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let (_up, token) = reachable(path);
    let mut join = command(path, &["join", &token, "--name", "far"]);
    join.env("RUST_LOG", "info");
    let _node = Process::start_with(join, log(path, "node.log"));
    wait_until("a session of the member", || {
        let said = read(path, "node.log");
        let agreed = ["frames.messagepack", "frames.zstd", "flow.credits"];
        if agreed.iter().all(|name| said.contains(name)) {
            Ok(())
        } else {
            Err(said)
        }
    });
    std::fs::write(path.join("plan.yaml"), PLAN).unwrap();
    skep_in(path, &["submit", "--wait", "plan.yaml"]).expect(0);
}

#[test]
fn a_machine_that_joined_starts_its_node_without_being_told_the_name() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (_up, token) = reachable(here.path());
    let there = there.path();
    let start = ["--json", "node", "start"];
    let stranger = skep_in(there, &start).expect(3).json_error();
    assert_eq!(stranger["code"], "not_joined");
    let join = |name: &str| {
        skep_in(there, &["join", &token, "--name", name, "--no-start"]).expect(0);
    };
    join("far");
    let mut node = Process::start_with(command(there, &start), log(there, "node.log"));
    wait_until("a node that is ready", || {
        let nodes = skep_in(here.path(), &["--json", "node", "ls"])
            .expect(0)
            .json();
        if nodes["items"][0]["state"] == "ready" {
            Ok(())
        } else {
            Err(format!("{nodes}\n{}", read(there, "node.log")))
        }
    });
    assert_eq!(node.stop(), Some(0));
    join("near");
    let ambiguous = skep_in(there, &start).expect(6).json_error();
    assert_eq!(ambiguous["code"], "node_ambiguous");
    let message = ambiguous["detail"].as_str().unwrap();
    assert!(message.contains("far and as near"), "{message}");
}
