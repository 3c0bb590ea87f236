//! Puts versions into tier 2, one after the other, while readers go on.

use crate::envelope::Location;
use crate::shared::{SHARED_TTL, SharedState, name};
use redis::aio::ConnectionManager;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// What is to be done in tier 2.
#[derive(Debug)]
pub(crate) enum Order {
    /// Keep a version with its seal.
    Keep(Location, Vec<u8>),
    /// Forget a version to make room.
    Forget(Location),
}

/// The task that writes into tier 2.
pub struct SharedTierWriter {
    connection: ConnectionManager,
    state: Arc<SharedState>,
    orders: mpsc::Receiver<Order>,
}

impl std::fmt::Debug for SharedTierWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedTierWriter").finish_non_exhaustive()
    }
}

impl SharedTierWriter {
    pub(crate) const fn new(
        connection: ConnectionManager,
        state: Arc<SharedState>,
        orders: mpsc::Receiver<Order>,
    ) -> Self {
        Self {
            connection,
            state,
            orders,
        }
    }

    /// Writes until it is told to stop, or nobody can order any more. What waits then is dropped:
    /// it is a copy.
    pub async fn run(mut self, stop: CancellationToken) {
        while let Some(Some(order)) = stop.run_until_cancelled(self.orders.recv()).await {
            let breaker = &self.state.breaker;
            if !breaker.lets_through() {
                continue;
            }
            let command = command(&order);
            match command.exec_async(&mut self.connection).await {
                Ok(()) => {
                    breaker.succeeded();
                    if let Order::Keep(location, sealed) = order {
                        self.state.ledger.add(location, sealed.len());
                    }
                }
                Err(error) => breaker.failed(&error),
            }
        }
    }
}

fn command(order: &Order) -> redis::Cmd {
    match order {
        Order::Keep(location, sealed) => {
            let mut set = redis::cmd("SET");
            set.arg(name(location)).arg(sealed.as_slice());
            set.arg("EX").arg(SHARED_TTL.as_secs());
            set
        }
        Order::Forget(location) => {
            let mut forget = redis::cmd("UNLINK");
            forget.arg(name(location));
            forget
        }
    }
}
