//! Hooks as the settings of Claude-Flow's users call them.

use crate::hive::{Answer, TestHive, command, skep_in};
use serde_json::{Value, json};
use std::io::Write;
use std::process::Stdio;

/// The value of an entry of shared memory.
#[track_caller]
fn stored(hive: &TestHive, namespace: &str, key: &str) -> Value {
    let entry = hive.skep(&["--json", "memory", "get", namespace, key]);
    entry.expect(0).json()["value"].clone()
}

#[track_caller]
fn hook(hive: &TestHive, arguments: &[&str]) -> Answer {
    hive.skep(&[&["hooks"], arguments].concat()).expect(0)
}

#[test]
fn records_of_hooks_are_in_shared_memory_when_they_return() {
    let hive = TestHive::start(0);
    let task = [
        "pre-task",
        "--description",
        "mend the roof",
        "--taskId",
        "t1",
    ];
    let said = hook(
        &hive,
        &[&task[..], &["--auto-spawn-agents", "false"]].concat(),
    );
    assert_eq!(said.stderr, "");
    let before = stored(&hive, "hooks-pre-task", "t1");
    assert_eq!(
        (&before["description"], &before["autoSpawnAgents"]),
        (&json!("mend the roof"), &json!(false))
    );
    assert_eq!(stored(&hive, "task-index", "t1")["state"], "begun");

    hook(
        &hive,
        &["post-task", "--task-id=t1", "--analyze-performance", "true"],
    );
    assert_eq!(stored(&hive, "task-index", "t1")["state"], "ended");
    let figures = stored(&hive, "performance", "t1");
    assert!(figures["durationMs"].as_u64().unwrap() > 0, "{figures}");
}

#[test]
fn edits_commands_and_sessions_are_found_again() {
    let hive = TestHive::start(0);
    hook(
        &hive,
        &[
            "post-edit",
            "--file",
            "src/a.rs",
            "--memory-key",
            "swarm/coder/step",
        ],
    );
    assert_eq!(
        stored(&hive, "coordination", "swarm/coder/step")["file"],
        "src/a.rs"
    );
    let again = hook(
        &hive,
        &["pre-edit", "--file", "src/a.rs", "--loadContext", "true"],
    );
    assert_eq!(again.json()["memoryKey"], "swarm/coder/step");

    let run = [
        "post-command",
        "--command",
        "make -j2",
        "--exit-code",
        "2",
        "--output",
        "no rule",
    ];
    hook(&hive, &[&run[..], &["--store-results", "true"]].concat());
    let results = hive
        .skep(&["--json", "memory", "list", "command-results"])
        .expect(0)
        .json();
    let key = results["items"][0]["key"].as_str().unwrap();
    let result = stored(&hive, "command-results", key);
    assert_eq!(
        (&result["exitCode"], &result["output"]),
        (&json!(2.0), &json!("no rule"))
    );

    hook(
        &hive,
        &[
            "session-end",
            "--session-id",
            "s1",
            "--generate-summary",
            "true",
        ],
    );
    let session = stored(&hive, "sessions", "s1");
    assert_eq!(session["summary"]["command-results"], 1);
    let restored = hook(&hive, &["session-restore", "--session-id", "s1"]);
    assert_eq!(restored.json()["sessionId"], "s1");
}

#[test]
fn secrets_in_commands_do_not_reach_shared_memory() {
    let hive = TestHive::start(0);
    hook(
        &hive,
        &[
            "pre-bash",
            "--command",
            "curl -H 'Authorization: Bearer abcdef0123' x",
        ],
    );
    let listed = hive
        .skep(&["--json", "memory", "list", "hooks-pre-bash"])
        .expect(0)
        .json();
    let key = listed["items"][0]["key"].as_str().unwrap();
    let record = stored(&hive, "hooks-pre-bash", key).to_string();
    assert!(!record.contains("abcdef0123"), "{record}");
    assert!(record.contains("curl"), "{record}");
}

#[test]
fn a_hook_never_stands_in_the_way_and_says_what_was_not_done() {
    let directory = tempfile::tempdir().unwrap();
    // Nobody is there.
    let lonely = skep_in(directory.path(), &["hooks", "pre-task", "--task-id", "t"]);
    let lonely = lonely.expect(0);
    assert!(
        lonely.stderr.contains("nothing was stored"),
        "{}",
        lonely.stderr
    );

    let hive = TestHive::start(0);
    for (arguments, said) in [
        (&["dance"][..], "no hook is called `dance`"),
        (&["modify-bash"], "changes nothing"),
        (&["modify-file"], "changes nothing"),
        (&["modify-git-commit"], "changes nothing"),
        (
            &["notify", "--message", "m", "--colour", "red"],
            "passed over: --colour",
        ),
        (
            &["pre-task", "--auto-spawn-agents"],
            "no agents are started",
        ),
        (
            &["post-edit", "--file", "f", "--format", "true"],
            "no formatter is run",
        ),
        (
            &[
                "pre-bash",
                "--command",
                "rm -rf / now",
                "--validate-safety",
                "true",
            ],
            "warning: the command has `rm -rf /`",
        ),
        (
            &["session-restore", "--session-id", "never"],
            "nothing is restored",
        ),
    ] {
        let answer = hook(&hive, arguments);
        assert!(
            answer.stderr.contains(said),
            "{arguments:?}: {}",
            answer.stderr
        );
    }
    // What stands on stdout a program would take for a changed command.
    assert_eq!(hook(&hive, &["modify-bash"]).text(), "");
    let reader = ["--json", "token", "new", "reader", "--scope", "read"];
    let token = hive.skep(&reader).expect(0).json();
    let token = token["secret"].as_str().unwrap();
    let refused = hive.skep_with(
        &[("SKEP_TOKEN", token)],
        &["hooks", "notify", "--message", "m"],
    );
    let refused = refused.expect(0);
    assert!(
        refused.stderr.contains("nothing was stored"),
        "{}",
        refused.stderr
    );
}

/// A hook as Claude Code calls it: with what it knows on stdin.
#[track_caller]
fn hook_of_claude_code(hive: &TestHive, name: &str, known: &Value) -> Answer {
    let mut hook = command(hive.path(), &["hooks", name])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = hook.stdin.take().unwrap();
    stdin.write_all(known.to_string().as_bytes()).unwrap();
    drop(stdin);
    Answer::of(hook.wait_with_output().unwrap()).expect(0)
}

#[test]
fn what_a_session_used_is_read_from_its_transcript_and_counted_once() {
    let hive = TestHive::start(0);
    hook(&hive, &["pre-task", "--task-id", "now"]);
    let at = stored(&hive, "hooks-pre-task", "now")["at"].clone();
    let answer = |id: &str, output: u64| {
        json!({
            "type": "assistant", "timestamp": at,
            "message": {
                "id": id, "model": "large",
                "usage": { "input_tokens": 2, "output_tokens": output },
            },
        })
        .to_string()
    };
    let transcript = hive.path().join("transcript.jsonl");
    let known = json!({ "session_id": "s-1", "transcript_path": transcript });
    let used = || {
        let used = hive.skep(&["--json", "analyse", "usage", "s-1"]).expect(0);
        let used = used.json();
        (
            used["records"].clone(),
            used["total"]["output_tokens"].clone(),
        )
    };
    assert_eq!(used().0, 0);
    let lines = [answer("m1", 1), answer("m1", 30)];
    std::fs::write(&transcript, lines.join("\n")).unwrap();
    let said = hook_of_claude_code(&hive, "stop", &known);
    assert_eq!(said.stderr, "");
    assert_eq!(used(), (json!(1), json!(30)));
    let lines = [&lines[..], &[answer("m2", 4)]].concat();
    std::fs::write(&transcript, lines.join("\n")).unwrap();
    hook_of_claude_code(&hive, "session-end", &known);
    assert_eq!(used(), (json!(1), json!(34)), "not 64");
    hook_of_claude_code(&hive, "stop", &known);
    assert_eq!(used(), (json!(1), json!(34)));

    let missing = json!({ "session_id": "s-2", "transcript_path": "/nowhere" });
    let said = hook_of_claude_code(&hive, "stop", &missing);
    assert!(said.stderr.contains("cannot be read"), "{}", said.stderr);
}

#[test]
fn what_was_done_can_be_looked_at_from_the_command_line() {
    let hive = TestHive::start(1);
    let plan = hive.plan("p.yaml", "name: p\ntasks:\n  a: {run: 'echo warning 7', retries: 0}\n  b: {run: exit 3, retries: 0}\n");
    let (run, task) = hive.submit(&plan, "a");
    hive.skep(&["wait", &run, "--for", "failed", "--timeout", "60"])
        .expect(0);
    let analyse = |arguments: &[&str]| {
        let all = [&["--json", "analyse"], arguments].concat();
        hive.skep(&all).expect(0).json()
    };
    let report = analyse(&["report", "--for", "1h"]);
    assert_eq!(
        (&report["tasks"], &report["success_rate"]),
        (&json!(2), &json!(0.5))
    );
    let trend = analyse(&["trend", "success-rate", "--for", "1h"]);
    assert_eq!(
        trend["points"].as_array().unwrap().last().unwrap()["value"],
        0.5
    );
    assert_eq!(analyse(&["bottlenecks"])["findings"], json!([]));
    assert_eq!(analyse(&["errors"])["messages"], 1);
    let log = analyse(&["log", &task, "--pattern", "warning"]);
    assert_eq!(
        (&log["levels"]["warning"], &log["patterns"][0]["lines"]),
        (&json!(1), &json!(1))
    );
    let shown = hive.skep(&["analyse", "report"]).expect(0).text();
    assert!(shown.contains("succeeded  0.5 of 1"), "{shown}");
}
