//! Moves the write-ahead log into the database beside the commits.
//!
//! `SQLite` by itself moves it within the commit that finds it too long: whoever waits for that one
//! waits for the whole log. A thread with a connection of its own moves most of it before, which
//! stops no writer. What is left over is moved as ever, and the log starts anew.

use super::classify;
use crate::database;
use parking_lot::{Condvar, Mutex};
use rusqlite::{Connection, ErrorCode};
use skep_coordinator::ports::JournalError;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

/// Pages of commits, about, after which they are moved: 16 MiB.
const PAGES_BEFORE_MOVE: u64 = 2_048;

/// What the journal and the thread say to one another.
#[derive(Debug, Default)]
struct Talk {
    is_wanted: bool,
    is_over: bool,
    /// What was moved last may not be on disk, and the log must not be trusted to be.
    failed: Option<JournalError>,
}

#[derive(Debug, Default)]
struct Desk {
    talk: Mutex<Talk>,
    news: Condvar,
}

/// The thread, once there is enough to move. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct WalMover {
    database: PathBuf,
    desk: Arc<Desk>,
    thread: Option<JoinHandle<()>>,
    pages: u64,
}

impl WalMover {
    pub(super) fn new(database: PathBuf) -> Self {
        Self {
            database,
            desk: Arc::default(),
            thread: None,
            pages: 0,
        }
    }

    /// Commits of about so many pages were made. When it is time they are moved, without being waited
    /// for. Without a thread, `SQLite` moves them by itself.
    pub(super) fn note(&mut self, pages: u64) {
        self.pages += pages;
        if self.pages < PAGES_BEFORE_MOVE {
            return;
        }
        self.pages = 0;
        if self.thread.is_none() {
            match self.start() {
                Ok(thread) => self.thread = Some(thread),
                Err(error) => {
                    tracing::warn!(%error, "the write-ahead log is moved by commits only");
                    return;
                }
            }
        }
        self.desk.talk.lock().is_wanted = true;
        self.desk.news.notify_one();
    }

    /// # Errors
    /// Moving failed: nothing may be committed any more.
    pub(super) fn check(&self) -> Result<(), JournalError> {
        self.desk.talk.lock().failed.take().map_or(Ok(()), Err)
    }

    fn start(&self) -> std::io::Result<JoinHandle<()>> {
        let connection = database::open_mover(&self.database).map_err(std::io::Error::other)?;
        let desk = Arc::clone(&self.desk);
        thread::Builder::new()
            .name("skep-wal-mover".to_owned())
            .spawn(move || run(&connection, &desk))
    }
}

impl Drop for WalMover {
    fn drop(&mut self) {
        self.desk.talk.lock().is_over = true;
        self.desk.news.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the mover of the write-ahead log panicked");
        }
    }
}

fn run(connection: &Connection, desk: &Desk) {
    loop {
        let mut talk = desk.talk.lock();
        while !talk.is_wanted && !talk.is_over {
            desk.news.wait(&mut talk);
        }
        if talk.is_over {
            return;
        }
        talk.is_wanted = false;
        drop(talk);
        if let Err(error) = move_what_is_there(connection) {
            desk.talk.lock().failed = Some(error);
            return;
        }
    }
}

/// Moves what readers and the writer let go of, and waits for nobody.
fn move_what_is_there(connection: &Connection) -> Result<(), JournalError> {
    let moved = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
    match moved {
        Err(error)
            if matches!(
                error.sqlite_error_code(),
                // Somebody else moves it; or the disk is full, and what was not moved stays.
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::DiskFull)
            ) =>
        {
            tracing::debug!(%error, "the write-ahead log stays where it is");
            Ok(())
        }
        moved => moved.map_err(classify("move the write-ahead log into the database")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    const PATIENCE: Duration = Duration::from_secs(20);

    fn wait_until(mut is_so: impl FnMut() -> bool) {
        let start = Instant::now();
        while !is_so() {
            assert!(start.elapsed() < PATIENCE, "waited in vain");
            thread::yield_now();
        }
    }

    /// Pages in the write-ahead log, and how many of them were moved.
    fn pages(connection: &Connection) -> (i64, i64) {
        let pages = connection.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| {
            Ok((row.get(1)?, row.get(2)?))
        });
        pages.unwrap()
    }

    #[test]
    fn the_log_is_moved_while_its_writer_does_something_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("skep.db");
        let writer = database::open_writer(&path, None).unwrap();
        writer.execute_batch("CREATE TABLE t (x BLOB)").unwrap();
        let mut mover = WalMover::new(path);
        mover.note(PAGES_BEFORE_MOVE - 1);
        assert!(mover.thread.is_none());
        let (before, _) = pages(&writer);
        writer
            .execute("INSERT INTO t VALUES (zeroblob(1000000))", [])
            .unwrap();
        let (grown, moved) = pages(&writer);
        assert!(grown > before + 100 && moved < grown, "{grown} {moved}");
        mover.note(1);
        wait_until(|| pages(&writer).1 == grown);
        mover.check().unwrap();
    }

    #[test]
    fn a_failure_is_said_to_the_writer() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("skep.db");
        std::fs::write(&path, [7; 8192]).unwrap();
        let mut mover = WalMover::new(path);
        let thread = || -> std::io::Result<JoinHandle<()>> {
            let connection = Connection::open(&mover.database).map_err(std::io::Error::other)?;
            let desk = Arc::clone(&mover.desk);
            Ok(thread::spawn(move || run(&connection, &desk)))
        };
        mover.thread = Some(thread().unwrap());
        mover.note(PAGES_BEFORE_MOVE);
        let mut failure = None;
        wait_until(|| {
            failure = mover.check().err();
            failure.is_some()
        });
        assert!(
            matches!(failure, Some(JournalError::Damaged { .. })),
            "{failure:?}"
        );
    }
}
