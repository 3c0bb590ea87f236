//! A real coordinator is backed up at an index, and goes on from there to the same state.

use super::tests::{NEW_CLUSTER, NOW, WITH_LOGS};
use super::{create, restore};
use crate::fixtures::options;
use crate::{DataDir, SqliteJournal, Store};
use skep_coordinator::ports::{Entropy, Journal, UtcCalendar};
use skep_coordinator::{
    Engine, EngineOptions, Input, LeaseTimers, Now, Output, Parts, TaskTokenKey, Ticket,
};
use skep_model::command::{Actor, Command};
use skep_model::ids::{TaskId, TriggerId};
use skep_model::run::RunSpec;
use skep_model::task::{NewTask, TaskSpec};
use skep_model::template::Template;
use skep_model::time::UnixMillis;
use skep_model::trigger::TriggerSpec;
use skep_scheduler::Policy;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Few, so that there is a checkpoint behind each of the backups.
const CHECKPOINT_EVENTS: usize = 30;

/// Ids that follow from the number of the command, also after a restart.
#[derive(Debug)]
struct Counter(Arc<AtomicU64>);

impl Entropy for Counter {
    fn id(&mut self) -> u128 {
        u128::from(self.seed())
    }

    fn seed(&mut self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

/// A coordinator without threads on a real data directory.
struct Coordinator {
    engine: Engine,
    journal: SqliteJournal,
    ids: Arc<AtomicU64>,
}

/// A trigger that answers each task that is cancelled.
fn trigger() -> Command {
    let run = RunSpec {
        name: "answer".to_owned(),
        labels: BTreeMap::new(),
        weight: 10,
        trace_parent: None,
        strategy: None,
    };
    let task = NewTask {
        id: TaskId::from_u128(0),
        spec: Arc::new(TaskSpec::noop("answer")),
        needs: Vec::new(),
    };
    Command::CreateTrigger {
        trigger: TriggerId::from_u128(1),
        spec: Box::new(TriggerSpec {
            name: "answer".to_owned(),
            watches: vec!["task cancelled".parse().unwrap()],
            cooldown_ms: 0,
            firings_max: None,
            template: Arc::new(Template {
                run,
                tasks: vec![task],
                ids: 1,
            }),
        }),
    }
}

fn at(number: u64) -> Now {
    Now {
        wall: UnixMillis(1_000 + number),
        elapsed_ms: number,
    }
}

impl Coordinator {
    /// Recovers after command `number`; that replays the log and compares every digest that was
    /// stored.
    fn start(path: &Path, number: u64) -> Self {
        let owner = DataDir::open(path, options()).unwrap();
        let (recovered, journal) = Store::open(&owner).unwrap().recover().unwrap();
        let options = EngineOptions {
            timers: LeaseTimers::default(),
            policy: Policy::default(),
            task_token_key: TaskTokenKey::new([1; 32]),
            server_version: "test".to_owned(),
            checkpoint_events: CHECKPOINT_EVENTS,
            overlap_from: skep_coordinator::OVERLAP_FROM_DEFAULT,
        };
        let ids = Arc::new(AtomicU64::new(0));
        let parts = Parts {
            strategy: skep_scheduler::strategy("round-robin").unwrap(),
            entropy: Box::new(Counter(Arc::clone(&ids))),
            calendar: Box::new(UtcCalendar),
        };
        let engine = Engine::recover(recovered, options, parts, at(number)).unwrap();
        Self {
            engine,
            journal,
            ids,
        }
    }

    /// Submits task `number`, or cancels the one before the last; the fifth makes the trigger.
    fn submit(&mut self, number: u64) {
        self.ids.store(number * 1_000, Ordering::Relaxed);
        let command = if number == 5 {
            trigger()
        } else if number.is_multiple_of(3) {
            Command::CancelTask(TaskId::from_u128(u128::from(number - 2)))
        } else {
            Command::SubmitTasks {
                run: None,
                tasks: vec![NewTask {
                    id: TaskId::from_u128(u128::from(number)),
                    spec: Arc::new(TaskSpec::noop(format!("task{number}"))),
                    needs: Vec::new(),
                }],
                idempotency: None,
            }
        };
        let mut inputs = vec![Input::Propose {
            ticket: Ticket(number),
            actor: Actor::Coordinator,
            command,
        }];
        while let Some(input) = inputs.pop() {
            for output in self.engine.handle(at(number), input) {
                if let Output::Commit(commit) = output {
                    let result = self.journal.commit(&commit);
                    inputs.push(Input::Committed {
                        commit,
                        took_ms: 0,
                        result,
                    });
                }
            }
        }
    }

    fn state(&self) -> String {
        format!("{:?}", self.engine.view().read().state)
    }
}

#[test]
fn a_coordinator_goes_on_from_a_backup_to_the_state_it_would_have_had() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let mut original = Coordinator::start(&path("data"), 0);
    let mut backups = Vec::new();
    for number in 1..=120 {
        original.submit(number);
        if number % 37 == 0 {
            let name = format!("backup{number}");
            let made = create(&path("data"), &path(&name), WITH_LOGS).unwrap();
            assert_eq!(made.log.index, original.journal.last_index());
            backups.push((number, name, original.state()));
        }
    }
    assert_eq!(backups.len(), 3);
    let wanted = create(&path("data"), &path("end"), WITH_LOGS).unwrap();
    for (number, name, state) in backups {
        let restored = path(&format!("{name}-restored"));
        restore(&path(&name), &restored, NEW_CLUSTER, NOW).unwrap();
        let mut coordinator = Coordinator::start(&restored, number);
        assert!(coordinator.state() == state, "at {number}");
        assert!(state.contains("task1"), "there is something to compare");
        let record = format!("fired: {}", number / 3 - 1);
        assert!(state.contains(&record), "the trigger is not in the state");
        for number in number + 1..=120 {
            coordinator.submit(number);
        }
        let end = create(&restored, &path(&format!("{name}-end")), WITH_LOGS).unwrap();
        let (wanted, found) = (wanted.state.unwrap(), end.state.unwrap());
        assert_eq!(found, wanted, "after {number}");
        assert!(found.index.0 > number);
    }
}
