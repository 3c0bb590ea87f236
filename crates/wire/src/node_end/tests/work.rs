//! Assignments, slots, progress, revocation and stopping.

use super::*;
use skep_model::attempt::Outcome;
use skep_model::task::HandBack;

/// Code of a refusal, or the answer itself.
fn code(answer: &Value) -> &str {
    answer
        .as_str()
        .or_else(|| answer["refused"]["code"].as_str())
        .unwrap()
}

#[test]
fn assignments_are_answered_by_what_the_node_knows() {
    let mut rig = Rig::live(2);
    // Attempt 1@5 runs, 2@5 is finished and on disk, 3@5 was answered for.
    rig.run(key(3, 5));
    rig.answer(
        "mcpx.orchestrate.task.complete",
        &answers(&[(key(3, 5), ResultVerdict::Committed)]),
    );
    rig.run(key(2, 5));
    assert_eq!(rig.assign(&[key(1, 5)]), ["accepted"]);
    let rows = [
        (key(1, 5), "duplicate"),
        (key(1, 4), "stale"),
        (key(2, 5), "duplicate"),
        (key(2, 4), "stale"),
        (key(3, 5), "already_ended"),
        (key(3, 4), "stale"),
        (key(4, 1), "accepted"),
        (key(4, 1), "duplicate"),
        (key(5, 1), "no_slot"),
    ];
    for (attempt, expected) in rows {
        let answer = rig.assign(&[attempt]);
        assert_eq!(code(&answer[0]), expected, "{}", short(attempt));
        let starts = words(&rig.last)
            .iter()
            .any(|word| word.starts_with("start"));
        assert_eq!(starts, expected == "accepted", "{}", short(attempt));
    }
}

#[test]
fn a_batch_with_the_same_attempt_twice_starts_it_once() {
    let mut rig = Rig::live(4);
    assert_eq!(
        rig.assign(&[key(1, 1), key(1, 1)]),
        ["accepted", "duplicate"]
    );
    assert_eq!(words(&rig.last), ["answer 77", "start 1@1"]);
}

#[test]
fn a_higher_fence_stops_the_older_attempt_and_waits_for_its_slot() {
    let mut rig = Rig::live(1);
    rig.assign(&[key(1, 1)]);
    assert_eq!(rig.assign(&[key(1, 2)]), ["accepted"]);
    assert_eq!(words(&rig.last), ["kill 1@1 Revoked", "answer 77"]);
    assert_eq!(rig.finish(key(1, 1)), ["start 1@2"]);
}

#[test]
fn a_revoked_attempt_is_stopped_unreported_and_its_slot_given_on_when_it_has_left() {
    let mut rig = Rig::live(1);
    rig.assign(&[key(1, 1)]);
    let kill = CoordinatorCall::Verdicts(verdicts(&[(key(1, 1), Verdict::Kill)]));
    assert_eq!(rig.hear(&kill), ["kill 1@1 Revoked"]);
    assert_eq!(rig.hear(&kill), Vec::<String>::new());
    assert_eq!(rig.assign(&[key(2, 1)]), ["accepted"]);
    assert_eq!(words(&rig.last), ["answer 77"]);
    assert_eq!(rig.finish(key(1, 1)), ["start 2@1"]);
}

#[test]
fn an_attempt_revoked_while_it_waits_for_a_slot_is_never_started() {
    let mut rig = Rig::live(1);
    rig.assign(&[key(1, 1)]);
    rig.hear(&CoordinatorCall::Verdicts(verdicts(&[(
        key(1, 1),
        Verdict::Kill,
    )])));
    rig.assign(&[key(2, 1)]);
    rig.hear(&CoordinatorCall::Verdicts(verdicts(&[(
        key(2, 1),
        Verdict::Kill,
    )])));
    assert_eq!(rig.finish(key(1, 1)), Vec::<String>::new());
    assert_eq!(rig.assign(&[key(3, 1)]), ["accepted"]);
}

#[test]
fn a_short_attempt_costs_no_progress_message_and_a_long_one_one_for_each_step() {
    let mut rig = Rig::live(2);
    rig.assign(&[key(1, 1), key(2, 1)]);
    rig.input(NodeInput::Started(key(1, 1)));
    rig.input(NodeInput::Started(key(2, 1)));
    rig.finish(key(1, 1));
    assert_eq!(rig.node.next_timer(), Some(PROGRESS_DELAY_MS));
    assert_eq!(rig.tick_at(PROGRESS_DELAY_MS), ["send mcpx.status.update"]);
    let items = rig.sent("mcpx.status.update")["params"]["items"].clone();
    assert_eq!(items.as_array().unwrap().len(), 1);
    assert_eq!(items[0]["phase"], "running");
    assert_eq!(
        rig.input(NodeInput::Verifying(key(2, 1))),
        ["send mcpx.status.update"]
    );
    let items = rig.sent("mcpx.status.update")["params"]["items"].clone();
    assert_eq!(items[0]["phase"], "verifying");
    assert_eq!(
        rig.input(NodeInput::Verifying(key(2, 1))),
        Vec::<String>::new()
    );
}

#[test]
fn gates_that_begin_early_are_reported_with_the_start_once_the_attempt_lasts() {
    let mut rig = Rig::live(1);
    rig.assign(&[key(1, 1)]);
    rig.input(NodeInput::Started(key(1, 1)));
    assert_eq!(
        rig.input(NodeInput::Verifying(key(1, 1))),
        Vec::<String>::new()
    );
    rig.tick_at(PROGRESS_DELAY_MS);
    let items = rig.sent("mcpx.status.update")["params"]["items"].clone();
    let phases: Vec<&Value> = items
        .as_array()
        .unwrap()
        .iter()
        .map(|item| &item["phase"])
        .collect();
    assert_eq!(phases, ["running", "verifying"]);
}

#[test]
fn steps_taken_without_a_session_are_told_by_the_next_synchronisation() {
    let mut rig = Rig::live(2);
    rig.assign(&[key(1, 1), key(2, 1)]);
    rig.input(NodeInput::Disconnected);
    rig.input(NodeInput::Started(key(1, 1)));
    rig.now = PROGRESS_DELAY_MS;
    let sync = rig.go_live(&SyncVerdicts::default());
    let phases: Vec<&Value> = sync["held"]
        .as_array()
        .unwrap()
        .iter()
        .map(|held| &held["phase"])
        .collect();
    assert_eq!(phases, ["running", "accepted"]);
    assert!(!words(&rig.last).contains(&"send mcpx.status.update".to_owned()));
}

#[test]
fn a_verdict_of_the_synchronisation_stops_an_attempt_and_keeps_another() {
    let mut rig = Rig::live(2);
    rig.assign(&[key(1, 1), key(2, 1)]);
    rig.input(NodeInput::Disconnected);
    rig.go_live(&verdicts(&[
        (key(1, 1), Verdict::Kill),
        (key(2, 1), Verdict::Keep),
    ]));
    assert_eq!(words(&rig.last), ["kill 1@1 Revoked"]);
    assert_eq!(rig.finish(key(2, 1)), ["spool 1"]);
}

#[test]
fn a_node_without_a_lease_starts_nothing() {
    let mut rig = Rig::live(1);
    rig.now = 6_999;
    assert_eq!(code(&rig.assign(&[key(1, 1)])[0]), "accepted");
    let mut rig = Rig::live(1);
    rig.now = 7_000;
    assert_eq!(code(&rig.assign(&[key(1, 1)])[0]), "lease_expired");
}

#[test]
fn a_node_with_too_many_unanswered_results_takes_no_work() {
    let spool = (0..SPOOLED_REPORTS_MAX as u128)
        .map(|task| report(key(task, 1)))
        .collect();
    let mut rig = Rig::new(1, spool);
    let sync = rig.go_live(&SyncVerdicts::default());
    assert_eq!(
        sync["spooled"].as_array().unwrap().len(),
        SPOOLED_REPORTS_MAX
    );
    assert_eq!(code(&rig.assign(&[key(1 << 64, 1)])[0]), "spool_full");
}

#[test]
fn an_assignment_before_the_session_is_live_is_refused_as_out_of_order() {
    let mut rig = Rig::new(1, Vec::new());
    rig.greet();
    let call = CoordinatorCall::Assign(AssignBatch::default());
    let text = call.encode(Some(&RequestId::Number(1)));
    assert_eq!(rig.input(NodeInput::Text(text)), ["error out_of_order"]);
}

#[test]
fn a_node_that_stops_kills_reports_says_goodbye_and_leaves() {
    let mut rig = Rig::live(2);
    rig.assign(&[key(1, 1)]);
    assert_eq!(
        rig.input(NodeInput::Shutdown),
        ["send mcpx.status.update", "kill 1@1 Shutdown"]
    );
    assert_eq!(rig.sent(STATUS)["params"]["away"], "stopping");
    assert_eq!(code(&rig.assign(&[key(2, 1)])[0]), "shutting_down");
    assert_eq!(code(&rig.assign(&[key(1, 1)])[0]), "duplicate");
    assert_eq!(rig.finish(key(1, 1)), ["spool 1"]);
    let batch = rig.spool_batch();
    assert_eq!(
        rig.input(NodeInput::Spooled { batch }),
        ["send mcpx.orchestrate.task.complete"]
    );
    let committed = answers(&[(key(1, 1), ResultVerdict::Committed)]);
    assert_eq!(
        rig.answer("mcpx.orchestrate.task.complete", &committed),
        ["unspool 1@1"],
        "something that was granted may still be on its way"
    );
    let expected = [
        "draining true",
        "send mcpx.orchestrate.session.end",
        "close",
        "exit Shutdown",
    ];
    assert_eq!(rig.hear(&draining()), expected);
    assert_eq!(rig.input(NodeInput::Tick), Vec::<String>::new());
}

#[test]
fn a_node_that_stops_leaves_in_time_and_without_goodbye_when_results_are_unanswered() {
    let mut rig = Rig::live(1);
    rig.run(key(1, 1));
    assert_eq!(rig.input(NodeInput::Shutdown), [SEND_STATUS]);
    let seen = rig.pass_until(SHUTDOWN_TIMEOUT_MS, true);
    assert_eq!(seen[seen.len() - 2..], ["close", "exit Shutdown"]);
    assert!(!seen.iter().any(|word| word.contains("session.end")));
}

#[test]
fn a_node_that_stops_without_a_connection_writes_its_results_and_leaves() {
    let mut rig = Rig::live(1);
    rig.assign(&[key(1, 1)]);
    rig.input(NodeInput::Disconnected);
    rig.input(NodeInput::Shutdown);
    assert_eq!(rig.finish(key(1, 1)), ["spool 1"]);
    let batch = rig.spool_batch();
    assert_eq!(rig.input(NodeInput::Spooled { batch }), ["exit Shutdown"]);
}

#[test]
fn a_node_that_stops_leaves_soon_when_nobody_says_that_nothing_more_comes() {
    let mut rig = Rig::live(1);
    assert_eq!(rig.input(NodeInput::Shutdown), [SEND_STATUS]);
    let seen = rig.pass_until(STOP_NOTICE_TIMEOUT_MS - 1, true);
    assert!(!seen.iter().any(|word| word.contains("exit")), "{seen:?}");
    let seen = rig.pass_until(STOP_NOTICE_TIMEOUT_MS, true);
    let expected = [
        "send mcpx.orchestrate.session.end",
        "close",
        "exit Shutdown",
    ];
    assert_eq!(seen[seen.len() - 3..], expected);
}

#[test]
fn a_drained_node_that_stops_leaves_at_once() {
    let mut rig = Rig::live(1);
    rig.hear(&draining());
    let outputs = rig.input(NodeInput::Shutdown);
    assert_eq!(outputs.last().map(String::as_str), Some("exit Shutdown"));
}

#[test]
fn what_was_here_before_is_never_refused_as_if_it_had_not_started() {
    let mut rig = Rig::live(2);
    rig.run(key(1, 1));
    let committed = answers(&[(key(1, 1), ResultVerdict::Committed)]);
    rig.answer("mcpx.orchestrate.task.complete", &committed);
    rig.assign(&[key(2, 1)]);
    rig.hear(&CoordinatorCall::Verdicts(verdicts(&[(
        key(2, 1),
        Verdict::Kill,
    )])));
    rig.input(NodeInput::Shutdown);
    for known in [key(1, 1), key(2, 1)] {
        assert_eq!(code(&rig.assign(&[known])[0]), "already_ended", "{known}");
    }
    assert_eq!(code(&rig.assign(&[key(3, 1)])[0]), "shutting_down");
}

#[test]
fn a_node_that_is_away_says_so_in_every_session_until_it_is_back() {
    let away = |reason: Option<&str>| NodeInput::Away(reason.map(str::to_owned));
    let mut rig = Rig::live(1);
    assert_eq!(rig.input(away(Some("night"))), [SEND_STATUS]);
    assert_eq!(rig.sent(STATUS)["params"]["away"], "night");
    assert_eq!(rig.input(away(Some("night"))), Vec::<String>::new());
    rig.input(NodeInput::Disconnected);
    assert_eq!(rig.input(away(Some("battery"))), Vec::<String>::new());
    rig.go_live(&SyncVerdicts::default());
    assert_eq!(rig.sent(STATUS)["params"]["away"], "battery");
    assert_eq!(rig.input(away(None)), [SEND_STATUS]);
    let said = rig.sent(STATUS);
    assert!(
        said["params"].get("away").is_some_and(Value::is_null),
        "{said}"
    );
    rig.input(NodeInput::Disconnected);
    rig.go_live(&SyncVerdicts::default());
    assert!(
        !words(&rig.last).contains(&SEND_STATUS.to_owned()),
        "who is not away does not say so"
    );
}

#[test]
fn metrics_carry_the_round_trip_of_heartbeats_once_one_was_answered() {
    let mut rig = Rig::live(1);
    rig.input(NodeInput::Metrics(NodeMetrics::default()));
    let sent = rig.sent("mcpx.metrics.report");
    assert!(sent["params"].get("rtt_ms").is_none(), "{sent}");
    let at = rig.node.next_timer().unwrap();
    rig.tick_at(at);
    rig.now += 7;
    rig.answer(
        "mcpx.health.check",
        &Heartbeat {
            sequence: 1,
            terms: None,
        },
    );
    rig.input(NodeInput::Metrics(NodeMetrics::default()));
    assert_eq!(rig.sent("mcpx.metrics.report")["params"]["rtt_ms"], 7);
}

/// What the results say that the node wrote to its disk last.
fn outcomes_spooled(rig: &Rig) -> Vec<(AttemptKey, Outcome)> {
    let spooled = rig.last.iter().filter_map(|output| match output {
        NodeOutput::Spool { reports, .. } => Some(reports),
        _ => None,
    });
    spooled
        .flatten()
        .map(|report| (AttemptKey::from(&**report), report.outcome.clone()))
        .collect()
}

fn interrupted(attempt: AttemptKey) -> NodeInput {
    let AttemptKey { task, fence } = attempt;
    let report = AttemptReport::without_process(task, fence, Outcome::Interrupted);
    NodeInput::Finished(Box::new(report))
}

#[test]
fn a_node_that_stops_reports_what_it_accepted_and_did_not_start() {
    let reason = HandBack::Stopping;
    let never = |attempt| (attempt, Outcome::NotStarted { reason });
    let mut rig = Rig::live(2);
    rig.assign(&[key(1, 1), key(2, 1)]);
    rig.input(NodeInput::Started(key(2, 1)));
    rig.hear(&CoordinatorCall::Verdicts(verdicts(&[(
        key(1, 1),
        Verdict::Kill,
    )])));
    // The killed one has not left its slot.
    assert_eq!(rig.assign(&[key(3, 1)]), ["accepted"]);
    let said = rig.input(NodeInput::Shutdown);
    assert_eq!(said, [SEND_STATUS, "kill 2@1 Shutdown", "spool 1"]);
    assert_eq!(outcomes_spooled(&rig), [never(key(3, 1))]);
    assert_eq!(code(&rig.assign(&[key(3, 1)])[0]), "duplicate");
    let batch = 1;
    rig.input(NodeInput::Spooled { batch });
    rig.sent("mcpx.orchestrate.task.complete");
    rig.input(interrupted(key(2, 1)));
    let ran = (key(2, 1), Outcome::Interrupted);
    assert_eq!(outcomes_spooled(&rig), [ran], "it had begun");
}

#[test]
fn an_attempt_whose_command_never_began_is_reported_as_not_started() {
    for (stop, reason) in [
        (NodeInput::Shutdown, HandBack::Stopping),
        (NodeInput::Tick, HandBack::LeaseExpired),
    ] {
        for (began, outcome) in [
            (false, Outcome::NotStarted { reason }),
            (true, Outcome::Interrupted),
        ] {
            let mut rig = Rig::live(1);
            rig.assign(&[key(1, 1)]);
            if stop == NodeInput::Tick {
                rig.input(NodeInput::Disconnected);
                rig.now = 7_000;
            }
            rig.input(stop.clone());
            if began {
                // It was on its way to the brain when the stop came.
                rig.input(NodeInput::Started(key(1, 1)));
            }
            rig.input(interrupted(key(1, 1)));
            assert_eq!(outcomes_spooled(&rig), [(key(1, 1), outcome)]);
        }
    }
}
