//! Played callers at a real coordinator process.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests are not seen as tests; a panic there is a failed test"
)]

mod coordinator;

use coordinator::Coordinator;
use skep_fleet::submissions::{Load, recovery};
use skep_fleet::subscribers::Audience;
use skep_fleet::{Fleet, FleetOptions};
use std::time::Duration;

const NODES: usize = 20;
const PATIENCE: Duration = Duration::from_secs(30);

async fn fleet(coordinator: &Coordinator) -> Fleet {
    let fleet = Fleet::start(FleetOptions {
        coordinator: coordinator.place(),
        nodes: NODES,
        slots: 4,
    })
    .await;
    tokio::time::timeout(PATIENCE, fleet.all_live())
        .await
        .expect("all nodes join in time");
    fleet
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_played_nodes_do_their_tasks_and_come_back_after_a_cut() {
    let coordinator = Coordinator::start();
    let fleet = fleet(&coordinator).await;
    coordinator.wait_for("skep_nodes{state=\"ready\"}", NODES as u64);
    coordinator
        .submit(r#"{"name":"t","kind":"noop"}"#, 100)
        .await;
    coordinator.wait_for("skep_finished_total{state=\"succeeded\"}", 100);
    let told = fleet.told();
    assert_eq!((told.live, told.attempts), (NODES, 100), "{told:?}");

    let cut = async {
        fleet.cut().await;
        fleet.all_live().await;
    };
    tokio::time::timeout(PATIENCE, cut)
        .await
        .expect("all nodes come back in time");
    coordinator
        .submit(r#"{"name":"t","kind":"noop"}"#, 100)
        .await;
    coordinator.wait_for("skep_finished_total{state=\"succeeded\"}", 200);
    let told = fleet.told();
    assert_eq!((told.live, told.refused), (NODES, 0), "{told:?}");
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_wants_a_process_fails_at_a_played_node() {
    let coordinator = Coordinator::start();
    let fleet = fleet(&coordinator).await;
    coordinator
        .submit(r#"{"name":"t","argv":["true"]}"#, 1)
        .await;
    coordinator.wait_for("skep_finished_total{state=\"failed\"}", 1);
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_follower_gets_every_event() {
    let coordinator = Coordinator::start();
    let audience = Audience {
        coordinator: coordinator.place(),
        subscribers: 5,
        tasks_per_second: 100,
        duration: Duration::from_millis(500),
    };
    let delivered = audience.follow().await.unwrap();
    assert!(delivered.fewest > 0, "{delivered:?}");
    assert_eq!(delivered.fewest, delivered.most, "{delivered:?}");
    assert_eq!(delivered.events, 5 * delivered.most, "{delivered:?}");
    assert_eq!(delivered.broken, 0, "{delivered:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn submissions_beyond_the_free_connections_are_counted_as_not_sent() {
    let coordinator = Coordinator::start();
    let load = Load {
        coordinator: coordinator.place(),
        connections: 2,
        rate: Some(1_000_000),
        duration: Duration::from_millis(300),
    };
    let answered = load.drive().await.unwrap();
    assert!(answered.accepted > 0 && answered.unsent > 0, "{answered:?}");
    assert_eq!((answered.refused, answered.other), (0, 0), "{answered:?}");
    let submitted = coordinator.value("skep_submitted_total");
    assert_eq!(submitted, answered.accepted, "{answered:?}");
    let quick = Duration::from_secs(5);
    recovery(&coordinator.place(), quick, PATIENCE)
        .await
        .unwrap();
}
