//! `skep work serve`: a real agent process over MCPX, and a coordinator that dies meanwhile.

use crate::hive::{Process, TestHive, command, wait_until};
use std::process::Stdio;

const PLAN: &str = "
name: review
tasks:
  look: {instructions: Look around., expected: Findings., requires: [review]}
  check: {kind: noop, needs: look}
";

/// Says that it is there, then waits until the test lets it go on.
const COMMAND: &str = r#"
cat > said.txt
"$SKEP" work progress "$SKEP_TASK" "half of it" >&2 || exit 9
touch begun
while [ ! -e go ]; do sleep 0.05; done
test ! -e fail || exit 3
echo "two findings"
"#;

fn serve(hive: &TestHive, more: &[&str]) -> Process {
    let arguments = [
        "work",
        "serve",
        "--name",
        "reviewer",
        "--can",
        "review=expert",
    ];
    let arguments = [&arguments[..], &["--exec", COMMAND], more].concat();
    let mut serving = command(hive.path(), &arguments);
    serving.env("SKEP", env!("CARGO_BIN_EXE_skep"));
    let log = std::fs::File::create(hive.path().join("serve.log")).unwrap();
    Process::start_with(serving, Stdio::from(log))
}

fn wait_for_file(hive: &TestHive, name: &str) {
    let path = hive.path().join(name);
    wait_until(name, || {
        if path.exists() {
            return Ok(());
        }
        Err(std::fs::read_to_string(hive.path().join("serve.log")).unwrap())
    });
}

#[test]
fn an_agent_is_given_a_task_goes_on_after_a_crash_of_the_coordinator_and_completes_it() {
    let mut hive = TestHive::start(1);
    let mut serving = serve(&hive, &["--count", "1"]);
    let (run, task) = hive.submit(&hive.plan("review.yaml", PLAN), "look");
    wait_for_file(&hive, "begun");
    let said = std::fs::read_to_string(hive.path().join("said.txt")).unwrap();
    assert_eq!(said, "Look around.\n\nexpected: Findings.\n");
    let before = hive
        .skep(&["--json", "agent", "show", "reviewer"])
        .expect(0)
        .json();
    hive.crash_and_restart(1);
    // It comes back to what it had, under the same fence.
    wait_until("the agent to come back", || {
        let log = std::fs::read_to_string(hive.path().join("serve.log")).unwrap();
        let welcomes = log.matches("takes tasks").count();
        if welcomes >= 2 { Ok(()) } else { Err(log) }
    });
    let after = hive
        .skep(&["--json", "agent", "show", "reviewer"])
        .expect(0)
        .json();
    assert_eq!(before["id"], after["id"]);
    let stale = [
        "work",
        "complete",
        &task,
        "--session",
        "reviewer",
        "--fence",
        "1.1",
    ];
    hive.skep(&stale).expect(8);
    std::fs::write(hive.path().join("go"), "").unwrap();
    hive.skep(&["wait", &run, "--for", "succeeded", "--timeout", "60"])
        .expect(0);
    assert_eq!(serving.code(), Some(0));
    let shown = hive
        .skep(&["--json", "task", "show", &task])
        .expect(0)
        .json();
    assert_eq!(
        (&shown["attempts"], &shown["account"]["result"]),
        (&1.into(), &"two findings\n".into()),
        "{shown}"
    );
    let log = hive.skep(&["task", "logs", &task]).expect(0).text();
    assert!(log.contains("half of it"), "{log}");
    hive.skep(&["work", "heartbeat", "--session", "reviewer"])
        .expect(7);
}

#[test]
fn a_command_that_fails_fails_its_task_and_one_whose_task_is_taken_back_is_ended() {
    let hive = TestHive::start(0);
    std::fs::write(hive.path().join("go"), "").unwrap();
    std::fs::write(hive.path().join("fail"), "").unwrap();
    let mut serving = serve(&hive, &[]);
    let plan = hive.plan("one.yaml", "name: p\ntasks:\n  a: {instructions: look}\n");
    let (run, task) = hive.submit(&plan, "a");
    hive.skep(&["wait", &run, "--for", "failed", "--timeout", "60"])
        .expect(0);
    let shown = hive.skep(&["task", "show", &task]).expect(0).text();
    assert!(shown.contains("exited with code 3"), "{shown}");
    for file in ["go", "fail", "begun"] {
        std::fs::remove_file(hive.path().join(file)).unwrap();
    }
    let (run, _) = hive.submit(&plan, "a");
    wait_for_file(&hive, "begun");
    hive.skep(&["run", "cancel", &run]).expect(0);
    std::fs::remove_file(hive.path().join("begun")).unwrap();
    // Were the command still there, it would be in the way of the next task.
    hive.submit(&plan, "a");
    wait_for_file(&hive, "begun");
    assert_eq!(serving.stop(), Some(0));
    hive.skep(&["work", "heartbeat", "--session", "reviewer"])
        .expect(7);
}

#[test]
fn an_agent_whose_token_does_not_let_it_in_says_why() {
    let hive = TestHive::start(0);
    let token = hive
        .skep(&["--json", "token", "new", "reader", "--scope", "read"])
        .expect(0)
        .json();
    let secret = token["secret"].as_str().unwrap();
    let refused = hive.skep_with(
        &[("SKEP_TOKEN", secret)],
        &["--json", "work", "serve", "--exec", "true"],
    );
    assert_eq!(refused.expect(3).json_error()["code"], "session_refused");
}
