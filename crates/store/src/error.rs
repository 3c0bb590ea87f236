//! Why the store could not be opened, read or trusted.

use std::path::PathBuf;

/// Why the store could not be opened, read or trusted.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process owns the data directory.
    #[error(
        "data directory `{path}` is in use by process {pid} ({hint}): stop it first, or choose \
         another directory"
    )]
    InUse {
        /// The directory.
        path: PathBuf,
        /// What the lock file says.
        pid: String,
        /// What the owner said about itself.
        hint: String,
    },
    /// The directory holds files of something else.
    #[error("`{path}` is not empty and not a data directory of skep: choose an empty or a new one")]
    ForeignDirectory {
        /// The directory.
        path: PathBuf,
    },
    /// The system refused an operation on a file.
    #[error("could not {step} `{path}`")]
    File {
        /// What was tried.
        step: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// `SQLite` refused an operation.
    #[error("could not {step} in the database")]
    Database {
        /// What was tried.
        step: &'static str,
        /// What `SQLite` said.
        #[source]
        source: rusqlite::Error,
    },
    /// The stored data contradicts itself.
    #[error(
        "{place} is damaged: {detail}; keep a copy of the data directory, then restore a backup"
    )]
    Damaged {
        /// Which row or file.
        place: String,
        /// What is wrong with it.
        detail: String,
    },
    /// An entry was written by another version.
    #[error(
        "log entry {index} has format {found}, this version knows {known}: run the version of skep \
         that wrote it"
    )]
    UnknownFormat {
        /// The entry.
        index: u64,
        /// Its format.
        found: i64,
        /// The format of this version.
        known: u16,
    },
    /// The database was migrated by a newer version.
    #[error(
        "the database has schema {found}, this version knows {known}: run the newer version of \
         skep that wrote it"
    )]
    NewerSchema {
        /// Its schema.
        found: i64,
        /// The newest this version knows.
        known: i64,
    },
    /// The database is older than this version and is only being read.
    #[error(
        "the database has schema {found}, this version reads {known}: start it once to migrate"
    )]
    OlderSchema {
        /// Its schema.
        found: i64,
        /// The one that is read.
        known: i64,
    },
    /// A migration that was applied is not the one this version has.
    #[error(
        "migration {number} of the database is not the one of this version: it was written by \
         another build of skep; run that one"
    )]
    ChangedMigration {
        /// Its number.
        number: i64,
    },
    /// The linked `SQLite` has known bugs with the write-ahead log.
    #[error("this build links sqlite {found}, which can damage the log: build with 3.54 or newer")]
    UnsafeSqlite {
        /// Its version.
        found: &'static str,
    },
}

impl StoreError {
    pub(crate) fn damaged(place: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Damaged {
            place: place.into(),
            detail: detail.into(),
        }
    }

    /// An error of `SQLite` at this step; reports of damage become [`StoreError::Damaged`].
    pub(crate) fn database(step: &'static str) -> impl FnOnce(rusqlite::Error) -> Self {
        move |source| {
            use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
            match source.sqlite_error_code() {
                Some(DatabaseCorrupt | NotADatabase) => {
                    Self::damaged("the database", format!("could not {step}: {source}"))
                }
                _ => Self::Database { step, source },
            }
        }
    }

    /// An error of the file system at this step.
    pub(crate) fn file(
        step: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { step, path, source }
    }
}
