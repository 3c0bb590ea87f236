//! Wrong partitions and merges, and what is said about them.

#![expect(
    clippy::needless_raw_string_hashes,
    reason = "the tool that updates snapshots writes them so"
)]

use crate::tests::task;
use crate::wrong_plans::wrong;
use expect_test::expect;

#[test]
fn partitions_that_mean_nothing_are_refused() {
    wrong(
        &task("run: x, partition: {kind: data-paralel}"),
        &expect![[r#"
            plan.yaml:3:33: `kind` must be data-parallel or task-parallel or pipeline, found `data-paralel` (plan_wrong_type): did you mean `data-parallel`?
        "#]],
    );
    wrong(
        &task("run: x, partition: 4"),
        &expect![[r#"
        plan.yaml:3:26: `partition` of task `a` must be a mapping, not a number, found `4` (plan_wrong_type): write a mapping here
    "#]],
    );
    wrong(
        &task("run: x, partition: {kind: data-parallel}"),
        &expect![[r#"
            plan.yaml:3:26: a data-parallel partition has neither `shards` nor `items` (plan_missing_key): add `shards: 4`, or `items: [a, b]`, or both
        "#]],
    );
    wrong(
        &task("run: x, partition: {kind: data-parallel, shards: 0, branches: {}}"),
        &expect![[r#"
            plan.yaml:3:56: `shards` must be a whole number from 1 to 1000 (PARTS_MAX), found `0` (plan_out_of_range): choose 1 to 1000
            plan.yaml:3:59: `partition` of task `a` has no key `branches` (plan_unknown_key): use one of kind, shards, items
        "#]],
    );
    wrong(
        &task("run: x, partition: {kind: data-parallel, items: [a, a]}"),
        &expect![[r#"
            plan.yaml:3:26: `items` has a value twice, found `a` (plan_bad_matrix): remove one of them
        "#]],
    );
    wrong(
        &task("run: x, partition: {kind: data-parallel, items: []}"),
        &expect![[r#"
            plan.yaml:3:26: `items` has no values (plan_bad_matrix): write at least one, or give the parameter a value
        "#]],
    );
    wrong(
        &task("partition: {kind: task-parallel, branches: {}}"),
        &expect![[r#"
            plan.yaml:3:50: `branches` is empty (plan_bad_matrix): write at least one
        "#]],
    );
    wrong(
        &task("partition: {kind: task-parallel, branches: {a b: x, c: {}}}"),
        &expect![[r#"
            plan.yaml:3:51: the name of a branch must be 1 to 128 letters, digits, `_`, `-` or `.`, found `a b` (plan_bad_name): rename it; it must begin with a letter, a digit or `_`
            plan.yaml:3:62: branch `c` of task `a` has neither `run` nor `argv` (plan_no_command): add a script as `run:` or a program as `argv: [program, argument]`
        "#]],
    );
    wrong(
        &task("partition: {kind: pipeline, items: [a], stages: []}"),
        &expect![[r#"
            plan.yaml:3:55: `stages` is empty (plan_bad_matrix): write at least one
        "#]],
    );
    wrong(
        &task("partition: {kind: pipeline, stages: [{name: s, run: x}, {name: s, run: x}]}"),
        &expect![[r#"
            plan.yaml:3:18: `partition` of task `a` lacks the key `items` (plan_missing_key): add `items:`
            plan.yaml:3:70: two stages have the name `s` (plan_duplicate_key): rename one of them
        "#]],
    );
}

#[test]
fn keys_that_do_not_go_together_are_refused() {
    wrong(
        &task("run: x, matrix: {v: [1]}, partition: {kind: data-parallel, shards: 2}"),
        &expect![[r#"
            plan.yaml:3:44: task `a` has both `partition` and `matrix` (plan_bad_matrix): keep one of them
        "#]],
    );
    wrong(
        &task("run: x, partition: {kind: task-parallel, branches: {a: x}}"),
        &expect![[r#"
            plan.yaml:3:12: task `a` has a command, and so have the parts of its partition (plan_two_commands): remove that of the task, or choose `kind: data-parallel`
        "#]],
    );
    wrong(
        &task("partition: {kind: data-parallel, shards: 2}"),
        &expect![[r#"
            plan.yaml:3:6: task `a` has neither `run` nor `argv` (plan_no_command): add a script as `run:` or a program as `argv: [program, argument]`
        "#]],
    );
    wrong(
        &task("kind: noop, partition: {kind: data-parallel, shards: 2}"),
        &expect![[r#"
            plan.yaml:3:30: task `a` is of the kind `noop` and has nothing to split or merge (plan_two_commands): remove `kind`, or `partition` and `merge`
        "#]],
    );
    wrong(
        &task("run: x, merge: concatenate"),
        &expect![[r#"
        plan.yaml:3:22: task `a` has `merge` and is not split (plan_missing_key): add `partition` or `matrix`, or remove `merge`
    "#]],
    );
}

/// A task of two shards with this merge.
fn merged(merge: &str) -> String {
    let partition = "partition: {kind: data-parallel, shards: 2}";
    task(&format!(
        "run: x, artifacts: [o], {partition}, merge: {merge}"
    ))
}

#[test]
fn merges_that_mean_nothing_are_refused() {
    wrong(
        &merged("aggregate"),
        &expect![[r#"
        plan.yaml:3:83: only `concatenate` may be written alone (plan_missing_key): write `{kind: aggregate, file: ..., fields: ...}` or `{kind: command, run: ...}`
    "#]],
    );
    wrong(
        &merged("joined"),
        &expect![[r#"
        plan.yaml:3:83: `merge` must be concatenate or aggregate or command, found `joined` (plan_wrong_type): use one of concatenate, aggregate, command
    "#]],
    );
    wrong(
        &merged("{kind: aggregate, file: ../x, fields: {a: median}}"),
        &expect![[r#"
            plan.yaml:3:107: `file` must be a path inside the workspace, found `../x` (plan_bad_name): write it relative to the workspace and without `..`
            plan.yaml:3:125: `fields.a` must be sum or min or max or mean or count or union, found `median` (plan_wrong_type): did you mean `mean`?
        "#]],
    );
    wrong(
        &merged("{kind: aggregate, file: '*.json', fields: {a: sum}}"),
        &expect![[r#"
            plan.yaml:3:107: `file` must be the path of one file in the workspace, found `*.json` (plan_bad_name): write it plainly, like `totals.json`
        "#]],
    );
    wrong(
        &merged("{kind: aggregate, fields: {}}"),
        &expect![[r#"
        plan.yaml:3:83: `merge` of task `a` lacks the key `file` (plan_missing_key): add `file:`
        plan.yaml:3:109: `fields` is empty (plan_bad_matrix): write at least one
    "#]],
    );
    wrong(
        &merged("{kind: command}"),
        &expect![[r#"
        plan.yaml:3:83: `merge` of task `a` has neither `run` nor `argv` (plan_no_command): add a script as `run:` or a program as `argv: [program, argument]`
    "#]],
    );
    wrong(
        &task("run: x, partition: {kind: data-parallel, shards: 2}, merge: concatenate"),
        &expect![[r#"
            plan.yaml:3:67: `a` merges parts that hand nothing in (plan_missing_key): add `artifacts` with the files to merge
        "#]],
    );
}

#[test]
fn partitions_beyond_a_bound_are_refused_with_it() {
    let items: Vec<String> = (0..1001).map(|item| item.to_string()).collect();
    let items = items.join(", ");
    wrong(
        &task(&format!(
            "run: x, partition: {{kind: data-parallel, items: [{items}]}}"
        )),
        &expect![[r#"
            plan.yaml:3:26: `a` has 1001 parts; PARTS_MAX is 1000 (plan_too_many_tasks): let one part do several items
        "#]],
    );
    let long = "x".repeat(20_000);
    wrong(
        &task(&format!(
            "run: x, partition: {{kind: data-parallel, shards: 1, items: [{long}, y{long}]}}"
        )),
        &expect![[r#"
            plan.yaml:3:26: the items of one shard have 40002 bytes (SKEP_ITEMS); ENV_VALUE_BYTES_MAX is 32768 (plan_too_long): choose more shards, or shorter items
        "#]],
    );
    let stages: Vec<String> = (0..11)
        .map(|stage| format!("{{name: s{stage}, run: x}}"))
        .collect();
    let (items, _) = items.rsplit_once(',').unwrap();
    wrong(
        &task(&format!(
            "partition: {{kind: pipeline, items: [{items}], stages: [{}]}}",
            stages.join(", ")
        )),
        &expect![[r#"
            plan.yaml:3:18: the pipeline gives 11000 tasks; TASKS_PER_SUBMISSION_MAX is 10000 (plan_too_many_tasks): let one part do several items
        "#]],
    );
}
