//! Attempts with a process: environment, output, artifacts, inputs, stopping.

use crate::coordinator::{Coordinator, RunningNode, State, offer};
use skep_model::attempt::{ArtifactHash, ArtifactRecord, Outcome};
use skep_model::ids::TaskId;
use skep_model::isolation::IsolationLevel;
use skep_model::task::{HandBack, TaskSpec};
use skep_model::work::{ArtifactPattern, CommandWork, Gate, Input, Invocation, Work, Workspace};
use skep_node::{ControlError, Standing, park_local, unpark_local};
use skep_wire::payload::{AttemptKey, GateMessage, GateRequest, HoldTerms, NodeRequest, Offer};
use std::collections::BTreeMap;
use std::path::Path;

/// The offer of a script without isolation, since not every machine that runs the tests has it.
fn script(number: u64, text: &str, change: impl FnOnce(&mut CommandWork)) -> Offer {
    let mut work = CommandWork {
        invocation: Invocation::Shell(text.to_owned()),
        env: BTreeMap::new(),
        reads: Vec::new(),
        workspace: Workspace::None,
        inputs: Vec::new(),
        artifacts: Vec::new(),
        gates: Vec::new(),
        timeout_ms: 60_000,
        kill_grace_ms: 1_000,
    };
    change(&mut work);
    let mut spec = TaskSpec::noop("greet");
    spec.work = Work::Command(Box::new(work));
    spec.requirements.isolation = IsolationLevel::S0;
    spec.trace_parent = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned());
    offer(number, spec)
}

fn log_name(offer: &Offer) -> String {
    format!("{}/1", offer.task)
}

async fn log_of(coordinator: &Coordinator, offer: &Offer, wanted: &str) -> String {
    let name = log_name(offer);
    coordinator
        .wait("output", |state| {
            let text = String::from_utf8_lossy(state.logs.get(&name)?).into_owned();
            text.contains(wanted).then_some(text)
        })
        .await
}

fn attempts_left(directory: &Path) -> usize {
    std::fs::read_dir(directory.join("runner/attempts"))
        .unwrap()
        .count()
}

#[tokio::test]
async fn a_command_knows_who_it_is_and_its_output_arrives_before_its_result() {
    let coordinator = Coordinator::start().await;
    let directory = tempfile::tempdir().unwrap();
    let node = RunningNode::start(coordinator.options(directory.path())).await;
    let text = "env | grep -E '^(SKEP_|TRACEPARENT)' | sort; echo done; exit 3";
    let offered = script(7, text, |_| {});
    coordinator.offer([offered.clone()]);
    let report = coordinator.report_of(offered.task).await;
    assert_eq!(report.outcome, Outcome::Exited { code: 3 });
    assert_eq!(report.isolation, Some(IsolationLevel::S0));
    let log = String::from_utf8(coordinator.state.lock().logs[&log_name(&offered)].clone());
    let log = log.unwrap();
    let program = coordinator.options(directory.path()).supervisor_exe;
    let real_program = program.canonicalize().unwrap();
    for line in [
        &format!("SKEP_TASK_ID={}", offered.task),
        "SKEP_TASK_NAME=greet",
        "SKEP_ATTEMPT=1",
        "SKEP_FENCE=1.7",
        "SKEP_IDEMPOTENCY_KEY=key-7",
        "SKEP_TOKEN=task-secret-7",
        "SKEP_URL=http://127.0.0.1:",
        &format!("SKEP_BIN={}\n", real_program.display()),
        "TRACEPARENT=00-0af7651916cd43dd8448eb211c80319c-",
        "done\n",
    ] {
        assert!(log.contains(line), "`{line}` is missing in:\n{log}");
    }
    assert!(!log.contains("SKEP_AUTHORITY"), "nothing is pinned:\n{log}");
    assert!(node.stop().await.is_orderly());
    assert_eq!(
        attempts_left(directory.path()),
        0,
        "a log that was sent is not kept"
    );
}

#[tokio::test]
async fn output_is_seen_while_the_command_runs_and_a_revoked_attempt_reports_nothing() {
    let coordinator = Coordinator::start().await;
    let directory = tempfile::tempdir().unwrap();
    let node = RunningNode::start(coordinator.options(directory.path())).await;
    let offered = script(1, "echo begun; sleep 600", |_| {});
    coordinator.offer([offered.clone()]);
    log_of(&coordinator, &offered, "begun").await;
    coordinator.change(|state| state.revoked.push(offered.key()));
    let other = script(2, "echo other", |_| {});
    coordinator.offer([other.clone()]);
    coordinator.report_of(other.task).await;
    assert!(node.stop().await.is_orderly());
    assert!(
        coordinator
            .state
            .lock()
            .reports
            .iter()
            .all(|report| report.task == other.task)
    );
}

/// Whether the kernel has stopped a process. One that waits for a stopped child to execute its
/// program shows as `D`.
#[track_caller]
fn assert_stands_still(pid: &str) {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, after_name) = stat.rsplit_once(") ").unwrap();
    assert!(after_name.starts_with(['T', 'D']), "{stat}");
}

#[tokio::test]
async fn a_parked_attempt_stands_still_until_it_is_unparked_and_ends_with_one_result() {
    let coordinator = Coordinator::start().await;
    let directory = tempfile::tempdir().unwrap();
    let node = RunningNode::start(coordinator.options(directory.path())).await;
    let enough = directory.path().join("enough");
    let text = format!(
        "echo pid $$; while [ ! -e {} ]; do sleep 0.01; done; echo done",
        enough.display()
    );
    let offered = script(1, &text, |work| work.timeout_ms = 3_600_000);
    coordinator.offer([offered.clone()]);
    let log = log_of(&coordinator, &offered, "pid ").await;
    let pid = log.trim().trim_start_matches("pid ").to_owned();
    let tell = |number, parked| {
        let hold_ms = 3_600_000;
        coordinator.change(|state| {
            state.terms.push(HoldTerms {
                number,
                hold_ms,
                parked,
            });
        });
    };
    let acts_by = async |number| {
        let is_acted_by = |state: &State| state.acted_by.contains(&number).then_some(());
        coordinator
            .wait("a heartbeat by the terms", is_acted_by)
            .await;
    };
    tell(7, true);
    acts_by(7).await;
    assert_stands_still(&pid);
    // It would end now if it could. A second one is accepted and waits.
    std::fs::write(&enough, "").unwrap();
    let second = script(2, "echo late", |_| {});
    coordinator.offer([second.clone()]);
    tell(8, true);
    acts_by(8).await;
    assert_stands_still(&pid);
    assert!(coordinator.state.lock().reports.is_empty());
    tell(9, false);
    for offered in [&offered, &second] {
        let report = coordinator.report_of(offered.task).await;
        assert_eq!(report.outcome, Outcome::Completed);
    }
    log_of(&coordinator, &offered, "done").await;
    assert!(node.stop().await.is_orderly());
    assert_eq!(coordinator.state.lock().reports.len(), 2, "one of each");
}

#[tokio::test]
async fn the_user_of_the_machine_parks_the_node_in_its_directory() {
    let coordinator = Coordinator::start().await;
    let parent = tempfile::tempdir().unwrap();
    // Longer than the path of a socket may be.
    let directory = parent.path().join("d".repeat(120));
    let told = async |order: fn(&Path) -> Result<Standing, ControlError>| {
        let directory = directory.clone();
        let asked = tokio::task::spawn_blocking(move || order(&directory));
        asked.await.unwrap()
    };
    let nobody = told(unpark_local).await.unwrap_err();
    assert!(
        matches!(nobody, ControlError::NotRunning { .. }),
        "{nobody}"
    );
    let node = RunningNode::start(coordinator.options(&directory)).await;
    let enough = parent.path().join("enough");
    let text = format!(
        "echo pid $$; while [ ! -e {} ]; do sleep 0.01; done",
        enough.display()
    );
    let offered = script(1, &text, |work| work.timeout_ms = 3_600_000);
    coordinator.offer([offered.clone()]);
    let log = log_of(&coordinator, &offered, "pid ").await;
    let pid = log.trim().trim_start_matches("pid ").to_owned();
    let standing = told(|directory| park_local(directory, 3_600_000)).await;
    assert!(standing.unwrap().stands_still);
    assert_stands_still(&pid);
    std::fs::write(&enough, "").unwrap();
    let hold = |number, parked| {
        let hold_ms = 3_600_000;
        coordinator.change(|state| {
            state.terms.push(HoldTerms {
                number,
                hold_ms,
                parked,
            });
        });
    };
    hold(7, true);
    coordinator
        .wait("a heartbeat by the terms", |state: &State| {
            state.acted_by.contains(&7).then_some(())
        })
        .await;
    let standing = told(unpark_local).await.unwrap();
    assert!(standing.stands_still, "by the word of the coordinator");
    hold(8, false);
    let report = coordinator.report_of(offered.task).await;
    assert_eq!(report.outcome, Outcome::Completed);
    assert!(node.stop().await.is_orderly());
    let gone = told(unpark_local).await.unwrap_err();
    assert!(matches!(gone, ControlError::NotRunning { .. }), "{gone}");
}

#[tokio::test]
async fn a_node_that_stops_interrupts_its_attempts_and_reports_it() {
    let coordinator = Coordinator::start().await;
    let directory = tempfile::tempdir().unwrap();
    let node = RunningNode::start(coordinator.options(directory.path())).await;
    let offered = script(1, "echo begun; sleep 600", |_| {});
    coordinator.offer([offered.clone()]);
    log_of(&coordinator, &offered, "begun").await;
    assert!(node.stop().await.is_orderly());
    assert_eq!(
        coordinator.report_of(offered.task).await.outcome,
        Outcome::Interrupted
    );
    assert_eq!(coordinator.state.lock().goodbyes, 1);
}

#[tokio::test]
async fn an_attempt_that_still_waits_for_its_inputs_when_the_node_stops_has_not_started() {
    let coordinator = Coordinator::start().await;
    let directory = tempfile::tempdir().unwrap();
    coordinator.change(|state| {
        state.refuses_questions = true;
        state.rest_is_down = true;
    });
    let node = RunningNode::start(coordinator.options(directory.path())).await;
    let offered = script(1, "echo begun", |work| {
        work.inputs.push(Input {
            from: TaskId::from_u128(99),
            name: "maker".to_owned(),
            glob: "**".to_owned(),
            into: "in".to_owned(),
        });
    });
    coordinator.offer([offered.clone()]);
    coordinator
        .wait("a question", |state| {
            (!state.questions.is_empty()).then_some(())
        })
        .await;
    assert!(node.stop().await.is_orderly());
    let reason = HandBack::Stopping;
    assert_eq!(
        coordinator.report_of(offered.task).await.outcome,
        Outcome::NotStarted { reason }
    );
    assert_eq!(coordinator.state.lock().goodbyes, 1);
}

#[tokio::test]
async fn output_that_could_not_be_sent_is_sent_by_the_next_process() {
    let coordinator = Coordinator::start().await;
    let directory = tempfile::tempdir().unwrap();
    coordinator.change(|state| state.rest_is_down = true);
    let first = RunningNode::start(coordinator.options(directory.path())).await;
    let offered = script(1, "echo hello; echo world", |_| {});
    coordinator.offer([offered.clone()]);
    // The result does not wait for the output for ever.
    let report = coordinator.report_of(offered.task).await;
    assert_eq!(report.outcome, Outcome::Completed);
    assert!(first.stop().await.is_orderly());
    // A part of it had arrived.
    coordinator.change(|state| {
        state.rest_is_down = false;
        state.logs.insert(log_name(&offered), b"hel".to_vec());
    });
    let second = RunningNode::start(coordinator.options(directory.path())).await;
    assert_eq!(
        log_of(&coordinator, &offered, "world\n").await,
        "hello\nworld\n"
    );
    assert!(second.stop().await.is_orderly());
}

#[tokio::test]
async fn artifacts_are_uploaded_before_the_result_and_inputs_are_fetched() {
    let coordinator = Coordinator::start().await;
    inputs_become_artifacts(&coordinator).await;
    let state = coordinator.state.lock();
    assert_eq!((state.questions.len(), state.listings_read), (1, 0));
}

#[tokio::test]
async fn inputs_are_looked_for_over_http_when_the_session_does_not_tell() {
    let coordinator = Coordinator::start().await;
    coordinator.change(|state| state.refuses_questions = true);
    inputs_become_artifacts(&coordinator).await;
    let state = coordinator.state.lock();
    assert_eq!((state.questions.len(), state.listings_read), (1, 1));
}

#[tokio::test]
async fn gates_are_told_as_they_pass_but_for_the_last() {
    let coordinator = Coordinator::start().await;
    let directory = tempfile::tempdir().unwrap();
    let node = RunningNode::start(coordinator.options(directory.path())).await;
    let gate = |name: &str| Gate {
        name: name.to_owned(),
        invocation: Invocation::Shell("true".to_owned()),
        timeout_ms: 60_000,
    };
    let offered = script(1, "true", |work| {
        work.gates = vec![gate("lint"), gate("test"), gate("bench")];
    });
    coordinator.offer([offered.clone()]);
    let report = coordinator.report_of(offered.task).await;
    assert_eq!(report.outcome, Outcome::Completed, "{report:?}");
    let told: Vec<String> = coordinator
        .state
        .lock()
        .questions
        .iter()
        .filter_map(|question| match question {
            NodeRequest::Gate(GateRequest {
                gate: GateMessage::Report(report),
                ..
            }) => Some(report.name.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(told, ["lint", "test"]);
    assert!(node.stop().await.is_orderly());
}

async fn inputs_become_artifacts(coordinator: &Coordinator) {
    let directory = tempfile::tempdir().unwrap();
    let input = b"from afar".to_vec();
    let maker = TaskId::from_u128(99);
    let record = |path: &str| ArtifactRecord {
        name: "out".to_owned(),
        path: path.to_owned(),
        bytes: input.len() as u64,
        blake3: ArtifactHash::of(&input),
        executable: false,
    };
    coordinator.change(|state| {
        state
            .artifacts
            .insert(ArtifactHash::of(&input), input.clone());
        state
            .listings
            .insert(maker, vec![record("a/data.txt"), record("other.bin")]);
    });
    let node = RunningNode::start(coordinator.options(directory.path())).await;
    let text = "ls in/maker; tr a-z A-Z < in/maker/a/data.txt > result.txt";
    let offered = script(1, text, |work| {
        work.inputs.push(Input {
            from: maker,
            name: "maker".to_owned(),
            glob: "**/*.txt".to_owned(),
            into: "in".to_owned(),
        });
        work.artifacts.push(ArtifactPattern {
            name: "result".to_owned(),
            glob: "result.txt".to_owned(),
            required: true,
        });
    });
    coordinator.offer([offered.clone()]);
    let report = coordinator.report_of(offered.task).await;
    assert_eq!(report.outcome, Outcome::Completed, "{report:?}");
    let hash = ArtifactHash::of(b"FROM AFAR");
    assert_eq!(report.artifacts[0].blake3, hash);
    assert!(coordinator.state.lock().artifacts.contains_key(&hash));
    assert!(node.stop().await.is_orderly());
    let staged = std::fs::read_dir(directory.path().join("staging"))
        .unwrap()
        .count();
    assert_eq!(staged, 0, "the result was answered");
}

#[tokio::test]
async fn artifacts_that_the_coordinator_lost_are_uploaded_again() {
    let coordinator = Coordinator::start().await;
    let directory = tempfile::tempdir().unwrap();
    coordinator.change(|state| state.keeps_silent = true);
    let first = RunningNode::start(coordinator.options(directory.path())).await;
    let offered = script(1, "echo precious > result.txt", |work| {
        work.artifacts.push(ArtifactPattern {
            name: "result".to_owned(),
            glob: "*.txt".to_owned(),
            required: true,
        });
    });
    coordinator.offer([offered.clone()]);
    let report = coordinator.report_of(offered.task).await;
    assert_eq!(AttemptKey::from(&report), offered.key());
    first.shutdown.stop_at_once();
    first.ended().await;
    coordinator.change(|state| state.artifacts.clear());
    let second = RunningNode::start(coordinator.options(directory.path())).await;
    let hash = ArtifactHash::of(b"precious\n");
    coordinator
        .wait("the bytes", |state| state.artifacts.get(&hash).map(|_| ()))
        .await;
    coordinator.change(|state| state.keeps_silent = false);
    coordinator.drop_connections();
    assert!(second.stop().await.is_orderly());
}
