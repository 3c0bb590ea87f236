//! Right plans and what becomes of them.

#![expect(
    clippy::needless_raw_string_hashes,
    reason = "the tool that updates snapshots writes them so"
)]

use crate::{
    Draft, ErrorCode, PlanErrors, PlanFile, SingleTaskFile, expand, expand_additional, expand_task,
    json_schema, parse, parse_task, parse_tasks,
};
use expect_test::expect;
use skep_model::ids::TaskId;
use skep_model::task::{Condition, Delivery, NewTask};
use skep_model::time::UnixMillis;
use skep_model::work::{GitResult, Invocation, Work, Workspace};
use std::collections::BTreeMap;

pub(crate) fn params(given: &[(&str, &str)]) -> BTreeMap<String, String> {
    given
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

pub(crate) fn read(source: &str, given: &[(&str, &str)]) -> Result<Draft, PlanErrors> {
    expand(&parse(source, "plan.yaml")?, &params(given), "/base")
}

#[track_caller]
pub(crate) fn right(source: &str, given: &[(&str, &str)]) -> Draft {
    read(source, given).unwrap_or_else(|errors| panic!("{errors}"))
}

/// A plan with the one task `a`, whose body is given.
pub(crate) fn task(body: &str) -> String {
    format!("name: p\ntasks:\n  a: {{{body}}}\n")
}

pub(crate) fn command(draft: &Draft, position: usize) -> &skep_model::work::CommandWork {
    match &draft.tasks[position].spec.work {
        Work::Command(work) => work,
        other => panic!("task {position} is no command: {other:?}"),
    }
}

const WHOLE: &str = "\
name: whole ${{ params.who }}
labels: {team: \"${{ params.who }}\"}
weight: 20
params:
  who: me
  version: 1.10
  where: {type: path, default: data}
defaults:
  env: {A: default, B: default}
  requires: [rust]
  timeout: 5m
  labels: {kind: check}
tasks:
  count:
    matrix:
      lang: [rs, 1.10]
      os: [a, b]
      exclude: [{lang: rs, os: b}]
    env: {B: \"own ${{ matrix.lang }}\"}
    run: count \"$SKEP_MATRIX_LANG\"
    workspace: {git: ., ref: main, result: {branch: \"out-${{ matrix.os }}\"}}
    artifacts: [{glob: '*.txt', name: counts, required: false}, log]
    gates: [test -s log, {name: sum, argv: [check, \"${{ matrix.lang }}\"], timeout: 10s}]
    compensate: {run: undo, timeout: 1m}
    retries: 0
    delivery: at_most_once
    deadline: 1h30m
  sum:
    if: always()
    inputs: [{from: count, glob: '*.txt', into: in}]
    needs: \"count[lang=rs,os=a]\"
    argv: [sum, \"${{ params.where }}\"]
    requires: {rust: expert, go: basic}
    resources: {cpu: 0.5, memory: 2GiB}
    affinity: [{label: zone, value: eu}, {label: gpu, sense: repel, weight: 30}]
    isolation: s0
    priority: {base: 7, critical: true}
    retries: {count: 4, backoff: 2s, on: [lost]}
    reads: [\"${{ params.where }}\", lib]
    workspace: {dir: ./x, writable: true}
  rest: {kind: noop, needs: [sum]}
";

fn stamp(draft: Draft) -> Vec<NewTask> {
    let mut next = 0;
    let mut next_id = || {
        next += 1;
        next
    };
    draft
        .stamp(UnixMillis(1_000), Some("trace".to_owned()), &mut next_id)
        .1
}

#[test]
fn a_plan_becomes_tasks() {
    let draft = right(WHOLE, &[("who", "you")]);
    assert_eq!((draft.name.as_str(), draft.weight), ("whole you", 20));
    assert_eq!(draft.labels, params(&[("team", "you")]));
    expect![[r#"
        step 1: 3 tasks
          count[lang=rs,os=a]
          count[lang=1.10,os=a]
          count[lang=1.10,os=b]
        step 2: 1 task
          sum <- count[lang=rs,os=a], count[lang=1.10,os=a], count[lang=1.10,os=b]
        step 3: 1 task
          rest <- sum
        longest chain (3): count[lang=rs,os=a] -> sum -> rest
    "#]]
    .assert_eq(&draft.render_graph());
    let count = command(&draft, 1);
    assert_eq!(count.env["B"], "own 1.10");
    assert_eq!(
        (&*count.env["A"], &*count.env["SKEP_MATRIX_LANG"]),
        ("default", "1.10")
    );
    assert_eq!(count.env["SKEP_PARAM_VERSION"], "1.10");
    let git = Workspace::Git {
        repository: "/base".to_owned(),
        reference: "main".to_owned(),
        result: GitResult::Branch("out-a".to_owned()),
    };
    assert_eq!((&count.workspace, count.timeout_ms), (&git, 300_000));
    assert_eq!(count.gates[0].name, "gate-1");
    let words = ["check", "1.10"].map(str::to_owned).to_vec();
    assert_eq!(count.gates[1].invocation, Invocation::Argv(words));
    assert!(!count.artifacts[0].required && count.artifacts[1].required);
    assert_eq!(draft.tasks[1].spec.delivery, Delivery::AtMostOnce);
    assert_eq!(draft.tasks[1].spec.retry.attempts_max, 1);
}

#[test]
fn settings_of_a_task_win_over_the_defaults() {
    let draft = right(WHOLE, &[]);
    let sum = &draft.tasks[3];
    expect![[r#"
        Requirements {
            capabilities: {
                "go": Basic,
                "rust": Expert,
            },
            resources: Resources {
                cpu_millis: 500,
                memory_bytes: 2147483648,
                gpu_memory_bytes: 0,
                disk_bytes: 0,
            },
            affinity: [
                AffinityRule {
                    label: "zone",
                    value: Some(
                        "eu",
                    ),
                    sense: Attract,
                    strength: Required,
                },
                AffinityRule {
                    label: "gpu",
                    value: None,
                    sense: Repel,
                    strength: Weight(
                        30,
                    ),
                },
            ],
            isolation: S0,
            agent: None,
            performer: Node,
        }
    "#]]
    .assert_debug_eq(&sum.spec.requirements);
    assert_eq!(
        (sum.spec.condition, sum.spec.priority.effective(false)),
        (Condition::Always, 10)
    );
    assert_eq!(
        (
            sum.spec.retry.attempts_max,
            sum.spec.retry.backoff_initial_ms
        ),
        (5, 2_000)
    );
    assert_eq!(command(&draft, 3).reads, ["/base/data", "/base/lib"]);
    assert_eq!(draft.tasks[4].spec.work, Work::Noop);
    assert_eq!(draft.tasks[0].spec.labels, params(&[("kind", "check")]));
}

#[test]
fn the_stamp_gives_ids_and_turns_spans_into_points_in_time() {
    let tasks = stamp(right(WHOLE, &[]));
    let [first, _, _, sum, rest] = tasks.as_slice() else {
        panic!("five tasks, not {}", tasks.len())
    };
    assert_eq!(first.spec.deadline, Some(UnixMillis(1_000 + 5_400_000)));
    let compensation = first.spec.compensate.as_ref().unwrap();
    assert_eq!(compensation.task, TaskId::from_u128(6));
    assert_eq!(
        sum.needs,
        tasks[..3].iter().map(|task| task.id).collect::<Vec<_>>()
    );
    assert_eq!(rest.needs, [sum.id]);
    let Work::Command(work) = &sum.spec.work else {
        panic!("a command")
    };
    let from: Vec<(TaskId, &str)> = work
        .inputs
        .iter()
        .map(|input| (input.from, input.name.as_str()))
        .collect();
    let names = [
        "count[lang=rs,os=a]",
        "count[lang=1.10,os=a]",
        "count[lang=1.10,os=b]",
    ];
    let expected: Vec<(TaskId, &str)> = tasks.iter().map(|task| task.id).zip(names).collect();
    assert_eq!(from, expected);
    assert_eq!(sum.spec.trace_parent.as_deref(), Some("trace"));
}

#[test]
fn steps_and_the_longest_chain_are_those_of_the_graph() {
    let source = "\
name: p
tasks:
  d: {run: x, needs: [b, c]}
  a: {run: x}
  b: {run: x, needs: a}
  c: {run: x}
";
    let draft = right(source, &[]);
    assert_eq!(draft.waves(), [vec![1, 3], vec![2], vec![0]]);
    assert_eq!(draft.critical_path(), [1, 2, 0]);
}

#[test]
fn values_that_look_alike_in_a_name_are_told_apart() {
    let draft = right(&task("run: x, matrix: {f: [a/b, a_b, 'a b']}"), &[]);
    let names: Vec<&str> = draft.tasks.iter().map(|task| task.name.as_str()).collect();
    assert_eq!(names, ["a[f=a_b]", "a[f=a_b]~2", "a[f=a_b]~3"]);
}

#[test]
fn an_axis_may_be_split_from_a_parameter() {
    let source =
        "name: p\nparams: {v: 'x y'}\ntasks: {a: {run: x, matrix: {v: '${{ params.v }}'}}}";
    for (given, count) in [("x y", 2), ("one line\ntwo lines\n\n", 2), ("x", 1)] {
        assert_eq!(right(source, &[("v", given)]).tasks.len(), count, "{given}");
    }
    let errors = read(source, &[("v", " ")]).unwrap_err();
    assert_eq!(errors.0[0].code, ErrorCode::BadMatrix);
}

#[test]
fn numbers_keep_their_spelling_also_behind_anchors() {
    let source = "\
name: p
params: {a: &v 1.10, b: 007, c: '08', d: yes, e: 1e3, f: *v}
tasks:
  t: &t {run: x, timeout: 90}
  u: *t
  w: {<<: *t, run: y}
";
    let draft = right(source, &[]);
    let env = &command(&draft, 0).env;
    for (name, value) in [
        ("A", "1.10"),
        ("B", "007"),
        ("C", "08"),
        ("D", "yes"),
        ("E", "1e3"),
    ] {
        assert_eq!(env[&format!("SKEP_PARAM_{name}")], value, "{name}");
    }
    assert_eq!(
        env["SKEP_PARAM_F"], "1.1",
        "an alias stands for the number, not its spelling"
    );
    let timeouts = [0, 1, 2].map(|position| command(&draft, position).timeout_ms);
    assert_eq!(timeouts, [90_000; 3]);
    assert_eq!(
        command(&draft, 2).invocation,
        Invocation::Shell("y".to_owned())
    );
}

#[test]
fn a_plan_survives_its_json_form() {
    let plan = parse(WHOLE, "plan.yaml").unwrap();
    let json = serde_json::to_string(&plan).unwrap();
    let again: PlanFile = serde_json::from_str(&json).unwrap();
    let (expected, draft) = (right(WHOLE, &[]), expand(&again, &params(&[]), "/base"));
    assert_eq!(draft.as_ref(), Ok(&expected));
    let read_as_text = expand(&parse(&json, "plan.json").unwrap(), &params(&[]), "/base");
    assert_eq!(read_as_text, Ok(expected));
}

#[test]
fn a_wrong_plan_as_json_says_what_is_wrong() {
    let error = serde_json::from_str::<PlanFile>(r#"{"name": "p", "taks": {}}"#).unwrap_err();
    expect![[r#"
        request: a plan has no key `taks` (plan_unknown_key): did you mean `tasks`?
    "#]]
    .assert_eq(&format!("{error}\n"));
}

#[test]
fn a_task_alone_and_tasks_that_join_a_run_find_what_exists() {
    let known = TaskId::from_u128(9);
    let existing = |name: &str| (name == "build").then_some(known);
    let file = parse_task("{name: t, run: x, needs: build}", "request").unwrap();
    let draft = expand_task(&file.name, &file.task, &existing, "/base").unwrap();
    assert_eq!((draft.name.as_str(), draft.tasks.len()), ("t", 1));
    assert_eq!(stamp(draft)[0].needs, [known]);
    let same: SingleTaskFile =
        serde_json::from_str(r#"{"name":"t","run":"x","needs":["build"]}"#).unwrap();
    assert_eq!(same.task.needs[0].value, "build");

    let more = parse_tasks(
        "{a: {run: x, inputs: build}, b: {run: x, needs: [a]}}",
        "request",
    );
    let draft = expand_additional(&more.unwrap(), &existing, "/base").unwrap();
    let tasks = stamp(draft);
    assert_eq!(
        (&tasks[0].needs, &tasks[1].needs),
        (&vec![known], &vec![tasks[0].id])
    );

    let taken = parse_tasks("{build: {run: x}, c: {run: x, needs: d}}", "request").unwrap();
    let errors = expand_additional(&taken, &existing, "/base").unwrap_err();
    expect![[r#"
        request:1:2: the run already has a task `build` (plan_bad_name): rename it
        request:1:38: there is no task `d` (plan_unknown_task): use one of build, c
    "#]]
    .assert_eq(&format!("{errors}\n"));
}

#[test]
fn the_schema_names_every_key_of_a_task() {
    let schema = json_schema();
    let text = schema.to_string();
    for key in [
        "run",
        "argv",
        "needs",
        "if",
        "matrix",
        "partition",
        "merge",
        "branches",
        "stages",
        "shards",
        "strategy",
        "reads",
        "gates",
        "compensate",
        "isolation",
    ] {
        assert!(text.contains(&format!("\"{key}\":")), "{key}");
    }
    assert_eq!(schema["required"], serde_json::json!(["name", "tasks"]));
}
