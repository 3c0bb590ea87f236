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
fn a_run_beside_a_coordinator_is_told_how_to_use_it() {
    let hive = TestHive::start(1);
    let plan = hive.plan("green.yaml", "name: g\ntasks:\n  a: {kind: noop}\n");
    let error = hive.skep(&["--json", "run", &plan]).expect(8).json_error();
    assert_eq!(error["code"], "data_dir_in_use");
    let url = format!("http://{}", hive.address());
    let hint = error["hint"].as_str().unwrap();
    for wanted in [
        &format!("skep run --url {url}"),
        "skep submit --wait",
        "--home",
    ] {
        assert!(hint.contains(wanted), "{wanted} is missing in {hint}");
    }
    // What the hint says is what helps.
    hive.skep(&["run", "--url", &url, &plan]).expect(0);
    hive.skep(&["submit", "--wait", &plan]).expect(0);
}

#[test]
fn a_second_run_in_one_directory_is_told_to_wait_or_go_elsewhere() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    std::fs::write(
        path.join("slow.yaml"),
        "name: s\ntasks:\n  a: {run: sleep 600}\n",
    )
    .unwrap();
    let run = || {
        let mut run = command(path, &["--json", "run", "slow.yaml"]);
        run.env_remove("SKEP_HOME");
        run
    };
    let first = Process::start(run());
    wait_until("the first run", || {
        let note = path.join(".skep/state/coordinator.json");
        note.exists()
            .then_some(())
            .ok_or_else(|| "no note".to_owned())
    });
    let second = run().output().unwrap();
    assert_eq!(second.status.code(), Some(8));
    let stderr = String::from_utf8(second.stderr).unwrap();
    let error: serde_json::Value = serde_json::from_str(stderr.lines().last().unwrap()).unwrap();
    assert_eq!(error["code"], "data_dir_in_use");
    let hint = error["hint"].as_str().unwrap();
    // That one's coordinator ends with it: nothing is to be handed to it.
    assert!(hint.contains("wait") && hint.contains("--home"), "{hint}");
    assert!(!hint.contains("--url"), "{hint}");
    drop(first);
}

#[test]
fn a_removed_node_is_named_with_what_to_do() {
    let hive = TestHive::start(2);
    hive.skep(&["node", "rm", "local-1"]).expect(0);
    wait_until("a word about the first node", || {
        hive.says("`local-1` was removed")
    });
    hive.skep(&["node", "rm", "local-2"]).expect(0);
    wait_until("a word about the second node", || {
        hive.says("`local-2` was removed")
    });
    wait_until("what to do", || {
        hive.says("no node of this process is left")
    });
    hive.skep(&["run", "ls"]).expect(0);
}

#[test]
fn a_taken_port_and_an_address_that_cannot_be_given_to_others_are_named() {
    let hive = TestHive::start(0);
    let other = tempfile::tempdir().unwrap();
    let taken = hive.address().to_string();
    for (arguments, exit, code) in [
        (&["--listen", taken.as_str()][..], 8, "port_taken"),
        (
            &["--listen", "0.0.0.0:0", "--advertise", "no port"],
            6,
            "advertise_malformed",
        ),
    ] {
        let arguments = [&["--json", "up", "--nodes", "0"], arguments].concat();
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
