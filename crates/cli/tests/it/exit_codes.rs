//! The exit codes, which scripts rely on, each with the error that `--json` puts on stderr.

use crate::hive::TestHive;

const PLANS: [(&str, &str); 4] = [
    ("green.yaml", "name: green\ntasks:\n  a: {kind: noop}\n"),
    (
        "red.yaml",
        "name: red\ntasks:\n  a: {run: exit 3, retries: 0}\n",
    ),
    (
        "stuck.yaml",
        "name: stuck\ntasks:\n  a: {run: 'true', requires: [nobody-has-this]}\n",
    ),
    ("invalid.yaml", "name: invalid\ntasks:\n  a: {rnu: x}\n"),
];

/// Exit code, word of the error, variables and arguments. A dash instead of the word says that
/// the code tells how something ended, which is no error.
const TABLE: &str = "
0   -                        submit green.yaml --wait
0   -                        explain {stuck_task}
2   -                        wait {done} --for failed
3   token_unknown            SKEP_TOKEN=nonsense run ls
4   coordinator_unreachable  SKEP_URL=http://127.0.0.1:1 run ls
5   -                        submit red.yaml --wait
5   -                        SKEP_HOME=other run red.yaml
6   plan_invalid             plan invalid.yaml
6   plan_invalid             submit invalid.yaml
6   plan_invalid             run invalid.yaml
6   id_malformed             wait nonsense
6   state_unknown            wait {stuck} --for asleep
6   hash_malformed           artifact get ff
6   id_malformed             token revoke x
6   url_invalid              SKEP_URL=nonsense run ls
6   authority_missing        SKEP_URL=https://127.0.0.1:1 run ls
6   authority_malformed      SKEP_AUTHORITY=ab12 run ls
6   cron_invalid             schedule create x green.yaml --cron 61
6   time_zone_unknown        schedule create x green.yaml --cron @daily --zone Mars/Base
6   watch_invalid            trigger create x green.yaml --on push
7   schedule_not_found       schedule show nobody
7   trigger_not_found        trigger show nobody
7   run_not_found            run show run_00000000000000000000000000
7   task_not_found           task show task_00000000000000000000000000
7   node_not_found           node show nobody
7   token_not_found          token revoke token_00000000000000000000000000
7   file_unreadable          plan missing.yaml
7   key_unknown              config explain x
8   already_final            task cancel {done_task}
8   already_final            run cancel {done}
8   node_dir_in_use          node start --name local-1
8   node_refused             node start --name local-1 --state-dir another
64  usage                    run ls --no-such-flag
64  usage                    wait
64  usage                    schedule create x green.yaml
64  usage                    trigger create x green.yaml
64  usage                    node start --slots 0
124 wait_timed_out           wait {stuck} --timeout 0
";

#[test]
fn every_exit_code_means_what_the_table_says() {
    let hive = TestHive::start(1);
    for (name, text) in PLANS {
        hive.plan(name, text);
    }
    let (done, done_task) = hive.submit("green.yaml", "a");
    hive.skep(&["wait", &done, "--timeout", "60"]).expect(0);
    let (stuck, stuck_task) = hive.submit("stuck.yaml", "a");
    for row in TABLE.lines().filter(|row| !row.is_empty()) {
        let row = row
            .replace("{done}", &done)
            .replace("{done_task}", &done_task)
            .replace("{stuck}", &stuck)
            .replace("{stuck_task}", &stuck_task);
        check(&hive, &row);
    }
}

fn check(hive: &TestHive, row: &str) {
    let mut words = row.split_whitespace();
    let (exit, code) = (
        words.next().unwrap().parse::<i32>().unwrap(),
        words.next().unwrap(),
    );
    let words: Vec<_> = words.collect();
    let count = words.iter().take_while(|word| word.contains('=')).count();
    let (variables, arguments) = words.split_at(count);
    let variables: Vec<_> = variables
        .iter()
        .map(|word| word.split_once('=').unwrap())
        .collect();

    let text = hive.skep_with(&variables, arguments);
    assert_eq!(text.code, exit, "{row}: {}", text.stderr);
    let answer = hive.skep_with(&variables, &[arguments, &["--json"]].concat());
    assert_eq!(answer.code, exit, "{row}: {}", answer.stderr);
    if code == "-" {
        return;
    }
    // Errors of usage are clap's own on the screen.
    let named = text.stderr.contains(&format!("[{code}]")) || code == "usage";
    assert!(named, "{row}: {}", text.stderr);
    let error = answer.json_error();
    assert_eq!(
        (&error["code"], &error["exit"]),
        (&code.into(), &exit.into()),
        "{row}"
    );
    assert!(
        error["detail"]
            .as_str()
            .is_some_and(|detail| !detail.is_empty()),
        "{row}"
    );
    assert_eq!(answer.text(), "", "{row}: stdout holds data only");
}

#[test]
fn all_errors_of_a_plan_come_with_their_places() {
    let hive = TestHive::start(0);
    let plan = hive.plan(
        "bad.yaml",
        "name: bad\ntasks:\n  a: {rnu: x}\n  b: {run: y, priority: 99}\n",
    );
    let error = hive.skep(&["--json", "plan", &plan]).expect(6).json_error();
    let errors = error["errors"].as_array().unwrap();
    assert!(errors.len() >= 3, "{error}");
    for field in ["line", "column", "message", "fix", "code"] {
        assert!(
            errors.iter().all(|error| !error[field].is_null()),
            "{field}: {error}"
        );
    }
    let lines: Vec<_> = errors
        .iter()
        .map(|error| error["line"].as_u64().unwrap())
        .collect();
    assert!(lines.contains(&3) && lines.contains(&4), "{error}");
}
