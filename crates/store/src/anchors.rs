//! Two remembered places in the log: where it starts, and the last checkpoint.

use crate::chain::{ChainHash, GENESIS};
use crate::error::StoreError;
use crate::sealed::{self, Table};
use rusqlite::{Connection, OptionalExtension};
use skep_coordinator::ports::StateDigest;
use skep_model::attempt::LogIndex;

/// Which place.
#[derive(Debug, Clone, Copy)]
pub(crate) enum AnchorName {
    /// Entries up to and with it were forgotten.
    LogStart,
    /// The live rows stand as after it.
    Checkpoint,
}

impl AnchorName {
    const fn as_str(self) -> &'static str {
        match self {
            Self::LogStart => "log_start",
            Self::Checkpoint => "checkpoint",
        }
    }
}

/// A place in the log with what was true there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Anchor {
    pub(crate) index: LogIndex,
    pub(crate) digest: StateDigest,
    pub(crate) log_hash: ChainHash,
}

impl Anchor {
    /// Before the first entry.
    pub(crate) const BEGINNING: Self = Self {
        index: LogIndex(0),
        digest: [0; 32],
        log_hash: GENESIS,
    };

    fn checksum(&self, name: AnchorName) -> [u8; 8] {
        let index = self.index.0.to_le_bytes();
        let key: [&[u8]; 4] = [
            name.as_str().as_bytes(),
            &index,
            &self.digest,
            &self.log_hash,
        ];
        sealed::checksum(Table::Anchors, &key, &[])
    }

    /// Reads it; [`Anchor::BEGINNING`] if it was never written.
    pub(crate) fn load(connection: &Connection, name: AnchorName) -> Result<Self, StoreError> {
        let row = connection
            .prepare_cached("SELECT idx, digest, log_hash, seal FROM anchors WHERE name = ?1")
            .and_then(|mut statement| {
                statement
                    .query_row([name.as_str()], |row| {
                        Ok((
                            row.get::<_, i64>(0)? as u64,
                            row.get::<_, Vec<u8>>(1)?,
                            row.get::<_, Vec<u8>>(2)?,
                            row.get::<_, Vec<u8>>(3)?,
                        ))
                    })
                    .optional()
            })
            .map_err(StoreError::database("read the anchors"))?;
        let Some((index, digest, log_hash, seal)) = row else {
            return Ok(Self::BEGINNING);
        };
        let damaged = |detail: &str| {
            StoreError::damaged(format!("anchor `{}`", name.as_str()), detail.to_owned())
        };
        let digest = digest
            .try_into()
            .map_err(|_| damaged("its digest is not 32 bytes"))?;
        let log_hash = log_hash
            .try_into()
            .map_err(|_| damaged("its hash is not 32 bytes"))?;
        let anchor = Self {
            index: LogIndex(index),
            digest,
            log_hash,
        };
        if anchor.checksum(name).as_slice() != seal.as_slice() {
            return Err(damaged("its checksum does not match"));
        }
        Ok(anchor)
    }

    /// Writes it.
    pub(crate) fn save(&self, connection: &Connection, name: AnchorName) -> rusqlite::Result<()> {
        connection
            .prepare_cached("INSERT OR REPLACE INTO anchors VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute(rusqlite::params![
                name.as_str(),
                self.index.0 as i64,
                self.digest,
                self.log_hash,
                self.checksum(name),
            ])?;
        Ok(())
    }
}
