//! Runs beside each other, in virtual time: the real core and the real decisions over one node.

use super::*;
use skep_model::attempt::{AttemptReport, Fence, LogIndex, Outcome, ResourceUse};
use skep_model::command::{Actor, Command, LogEntry};
use skep_model::ids::{AgentId, InstanceId, NodeId, RunId};
use skep_model::isolation::IsolationLevel;
use skep_model::node::{Hardware, NodeClass, NodeFacts};
use skep_model::requirements::Resources;
use skep_model::run::RunSpec;
use skep_model::task::{NewTask, TaskSpec};
use skep_scheduler::{STRATEGIES, strategy};
use std::collections::BTreeMap;
use std::sync::Arc;

const NODE: NodeId = NodeId::from_u128(1);
const SLOTS: u32 = 8;
/// How long tasks take, from and to, milliseconds.
const TASK_MS: (u64, u64) = (2_000, 4_000);
const EPOCH_MS: u64 = 1_800_000_000_000;
const QUIET: RunId = RunId::from_u128(1);
const QUIET_TASKS: u128 = 80;
const NOISY: RunId = RunId::from_u128(2);
/// Tasks of the noisy run for each one of the other.
const NOISE: u128 = 100;

/// One node that works, and the runs whose tasks it gets.
struct Swarm {
    view: View,
    dispatcher: Dispatcher,
    now_ms: u64,
    entries: u64,
    /// Ends of attempts, by time and fence.
    ends: BTreeMap<(u64, Fence), AttemptReport>,
    /// When the run that is watched was submitted.
    submitted_ms: u64,
    /// How long its tasks waited for their grant.
    waits_ms: Vec<u64>,
}

impl Swarm {
    fn new(name: &str) -> Self {
        let strategy = strategy(name).unwrap();
        let mut swarm = Self {
            view: View::default(),
            dispatcher: Dispatcher::new(strategy, Policy::default()),
            now_ms: 0,
            entries: 0,
            ends: BTreeMap::new(),
            submitted_ms: 0,
            waits_ms: Vec::new(),
        };
        let instance = InstanceId::from_u128(1);
        swarm.apply(Command::RegisterNode {
            node: NODE,
            instance,
            starts: 1,
            agent: AgentId::from_u128(1),
            facts: Box::new(facts()),
        });
        swarm.apply(Command::ConfirmNode {
            node: NODE,
            instance,
            lost: Vec::new(),
        });
        swarm.view.connected.insert(NODE);
        swarm
    }

    fn apply(&mut self, command: Command) -> EntryEvents {
        self.entries += 1;
        let (index, at) = (LogIndex(self.entries), UnixMillis(EPOCH_MS + self.now_ms));
        let entry = LogEntry {
            at,
            seed: self.entries,
            actor: Actor::Coordinator,
            command,
        };
        let events = self.view.state.apply(index, &entry).events;
        EntryEvents {
            index,
            at,
            actor: entry.actor,
            events,
        }
    }

    fn submit(&mut self, run: RunId, tasks: u128) {
        let first = run.as_u128() << 64;
        let task = |number| NewTask {
            id: TaskId::from_u128(first + number),
            spec: Arc::new(TaskSpec::noop(format!("t{number}"))),
            needs: Vec::new(),
        };
        let spec = RunSpec {
            name: format!("run {}", run.as_u128()),
            labels: BTreeMap::new(),
            weight: 10,
            trace_parent: None,
            strategy: None,
        };
        self.apply(Command::SubmitRun {
            run,
            spec: Arc::new(spec),
            tasks: (0..tasks).map(task).collect(),
            idempotency: None,
        });
        self.submitted_ms = self.now_ms;
    }

    /// Lets work go on until then, or until the watched run has been granted as a whole.
    fn pass_until(&mut self, end_ms: u64) {
        self.decide();
        while let Some(((at, _), report)) = self.ends.pop_first() {
            if at > end_ms || self.waits_ms.len() == QUIET_TASKS as usize {
                self.ends.insert((at, report.fence), report);
                return;
            }
            self.now_ms = at;
            self.apply(Command::ReportResults {
                node: NODE,
                reports: vec![report],
            });
            self.decide();
        }
    }

    fn decide(&mut self) {
        let now = UnixMillis(EPOCH_MS + self.now_ms);
        while self.dispatcher.may_decide(&self.view.state, self.now_ms) {
            let grants = self.dispatcher.decide(&self.view, now);
            if grants.is_empty() {
                return;
            }
            let events = self.apply(Command::GrantLeases(grants));
            for event in &events.events {
                if let Event::TaskLeased {
                    task, run, fence, ..
                } = event
                {
                    if *run == Some(QUIET) {
                        self.waits_ms.push(self.now_ms - self.submitted_ms);
                    }
                    let lasts_ms = lasts_ms(*task);
                    let report = AttemptReport {
                        task: *task,
                        fence: *fence,
                        outcome: Outcome::Completed,
                        exit_code: None,
                        duration_ms: lasts_ms,
                        usage: ResourceUse::default(),
                        isolation: None,
                        artifacts: Vec::new(),
                        gates: Vec::new(),
                        account: None,
                    };
                    self.ends.insert((self.now_ms + lasts_ms, *fence), report);
                }
            }
            self.dispatcher.settled(&events, self.now_ms);
        }
    }

    /// The wait that one task in a hundred exceeds.
    fn p99_ms(mut self) -> u64 {
        self.pass_until(u64::MAX);
        assert_eq!(self.waits_ms.len(), QUIET_TASKS as usize);
        self.waits_ms.sort_unstable();
        self.waits_ms[self.waits_ms.len() * 99 / 100]
    }
}

/// Tasks take differently long, each the same every time.
fn lasts_ms(task: TaskId) -> u64 {
    let mixed = (task.as_u128() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
    TASK_MS.0 + mixed % (TASK_MS.1 - TASK_MS.0)
}

fn facts() -> NodeFacts {
    NodeFacts {
        name: "bench".to_owned(),
        version: "test".to_owned(),
        system: "test".to_owned(),
        resources: Resources::NONE,
        slots: SLOTS,
        labels: BTreeMap::new(),
        capabilities: BTreeMap::new(),
        isolation: IsolationLevel::S1,
        probes: Vec::new(),
        class: NodeClass::Server,
        on_disconnect: None,
        region: None,
        hardware: Hardware::default(),
        models: Vec::new(),
    }
}

/// Two runs of equal weight share, so what one waits for alone takes it twice as long beside the
/// other, plus the end of the first of the attempts that nobody interrupts for it. How much more
/// there is of the other, and for how long it has waited, makes no difference.
#[test]
fn a_noisy_run_doubles_the_wait_of_another_at_most() {
    for name in STRATEGIES {
        let mut alone = Swarm::new(name);
        alone.submit(QUIET, QUIET_TASKS);
        let alone_ms = alone.p99_ms();
        for backlog_ms in [1_000, 59_000, 61_000, 600_000, 1_200_000] {
            let mut beside = Swarm::new(name);
            beside.submit(NOISY, QUIET_TASKS * NOISE);
            beside.pass_until(backlog_ms);
            beside.now_ms = backlog_ms;
            beside.submit(QUIET, QUIET_TASKS);
            let beside_ms = beside.p99_ms();
            assert!(
                beside_ms <= 2 * alone_ms + TASK_MS.1,
                "{name}: after {backlog_ms} ms of noise {beside_ms} ms instead of {alone_ms} ms"
            );
        }
    }
}
