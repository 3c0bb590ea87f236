//! Tests of what is borne of attached agents, in virtual time.

use super::*;
use crate::observed::Observed;
use skep_model::attempt::{AttemptReport, Fence, LogIndex, Outcome};
use skep_model::command::{Actor, Grant, Phase, Progress};
use skep_model::ids::{AgentId, InstanceId, TaskId};
use skep_model::isolation::IsolationLevel;
use skep_model::requirements::{Performer, Requirements};
use skep_model::session::{AttachedSpec, HeartbeatMode, SessionFacts};
use skep_model::task::TaskSpec;
use skep_model::work::{DescribedWork, Work};

const SEAT: NodeId = NodeId::from_u128(7);
const TASK: TaskId = TaskId::from_u128(1);
const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;

/// One attached agent, a task for it, and a clock.
struct Hall {
    swarm: Observed,
    attendance: Attendance,
    now: u64,
}

fn described(timeout_ms: Option<u64>) -> TaskSpec {
    TaskSpec {
        work: Work::Described(Box::new(DescribedWork {
            instructions: "look around".to_owned(),
            expected: None,
            inputs: Vec::new(),
            timeout_ms,
        })),
        requirements: Requirements {
            isolation: IsolationLevel::S0,
            performer: Performer::AttachedAgent,
            ..Requirements::default()
        },
        ..TaskSpec::noop("look")
    }
}

fn attach(heartbeat: HeartbeatMode) -> Command {
    Command::AttachAgent {
        seat: SEAT,
        instance: InstanceId::from_u128(1),
        agent: AgentId::from_u128(7),
        spec: Box::new(AttachedSpec {
            name: "s".to_owned(),
            role: "session".to_owned(),
            capabilities: BTreeMap::new(),
            session: SessionFacts {
                owner: Actor::Coordinator,
                heartbeat,
                client: "test".to_owned(),
            },
        }),
    }
}

impl Hall {
    fn new(heartbeat: HeartbeatMode) -> Self {
        Self::with(heartbeat, None)
    }

    fn with(heartbeat: HeartbeatMode, timeout_ms: Option<u64>) -> Self {
        let swarm = Observed::with_nodes(0);
        let attendance = Attendance::start(SessionTimers::default(), &swarm.view.state, 0);
        let mut hall = Self {
            swarm,
            attendance,
            now: 0,
        };
        hall.apply(attach(heartbeat));
        hall.swarm.submit(1, described(timeout_ms), &[]);
        hall
    }

    fn apply(&mut self, command: Command) -> Vec<AskId> {
        self.swarm.apply(command);
        let events = self.swarm.last_events();
        let state = &self.swarm.view.state;
        let (over, _) = self.attendance.observe(state, &events, self.now);
        over
    }

    fn give(&mut self) -> Vec<AskId> {
        let agent = AgentId::from_u128(7);
        self.apply(Command::GrantLeases(vec![Grant { task: TASK, agent }]))
    }

    fn fence(&self) -> Fence {
        let lease = self.swarm.view.state.task(TASK).unwrap().lease.clone();
        lease.unwrap().fence
    }

    fn begin(&mut self) {
        let fence = self.fence();
        self.apply(Command::ReportProgress {
            node: SEAT,
            items: vec![Progress {
                task: TASK,
                fence,
                phase: Phase::Running,
            }],
        });
    }

    /// Lets time pass up to each wish to be woken, and applies what follows; says what and when.
    fn pass(&mut self, ms: u64) -> Vec<(u64, Command)> {
        let end = self.now + ms;
        let mut done = Vec::new();
        while let Some(wake) = self.attendance.next_wake().filter(|wake| *wake <= end) {
            self.now = self.now.max(wake);
            let due = self.attendance.due(&self.swarm.view.state, self.now);
            for (seat, command) in due.transitions {
                done.push((self.now, command.clone()));
                self.apply(command);
                self.attendance.settled(seat, self.now);
            }
        }
        self.now = end;
        done
    }

    fn call(&mut self) {
        self.attendance.called(SEAT, self.now);
    }
}

#[test]
fn an_agent_that_is_back_was_heard_even_if_the_note_of_its_call_comes_late() {
    for back in [Command::TrustNode(SEAT), attach(HeartbeatMode::Calls)] {
        let mut hall = Hall::new(HeartbeatMode::Calls);
        let offline = hall.pass(3 * MINUTE);
        assert_eq!(offline, [(3 * MINUTE, Command::SuspectNode(SEAT))]);
        hall.pass(MINUTE);
        hall.apply(back);
        assert_eq!(hall.pass(3 * MINUTE - 1), []);
        assert_eq!(hall.pass(1), [(7 * MINUTE, Command::SuspectNode(SEAT))]);
    }
}

#[test]
fn an_idle_agent_is_offline_after_three_minutes_of_silence_and_forgotten_after_a_day() {
    let mut hall = Hall::new(HeartbeatMode::Calls);
    hall.pass(100 * SECOND);
    hall.call();
    assert_eq!(hall.pass(179 * SECOND), []);
    assert_eq!(
        hall.pass(SECOND),
        [(280 * SECOND, Command::SuspectNode(SEAT))]
    );
    let gone = hall.pass(limits::SESSION_FORGOTTEN_MS);
    let at = 100 * SECOND + limits::SESSION_FORGOTTEN_MS;
    assert_eq!(gone, [(at, Command::RemoveNode(SEAT))]);
    assert_eq!(hall.attendance.next_wake(), None, "nothing is kept of it");
}

#[test]
fn what_was_given_and_not_begun_goes_back_after_five_minutes_however_often_it_calls() {
    let mut hall = Hall::new(HeartbeatMode::Background);
    hall.give();
    for _ in 0..4 {
        hall.call();
        assert_eq!(hall.pass(MINUTE), []);
    }
    hall.call();
    let done = hall.pass(MINUTE);
    let [(at, Command::HandBackGrants { node: SEAT, .. })] = done[..] else {
        panic!("{done:?}");
    };
    assert_eq!(at, limits::CLAIM_TIMEOUT_MS);
    let task = hall.swarm.view.state.task(TASK).unwrap();
    assert!(task.lease.is_none() && task.attempts_counted() == 0);
}

#[test]
fn an_agent_that_works_in_silence_is_not_declared_dead_for_half_an_hour() {
    let mut hall = Hall::new(HeartbeatMode::Calls);
    hall.give();
    hall.begin();
    assert_eq!(hall.pass(20 * MINUTE), []);
    hall.call();
    assert_eq!(hall.pass(29 * MINUTE), []);
    assert_eq!(hall.pass(MINUTE), [(50 * MINUTE, Command::LoseNode(SEAT))]);
}

#[test]
fn an_agent_with_heartbeats_in_the_background_is_lost_when_they_stay_out() {
    let mut hall = Hall::new(HeartbeatMode::Background);
    hall.give();
    hall.begin();
    for _ in 0..40 {
        assert_eq!(hall.pass(MINUTE), []);
        hall.call();
    }
    assert_eq!(
        hall.pass(3 * MINUTE),
        [(43 * MINUTE, Command::LoseNode(SEAT))]
    );
}

#[test]
fn the_timeout_of_the_task_ends_what_was_begun_and_bounds_the_silence_instead() {
    let mut hall = Hall::with(HeartbeatMode::Calls, Some(50 * MINUTE));
    hall.give();
    hall.pass(MINUTE);
    hall.begin();
    assert_eq!(hall.pass(49 * MINUTE), []);
    let done = hall.pass(MINUTE);
    // It was silent all the while, so that it is offline as soon as it has nothing to do.
    let [
        (at, Command::ReportResults { ref reports, .. }),
        (_, Command::SuspectNode(SEAT)),
    ] = done[..]
    else {
        panic!("{done:?}");
    };
    assert_eq!((at, &reports[0].outcome), (51 * MINUTE, &Outcome::TimedOut));
    assert_eq!(reports[0].duration_ms, 50 * MINUTE);
}

#[test]
fn after_a_task_silence_counts_as_that_of_an_idle_agent_again() {
    let mut hall = Hall::new(HeartbeatMode::Calls);
    hall.give();
    hall.begin();
    hall.pass(10 * MINUTE);
    hall.call();
    let report = AttemptReport::without_process(TASK, hall.fence(), Outcome::Completed);
    hall.apply(Command::ReportResults {
        node: SEAT,
        reports: vec![report],
    });
    assert_eq!(
        hall.pass(3 * MINUTE),
        [(13 * MINUTE, Command::SuspectNode(SEAT))]
    );
}

#[test]
fn a_request_ends_when_the_agent_is_given_a_task_or_its_time_is_up() {
    let mut hall = Hall::new(HeartbeatMode::Calls);
    let state = &hall.swarm.view.state;
    assert!(hall.attendance.asks(state, SEAT, AskId(1), 30 * SECOND));
    assert!(hall.attendance.asks(state, SEAT, AskId(2), 90 * SECOND));
    assert!(
        !hall
            .attendance
            .asks(state, NodeId::from_u128(9), AskId(3), 90 * SECOND)
    );
    hall.now = 30 * SECOND;
    let due = hall.attendance.due(&hall.swarm.view.state, hall.now);
    assert_eq!(due.over, [(SEAT, AskId(1))]);
    assert!(hall.attendance.is_asking(SEAT));
    assert_eq!(hall.give(), [AskId(2)]);
    assert!(!hall.attendance.is_asking(SEAT));
    let state = &hall.swarm.view.state;
    assert!(!hall.attendance.asks(state, SEAT, AskId(4), 99 * SECOND));
}

#[test]
fn after_a_restart_nobody_is_blamed_for_the_time_without_a_coordinator() {
    let mut hall = Hall::new(HeartbeatMode::Background);
    hall.give();
    hall.begin();
    let state = &hall.swarm.view.state;
    hall.now = 60 * MINUTE;
    hall.attendance = Attendance::start(SessionTimers::default(), state, hall.now);
    assert_eq!(hall.pass(179 * SECOND), []);
    assert_eq!(hall.pass(SECOND).len(), 1);
}

#[test]
fn time_in_which_the_log_took_nothing_does_not_count_as_silence() {
    let mut hall = Hall::new(HeartbeatMode::Background);
    hall.give();
    hall.begin();
    hall.pass(2 * MINUTE);
    hall.attendance.log_was_full(hall.now);
    assert_eq!(hall.pass(2 * MINUTE), []);
    assert_eq!(LogIndex(3), hall.fence().index);
    assert_eq!(hall.pass(MINUTE), [(5 * MINUTE, Command::LoseNode(SEAT))]);
}

#[test]
fn time_in_which_the_log_took_nothing_does_not_count_as_time_to_begin() {
    let mut hall = Hall::new(HeartbeatMode::Background);
    hall.give();
    hall.pass(4 * MINUTE);
    hall.attendance.log_was_full(hall.now);
    for _ in 0..4 {
        hall.call();
        assert_eq!(hall.pass(MINUTE), []);
    }
    hall.call();
    let done = hall.pass(MINUTE);
    assert!(
        matches!(done[..], [(at, Command::HandBackGrants { .. })] if at == 9 * MINUTE),
        "{done:?}"
    );
}

#[test]
fn time_in_which_the_log_took_nothing_does_not_count_for_the_timeout_of_a_task() {
    let mut hall = Hall::with(HeartbeatMode::Calls, Some(50 * MINUTE));
    hall.give();
    hall.begin();
    hall.pass(40 * MINUTE);
    hall.call();
    hall.attendance.log_was_full(hall.now);
    assert_eq!(hall.pass(49 * MINUTE), []);
    hall.call();
    let done = hall.pass(MINUTE);
    let [(at, Command::ReportResults { ref reports, .. })] = done[..] else {
        panic!("{done:?}");
    };
    assert_eq!(at, 90 * MINUTE);
    assert_eq!(reports[0].duration_ms, 90 * MINUTE);
}
