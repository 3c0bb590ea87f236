//! Tests of tasks that are described in words.

#![expect(
    clippy::needless_raw_string_hashes,
    reason = "the tool that updates snapshots writes them so"
)]

use crate::tests::right;
use crate::wrong_plans::wrong;
use expect_test::expect;
use skep_model::requirements::{Performer, Proficiency, Resources};
use skep_model::work::Work;

const REVIEW: &str = "\
name: review
params: {what: the parser}
defaults: {timeout: 20m, workspace: {dir: /src}, resources: {cpu: 2}, env: {A: b}}
tasks:
  build: {run: make, artifacts: [report.txt]}
  look:
    instructions: Review ${{ params.what }}.
    expected: A list of findings.
    requires: {rust: expert}
    inputs: [build]
";

#[test]
fn a_task_that_is_described_is_for_attached_agents_and_needs_nothing_of_a_node() {
    let draft = right(REVIEW, &[]);
    let look = &draft.tasks[1];
    let Work::Described(work) = &look.spec.work else {
        panic!("{:?}", look.spec.work);
    };
    assert_eq!(work.instructions, "Review the parser.");
    assert_eq!(work.expected.as_deref(), Some("A list of findings."));
    assert_eq!(work.timeout_ms, Some(20 * 60_000));
    assert_eq!(look.inputs.len(), 1);
    let wanted = &look.spec.requirements;
    assert_eq!(wanted.performer, Performer::AttachedAgent);
    assert_eq!(wanted.resources, Resources::NONE);
    assert_eq!(wanted.capabilities["rust"], Proficiency::Expert);
}

#[test]
fn a_matrix_describes_one_task_for_each_of_its_values() {
    let source = "\
name: p
tasks:
  a: {instructions: \"Read ${{ matrix.file }}\", matrix: {file: [x, y]}}
";
    let said = right(source, &[]);
    let said = said.tasks.iter().map(|task| match &task.spec.work {
        Work::Described(work) => work.instructions.clone(),
        other => panic!("{other:?}"),
    });
    assert_eq!(said.collect::<Vec<_>>(), ["Read x", "Read y"]);
}

#[test]
fn what_only_a_command_can_have_is_refused_beside_a_description() {
    wrong(
        "name: p\ntasks:\n  a: {instructions: look, gates: [make test], artifacts: [x]}",
        &expect![[r#"
            plan.yaml:3:21: task `a` is described in words and has `gates`, which needs a command (plan_needs_command): check its result in a task of its own that needs it
            plan.yaml:3:21: task `a` is described in words and has `artifacts`, which needs a command (plan_needs_command): remove it: the agent names the files that it hands in
        "#]],
    );
    wrong(
        "name: p\ntasks:\n  a: {instructions: look, run: make}",
        &expect![[r#"
            plan.yaml:3:32: task `a` has both `instructions` and `run` (plan_two_commands): keep one of them: an attached agent does what is described, a node what is a command
        "#]],
    );
    wrong(
        "name: p\ntasks:\n  a: {instructions: look, kind: noop}",
        &expect![[r#"
            plan.yaml:3:33: task `a` has both `instructions` and `kind` (plan_two_commands): keep one of them: an attached agent does what is described, a node what is a command
        "#]],
    );
    wrong(
        "name: p\ntasks:\n  a: {instructions: look, isolation: s0, env: {A: b}, reads: [/x]}",
        &expect![[r#"
            plan.yaml:3:21: task `a` is described in words and has `reads`, which needs a command (plan_needs_command): remove it
            plan.yaml:3:21: task `a` is described in words and has `env`, which needs a command (plan_needs_command): remove it
            plan.yaml:3:21: task `a` is described in words and has `isolation`, which needs a command (plan_needs_command): remove it
        "#]],
    );
    wrong(
        "name: p\ntasks:\n  a: {instructions: \" \"}\n  b: {run: x, expected: y}",
        &expect![[r#"
            plan.yaml:3:21: `instructions` is empty (plan_no_command): write what is to be done
            plan.yaml:4:25: task `b` has `expected` and no `instructions` (plan_missing_key): add `instructions`, or say it in a gate
        "#]],
    );
    wrong(
        "name: p\ntasks:\n  a: {instructions: [x]}",
        &expect![[r#"
            plan.yaml:3:21: `instructions` must be a text, not a list (plan_wrong_type): write a text here
            plan.yaml:3:21: `instructions` is empty (plan_no_command): write what is to be done
        "#]],
    );
}
