//! Results: to disk, over the wire, and off the disk.

use super::*;
use skep_model::attempt::{GateReport, Outcome};
use skep_model::limits::FRAME_BYTES_MAX;

const COMPLETE: &str = "mcpx.orchestrate.task.complete";

#[test]
fn a_result_is_sent_only_after_it_is_on_disk_and_deleted_only_after_the_answer() {
    for answer in [ResultVerdict::Committed, ResultVerdict::Stale] {
        let mut rig = Rig::live(1);
        rig.assign(&[key(1, 1)]);
        assert_eq!(rig.finish(key(1, 1)), ["spool 1"]);
        assert_eq!(rig.input(NodeInput::Tick), Vec::<String>::new());
        let sent = rig.input(NodeInput::Spooled { batch: 1 });
        assert_eq!(sent, [format!("send {COMPLETE}")]);
        assert_eq!(
            rig.answer(COMPLETE, &answers(&[(key(1, 1), answer)])),
            ["unspool 1@1"]
        );
    }
}

#[test]
fn results_that_end_during_a_write_share_the_next_one() {
    let mut rig = Rig::live(4);
    rig.assign(&[key(1, 1), key(2, 1), key(3, 1)]);
    assert_eq!(rig.finish(key(1, 1)), ["spool 1"]);
    assert_eq!(rig.finish(key(2, 1)), Vec::<String>::new());
    assert_eq!(rig.finish(key(3, 1)), Vec::<String>::new());
    let outputs = rig.input(NodeInput::Spooled { batch: 1 });
    assert_eq!(outputs, ["spool 2".to_owned(), format!("send {COMPLETE}")]);
}

#[test]
fn a_refused_or_unanswered_result_is_kept_and_sent_again_later() {
    let refused = ResultVerdict::Refused {
        reason: "busy".to_owned(),
    };
    for reply in [answers(&[(key(1, 1), refused)]), answers(&[])] {
        let mut rig = Rig::live(1);
        rig.run(key(1, 1));
        assert_eq!(rig.answer(COMPLETE, &reply), Vec::<String>::new());
        let seen = rig.pass_until(RESULT_RETRY_MS - 1, true);
        assert!(!seen.contains(&format!("send {COMPLETE}")));
        let seen = rig.pass_until(RESULT_RETRY_MS, true);
        assert!(seen.contains(&format!("send {COMPLETE}")), "{seen:?}");
    }
}

#[test]
fn an_error_for_a_result_request_deletes_nothing() {
    let mut rig = Rig::live(1);
    rig.run(key(1, 1));
    let id = RequestId::Number(rig.sent(COMPLETE)["id"].as_u64().unwrap());
    let text = encode_fault(Some(&id), &Fault::new(FaultCode::Busy, "wait"));
    assert_eq!(rig.input(NodeInput::Text(text)), Vec::<String>::new());
    assert!(
        rig.pass_until(RESULT_RETRY_MS, true)
            .contains(&format!("send {COMPLETE}"))
    );
}

#[test]
fn an_answer_for_a_result_that_was_not_asked_about_deletes_nothing() {
    let mut rig = Rig::live(2);
    rig.assign(&[key(2, 1)]);
    rig.run(key(1, 1));
    let stray = answers(&[
        (key(1, 1), ResultVerdict::Committed),
        (key(2, 1), ResultVerdict::Committed),
        (key(9, 9), ResultVerdict::Committed),
    ]);
    assert_eq!(rig.answer(COMPLETE, &stray), ["unspool 1@1"]);
}

#[test]
fn after_a_break_results_are_resent_or_discarded_as_the_coordinator_says() {
    let mut rig = Rig::live(3);
    for task in [1, 2, 3] {
        rig.run(key(task, 1));
    }
    rig.input(NodeInput::Disconnected);
    let decided = verdicts(&[(key(1, 1), Verdict::Resend), (key(2, 1), Verdict::Discard)]);
    let sync = rig.go_live(&decided);
    assert_eq!(sync["spooled"].as_array().unwrap().len(), 3);
    assert_eq!(
        words(&rig.last),
        ["unspool 2@1".to_owned(), format!("send {COMPLETE}")]
    );
    let sent = rig.sent(COMPLETE)["params"]["reports"].clone();
    let tasks: Vec<Value> = sent
        .as_array()
        .unwrap()
        .iter()
        .map(|report| report["task"].clone())
        .collect();
    assert_eq!(
        tasks,
        [key(1, 1).task.to_string(), key(3, 1).task.to_string()]
    );
}

#[test]
fn results_of_an_earlier_process_are_listed_and_sent() {
    let mut rig = Rig::new(1, vec![report(key(1, 1))]);
    let sync = rig.go_live(&SyncVerdicts::default());
    assert_eq!(sync["spooled"].as_array().unwrap().len(), 1);
    assert_eq!(words(&rig.last), [format!("send {COMPLETE}")]);
    assert_eq!(rig.assign(&[key(1, 1)]), ["duplicate"]);
}

#[test]
fn requests_in_flight_are_bounded() {
    let mut rig = Rig::live(1);
    for task in 0..RESULT_REQUESTS_IN_FLIGHT_MAX as u128 {
        assert_eq!(rig.run(key(task, 1)), [format!("send {COMPLETE}")]);
    }
    let last = rig.last.clone();
    assert_eq!(rig.run(key(100, 1)), Vec::<String>::new());
    rig.last = last;
    let task = RESULT_REQUESTS_IN_FLIGHT_MAX as u128 - 1;
    let outputs = rig.answer(
        COMPLETE,
        &answers(&[(key(task, 1), ResultVerdict::Committed)]),
    );
    assert_eq!(
        outputs,
        [format!("unspool {task}@1"), format!("send {COMPLETE}")]
    );
}

#[test]
fn a_coordinator_that_answers_heartbeats_but_no_results_is_left() {
    let mut rig = Rig::live(1);
    rig.run(key(1, 1));
    let seen = rig.pass_until(RESULT_ANSWER_TIMEOUT_MS, true);
    let close = seen.iter().position(|word| word == "close");
    assert!(close.is_some(), "{seen:?}");
}

#[test]
fn a_report_that_fits_into_no_frame_is_sent_as_an_error_that_says_so() {
    let mut rig = Rig::live(1);
    rig.assign(&[key(1, 1)]);
    let mut large = report(key(1, 1));
    large.gates.push(GateReport {
        name: "lint".to_owned(),
        passed: true,
        exit_code: Some(0),
        duration_ms: 1,
        output: "x".repeat(FRAME_BYTES_MAX),
    });
    rig.input(NodeInput::Finished(Box::new(large)));
    rig.input(NodeInput::Spooled { batch: 1 });
    let sent = rig.sent(COMPLETE)["params"]["reports"][0].clone();
    let outcome: Outcome = serde_json::from_value(sent["outcome"].clone()).unwrap();
    let Outcome::Error { code, .. } = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(code, "report_too_large");
}

#[test]
fn results_are_handed_in_from_memory_while_the_nodes_disk_is_full() {
    let send = format!("send {COMPLETE}");
    let mut rig = Rig::live(2);
    rig.assign(&[key(1, 1), key(2, 1), key(3, 1)]);
    assert_eq!(rig.finish(key(1, 1)), ["spool 1"]);
    assert_eq!(rig.input(NodeInput::SpoolStalled { batch: 1 }), [&*send]);
    let committed = answers(&[(key(1, 1), ResultVerdict::Committed)]);
    assert_eq!(rig.answer(COMPLETE, &committed), ["unspool 1@1"]);
    // The batch is still being written, so the next result is sent and written later.
    assert_eq!(rig.finish(key(2, 1)), [&*send]);
    let outputs = rig.input(NodeInput::Spooled { batch: 1 });
    assert_eq!(outputs, ["spool 1"], "it is not on disk, and on its way");
    let outputs = rig.input(NodeInput::Spooled { batch: 2 });
    assert_eq!(outputs, Vec::<String>::new(), "it was sent already");
}

#[test]
fn a_node_that_stops_with_a_full_disk_leaves_when_all_is_answered() {
    let mut rig = Rig::live(1);
    rig.assign(&[key(1, 1)]);
    rig.finish(key(1, 1));
    rig.input(NodeInput::SpoolStalled { batch: 1 });
    let sent = rig.last.clone();
    assert_eq!(rig.input(NodeInput::Shutdown), [SEND_STATUS]);
    rig.last = sent;
    let committed = answers(&[(key(1, 1), ResultVerdict::Committed)]);
    assert_eq!(rig.answer(COMPLETE, &committed), ["unspool 1@1"]);
    let outputs = rig.hear(&draining());
    assert!(outputs.contains(&"exit Shutdown".to_owned()), "{outputs:?}");
}
