//! Triggers of a real coordinator, with commands that run, across its death.

use crate::hive::{TestHive, wait_until};
use serde_json::Value;

/// The output of each run of the trigger.
fn outputs(hive: &TestHive, count: usize) -> Vec<String> {
    let mut runs: Vec<String> = Vec::new();
    wait_until("the runs of the trigger to succeed", || {
        let listed = hive.skep(&["--json", "run", "ls"]).expect(0).json();
        let items = listed["items"].as_array().unwrap().iter();
        let own = items.filter(|run| run["labels"]["trigger"] == "echo");
        let done = own.filter(|run| run["state"] == "succeeded");
        runs = done
            .map(|run| run["id"].as_str().unwrap().to_owned())
            .collect();
        if runs.len() == count {
            return Ok(());
        }
        Err(listed.to_string())
    });
    let output = |run: &String| {
        let shown = hive.skep(&["--json", "run", "show", run]).expect(0).json();
        let task = shown["tasks"][0]["id"].as_str().unwrap();
        hive.skep(&["task", "logs", task]).expect(0).text()
    };
    runs.iter().map(output).collect()
}

#[test]
fn an_event_before_a_crash_and_one_after_it_lead_to_one_run_each() {
    let mut hive = TestHive::start(1);
    let script = "printf '%s|%s|%s' \"$SKEP_TRIGGER_SUBJECT\" \"$SKEP_TRIGGER_CHANGE\" \"$SKEP_TRIGGER_KEY\"";
    let plan = serde_json::json!({ "name": "echo", "tasks": { "say": { "run": script } } });
    let plan = hive.plan("echo.yaml", &plan.to_string());
    let on = "memory written namespace=swarm key=in/*";
    hive.skep(&["trigger", "create", "echo", &plan, "--on", on])
        .expect(0);
    // A key that a careless script would run.
    hive.skep(&["memory", "set", "swarm", "in/$(touch x)'", "1"])
        .expect(0);
    hive.crash_and_restart(1);
    assert_eq!(outputs(&hive, 1), ["memory|written|in/$(touch x)'"]);
    hive.skep(&["memory", "set", "swarm", "in/two", "2"])
        .expect(0);
    hive.skep(&["memory", "set", "swarm", "out/three", "3"])
        .expect(0);
    let mut said = outputs(&hive, 2);
    said.sort();
    assert_eq!(
        said,
        ["memory|written|in/$(touch x)'", "memory|written|in/two"]
    );
    let shown: Value = hive
        .skep(&["--json", "trigger", "show", "echo"])
        .expect(0)
        .json();
    assert_eq!((&shown["matched"], &shown["fired"]), (&2.into(), &2.into()));
    hive.skep(&["trigger", "delete", "echo"]).expect(0);
    hive.skep(&["memory", "set", "swarm", "in/four", "4"])
        .expect(0);
    let shown = hive.skep(&["--json", "trigger", "ls"]).expect(0).json();
    assert_eq!(shown["items"], serde_json::json!([]));
}
