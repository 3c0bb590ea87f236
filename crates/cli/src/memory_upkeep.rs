//! The task that removes from shared memory what ended runs left there.

use skep_operations::{Services, remove_memory_of_ended_runs};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// Between two rounds.
const ROUND_PAUSE: Duration = Duration::from_mins(5);

/// Runs until `stop` is cancelled.
pub(crate) async fn run(services: Arc<Services>, stop: CancellationToken) {
    let mut rounds = tokio::time::interval(ROUND_PAUSE);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = rounds.tick() => {}
            () = stop.cancelled() => return,
        }
        tokio::select! {
            removed = remove_memory_of_ended_runs(&services) => match removed {
                Ok(0) => {}
                Ok(entries) => tracing::info!(entries, "removed what ended runs left in memory"),
                Err(error) => tracing::warn!(%error, "memory of ended runs was not removed"),
            },
            () = stop.cancelled() => return,
        }
    }
}
