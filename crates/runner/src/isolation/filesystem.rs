//! The Landlock part of S1: which files an attempt sees, and that its signals stay inside.

use super::{ConfineError, Confinement};
use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, PathFdError,
    Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, Scope,
};
use rustix::fs::FileType;
use std::path::{Path, PathBuf};

/// The first version with every right that S1 promises (signal scoping came last).
const LANDLOCK_ABI: ABI = ABI::V6;

/// Programs, libraries and the public part of the configuration. `/etc` is listed file by file:
/// a node of root could otherwise show `/etc/shadow` or host keys to an attempt.
const SYSTEM_READ_PATHS: &[&str] = &[
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/opt",
    "/nix/store",
    "/proc",
    "/sys/devices/system/cpu",
    "/etc/alternatives",
    "/etc/bash.bashrc",
    "/etc/ca-certificates",
    "/etc/ca-certificates.conf",
    "/etc/crypto-policies",
    "/etc/debian_version",
    "/etc/fonts",
    "/etc/gai.conf",
    "/etc/gitconfig",
    "/etc/group",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/inputrc",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/magic",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/passwd",
    "/etc/perl",
    "/etc/pki",
    "/etc/profile",
    "/etc/profile.d",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/shells",
    "/etc/ssl",
    "/etc/terminfo",
    "/etc/timezone",
];

/// Devices without memory or effect.
const DEVICE_PATHS: &[&str] = &[
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
];

/// Restricts the calling thread; fails if the kernel cannot do all of it.
pub(super) fn restrict(confinement: &Confinement) -> Result<(), ConfineError> {
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(LANDLOCK_ABI))
        .and_then(|ruleset| ruleset.scope(Scope::from_all(LANDLOCK_ABI)))
        .and_then(Ruleset::create)
        .map_err(ConfineError::FileSystem)?;
    for path in SYSTEM_READ_PATHS {
        ruleset = allow_if_there(ruleset, Path::new(path), reading())?;
    }
    for path in DEVICE_PATHS {
        ruleset = allow_if_there(ruleset, Path::new(path), using_a_device())?;
    }
    for path in &confinement.read {
        ruleset = allow_around(ruleset, path, &confinement.hidden)?;
    }
    if let Some(path) = &confinement.program {
        ruleset = allow_program(ruleset, path)?;
    }
    for path in &confinement.write {
        ruleset = allow(ruleset, open(path)?, path.is_dir(), changing())?;
    }
    ruleset
        .restrict_self()
        .map(drop)
        .map_err(ConfineError::FileSystem)
}

fn reading() -> BitFlags<AccessFs> {
    AccessFs::Execute | AccessFs::ReadFile | AccessFs::ReadDir
}

fn using_a_device() -> BitFlags<AccessFs> {
    AccessFs::ReadFile | AccessFs::WriteFile
}

/// Everything that makes or removes plain content. Not: device nodes, and sockets, through which
/// the outside could be reached.
fn changing() -> BitFlags<AccessFs> {
    reading()
        | AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::RemoveDir
        | AccessFs::RemoveFile
        | AccessFs::MakeDir
        | AccessFs::MakeReg
        | AccessFs::MakeSym
        | AccessFs::MakeFifo
        | AccessFs::Refer
}

fn open(path: &Path) -> Result<PathFd, ConfineError> {
    PathFd::new(path).map_err(|source| ConfineError::AllowedPath {
        path: path.to_owned(),
        source,
    })
}

fn allow_if_there(
    ruleset: RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, ConfineError> {
    match PathFd::new(path) {
        Ok(handle) => allow(ruleset, handle, path.is_dir(), access),
        Err(PathFdError::OpenCall { source, .. })
            if source.kind() == std::io::ErrorKind::NotFound =>
        {
            Ok(ruleset)
        }
        Err(source) => Err(ConfineError::AllowedPath {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Allows reading of all below `path` but what is hidden. Landlock cannot take a part out of a
/// directory that was allowed, so the directories above a hidden path are allowed entry by entry:
/// names can be listed, and what is made there later stays closed.
fn allow_around(
    mut ruleset: RulesetCreated,
    path: &Path,
    hidden: &[PathBuf],
) -> Result<RulesetCreated, ConfineError> {
    let Ok(real) = path.canonicalize() else {
        return allow_if_there(ruleset, path, reading());
    };
    if hidden.iter().any(|hidden| real.starts_with(hidden)) {
        return Ok(ruleset);
    }
    if !hidden.iter().any(|hidden| hidden.starts_with(&real)) {
        return allow_if_there(ruleset, &real, reading());
    }
    ruleset = allow_if_there(ruleset, &real, AccessFs::ReadDir.into())?;
    let entries = std::fs::read_dir(&real).map_err(|source| ConfineError::ListAllowed {
        path: real.clone(),
        source,
    })?;
    // An entry that vanished meanwhile needs no rule. Links are skipped: their targets count.
    for entry in entries.flatten().filter(|entry| !entry.path().is_symlink()) {
        ruleset = allow_around(ruleset, &entry.path(), hidden)?;
    }
    Ok(ruleset)
}

/// Allows one file and nothing around it: a rule holds for what was opened, whatever the path
/// means later. The directories above stay closed, which forbids to list them, not to pass.
fn allow_program(ruleset: RulesetCreated, path: &Path) -> Result<RulesetCreated, ConfineError> {
    let handle = open(path)?;
    let kind = rustix::fs::fstat(&handle).map(|stat| FileType::from_raw_mode(stat.st_mode));
    if kind != Ok(FileType::RegularFile) {
        let path = path.to_owned();
        return Err(ConfineError::NotAProgram { path });
    }
    allow(ruleset, handle, false, reading())
}

fn allow(
    ruleset: RulesetCreated,
    handle: PathFd,
    is_directory: bool,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, ConfineError> {
    let fitting = if is_directory {
        access
    } else {
        access & AccessFs::from_file(LANDLOCK_ABI)
    };
    ruleset
        .add_rule(PathBeneath::new(handle, fitting))
        .map_err(ConfineError::FileSystem)
}
