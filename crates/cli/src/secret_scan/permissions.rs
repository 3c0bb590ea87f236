//! Permissions that are too wide for what a file is.

use super::Severity;
use std::fs::Metadata;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const OTHERS_WRITE: u32 = 0o002;
const OTHERS_READ: u32 = 0o004;
const SET_ID: u32 = 0o6000;
/// Names of files that hold secrets by their purpose.
const SECRET_NAMES: [&str; 8] = [
    ".env",
    ".netrc",
    ".pgpass",
    "id_dsa",
    "id_ecdsa",
    "id_ed25519",
    "id_rsa",
    "credentials",
];
/// The same by their endings.
const SECRET_ENDINGS: [&str; 4] = ["key", "p12", "pfx", "kdbx"];

/// What is wrong with the permissions of a file.
pub(super) fn look(path: &Path, metadata: &Metadata) -> Vec<(&'static str, Severity, String)> {
    let mode = metadata.permissions().mode() & 0o7777;
    let mut found = Vec::new();
    if mode & OTHERS_WRITE != 0 {
        let text = format!("mode {mode:04o}: everybody can change it");
        found.push(("world-writable", Severity::Medium, text));
    }
    if mode & SET_ID != 0 {
        let text = format!("mode {mode:04o}: it runs with the rights of its owner");
        found.push(("set-id", Severity::Medium, text));
    }
    if mode & OTHERS_READ != 0 && is_secret(path) {
        let text = format!("mode {mode:04o}: everybody can read it");
        found.push(("secret-file-readable", Severity::Medium, text));
    }
    found
}

fn is_secret(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    let ending = path.extension().and_then(|ending| ending.to_str());
    name.is_some_and(|name| SECRET_NAMES.contains(&name))
        || ending.is_some_and(|ending| SECRET_ENDINGS.contains(&ending))
}
