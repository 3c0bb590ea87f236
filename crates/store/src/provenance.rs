//! Where a restored database came from.

use crate::archive::Archive;
use crate::error::StoreError;
use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};
use skep_model::attempt::LogIndex;
use skep_model::ids::ClusterId;
use skep_model::time::UnixMillis;

/// Name in `meta` of the id of the installation.
pub(crate) const CLUSTER: &str = "cluster";
/// Name in `meta` of the provenance.
const RESTORED_FROM: &str = "restored_from";

/// The backup that a database was restored from; the last one, if it happened repeatedly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// The installation that was backed up. Its nodes belong to it, not to the restored one.
    pub cluster: ClusterId,
    /// The last log entry of the backup.
    pub index: LogIndex,
    /// Hash of the log up to that entry.
    pub log_hash: [u8; 32],
    /// When it was restored.
    pub restored_at: UnixMillis,
}

impl Archive {
    /// The backup that this database was restored from; none if it never was.
    pub fn restored_from(&self) -> Result<Option<Provenance>, StoreError> {
        self.read(load)
    }
}

fn load(connection: &Connection) -> Result<Option<Provenance>, StoreError> {
    let found = connection
        .query_row(
            "SELECT value FROM meta WHERE name = ?1",
            [RESTORED_FROM],
            |row| row.get::<_, Vec<u8>>(0),
        )
        .optional()
        .map_err(StoreError::database("read where the database came from"))?;
    let Some(bytes) = found else { return Ok(None) };
    postcard::from_bytes(&bytes)
        .map(Some)
        .map_err(|error| StoreError::damaged("the note of the last restore", error.to_string()))
}

/// Makes the database another installation's.
pub(crate) fn rename_cluster(
    connection: &mut Connection,
    cluster: ClusterId,
    provenance: &Provenance,
) -> Result<(), StoreError> {
    let database = || StoreError::database("store the new cluster id");
    let note =
        postcard::to_stdvec(provenance).expect("plain numbers and bytes can always be encoded");
    let transaction = connection.transaction().map_err(database())?;
    {
        let mut put = transaction
            .prepare("INSERT OR REPLACE INTO meta VALUES (?1, ?2)")
            .map_err(database())?;
        let id = cluster.as_u128().to_be_bytes();
        put.execute(rusqlite::params![CLUSTER, id])
            .and_then(|_| put.execute(rusqlite::params![RESTORED_FROM, note]))
            .map_err(database())?;
    }
    transaction.commit().map_err(database())
}
