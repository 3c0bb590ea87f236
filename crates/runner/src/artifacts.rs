//! Takes the files that an attempt hands in: found, hashed while they are copied, handed over.

use crate::confined_dir::{ConfinedDir, WalkEntry};
use crate::error::AttemptError;
use crate::glob::Glob;
use crate::spec::ArtifactSink;
use skep_model::attempt::{ArtifactHash, ArtifactRecord};
use skep_model::limits::{ARTIFACT_BYTES_MAX, ARTIFACTS_PER_ATTEMPT_MAX};
use skep_model::work::ArtifactPattern;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Name and path of the artifact that holds the changes of a git workspace.
pub(crate) const PATCH_ARTIFACT: &str = "changes.patch";
const COPY_CHUNK_BYTES: usize = 128 << 10;
const OWNER_MAY_EXECUTE: u32 = 0o100;

/// A file that a pattern took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    name: String,
    path: String,
}

/// What the patterns of an attempt select.
#[derive(Debug, Default)]
pub(crate) struct Selection {
    /// What is handed in, in the order of the paths.
    pub(crate) files: Vec<Found>,
    /// Symlinks, pipes and the like that matched too, and are left out.
    pub(crate) left_out: Vec<String>,
}

/// Finds the files. A file that several patterns match goes to the first of them.
pub(crate) fn select(
    workspace: &Path,
    patterns: &[ArtifactPattern],
) -> Result<Selection, AttemptError> {
    let mut selection = Selection::default();
    if patterns.is_empty() {
        return Ok(selection);
    }
    let globs = parse(patterns)?;
    let mut is_matched = vec![false; patterns.len()];
    let read_error = |source| AttemptError::ArtifactRead {
        path: ".".to_owned(),
        source,
    };
    // Git's own data is never a result.
    let enter = |path: &str| path != ".git" && globs.iter().any(|glob| glob.may_match_below(path));
    let entries = ConfinedDir::open(workspace)
        .and_then(|directory| directory.walk(enter))
        .map_err(read_error)?;
    for entry in entries {
        let hits: Vec<usize> = (0..globs.len())
            .filter(|index| globs[*index].matches(&entry.path))
            .collect();
        let Some(first) = hits.first().copied().filter(|_| entry.path != ".git") else {
            continue;
        };
        let name = patterns[first].name.clone();
        if entry.is_regular {
            check_name(&name, &entry)?;
            for index in hits {
                is_matched[index] = true;
            }
            selection.files.push(Found {
                name,
                path: entry.path,
            });
        } else if globs[first].is_literal() {
            let path = entry.path;
            return Err(AttemptError::ArtifactRefused { name, path });
        } else {
            selection.left_out.push(entry.path);
        }
    }
    check_complete(patterns, &is_matched)?;
    match selection.files.len() {
        count if count > ARTIFACTS_PER_ATTEMPT_MAX => Err(AttemptError::TooManyArtifacts { count }),
        _ => Ok(selection),
    }
}

/// A file that was asked for and cannot be named must not be passed over in silence: the attempt
/// would look complete. So it fails, whether or not its pattern is required.
fn check_name(name: &str, entry: &WalkEntry) -> Result<(), AttemptError> {
    let name = name.to_owned();
    let path = &entry.path;
    if !entry.is_utf8 {
        let path = path.escape_debug().to_string();
        return Err(AttemptError::ArtifactNameNotUtf8 { name, path });
    }
    if path.chars().any(char::is_control) {
        let path = path.escape_debug().to_string();
        return Err(AttemptError::ArtifactNameControl { name, path });
    }
    Ok(())
}

fn parse(patterns: &[ArtifactPattern]) -> Result<Vec<Glob>, AttemptError> {
    patterns
        .iter()
        .map(|pattern| {
            Glob::parse(&pattern.glob).map_err(|source| AttemptError::ArtifactPattern {
                name: pattern.name.clone(),
                source,
            })
        })
        .collect()
}

fn check_complete(patterns: &[ArtifactPattern], is_matched: &[bool]) -> Result<(), AttemptError> {
    let missing = patterns
        .iter()
        .zip(is_matched)
        .find(|(pattern, is_matched)| pattern.required && !**is_matched);
    match missing {
        None => Ok(()),
        Some((pattern, _)) => Err(AttemptError::ArtifactMissing {
            name: pattern.name.clone(),
            glob: pattern.glob.clone(),
        }),
    }
}

/// Hands in the selected files one after the other, so that only one is staged at a time.
pub(crate) fn hand_in(
    workspace: &Path,
    files: &[Found],
    staging: &Path,
    sink: &dyn ArtifactSink,
) -> Result<Vec<ArtifactRecord>, AttemptError> {
    files
        .iter()
        .map(|found| {
            let source = ConfinedDir::open(workspace)
                .and_then(|directory| directory.open_file(&found.path))
                .map_err(|source| AttemptError::ArtifactRead {
                    path: found.path.clone(),
                    source,
                })?;
            let record = stage(found, source, staging)?;
            put(&record, staging, sink)?;
            Ok(record)
        })
        .collect()
}

/// Hands in the changes of a git workspace, which lie at `patch` already.
pub(crate) fn hand_in_patch(
    patch: &Path,
    staging: &Path,
    sink: &dyn ArtifactSink,
) -> Result<ArtifactRecord, AttemptError> {
    let found = Found {
        name: PATCH_ARTIFACT.to_owned(),
        path: PATCH_ARTIFACT.to_owned(),
    };
    let source = File::open(patch).map_err(|source| AttemptError::ArtifactRead {
        path: found.path.clone(),
        source,
    })?;
    let record = stage(&found, source, staging)?;
    put(&record, staging, sink)?;
    Ok(record)
}

fn put(
    record: &ArtifactRecord,
    staging: &Path,
    sink: &dyn ArtifactSink,
) -> Result<(), AttemptError> {
    sink.put(record, staging)
        .map_err(|source| AttemptError::ArtifactPut {
            path: record.path.clone(),
            source,
        })
}

/// Copies a file, so that the bytes handed in are the bytes hashed whatever happens meanwhile.
fn stage(found: &Found, source: File, staging: &Path) -> Result<ArtifactRecord, AttemptError> {
    let path = found.path.clone();
    let staged = copy_and_hash(source, staging);
    match staged {
        Ok(Some(staged)) => Ok(ArtifactRecord {
            name: found.name.clone(),
            path,
            bytes: staged.bytes,
            blake3: staged.hash,
            executable: staged.executable,
        }),
        Ok(None) => Err(AttemptError::ArtifactTooLarge { path }),
        Err(source) => Err(AttemptError::ArtifactRead { path, source }),
    }
}

struct Staged {
    bytes: u64,
    hash: ArtifactHash,
    executable: bool,
}

/// None if the file is larger than an artifact may be.
fn copy_and_hash(mut source: File, staging: &Path) -> io::Result<Option<Staged>> {
    let metadata = source.metadata()?;
    let mut target = File::create(staging)?;
    let mut hasher = blake3::Hasher::new();
    let mut bytes = 0;
    let mut chunk = vec![0; COPY_CHUNK_BYTES];
    loop {
        let count = source.read(&mut chunk)?;
        bytes += count as u64;
        // Counted, and not taken from the metadata: the file may grow while it is read.
        if bytes > ARTIFACT_BYTES_MAX || metadata.len() > ARTIFACT_BYTES_MAX {
            return Ok(None);
        }
        if count == 0 {
            break;
        }
        hasher.update(&chunk[..count]);
        target.write_all(&chunk[..count])?;
    }
    Ok(Some(Staged {
        bytes,
        hash: ArtifactHash(*hasher.finalize().as_bytes()),
        executable: metadata.permissions().mode() & OWNER_MAY_EXECUTE != 0,
    }))
}
