//! Right partitions and what becomes of them.

#![expect(
    clippy::needless_raw_string_hashes,
    reason = "the tool that updates snapshots writes them so"
)]

use crate::tests::{command, read, right};
use crate::{Draft, PlanFile, expand, parse};
use expect_test::expect;
use skep_model::task::Condition;
use skep_model::work::{Invocation, Workspace};
use std::collections::BTreeMap;

/// A task with all that applies to parts, between two others. The partition is given.
fn between(partition: &str) -> String {
    format!(
        "name: p
params: {{n: 3, names: 'ada bob'}}
tasks:
  before: {{run: x, artifacts: [base.txt]}}
  count:
    needs: before
    inputs: [before]
    requires: [rust]
    retries: 4
    timeout: 7m
    gates: [test -s out.txt]
    artifacts: [out.txt]
{partition}
  after: {{run: x, inputs: [count]}}
  mourn: {{run: x, needs: count, if: failure()}}
"
    )
}

fn position(draft: &Draft, name: &str) -> usize {
    draft
        .tasks
        .iter()
        .position(|task| task.name == name)
        .unwrap_or_else(|| panic!("there is no task `{name}`"))
}

fn names_needed(draft: &Draft, name: &str) -> Vec<String> {
    let task = &draft.tasks[position(draft, name)];
    let name = |need: &usize| draft.tasks[*need].name.clone();
    task.needs.iter().map(name).collect()
}

/// Where inputs come from and where they go.
fn inputs(draft: &Draft, name: &str) -> Vec<String> {
    let task = &draft.tasks[position(draft, name)];
    let inputs = task.inputs.iter();
    inputs
        .map(|input| format!("{}/{}/{}", input.into, input.name, input.glob))
        .collect()
}

#[test]
fn shards_have_their_items_and_all_settings_of_the_task() {
    let partition = "    run: x
    partition: {kind: data-parallel, shards: 2, items: [a, b, c d]}
    merge: concatenate";
    let draft = right(&between(partition), &[]);
    expect![[r#"
        step 1: 1 task
          before
        step 2: 2 tasks
          count[shard=0] <- before
          count[shard=1] <- before
        step 3: 1 task
          count <- count[shard=0], count[shard=1]
        step 4: 2 tasks
          after <- count
          mourn <- count[shard=0], count[shard=1], count
        longest chain (4): before -> count[shard=0] -> count -> after
    "#]]
    .assert_eq(&draft.render_graph());
    let second = position(&draft, "count[shard=1]");
    let work = command(&draft, second);
    for (name, value) in [
        ("SKEP_SHARD", "1"),
        ("SKEP_SHARDS", "2"),
        ("SKEP_ITEMS", "b\nc d"),
        ("SKEP_MATRIX_SHARD", "1"),
    ] {
        assert_eq!(work.env[name], value, "{name}");
    }
    assert_eq!((work.timeout_ms, work.gates.len()), (420_000, 1));
    let spec = &draft.tasks[second].spec;
    assert_eq!(spec.retry.attempts_max, 5);
    assert!(spec.requirements.capabilities.contains_key("rust"));
    assert_eq!(inputs(&draft, "count[shard=1]"), ["inputs/before/**"]);
    assert_eq!(inputs(&draft, "after"), ["inputs/count/**"]);
    let merge = command(&draft, position(&draft, "count"));
    assert!(merge.gates.is_empty() && merge.workspace == Workspace::None);
    assert_eq!(merge.artifacts[0].glob, "out.txt");
    assert_eq!(
        inputs(&draft, "count"),
        [".skep-parts/0/**", ".skep-parts/1/**"]
    );
}

#[test]
fn the_number_of_shards_comes_from_the_plan_the_items_or_a_parameter() {
    for (partition, given, count) in [
        ("shards: 4", None, 4),
        ("items: [a, b, c]", None, 3),
        ("items: '${{ params.names }}'", None, 2),
        (
            "items: '${{ params.names }}'",
            Some(("names", "a b c d")),
            4,
        ),
        ("shards: 9, items: [a, b]", None, 2),
        ("shards: '${{ params.n }}'", None, 3),
        ("shards: '${{ params.n }}'", Some(("n", "12")), 12),
    ] {
        let plan = between(&format!(
            "    run: x\n    partition: {{kind: data-parallel, {partition}}}"
        ));
        let draft = right(&plan, given.as_slice());
        assert_eq!(draft.tasks.len(), count + 3, "{partition}");
        assert_eq!(names_needed(&draft, "after").len(), count, "{partition}");
    }
}

#[test]
fn branches_run_different_commands_on_the_same_inputs() {
    let partition = "    partition:
      kind: task-parallel
      branches:
        lint: check
        test: {argv: [run, tests], artifacts: [report.xml], gates: [], timeout: 1m}
    merge: {kind: command, run: join, artifacts: [all.txt], gates: [test -s all.txt]}";
    let draft = right(&between(partition), &[]);
    let lint = command(&draft, position(&draft, "count[branch=lint]"));
    assert_eq!(lint.invocation, Invocation::Shell("check".to_owned()));
    assert_eq!((lint.timeout_ms, lint.gates.len()), (420_000, 1));
    assert_eq!(lint.artifacts[0].glob, "out.txt");
    let test = command(&draft, position(&draft, "count[branch=test]"));
    assert_eq!((test.timeout_ms, test.gates.len()), (60_000, 0));
    assert_eq!(test.artifacts[0].glob, "report.xml");
    assert_eq!(inputs(&draft, "count[branch=test]"), ["inputs/before/**"]);
    assert_eq!(inputs(&draft, "count"), ["parts/lint/**", "parts/test/**"]);
    let merge = command(&draft, position(&draft, "count"));
    assert_eq!(merge.gates.len(), 1);
    assert_eq!(merge.env["SKEP_PARTS"], "2");
}

const STAGES: &str = "    if: always()
    partition:
      kind: pipeline
      items: '${{ params.names }}'
      stages:
        - {name: fetch, run: get}
        - {name: clean, run: wipe, artifacts: [clean.txt]}
        - {name: weigh, run: scale}";

#[test]
fn items_flow_through_stages_without_waiting_for_each_other() {
    let draft = right(&between(STAGES), &[]);
    assert_eq!(
        names_needed(&draft, "count[item=bob,stage=weigh]"),
        ["count[item=bob,stage=clean]"]
    );
    assert_eq!(
        inputs(&draft, "count[item=bob,stage=weigh]"),
        ["inputs/clean/**"]
    );
    assert_eq!(
        names_needed(&draft, "count[item=ada,stage=fetch]"),
        ["before"]
    );
    let conditions = ["fetch", "clean"].map(|stage| {
        let position = position(&draft, &format!("count[item=ada,stage={stage}]"));
        draft.tasks[position].spec.condition
    });
    assert_eq!(conditions, [Condition::Always, Condition::Success]);
    let ends = ["count[item=ada,stage=weigh]", "count[item=bob,stage=weigh]"];
    assert_eq!(names_needed(&draft, "after"), ends);
    assert_eq!(names_needed(&draft, "mourn").len(), 6, "each may fail");
    let work = command(&draft, position(&draft, "count[item=bob,stage=clean]"));
    let axes = [
        &work.env["SKEP_MATRIX_ITEM"],
        &work.env["SKEP_MATRIX_STAGE"],
    ];
    assert_eq!(axes, ["bob", "clean"]);
}

#[test]
fn a_merge_takes_the_last_stage_of_each_item() {
    let draft = right(&between(&format!("{STAGES}\n    merge: concatenate")), &[]);
    let ends = ["count[item=ada,stage=weigh]", "count[item=bob,stage=weigh]"];
    assert_eq!(names_needed(&draft, "count"), ends);
    assert_eq!(names_needed(&draft, "after"), ["count"]);
    let merge = &draft.tasks[position(&draft, "count")];
    assert_eq!(merge.spec.condition, Condition::Success);
}

#[test]
fn directories_of_parts_are_in_order_also_beyond_ten() {
    let partition = "    run: x
    partition: {kind: data-parallel, shards: 11}
    merge: {kind: command, run: x}";
    let draft = right(&between(partition), &[]);
    let directories = inputs(&draft, "count");
    assert!(directories.is_sorted(), "{directories:?}");
    assert_eq!(directories[2], "parts/02/**");
}

#[test]
fn a_matrix_may_be_merged_too_and_its_settings_stay_with_its_instances() {
    let source = "\
name: p
tasks:
  a:
    matrix: {v: [x, y]}
    reads: ['/in/${{ matrix.v }}', /common]
    env: {V: '${{ matrix.v }}', W: w}
    labels: {v: '${{ matrix.v }}'}
    run: x
    artifacts: ['${{ matrix.v }}.txt']
    merge: concatenate
";
    let draft = right(source, &[]);
    let merge = command(&draft, position(&draft, "a"));
    assert_eq!(merge.reads, ["/common"]);
    assert!(!merge.env.contains_key("V") && merge.env["W"] == "w");
    let globs: Vec<&str> = merge.artifacts.iter().map(|it| it.glob.as_str()).collect();
    assert_eq!(globs, ["x.txt", "y.txt"]);
}

#[test]
fn an_aggregation_hands_its_rules_over_as_variables() {
    let partition = "    run: x
    partition: {kind: data-parallel, shards: 2}
    merge: {kind: aggregate, file: \"it's/${{ params.n }}.json\", fields: {n: sum, 'a b': union}}";
    let draft = right(&between(partition), &[]);
    let merge = command(&draft, position(&draft, "count"));
    assert_eq!(merge.env["SKEP_MERGE_FILE"], "it's/3.json");
    assert_eq!(
        merge.env["SKEP_MERGE_FIELDS"],
        r#"{"a b":"union","n":"sum"}"#
    );
    assert_eq!(merge.artifacts[0].glob, "it's/3.json");
    assert_eq!(inputs(&draft, "count")[1], "parts/1/it's/3.json");
    let Invocation::Shell(script) = &merge.invocation else {
        panic!("a script")
    };
    assert!(!script.contains("it's"), "values are no part of the script");
}

#[test]
fn plans_with_partitions_survive_their_json_form() {
    let branches = "    partition: {kind: task-parallel, branches: {a: x, b: {argv: [y]}}}
    merge: {kind: command, run: z, artifacts: []}";
    let shards = "    run: x
    partition: {kind: data-parallel, shards: '${{ params.n }}', items: [a, b]}
    merge: {kind: aggregate, file: a.json, fields: {n: mean}}";
    let stages = format!("{STAGES}\n    merge: {{kind: concatenate}}");
    for partition in [branches, shards, stages.as_str()] {
        let source = between(partition);
        let plan = parse(&source, "plan.yaml").unwrap();
        let json = serde_json::to_string(&plan).unwrap();
        let again: PlanFile = serde_json::from_str(&json).unwrap();
        let draft = expand(&again, &BTreeMap::new(), "/base");
        assert_eq!(draft, read(&source, &[]), "{json}");
    }
}

#[test]
fn the_strategy_of_a_plan_goes_into_its_run() {
    let source = "name: p\nstrategy: '${{ params.s }}'\nparams: {s: spread}\ntasks: {a: {run: x}}";
    let draft = right(source, &[]);
    assert_eq!(draft.strategy.as_deref(), Some("spread"));
    let mut next = 0;
    let mut next_id = || {
        next += 1;
        next
    };
    let (run, _) = draft.stamp(skep_model::time::UnixMillis(1), None, &mut next_id);
    assert_eq!(run.strategy.as_deref(), Some("spread"));
}
