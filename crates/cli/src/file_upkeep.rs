//! The thread that removes files which no row of the database needs any more.

use crate::exit::chain;
use skep_coordinator::ports::Clock;
use skep_store::{FileSweepReport, FileSweeper, RetentionPolicy};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// Between two of the 256 pieces of a round: a round takes a few minutes and is never felt.
const PIECE_PAUSE: Duration = Duration::from_secs(1);
/// Between two rounds, and after an error.
const ROUND_PAUSE: Duration = Duration::from_hours(1);

/// The running thread; it ends with this value.
#[derive(Debug)]
pub(crate) struct FileUpkeep {
    stop: SyncSender<()>,
    thread: JoinHandle<()>,
}

impl FileUpkeep {
    pub(crate) fn start(
        sweeper: FileSweeper,
        policy: RetentionPolicy,
        clock: Arc<dyn Clock>,
    ) -> std::io::Result<Self> {
        let (stop, stopped) = sync_channel(1);
        let thread = Builder::new()
            .name("file-upkeep".to_owned())
            .spawn(move || sweep_until(&stopped, sweeper, policy, clock.as_ref()))?;
        Ok(Self { stop, thread })
    }

    /// Ends it after the piece that it is at; blocks until then.
    pub(crate) fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::error!("the thread that removes old files panicked");
        }
    }
}

fn sweep_until(
    stopped: &Receiver<()>,
    mut sweeper: FileSweeper,
    policy: RetentionPolicy,
    clock: &dyn Clock,
) {
    let mut done = FileSweepReport::default();
    let mut pause = PIECE_PAUSE;
    while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
        pause = match sweeper.sweep(clock.wall(), &policy) {
            Ok(piece) => {
                done.add(&piece);
                if piece.more {
                    PIECE_PAUSE
                } else {
                    tell(&std::mem::take(&mut done));
                    ROUND_PAUSE
                }
            }
            Err(error) => {
                tracing::warn!(error = chain(&error), "old files could not be removed");
                ROUND_PAUSE
            }
        };
    }
}

fn tell(done: &FileSweepReport) {
    if done.artifacts + done.attempt_logs + done.uploads > 0 {
        tracing::info!(
            artifacts = done.artifacts,
            attempt_logs = done.attempt_logs,
            uploads = done.uploads,
            bytes = done.bytes,
            "removed files that nothing needs any more"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_model::attempt::ArtifactHash;
    use skep_model::time::UnixMillis;
    use skep_store::{DataDir, OpenOptions, Store};
    use std::time::{Instant, SystemTime};

    /// Two days ahead: what was written just now is old.
    #[derive(Debug)]
    struct Ahead;

    impl Clock for Ahead {
        fn wall(&self) -> UnixMillis {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            UnixMillis(now.unwrap().as_millis() as u64).plus(2 * 86_400_000)
        }

        fn elapsed_ms(&self) -> u64 {
            0
        }

        fn elapsed_us(&self) -> u64 {
            0
        }
    }

    /// Bytes whose hash lies in the part that is swept first.
    fn of_the_first_piece() -> (Vec<u8>, ArtifactHash) {
        let mut texts = (0_u32..).map(|number| number.to_be_bytes().to_vec());
        let with_hash = |bytes: Vec<u8>| {
            let hash = ArtifactHash::of(&bytes);
            (hash.0[0] == 0).then_some((bytes, hash))
        };
        texts.find_map(with_hash).unwrap()
    }

    #[test]
    fn what_nothing_refers_to_goes_by_itself_and_the_thread_lets_go_of_the_directory() {
        let directory = tempfile::tempdir().unwrap();
        let options = || OpenOptions {
            ballast_bytes: 0,
            ..OpenOptions::default()
        };
        let data = DataDir::open(directory.path().join("data"), options()).unwrap();
        let archive = Store::open(&data).unwrap().archive();
        let blobs = data.blobs().unwrap();
        let (bytes, hash) = of_the_first_piece();
        blobs.append(hash, 0, &bytes).unwrap();
        blobs.finish(hash, bytes.len() as u64).unwrap();
        let sweeper =
            FileSweeper::new(archive, data.blobs().unwrap(), data.attempt_logs().unwrap());
        let upkeep =
            FileUpkeep::start(sweeper, RetentionPolicy::default(), Arc::new(Ahead)).unwrap();
        let started = Instant::now();
        while blobs.open_blob(hash).unwrap().is_some() {
            assert!(
                started.elapsed() < Duration::from_mins(1),
                "it is still there"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        upkeep.stop();
        let path = data.path().to_owned();
        drop((blobs, data));
        DataDir::open(path, options()).unwrap();
    }
}
