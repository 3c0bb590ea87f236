//! Sends the output of attempts to the coordinator, while they run and after.

use crate::error::chain;
use crate::log_plan::{Output, Piece, next_piece};
use crate::{
    LOG_PIECE_BYTES, LOG_RETENTION_MS, LOG_SHIP_MS, TRANSFER_RETRY_MAX_MS, TRANSFER_RETRY_MS,
};
use bytes::Bytes;
use skep_client::{Client, ClientError};
use skep_model::ids::TaskId;
use skep_runner::Runner;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Code with which the coordinator says that it has fewer bytes than the shipper thinks.
const OFFSET_MISMATCH: &str = "upload_offset_mismatch";

/// Ships one log.
#[derive(Debug)]
pub(crate) struct LogShipper {
    pub(crate) client: Client,
    pub(crate) runner: Arc<Runner>,
    pub(crate) task: TaskId,
    pub(crate) attempt: u32,
}

/// Why the rest of a log is not sent.
#[derive(Debug, thiserror::Error)]
enum ShipError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("read the log of the attempt")]
    Read(#[source] std::io::Error),
    #[error("the log on disk ends before its known length")]
    Short,
}

impl LogShipper {
    /// Sends everything that `output` announces, until the attempt has ended and all of it is
    /// there. Removes the log from this machine at the end, sent or not.
    pub(crate) async fn run(self, mut output: watch::Receiver<Output>) {
        let mut stored = None;
        let mut failures = 0;
        let mut gives_up_at = None;
        loop {
            let known = *output.borrow_and_update();
            if known.ended {
                let retention = Duration::from_millis(LOG_RETENTION_MS);
                gives_up_at.get_or_insert_with(|| Instant::now() + retention);
            }
            let pause_ms = match self.ship(known, &mut stored).await {
                Ok(()) if known.ended => break,
                Ok(()) => {
                    failures = 0;
                    // The first output goes out at once.
                    if known.written > 0 { LOG_SHIP_MS } else { 0 }
                }
                Err(ShipError::Client(error)) if error.is_retryable() => {
                    failures += 1;
                    backoff_ms(failures)
                }
                Err(error) => {
                    self.warn_of_loss(&chain(&error));
                    break;
                }
            };
            if gives_up_at.is_some_and(|at| Instant::now() >= at) {
                self.warn_of_loss("the coordinator was not reached for LOG_RETENTION_MS");
                break;
            }
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(pause_ms)) => {}
                // The last output is not made to wait.
                _ = output.wait_for(|now| now.ended), if !known.ended => {}
            }
            if failures == 0 && output.wait_for(|now| now != &known).await.is_err() {
                break;
            }
        }
        self.forget(output).await;
    }

    async fn forget(self, mut output: watch::Receiver<Output>) {
        // The runner refuses to forget an attempt that still runs.
        let _ = output.wait_for(|now| now.ended).await;
        let Self {
            runner,
            task,
            attempt,
            ..
        } = self;
        let forgotten = tokio::task::spawn_blocking(move || runner.forget(task, attempt)).await;
        if let Err(error) = forgotten {
            tracing::warn!(%task, attempt, %error, "an attempt's directory was not removed");
        }
    }

    fn warn_of_loss(&self, reason: &str) {
        tracing::warn!(
            task = %self.task, attempt = self.attempt, reason,
            "the rest of an attempt's output is not sent"
        );
    }

    /// Sends what is known and not stored yet.
    async fn ship(&self, output: Output, stored: &mut Option<u64>) -> Result<(), ShipError> {
        loop {
            let at = match *stored {
                Some(at) => at,
                None if output.written == 0 => return Ok(()),
                // Asked for once: an earlier process may have sent a part.
                None => *stored.insert(self.append(0, Bytes::new()).await?),
            };
            let bytes = match next_piece(output, at) {
                Piece::Nothing => return Ok(()),
                Piece::Text(text) => Bytes::from(text),
                Piece::Output { offset, bytes_max } => self.read(offset, bytes_max).await?,
            };
            match self.append(at, bytes).await {
                Ok(length) => *stored = Some(length),
                Err(error) if error.has_code(OFFSET_MISMATCH) => *stored = None,
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn append(&self, offset: u64, bytes: Bytes) -> Result<u64, ClientError> {
        let appended = self
            .client
            .append_log(self.task, self.attempt, offset, bytes)
            .await?;
        Ok(appended.bytes)
    }

    async fn read(&self, offset: u64, bytes_max: u64) -> Result<Bytes, ShipError> {
        let (runner, task, attempt) = (Arc::clone(&self.runner), self.task, self.attempt);
        let count = bytes_max.min(LOG_PIECE_BYTES as u64) as usize;
        let read =
            tokio::task::spawn_blocking(move || runner.read_log(task, attempt, offset, count));
        let chunk = read
            .await
            .map_err(|error| ShipError::Read(std::io::Error::other(error)))?
            .map_err(ShipError::Read)?;
        if chunk.bytes.is_empty() || chunk.skipped > 0 {
            return Err(ShipError::Short);
        }
        Ok(chunk.bytes.into())
    }
}

/// The delay after so many failures in a row.
pub(crate) const fn backoff_ms(failures: u32) -> u64 {
    const DOUBLINGS_MAX: u32 = 16;
    let doublings = if failures > DOUBLINGS_MAX {
        DOUBLINGS_MAX
    } else {
        failures
    };
    let delay = TRANSFER_RETRY_MS << doublings;
    if delay < TRANSFER_RETRY_MAX_MS {
        delay
    } else {
        TRANSFER_RETRY_MAX_MS
    }
}
