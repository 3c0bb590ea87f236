//! The plans that come with Skep are read and expanded.

#![expect(
    clippy::needless_raw_string_hashes,
    reason = "the tool that updates snapshots writes them so"
)]

use crate::{Draft, expand, parse};
use expect_test::{Expect, expect};
use skep_model::work::Work;
use std::collections::BTreeMap;

#[track_caller]
fn draft(source: &str, params: &[(&str, &str)]) -> Draft {
    let params = params
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let plan = parse(source, "example").unwrap_or_else(|errors| panic!("{errors}"));
    let params: BTreeMap<String, String> = params.collect();
    expand(&plan, &params, "/home/me/project").unwrap_or_else(|errors| panic!("{errors}"))
}

#[track_caller]
fn check(source: &str, params: &[(&str, &str)], graph: &Expect) -> Draft {
    let draft = draft(source, params);
    graph.assert_eq(&draft.render_graph());
    draft
}

#[test]
fn the_repository_report_reads_only_the_repository() {
    let source = include_str!("../../../examples/repo-report.yaml");
    let draft = check(
        source,
        &[],
        &expect![[r#"
        step 1: 1 task
          inventory
        step 2: 14 tasks
          lines[lang=rust] <- inventory
          lines[lang=python] <- inventory
          lines[lang=javascript] <- inventory
          lines[lang=typescript] <- inventory
          lines[lang=go] <- inventory
          lines[lang=java] <- inventory
          lines[lang=c] <- inventory
          lines[lang=shell] <- inventory
          lines[lang=markdown] <- inventory
          lines[lang=config] <- inventory
          churn <- inventory
          todo <- inventory
          large-files <- inventory
          secrets <- inventory
        step 3: 1 task
          report <- inventory, lines[lang=rust], lines[lang=python], lines[lang=javascript] and 11 more
        longest chain (3): inventory -> lines[lang=rust] -> report
    "#]],
    );
    for task in &draft.tasks {
        let Work::Command(work) = &task.spec.work else {
            panic!("{} is no command", task.name)
        };
        assert_eq!(work.reads, ["/home/me/project"], "{}", task.name);
        assert_eq!(work.env["SKEP_PARAM_REPO"], "/home/me/project");
    }
}

#[test]
fn the_map_reduce_plan_has_one_task_per_file() {
    let source = include_str!("../../../examples/map-reduce.yaml");
    let files = [("files", "a.txt src/b.txt"), ("dir", "texts")];
    let draft = check(
        source,
        &files,
        &expect![[r#"
        step 1: 2 tasks
          map[file=a.txt]
          map[file=src_b.txt]
        step 2: 1 task
          reduce <- map[file=a.txt], map[file=src_b.txt]
        longest chain (2): map[file=a.txt] -> reduce
    "#]],
    );
    let inputs: Vec<&str> = draft.tasks[2]
        .inputs
        .iter()
        .map(|input| input.name.as_str())
        .collect();
    assert_eq!(inputs, ["map[file=a.txt]", "map[file=src_b.txt]"]);
}

#[test]
fn the_partition_plan_splits_merges_and_lets_items_flow() {
    let source = include_str!("../../../examples/partition.yaml");
    check(
        source,
        &[("numbers", "3 5 8 13 21"), ("shards", "2")],
        &expect![[r#"
            step 1: 5 tasks
              squares[shard=0]
              squares[shard=1]
              letters[item=bee,stage=split]
              letters[item=hive,stage=split]
              letters[item=swarm,stage=split]
            step 2: 4 tasks
              squares <- squares[shard=0], squares[shard=1]
              letters[item=bee,stage=sort] <- letters[item=bee,stage=split]
              letters[item=hive,stage=sort] <- letters[item=hive,stage=split]
              letters[item=swarm,stage=sort] <- letters[item=swarm,stage=split]
            step 3: 5 tasks
              letters[item=bee,stage=join] <- letters[item=bee,stage=sort]
              letters[item=hive,stage=join] <- letters[item=hive,stage=sort]
              letters[item=swarm,stage=join] <- letters[item=swarm,stage=sort]
              facts[branch=count] <- squares
              facts[branch=last] <- squares
            step 4: 2 tasks
              letters <- letters[item=bee,stage=join], letters[item=hive,stage=join], letters[item=swarm,stage=join]
              facts <- facts[branch=count], facts[branch=last]
            step 5: 1 task
              report <- squares, letters, facts
            longest chain (5): letters[item=bee,stage=split] -> letters[item=bee,stage=sort] -> letters[item=bee,stage=join] -> letters -> report
        "#]],
    );
}

#[test]
fn the_self_check_waives_isolation_only_where_cargo_runs() {
    let source = include_str!("../../../examples/self-check.yaml");
    let homes = [
        ("cargo_home", "/home/me/.cargo"),
        ("rustup_home", "/home/me/.rustup"),
    ];
    let draft = check(
        source,
        &homes,
        &expect![[r#"
        step 1: 2 tasks
          format
          lint
        step 2: 1 task
          test <- lint
        step 3: 1 task
          docs <- test
        step 4: 1 task
          summary <- format, lint, test, docs
        longest chain (4): lint -> test -> docs -> summary
    "#]],
    );
    let levels: Vec<String> = draft
        .tasks
        .iter()
        .map(|task| format!("{} {}", task.name, task.spec.requirements.isolation))
        .collect();
    assert_eq!(
        levels,
        ["format s0", "lint s0", "test s0", "docs s0", "summary s1"]
    );
}
