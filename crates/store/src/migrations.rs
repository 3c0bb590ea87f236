//! Numbered steps from an empty file to the present schema. Forward only.

use crate::error::StoreError;
use rusqlite::{Connection, TransactionBehavior};

/// The steps, first to last. A released step never changes; append a new one instead.
const STEPS: &[&str] = &[
    include_str!("../migrations/0001_initial.sql"),
    include_str!("../migrations/0002_memory.sql"),
];

/// The schema that this version reads and writes.
pub(crate) const SCHEMA: i64 = STEPS.len() as i64;

/// Marks the file as ours (`SKEP`).
const APPLICATION_ID: i64 = 0x534b_4550;

/// Brings the database to the present schema.
pub(crate) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    apply(connection, STEPS)
}

/// Checks that the database has exactly the present schema.
pub(crate) fn check(connection: &Connection) -> Result<(), StoreError> {
    let found = version(connection)?;
    match found.cmp(&SCHEMA) {
        std::cmp::Ordering::Less => Err(StoreError::OlderSchema {
            found,
            known: SCHEMA,
        }),
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => Err(StoreError::NewerSchema {
            found,
            known: SCHEMA,
        }),
    }
}

fn version(connection: &Connection) -> Result<i64, StoreError> {
    connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(StoreError::database("read the schema version"))
}

fn apply(connection: &mut Connection, steps: &[&str]) -> Result<(), StoreError> {
    let database = StoreError::database;
    let done = version(connection)?;
    let known = steps.len() as i64;
    if done > known || done < 0 {
        return Err(StoreError::NewerSchema { found: done, known });
    }
    if done > 0 {
        check_applied(connection, steps, done)?;
    }
    for (number, step) in (1_i64..).zip(steps).skip(done as usize) {
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(database("begin a migration"))?;
        transaction
            .execute_batch(
                "CREATE TABLE IF NOT EXISTS migrations (
                     number INTEGER PRIMARY KEY, blake3 BLOB NOT NULL
                 ) STRICT;",
            )
            .and_then(|()| transaction.execute_batch(step))
            .and_then(|()| {
                let hash = blake3::hash(step.as_bytes());
                let row = rusqlite::params![number, hash.as_bytes().as_slice()];
                transaction.execute("INSERT INTO migrations VALUES (?1, ?2)", row)
            })
            .and_then(|_| transaction.pragma_update(None, "application_id", APPLICATION_ID))
            .and_then(|()| transaction.pragma_update(None, "user_version", number))
            .map_err(database("apply a migration"))?;
        transaction
            .commit()
            .map_err(database("commit a migration"))?;
        tracing::info!(number, "migrated the database");
    }
    Ok(())
}

fn check_applied(connection: &Connection, steps: &[&str], done: i64) -> Result<(), StoreError> {
    let mut statement = connection
        .prepare("SELECT number, blake3 FROM migrations ORDER BY number")
        .map_err(StoreError::database("read the applied migrations"))?;
    let applied = statement
        .query_map([], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?))
        })
        .and_then(Iterator::collect::<rusqlite::Result<Vec<_>>>)
        .map_err(StoreError::database("read the applied migrations"))?;
    for (number, step) in (1..=done).zip(steps) {
        let hash = blake3::hash(step.as_bytes());
        let same = applied
            .iter()
            .any(|(applied, found)| *applied == number && found.as_slice() == hash.as_bytes());
        if !same {
            return Err(StoreError::ChangedMigration { number });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "CREATE TABLE a (x INTEGER) STRICT;";
    const SECOND: &str = "ALTER TABLE a ADD COLUMN y INTEGER;";

    #[test]
    fn steps_are_applied_once_and_in_order() {
        let mut connection = Connection::open_in_memory().unwrap();
        apply(&mut connection, &[FIRST]).unwrap();
        connection.execute("INSERT INTO a VALUES (1)", []).unwrap();
        apply(&mut connection, &[FIRST, SECOND]).unwrap();
        apply(&mut connection, &[FIRST, SECOND]).unwrap();
        let kept: i64 = connection
            .query_row("SELECT x FROM a WHERE y IS NULL", [], |row| row.get(0))
            .unwrap();
        assert_eq!((kept, version(&connection).unwrap()), (1, 2));
    }

    #[test]
    fn a_newer_schema_is_refused() {
        let mut connection = Connection::open_in_memory().unwrap();
        apply(&mut connection, &[FIRST, SECOND]).unwrap();
        let error = apply(&mut connection, &[FIRST]).unwrap_err();
        assert!(
            matches!(error, StoreError::NewerSchema { found: 2, known: 1 }),
            "{error}"
        );
    }

    #[test]
    fn a_step_that_is_not_the_one_applied_is_refused() {
        let mut connection = Connection::open_in_memory().unwrap();
        apply(&mut connection, &[FIRST]).unwrap();
        let error = apply(&mut connection, &[SECOND]).unwrap_err();
        assert!(
            matches!(error, StoreError::ChangedMigration { number: 1 }),
            "{error}"
        );
    }

    #[test]
    fn a_failing_step_leaves_the_schema_as_it_was() {
        let mut connection = Connection::open_in_memory().unwrap();
        apply(
            &mut connection,
            &[FIRST, "CREATE TABLE b (x INTEGER) STRICT; nonsense"],
        )
        .unwrap_err();
        assert_eq!(version(&connection).unwrap(), 1);
        let tables: i64 = connection
            .query_row(
                "SELECT count(*) FROM sqlite_schema WHERE name = 'b'",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(tables, 0);
    }
}
