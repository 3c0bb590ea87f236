//! The opened database, before its log was checked.

use crate::archive::Archive;
use crate::data_dir::DataDir;
use crate::database;
use crate::error::StoreError;
use crate::journal::SqliteJournal;
use crate::recovery;
use crate::wal_scan;
use rusqlite::{Connection, OptionalExtension};
use skep_coordinator::ports::Recovered;
use skep_model::ids::ClusterId;

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
        let journal = SqliteJournal::new(self.connection, head, self.dir);
        Ok((recovered, journal))
    }
}

fn load_or_make_cluster(connection: &Connection) -> Result<ClusterId, StoreError> {
    let found = connection
        .query_row("SELECT value FROM meta WHERE name = 'cluster'", [], |row| {
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
            "INSERT INTO meta VALUES ('cluster', ?1)",
            [id.to_be_bytes()],
        )
        .map_err(StoreError::database("store the cluster id"))?;
    Ok(ClusterId::from_u128(id))
}
