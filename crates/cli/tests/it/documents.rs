//! `--json`: every verb gives documents that parse.

use crate::hive::{TestHive, skep_in};

const PLAN: &str = "name: demo\ntasks:\n  a: {run: echo hello}\n  b: {kind: noop, needs: a}\n";
const WAITING: &str = "name: w\ntasks:\n  a: {run: 'true', requires: [nobody-has-this]}\n";

#[test]
fn every_verb_prints_one_document() {
    let hive = TestHive::start(1);
    let plan = hive.plan("demo.yaml", PLAN);
    let waiting = hive.plan("waiting.yaml", WAITING);
    let (run, task) = hive.submit(&plan, "a");
    hive.skep(&["wait", &run, "--timeout", "60"]).expect(0);
    let (held, held_task) = hive.submit(&waiting, "a");
    let verbs: &[&[&str]] = &[
        &["plan", &plan],
        &["wait", &run],
        &["run", "ls"],
        &["run", "show", &run],
        &["run", "pause", &held],
        &["run", "resume", &held],
        &["task", "ls", "--run", &run],
        &["task", "ls", "--state", "succeeded", "--limit", "1"],
        &["task", "ls", "--search", "a"],
        &["task", "show", &task],
        &["task", "logs", &task],
        &["task", "logs", &task, "--grep", "hello"],
        &["task", "pause", &held_task],
        &["task", "resume", &held_task],
        &["explain", &held_task],
        &["task", "cancel", &held_task],
        &["task", "retry", &held_task],
        &["node", "ls"],
        &["node", "show", "local-1"],
        &["node", "drain", "local-1"],
        &["node", "resume", "local-1"],
        &["node", "park", "local-1", "--for", "90s"],
        &["node", "unpark", "local-1"],
        &["node", "park", "--for", "90s"],
        &["node", "unpark"],
        &["node", "set", "local-1", "--on-disconnect", "wait"],
        &["token", "ls"],
        &["token", "new", "t", "--scope", "read"],
        &["artifact", "ls", &run],
        &["artifact", "ls", &task],
        &["config", "show"],
        &["config", "explain", "url"],
        &["config", "validate"],
        &["doctor"],
        &["doctor", "--full"],
        &["bench", "--tasks", "20", "--batch", "10"],
        &["schema", "plan"],
    ];
    for verb in verbs {
        let arguments: Vec<_> = ["--json"].iter().chain(*verb).copied().collect();
        let document = hive.skep(&arguments).expect(0).json();
        assert!(document.is_object(), "{verb:?}: {document}");
        let text = hive.skep(verb);
        assert!(
            !text.text().is_empty() || text.code != 0,
            "{verb:?} says nothing to people"
        );
    }
}

#[test]
fn streams_are_one_document_a_line() {
    let hive = TestHive::start(1);
    let plan = hive.plan("demo.yaml", PLAN);
    let waited = hive
        .skep(&["--json", "submit", "--wait", &plan])
        .expect(0)
        .json_lines();
    let [submitted, ended] = waited.as_slice() else {
        panic!("{waited:?}")
    };
    assert_eq!(submitted["run"]["id"], ended["run"]["id"]);
    assert_eq!(ended["run"]["state"], "succeeded");
    let run = ended["run"]["id"].as_str().unwrap();
    assert_eq!(
        hive.skep(&["--json", "watch", run])
            .expect(0)
            .json_lines()
            .len(),
        0
    );
    let events = hive.skep(&["--json", "events"]).expect(0).json_lines();
    assert!(
        events
            .iter()
            .all(|event| event["cursor"].is_string() && event["at"].is_string())
    );
}

#[test]
fn progress_stays_text_on_stderr_and_an_error_is_its_last_line() {
    let hive = TestHive::start(1);
    let plan = hive.plan("demo.yaml", PLAN);
    let answer = hive.skep(&["--json", "submit", "--wait", &plan]).expect(0);
    let last = answer.stderr.lines().last().unwrap();
    assert!(last.starts_with("run run_"), "{last}");
    let help = hive.skep(&["--help"]).expect(0).text();
    assert!(help.contains("stderr stays text for people"), "{help}");

    let busy = hive
        .skep(&["--json", "node", "start", "--name", "local-1"])
        .expect(8);
    assert_eq!(busy.json_error()["exit"], 8);
}

#[test]
fn a_full_diagnosis_verifies_the_log_and_the_clock_is_compared() {
    let hive = TestHive::start(1);
    let plan = hive.plan("demo.yaml", PLAN);
    hive.skep(&["submit", "--wait", &plan]).expect(0);
    let named = |arguments: &[&str]| {
        let report = hive.skep(arguments).expect(0).json();
        let checks = report["checks"].as_array().unwrap().clone();
        move |name: &str| {
            checks
                .iter()
                .find(|check| check["name"] == name)
                .map(|check| {
                    let detail = check["detail"].as_str().unwrap().to_owned();
                    (check["status"].as_str().unwrap().to_owned(), detail)
                })
        }
    };
    let quick = named(&["--json", "doctor"]);
    let (status, detail) = quick("clock").unwrap();
    assert_eq!(status, "ok", "{detail}");
    assert_eq!(quick("stored data"), None);

    let (status, detail) = named(&["--json", "doctor", "--full"])("stored data").unwrap();
    assert_eq!(status, "ok", "{detail}");
    assert!(
        detail.contains("log entries") && detail.contains("intact"),
        "{detail}"
    );
}

#[test]
fn a_plan_is_checked_without_a_coordinator_and_says_what_it_does_not_know() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("demo.yaml"), PLAN).unwrap();
    let arguments = ["--json", "plan", "demo.yaml", "--url", "http://127.0.0.1:1"];
    let document = skep_in(directory.path(), &arguments).expect(0).json();
    assert_eq!(document["waves"], serde_json::json!([["a"], ["b"]]));
    assert!(document["placement"].is_null());
    assert!(
        document["placement_unknown"]
            .as_str()
            .unwrap()
            .contains("127.0.0.1:1")
    );
}
