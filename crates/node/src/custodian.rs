//! Looks after what an earlier process, or a lost answer, left to hand in: artifacts and logs.

use crate::CUSTODY_INTERVAL_MS;
use crate::attempt_thread::Workshop;
use crate::error::chain;
use crate::log_plan::Output;
use crate::log_shipper::LogShipper;
use skep_client::ClientError;
use skep_model::ids::TaskId;
use skep_runner::Runner;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// A log that an earlier process left.
#[derive(Debug)]
pub(crate) struct LeftLog {
    task: TaskId,
    attempt: u32,
    written: u64,
}

/// Finds the logs below a runner's directory; call it before the first attempt starts.
pub(crate) fn left_logs(runner: &Runner) -> io::Result<Vec<LeftLog>> {
    let mut logs = Vec::new();
    for directory in fs::read_dir(runner.state_dir().join("attempts"))? {
        let directory = directory?.path();
        let Some(task) = name_of(&directory) else {
            continue;
        };
        for attempt in fs::read_dir(&directory)? {
            let Some(attempt) = name_of(&attempt?.path()) else {
                continue;
            };
            // A log that cannot be read is of no use to anybody.
            let Ok(chunk) = runner.read_log(task, attempt, 0, 0) else {
                runner.forget(task, attempt);
                continue;
            };
            logs.push(LeftLog {
                task,
                attempt,
                written: chunk.written,
            });
        }
    }
    Ok(logs)
}

fn name_of<T: std::str::FromStr>(path: &Path) -> Option<T> {
    path.file_name()?.to_str()?.parse().ok()
}

/// Hands in, whenever a session is live.
#[derive(Debug)]
pub(crate) struct Custodian {
    pub(crate) workshop: Arc<Workshop>,
    pub(crate) logs: Vec<LeftLog>,
    /// Rings when a session is live.
    pub(crate) session: Arc<Notify>,
}

impl Custodian {
    pub(crate) async fn run(mut self) {
        self.session.notified().await;
        let logs = std::mem::take(&mut self.logs);
        tokio::join!(self.ship_all(logs), self.watch_artifacts());
    }

    async fn watch_artifacts(&self) {
        loop {
            self.upload_again().await;
            let interval = Duration::from_millis(CUSTODY_INTERVAL_MS);
            // An elapsed interval and a new session are the same to it.
            let _ = tokio::time::timeout(interval, self.session.notified()).await;
        }
    }

    async fn ship_all(&self, logs: Vec<LeftLog>) {
        for log in logs {
            self.ship(log).await;
        }
    }

    async fn ship(&self, log: LeftLog) {
        let shipper = LogShipper {
            client: self.workshop.client.clone(),
            runner: Arc::clone(&self.workshop.runner),
            task: log.task,
            attempt: log.attempt,
        };
        let (_output, follower) = watch::channel(Output {
            written: log.written,
            ended: true,
        });
        shipper.run(follower).await;
    }

    /// Makes sure that the bytes of every result that is not answered are at the coordinator. It
    /// refuses results without them, and the brain sends those again and again.
    async fn upload_again(&self) {
        let workshop = Arc::clone(&self.workshop);
        let listed = tokio::task::spawn_blocking(move || workshop.staging.files()).await;
        for (key, files) in listed.unwrap_or_default() {
            for (hash, file) in files {
                match self.workshop.client.upload_artifact(hash, &file).await {
                    Ok(_) => {}
                    // Answered and removed just now.
                    Err(ClientError::File { source, .. })
                        if source.kind() == io::ErrorKind::NotFound => {}
                    Err(error) if error.is_retryable() => return,
                    Err(error) => {
                        tracing::warn!(attempt = %key, %hash, cause = %chain(&error),
                            "a kept artifact is not taken by the coordinator");
                    }
                }
            }
        }
    }
}
