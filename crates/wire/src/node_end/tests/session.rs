//! Connecting, heartbeats, the lease, and the end.

use super::*;

#[test]
fn a_new_node_connects_greets_synchronises_and_is_live() {
    let mut rig = Rig::new(2, Vec::new());
    rig.greet();
    let hello = rig.sent("mcpx.orchestrate.session.start");
    assert_eq!(hello["params"]["protocol"], "1.0");
    assert_eq!(hello["params"].get("resume"), None);
    let outputs = rig.answer("mcpx.orchestrate.session.start", &welcome());
    assert_eq!(outputs, ["send mcpx.coordinate.state.sync", "welcomed"]);
    let empty = serde_json::json!({"held": [], "spooled": []});
    assert_eq!(rig.sent("mcpx.coordinate.state.sync")["params"], empty);
    assert!(!rig.node.is_live());
    rig.answer("mcpx.coordinate.state.sync", &SyncVerdicts::default());
    assert!(rig.node.is_live());

    rig.input(NodeInput::Disconnected);
    rig.greet();
    assert_eq!(
        rig.sent("mcpx.orchestrate.session.start")["params"]["resume"],
        1
    );
}

#[test]
fn heartbeats_keep_their_interval_within_the_jitter() {
    let mut rig = Rig::live(1);
    let mut beats = Vec::new();
    while beats.len() < 200 {
        let at = rig.node.next_timer().unwrap();
        assert_eq!(rig.tick_at(at), ["send mcpx.health.check"]);
        let sequence = rig.sent("mcpx.health.check")["params"]["sequence"]
            .as_u64()
            .unwrap();
        assert_eq!(sequence, beats.len() as u64 + 1);
        rig.answer(
            "mcpx.health.check",
            &Heartbeat {
                sequence,
                terms: None,
            },
        );
        beats.push(at);
    }
    let gaps: Vec<u64> = beats.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(
        gaps.iter().all(|gap| (800..=1_200).contains(gap)),
        "{gaps:?}"
    );
    assert!(gaps.iter().any(|gap| *gap != gaps[0]), "no jitter");
}

#[test]
fn a_renewal_counts_from_when_the_answered_heartbeat_was_sent() {
    let mut rig = Rig::live(1);
    rig.assign(&[key(1, 1)]);
    let sent_at = rig.node.next_timer().unwrap();
    assert_eq!(rig.tick_at(sent_at), ["send mcpx.health.check"]);
    let sequence = 1;
    let id = rig.sent("mcpx.health.check")["id"].as_u64().unwrap();
    rig.pass_until(3_500, false);
    let answer = encode_answer(
        &RequestId::Number(id),
        &Heartbeat {
            sequence,
            terms: None,
        },
    );
    assert_eq!(rig.input(NodeInput::Text(answer)), Vec::<String>::new());
    // Something is heard, so that silence does not close the connection first.
    for now in [5_000, 7_000] {
        rig.pass_until(now, false);
        rig.hear(&CoordinatorCall::Status(StatusUpdate {
            draining: false,
            hold: None,
        }));
    }
    // The answer came late, so the lease is older than it.
    let before = rig.tick_at(sent_at + 6_999);
    assert!(
        !before.iter().any(|word| word.starts_with("kill")),
        "{before:?}"
    );
    assert_eq!(
        rig.tick_at(sent_at + 7_000),
        ["kill 1@1 SelfFenced", "close"]
    );
}

#[test]
fn a_welcome_renews_the_lease_from_when_the_hello_was_sent() {
    let mut rig = Rig::new(1, Vec::new());
    rig.greet();
    let greeted_at = rig.now;
    rig.now += 3_000;
    rig.answer("mcpx.orchestrate.session.start", &welcome());
    rig.answer("mcpx.coordinate.state.sync", &SyncVerdicts::default());
    rig.assign(&[key(1, 1)]);
    rig.input(NodeInput::Disconnected);
    rig.now = greeted_at + 7_000;
    assert!(
        rig.input(NodeInput::Tick)
            .contains(&"kill 1@1 SelfFenced".to_owned())
    );
}

#[test]
fn a_fenced_node_holds_its_attempts_until_they_are_gone() {
    let mut rig = Rig::live(2);
    rig.assign(&[key(1, 1), key(2, 2)]);
    rig.input(NodeInput::Started(key(1, 1)));
    rig.finish(key(2, 2));
    let batch = rig.spool_batch();
    rig.input(NodeInput::Spooled { batch });
    rig.input(NodeInput::Disconnected);
    let seen = rig.tick_at(7_000);
    assert_eq!(seen, ["kill 1@1 SelfFenced", "connect"]);
    rig.input(NodeInput::Disconnected);
    // The process was told to stop and may still run: nobody else may start it yet.
    let sync = rig.go_live(&SyncVerdicts::default());
    assert_eq!(sync["held"].as_array().unwrap().len(), 1);
    assert_eq!(sync["spooled"].as_array().unwrap().len(), 1);
    assert_eq!(rig.finish(key(1, 1)), ["spool 1"]);
}

#[test]
fn a_machine_that_slept_stops_its_work_when_it_wakes() {
    let mut rig = Rig::live(1);
    rig.assign(&[key(1, 1)]);
    rig.now = 1_000_000;
    let text = CoordinatorCall::Status(StatusUpdate {
        draining: false,
        hold: None,
    })
    .encode(None);
    let seen = rig.input(NodeInput::Text(text));
    assert_eq!(seen, ["draining false", "kill 1@1 SelfFenced", "close"]);
}

#[test]
fn a_silent_connection_is_closed_before_the_lease_ends() {
    let mut rig = Rig::live(1);
    let seen = rig.pass_until(4_000, false);
    assert_eq!(seen.last().unwrap(), "close");
    assert!(!seen.iter().any(|word| word.starts_with("kill")));
}

#[test]
fn connecting_and_the_handshake_are_bounded_in_time() {
    let mut rig = Rig::new(1, Vec::new());
    rig.tick_at(0);
    assert_eq!(rig.tick_at(CONNECT_TIMEOUT_MS - 1), Vec::<String>::new());
    assert_eq!(rig.tick_at(CONNECT_TIMEOUT_MS), ["close"]);
    rig.greet();
    let greeted_at = rig.now;
    assert_eq!(rig.tick_at(greeted_at + HANDSHAKE_TIMEOUT_MS), ["close"]);
}

#[test]
fn delays_between_tries_grow_to_their_bound_and_start_over_after_a_live_session() {
    let mut rig = Rig::new(1, Vec::new());
    let mut longest = 0;
    for failure in 0..50_u32 {
        let due = rig.node.next_timer().unwrap();
        let delay = due - rig.now;
        let bound =
            (RECONNECT_INITIAL_MS << failure.saturating_sub(1).min(10)).min(RECONNECT_MAX_MS);
        assert!(delay <= bound, "{delay} after {failure} failures");
        longest = longest.max(delay);
        assert_eq!(rig.tick_at(due), ["connect"]);
        rig.input(NodeInput::Disconnected);
    }
    assert!(longest > RECONNECT_MAX_MS / 2, "{longest}");
    rig.go_live(&SyncVerdicts::default());
    rig.input(NodeInput::Disconnected);
    assert!(rig.node.next_timer().unwrap() - rig.now <= RECONNECT_INITIAL_MS);
}

#[test]
fn the_end_of_a_session_means_what_its_code_says() {
    let end = |code| {
        let message = "m".to_owned();
        CoordinatorCall::End(SessionEnd { code, message })
    };
    let rows: [(EndCode, &[&str]); 4] = [
        (
            EndCode::Replaced,
            &["kill 1@1 Revoked", "close", "exit Replaced"],
        ),
        (
            EndCode::Removed,
            &["kill 1@1 Revoked", "close", "exit Removed"],
        ),
        (EndCode::Shutdown, &["close"]),
        (EndCode::Protocol, &["close"]),
    ];
    for (code, expected) in rows {
        let mut rig = Rig::live(1);
        rig.assign(&[key(1, 1)]);
        assert_eq!(rig.hear(&end(code)), expected, "{code:?}");
        assert_eq!(rig.node.is_over(), rig.node.next_timer().is_none());
    }
}

#[test]
fn a_refused_hello_means_what_its_code_says() {
    let rows: [(FaultCode, &[&str]); 4] = [
        (FaultCode::Replaced, &["close", "exit Replaced"]),
        (FaultCode::Removed, &["close", "exit Removed"]),
        (
            FaultCode::VersionUnsupported,
            &["close", "exit VersionUnsupported"],
        ),
        (FaultCode::Shutdown, &["close"]),
    ];
    for (code, expected) in rows {
        let mut rig = Rig::new(1, Vec::new());
        rig.greet();
        let text = encode_fault(Some(&RequestId::Number(1)), &Fault::new(code, "no"));
        assert_eq!(rig.input(NodeInput::Text(text)), expected, "{code:?}");
    }
}

#[test]
fn a_node_whose_token_is_refused_ends_and_other_refusals_are_tried_again() {
    for (status, expected) in [
        (401, vec!["close", "exit AuthRefused"]),
        (403, vec!["close", "exit AuthRefused"]),
        (503, vec![]),
    ] {
        let mut rig = Rig::new(1, Vec::new());
        rig.tick_at(0);
        assert_eq!(
            rig.input(NodeInput::ConnectRefused { status }),
            expected,
            "{status}"
        );
    }
}

#[test]
fn a_welcome_for_another_node_is_not_followed() {
    let mut rig = Rig::new(1, Vec::new());
    rig.greet();
    let mut wrong = welcome();
    wrong.node = skep_model::ids::NodeId::from_u128(1);
    assert_eq!(
        rig.answer("mcpx.orchestrate.session.start", &wrong),
        ["close"]
    );
}

#[test]
fn malformed_messages_are_answered_until_there_are_too_many() {
    let mut rig = Rig::live(1);
    for _ in 0..BAD_MESSAGES_MAX {
        assert_eq!(
            rig.input(NodeInput::Text("{".to_owned())),
            ["error parse_error"]
        );
    }
    assert_eq!(
        rig.input(NodeInput::Text("{".to_owned())),
        ["error parse_error", "close"]
    );
}

#[test]
fn errors_are_never_answered_with_errors() {
    let mut rig = Rig::live(1);
    let text = encode_fault(None, &Fault::new(FaultCode::ParseError, "what"));
    assert_eq!(rig.input(NodeInput::Text(text)), Vec::<String>::new());
}

#[test]
fn metrics_are_passed_on_in_a_session_only() {
    let mut rig = Rig::live(1);
    let metrics = NodeInput::Metrics(NodeMetrics::default());
    assert_eq!(rig.input(metrics.clone()), ["send mcpx.metrics.report"]);
    rig.input(NodeInput::Disconnected);
    assert_eq!(rig.input(metrics), Vec::<String>::new());
}

/// Says hello again and again and is refused each time; says what was seen until `end`.
fn refused_until(rig: &mut Rig, end: u64, code: FaultCode) -> Vec<String> {
    let mut seen = Vec::new();
    while let Some(at) = rig.node.next_timer().filter(|at| *at <= end) {
        let outputs = rig.tick_at(at.max(rig.now));
        let connects = outputs.contains(&"connect".to_owned());
        seen.extend(outputs);
        if connects {
            rig.input(NodeInput::Connected);
            let hello = rig.sent("mcpx.orchestrate.session.start");
            let id = RequestId::Number(hello["id"].as_u64().unwrap());
            let text = encode_fault(Some(&id), &Fault::new(code, "no"));
            seen.extend(rig.input(NodeInput::Text(text)));
        }
    }
    seen
}

#[test]
fn a_hello_refused_for_a_full_disk_keeps_the_lease_and_other_refusals_do_not() {
    for (code, kept) in [
        (FaultCode::StorageFull, true),
        (FaultCode::Shutdown, false),
        (FaultCode::Protocol, false),
    ] {
        let mut rig = Rig::live(1);
        rig.assign(&[key(1, 1)]);
        rig.input(NodeInput::Started(key(1, 1)));
        rig.input(NodeInput::Disconnected);
        let seen = refused_until(&mut rig, 300_000, code);
        let tries = seen.iter().filter(|word| *word == "connect").count();
        assert!((30..=400).contains(&tries), "{code:?}: {tries} tries");
        let killed = seen.contains(&"kill 1@1 SelfFenced".to_owned());
        assert_eq!(killed, !kept, "{code:?}");
    }
}

#[test]
fn a_lease_kept_by_refused_hellos_runs_out_when_nobody_answers_any_more() {
    let mut rig = Rig::live(1);
    rig.assign(&[key(1, 1)]);
    rig.input(NodeInput::Disconnected);
    refused_until(&mut rig, 60_000, FaultCode::StorageFull);
    let last_heard = rig.now;
    let mut killed_at = None;
    while let Some(at) = rig
        .node
        .next_timer()
        .filter(|at| *at <= last_heard + 20_000)
    {
        let outputs = rig.tick_at(at.max(rig.now));
        if outputs.contains(&"connect".to_owned()) {
            rig.input(NodeInput::Disconnected);
        }
        if outputs.contains(&"kill 1@1 SelfFenced".to_owned()) {
            killed_at = Some(rig.now);
        }
    }
    let killed_at = killed_at.expect("the attempt is stopped");
    assert!(killed_at <= last_heard + 7_000, "{last_heard}, {killed_at}");
}
