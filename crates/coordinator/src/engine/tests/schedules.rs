//! Due times of schedules: acted on in time, once, whatever the disk and the process do.

use super::*;
use skep_model::attempt::LogIndex;
use skep_model::event::Event;
use skep_model::ids::ScheduleId;
use skep_model::schedule::{FiredRun, Missed, Overlap, ScheduleSpec, Timing};
use skep_model::template::Template;

const SCHEDULE: ScheduleId = ScheduleId::from_u128(1);
/// Each second of UTC from the beginning of the test on: wall time is 1,000 ms ahead of the other.
const FIRST_DUE: u64 = 2_000;

fn every_second() -> Command {
    let timing = Timing::Every { every_ms: 1_000 };
    let run = RunSpec {
        name: "beat".to_owned(),
        labels: BTreeMap::new(),
        weight: 10,
        trace_parent: None,
        strategy: None,
    };
    let task = NewTask {
        id: TaskId::from_u128(0),
        spec: Arc::new(TaskSpec::noop("t")),
        needs: Vec::new(),
    };
    Command::CreateSchedule {
        schedule: SCHEDULE,
        spec: Box::new(ScheduleSpec {
            name: "beat".to_owned(),
            timing,
            overlap: Overlap::Allow,
            missed: Missed::Once,
            template: Arc::new(Template {
                run,
                tasks: vec![task],
                ids: 1,
            }),
        }),
        first: Some(UnixMillis(FIRST_DUE)),
    }
}

/// An engine with the schedule, at 1 ms, and its log so far.
fn scheduled() -> (Engine, Vec<(LogIndex, LogEntry)>) {
    let mut engine = engine(nothing()).unwrap();
    let create = Input::Propose {
        ticket: Ticket(1),
        actor: Actor::Coordinator,
        command: every_second(),
    };
    let commit = commit_of(engine.handle(at(1), create));
    let log = commit.entries.clone();
    engine.handle(at(1), committed(commit, Ok(())));
    (engine, log)
}

fn due_times(outputs: &[Output]) -> Vec<Option<u64>> {
    let published = outputs.iter().filter_map(|output| match output {
        Output::Publish(entry) => Some(&entry.events),
        _ => None,
    });
    let fired = published.flatten().filter_map(|event| match event {
        Event::ScheduleFired(FiredRun { due, .. }) => Some(due.map(|due| due.0)),
        _ => None,
    });
    fired.collect()
}

/// Runs the engine over these points in time; every commit is taken at once.
fn play(engine: &mut Engine, times: impl Iterator<Item = u64>) -> Vec<Option<u64>> {
    let mut due = Vec::new();
    for ms in times {
        let mut outputs = engine.handle(at(ms), Input::Tick);
        while outputs
            .iter()
            .any(|output| matches!(output, Output::Commit(_)))
        {
            let commit = commit_of(outputs);
            outputs = engine.handle(at(ms), committed(commit, Ok(())));
            due.extend(due_times(&outputs));
        }
    }
    due
}

#[test]
fn a_schedule_wakes_the_engine_when_it_is_due_and_keeps_its_beat() {
    let (mut engine, _) = scheduled();
    let wake = engine.next_wake(at(900));
    assert!(wake.is_some_and(|wake| wake <= 1_000), "{wake:?}");
    let due = play(&mut engine, (0..400).map(|step| step * 10));
    assert_eq!(due, [Some(2_000), Some(3_000), Some(4_000)]);
}

#[test]
fn a_due_time_is_proposed_once_while_the_disk_is_slow() {
    let (mut engine, _) = scheduled();
    let commit = commit_of(engine.handle(at(1_000), Input::Tick));
    for ms in 1_001..1_200 {
        let outputs = engine.handle(at(ms), Input::Tick);
        assert!(outputs.is_empty(), "{outputs:?}");
    }
    let outputs = engine.handle(at(1_200), committed(commit, Ok(())));
    assert_eq!(due_times(&outputs), [Some(FIRST_DUE)]);
}

#[test]
fn a_due_time_that_a_full_disk_did_not_take_is_acted_on_when_it_can_be() {
    let (mut engine, _) = scheduled();
    let commit = commit_of(engine.handle(at(1_000), Input::Tick));
    let detail = "full".to_owned();
    let full = Err(JournalError::DiskFull { detail });
    let outputs = engine.handle(at(1_010), committed(commit, full));
    assert_eq!(due_times(&outputs), []);
    let due = play(&mut engine, (1_020..2_600).step_by(10));
    assert_eq!(due, [Some(2_000), Some(3_000)]);
}

#[test]
fn a_due_time_is_made_good_once_after_a_time_without_a_coordinator() {
    let (engine, entries) = scheduled();
    drop(engine);
    let entries = entries
        .into_iter()
        .map(|(index, entry)| (index, entry, None));
    let recovered = Recovered {
        entries: entries.collect(),
        ..nothing()
    };
    let mut engine = super::engine(recovered).unwrap();
    let due = play(&mut engine, (60_500..63_000).step_by(10));
    assert_eq!(due, [Some(2_000), Some(62_000), Some(63_000)]);
}
