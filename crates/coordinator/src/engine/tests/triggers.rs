//! Events that match triggers: acted on at once, once each, whatever the disk and the process do.

use super::*;
use skep_model::attempt::LogIndex;
use skep_model::event::Event;
use skep_model::ids::TriggerId;
use skep_model::template::Template;
use skep_model::trigger::{TriggerSpec, TriggeredRun};

const TRIGGER: TriggerId = TriggerId::from_u128(1);

fn spec(name: &str) -> RunSpec {
    RunSpec {
        name: name.to_owned(),
        labels: BTreeMap::new(),
        weight: 10,
        trace_parent: None,
        strategy: None,
    }
}

fn noop(id: u128) -> NewTask {
    NewTask {
        id: TaskId::from_u128(id),
        spec: Arc::new(TaskSpec::noop("t")),
        needs: Vec::new(),
    }
}

/// A trigger that answers the cancelling of each task of these runs, and the runs.
fn commands() -> Vec<Command> {
    let trigger = Command::CreateTrigger {
        trigger: TRIGGER,
        spec: Box::new(TriggerSpec {
            name: "answer".to_owned(),
            watches: vec!["task cancelled".parse().unwrap()],
            cooldown_ms: 0,
            firings_max: None,
            template: Arc::new(Template {
                run: spec("answer"),
                tasks: vec![noop(0)],
                ids: 1,
            }),
        }),
    };
    let run = Command::SubmitRun {
        run: RunId::from_u128(7),
        spec: Arc::new(spec("work")),
        tasks: vec![noop(70), noop(71)],
        idempotency: None,
    };
    vec![trigger, run]
}

/// An engine with them, before the run is cancelled, and its log so far.
fn watched() -> (Engine, Vec<(LogIndex, LogEntry)>) {
    let mut engine = engine(nothing()).unwrap();
    let mut log = Vec::new();
    for command in commands() {
        log.extend(play(&mut engine, Some(command)).0);
    }
    (engine, log)
}

fn propose(engine: &mut Engine, command: Command) -> Vec<Output> {
    let input = Input::Propose {
        ticket: Ticket(1),
        actor: Actor::Coordinator,
        command,
    };
    engine.handle(at(1), input)
}

fn fired(outputs: &[Output]) -> Vec<String> {
    let published = outputs.iter().filter_map(|output| match output {
        Output::Publish(entry) => Some(&entry.events),
        _ => None,
    });
    let fired = published.flatten().filter_map(|event| match event {
        Event::TriggerFired(TriggeredRun { cause, .. }) => Some(cause.to_string()),
        _ => None,
    });
    fired.collect()
}

type Played = (Vec<(LogIndex, LogEntry)>, Vec<String>);

/// Takes every commit until there is none; answers the entries, and what was fired for.
fn play(engine: &mut Engine, command: Option<Command>) -> Played {
    let mut outputs = match command {
        Some(command) => propose(engine, command),
        None => engine.handle(at(2), Input::Tick),
    };
    let (mut log, mut causes) = (Vec::new(), Vec::new());
    while outputs
        .iter()
        .any(|output| matches!(output, Output::Commit(_)))
    {
        let commit = commit_of(outputs);
        log.extend(commit.entries.clone());
        outputs = engine.handle(at(2), committed(commit, Ok(())));
        causes.extend(fired(&outputs));
    }
    (log, causes)
}

fn cancel() -> Command {
    Command::CancelRun(RunId::from_u128(7))
}

#[test]
fn events_that_match_lead_to_their_runs_without_waiting_for_anything() {
    let (mut engine, _) = watched();
    let (_, causes) = play(&mut engine, Some(cancel()));
    assert_eq!(causes, ["3.0", "3.1"]);
    assert_eq!(engine.view().read().state.runs().count(), 2);
}

#[test]
fn a_run_that_a_full_disk_did_not_take_is_proposed_again() {
    let (mut engine, _) = watched();
    let commit = commit_of(propose(&mut engine, cancel()));
    let commit = commit_of(engine.handle(at(2), committed(commit, Ok(()))));
    let detail = "full".to_owned();
    let full = Err(JournalError::DiskFull { detail });
    let outputs = engine.handle(at(3), committed(commit, full));
    assert!(fired(&outputs).is_empty());
    let wake = engine.next_wake(at(3));
    assert!(wake.is_some(), "nobody would look again");
    let mut causes = Vec::new();
    for ms in (10..3_000).step_by(10) {
        let mut outputs = engine.handle(at(ms), Input::Tick);
        while outputs
            .iter()
            .any(|output| matches!(output, Output::Commit(_)))
        {
            outputs = engine.handle(at(ms), committed(commit_of(outputs), Ok(())));
            causes.extend(fired(&outputs));
        }
    }
    assert_eq!(causes, ["3.0", "3.1"]);
}

#[test]
fn what_matched_before_a_crash_is_acted_on_once_after_it() {
    for lost in 0..3 {
        let (mut engine, mut log) = watched();
        let (entries, causes) = play(&mut engine, Some(cancel()));
        assert_eq!((entries.len(), causes.len()), (3, 2));
        log.extend(entries);
        // The newest entries never became durable.
        log.truncate(log.len() - lost);
        let entries = log.into_iter().map(|(index, entry)| (index, entry, None));
        let recovered = Recovered {
            entries: entries.collect(),
            ..nothing()
        };
        let mut engine = super::engine(recovered).unwrap();
        let (_, causes) = play(&mut engine, None);
        assert_eq!(causes.len(), lost, "{causes:?}");
        let view = engine.view();
        let view = view.read();
        let record = view.state.trigger(TRIGGER).unwrap();
        assert_eq!((record.matched, record.fired), (2, 2));
    }
}
