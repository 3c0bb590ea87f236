//! Rules about crates: manifests, crate documentation, and the bans of the pure ones.

use super::Finding;
use crate::layers::Layers;
use crate::workspace::Workspace;
use anyhow::{Context, Result};
use cargo_metadata::Package;
use std::fs;
use std::path::Path;

/// What the documentation of every crate has to say: what the crate refuses to do.
const REFUSAL: &str = "may not";

/// Checks all members.
pub(super) fn check(workspace: &Workspace) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for package in workspace.members() {
        findings.extend(inherits_the_lints(workspace, package)?);
        findings.extend(says_what_it_may_not(workspace, package)?);
    }
    findings.extend(pure_crates_have_equal_bans(workspace)?);
    Ok(findings)
}

fn inherits_the_lints(workspace: &Workspace, package: &Package) -> Result<Option<Finding>> {
    let path = package.manifest_path.as_std_path();
    let text = fs::read_to_string(path).with_context(|| format!("read `{}`", path.display()))?;
    if has_workspace_lints(&text)? {
        return Ok(None);
    }
    let what = "the crate has to inherit the lints: `[lints]` with `workspace = true`";
    Ok(Some(finding(workspace, path, what)))
}

fn has_workspace_lints(manifest: &str) -> Result<bool> {
    let manifest: toml::Table = toml::from_str(manifest).context("parse a manifest")?;
    let inherited = manifest
        .get("lints")
        .and_then(|lints| lints.get("workspace"));
    Ok(inherited.and_then(toml::Value::as_bool) == Some(true))
}

fn says_what_it_may_not(workspace: &Workspace, package: &Package) -> Result<Option<Finding>> {
    let sources = Workspace::directory_of(package)?.join("src");
    let roots = ["lib.rs", "main.rs"].map(|name| sources.join(name));
    let root = roots.iter().find(|path| path.is_file());
    let root = root.with_context(|| format!("`{}` has no lib.rs or main.rs", package.name))?;
    let text = fs::read_to_string(root).with_context(|| format!("read `{}`", root.display()))?;
    if refuses_something(&text) {
        return Ok(None);
    }
    let what = format!("the crate documentation has to say what the crate {REFUSAL} do");
    Ok(Some(finding(workspace, root, &what)))
}

fn refuses_something(text: &str) -> bool {
    let documentation = text.lines().take_while(|line| line.starts_with("//!"));
    let words: Vec<_> = documentation
        .flat_map(|line| line[3..].split_whitespace())
        .collect();
    words.join(" ").contains(REFUSAL)
}

fn pure_crates_have_equal_bans(workspace: &Workspace) -> Result<Vec<Finding>> {
    let layers = Layers::load(workspace)?;
    let mut first: Option<String> = None;
    let mut findings = Vec::new();
    for name in layers.pure() {
        // A listed crate that is gone is a finding of the layers check.
        let Some(package) = workspace.members().find(|package| package.name == name) else {
            continue;
        };
        let path = Workspace::directory_of(package)?.join("clippy.toml");
        let text = fs::read_to_string(&path).unwrap_or_default();
        if text.is_empty() {
            findings.push(finding(
                workspace,
                &path,
                "a pure crate needs its own list of bans",
            ));
        } else if *first.get_or_insert_with(|| text.clone()) != text {
            findings.push(finding(
                workspace,
                &path,
                "differs from that of the other pure crates",
            ));
        }
    }
    Ok(findings)
}

fn finding(workspace: &Workspace, path: &Path, what: &str) -> Finding {
    let path = path.strip_prefix(&workspace.root).unwrap_or(path);
    Finding {
        path: path.display().to_string(),
        line: 1,
        what: what.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lints_have_to_be_inherited() {
        assert!(has_workspace_lints("[lints]\nworkspace = true\n").unwrap());
        assert!(!has_workspace_lints("[lints]\nworkspace = false\n").unwrap());
        assert!(!has_workspace_lints("[lints.rust]\nunsafe_code = \"deny\"\n").unwrap());
        assert!(!has_workspace_lints("[package]\nname = \"x\"\n").unwrap());
    }

    #[test]
    fn the_refusal_is_looked_for_in_the_crate_documentation_only() {
        assert!(refuses_something(
            "//! Purpose.\n//!\n//! This crate may\n//! not: speak HTTP.\n"
        ));
        assert!(!refuses_something(
            "//! Purpose.\n\n// This crate may not: speak HTTP.\n"
        ));
    }
}
