//! A machine that joined by a token: TLS, its own key, binary frames.

use crate::hive::{Process, command, skep_in, wait_until};
use serde_json::Value;
use std::fs::File;
use std::net::TcpListener;
use std::process::Stdio;

const PLAN: &str = "{name: far, tasks: {work: {run: 'echo done', isolation: s0, gates: [{name: one, run: 'true'}, {name: two, run: 'true'}]}}}";

#[test]
fn a_member_agrees_on_compressed_frames_and_credits_and_works() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
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
    let log = |name: &str| Stdio::from(File::create(path.join(name)).unwrap());
    let read = |name: &str| std::fs::read_to_string(path.join(name)).unwrap_or_default();
    let _up = Process::start_with(command(path, &up), log("up.log"));
    wait_until("a ready coordinator", || {
        let ready = read("ready.json");
        if ready.is_empty() {
            return Err(read("up.log"));
        }
        Ok(())
    });
    let ready: Value = serde_json::from_str(&read("ready.json")).unwrap();
    let token = ready["join"].as_str().unwrap();
    let mut join = command(path, &["join", token, "--name", "far"]);
    join.env("RUST_LOG", "info");
    let _node = Process::start_with(join, log("node.log"));
    wait_until("a session of the member", || {
        let said = read("node.log");
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
