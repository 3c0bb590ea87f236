//! Who is let in as which node: copies, old processes, removed machines.

use super::nodes::{NODE, hello};
use super::*;
use crate::admission::Caller;
use skep_wire::payload::EndCode;

/// What a second process of a node is told when the first is connected as start 5 of it.
fn told_to_second(starts: u64, instance: u64) -> (Option<EndCode>, Vec<Output>) {
    let mut engine = engine(nothing()).unwrap();
    let mut said = |connection, instance: u64, starts| {
        let id = ConnectionId(connection);
        let FromNode::Hello(mut hello) = hello(instance) else {
            unreachable!("it is a hello");
        };
        hello.starts = starts;
        let opened = Input::LinkOpened(id, Caller::Holder);
        engine.feed(at(0), opened, &mut Vec::new());
        let mut outputs = engine.handle(at(0), Input::Link(id, FromNode::Hello(hello)));
        if outputs.iter().any(|out| matches!(out, Output::Commit(_))) {
            let commit = commit_of(outputs);
            outputs = engine.handle(at(0), committed(commit, Ok(())));
        }
        outputs
    };
    said(1, 50, 5);
    let outputs = said(2, instance, starts);
    let ended = outputs.iter().find_map(|output| match output {
        Output::ToNode(ConnectionId(2), ToNode::End { code, .. }) => Some(*code),
        _ => None,
    });
    (ended, outputs)
}

fn ends_the_first(outputs: &[Output]) -> bool {
    let is_end = |out: &Output| matches!(out, Output::ToNode(ConnectionId(1), ToNode::End { .. }));
    outputs.iter().any(is_end)
}

#[test]
fn a_copy_or_an_old_process_is_refused_and_sends_nobody_away() {
    for (starts, instance, expected) in [
        (5, 60, EndCode::Removed),
        (5, 40, EndCode::Removed),
        (4, 60, EndCode::Replaced),
        (0, 40, EndCode::Replaced),
    ] {
        let (ended, outputs) = told_to_second(starts, instance);
        assert_eq!(ended, Some(expected), "start {starts}, process {instance}");
        assert!(!ends_the_first(&outputs), "start {starts}");
    }
}

#[test]
fn a_later_start_comes_in_even_if_the_wall_clock_was_set_back_between_them() {
    let (ended, outputs) = told_to_second(6, 40);
    assert_eq!(ended, None);
    assert!(ends_the_first(&outputs));
}

#[test]
fn a_node_that_is_removed_while_it_registers_is_not_let_in() {
    let token = skep_model::ids::JoinTokenId::from_u128(1);
    let record = skep_model::join::JoinTokenRecord {
        id: token,
        kind: skep_model::join::JoinKind::Node,
        hash: [0; 32],
        created_at: skep_model::time::UnixMillis(0),
        expires_at: skep_model::time::UnixMillis(u64::MAX),
        uses_max: 1,
        uses: 0,
        preset: skep_model::join::NodePreset::default(),
    };
    let joined = Command::EnrolNode {
        node: NODE,
        key: [1; 32],
        token,
        name: "bench".to_owned(),
    };
    let mut engine = engine(nothing()).unwrap();
    for command in [Command::CreateJoinToken(Box::new(record)), joined] {
        let commit = commit_of(engine.handle(at(0), command_from_caller(command)));
        engine.handle(at(0), committed(commit, Ok(())));
    }
    let id = ConnectionId(1);
    let opened = Input::LinkOpened(id, Caller::Joined(NODE));
    engine.feed(at(0), opened, &mut Vec::new());
    let mut outputs = Vec::new();
    engine.feed(
        at(0),
        command_from_caller(Command::RemoveNode(NODE)),
        &mut outputs,
    );
    engine.feed(at(0), Input::Link(id, hello(1)), &mut outputs);
    engine.advance(at(0), &mut outputs);
    let outputs = engine.handle(at(0), committed(commit_of(outputs), Ok(())));
    let is_removed = |out: &Output| matches!(out, Output::ToNode(to, ToNode::End { code: EndCode::Removed, .. }) if *to == id);
    assert!(outputs.iter().any(is_removed));
    engine.handle(at(0), committed(commit_of(outputs), Ok(())));
    assert!(engine.view().read().state.node(NODE).is_none(), "forgotten");
}

fn command_from_caller(command: Command) -> Input {
    Input::Propose {
        ticket: Ticket(1),
        actor: Actor::Coordinator,
        command,
    }
}
