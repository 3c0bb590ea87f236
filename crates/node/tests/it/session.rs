//! Joining, results without a process, broken connections, restarts, refused tokens.

use crate::coordinator::{Coordinator, RunningNode, offer};
use skep_model::attempt::{AttemptReport, Outcome};
use skep_model::task::TaskSpec;
use skep_node::{Access, Node, NodeError, NodeExit};
use skep_wire::ExitCode;

fn numbers(reports: &[AttemptReport]) -> Vec<u64> {
    let mut numbers: Vec<u64> = reports.iter().map(|report| report.fence.index.0).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

#[tokio::test]
async fn a_node_joins_runs_noops_and_says_goodbye() {
    let coordinator = Coordinator::start().await;
    let directory = tempfile::tempdir().unwrap();
    let mut options = coordinator.options(directory.path());
    options.slots = 500;
    let node = RunningNode::start(options).await;
    let expected: Vec<u64> = (1..=500).collect();
    coordinator.offer(
        expected
            .iter()
            .map(|number| offer(*number, TaskSpec::noop("n"))),
    );
    coordinator
        .wait("all results", |state| {
            (numbers(&state.reports) == expected).then_some(())
        })
        .await;
    {
        let state = coordinator.state.lock();
        assert!(
            state
                .reports
                .iter()
                .all(|report| report.outcome == Outcome::Completed)
        );
        let facts = &state.hellos[0].facts;
        assert!(
            facts.slots == 500 && facts.resources.cpu_millis >= 1_000,
            "{facts:?}"
        );
        assert!(!facts.probes.is_empty());
    }
    let exit = node.stop().await;
    assert!(exit.is_orderly(), "{exit}");
    coordinator
        .wait("a goodbye", |state| (state.goodbyes == 1).then_some(()))
        .await;
}

#[tokio::test]
async fn results_that_were_not_answered_are_sent_again_after_a_broken_connection() {
    let coordinator = Coordinator::start().await;
    let directory = tempfile::tempdir().unwrap();
    coordinator.change(|state| state.keeps_silent = true);
    let node = RunningNode::start(coordinator.options(directory.path())).await;
    coordinator.offer((1..=3).map(|number| offer(number, TaskSpec::noop("n"))));
    coordinator
        .wait("results", |state| {
            (numbers(&state.reports).len() == 3).then_some(())
        })
        .await;
    coordinator.change(|state| {
        state.keeps_silent = false;
        state.reports.clear();
    });
    coordinator.drop_connections();
    coordinator
        .wait("results again", |state| {
            (numbers(&state.reports) == [1, 2, 3]).then_some(())
        })
        .await;
    let state = coordinator.state.lock();
    assert_eq!(state.syncs[1].spooled.len(), 3, "{:?}", state.syncs);
    drop(state);
    drop(node);
}

#[tokio::test]
async fn results_that_were_not_answered_survive_a_restart_and_answered_ones_are_gone() {
    let coordinator = Coordinator::start().await;
    let directory = tempfile::tempdir().unwrap();
    coordinator.change(|state| state.keeps_silent = true);
    let first = RunningNode::start(coordinator.options(directory.path())).await;
    coordinator.offer((1..=3).map(|number| offer(number, TaskSpec::noop("n"))));
    coordinator
        .wait("results", |state| {
            (numbers(&state.reports).len() == 3).then_some(())
        })
        .await;
    first.shutdown.stop_at_once();
    assert_eq!(first.ended().await, NodeExit::StoppedAtOnce);
    coordinator.change(|state| {
        state.keeps_silent = false;
        state.reports.clear();
    });
    let second = RunningNode::start(coordinator.options(directory.path())).await;
    coordinator
        .wait("results again", |state| {
            (numbers(&state.reports) == [1, 2, 3]).then_some(())
        })
        .await;
    assert!(second.stop().await.is_orderly());
    let third = RunningNode::start(coordinator.options(directory.path())).await;
    coordinator
        .wait("a third session", |state| {
            (state.syncs.len() == 3).then_some(())
        })
        .await;
    {
        let state = coordinator.state.lock();
        assert_eq!(state.syncs[1].spooled.len(), 3);
        assert_eq!(state.syncs[2].spooled.len(), 0);
        let [first, second, third] = &*state.hellos else {
            panic!("{:?}", state.hellos)
        };
        assert!(first.node == second.node && second.node == third.node);
        assert!(first.instance < second.instance && second.instance < third.instance);
    }
    assert!(third.stop().await.is_orderly());
}

#[tokio::test]
async fn a_refused_token_ends_the_node_with_a_sentence() {
    let coordinator = Coordinator::start().await;
    let directory = tempfile::tempdir().unwrap();
    let mut options = coordinator.options(directory.path());
    let Access::Token { token, .. } = &mut options.access else {
        panic!("the options of a local node");
    };
    "wrong".clone_into(token);
    let exit = RunningNode::start(options).await.ended().await;
    assert!(
        matches!(
            exit,
            NodeExit::Session {
                code: ExitCode::AuthRefused,
                ..
            }
        ),
        "{exit:?}"
    );
    assert!(exit.to_string().contains("the token was refused"), "{exit}");
}

#[tokio::test]
async fn a_node_waits_for_a_coordinator_that_is_not_there_yet() {
    let coordinator = Coordinator::start().await;
    let directory = tempfile::tempdir().unwrap();
    let options = coordinator.options(directory.path());
    drop(coordinator);
    let node = RunningNode::start(options).await;
    let exit = node.stop().await;
    assert!(exit.is_orderly(), "{exit}");
}

#[test]
fn options_that_cannot_work_are_refused_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let address = "http://127.0.0.1:1".parse().unwrap();
    let program = env!("CARGO_BIN_EXE_skep-node-stages");
    let good = skep_node::NodeOptions::new(address, "t", directory.path(), program);
    for (option, change) in [
        (
            "slots",
            (|options| options.slots = 0) as fn(&mut skep_node::NodeOptions),
        ),
        ("slots", |options| options.slots = 100_000),
        ("name", |options| options.name.clear()),
        ("supervisor program", |options| {
            options.supervisor_exe = "/nowhere".into();
        }),
    ] {
        let mut options = good.clone();
        change(&mut options);
        let error = Node::start(options).unwrap_err();
        assert!(
            matches!(error, NodeError::Option { option: named, .. } if named == option),
            "{error}"
        );
    }
}
