//! The coordinator's process: one owner of its data, one port, and restarts that lose nothing.

use crate::hive::{Process, TestHive, command, skep_in, wait_until};

/// A task that ends once a file is there.
const GATED: &str = r#"
name: gated
params:
  dir: {type: path}
tasks:
  first:
    reads: ["${{ params.dir }}"]
    run: |
      while [ ! -e "$SKEP_PARAM_DIR/go" ]; do sleep 0.05; done
      echo went
  second:
    needs: first
    run: echo done
"#;

#[test]
fn a_second_coordinator_on_the_same_data_is_refused() {
    let hive = TestHive::start(0);
    let answer = hive
        .skep(&["--json", "up", "--listen", "127.0.0.1:0", "--nodes", "0"])
        .expect(8);
    assert_eq!(answer.json_error()["code"], "data_dir_in_use");
    hive.skep(&["run", "ls"]).expect(0);
}

#[test]
fn a_taken_port_is_named_and_an_open_network_is_refused() {
    let hive = TestHive::start(0);
    let other = tempfile::tempdir().unwrap();
    let taken = hive.address().to_string();
    for (listen, exit, code) in [
        (taken.as_str(), 8, "port_taken"),
        ("0.0.0.0:0", 6, "listen_not_loopback"),
    ] {
        let arguments = ["--json", "up", "--listen", listen, "--nodes", "0"];
        let error = skep_in(other.path(), &arguments).expect(exit).json_error();
        assert_eq!(error["code"], code);
        assert!(error["hint"].is_string(), "{error}");
    }
}

#[test]
fn a_coordinator_that_is_told_to_stop_ends_in_order() {
    let mut hive = TestHive::start(1);
    assert_eq!(hive.stop(), Some(0));
    hive.skep(&["run", "ls"]).expect(4);
}

#[test]
fn a_run_goes_on_after_the_coordinator_was_killed() {
    let mut hive = TestHive::start(0);
    let node = hive.start_node("steady");
    hive.wait_for_nodes(1);
    let plan = hive.plan("gated.yaml", GATED);
    let gate = hive.path().join("gate");
    std::fs::create_dir(&gate).unwrap();
    let param = format!("dir={}", gate.display());
    let submitted = hive
        .skep(&["--json", "submit", &plan, "--param", &param])
        .expect(0)
        .json();
    let run = submitted["run"]["id"].as_str().unwrap();
    let first = submitted["tasks"]["first"].as_str().unwrap();
    hive.skep(&["wait", first, "--for", "running", "--timeout", "60"])
        .expect(0);
    let mut waiting = Process::start(command(hive.path(), &["wait", run, "--timeout", "60"]));

    hive.crash_and_restart(0);
    let shown = hive.skep(&["--json", "run", "show", run]).expect(0).json();
    assert_eq!(shown["run"]["state"], "running");
    std::fs::write(gate.join("go"), "").unwrap();
    hive.skep(&["wait", run, "--timeout", "60"]).expect(0);
    assert_eq!(waiting.code(), Some(0), "a wait goes on over the restart");

    let shown = hive.skep(&["--json", "run", "show", run]).expect(0).json();
    for task in shown["tasks"].as_array().unwrap() {
        assert_eq!(
            (&task["state"], &task["attempts"]),
            (&"succeeded".into(), &1.into()),
            "{task}"
        );
    }
    assert_eq!(
        hive.skep(&["task", "logs", first]).expect(0).text(),
        "went\n"
    );
    drop(node);
}

#[test]
fn a_node_with_a_refused_token_ends_and_says_so() {
    let hive = TestHive::start(0);
    std::fs::write(hive.path().join("token"), "nonsense").unwrap();
    let arguments = [
        "--json",
        "node",
        "start",
        "--name",
        "stranger",
        "--token-file",
        "token",
    ];
    let error = hive.skep(&arguments).expect(3).json_error();
    assert_eq!(error["code"], "token_refused");
}

#[test]
fn nodes_end_with_the_coordinator_that_started_them_and_make_way_for_the_next() {
    let mut hive = TestHive::start(1);
    let stuck = hive.plan("stuck.yaml", "name: s\ntasks:\n  a: {run: sleep 600}\n");
    let (_, task) = hive.submit(&stuck, "a");
    hive.skep(&["wait", &task, "--for", "running", "--timeout", "60"])
        .expect(0);
    let before = hive
        .skep(&["--json", "node", "show", "local-1"])
        .expect(0)
        .json();

    hive.crash_and_restart(1);
    wait_until("the next node", || {
        let node = hive
            .skep(&["--json", "node", "show", "local-1"])
            .expect(0)
            .json();
        let is_next = node["instance"] != before["instance"] && node["state"] == "ready";
        if is_next {
            Ok(())
        } else {
            Err(node.to_string())
        }
    });
    let short = hive.plan("short.yaml", "name: s\ntasks:\n  a: {run: echo here}\n");
    hive.skep(&["submit", &short, "--wait"]).expect(0);
}
