//! A plan on its way: submission, work, logs, artifacts, and back.

use crate::hive::{TestHive, skep_in};
use serde_json::Value;

const BUILD_AND_CHECK: &str = r#"
name: demo
params:
  word: {default: honey}
tasks:
  build:
    run: |
      echo "building $SKEP_PARAM_WORD"
      printf '%s' "$SKEP_PARAM_WORD" > out.txt
    artifacts: [out.txt]
  check:
    inputs: build
    run: |
      grep -q honey inputs/build/out.txt
      echo checked
"#;

#[test]
fn a_plan_goes_its_way_from_submission_to_artifacts() {
    let hive = TestHive::start(1);
    let plan = hive.plan("demo.yaml", BUILD_AND_CHECK);
    let (run, build) = hive.submit(&plan, "build");
    hive.skep(&["wait", &run, "--timeout", "60"]).expect(0);

    let shown = hive.skep(&["--json", "run", "show", &run]).expect(0).json();
    assert_eq!(shown["run"]["state"], "succeeded");
    let states: Vec<_> = shown["tasks"].as_array().unwrap().iter().collect();
    assert!(
        states.iter().all(|task| task["state"] == "succeeded"),
        "{shown}"
    );
    assert_eq!(shown["run"]["counts"]["succeeded"], 2);

    let log = hive.skep(&["task", "logs", &build]).expect(0);
    assert_eq!(log.text(), "building honey\n");
    let followed = hive
        .skep(&["--json", "task", "logs", "--follow", &build])
        .expect(0);
    assert_eq!(followed.json_lines()[0]["line"], "building honey");
    let found = hive
        .skep(&["task", "logs", &build, "--grep", "hon.y"])
        .expect(0);
    assert_eq!(found.text(), "1: building honey\n");

    let artifacts = hive
        .skep(&["--json", "artifact", "ls", &run])
        .expect(0)
        .json();
    let hash = artifacts["items"][0]["blake3"].as_str().unwrap();
    assert_eq!(hash, blake3::hash(b"honey").to_hex().as_str());
    assert_eq!(
        hive.skep(&["artifact", "get", hash]).expect(0).stdout,
        b"honey"
    );
    hive.skep(&["artifact", "get", hash, "--output", "copy.txt"])
        .expect(0);
    assert_eq!(
        std::fs::read(hive.path().join("copy.txt")).unwrap(),
        b"honey"
    );

    let events = hive
        .skep(&["--json", "events", "--run", &run])
        .expect(0)
        .json_lines();
    let names: Vec<_> = events
        .iter()
        .map(|event| event["event"].as_str().unwrap())
        .collect();
    assert_eq!(names.first(), Some(&"run_submitted"));
    assert_eq!(names.last(), Some(&"run_changed"));
    let third = events[2]["cursor"].as_str().unwrap();
    let rest = hive
        .skep(&["--json", "events", "--run", &run, "--after", third])
        .expect(0);
    assert_eq!(rest.json_lines(), events[3..]);
}

#[test]
fn the_same_key_makes_one_run_however_often_it_is_submitted() {
    let hive = TestHive::start(0);
    let plan = hive.plan("demo.yaml", BUILD_AND_CHECK);
    let submit = |word: &str| {
        let word = format!("word={word}");
        let arguments = [
            "--json",
            "submit",
            &plan,
            "--idempotency-key",
            "k1",
            "--param",
            &word,
        ];
        hive.skep(&arguments)
    };
    let first = submit("a").expect(0).json();
    let second = submit("a").expect(0).json();
    assert_eq!(first["run"]["id"], second["run"]["id"]);
    assert_eq!(
        (&first["repeated"], &second["repeated"]),
        (&false.into(), &true.into())
    );
    let other = submit("b").expect(6);
    assert_eq!(other.json_error()["code"], "idempotency_mismatch");
}

#[test]
fn a_held_run_stays_where_it_is_until_it_is_resumed_or_cancelled() {
    let hive = TestHive::start(0);
    let plan = hive.plan("demo.yaml", BUILD_AND_CHECK);
    let (run, build) = hive.submit(&plan, "build");
    for (verb, state) in [
        ("pause", "paused"),
        ("resume", "running"),
        ("cancel", "cancelled"),
    ] {
        let answer = hive.skep(&["--json", "run", verb, &run]).expect(0).json();
        assert_eq!(answer["state"], state, "{verb}");
    }
    hive.skep(&["wait", &run]).expect(5);
    hive.skep(&["wait", &run, "--for", "cancelled"]).expect(0);
    hive.skep(&["wait", &build, "--for", "cancelled"]).expect(0);
    let listed = hive
        .skep(&["--json", "run", "ls", "--state", "cancelled"])
        .expect(0)
        .json();
    assert_eq!(listed["items"][0]["id"].as_str(), Some(run.as_str()));
}

#[test]
fn a_plan_runs_without_a_coordinator_and_leaves_its_artifacts() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("demo.yaml"), BUILD_AND_CHECK).unwrap();
    let answer = skep_in(directory.path(), &["--json", "run", "demo.yaml"]).expect(0);
    let document: Value = answer.json();
    let run = document["run"]["id"].as_str().unwrap();
    let results = directory.path().join("home/state/results").join(run);
    assert_eq!(
        std::fs::read(results.join("build/out.txt")).unwrap(),
        b"honey"
    );
}
