//! Wrong plans and what is said about them.

#![expect(
    clippy::needless_raw_string_hashes,
    reason = "the tool that updates snapshots writes them so"
)]

use crate::tests::{params, read, task};
use crate::{ErrorCode, compile};
use expect_test::{Expect, expect};
use skep_model::limits;

#[track_caller]
pub(crate) fn wrong(source: &str, expected: &Expect) {
    let errors = read(source, &[]).expect_err("the plan should be refused");
    expected.assert_eq(&format!("{errors}\n"));
}

#[test]
fn text_that_is_no_plan_is_refused() {
    wrong(
        "",
        &expect![[r#"
        plan.yaml:1:1: the plan is empty (plan_empty): write at least `name:` and one task under `tasks:`
    "#]],
    );
    wrong(
        "name: p\ntasks: [",
        &expect![[r#"
        plan.yaml:2:8: this is not YAML or JSON: unclosed bracket '[' at line 2, column 8 (plan_syntax): check indentation, colons and quotes up to here
    "#]],
    );
    wrong(
        "- a\n- b",
        &expect![[r#"
        plan.yaml:1:1: a plan must be a mapping, not a list (plan_wrong_type): write a mapping here
    "#]],
    );
    wrong(
        "name: p\ntasks: {}",
        &expect![[r#"
        plan.yaml:2:8: the plan has no tasks (plan_empty): add one: `tasks: {hello: {run: echo hello}}`
    "#]],
    );
    wrong(
        "name: p\nname: q\ntasks: {a: {run: x}}",
        &expect![[r#"
        plan.yaml:2:1: the key `name` stands twice in one mapping (plan_duplicate_key): rename or remove one of them
    "#]],
    );
    wrong(
        "name: p\ntasks:\n  a: {run: x}\n  a: {run: y}",
        &expect![[r#"
            plan.yaml:4:3: the key `a` stands twice in one mapping (plan_duplicate_key): rename or remove one of them
        "#]],
    );
    wrong(
        "tasks: {a: {run: x}}",
        &expect![[r#"
        plan.yaml:1:1: a plan lacks the key `name` (plan_missing_key): add `name:`
    "#]],
    );
}

#[test]
fn all_errors_are_reported_at_once_in_the_order_of_the_text() {
    let source = "\
nmae: p
weight: 200
defaults: {tiemout: 5m}
tasks:
  a b: {run: x}
  c:
    run: x
    argv: [y]
    timeout: soon
    priority: 11
    retries: [1]
    needs: [d, aa]
  d: {}
  e: just this
";
    wrong(
        source,
        &expect![[r#"
            plan.yaml:1:1: a plan has no key `nmae` (plan_unknown_key): did you mean `name`?
            plan.yaml:2:9: `weight` must be a whole number from 1 to 100, found `200` (plan_out_of_range): choose 1 to 100
            plan.yaml:3:12: `defaults` has no key `tiemout` (plan_unknown_key): did you mean `timeout`?
            plan.yaml:5:3: the name of a task must be 1 to 128 letters, digits, `_`, `-` or `.`, found `a b` (plan_bad_name): rename it; it must begin with a letter, a digit or `_`
            plan.yaml:8:11: task `c` has both `run` and `argv` (plan_two_commands): keep one of them
            plan.yaml:9:14: `timeout` must be a span of time, found `soon` (plan_bad_duration): write it like 30s, 5m or 1h30m, or as whole seconds
            plan.yaml:10:15: `priority` must be a whole number from 1 to 10, found `11` (plan_out_of_range): choose 1 to 10
            plan.yaml:11:14: `retries` must be a whole number from 0 to 99, not a list (plan_wrong_type): write a whole number from 0 to 99 here
            plan.yaml:12:16: there is no task `aa` (plan_unknown_task): use one of a b, c, d, e
            plan.yaml:13:6: task `d` has neither `run` nor `argv` (plan_no_command): add a script as `run:` or a program as `argv: [program, argument]`
            plan.yaml:14:6: task `e` must be a mapping, not a text, found `just this` (plan_wrong_type): write a mapping here
        "#]],
    );
}

#[test]
fn wrong_names_and_parameters_are_reported_beside_faults_of_shape() {
    let source = "\
name: p
params: {dir: {}, odd: [x]}
tasks:
  a: {run: 'ls ${{ params.dri }} ${{ params.odd }}', timeout: soon, needs: [b, z]}
  b: {run: 'cat ${{ params.dir }}', matrix: [1], needs: 'c[v=1]'}
  c: {run: 'echo ${{ matrix.v }}', matrix: {v: {}}}
  d: {run: x, needs: 'e[v=1]'}
  e: {run: x, matrix: {v: '${{ params.dir }}'}, needs: f}
  f: {run: x, needs: e}
";
    let given = params(&[("dirr", "/tmp")]);
    let errors = compile(source, "plan.yaml", &given, "/base").unwrap_err();
    let text = expect![[r#"
        plan.yaml: the plan has no parameter `dirr`, found `/tmp` (plan_unknown_parameter): did you mean `dir`?
        plan.yaml:2:10: the parameter `dir` has no default and was not given (plan_missing_parameter): give `dir`
        plan.yaml:2:24: parameter `odd` must be a mapping, not a list (plan_wrong_type): write a mapping here
        plan.yaml:4:12: the reference means nothing here, found `params.dri` (plan_unknown_reference): did you mean `params.dir`?
        plan.yaml:4:63: `timeout` must be a span of time, found `soon` (plan_bad_duration): write it like 30s, 5m or 1h30m, or as whole seconds
        plan.yaml:4:80: there is no task `z` (plan_unknown_task): use one of a, b, c, d, e, f
        plan.yaml:5:45: `matrix` must be a mapping, not a list (plan_wrong_type): write a mapping here
        plan.yaml:6:48: `matrix.v` must be a text, not a mapping (plan_wrong_type): write a text here
        plan.yaml:8:3: tasks need each other in a circle: e -> f -> e (plan_cycle): remove one of these needs
    "#]];
    text.assert_eq(&format!("{errors}\n"));
}

#[test]
fn a_plan_without_faults_of_shape_is_searched_as_a_whole_too() {
    let source = "\
name: p
params: {n: , m: }
tasks:
  a: {run: x, matrix: {v: ['${{ params.n }}', '${{ params.m }}']}, needs: 'b[shard=7]'}
  b: {run: x, partition: {kind: data-parallel, shards: '${{ params.n }}'}, needs: c}
";
    let errors = compile(source, "plan.yaml", &params(&[]), "/base").unwrap_err();
    let text = expect![[r#"
        plan.yaml:2:10: the parameter `n` has no default and was not given (plan_missing_parameter): give `n`
        plan.yaml:2:15: the parameter `m` has no default and was not given (plan_missing_parameter): give `m`
        plan.yaml:5:83: there is no task `c` (plan_unknown_task): use one of a, b
    "#]];
    text.assert_eq(&format!("{errors}\n"));
}

#[test]
fn values_of_the_wrong_kind_are_refused_with_the_right_one() {
    wrong(
        &task("run: x, if: ok()"),
        &expect![[r#"
        plan.yaml:3:19: `if` must be success() or failure() or always(), found `ok()` (plan_wrong_type): use one of success(), failure(), always()
    "#]],
    );
    wrong(
        &task("run: x, timeout: 0s"),
        &expect![[r#"
        plan.yaml:3:24: `timeout` must be more than 0 and at most 168h, found `0s` (plan_out_of_range): choose another span
    "#]],
    );
    wrong(
        &task("run: x, resources: {memory: 2 gigs, cpu: half}"),
        &expect![[r#"
            plan.yaml:3:35: `memory` must be an amount of bytes, found `2 gigs` (plan_bad_size): write it like 512MiB or 2GiB, or as whole bytes
            plan.yaml:3:48: `cpu` must be a number of processors, found `half` (plan_bad_size): write it like 2 or 0.5, with at most three decimals
        "#]],
    );
    wrong(
        &task("run: x, requires: {rust: exprt}"),
        &expect![[r#"
        plan.yaml:3:32: `requires.rust` must be basic or intermediate or expert or specialist, found `exprt` (plan_wrong_type): did you mean `expert`?
    "#]],
    );
    wrong(
        &task("run: x, workspace: {dir: ., git: .}"),
        &expect![[r#"
            plan.yaml:3:26: `workspace` needs `dir` or `git`, and has both (plan_wrong_type): write `none`, `{dir: path}` or `{git: path}`
        "#]],
    );
}

#[test]
fn words_paths_and_commands_that_mean_nothing_are_refused() {
    wrong(
        &task("run: x, isolation: none, delivery: once"),
        &expect![[r#"
            plan.yaml:3:26: `isolation` must be s0 or s1 or s2, found `none` (plan_wrong_type): use one of s0, s1, s2
            plan.yaml:3:42: `delivery` must be at_least_once or at_most_once, found `once` (plan_wrong_type): use one of at_least_once, at_most_once
        "#]],
    );
    wrong(
        &task("run: x, env: {SKEP_TOKEN: y, 1A: z}"),
        &expect![[r#"
            plan.yaml:3:21: `SKEP_TOKEN` is set by Skep (plan_bad_variable): choose another prefix
            plan.yaml:3:36: the name of a variable must be letters, digits and `_`, found `1A` (plan_bad_variable): rename it
        "#]],
    );
    wrong(
        &task("run: x, artifacts: [../out, /tmp/x]"),
        &expect![[r#"
            plan.yaml:3:27: `artifacts` must be a path inside the workspace, found `../out` (plan_bad_name): write it relative to the workspace and without `..`
            plan.yaml:3:35: `artifacts` must be a path inside the workspace, found `/tmp/x` (plan_bad_name): write it relative to the workspace and without `..`
        "#]],
    );
    wrong(
        &task("argv: cargo test"),
        &expect![[r#"
        plan.yaml:3:13: `argv` must be a list of texts, not a text, found `cargo test` (plan_wrong_type): write a list of texts here
    "#]],
    );
    wrong(
        &task("run: [x, y]"),
        &expect![[r#"
        plan.yaml:3:12: `run` must be a text, not a list (plan_wrong_type): write a text here
    "#]],
    );
    wrong(
        &task("argv: []"),
        &expect![[r#"
        plan.yaml:3:13: `argv` is empty (plan_no_command): write the program first: `argv: [cargo, test]`
    "#]],
    );
    wrong(
        &task("kind: noop, run: x"),
        &expect![[r#"
        plan.yaml:3:24: task `a` is of the kind `noop` and has a command (plan_two_commands): remove `kind` or the command
    "#]],
    );
    wrong(
        &task("kind: noop, artifacts: [x]"),
        &expect![[r#"
        plan.yaml:3:6: a task of the kind `noop` runs nothing, so it has no inputs, artifacts, gates or compensation (plan_two_commands): remove them, or remove `kind` and add `run`
    "#]],
    );
    wrong(
        &task("run: x, gates: [{name: g}]"),
        &expect![[r#"
        plan.yaml:3:23: a gate of task `a` has neither `run` nor `argv` (plan_no_command): add a script as `run:` or a program as `argv: [program, argument]`
    "#]],
    );
}

#[test]
fn dependencies_that_cannot_be_met_are_refused() {
    wrong(
        "name: p\ntasks:\n  build: {run: x}\n  test: {run: x, needs: biuld}\n",
        &expect![[r#"
            plan.yaml:4:25: there is no task `biuld` (plan_unknown_task): did you mean `build`?
        "#]],
    );
    wrong(
        "name: p\ntasks:\n  a: {run: x, inputs: [{from: z}]}\n",
        &expect![[r#"
            plan.yaml:3:31: there is no task `z` (plan_unknown_task): use one of a
        "#]],
    );
    let cycle = "\
name: p
tasks:
  a: {run: x}
  b: {run: x, needs: [a, d]}
  c: {run: x, needs: b}
  d: {run: x, inputs: [c]}
";
    wrong(
        cycle,
        &expect![[r#"
        plan.yaml:4:3: tasks need each other in a circle: b -> d -> c -> b (plan_cycle): remove one of these needs
    "#]],
    );
    wrong(
        "name: p\ntasks: {a: {run: x, needs: a}}",
        &expect![[r#"
        plan.yaml:2:9: tasks need each other in a circle: a -> a (plan_cycle): remove one of these needs
    "#]],
    );
}

#[test]
fn references_and_matrices_that_mean_nothing_are_refused() {
    wrong(
        "name: p\nparams: {dir: .}\ntasks: {a: {run: 'ls ${{ params.dri }}'}}",
        &expect![[r#"
            plan.yaml:3:18: the reference means nothing here, found `params.dri` (plan_unknown_reference): did you mean `params.dir`?
        "#]],
    );
    wrong(
        &task("run: 'echo ${{ matrix.x }}'"),
        &expect![[r#"
        plan.yaml:3:12: the reference means nothing here, found `matrix.x` (plan_unknown_reference): declare it under `params` or `matrix`
    "#]],
    );
    wrong(
        &task("run: x, matrix: {}"),
        &expect![[r#"
        plan.yaml:3:23: `matrix` has no axis (plan_bad_matrix): write it like `lang: [rs, py]`
    "#]],
    );
    wrong(
        &task("run: x, matrix: {v: [], w: [1, 1]}"),
        &expect![[r#"
            plan.yaml:3:24: the axis `v` has no values (plan_bad_matrix): write at least one, or give the parameter a value
            plan.yaml:3:31: the axis `w` has a value twice, found `1` (plan_bad_matrix): remove one of them
        "#]],
    );
    wrong(
        &task("run: x, matrix: {v: [1, 2], exclude: [{z: 1}]}"),
        &expect![[r#"
            plan.yaml:3:46: `exclude` names `z`, which is no axis (plan_bad_matrix): use one of v
        "#]],
    );
    wrong(
        &task("run: x, matrix: {v: [1], exclude: [{v: 1}]}"),
        &expect![[r#"
            plan.yaml:3:23: `exclude` leaves no combination (plan_bad_matrix): exclude less
        "#]],
    );
    wrong(
        &task("run: x, matrix: {a-b: [1], a_b: [2]}"),
        &expect![[r#"
            plan.yaml:3:34: `a-b` and `a_b` are both SKEP_MATRIX_A_B (plan_variable_clash): rename one of them
        "#]],
    );
    wrong(
        "name: p\nparams: {must: {description: where}}\ntasks: {a: {run: x}}",
        &expect![[r#"
            plan.yaml:2:10: the parameter `must` has no default and was not given (plan_missing_parameter): give `must` (where)
        "#]],
    );
}

#[test]
fn what_is_too_large_is_refused_with_the_limit() {
    let script = "x".repeat(limits::SCRIPT_BYTES_MAX + 1);
    wrong(
        &task(&format!("run: {script}")),
        &expect![[r#"
        plan.yaml:3:12: the script has 65537 bytes; SCRIPT_BYTES_MAX is 65536 (plan_too_long): keep it in a file of the workspace and run that
    "#]],
    );
    let axis: Vec<String> = (0..200).map(|value| value.to_string()).collect();
    let axis = axis.join(", ");
    wrong(
        &task(&format!("run: x, matrix: {{v: [{axis}], w: [{axis}]}}")),
        &expect![[r#"
            plan.yaml:3:23: the matrix gives 40000 tasks; TASKS_PER_SUBMISSION_MAX is 10000 (plan_too_many_tasks): shorten an axis or let one task do several values
        "#]],
    );
    let wide = format!(
        "name: p\ntasks:\n  a: {{run: x, matrix: {{v: [{axis}], w: [1, 2, 3, 4, 5, 6]}}}}\n  b: {{run: x, needs: a}}\n"
    );
    wrong(
        &wide,
        &expect![[r#"
        plan.yaml:4:3: `b` needs 1200 tasks; NEEDS_PER_TASK_MAX is 1000 (plan_too_long): put tasks between that join some of them
    "#]],
    );
    let name = "n".repeat(limits::NAME_LENGTH_MAX);
    let named = format!("name: p\ntasks: {{{name}: {{run: x, matrix: {{v: [1]}}}}}}");
    wrong(
        &named,
        &expect![[r#"
        plan.yaml:2:9: an instance has a name of 133 characters; NAME_LENGTH_MAX is 128, found `nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn…` (plan_bad_name): shorten the values of the matrix
    "#]],
    );
    wrong(
        &task(&format!("run: x, gates: [{}]", "true, ".repeat(17))),
        &expect![[r#"
            plan.yaml:3:22: task `a` has 17 gates; GATES_PER_TASK_MAX is 16 (plan_too_long): join some of them
        "#]],
    );
}

#[test]
fn parameters_that_the_plan_does_not_have_are_refused() {
    let source = "name: p\nparams: {dir: .}\ntasks: {a: {run: x}}";
    let errors = read(source, &[("dri", "/tmp")]).unwrap_err();
    expect![[r#"
        plan.yaml: the plan has no parameter `dri`, found `/tmp` (plan_unknown_parameter): did you mean `dir`?
    "#]].assert_eq(&format!("{errors}\n"));
}

#[test]
fn every_kind_of_error_has_a_text_of_its_own() {
    let mut texts: Vec<&str> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
    texts.sort_unstable();
    texts.dedup();
    assert_eq!(texts.len(), ErrorCode::ALL.len());
    assert!(texts.iter().all(|text| text.starts_with("plan_")));
}
