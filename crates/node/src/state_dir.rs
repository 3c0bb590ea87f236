//! The directory of one node: its lock, its identity, and where everything else lies.

use crate::error::NodeError;
use crate::files::{make_directory, private_file, replace_file};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use skep_model::ids::NodeId;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// Version of the identity file.
const IDENTITY_FORMAT: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
struct Identity {
    format: u32,
    node: NodeId,
}

/// The state directory, held by this process alone until it is dropped.
#[derive(Debug)]
pub(crate) struct StateDir {
    root: PathBuf,
    _lock: File,
}

impl StateDir {
    /// Makes the directory if it is not there, and takes it.
    pub(crate) fn open(path: &Path) -> Result<Self, NodeError> {
        make_directory(path).map_err(NodeError::file("make the state directory", path))?;
        let root = path.canonicalize().map_err(NodeError::file("find", path))?;
        let lock_path = root.join("lock");
        let open = NodeError::file("open the lock", &lock_path);
        let lock = private_file()
            .truncate(false)
            .open(&lock_path)
            .map_err(open)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { root, _lock: lock }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(NodeError::InUse { path: root }),
            Err(error) => Err(NodeError::file("take the lock", &lock_path)(error.into())),
        }
    }

    /// The node's identity, made at the first start and the same ever after.
    pub(crate) fn identity(&self) -> Result<NodeId, NodeError> {
        let path = self.root.join("node.json");
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return make_identity(&path),
            Err(error) => return Err(NodeError::file("read", &path)(error)),
        };
        let malformed = |detail: String| NodeError::Identity {
            path: path.clone(),
            detail,
        };
        let identity: Identity =
            serde_json::from_slice(&text).map_err(|error| malformed(error.to_string()))?;
        if identity.format != IDENTITY_FORMAT {
            return Err(malformed(format!("its format is {}", identity.format)));
        }
        Ok(identity.node)
    }

    /// Counts this start of the node, durably: by the count the coordinator tells an old process
    /// and a copy of the directory from the node itself.
    pub(crate) fn count_start(&self) -> Result<u64, NodeError> {
        let path = self.root.join("starts");
        let before = match fs::read_to_string(&path) {
            Ok(text) => text.trim().parse().map_err(|_| NodeError::Identity {
                path: path.clone(),
                detail: format!("`{}` is no count of starts", text.trim()),
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(NodeError::file("read", &path)(error)),
        };
        let starts = u64::saturating_add(before, 1);
        let text = starts.to_string();
        replace_file(&path, text.as_bytes()).map_err(NodeError::file("write", &path))?;
        Ok(starts)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn spool(&self) -> PathBuf {
        self.root.join("spool")
    }

    pub(crate) fn runner(&self) -> PathBuf {
        self.root.join("runner")
    }

    pub(crate) fn cache(&self) -> PathBuf {
        self.root.join("cache")
    }

    pub(crate) fn staging(&self) -> PathBuf {
        self.root.join("staging")
    }
}

fn make_identity(path: &Path) -> Result<NodeId, NodeError> {
    let node = NodeId::from_u128(Uuid::now_v7().as_u128());
    let identity = Identity {
        format: IDENTITY_FORMAT,
        node,
    };
    let text = serde_json::to_vec_pretty(&identity).expect("two plain fields");
    replace_file(path, &text).map_err(NodeError::file("write", path))?;
    Ok(node)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_identity_stays_the_same_and_is_private() {
        let directory = tempfile::tempdir().unwrap();
        let first = StateDir::open(directory.path())
            .unwrap()
            .identity()
            .unwrap();
        assert_eq!(
            StateDir::open(directory.path())
                .unwrap()
                .identity()
                .unwrap(),
            first
        );
        let mode = fs::metadata(directory.path().join("node.json"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn each_start_is_counted_over_all_processes() {
        let directory = tempfile::tempdir().unwrap();
        for expected in 1..=3 {
            let state = StateDir::open(directory.path()).unwrap();
            assert_eq!(state.count_start().unwrap(), expected);
        }
        fs::write(directory.path().join("starts"), b"many").unwrap();
        let state = StateDir::open(directory.path()).unwrap();
        assert!(
            state.count_start().is_err(),
            "a damaged count is not begun anew"
        );
    }

    #[test]
    fn a_second_process_is_refused_until_the_first_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let first = StateDir::open(directory.path()).unwrap();
        let error = StateDir::open(directory.path()).unwrap_err();
        assert!(matches!(error, NodeError::InUse { .. }), "{error}");
        drop(first);
        StateDir::open(directory.path()).unwrap();
    }

    #[test]
    fn a_damaged_identity_is_not_replaced_by_a_new_one() {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDir::open(directory.path()).unwrap();
        fs::write(directory.path().join("node.json"), b"{\"format\":1}").unwrap();
        let error = state.identity().unwrap_err();
        assert!(matches!(error, NodeError::Identity { .. }), "{error}");
    }
}
