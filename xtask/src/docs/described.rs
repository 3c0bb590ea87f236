//! Pages that the binary describes by itself: error codes and the HTTP API.

use super::Page;
use crate::workspace::{Workspace, run_visibly};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::process::Command;

/// `docs/errors/`: one page per error code.
pub(super) fn errors(workspace: &Workspace) -> Result<Vec<Page>> {
    let pages = describe(workspace, "errors")?;
    let pages = pages
        .as_object()
        .context("`skep schema errors` prints an object")?;
    let page = |(file, text): (&String, &Value)| {
        let text = text.as_str().context("a page is a text")?.to_owned();
        Ok(Page {
            path: format!("docs/errors/{file}"),
            text,
        })
    };
    pages.iter().map(page).collect()
}

/// `docs/claude-flow.md`: which tools of its contract are served.
pub(super) fn claude_flow(workspace: &Workspace) -> Result<Vec<Page>> {
    let pages = describe(workspace, "claude-flow")?;
    let text = pages["claude-flow.md"].as_str();
    Ok(vec![Page {
        path: "docs/claude-flow.md".to_owned(),
        text: text
            .context("`skep schema claude-flow` prints a page")?
            .to_owned(),
    }])
}

/// `docs/openapi.json`: the HTTP API.
pub(super) fn openapi(workspace: &Workspace) -> Result<Vec<Page>> {
    let text = format!(
        "{}\n",
        serde_json::to_string_pretty(&describe(workspace, "openapi")?)?
    );
    Ok(vec![Page {
        path: "docs/openapi.json".to_owned(),
        text,
    }])
}

fn describe(workspace: &Workspace, what: &str) -> Result<Value> {
    run_visibly(&mut workspace.cargo("build --quiet --package skep-cli"))?;
    let output = Command::new(workspace.skep_binary("debug"))
        .args(["schema", what])
        .output()
        .with_context(|| format!("run `skep schema {what}`"))?;
    ensure!(output.status.success(), "`skep schema {what}` failed");
    serde_json::from_slice(&output.stdout).context("`skep schema` prints JSON")
}
