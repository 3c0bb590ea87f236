//! Work that a node has and did not start: it goes back and has lost nothing.

use super::nodes::Swarm;
use super::*;
use skep_model::attempt::Fence;
use skep_model::task::{AttemptEnd, Delivery, HandBack, TaskState};
use skep_wire::NodeInput;

/// The fence of the present grant of a task.
fn fence_of(swarm: &Swarm, task: TaskId) -> Option<Fence> {
    let view = swarm.engine.view();
    let lease = view
        .read()
        .state
        .task(task)
        .and_then(|record| record.lease.clone());
    lease.map(|lease| lease.fence)
}

#[test]
fn what_a_node_gives_back_is_granted_anew_unless_it_has_started() {
    let mut swarm = Swarm::at_work();
    let first = swarm.started[0];
    let give_back = |swarm: &mut Swarm, attempt| {
        let connection = ConnectionId(swarm.connection);
        let given_back = vec![attempt];
        swarm.engine(Input::Link(connection, FromNode::GaveBack { given_back }));
    };
    give_back(&mut swarm, first);
    assert_eq!(fence_of(&swarm, first.task), Some(first.fence), "it runs");
    swarm.finish_work();
    swarm.pass(1_000);
    swarm.engine(propose(2));
    let second = swarm.started[1];
    give_back(&mut swarm, second);
    assert_ne!(
        fence_of(&swarm, second.task),
        Some(second.fence),
        "it had not started"
    );
}

/// Proposes a task that may be tried once only.
fn propose_once(number: u128) -> Input {
    let Command::SubmitRun {
        run,
        spec,
        mut tasks,
        idempotency,
    } = submit(number)
    else {
        panic!("a run is submitted")
    };
    Arc::make_mut(&mut tasks[0].spec).delivery = Delivery::AtMostOnce;
    Input::Propose {
        ticket: Ticket(number as u64),
        actor: Actor::Coordinator,
        command: Command::SubmitRun {
            run,
            spec,
            tasks,
            idempotency,
        },
    }
}

/// A swarm whose node has accepted an at-most-once task, and cannot start it while the process of
/// a cancelled attempt is not gone.
fn with_a_task_that_waits() -> (Swarm, TaskId) {
    let mut swarm = Swarm::at_work();
    let first = swarm.started[0].task;
    swarm.engine(Input::Propose {
        ticket: Ticket(7),
        actor: Actor::Coordinator,
        command: Command::CancelTask(first),
    });
    let second = TaskId::from_u128(2);
    swarm.engine(propose_once(2));
    swarm.pass(1_000);
    assert!(fence_of(&swarm, second).is_some(), "the node has it");
    assert_eq!(swarm.started.len(), 1, "and did not start it");
    swarm.ended = None;
    (swarm, second)
}

/// How the task stands, and what became of its attempts.
fn standing_of(swarm: &Swarm, task: TaskId) -> Option<(TaskState, Vec<AttemptEnd>)> {
    let view = swarm.engine.view();
    let view = view.read();
    let record = view.state.task(task)?;
    let ends = record.ended_attempts.iter().map(|end| end.ended.clone());
    Some((record.state, ends.collect()))
}

#[test]
fn what_a_stopping_node_has_not_started_is_ready_at_once_and_has_lost_nothing() {
    let (mut swarm, waiting) = with_a_task_that_waits();
    swarm.node(NodeInput::Shutdown);
    let given_back = vec![AttemptEnd::NeverStarted(HandBack::Stopping)];
    assert_eq!(
        standing_of(&swarm, waiting),
        Some((TaskState::Ready, given_back.clone())),
        "before the node has left"
    );
    swarm.finish_work();
    swarm.pass(1_000);
    assert!(swarm.is_over);
    assert_eq!(
        standing_of(&swarm, waiting),
        Some((TaskState::Ready, given_back))
    );
}

#[test]
fn what_a_node_without_a_connection_did_not_start_is_given_back_by_its_next_process() {
    let (mut swarm, waiting) = with_a_task_that_waits();
    swarm.reachable = false;
    let lost = swarm.lose_connection();
    swarm.link_closed(lost);
    swarm.node(NodeInput::Shutdown);
    swarm.finish_work();
    assert!(swarm.is_over);
    swarm.reachable = true;
    swarm.restart();
    swarm.pass(2_000);
    let (state, ends) = standing_of(&swarm, waiting).expect("it is not final");
    assert_eq!(ends, [AttemptEnd::NeverStarted(HandBack::Stopping)]);
    assert_eq!(state, TaskState::Running, "on the new process");
    assert_eq!(swarm.started.len(), 2);
}
