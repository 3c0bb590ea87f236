//! Which paths of the node a plan may give to an attempt.

use crate::error::AttemptError;
use crate::spec::AttemptSpec;
use skep_model::isolation::IsolationLevel;
use skep_model::work::Workspace;
use std::path::Path;

/// Refuses paths that are not there, and at S1 those that would open the runner's own state:
/// the workspaces and logs of other attempts.
pub(crate) fn check(spec: &AttemptSpec, state_dir: &Path) -> Result<(), AttemptError> {
    let work = &spec.work;
    for path in &work.reads {
        let refuse = |reason| AttemptError::NodePath {
            path: path.clone(),
            reason,
        };
        if !Path::new(path).is_absolute() {
            return Err(refuse("it must be absolute"));
        }
        if !Path::new(path).exists() {
            return Err(refuse("it is not there"));
        }
    }
    if let (
        Workspace::Dir {
            path,
            writable: false,
        },
        false,
    ) = (&work.workspace, work.inputs.is_empty())
    {
        return Err(AttemptError::NodePath {
            path: path.clone(),
            reason: "inputs cannot be placed into a workspace that is not writable",
        });
    }
    if spec.isolation == IsolationLevel::S0 {
        return Ok(());
    }
    let opened = match &work.workspace {
        Workspace::Dir {
            path,
            writable: true,
        } => Some(path),
        _ => None,
    };
    let inside = work.reads.iter().find(|path| lies_in(path, state_dir));
    match opened
        .filter(|path| lies_in(path, state_dir) || holds(path, state_dir))
        .or(inside)
    {
        None => Ok(()),
        Some(path) => Err(AttemptError::NodePath {
            path: path.clone(),
            reason: "it would open the node's own state to a sandboxed command",
        }),
    }
}

/// A path that cannot be resolved opens nothing; the sandbox refuses it later. What is only read
/// may lie around the state: the sandbox leaves that part out.
fn lies_in(path: &str, state_dir: &Path) -> bool {
    Path::new(path)
        .canonicalize()
        .is_ok_and(|real| real.starts_with(state_dir))
}

fn holds(path: &str, state_dir: &Path) -> bool {
    Path::new(path)
        .canonicalize()
        .is_ok_and(|real| state_dir.starts_with(&real))
}
