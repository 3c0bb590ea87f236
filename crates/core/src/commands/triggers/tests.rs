//! What becomes of events that match, one rule at a time.

use crate::script::{World, check};
use expect_test::expect;
use skep_model::event::Event;
use skep_model::ids::TriggerId;
use skep_model::limits::{
    TRIGGER_DEPTH_MAX, TRIGGER_FIRINGS_PER_MINUTE_MAX, TRIGGER_PENDING_MAX, TRIGGER_RUNS_LIVE_MAX,
    TRIGGER_TASKS_MAX, TRIGGERS_MAX,
};
use skep_model::trigger::{NotCounted, SkippedEvents};

/// A trigger of one task that waits for tasks that are cancelled, and three tasks.
const READY: &str = "task 0; trigger 1 on=task:cancelled; task 10 name=a; task 11 name=b; \
     task 12 name=c; submit";

#[test]
fn an_event_that_matches_is_acted_on_once_and_own_runs_are_not_watched() {
    check(
        &format!(
            "{READY} | cancel 10; triggers; act 1 at=3.0 run=5 task=50; act 1 at=3.0 run=6 task=60; \
             act 1 at=9.9 run=6 task=60; act 9 at=3.0 run=6 task=60; triggers; cancel-run 5; triggers"
        ),
        &expect![[r#"
            > cancel 10
            TaskFinished { task: task_a, state: Cancelled, cause: CancelRequested, attempts: 0 }
            TriggerMatched(MatchedEvent { trigger: trig_1, cause: EventCursor { index: LogIndex(3), ordinal: 0 }, left: None })
            > triggers
            trig_1 is active, waiting ["3.0 cancelled"], live {}, matched 1, fired 0, skipped 0, left None, last Some(Waits)
            > act 1 at=3.0 run=5 task=50
            RunSubmitted { run: run_5, name: "answer", tasks: 1 }
            TaskSubmitted { task: task_1j, run: Some(run_5), name: "t0", state: Ready }
            TriggerFired(TriggeredRun { trigger: trig_1, cause: EventCursor { index: LogIndex(3), ordinal: 0 }, run: run_5 })
            > act 1 at=3.0 run=6 task=60
            Refused { reason: TriggerNotPending(trig_1) }
            > act 1 at=9.9 run=6 task=60
            Refused { reason: TriggerNotPending(trig_1) }
            > act 9 at=3.0 run=6 task=60
            Refused { reason: TriggerUnknown(trig_9) }
            > triggers
            trig_1 is active, waiting [], live {run_5: 1}, matched 1, fired 1, skipped 0, left None, last Some(Run { run: run_5, ended: None })
            > cancel-run 5
            TaskFinished { task: task_1j, run: Some(run_5), state: Cancelled, cause: RunCancelled, attempts: 0 }
            RunChanged { run: run_5, state: Cancelled, counts: TaskCounts { cancelled: 1 } }
            > triggers
            trig_1 is active, waiting [], live {}, matched 1, fired 1, skipped 0, left None, last Some(Run { run: run_5, ended: Some(Cancelled) })
        "#]],
    );
}

#[test]
fn only_what_happens_after_it_was_made_and_matches_counts() {
    check(
        "task 10; task 11; task 12; submit; update 12 label=kind:ci; cancel 10; task 0; \
         trigger 1 on=task:failed on=task:cancelled:label=kind=ci | triggers; cancel 11; cancel 12; \
         triggers",
        &expect![[r#"
            > triggers
            trig_1 is active, waiting [], live {}, matched 0, fired 0, skipped 0, left None, last None
            > cancel 11
            TaskFinished { task: task_b, state: Cancelled, cause: CancelRequested, attempts: 0 }
            > cancel 12
            TaskFinished { task: task_c, state: Cancelled, cause: CancelRequested, attempts: 0 }
            TriggerMatched(MatchedEvent { trigger: trig_1, cause: EventCursor { index: LogIndex(6), ordinal: 0 }, left: None })
            > triggers
            trig_1 is active, waiting ["6.0 cancelled"], live {}, matched 1, fired 0, skipped 0, left None, last Some(Waits)
        "#]],
    );
}

#[test]
fn an_event_counts_once_for_each_trigger_and_each_event_of_an_entry_counts() {
    check(
        "task 0; trigger 1 on=task:cancelled on=task; task 0; trigger 2 on=task; task 10; task 11; \
         run 4 | cancel-run 4; act 1 run=5 task=50; act 2 run=6 task=60; triggers",
        &expect![[r#"
            > cancel-run 4
            TaskFinished { task: task_a, run: Some(run_4), state: Cancelled, cause: RunCancelled, attempts: 0 }
            TaskFinished { task: task_b, run: Some(run_4), state: Cancelled, cause: RunCancelled, attempts: 0 }
            RunChanged { run: run_4, state: Cancelled, counts: TaskCounts { cancelled: 2 } }
            TriggerMatched(MatchedEvent { trigger: trig_1, cause: EventCursor { index: LogIndex(4), ordinal: 0 }, left: None })
            TriggerMatched(MatchedEvent { trigger: trig_2, cause: EventCursor { index: LogIndex(4), ordinal: 0 }, left: None })
            TriggerMatched(MatchedEvent { trigger: trig_1, cause: EventCursor { index: LogIndex(4), ordinal: 1 }, left: None })
            TriggerMatched(MatchedEvent { trigger: trig_2, cause: EventCursor { index: LogIndex(4), ordinal: 1 }, left: None })
            > act 1 run=5 task=50
            RunSubmitted { run: run_5, name: "answer", tasks: 1 }
            TaskSubmitted { task: task_1j, run: Some(run_5), name: "t0", state: Ready }
            TriggerFired(TriggeredRun { trigger: trig_1, cause: EventCursor { index: LogIndex(4), ordinal: 0 }, run: run_5 })
            > act 2 run=6 task=60
            RunSubmitted { run: run_6, name: "answer", tasks: 1 }
            TaskSubmitted { task: task_1w, run: Some(run_6), name: "t0", state: Ready }
            TriggerFired(TriggeredRun { trigger: trig_2, cause: EventCursor { index: LogIndex(4), ordinal: 0 }, run: run_6 })
            > triggers
            trig_1 is active, waiting ["4.1 cancelled"], live {run_5: 1}, matched 2, fired 1, skipped 0, left None, last Some(Run { run: run_5, ended: None })
            trig_2 is active, waiting ["4.1 cancelled"], live {run_6: 1}, matched 2, fired 1, skipped 0, left None, last Some(Run { run: run_6, ended: None })
        "#]],
    );
}

#[test]
fn events_within_the_cool_down_are_skipped_and_said_once_for_an_entry() {
    check(
        "task 0; trigger 1 on=task cooldown=1000; task 10; task 11; task 12; run 4; task 13; \
         task 14; submit; at 50 | cancel-run 4; at 1049; cancel 13; at 1050; cancel 14; triggers",
        &expect![[r#"
            > cancel-run 4
            TaskFinished { task: task_a, run: Some(run_4), state: Cancelled, cause: RunCancelled, attempts: 0 }
            TaskFinished { task: task_b, run: Some(run_4), state: Cancelled, cause: RunCancelled, attempts: 0 }
            TaskFinished { task: task_c, run: Some(run_4), state: Cancelled, cause: RunCancelled, attempts: 0 }
            RunChanged { run: run_4, state: Cancelled, counts: TaskCounts { cancelled: 3 } }
            TriggerMatched(MatchedEvent { trigger: trig_1, cause: EventCursor { index: LogIndex(4), ordinal: 0 }, left: None })
            TriggerSkipped(SkippedEvents { trigger: trig_1, reason: CoolingDown, count: 2, first: EventCursor { index: LogIndex(4), ordinal: 1 }, last: EventCursor { index: LogIndex(4), ordinal: 2 } })
            > cancel 13
            TaskFinished { task: task_d, state: Cancelled, cause: CancelRequested, attempts: 0 }
            TriggerSkipped(SkippedEvents { trigger: trig_1, reason: CoolingDown, count: 1, first: EventCursor { index: LogIndex(5), ordinal: 0 }, last: EventCursor { index: LogIndex(5), ordinal: 0 } })
            > cancel 14
            TaskFinished { task: task_e, state: Cancelled, cause: CancelRequested, attempts: 0 }
            TriggerMatched(MatchedEvent { trigger: trig_1, cause: EventCursor { index: LogIndex(6), ordinal: 0 }, left: None })
            > triggers
            trig_1 is active, waiting ["4.0 cancelled", "6.0 cancelled"], live {}, matched 2, fired 0, skipped 3, left None, last Some(Waits)
        "#]],
    );
}

#[test]
fn a_trigger_whose_events_are_used_up_watches_nothing_any_more() {
    check(
        "task 0; trigger 1 on=task max=2; task 10; task 11; task 12; run 4 | cancel-run 4; \
         act 1 run=5 task=50; act 1 run=6 task=60; cancel-run 5; triggers",
        &expect![[r#"
            > cancel-run 4
            TaskFinished { task: task_a, run: Some(run_4), state: Cancelled, cause: RunCancelled, attempts: 0 }
            TaskFinished { task: task_b, run: Some(run_4), state: Cancelled, cause: RunCancelled, attempts: 0 }
            TaskFinished { task: task_c, run: Some(run_4), state: Cancelled, cause: RunCancelled, attempts: 0 }
            RunChanged { run: run_4, state: Cancelled, counts: TaskCounts { cancelled: 3 } }
            TriggerMatched(MatchedEvent { trigger: trig_1, cause: EventCursor { index: LogIndex(3), ordinal: 0 }, left: Some(1) })
            TriggerMatched(MatchedEvent { trigger: trig_1, cause: EventCursor { index: LogIndex(3), ordinal: 1 }, left: Some(0) })
            > act 1 run=5 task=50
            RunSubmitted { run: run_5, name: "answer", tasks: 1 }
            TaskSubmitted { task: task_1j, run: Some(run_5), name: "t0", state: Ready }
            TriggerFired(TriggeredRun { trigger: trig_1, cause: EventCursor { index: LogIndex(3), ordinal: 0 }, run: run_5 })
            > act 1 run=6 task=60
            RunSubmitted { run: run_6, name: "answer", tasks: 1 }
            TaskSubmitted { task: task_1w, run: Some(run_6), name: "t0", state: Ready }
            TriggerFired(TriggeredRun { trigger: trig_1, cause: EventCursor { index: LogIndex(3), ordinal: 1 }, run: run_6 })
            > cancel-run 5
            TaskFinished { task: task_1j, run: Some(run_5), state: Cancelled, cause: RunCancelled, attempts: 0 }
            RunChanged { run: run_5, state: Cancelled, counts: TaskCounts { cancelled: 1 } }
            > triggers
            trig_1 is active, waiting [], live {run_6: 1}, matched 2, fired 2, skipped 0, left Some(0), last Some(Run { run: run_6, ended: None })
        "#]],
    );
}

#[test]
fn a_held_trigger_watches_nothing_and_what_waits_goes_on_waiting() {
    check(
        &format!(
            "{READY}; cancel 10 | pause-trigger 1; pause-trigger 1; cancel 11; \
             act 1 run=5 task=50; resume-trigger 1; resume-trigger 1; act 1 run=5 task=50; \
             cancel 12; delete-trigger 1; delete-trigger 1; pause-trigger 1; cancel-run 5; triggers"
        ),
        &expect![[r#"
            > pause-trigger 1
            TriggerChanged(ChangedTrigger { trigger: trig_1, paused: true })
            > pause-trigger 1

            > cancel 11
            TaskFinished { task: task_b, state: Cancelled, cause: CancelRequested, attempts: 0 }
            > act 1 run=5 task=50
            Refused { reason: TriggerNotPending(trig_1) }
            > resume-trigger 1
            TriggerChanged(ChangedTrigger { trigger: trig_1, paused: false })
            > resume-trigger 1

            > act 1 run=5 task=50
            RunSubmitted { run: run_5, name: "answer", tasks: 1 }
            TaskSubmitted { task: task_1j, run: Some(run_5), name: "t0", state: Ready }
            TriggerFired(TriggeredRun { trigger: trig_1, cause: EventCursor { index: LogIndex(3), ordinal: 0 }, run: run_5 })
            > cancel 12
            TaskFinished { task: task_c, state: Cancelled, cause: CancelRequested, attempts: 0 }
            TriggerMatched(MatchedEvent { trigger: trig_1, cause: EventCursor { index: LogIndex(11), ordinal: 0 }, left: None })
            > delete-trigger 1
            TriggerDeleted(DeletedTrigger { trigger: trig_1, unfired: 1 })
            > delete-trigger 1
            Refused { reason: TriggerUnknown(trig_1) }
            > pause-trigger 1
            Refused { reason: TriggerUnknown(trig_1) }
            > cancel-run 5
            TaskFinished { task: task_1j, run: Some(run_5), state: Cancelled, cause: RunCancelled, attempts: 0 }
            RunChanged { run: run_5, state: Cancelled, counts: TaskCounts { cancelled: 1 } }
            > triggers

        "#]],
    );
}

#[test]
fn a_run_that_is_refused_is_said_and_not_tried_again() {
    check(
        &format!("{READY}; task 70; run 7; cancel 10 | act 1 run=7 task=50; triggers"),
        &expect![[r#"
            > act 1 run=7 task=50
            TriggerRefused(RefusedFiring { trigger: trig_1, cause: EventCursor { index: LogIndex(4), ordinal: 0 }, reason: DuplicateRun(run_7) })
            > triggers
            trig_1 is active, waiting [], live {}, matched 1, fired 0, skipped 1, left None, last Some(Refused(DuplicateRun(run_7)))
        "#]],
    );
}

#[test]
fn entries_of_shared_memory_are_watched_also_their_ends() {
    check(
        "task 0; trigger 1 on=memory:written:namespace=sw*:key=a*; task 0; \
         trigger 2 on=memory:deleted,expired:namespace=swarm | put a1 ttl=1000; put b1; del b1; \
         at 1000; fire; put a1 in=other; triggers",
        &expect![[r#"
            > put a1 ttl=1000
            MemoryWritten { namespace: "swarm", key: "a1", version: MemoryVersion(1), replaced: None, bytes: 3, expires_at: Some(UnixMillis(1000)) }
            TriggerMatched(MatchedEvent { trigger: trig_1, cause: EventCursor { index: LogIndex(3), ordinal: 0 }, left: None })
            > put b1
            MemoryWritten { namespace: "swarm", key: "b1", version: MemoryVersion(2), replaced: None, bytes: 3, expires_at: None }
            > del b1
            MemoryDeleted { namespace: "swarm", key: "b1", version: MemoryVersion(3), replaced: Some(MemoryVersion(2)) }
            TriggerMatched(MatchedEvent { trigger: trig_2, cause: EventCursor { index: LogIndex(5), ordinal: 0 }, left: None })
            > fire
            MemoryExpired { namespace: "swarm", key: "a1", version: MemoryVersion(4), replaced: MemoryVersion(1) }
            TriggerMatched(MatchedEvent { trigger: trig_2, cause: EventCursor { index: LogIndex(6), ordinal: 0 }, left: None })
            > put a1 in=other
            MemoryWritten { namespace: "other", key: "a1", version: MemoryVersion(5), replaced: None, bytes: 3, expires_at: None }
            > triggers
            trig_1 is active, waiting ["3.0 written"], live {}, matched 1, fired 0, skipped 0, left None, last Some(Waits)
            trig_2 is active, waiting ["5.0 deleted", "6.0 expired"], live {}, matched 2, fired 0, skipped 0, left None, last Some(Waits)
        "#]],
    );
}

#[test]
fn machines_and_agents_are_watched_also_when_they_are_forgotten() {
    check(
        "task 0; trigger 1 on=node:lost,left; task 0; trigger 2 on=agent:created,removed:name=a*; \
         node 1; confirm 1; node 3; confirm 3 | agent 2 on=1; remove-agent 2; lose 1; left 3; \
         remove 3; triggers",
        &expect![[r#"
            > agent 2 on=1
            AgentCreated { agent: agent_2, name: "a2", node: node_1 }
            TriggerMatched(MatchedEvent { trigger: trig_2, cause: EventCursor { index: LogIndex(7), ordinal: 0 }, left: None })
            > remove-agent 2
            AgentRemoved { agent: agent_2 }
            TriggerMatched(MatchedEvent { trigger: trig_2, cause: EventCursor { index: LogIndex(8), ordinal: 0 }, left: None })
            > lose 1
            NodeChanged { node: node_1, state: Lost }
            TriggerMatched(MatchedEvent { trigger: trig_1, cause: EventCursor { index: LogIndex(9), ordinal: 0 }, left: None })
            > left 3
            NodeChanged { node: node_3, state: Left }
            TriggerMatched(MatchedEvent { trigger: trig_1, cause: EventCursor { index: LogIndex(10), ordinal: 0 }, left: None })
            > remove 3
            AgentRemoved { agent: agent_3 }
            NodeRemoved { node: node_3 }
            > triggers
            trig_1 is active, waiting ["9.0 lost", "10.0 left"], live {}, matched 2, fired 0, skipped 0, left None, last Some(Waits)
            trig_2 is active, waiting ["7.0 created", "8.0 removed"], live {}, matched 2, fired 0, skipped 0, left None, last Some(Waits)
        "#]],
    );
}

#[test]
fn an_attached_agent_that_is_not_heard_is_offline_and_no_machine() {
    let mut world = World::after(
        "task 0; trigger 1 on=node; task 0; trigger 2 on=agent:offline; attach 2; suspect 2; lose 2",
    );
    let shown = world.perform("triggers");
    let lines: Vec<_> = shown.lines().collect();
    assert!(lines[0].contains("matched 0,"), "{shown}");
    assert!(lines[1].contains("offline\"]"), "{shown}");
    world.perform("trust 2");
    world.perform("left 2");
    assert!(world.perform("triggers").contains("matched 1,"));
}

#[test]
fn what_the_work_of_a_trigger_writes_is_seen_by_others_only_and_one_deeper() {
    let mut world = World::after(
        "task 0; trigger 1 on=memory:namespace=swarm; task 0; trigger 2 on=memory:namespace=swarm; \
         put a; act 1 run=5 task=50",
    );
    world.perform("put b for=5");
    let depths = |trigger: u128| {
        let record = world.state.trigger(TriggerId::from_u128(trigger)).unwrap();
        let depths = record.pending.iter().map(|waiting| waiting.depth);
        depths.collect::<Vec<_>>()
    };
    assert_eq!((depths(1), depths(2)), (vec![], vec![1, 2]));
}

#[test]
fn what_waits_survives_a_restart() {
    let mut world = World::after(&format!("{READY}; cancel 10"));
    world.restart();
    assert_eq!(world.state.due_triggers().count(), 1);
    world.perform("act 1 run=5 task=50");
    world.restart();
    assert_eq!(world.state.due_triggers().count(), 0);
    let told = world.perform("act 1 at=3.0 run=6 task=60");
    assert!(told.contains("TriggerNotPending"), "{told}");
}

fn skips(world: &World) -> Vec<SkippedEvents> {
    let events = world.events.iter().filter_map(|event| match event {
        Event::TriggerSkipped(skipped) => Some(skipped.clone()),
        _ => None,
    });
    events.collect()
}

fn matched(world: &World) -> usize {
    let matched = |event: &&Event| matches!(event, Event::TriggerMatched(_));
    world.events.iter().filter(matched).count()
}

/// Takes in tasks under ids from `first` on, as one run, and cancels them in one entry.
fn storm(world: &mut World, run: u32, first: usize, count: usize) {
    for id in first..first + count {
        world.perform(&format!("task {id}"));
    }
    world.perform(&format!("run {run}"));
    world.perform(&format!("cancel-run {run}"));
}

#[test]
fn a_storm_is_cut_to_what_counts_in_a_minute_and_the_rest_is_said_in_one_event() {
    let mut world = World::after("task 0; trigger 1 on=task");
    storm(&mut world, 4, 100, 500);
    let most = TRIGGER_FIRINGS_PER_MINUTE_MAX as usize;
    assert_eq!(matched(&world), most);
    let said = skips(&world);
    assert_eq!(said.len(), 1);
    assert_eq!(said[0].reason, NotCounted::TooOften);
    assert_eq!(said[0].count as usize, 500 - most);
    world.perform("at 60000");
    storm(&mut world, 5, 1_000, 10);
    let said = skips(&world);
    assert_eq!(matched(&world), TRIGGER_PENDING_MAX);
    assert_eq!(said[1].reason, NotCounted::TooManyWaiting);
    assert_eq!(said[1].count as usize, 10 - (TRIGGER_PENDING_MAX - most));
}

#[test]
fn further_events_wait_while_too_many_runs_are_live() {
    let mut world = World::after("task 0; trigger 1 on=task");
    for run in 0..TRIGGER_RUNS_LIVE_MAX {
        world.perform(&format!("at {}", (run / 50) * 60_000));
        storm(&mut world, 1, 10_000, 1);
        let told = world.perform(&format!("act 1 run={} task={}", 100 + run, 100 + run));
        assert!(told.contains("TriggerFired"), "{told}");
    }
    storm(&mut world, 1, 10_000, 1);
    assert_eq!(world.state.due_triggers().count(), 0);
    let told = world.perform("act 1 run=99 task=99");
    assert!(told.contains("TriggerNotPending"), "{told}");
    world.perform("cancel-run 100");
    assert_eq!(world.state.due_triggers().count(), 1);
}

#[test]
fn triggers_that_lead_to_each_other_end_and_it_is_said() {
    let mut world = World::after(
        "task 0; trigger 1 on=run:name=answer; task 0; trigger 2 on=run; task 1; run 1; \
         cancel-run 1",
    );
    for step in 0..u32::from(TRIGGER_DEPTH_MAX) {
        let (run, trigger) = (10 + step, 2 - step % 2);
        let told = world.perform(&format!("act {trigger} run={run} task={run}"));
        assert!(told.contains("TriggerFired"), "{step}: {told}");
        world.perform(&format!("cancel-run {run}"));
    }
    assert_eq!(world.state.due_triggers().count(), 0);
    let said = skips(&world);
    assert_eq!(said.len(), 1);
    assert_eq!(said[0].reason, NotCounted::TooDeep);
}

#[test]
fn a_trigger_beyond_a_limit_is_refused_by_its_name() {
    let mut world = World::after("trigger 1 on=task");
    let told = world.perform("trigger 1 on=task");
    assert!(told.contains("NameTaken"), "{told}");
    for id in 2..=TRIGGERS_MAX {
        world.perform(&format!("trigger {id} on=task"));
    }
    let told = world.perform("trigger 999 on=task");
    assert!(told.contains("TriggersMax"), "{told}");
    let mut world = World::after("");
    for id in 0..=TRIGGER_TASKS_MAX {
        world.perform(&format!("task {id}"));
    }
    let told = world.perform("trigger 1 on=task");
    assert!(told.contains("TriggerTasksMax"), "{told}");
    let told = world.perform(&format!("trigger 1{}", " on=task".repeat(17)));
    assert!(told.contains("TriggerWatchesMax"), "{told}");
}
