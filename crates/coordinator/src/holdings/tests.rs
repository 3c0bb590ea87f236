//! What is known about who has which artifacts.

use super::*;
use crate::observed::{Observed, node, task};
use skep_model::attempt::Outcome;
use skep_model::work::{CommandWork, Input, Invocation, Work, Workspace};

/// A task that is given what these tasks handed in.
fn fed_by(tasks: &[u128]) -> TaskSpec {
    let input = |from: &u128| Input {
        from: task(*from),
        name: format!("t{from}"),
        glob: "**".to_owned(),
        into: "in".to_owned(),
    };
    let mut spec = TaskSpec::noop("fed");
    spec.work = Work::Command(Box::new(CommandWork {
        invocation: Invocation::Argv(vec!["true".to_owned()]),
        env: BTreeMap::new(),
        workspace: Workspace::None,
        inputs: tasks.iter().map(input).collect(),
        artifacts: Vec::new(),
        gates: Vec::new(),
        timeout_ms: 1_000,
        kill_grace_ms: 1_000,
        reads: Vec::new(),
    }));
    spec.retry.backoff_initial_ms = 0;
    spec
}

impl Observed {
    /// The node runs the task, which hands in so many bytes.
    fn runs(&mut self, number: u128, on: u128, bytes: u64) {
        self.grant(number, on);
        self.report(number, Outcome::Completed, bytes);
    }

    /// Bytes in all, and who holds how many.
    fn inputs(&self, number: u128) -> (u64, Vec<(u128, u64)>) {
        let inputs = self.view.holdings.inputs(task(number));
        let held = inputs.held.iter();
        let held = held.map(|held| (held.node.as_u128(), held.bytes));
        (inputs.total_bytes, held.collect())
    }
}

#[test]
fn the_node_that_made_an_input_holds_it_and_so_does_one_that_was_given_it() {
    let mut swarm = Observed::with_nodes(3);
    swarm.submit(1, TaskSpec::noop("big"), &[]);
    swarm.submit(2, TaskSpec::noop("small"), &[]);
    swarm.submit(3, fed_by(&[1, 2]), &[1, 2]);
    swarm.runs(1, 1, 900);
    assert_eq!(swarm.inputs(3), (0, Vec::new()), "it waits for task 2");
    swarm.runs(2, 2, 100);
    assert_eq!(swarm.inputs(3), (1_000, vec![(1, 900), (2, 100)]));
    swarm.grant(3, 3);
    swarm.report(3, Outcome::Exited { code: 1 }, 0);
    assert_eq!(
        swarm.inputs(3),
        (1_000, vec![(3, 1_000), (1, 900), (2, 100)])
    );
    swarm.runs(3, 3, 0);
    assert_eq!(swarm.inputs(3), (0, Vec::new()), "it is over");
}

#[test]
fn tasks_without_inputs_or_with_unknown_ones_cost_nothing() {
    let mut swarm = Observed::with_nodes(1);
    swarm.submit(1, TaskSpec::noop("empty"), &[]);
    swarm.submit(2, fed_by(&[1]), &[1]);
    swarm.runs(1, 1, 0);
    assert_eq!(swarm.view.holdings.inputs(task(1)), TaskInputs::NONE);
    assert_eq!(swarm.view.holdings.inputs(task(2)), TaskInputs::NONE);
    assert!(swarm.view.holdings.produced.is_empty());
    assert!(swarm.view.holdings.prepared.is_empty());
}

#[test]
fn holders_are_bounded_and_the_newest_stay() {
    let mut holdings = Holdings::default();
    holdings.produced.insert(
        task(1),
        Produced {
            bytes: 5,
            holders: vec![node(1)],
            used: 0,
        },
    );
    holdings.touch(task(1));
    let many = HOLDERS_MAX as u128 + 3;
    for number in 1..=many {
        holdings.was_given_inputs(&fed_by(&[1]), node(number));
    }
    let holders = &holdings.produced[&task(1)].holders;
    assert_eq!(holders.len(), HOLDERS_MAX);
    assert_eq!(
        (holders[0], *holders.last().unwrap()),
        (node(4), node(many))
    );
    holdings.forget(node(4));
    assert_eq!(holdings.produced[&task(1)].holders.len(), HOLDERS_MAX - 1);
}

#[test]
fn what_was_used_longest_ago_gives_way() {
    let mut holdings = Holdings::default();
    let add = |holdings: &mut Holdings, number: u128| {
        let (bytes, holders, used) = (1, vec![node(1)], 0);
        holdings.produced.insert(
            task(number),
            Produced {
                bytes,
                holders,
                used,
            },
        );
        holdings.touch(task(number));
    };
    (0..HOLDINGS_MAX as u128).for_each(|number| add(&mut holdings, number));
    holdings.touch(task(0));
    add(&mut holdings, HOLDINGS_MAX as u128);
    assert_eq!(holdings.produced.len(), HOLDINGS_MAX);
    assert_eq!(holdings.by_use.len(), HOLDINGS_MAX);
    assert!(holdings.produced.contains_key(&task(0)), "it was used");
    assert!(!holdings.produced.contains_key(&task(1)));
}
