//! Opens connections to the database with the settings that durability needs.

use crate::error::StoreError;
use crate::migrations;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::time::Duration;

/// Bytes of one page. Bodies of log entries are a few KiB, so larger pages mean fewer of them.
pub(crate) const PAGE_BYTES: i64 = 8192;
/// Empty pages are given back when that is asked for.
const AUTO_VACUUM_INCREMENTAL: i64 = 2;
/// Pages in the write-ahead log before its content moves into the database: 64 MiB.
const WAL_PAGES_BEFORE_CHECKPOINT: i64 = 8192;
/// The write-ahead log is cut to this size when it starts anew.
const WAL_BYTES_KEPT_MAX: i64 = 128 << 20;
/// Page cache of the writer, KiB.
const WRITER_CACHE_KIB: i64 = 64 << 10;
/// Page cache of each reader, KiB.
const READER_CACHE_KIB: i64 = 8 << 10;
/// How long a connection waits for another one's lock. Only a backup tool can hold one.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the start waits for a guest that reads, to move the write-ahead log as a whole.
const START_TIMEOUT: Duration = Duration::from_millis(200);
/// Prepared statements kept per connection; more than this crate has.
const STATEMENTS_CACHED: usize = 96;
/// First `SQLite` without the bug that can lose a commit when the write-ahead log starts anew.
const SQLITE_SAFE_SINCE: i32 = 3_051_003;
/// A withdrawn release.
const SQLITE_WITHDRAWN: i32 = 3_052_000;

/// Opens the one connection that writes, and migrates the database.
pub(crate) fn open_writer(path: &Path, bytes_max: Option<u64>) -> Result<Connection, StoreError> {
    check_sqlite_version()?;
    let mut connection =
        Connection::open(path).map_err(StoreError::database("open the database"))?;
    configure_writer(&connection).map_err(StoreError::database("configure the connection"))?;
    check_length(&connection, path)?;
    migrations::migrate(&mut connection)?;
    if let Some(bytes) = bytes_max {
        connection
            .pragma_update_and_check(
                None,
                "max_page_count",
                bytes as i64 / PAGE_BYTES,
                |_| Ok(()),
            )
            .map_err(StoreError::database("bound the database"))?;
    }
    Ok(connection)
}

/// Opens a connection that cannot write.
pub(crate) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    check_sqlite_version()?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)
        .map_err(StoreError::database("open the database to read"))?;
    let configure = || {
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "query_only", true)?;
        connection.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
        Ok(())
    };
    configure().map_err(StoreError::database("configure a reading connection"))?;
    migrations::check(&connection)?;
    Ok(connection)
}

/// Opens a connection that only moves the write-ahead log into the database, as durably as the writer.
pub(crate) fn open_mover(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::ZERO)?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update_and_check(None, "mmap_size", 0, |_| Ok(()))?;
    Ok(connection)
}

fn configure_writer(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // Takes effect only while the file is empty.
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    // As well: empty pages go to the end of the file and back to the file system when asked to.
    connection.pragma_update(None, "auto_vacuum", AUTO_VACUUM_INCREMENTAL)?;
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "wal_autocheckpoint", WAL_PAGES_BEFORE_CHECKPOINT)?;
    connection
        .pragma_update_and_check(None, "journal_size_limit", WAL_BYTES_KEPT_MAX, |_| Ok(()))?;
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    // A file that shrinks or fails under a map ends the process by a signal, without a word.
    connection.pragma_update_and_check(None, "mmap_size", 0, |_| Ok(()))?;
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
    Ok(())
}

/// Moves the write-ahead log into the database, and checks that the file is as long as it says.
/// `SQLite` itself would notice missing pages only when it needs them.
fn check_length(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let read = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (busy, pages, page_bytes) = connection
        .busy_timeout(START_TIMEOUT)
        .and_then(|()| checkpoint(connection))
        .and_then(|busy| {
            connection.busy_timeout(BUSY_TIMEOUT)?;
            Ok((busy, read("page_count")?, read("page_size")?))
        })
        .map_err(StoreError::database("read the size of the database"))?;
    if busy {
        // A guest reads: pages may still be in the write-ahead log only.
        return Ok(());
    }
    let wanted = (pages * page_bytes) as u64;
    let found = path
        .metadata()
        .map_err(StoreError::file("read the size of", path))?
        .len();
    if found < wanted {
        return Err(StoreError::damaged(
            format!("the database `{}`", path.display()),
            format!("it has {found} bytes and should have {wanted}"),
        ));
    }
    Ok(())
}

/// Whether empty pages of the file can be given back. A file keeps for good what it was made as.
pub(crate) fn returns_pages(connection: &Connection) -> rusqlite::Result<bool> {
    let kind = connection.pragma_query_value(None, "auto_vacuum", |row| row.get::<_, i64>(0))?;
    Ok(kind == AUTO_VACUUM_INCREMENTAL)
}

/// Bytes of a database and of the write-ahead log beside it.
pub(crate) fn file_bytes(path: &Path) -> std::io::Result<(u64, u64)> {
    let length = |path: &Path| match path.metadata() {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    };
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    Ok((length(path)?, length(Path::new(&wal))?))
}

/// Moves the write-ahead log into the database. Says whether someone was in the way.
pub(crate) fn checkpoint(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
}

fn check_sqlite_version() -> Result<(), StoreError> {
    let number = rusqlite::version_number();
    if number < SQLITE_SAFE_SINCE || number == SQLITE_WITHDRAWN {
        return Err(StoreError::UnsafeSqlite {
            found: rusqlite::version(),
        });
    }
    Ok(())
}
