//! Tier 2: versions in a Redis or Valkey server.

use crate::SharedCounts;
use crate::breaker::Breaker;
use crate::envelope::{Location, TierKey};
use crate::ledger::Ledger;
use crate::place::Place;
use crate::shared_writer::{Order, SharedTierWriter};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use skep_model::memory::MemoryRecord;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;

/// Bytes of versions that this process keeps in tier 2, about.
pub const SHARED_BYTES_MAX: u64 = 1 << 30;
/// How long they stay there.
pub const SHARED_TTL: Duration = Duration::from_hours(1);
/// What a reader waits for tier 2 at most: the archive is not much slower.
const READ_MAX: Duration = Duration::from_millis(50);
const CONNECT_MAX: Duration = Duration::from_millis(500);
/// Versions that wait to be put there; more are not put.
const ORDERS_MAX: usize = 256;
/// Before the name of everything that Skep puts there as a cache.
const PREFIX: &str = "skep:memory:";

/// Tier 2 cannot be used as it was described.
#[derive(Debug, thiserror::Error)]
#[error("`{url}` is no address of a Redis server, such as `redis://127.0.0.1:6379/0`")]
pub struct SharedTierError {
    url: String,
    #[source]
    source: redis::RedisError,
}

pub(crate) struct SharedTier {
    connection: ConnectionManager,
    state: Arc<SharedState>,
    orders: mpsc::Sender<Order>,
    damaged: AtomicU64,
    skipped: AtomicU64,
}

/// What readers and the writer know of the server.
#[derive(Debug)]
pub(crate) struct SharedState {
    pub(crate) breaker: Breaker,
    pub(crate) ledger: Ledger,
}

impl std::fmt::Debug for SharedTier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedTier")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl SharedTier {
    pub(crate) fn open(url: &str) -> Result<(Self, SharedTierWriter), SharedTierError> {
        let fault = |source| SharedTierError {
            url: without_password(url),
            source,
        };
        let client = redis::Client::open(url).map_err(fault)?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(CONNECT_MAX))
            .set_response_timeout(Some(CONNECT_MAX))
            .set_number_of_retries(0);
        let connection = ConnectionManager::new_lazy_with_config(client, config).map_err(fault)?;
        let (orders, waiting) = mpsc::channel(ORDERS_MAX);
        let forgetting = orders.clone();
        // A full queue leaves it to the server to forget it in time.
        let forget = move |location| drop(forgetting.try_send(Order::Forget(location)));
        let state = Arc::new(SharedState {
            breaker: Breaker::new(),
            ledger: Ledger::new(SHARED_BYTES_MAX, SHARED_TTL, forget),
        });
        let writer = SharedTierWriter::new(connection.clone(), Arc::clone(&state), waiting);
        let tier = Self {
            connection,
            state,
            orders,
            damaged: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
        };
        Ok((tier, writer))
    }

    pub(crate) async fn get(
        &self,
        key: &TierKey,
        location: Location,
        place: &Place<'_>,
    ) -> Option<MemoryRecord> {
        let breaker = &self.state.breaker;
        if !breaker.lets_through() {
            return None;
        }
        let mut connection = self.connection.clone();
        let mut get = redis::cmd("GET");
        get.arg(name(&location));
        let answer = get.query_async::<Option<Vec<u8>>>(&mut connection);
        let sealed = match tokio::time::timeout(READ_MAX, answer).await {
            Ok(Ok(sealed)) => sealed,
            Ok(Err(error)) => {
                breaker.failed(&error);
                return None;
            }
            Err(elapsed) => {
                breaker.failed(&elapsed);
                return None;
            }
        };
        breaker.succeeded();
        let record = key.unseal(place, &sealed?);
        if record.is_none() {
            self.damaged.fetch_add(1, Ordering::Relaxed);
        }
        record
    }

    /// Leaves it to the writer, if that is not too far behind.
    pub(crate) fn put(&self, location: Location, sealed: Vec<u8>) {
        let state = &self.state;
        if state.ledger.has(&location) || !state.breaker.lets_through() {
            return;
        }
        if self.orders.try_send(Order::Keep(location, sealed)).is_err() {
            self.skipped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// All but hits and misses.
    pub(crate) fn counts(&self) -> SharedCounts {
        SharedCounts {
            failures: self.state.breaker.failures(),
            damaged: self.damaged.load(Ordering::Relaxed),
            skipped: self.skipped.load(Ordering::Relaxed),
            up: self.state.breaker.is_up(),
            ..SharedCounts::default()
        }
    }
}

/// What a version is called in the server.
pub(crate) fn name(location: &Location) -> String {
    let mut name = String::with_capacity(PREFIX.len() + 2 * location.len());
    name.push_str(PREFIX);
    for byte in location {
        // Writing to a string cannot fail.
        let _ = write!(name, "{byte:02x}");
    }
    name
}

/// What may be shown of the address of a Redis or Valkey server.
pub fn without_password(url: &str) -> String {
    match url.split_once("://").zip(url.rsplit_once('@')) {
        Some(((scheme, _), (_, host))) => format!("{scheme}://...@{host}"),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_address_is_refused_without_its_password() {
        for (url, shown) in [
            ("redis", "`redis`"),
            ("http://127.0.0.1", "`http://127.0.0.1`"),
            ("http://me:secret@host:1", "`http://...@host:1`"),
        ] {
            let error = SharedTier::open(url).map(drop).unwrap_err().to_string();
            assert!(error.starts_with(shown), "{error}");
        }
    }
}
