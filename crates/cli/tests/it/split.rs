//! A running attempt that divides its work by itself.

use crate::hive::TestHive;

const DIVIDES: &str = r#"
name: divides
tasks:
  cut:
    isolation: s0
    retries: 0
    run: |
      "$SKEP_BIN" task split - <<'TASKS'
      tasks:
        first: {run: "printf 1 > out", isolation: s0, artifacts: [out]}
        second: {run: "cat inputs/first/out > both; printf 2 >> both", isolation: s0,
                 inputs: first, artifacts: [both]}
      TASKS
"#;

#[test]
fn an_attempt_adds_tasks_to_its_run_by_its_own_token() {
    let hive = TestHive::start(1);
    let plan = hive.plan("divides.yaml", DIVIDES);
    let (run, cut) = hive.submit(&plan, "cut");
    hive.skep(&["wait", &run, "--timeout", "60"]).expect(0);
    let shown = hive.skep(&["--json", "run", "show", &run]).expect(0).json();
    assert_eq!(shown["run"]["counts"]["succeeded"], 3, "{shown}");
    let artifacts = shown["artifacts"].as_array().unwrap().iter();
    let both = artifacts
        .filter(|artifact| artifact["path"] == "both")
        .map(|artifact| artifact["blake3"].as_str().unwrap())
        .next()
        .unwrap();
    assert_eq!(hive.skep(&["artifact", "get", both]).expect(0).text(), "12");
    let named = hive.skep(&["task", "logs", &cut]).expect(0).text();
    assert_eq!(named.lines().count(), 2, "the ids of both: {named}");
}

#[test]
fn tasks_are_added_once_under_a_key_and_only_to_a_task_that_lives() {
    let hive = TestHive::start(0);
    let plan = hive.plan("waits.yaml", "name: waits\ntasks: {a: {run: 'true'}}\n");
    let (run, task) = hive.submit(&plan, "a");
    hive.plan("more.yaml", "tasks: {b: {run: 'true'}}");
    let split = |key| {
        let arguments = ["task", "split", "more.yaml", "--task", &task];
        hive.skep(&[&arguments[..], &["--idempotency-key", key]].concat())
    };
    let first = split("k1").expect(0).text();
    assert_eq!(split("k1").expect(0).text(), first);
    let listed = hive.skep(&["--json", "run", "show", &run]).expect(0).json();
    assert_eq!(listed["tasks"].as_array().unwrap().len(), 2);
    let malformed = hive.plan("bad.yaml", "b: {run: 'true'}");
    let refused = hive.skep(&["--json", "task", "split", &malformed, "--task", &task]);
    assert_eq!(refused.expect(6).json_error()["code"], "tasks_malformed");
}
