//! Assignments: split, answered, or refused.

use super::*;

#[test]
fn assignments_are_split_at_the_bound_of_items() {
    let mut end = live();
    let offers: Vec<Offer> = (0..=ITEMS_PER_FRAME_MAX as u128)
        .map(|task| offer(key(task, 1)))
        .collect();
    let method = "send mcpx.orchestrate.task.assign";
    assert_eq!(words(&end.assign(&offers)), [method, method]);
}

#[test]
fn assignments_are_split_at_the_bound_of_bytes_and_a_hopeless_one_is_refused() {
    let large = |task: u128, bytes: usize| {
        let mut large = offer(key(task, 1));
        Arc::make_mut(&mut large.spec).name = "x".repeat(bytes);
        large
    };
    let frame = skep_model::limits::FRAME_BYTES_MAX;
    let offers = [
        large(1, frame * 2 / 3),
        large(2, frame),
        large(3, frame * 2 / 3),
    ];
    let mut end = live();
    let outputs = end.assign(&offers);
    let method = "send mcpx.orchestrate.task.assign";
    assert_eq!(words(&outputs), [method, method, "event Assigned"]);
    let Some(CoordinatorOutput::Event(FromNode::Assigned(items))) = outputs.last() else {
        panic!("no answer");
    };
    assert_eq!(items.len(), 1);
    assert_eq!(items[0].attempt(), key(2, 1));
    let sizes: Vec<bool> = outputs
        .iter()
        .filter_map(|output| match output {
            CoordinatorOutput::Send(sent) => Some(sent.bytes() <= frame),
            _ => None,
        })
        .collect();
    assert_eq!(sizes, [true, true]);
}

#[test]
fn each_assignment_is_answered_for_exactly_once() {
    let accepted = |attempt| Assigned::new(attempt, AssignAnswer::Accepted);
    let answer = |items| encode_answer(&RequestId::Number(1), &AssignAnswers { items });
    let fault = encode_fault(
        Some(&RequestId::Number(1)),
        &Fault::new(crate::fault::FaultCode::InvalidParams, "no"),
    );
    let (one, two, strange) = (key(1, 1), key(2, 1), key(9, 9));
    let rows = [
        (
            "all",
            answer(vec![accepted(one), accepted(two)]),
            [true, true],
        ),
        (
            "turned round",
            answer(vec![accepted(two), accepted(one)]),
            [true, true],
        ),
        ("one missing", answer(vec![accepted(two)]), [false, true]),
        (
            "stranger",
            answer(vec![accepted(strange), accepted(one)]),
            [true, false],
        ),
        ("error", fault, [false, false]),
        (
            "wrong result",
            encode_answer(&RequestId::Number(1), &7),
            [false, false],
        ),
    ];
    for (name, text, expected) in rows {
        let mut end = live();
        end.assign(&[offer(one), offer(two)]);
        let outputs = end.on_text(2, &text);
        let [CoordinatorOutput::Event(FromNode::Assigned(items))] = &outputs[..] else {
            panic!("{name}: {outputs:?}");
        };
        let read: Vec<(AttemptKey, bool)> = items
            .iter()
            .map(|item| (item.attempt(), item.answer == AssignAnswer::Accepted))
            .collect();
        assert_eq!(read, [(one, expected[0]), (two, expected[1])], "{name}");
        assert!(
            end.on_text(2, &text).is_empty(),
            "{name}: a second answer says nothing"
        );
    }
}

#[test]
fn assignments_without_a_live_session_come_back_refused() {
    let outputs = new_end().assign(&[offer(key(1, 1))]);
    let [CoordinatorOutput::Event(FromNode::Assigned(items))] = &outputs[..] else {
        panic!("{outputs:?}");
    };
    let AssignAnswer::Refused { code, .. } = items[0].answer else {
        panic!("{items:?}");
    };
    assert_eq!(code, AssignRefusal::NotLive);
}

#[test]
fn a_node_that_answers_no_assignment_is_given_up() {
    let mut end = live();
    for task in 0..ASSIGN_REQUESTS_UNANSWERED_MAX as u128 {
        end.assign(&[offer(key(task, 1))]);
    }
    assert!(end.is_live());
    end.assign(&[offer(key(0, 2))]);
    assert!(end.is_closed());
}
