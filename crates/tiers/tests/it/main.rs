//! Tier 2 with a real server, which is started, stopped and filled by others.

#![expect(
    clippy::unwrap_used,
    reason = "clippy knows tests by their attribute, not their fixtures"
)]

mod redis_server;

use redis_server::RedisServer;
use skep_model::command::Actor;
use skep_model::memory::{
    MemoryProvenance, MemoryPut, MemoryRecord, MemoryValue, MemoryVersion, RecordState,
};
use skep_model::time::UnixMillis;
use skep_tiers::{MemoryTiers, Place, TierKey};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How long a test waits for what happens in another thread.
const PATIENCE: Duration = Duration::from_secs(10);

fn record(version: u64, value: &str) -> Arc<MemoryRecord> {
    Arc::new(MemoryRecord {
        namespace: "swarm".parse().unwrap(),
        key: "a".parse().unwrap(),
        version: MemoryVersion(version),
        state: RecordState::Written,
        put: Some(Arc::new(MemoryPut::new(MemoryValue::Json(value.into())))),
        expires_at: None,
        written_at: UnixMillis(5),
        actor: Actor::Coordinator,
        provenance: MemoryProvenance::default(),
        stamp: None,
        replaced: None,
    })
}

/// The one key that lies in the server.
fn only_key(server: &RedisServer) -> String {
    let keys = server.cli(&["KEYS", "*"]);
    let mut keys = keys.lines().map(str::to_owned);
    let key = keys.next().expect("something is there");
    assert_eq!(keys.next(), None);
    key
}

/// Tiers of a process of its own: nothing lies in its tier 1.
struct Fresh {
    tiers: Arc<MemoryTiers>,
    stop: CancellationToken,
    writer: tokio::task::JoinHandle<()>,
}

impl Fresh {
    fn start(url: &str) -> Self {
        let (tiers, writer) = MemoryTiers::with_shared(TierKey::derive(b"test"), url).unwrap();
        let stop = CancellationToken::new();
        let handle = tokio::runtime::Handle::current();
        let writer = handle.spawn(writer.run(stop.clone()));
        Self {
            tiers: Arc::new(tiers),
            stop,
            writer,
        }
    }

    async fn shared(&self, record: &MemoryRecord) -> Option<Arc<MemoryRecord>> {
        self.tiers.get_shared(&Place::of(record)).await
    }

    /// Asks until the version is there.
    async fn finds(&self, record: &MemoryRecord) {
        let start = Instant::now();
        while self.shared(record).await.as_deref() != Some(record) {
            let counts = self.tiers.counts();
            assert!(start.elapsed() < PATIENCE, "never found: {counts:?}");
            tokio::task::yield_now().await;
        }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.writer.await.unwrap();
    }
}

#[tokio::test]
async fn what_one_process_put_there_another_one_finds() {
    let server = RedisServer::start();
    let (one, other) = (Fresh::start(&server.url()), Fresh::start(&server.url()));
    let record = record(1, "\"text\"");
    assert_eq!(other.shared(&record).await, None);
    one.tiers.put(&record);
    other.finds(&record).await;
    let again = other.tiers.get_local(&Place::of(&record));
    assert_eq!(again.as_deref(), Some(&*record), "tier 1 has it now");
    let ttl = server.cli(&["TTL", &only_key(&server)]);
    let ttl: u64 = ttl.trim().parse().unwrap();
    assert!((3_500..=3_600).contains(&ttl), "{ttl}");
    one.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn a_server_that_lies_is_not_believed() {
    let server = RedisServer::start();
    let (one, other) = (Fresh::start(&server.url()), Fresh::start(&server.url()));
    let record = record(1, "\"text\"");
    one.tiers.put(&record);
    other.finds(&record).await;
    server.cli(&["SET", &only_key(&server), "something else"]);
    let third = Fresh::start(&server.url());
    assert_eq!(third.shared(&record).await, None);
    assert_eq!(third.tiers.counts().shared.unwrap().damaged, 1);
    for tiers in [one, other, third] {
        tiers.stop().await;
    }
}

#[tokio::test]
async fn a_lost_server_costs_a_moment_and_comes_back_by_itself() {
    let server = RedisServer::start();
    let tiers = Fresh::start(&server.url());
    let first = record(1, "1");
    tiers.tiers.put(&first);
    tiers.finds(&first).await;
    let port = server.port();
    drop(server);
    let start = Instant::now();
    for version in 2..1_000 {
        assert_eq!(tiers.shared(&record(version, "1")).await, None);
    }
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
    let counts = tiers.tiers.counts().shared.unwrap();
    assert!(!counts.up && counts.failures >= 1, "{counts:?}");
    let server = RedisServer::start_at(port);
    let start = Instant::now();
    let next = record(1_000, "1");
    while tiers.shared(&next).await.is_none() {
        tiers.tiers.put(&next);
        assert!(start.elapsed() < PATIENCE, "{:?}", tiers.tiers.counts());
        tokio::task::yield_now().await;
    }
    assert!(tiers.tiers.counts().shared.unwrap().up);
    tiers.stop().await;
    drop(server);
}
