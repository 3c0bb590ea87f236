//! Places the artifacts of other tasks into a workspace.

use crate::confined_dir::ConfinedDir;
use crate::error::AttemptError;
use crate::glob::Glob;
use crate::spec::{ArtifactSource, InputPlace, PortError};
use skep_model::limits::ARTIFACTS_PER_ATTEMPT_MAX;
use skep_model::work::Input;
use std::fs::File;
use std::path::Path;

/// Where the files of an input go, relative to the workspace and without `.` parts.
pub(crate) fn directory_of(input: &Input) -> String {
    let wanted = format!("{}/{}", input.into, input.name);
    let parts = wanted
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".");
    parts.collect::<Vec<_>>().join("/")
}

/// Fetches all inputs.
pub(crate) fn place_inputs(
    inputs: &[Input],
    workspace: &Path,
    source: &dyn ArtifactSource,
) -> Result<(), AttemptError> {
    if inputs.is_empty() {
        return Ok(());
    }
    let directory = ConfinedDir::open(workspace).map_err(|source| AttemptError::Directory {
        path: workspace.to_owned(),
        source,
    })?;
    for input in inputs {
        let mut place = WorkspacePlace {
            directory: &directory,
            below: directory_of(input),
            files: 0,
        };
        check(input)
            .and_then(|()| source.fetch(input, &mut place))
            .map_err(|source| AttemptError::Input {
                name: input.name.clone(),
                source,
            })?;
    }
    Ok(())
}

/// The kernel would refuse these too, but this says why.
fn check(input: &Input) -> Result<(), PortError> {
    Glob::parse(&input.glob)?;
    let leaves = input.into.starts_with('/')
        || input.name.contains('/')
        || input
            .into
            .split('/')
            .chain([input.name.as_str()])
            .any(|part| part == "..");
    if leaves {
        let text = format!("the directory `{}` leaves the workspace", input.into);
        return Err(text.into());
    }
    Ok(())
}

struct WorkspacePlace<'a> {
    directory: &'a ConfinedDir,
    below: String,
    files: usize,
}

impl InputPlace for WorkspacePlace<'_> {
    fn create(&mut self, path: &str, executable: bool) -> Result<File, PortError> {
        self.files += 1;
        if self.files > ARTIFACTS_PER_ATTEMPT_MAX {
            let text = format!(
                "it has more than {ARTIFACTS_PER_ATTEMPT_MAX} files (`ARTIFACTS_PER_ATTEMPT_MAX`)"
            );
            return Err(text.into());
        }
        if path.split('/').any(|part| ["", ".", ".."].contains(&part)) {
            return Err(format!("the artifact path `{path}` is not plain and relative").into());
        }
        let full = format!("{}/{path}", self.below);
        self.directory
            .create_file(&full, executable)
            .map_err(|error| format!("make `{full}` in the workspace: {error}").into())
    }
}
