//! Shared memory against a small model: random writes by one caller, and a register that many
//! callers read and swap at once.

use super::fixture::Coordinator;
use super::linearizability::{Call, Timed, is_linearizable};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a caller may do.
#[derive(Debug, Clone)]
enum Step {
    Put(u8, u64, Option<u64>),
    PutIfAbsent(u8, u64),
    /// The version that is there, or one beside it.
    PutIfVersion(u8, u64, bool),
    Delete(u8),
    Touch(u8, Option<u64>),
    Get(u8),
    Pass(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = 0..3_u8;
    let ttl = prop::option::of(1..20_u64);
    let step = prop_oneof![
        3 => (key.clone(), any::<u64>(), ttl.clone()).prop_map(|(key, value, ttl)| Step::Put(key, value, ttl)),
        2 => (key.clone(), any::<u64>()).prop_map(|(key, value)| Step::PutIfAbsent(key, value)),
        3 => (key.clone(), any::<u64>(), any::<bool>())
            .prop_map(|(key, value, right)| Step::PutIfVersion(key, value, right)),
        1 => key.clone().prop_map(Step::Delete),
        1 => (key.clone(), ttl).prop_map(|(key, ttl)| Step::Touch(key, ttl)),
        3 => key.prop_map(Step::Get),
        2 => (1..15_u64).prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 1..40)
}

/// Seconds of a unit of the model's time: far more than a case takes.
const UNIT_S: u64 = 600;

/// An entry of the model; times in units of the model's clock.
#[derive(Debug, Clone)]
struct Entry {
    value: u64,
    version: u64,
    ends: Option<u64>,
}

/// What the model says, and what callers were told.
#[derive(Debug, Default)]
struct Model {
    entries: BTreeMap<u8, Entry>,
    newest: u64,
    clock: u64,
    /// Writes and removals, in their order: the events that a follower has to see.
    changes: Vec<(String, String)>,
}

impl Model {
    fn present(&self, key: u8) -> Option<&Entry> {
        let entry = self.entries.get(&key)?;
        entry
            .ends
            .is_none_or(|end| end > self.clock)
            .then_some(entry)
    }

    /// A key that is over is told as such at the next write at the latest, so it is not asked when.
    fn told(&mut self, kind: &str, key: u8) {
        self.changes.push((kind.to_owned(), format!("k{key}")));
    }
}

struct Checked<'a> {
    coordinator: &'a Coordinator,
    namespace: String,
    model: Model,
}

impl Checked<'_> {
    fn path(&self, key: u8) -> String {
        format!("/api/v2/memory/{}/k{key}", self.namespace)
    }

    async fn put(&mut self, key: u8, value: u64, ttl: Option<u64>, condition: (&str, Value)) {
        let present = self.model.present(key).map(|entry| entry.version);
        let allowed = match condition.0 {
            "if_absent" => present.is_none(),
            "if_version" => present.is_some() && condition.1.as_u64() == present,
            _ => true,
        };
        let mut body = json!({ "value": value, "ttl_s": ttl.map(|ttl| ttl * UNIT_S) });
        body[condition.0] = condition.1;
        let answer = self.coordinator.write(&self.path(key), body).await;
        if !allowed {
            assert_eq!(
                answer.problem(),
                (409, "memory_version_conflict".to_owned())
            );
            assert_eq!(answer.json()["current_version"].as_u64(), present);
            return;
        }
        let written = answer.ok();
        let version = written["version"].as_u64().unwrap();
        assert!(version > self.model.newest, "{version} was given before");
        assert_eq!(written["replaced"].as_u64(), present);
        self.model.newest = version;
        let ends = ttl.map(|ttl| self.model.clock + ttl);
        let entry = Entry {
            value,
            version,
            ends,
        };
        self.model.entries.insert(key, entry);
        self.model.told("memory_written", key);
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Put(key, value, ttl) => self.put(key, value, ttl, ("why", json!("test"))).await,
            Step::PutIfAbsent(key, value) => {
                self.put(key, value, None, ("if_absent", json!(true))).await;
            }
            Step::PutIfVersion(key, value, right) => {
                let version = self.model.present(key).map_or(1, |entry| entry.version);
                let version = if right { version } else { version + 1 };
                self.put(key, value, None, ("if_version", json!(version)))
                    .await;
            }
            Step::Delete(key) => {
                let present = self.model.present(key).is_some();
                let answer = self.coordinator.call("DELETE", &self.path(key), None).await;
                assert_eq!(answer.status.is_success(), present, "{}", answer.text());
                if present {
                    self.model.newest = answer.json()["version"].as_u64().unwrap();
                    self.model.entries.remove(&key);
                    self.model.told("memory_deleted", key);
                }
            }
            Step::Touch(key, ttl) => {
                let path = format!("{}/touch", self.path(key));
                let answer = self
                    .coordinator
                    .post(&path, json!({ "ttl_s": ttl.map(|ttl| ttl * UNIT_S) }))
                    .await;
                let present = self.model.present(key).is_some();
                assert_eq!(answer.status.is_success(), present, "{}", answer.text());
                if present {
                    let ends = ttl.map(|ttl| self.model.clock + ttl);
                    self.model.entries.get_mut(&key).unwrap().ends = ends;
                    self.model.told("memory_touched", key);
                }
            }
            Step::Get(key) => self.get(key).await,
            Step::Pass(units) => {
                self.coordinator.clock.pass(units * UNIT_S * 1_000);
                self.model.clock += units;
            }
        }
    }

    async fn get(&self, key: u8) {
        let answer = self.coordinator.get(&self.path(key)).await;
        match self.model.present(key) {
            Some(entry) => {
                let found = answer.ok();
                assert_eq!(found["value"], entry.value);
                assert_eq!(found["version"], entry.version);
            }
            None => assert_eq!(answer.status, 404, "{}", answer.text()),
        }
    }

    /// Every change once and in order, ends left out: they come when they come.
    async fn check_followers(&self) {
        let path = format!(
            "/api/v2/events?namespace={}&key=k*&limit=1000",
            self.namespace
        );
        let page = self.coordinator.get(&path).await.ok();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let events = page["items"].as_array().unwrap().iter();
        let seen: Vec<_> = events
            .map(|event| (text(&event["event"]), text(&event["data"]["key"])))
            .filter(|(kind, _)| kind != "memory_expired")
            .collect();
        assert_eq!(seen, self.model.changes);
    }
}

#[test]
fn conditions_ends_and_followers_agree_with_the_model() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let coordinator = runtime.block_on(Coordinator::start());
    let mut runner = TestRunner::new(Config {
        cases: 48,
        failure_persistence: None,
        ..Config::default()
    });
    let names = AtomicU64::new(0);
    let checked = runner.run(&steps(), |steps| {
        let namespace = format!("model{}", names.fetch_add(1, Ordering::Relaxed));
        runtime.block_on(async {
            let mut checked = Checked {
                coordinator: &coordinator,
                namespace,
                model: Model::default(),
            };
            for step in steps {
                checked.step(step).await;
            }
            for key in 0..3 {
                checked.get(key).await;
            }
            checked.check_followers().await;
        });
        Ok(())
    });
    checked.unwrap();
}

/// Numbers each moment, so that no two are the same.
#[derive(Debug, Default)]
struct Moments(AtomicU64);

impl Moments {
    fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}

const REGISTER: &str = "/api/v2/memory/swarm/register";

/// Reads and swaps as they come; each swap wants what was read before, and writes what nobody else
/// writes.
async fn use_register(
    coordinator: Arc<Coordinator>,
    moments: Arc<Moments>,
    (caller, calls): (u64, u64),
) -> Vec<Timed> {
    let mut history = Vec::new();
    for number in 0..calls {
        let began = moments.next();
        let found = coordinator.get(REGISTER).await.ok();
        let ended = moments.next();
        let value = found["value"].as_u64().unwrap();
        let call = Call::Read(value);
        history.push(Timed { call, began, ended });
        let new = 1 + caller * calls + number;
        let body = json!({"value": new, "if_version": found["version"]});
        let began = moments.next();
        let answer = coordinator.write(REGISTER, body).await;
        let ended = moments.next();
        let call = if answer.status.is_success() {
            Call::Swapped(value, new)
        } else {
            assert_eq!(answer.problem().1, "memory_version_conflict");
            Call::Refused(value)
        };
        history.push(Timed { call, began, ended });
    }
    history
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn strong_reads_and_swaps_of_many_callers_are_linearizable() {
    const CALLERS: u64 = 4;
    const CALLS: u64 = 8;
    let coordinator = Arc::new(Coordinator::start().await);
    for round in 0..5 {
        coordinator.write(REGISTER, json!({"value": 0})).await.ok();
        let moments = Arc::new(Moments::default());
        let mut callers = tokio::task::JoinSet::new();
        for caller in 0..CALLERS {
            let (coordinator, moments) = (Arc::clone(&coordinator), Arc::clone(&moments));
            callers.spawn(use_register(coordinator, moments, (caller, CALLS)));
        }
        let history = callers.join_all().await.concat();
        let swapped = |timed: &&Timed| matches!(timed.call, Call::Swapped(..));
        assert!(history.iter().filter(swapped).count() > 0);
        assert!(is_linearizable(0, &history), "round {round}: {history:?}");
        // The check itself is put to the test: a read that came too late is found.
        let mut wrong = history.clone();
        let end = moments.next();
        wrong.push(Timed {
            call: Call::Read(0),
            began: end,
            ended: end + 1,
        });
        assert!(!is_linearizable(0, &wrong), "round {round}");
    }
}
