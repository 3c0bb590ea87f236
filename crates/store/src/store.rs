//! The opened database, before its log was checked.

use crate::archive::Archive;
use crate::data_dir::DataDir;
use crate::database;
use crate::error::StoreError;
use crate::journal::{SqliteJournal, memory_unlisted};
use crate::provenance::CLUSTER;
use crate::recovery;
use crate::wal_scan;
use rusqlite::{Connection, OptionalExtension};
use skep_coordinator::ports::Recovered;
use skep_model::ids::ClusterId;
use std::path::Path;

/// The opened database. [`Store::recover`] turns it into a journal.
#[derive(Debug)]
pub struct Store {
    dir: DataDir,
    connection: Connection,
    archive: Archive,
    cluster: ClusterId,
}

impl Store {
    /// Opens the database of a data directory; makes and migrates it if needed.
    pub fn open(dir: &DataDir) -> Result<Self, StoreError> {
        let path = dir.database_path();
        refuse_a_lost_database(dir, &path)?;
        wal_scan::refuse_damage(&path)?;
        let connection = database::open_writer(&path, dir.options().database_bytes_max)?;
        let cluster = load_or_make_cluster(&connection)?;
        crate::space::sync_directory(dir.path()).map_err(StoreError::file("sync", dir.path()))?;
        let archive = Archive::open_owned(dir)?;
        Ok(Self {
            dir: dir.clone(),
            connection,
            archive,
            cluster,
        })
    }

    /// Which installation this is.
    pub const fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// Reads what is final. Cheap to clone.
    pub fn archive(&self) -> Archive {
        self.archive.clone()
    }

    /// Checks the log from the last checkpoint on, and hands it over with the journal that goes
    /// on where it ends. There is no journal without this check.
    pub fn recover(self) -> Result<(Recovered, SqliteJournal), StoreError> {
        let (recovered, head) = recovery::recover(&self.connection)?;
        let unlisted = memory_unlisted(&self.connection)
            .map_err(StoreError::database("count the versions of shared memory"))?;
        let journal = SqliteJournal::new(self.connection, head, unlisted, self.dir);
        Ok((recovered, journal))
    }
}

/// A directory that holds artifacts or logs had a database: a new, empty one would hide the loss.
fn refuse_a_lost_database(dir: &DataDir, path: &Path) -> Result<(), StoreError> {
    if path.exists() {
        return Ok(());
    }
    for name in ["blobs", "logs"] {
        let filled = dir.path().join(name);
        // One that is not there, or cannot be read, says nothing.
        let used = std::fs::read_dir(&filled).is_ok_and(|mut entries| entries.next().is_some());
        if used {
            return Err(StoreError::damaged(
                path.display().to_string(),
                format!(
                    "it is missing, and `{}` shows that there was one: put it back from a copy, \
                     or start in an empty directory",
                    filled.display()
                ),
            ));
        }
    }
    Ok(())
}

fn load_or_make_cluster(connection: &Connection) -> Result<ClusterId, StoreError> {
    let found = connection
        .query_row("SELECT value FROM meta WHERE name = ?1", [CLUSTER], |row| {
            row.get::<_, Vec<u8>>(0)
        })
        .optional()
        .map_err(StoreError::database("read the cluster id"))?;
    if let Some(bytes) = found {
        let bytes = <[u8; 16]>::try_from(bytes).map_err(|bytes| {
            StoreError::damaged(
                "the cluster id",
                format!("it has {} bytes, not 16", bytes.len()),
            )
        })?;
        return Ok(ClusterId::from_u128(u128::from_be_bytes(bytes)));
    }
    let id = uuid::Uuid::now_v7().as_u128();
    connection
        .execute(
            "INSERT INTO meta VALUES (?1, ?2)",
            rusqlite::params![CLUSTER, id.to_be_bytes()],
        )
        .map_err(StoreError::database("store the cluster id"))?;
    Ok(ClusterId::from_u128(id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data_dir::OpenOptions;

    #[test]
    fn a_directory_that_lost_its_database_is_refused_and_a_new_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let options = || OpenOptions {
            ballast_bytes: 0,
            ..OpenOptions::default()
        };
        let owner = DataDir::open(directory.path(), options()).unwrap();
        drop(Store::open(&owner).unwrap());
        let path = owner.database_path();
        for name in ["skep.db", "skep.db-wal", "skep.db-shm"] {
            // The last two exist only while the database is open.
            std::fs::remove_file(directory.path().join(name)).ok();
        }
        assert!(!path.exists());
        assert!(
            Store::open(&owner).is_ok(),
            "nothing shows that there was one"
        );
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir_all(directory.path().join("logs/ab")).unwrap();
        let error = Store::open(&owner).unwrap_err();
        assert!(error.to_string().contains("it is missing"), "{error}");
    }
}
