//! A shell as an attached agent, from its registration to its farewell.

use crate::hive::TestHive;

const PLAN: &str = "
name: review
tasks:
  look: {instructions: Look around., expected: Findings., requires: [review]}
  check: {kind: noop, needs: look}
";

#[test]
fn a_shell_registers_asks_claims_hands_in_and_leaves() {
    let hive = TestHive::start(1);
    hive.wait_for_nodes(1);
    let (run, task) = hive.submit(&hive.plan("review.yaml", PLAN), "look");
    let work = |arguments: &[&str]| {
        let arguments: Vec<&str> = std::iter::once("work")
            .chain(arguments.iter().copied())
            .collect();
        hive.skep_with(&[("SKEP_SESSION", "reviewer")], &arguments)
    };
    let unfit = work(&["register", "--name", "other", "--can", "go"])
        .expect(0)
        .text();
    let none = hive.skep(&["work", "request", "--session", unfit.trim(), "--wait", "1s"]);
    assert_eq!(none.expect(0).text().trim(), "no work");
    work(&["register", "--name", "reviewer", "--can", "review=expert"]).expect(0);
    let given = work(&["request", "--wait", "30s"]).expect(0).text();
    assert!(
        given.contains(&task) && given.contains("Look around."),
        "{given}"
    );
    assert!(given.contains("skep work claim"), "{given}");
    work(&["claim", &task]).expect(0);
    work(&["progress", &task, "half of it"]).expect(0);
    let taken = hive.skep(&["work", "claim", "--session", unfit.trim(), &task]);
    taken.expect(8);
    std::fs::write(hive.path().join("findings.md"), "two").unwrap();
    work(&[
        "complete",
        &task,
        "--result",
        "two findings",
        "--commit",
        "abc",
    ])
    .expect(0);
    work(&["fail", &task, "--reason", "late"]).expect(8);
    hive.skep(&["wait", &run, "--for", "succeeded", "--timeout", "60"])
        .expect(0);
    let shown = hive.skep(&["task", "show", &task]).expect(0).text();
    assert!(
        shown.contains("two findings") && shown.contains("abc"),
        "{shown}"
    );
    let log = hive.skep(&["task", "logs", &task]).expect(0).text();
    assert!(log.contains("half of it"), "{log}");
    let agent = hive.skep(&["agent", "show", "reviewer"]).expect(0).text();
    assert!(
        agent.contains("review") && agent.contains("measured"),
        "{agent}"
    );
    work(&["leave"]).expect(0);
    work(&["heartbeat"]).expect(7);
    let hosted = hive
        .skep(&["--json", "agent", "ls", "--kind", "hosted"])
        .expect(0)
        .json();
    assert_eq!(hosted["items"].as_array().unwrap().len(), 1);
}

#[test]
fn a_plan_that_wants_gates_of_words_is_refused_before_it_is_sent() {
    let hive = TestHive::start(0);
    let plan = hive.plan(
        "gates.yaml",
        "name: p\ntasks:\n  a: {instructions: look, gates: [make test]}\n",
    );
    let refused = hive.skep(&["submit", &plan]).expect(6);
    assert!(
        refused.stderr.contains("plan_needs_command"),
        "{}",
        refused.stderr
    );
}
