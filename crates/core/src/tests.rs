//! Properties of the whole core: random scripts, long chains, limits.

use crate::State;
use crate::script::{World, portrait};
use proptest::prelude::*;
use skep_model::attempt::LogIndex;
use skep_model::command::{Actor, Command, LogEntry, Phase};
use skep_model::event::Event;
use skep_model::ids::{NodeId, RunId, TaskId};
use skep_model::node::NodeState;
use skep_model::run::RunState;
use skep_model::task::{NewTask, TaskSpec, TaskState};
use skep_model::time::UnixMillis;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

/// Tasks of one submission, and the submission.
fn submission() -> impl Strategy<Value = String> {
    let words = prop_oneof![
        4 => Just(""),
        1 => Just("when=failure"),
        1 => Just("when=always"),
        1 => Just("once"),
        1 => Just("attempts=1"),
        1 => Just("gate=fmt"),
        1 => Just("cpu=3000"),
        1 => Just("priority=9 critical"),
        1 => Just("isolation=s0 command"),
    ];
    let task = (
        1..20_u8,
        words,
        proptest::option::of(1..20_u8),
        0..60_u64,
        0..40_u8,
    );
    let tasks = proptest::collection::vec(task, 1..5).prop_map(|tasks| {
        let mut text = String::new();
        for (id, words, need, deadline, undo) in tasks {
            write!(text, "task {id} {words}").unwrap();
            text += &need.map_or(String::new(), |need| format!(" needs={need}"));
            if deadline > 40 {
                write!(text, " deadline={}", deadline * 1_000).unwrap();
            }
            if undo > 30 {
                write!(text, " undo={undo}").unwrap();
            }
            text += ";";
        }
        text
    });
    let submit = prop_oneof![
        (1..4_u8).prop_map(|run| format!("run {run}")),
        (1..4_u8).prop_map(|run| format!("submit run={run}")),
        (1..4_u8).prop_map(|key| format!("submit key=k{key} body={}", key % 2)),
        Just("submit".to_owned()),
    ];
    (tasks, submit).prop_map(|(tasks, submit)| tasks + &submit)
}

fn about_tasks() -> impl Strategy<Value = String> {
    let verbs = [
        "cancel",
        "retry",
        "pause",
        "resume",
        "update",
        "start",
        "verify",
        "hand-back",
    ];
    let outcomes = [
        "ok",
        "ok",
        "ok gate=fmt:passed",
        "exit",
        "timeout",
        "interrupted",
        "error",
    ];
    let task = 1..20_u8;
    prop_oneof![
        2 => (proptest::sample::select(verbs.to_vec()), task.clone())
            .prop_map(|(verb, task)| format!("{verb} {task} priority={task}")),
        6 => (task.clone(), 1..6_u8, task.clone(), 1..6_u8)
            .prop_map(|(a, b, c, d)| format!("grant {a}:{b} {c}:{d}")),
        5 => (task.clone(), proptest::sample::select(outcomes.to_vec()))
            .prop_map(|(task, outcome)| format!("report {task} {outcome}")),
        1 => (task.clone(), 1..40_u8, 1..4_u8)
            .prop_map(|(task, fence, node)| format!("report {task} ok fence={fence} node={node}")),
        1 => (task, 1..6_u8).prop_map(|(task, agent)| format!("assign {task} to={agent}")),
        1 => (proptest::sample::select(vec!["cancel-run", "pause-run", "resume-run"]), 1..4_u8)
            .prop_map(|(verb, run)| format!("{verb} {run}")),
    ]
}

fn about_the_swarm() -> impl Strategy<Value = String> {
    let verbs = ["suspect", "trust", "lose", "drain", "undrain", "remove"];
    let node = 1..4_u8;
    prop_oneof![
        3 => (node.clone(), 1..4_u8, 1..3_u8, 1..4_u8).prop_map(|(node, slots, instance, name)| {
            format!("node {node} slots={slots} instance={instance} name=n{name};\
                     confirm {node} instance={instance}")
        }),
        2 => (node.clone(), 1..3_u8, 1..20_u8, 1..40_u8).prop_map(|(node, instance, task, fence)| {
            format!("confirm {node} instance={instance} lost={task}@{fence}")
        }),
        2 => (proptest::sample::select(verbs.to_vec()), node.clone())
            .prop_map(|(verb, node)| format!("{verb} {node}")),
        1 => (node.clone(), 1..3_u8)
            .prop_map(|(node, instance)| format!("left {node} instance={instance}")),
        1 => (4..6_u8, node, 0..3_u8)
            .prop_map(|(agent, node, slots)| format!("agent {agent} on={node} slots={slots}")),
        1 => (1..6_u8, 0..3_u8).prop_map(|(agent, slots)| format!("update-agent {agent} slots={slots}")),
        1 => (1..6_u8).prop_map(|agent| format!("remove-agent {agent}")),
        1 => (1..4_u8, 1..4_u8).prop_map(|(token, hash)| format!("token {token} hash={hash}")),
        1 => (1..4_u8).prop_map(|token| format!("revoke {token}")),
    ]
}

fn about_memory() -> impl Strategy<Value = String> {
    let put = prop_oneof![
        3 => Just(String::new()),
        1 => Just("ttl=2000 tag=x".to_owned()),
        1 => Just("if=absent".to_owned()),
        1 => (1..9_u8).prop_map(|version| format!("if={version}")),
        1 => (1..9_u8).prop_map(|version| format!("settle={version}")),
        3 => (0..90_u64, 7..10_u8, 1..4_u8, 0..9_u8).prop_map(|(at, who, count, seen)| {
            format!("stamp={}:{who} saw={who}:{count} saw=0:{seen}", at * 1_000)
        }),
    ];
    let verbs = proptest::sample::select(vec!["put", "put", "put", "del", "touch"]);
    let write = (verbs, 1..5_u8, put).prop_map(|(verb, key, how)| format!("{verb} k{key} {how}"));
    let rules = vec!["last", "vector", "merge", "manual"];
    let all = proptest::sample::select(vec!["all", ""]);
    prop_oneof![
        8 => write.clone(),
        2 => (proptest::collection::vec(write, 1..4), all, 1..3_u8).prop_map(|(writes, all, key)| {
            let also = writes.iter().map(|write| format!("also {write};"));
            also.collect::<String>() + &format!("write {all} idem=m{key}")
        }),
        1 => (proptest::sample::select(rules), 1..4_u8)
            .prop_map(|(rule, count)| format!("space swarm entries={count} rule=k:{rule}")),
        1 => Just("space swarm".to_owned()),
    ]
}

fn statement() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => submission(),
        6 => about_tasks(),
        3 => about_the_swarm(),
        3 => about_memory(),
        1 => (0..100_u64).prop_map(|seconds| format!("at {};fire", seconds * 1_000)),
        1 => Just("at 90000000;fire".to_owned()),
    ]
}

/// Most of what can happen needs a node that takes work and tasks to give it.
fn script() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec(statement(), 1..40).prop_map(|statements| {
        let start = "node 1;confirm 1;node 2;confirm 2;task 1;task 2 needs=1;run 1";
        let all = std::iter::once(start.to_owned()).chain(statements);
        let text = all.collect::<Vec<_>>().join(";");
        text.split(';').map(str::to_owned).collect()
    })
}

/// What one who only sees the events believes.
#[derive(Debug, Default, PartialEq, Eq)]
struct Belief {
    tasks: BTreeMap<TaskId, TaskState>,
    runs: BTreeMap<RunId, RunState>,
    nodes: BTreeMap<NodeId, NodeState>,
}

impl Belief {
    fn from_events(events: &[Event]) -> Self {
        let mut belief = Self::default();
        for event in events {
            belief.hear(event);
        }
        belief
    }

    fn hear(&mut self, event: &Event) {
        match event {
            Event::TaskSubmitted { task, state, .. } => {
                assert_eq!(
                    self.tasks.insert(*task, *state),
                    None,
                    "{task} entered twice"
                );
            }
            Event::TaskFinished { task, .. } => {
                assert!(self.tasks.remove(task).is_some(), "{task} finished twice");
            }
            Event::RunSubmitted { run, .. } => {
                assert_eq!(self.runs.insert(*run, RunState::Running), None);
            }
            Event::RunChanged { run, state, .. } if state.is_final() => {
                assert!(self.runs.remove(run).is_some(), "{run} finished twice");
            }
            Event::RunChanged { run, state, .. } => {
                assert_ne!(self.runs.insert(*run, *state), Some(*state));
            }
            Event::NodeRegistered { node, .. } => {
                self.nodes.insert(*node, NodeState::Joining);
            }
            Event::NodeChanged { node, state } => {
                assert_ne!(self.nodes.insert(*node, *state), Some(*state));
            }
            Event::NodeRemoved { node } => {
                self.nodes.remove(node);
            }
            _ => self.hear_of_attempts(event),
        }
    }

    fn hear_of_attempts(&mut self, event: &Event) {
        let (task, state) = match event {
            Event::TaskChanged { task, state, .. } => (task, *state),
            Event::TaskLeased { task, .. } => (task, TaskState::Leased),
            Event::TaskProgressed { task, phase, .. } => match phase {
                Phase::Running => (task, TaskState::Running),
                Phase::Verifying => (task, TaskState::Verifying),
            },
            Event::AttemptEnded { task, retry_at, .. } => match retry_at {
                Some(_) => (task, TaskState::Pending),
                None => (task, TaskState::Ready),
            },
            _ => return,
        };
        assert_ne!(
            self.tasks.insert(*task, state),
            Some(state),
            "{task} did not change"
        );
    }

    fn of_state(state: &State) -> Self {
        Self {
            tasks: state.tasks().map(|task| (task.id, task.state)).collect(),
            runs: state.runs().map(|run| (run.id, run.state)).collect(),
            nodes: state.nodes().map(|node| (node.id, node.state)).collect(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(192)
    })]

    // The world checks all invariants and that the rows restore the state after every statement.
    #[test]
    fn events_tell_the_whole_story(script in script()) {
        let mut world = World::default();
        for statement in &script {
            world.perform(statement);
        }
        let belief = Belief::from_events(&world.events);
        prop_assert_eq!(belief, Belief::of_state(&world.state));
    }

    #[test]
    fn a_restored_state_goes_on_as_the_original(script in script(), cut in 0..40_usize) {
        let (mut kept, mut restarted) = (World::default(), World::default());
        for (position, statement) in script.iter().enumerate() {
            if position == cut {
                restarted.restart();
            }
            prop_assert_eq!(kept.perform(statement), restarted.perform(statement));
        }
        prop_assert_eq!(portrait(&kept.state), portrait(&restarted.state));
    }
}

fn apply(state: &mut State, index: u64, command: Command) -> Vec<Event> {
    let entry = LogEntry {
        at: UnixMillis(0),
        seed: index,
        actor: Actor::Coordinator,
        command,
    };
    state.apply(LogIndex(index), &entry).events
}

fn noop(id: u128, needs: Vec<TaskId>) -> NewTask {
    NewTask {
        id: TaskId::from_u128(id),
        spec: Arc::new(TaskSpec::noop("t")),
        needs,
    }
}

#[test]
fn a_chain_of_ten_thousand_falls_without_recursion() {
    let chain = (0..10_000).map(|id: u128| {
        let needs = id.checked_sub(1).map(TaskId::from_u128);
        noop(id, needs.into_iter().collect())
    });
    let mut state = State::new();
    let submit = Command::SubmitTasks {
        run: None,
        tasks: chain.collect(),
        idempotency: None,
    };
    assert_eq!(apply(&mut state, 1, submit).len(), 10_000);
    state.check().unwrap();
    let events = apply(&mut state, 2, Command::CancelTask(TaskId::from_u128(0)));
    assert_eq!((events.len(), state.task_count()), (10_000, 0));
    state.check().unwrap();
}

#[test]
fn a_task_that_came_and_went_leaves_no_row() {
    let mut state = State::new();
    let submit = |id| Command::SubmitTasks {
        run: None,
        tasks: vec![noop(id, Vec::new())],
        idempotency: None,
    };
    apply(&mut state, 1, submit(1));
    apply(&mut state, 2, Command::CancelTask(TaskId::from_u128(1)));
    assert_eq!(state.take_changes(), []);
    apply(&mut state, 3, submit(2));
    assert_eq!(state.take_changes().len(), 1);
    apply(&mut state, 4, Command::CancelTask(TaskId::from_u128(2)));
    apply(&mut state, 5, submit(2));
    apply(&mut state, 6, Command::CancelTask(TaskId::from_u128(2)));
    let key = skep_model::row::RowKey::Task(TaskId::from_u128(2));
    assert_eq!(
        state.take_changes(),
        [skep_model::row::RowChange::Delete(key)]
    );
}
