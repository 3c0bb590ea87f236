//! `skep mcp config CLIENT`: tells a client of this server, and proves that it works.

use super::client_file::{self, ClientFile};
use super::entry_check::{self, Checked};
use crate::args::McpConfigArgs;
use crate::commands::Session;
use crate::exit::{Exit, Failure, Outcome};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

/// Copies of one file that are kept.
const COPIES_MAX: u32 = 1_000;

pub(super) async fn run(session: &Session, args: McpConfigArgs) -> Outcome {
    let file = ClientFile::of(args.client, args.toolset, args.file)?;
    let binary = std::env::current_exe()?;
    let entry = client_file::entry(args.client, args.toolset, &binary, &flags(session)?);
    let text = file.text()?;
    let new = file.with_entry(&text, &entry)?;
    if !args.write {
        let shown = file.with_entry("", &entry)?;
        let document = json!({ "file": file.path, "entry": entry, "written": false });
        session.output.document(&document, |_| {
            let path = file.path.display();
            format!("# into {path}; --write does it\n{}", shown.trim_end())
        })?;
        return Ok(Exit::Ok);
    }
    let copy = write(&file.path, &text, &new)?;
    let checked = check_written(&file).await?;
    let document = json!({
        "file": file.path, "entry": entry, "written": true, "copy": copy,
        "tools": checked.tools, "revision": checked.revision,
    });
    session.output.document(&document, |_| {
        let kept = copy
            .as_ref()
            .map_or_else(String::new, |copy| format!("\nbefore   {}", copy.display()));
        format!(
            "written  {}{kept}\ncalled   {} tools by MCP {}",
            file.path.display(),
            checked.tools,
            checked.revision
        )
    })?;
    Ok(Exit::Ok)
}

/// What leads a process without our environment to the same swarm. A token is never written down.
fn flags(session: &Session) -> Result<Vec<String>, Failure> {
    let mut flags = Vec::new();
    if let Some(home) = &session.global.home {
        let home = std::path::absolute(home)?;
        flags.extend(["--home".to_owned(), home.to_string_lossy().into_owned()]);
    }
    if let Some(url) = &session.global.url {
        flags.extend(["--url".to_owned(), url.clone()]);
    }
    Ok(flags)
}

/// Starts what the file says now, as the client will.
async fn check_written(file: &ClientFile) -> Result<Checked, Failure> {
    let written = file.text()?;
    let entry = file.entry(&written).ok_or_else(|| {
        let message = format!("the entry is not in `{}`", file.path.display());
        Failure::new(Exit::Failed, "mcp_entry_failed", message)
    })?;
    entry_check::call(&entry).await
}

/// Writes the file so that its program sees all of it or none, and keeps what was there.
fn write(path: &Path, old: &str, new: &str) -> Result<Option<PathBuf>, Failure> {
    if old == new {
        return Ok(None);
    }
    // A link stays one: what it leads to is written.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let copy = if old.is_empty() {
        None
    } else {
        Some(keep_copy(&target)?)
    };
    let permissions = fs::metadata(&target).map(|metadata| metadata.permissions());
    crate::places::write_private(&target, new.as_bytes())?;
    if let Ok(permissions) = permissions {
        fs::set_permissions(&target, permissions)?;
    }
    Ok(copy)
}

/// A copy beside the file, under a name that is free.
fn keep_copy(path: &Path) -> Result<PathBuf, Failure> {
    for number in 1..=COPIES_MAX {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".before-skep-{number}"));
        let copy = PathBuf::from(name);
        if !copy.exists() {
            fs::copy(path, &copy)?;
            return Ok(copy);
        }
    }
    let message = format!("there are {COPIES_MAX} copies of `{}`", path.display());
    Err(Failure::new(Exit::Conflict, "client_file_unusable", message).hint("remove old copies"))
}
