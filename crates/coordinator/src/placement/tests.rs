//! Which strategy places which task.

use super::*;
use crate::snapshot::{Lookups, failed_on, open_snapshot};
use crate::view::View;
use skep_model::attempt::LogIndex;
use skep_model::command::{Actor, Command, LogEntry};
use skep_model::ids::{InstanceId, NodeId};
use skep_model::isolation::IsolationLevel;
use skep_model::node::{Hardware, NodeClass, NodeFacts};
use skep_model::requirements::{Proficiency, Resources};
use skep_model::run::RunSpec;
use skep_model::task::{NewTask, TaskSpec};
use skep_model::time::UnixMillis;
use skep_scheduler::TaskInputs;
use std::sync::Arc;

/// Two nodes, of which the first is the better one for every task, and runs.
struct Swarm {
    view: View,
    entries: u64,
}

impl Swarm {
    fn new(slots: u32) -> Self {
        let mut swarm = Self {
            view: View::default(),
            entries: 0,
        };
        swarm.node(1, slots, Proficiency::Expert);
        swarm.node(2, slots, Proficiency::Basic);
        swarm
    }

    fn apply(&mut self, command: Command) {
        self.entries += 1;
        let entry = LogEntry {
            at: UnixMillis(1_000),
            seed: self.entries,
            actor: Actor::Coordinator,
            command,
        };
        self.view.state.apply(LogIndex(self.entries), &entry);
    }

    fn node(&mut self, number: u128, slots: u32, proficiency: Proficiency) {
        let (node, instance) = (NodeId::from_u128(number), InstanceId::from_u128(number));
        let facts = NodeFacts {
            name: format!("node {number}"),
            version: "test".to_owned(),
            system: "test".to_owned(),
            resources: Resources {
                cpu_millis: 1_000 * u64::from(slots),
                ..Resources::NONE
            },
            slots,
            labels: BTreeMap::new(),
            capabilities: BTreeMap::from([("rust".to_owned(), proficiency)]),
            isolation: IsolationLevel::S1,
            probes: Vec::new(),
            class: NodeClass::Server,
            region: None,
            hardware: Hardware::default(),
            models: Vec::new(),
            on_disconnect: None,
        };
        self.apply(Command::RegisterNode {
            node,
            instance,
            starts: 1,
            agent: AgentId::from_u128(number),
            facts: Box::new(facts),
        });
        self.apply(Command::ConfirmNode {
            node,
            instance,
            lost: Vec::new(),
        });
        self.view.connected.insert(node);
    }

    /// Tasks of run 3 have the numbers 300, 301 and so on.
    fn run(&mut self, number: u128, strategy: Option<&str>, tasks: u128, priority: u8) {
        let spec = RunSpec {
            name: format!("run {number}"),
            labels: BTreeMap::new(),
            weight: 10,
            trace_parent: None,
            strategy: strategy.map(str::to_owned),
        };
        let task = |position: u128| {
            let mut spec = TaskSpec::noop(format!("t{position}"));
            spec.priority.base = priority;
            let rust = ("rust".to_owned(), Proficiency::Basic);
            spec.requirements.capabilities.extend([rust]);
            spec.requirements.resources.cpu_millis = 1_000;
            NewTask {
                id: TaskId::from_u128(number * 100 + position),
                spec: Arc::new(spec),
                needs: Vec::new(),
            }
        };
        self.apply(Command::SubmitRun {
            run: RunId::from_u128(number),
            spec: Arc::new(spec),
            tasks: (0..tasks).map(task).collect(),
            idempotency: None,
        });
    }

    /// The tasks that are granted, each with its agent, by task.
    fn placed(&self, own: &str) -> Vec<(u128, u128)> {
        let placement = Placement::new(strategy(own).unwrap());
        self.numbers(|state, snapshot, policy| placement.place(state, snapshot, policy))
    }

    /// The same as if no run had a strategy.
    fn placed_by_one(&self, name: &str) -> Vec<(u128, u128)> {
        let strategy = strategy(name).unwrap();
        self.numbers(|_, snapshot, policy| strategy.place(snapshot, policy))
    }

    fn numbers(
        &self,
        place: impl FnOnce(&State, &Snapshot<'_>, &Policy) -> Vec<Grant>,
    ) -> Vec<(u128, u128)> {
        let state = &self.view.state;
        let failed_on = |task: TaskId| failed_on(state, task);
        let lookups = Lookups {
            failed_on: &failed_on,
            inputs: &|_| TaskInputs::NONE,
        };
        let snapshot = open_snapshot(&self.view, None, state.now(), &lookups);
        let grants = place(state, &snapshot, &Policy::default());
        let numbers = grants
            .iter()
            .map(|grant| (grant.task.as_u128(), grant.agent.as_u128()));
        let mut numbers: Vec<_> = numbers.collect();
        numbers.sort_unstable();
        numbers
    }
}

fn tasks_of(grants: &[(u128, u128)]) -> Vec<u128> {
    grants.iter().map(|(task, _)| *task).collect()
}

/// How many tasks of a run each of the two agents was given.
fn split(grants: &[(u128, u128)], run: u128) -> [usize; 2] {
    [1, 2].map(|agent| {
        let mine = grants
            .iter()
            .filter(|grant| grant.0 / 100 == run && grant.1 == agent);
        mine.count()
    })
}

#[test]
fn each_run_is_placed_by_the_strategy_it_asks_for() {
    let mut swarm = Swarm::new(20);
    swarm.run(1, None, 4, 5);
    swarm.run(2, Some("round-robin"), 4, 5);
    swarm.run(3, Some("capability-weighted"), 4, 5);
    let grants = swarm.placed("capability-weighted");
    assert_eq!(split(&grants, 1), [4, 0], "the better agent");
    assert_eq!(split(&grants, 2), [2, 2], "in turn");
    assert_eq!(split(&grants, 3), [4, 0], "named, and the swarm's own");
    let grants = swarm.placed("round-robin");
    // The first two runs are placed in turn together.
    let [first, second] = [1, 2].map(|run| split(&grants, run));
    assert_eq!([first[0] + second[0], first[1] + second[1]], [4, 4]);
    assert_eq!(split(&grants, 3), [4, 0]);
}

#[test]
fn a_single_strategy_places_all_at_once() {
    for wanted in STRATEGIES {
        let mut swarm = Swarm::new(4);
        swarm.run(1, Some(wanted), 5, 5);
        swarm.run(2, Some(wanted), 5, 5);
        let grants = swarm.placed("power-of-two");
        assert_eq!(grants, swarm.placed_by_one(wanted), "{wanted}");
        assert_eq!(grants.len(), 8);
    }
}

#[test]
fn who_is_served_does_not_depend_on_the_strategies_of_runs() {
    for own in STRATEGIES {
        let mut swarm = Swarm::new(4);
        swarm.run(1, None, 6, 5);
        for (run, other) in (2..).zip(STRATEGIES) {
            swarm.run(run, Some(other), 6, 5);
        }
        swarm.run(9, Some("optimal"), 2, 8);
        let grants = swarm.placed(own);
        let served = swarm.placed_by_one(own);
        assert_eq!(tasks_of(&grants), tasks_of(&served), "{own}");
        assert_eq!(grants.len(), 8, "{own}: all room is used");
        for agent in [1, 2] {
            let load = grants.iter().filter(|grant| grant.1 == agent).count();
            assert_eq!(load, 4, "{own}: no agent gets more than it has room for");
        }
    }
}

#[test]
fn a_more_urgent_run_comes_first_whatever_its_strategy() {
    let mut swarm = Swarm::new(1);
    swarm.run(1, Some("optimal"), 3, 2);
    swarm.run(2, None, 1, 9);
    swarm.run(3, Some("round-robin"), 1, 9);
    let grants = swarm.placed("capability-weighted");
    assert_eq!(tasks_of(&grants), [200, 300]);
}

#[test]
fn a_strategy_that_this_version_does_not_know_counts_as_none() {
    let mut swarm = Swarm::new(20);
    swarm.run(1, Some("of tomorrow"), 4, 5);
    swarm.run(2, Some("round-robin"), 4, 5);
    let grants = swarm.placed("capability-weighted");
    assert_eq!((split(&grants, 1), split(&grants, 2)), ([4, 0], [2, 2]));
}
