//! Writes that were made apart from each other, delivered in different orders.

use super::fixture::Coordinator;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use skep_model::attempt::ArtifactHash;
use skep_model::ids::ReplicaId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

/// A write that was made elsewhere and saw nothing else, by a replica that made no other.
#[derive(Debug, Clone)]
struct Apart {
    value: u64,
    wall: u64,
}

fn apart() -> impl Strategy<Value = (Vec<Apart>, Vec<usize>)> {
    let one = (0..9_u64, 1..5_u64).prop_map(|(value, wall)| Apart { value, wall });
    prop::collection::vec(one, 2..6).prop_flat_map(|writes| {
        let order: Vec<_> = (0..writes.len()).collect();
        (Just(writes), Just(order).prop_shuffle())
    })
}

/// Under this strategy, in both orders: the values that are there in the end, and those that wait.
async fn delivered(
    coordinator: &Coordinator,
    (namespace, strategy): (&str, &Value),
    writes: &[Apart],
    order: &[usize],
) -> [(Value, Vec<Value>); 2] {
    let rules = json!({"strategies": [{"prefix": "", "strategy": strategy}]});
    let path = format!("/api/v2/memory-namespaces/{namespace}");
    coordinator.call("PUT", &path, Some(rules)).await.ok();
    let given: Vec<_> = (0..writes.len()).collect();
    let mut ends = Vec::new();
    for (key, order) in [("given", &given[..]), ("shuffled", order)] {
        let path = format!("/api/v2/memory/{namespace}/{key}");
        for number in order {
            let Apart { value, wall } = &writes[*number];
            let replica = ReplicaId::from_u128(1 + *number as u128).to_string();
            let value = match strategy["merge"].as_str() {
                Some("set_union") => json!([value]),
                Some(_) => json!({ &replica: value }),
                None => json!(value),
            };
            let stamp = json!({
                "time": {"wall": wall, "counter": 0, "replica": replica},
                "clock": {replica: 1},
            });
            let answer = coordinator
                .write(&path, json!({"value": value, "stamp": stamp}))
                .await;
            let late = strategy == "last_writer_wins" && answer.status == 409;
            assert!(late || answer.status.is_success(), "{}", answer.text());
        }
        let dispute = coordinator.get(&format!("{path}/conflicts")).await.ok();
        let open = dispute["open"].as_array().unwrap().iter();
        let open = open.map(|version| version["value"].clone()).collect();
        ends.push((dispute["present"]["value"].clone(), open));
    }
    ends.try_into().unwrap()
}

/// What the writes have to come to, whatever the order.
fn expected(strategy: &Value, writes: &[Apart]) -> Value {
    let values = writes.iter().map(|write| write.value);
    match strategy["merge"].as_str() {
        Some("set_union") => json!(values.collect::<BTreeSet<_>>()),
        Some(_) => {
            let replica = |number: usize| ReplicaId::from_u128(1 + number as u128).to_string();
            let counts = values
                .enumerate()
                .map(|(number, value)| (replica(number), value));
            json!(counts.collect::<BTreeMap<_, _>>())
        }
        // The later one wins; of one moment that of the larger hash.
        None => {
            let last = writes.iter().max_by_key(|write| {
                let text = write.value.to_string();
                (write.wall, ArtifactHash::of(text.as_bytes()))
            });
            json!(last.unwrap().value)
        }
    }
}

#[test]
fn writes_that_were_made_apart_come_to_the_same_in_any_order() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let coordinator = runtime.block_on(Coordinator::start());
    let strategies = [
        json!("last_writer_wins"),
        json!("vector_clock"),
        json!({"merge": "set_union"}),
        json!({"merge": "counter"}),
        json!("manual"),
    ];
    let mut runner = TestRunner::new(Config {
        cases: 24,
        failure_persistence: None,
        ..Config::default()
    });
    let names = AtomicU64::new(0);
    let checked = runner.run(&apart(), |(writes, order)| {
        for strategy in &strategies {
            let namespace = format!("apart{}", names.fetch_add(1, Ordering::Relaxed));
            let place = (namespace.as_str(), strategy);
            let ends = runtime.block_on(delivered(&coordinator, place, &writes, &order));
            for (number, (present, open)) in ends.into_iter().enumerate() {
                if strategy == "manual" {
                    let first = if number == 0 { 0 } else { order[0] };
                    prop_assert_eq!(&present, &json!(writes[first].value));
                    let mut all: Vec<_> = open.iter().chain([&present]).collect();
                    let mut wanted: Vec<_> =
                        writes.iter().map(|write| json!(write.value)).collect();
                    all.sort_by_key(|value| value.as_u64());
                    wanted.sort_by_key(Value::as_u64);
                    // Who wrote what is there has nothing to decide about.
                    all.dedup();
                    wanted.dedup();
                    prop_assert_eq!(all, wanted.iter().collect::<Vec<_>>());
                } else {
                    prop_assert_eq!(&present, &expected(strategy, &writes), "{}", strategy);
                    prop_assert!(open.is_empty());
                }
            }
        }
        Ok(())
    });
    checked.unwrap();
}
