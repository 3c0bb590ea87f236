//! Generated pages: `cargo xtask docs` writes them, `cargo xtask docs --check` fails when one is
//! not current.

mod cli_reference;
mod described;

use crate::console::say;
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::fs;

/// One source of generated pages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Generator {
    /// Shown when it fails.
    name: &'static str,
    /// Directory that holds nothing but its pages, if it has one: others there are stale.
    owns: Option<&'static str>,
    /// Makes the pages.
    generate: fn(&Workspace) -> Result<Vec<Page>>,
}

/// A page, as it has to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Page {
    /// Relative to the root.
    path: String,
    text: String,
}

/// Everything that makes pages. To add one, write its function and name it here.
pub(crate) const GENERATORS: &[Generator] = &[
    Generator {
        name: "command line reference",
        owns: None,
        generate: cli_reference::generate,
    },
    Generator {
        name: "error pages",
        owns: Some("docs/errors"),
        generate: described::errors,
    },
    Generator {
        name: "HTTP API",
        owns: None,
        generate: described::openapi,
    },
    Generator {
        name: "table of Claude-Flow's tools",
        owns: None,
        generate: described::claude_flow,
    },
];

/// A difference between what is on disk and what has to be.
#[derive(Debug, PartialEq, Eq)]
enum Difference {
    Missing(String),
    Changed(String),
    Stale(String),
}

/// Writes the pages and removes stale ones.
pub(crate) fn write(workspace: &Workspace) -> Result<()> {
    for generator in GENERATORS {
        let pages = pages_of(generator, workspace)?;
        for difference in differences(generator, &pages, workspace)? {
            match difference {
                Difference::Missing(path) | Difference::Changed(path) => {
                    let page = pages.iter().find(|page| page.path == path);
                    let page = page.context("a difference names a page that was not generated")?;
                    write_page(workspace, page)?;
                    say(&format!("wrote {path}"));
                }
                Difference::Stale(path) => {
                    fs::remove_file(workspace.root.join(&path))
                        .with_context(|| format!("remove `{path}`"))?;
                    say(&format!("removed {path}"));
                }
            }
        }
    }
    Ok(())
}

/// Fails when a page is missing, differs or is stale.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let mut said = Vec::new();
    for generator in GENERATORS {
        let pages = pages_of(generator, workspace)?;
        for difference in differences(generator, &pages, workspace)? {
            said.push(match difference {
                Difference::Missing(path) => format!("`{path}` is missing"),
                Difference::Changed(path) => format!("`{path}` is not current"),
                Difference::Stale(path) => format!("`{path}` is not generated any more"),
            });
        }
    }
    if !said.is_empty() {
        bail!("run `cargo xtask docs` and commit: {}", said.join(", "));
    }
    Ok(())
}

fn pages_of(generator: &Generator, workspace: &Workspace) -> Result<Vec<Page>> {
    (generator.generate)(workspace).with_context(|| format!("generate the {}", generator.name))
}

fn differences(
    generator: &Generator,
    pages: &[Page],
    workspace: &Workspace,
) -> Result<Vec<Difference>> {
    let mut found = Vec::new();
    for page in pages {
        match fs::read_to_string(workspace.root.join(&page.path)) {
            Ok(text) if text == page.text => {}
            Ok(_) => found.push(Difference::Changed(page.path.clone())),
            Err(_) => found.push(Difference::Missing(page.path.clone())),
        }
    }
    let Some(directory) = generator
        .owns
        .filter(|owned| workspace.root.join(owned).is_dir())
    else {
        return Ok(found);
    };
    let wanted: BTreeSet<_> = pages.iter().map(|page| page.path.as_str()).collect();
    let entries = fs::read_dir(workspace.root.join(directory))
        .with_context(|| format!("list `{directory}`"))?;
    for entry in entries {
        let name = entry
            .with_context(|| format!("list `{directory}`"))?
            .file_name();
        let path = format!("{directory}/{}", name.to_string_lossy());
        if !wanted.contains(path.as_str()) {
            found.push(Difference::Stale(path));
        }
    }
    Ok(found)
}

fn write_page(workspace: &Workspace, page: &Page) -> Result<()> {
    let path = workspace.root.join(&page.path);
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).with_context(|| format!("make `{}`", directory.display()))?;
    }
    fs::write(&path, &page.text).with_context(|| format!("write `{}`", page.path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_changed_and_stale_pages_are_told_apart() {
        let mut workspace = Workspace::load().unwrap();
        let directory = tempfile::tempdir().unwrap();
        workspace.root = directory.path().to_owned();
        let page = |name: &str| Page {
            path: format!("pages/{name}"),
            text: "right\n".to_owned(),
        };
        let generator = Generator {
            name: "x",
            owns: Some("pages"),
            generate: |_| Ok(vec![]),
        };
        for name in ["same.md", "changed.md", "stale.md"] {
            write_page(&workspace, &page(name)).unwrap();
        }
        fs::write(directory.path().join("pages/changed.md"), "wrong\n").unwrap();
        let pages = ["same.md", "changed.md", "missing.md"].map(page);
        let expected = [
            Difference::Changed("pages/changed.md".to_owned()),
            Difference::Missing("pages/missing.md".to_owned()),
            Difference::Stale("pages/stale.md".to_owned()),
        ];
        assert_eq!(
            differences(&generator, &pages, &workspace).unwrap(),
            expected
        );
        let shared = Generator {
            owns: None,
            ..generator
        };
        assert_eq!(
            differences(&shared, &pages, &workspace).unwrap(),
            expected[..2]
        );
    }
}
