//! What names and outputs from elsewhere can do to the terminal of those who look: nothing.

use crate::hive::{Answer, TestHive};

/// A task whose artifact, log and gate have names and outputs that would steer a terminal.
const HOSTILE: &str = r#"
name: hostile
tasks:
  a:
    run: |
      mkdir out
      printf x > "$(printf 'out/a\342\200\256d')"
      printf 'log \033[2J\033[31mred\033[0m\n'
    artifacts: ["out/*"]
    gates:
      - {name: g, run: "printf 'seen \\033[2J\\n'"}
"#;

#[track_caller]
fn is_harmless(answer: &Answer) {
    for text in [&answer.text(), &answer.stderr] {
        let found = text
            .chars()
            .find(|letter| (letter.is_control() && *letter != '\n') || *letter == '\u{202e}');
        assert_eq!(found, None, "{text:?}");
    }
}

#[test]
fn names_and_outputs_are_shown_escaped_and_kept_exact_in_json() {
    let hive = TestHive::start(1);
    let plan = hive.plan("hostile.yaml", HOSTILE);
    let (run, task) = hive.submit(&plan, "a");
    hive.skep(&["wait", &run, "--timeout", "60"]).expect(0);
    let url = format!("http://{}", hive.address());
    let shown: &[&[&str]] = &[
        &["artifact", "ls", &run],
        &["run", "show", &run],
        &["task", "show", &task],
        &["run", "--url", &url, &plan],
    ];
    for arguments in shown {
        let answer = hive.skep(arguments).expect(0);
        is_harmless(&answer);
        let escaped = answer.text().contains(r"out/a\u{202e}d");
        assert!(escaped, "{arguments:?}: {}", answer.text());
    }
    let events = hive.skep(&["events"]).expect(0);
    is_harmless(&events);

    let exact = hive.skep(&["--json", "artifact", "ls", &run]).expect(0);
    assert_eq!(exact.json()["items"][0]["path"], "out/a\u{202e}d");
    // A log that goes to a file or a pipe is what the task wrote, byte by byte.
    let log = hive.skep(&["task", "logs", &task]).expect(0);
    assert_eq!(log.text(), "log \u{1b}[2J\u{1b}[31mred\u{1b}[0m\n");
}

#[test]
fn an_error_repeats_what_was_typed_without_its_effect() {
    let hive = TestHive::start(0);
    let strange = "run_\u{1b}[2J";
    let answer = hive
        .skep(&["wait", strange, "--for", "\u{1b}]0;title\u{7}"])
        .expect(6);
    is_harmless(&answer);
    assert!(
        answer.stderr.contains(r"\x1b]0;title\x07"),
        "{}",
        answer.stderr
    );
    let answer = hive.skep(&["--json", "wait", "x\u{9b}y"]).expect(6);
    let detail = answer.json_error()["detail"].as_str().unwrap().to_owned();
    assert!(
        detail.contains("x\u{9b}y"),
        "JSON holds it exactly: {detail}"
    );
}
