//! Results of parts that are joined: in the sandbox of a task, and by hand.

use crate::hive::{TestHive, command, skep_in};
use serde_json::{Value, json};

const COUNT: &str = r#"
name: count
tasks:
  count:
    partition: {kind: data-parallel, shards: 3, items: [a, b, c, d, e]}
    isolation: s1
    run: |
      mkdir out
      items=$(echo $SKEP_ITEMS | wc -w)
      printf '{"items": %d, "shards": ["%s"]}' "$items" "$SKEP_SHARD" > out/r.json
    artifacts: [out/r.json]
    merge: {kind: aggregate, file: out/r.json, fields: {RULES}}
"#;

#[test]
fn an_aggregate_joins_the_results_of_all_parts_in_the_sandbox() {
    let hive = TestHive::start(1);
    let plan = COUNT.replace("RULES", "items: sum, shards: union");
    let plan = hive.plan("count.yaml", &plan);
    let (run, count) = hive.submit(&plan, "count");
    hive.skep(&["wait", &run, "--timeout", "60"]).expect(0);

    let shown = hive.skep(&["--json", "run", "show", &run]).expect(0).json();
    let artifacts = shown["artifacts"].as_array().unwrap();
    let joined = artifacts
        .iter()
        .find(|artifact| artifact["task_id"] == *count)
        .unwrap();
    assert_eq!(joined["path"], "out/r.json");
    let hash = joined["blake3"].as_str().unwrap();
    let joined = hive.skep(&["artifact", "get", hash]).expect(0).json();
    assert_eq!(joined, json!({"items": 5, "shards": ["0", "1", "2"]}));
}

#[test]
fn an_aggregate_that_cannot_be_made_says_why_in_its_log() {
    let hive = TestHive::start(1);
    let plan = COUNT.replace("RULES", "items: sum, missing: max");
    let plan = hive.plan("count.yaml", &format!("{plan}    retries: 0\n"));
    let (run, count) = hive.submit(&plan, "count");
    hive.skep(&["wait", &run, "--timeout", "60"]).expect(5);
    let log = hive.skep(&["task", "logs", &count]).expect(0).text();
    assert!(
        log.contains("no part has the field `missing`") && log.contains("[merge_failed]"),
        "{log}"
    );
}

#[test]
fn results_are_joined_without_a_home_or_any_other_variable() {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in [("a.json", r#"{"n": 1}"#), ("b.json", r#"{"n": 2}"#)] {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    let merge = |fields: &str, files: &[&str]| {
        let mut arguments = vec!["merge", "aggregate", "--fields", fields];
        arguments.extend(["--output", "all.json", "--"]);
        arguments.extend(files);
        let mut merge = command(directory.path(), &arguments);
        merge.env_clear().output().unwrap()
    };
    let done = merge(r#"{"n": "sum"}"#, &["a.json", "b.json"]);
    assert!(done.status.success(), "{done:?}");
    assert_eq!((&*done.stdout, &*done.stderr), (&b""[..], &b""[..]));
    let all = std::fs::read(directory.path().join("all.json")).unwrap();
    assert_eq!(
        serde_json::from_slice::<Value>(&all).unwrap(),
        json!({"n": 3})
    );

    let failed = merge(r#"{"n": "union"}"#, &["a.json", "b.json"]);
    assert_eq!(failed.status.code(), Some(6));
    let said = String::from_utf8(failed.stderr).unwrap();
    assert!(
        said.starts_with("error: `n` of part 0 is a number"),
        "{said}"
    );
    assert_eq!(
        std::fs::read(directory.path().join("all.json")).unwrap(),
        all
    );
}

#[test]
fn the_verb_for_plans_is_not_offered_to_people() {
    let directory = tempfile::tempdir().unwrap();
    let help = skep_in(directory.path(), &["--help"]).expect(0).text();
    assert!(!help.contains("merge"), "{help}");
}
