//! The task that keeps how often operations and tools were called.

use skep_operations::{Services, keep_calls, sum_up_calls};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// Between two times that counts are kept: a process that is killed loses no more.
const KEEP_PAUSE: Duration = Duration::from_mins(1);
/// How long the last time may take.
const LAST_MAX: Duration = Duration::from_secs(2);

/// The running task.
#[derive(Debug)]
pub(crate) struct CallUpkeep {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl CallUpkeep {
    /// Starts it: first it sums up what ended processes kept.
    #[expect(
        clippy::disallowed_methods,
        reason = "the handle is owned by `CallUpkeep` and joined by `CallUpkeep::stop`"
    )]
    pub(crate) fn start(services: Arc<Services>) -> Self {
        let stop = CancellationToken::new();
        let task = tokio::spawn(run(services, stop.clone()));
        Self { stop, task }
    }

    /// Keeps the counts once more. Call it while the coordinator still takes commands.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            tracing::warn!(%error, "the task that keeps counts of calls failed");
        }
    }
}

async fn run(services: Arc<Services>, stop: CancellationToken) {
    tokio::select! {
        summed = sum_up_calls(&services) => {
            if let Err(error) = summed {
                tracing::warn!(%error, "counts of calls of earlier processes were not summed up");
            }
        }
        () = stop.cancelled() => {}
    }
    let mut rounds = tokio::time::interval_at(Instant::now() + KEEP_PAUSE, KEEP_PAUSE);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = rounds.tick() => keep(&services).await,
            () = stop.cancelled() => break,
        }
    }
    if tokio::time::timeout(LAST_MAX, keep(&services))
        .await
        .is_err()
    {
        tracing::warn!("the last counts of calls were not kept in time");
    }
}

async fn keep(services: &Arc<Services>) {
    if let Err(error) = keep_calls(services).await {
        tracing::warn!(%error, "counts of calls were not kept; they are with the next ones");
    }
}
