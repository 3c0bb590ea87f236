//! Why a backup was not made, believed or restored.

use crate::error::StoreError;
use std::io;
use std::path::PathBuf;

/// Why a backup was not made, believed or restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The database refused, or is damaged.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nothing to back up.
    #[error("`{path}` holds no `skep.db`: it is not a data directory of skep")]
    NoDataDirectory {
        /// What was given.
        path: PathBuf,
    },
    /// A backup or a data directory is made only where nothing is.
    #[error("`{path}` is not empty: choose an empty directory or a new one")]
    NotEmpty {
        /// What was given.
        path: PathBuf,
    },
    /// A coordinator runs there.
    #[error("`{path}` is in use: stop the coordinator that runs there")]
    InUse {
        /// The data directory.
        path: PathBuf,
    },
    /// The backup would back itself up the next time.
    #[error("`{path}` lies in the data directory: choose a place outside, best on another disk")]
    InsideDataDirectory {
        /// What was given.
        path: PathBuf,
    },
    /// Not a backup, or half of one.
    #[error("`{path}` has no `manifest.json`: it is not a backup, or one that was not finished")]
    NoManifest {
        /// What was given.
        path: PathBuf,
    },
    /// The manifest is not what was written.
    #[error("part `manifest.json` is damaged: {detail}; use another backup")]
    DamagedManifest {
        /// What is wrong with it.
        detail: String,
    },
    /// Written by a newer version.
    #[error(
        "the backup has format {found}, this version knows {known}: run the newer version of \
         skep that made it"
    )]
    NewerFormat {
        /// Its format.
        found: u32,
        /// The newest this version knows.
        known: u32,
    },
    /// A part is not there.
    #[error("part `{part}` is missing; use another backup")]
    MissingPart {
        /// Its name.
        part: String,
    },
    /// A file that the manifest does not name.
    #[error("`{part}` does not belong to the backup: move it away, or use another backup")]
    AdditionalPart {
        /// Its name.
        part: String,
    },
    /// A part is not what was written.
    #[error("part `{part}` is damaged: {detail}; use another backup")]
    DamagedPart {
        /// Its name.
        part: String,
        /// What is wrong with it.
        detail: String,
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
        source: io::Error,
    },
}

impl BackupError {
    /// An error of the file system at this step.
    pub(super) fn file(
        step: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { step, path, source }
    }

    pub(super) fn damaged(part: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::DamagedPart {
            part: part.into(),
            detail: detail.into(),
        }
    }
}
