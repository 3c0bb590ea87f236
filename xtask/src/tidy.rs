//! Rules about files and manifests that neither the compiler nor clippy checks.

mod crates;
mod source;
mod text;

use crate::step::Summary;
use crate::workspace::Workspace;
use anyhow::{Result, bail};
use std::fmt;
use std::path::Path;

/// Endings of files whose text is checked.
const TEXT_ENDINGS: [&str; 11] = [
    ".rs", ".toml", ".md", ".sh", ".yml", ".yaml", ".js", ".css", ".html", ".service", "run",
];
/// Files kept byte for byte as others made them, or as an old version wrote them.
const VERBATIM: [&str; 3] = ["/data/", "LICENSE-", "/vendor/"];

/// A file as the rules see it.
#[derive(Debug)]
struct SourceFile {
    /// Relative to the root, with `/`.
    path: String,
    text: String,
}

impl SourceFile {
    fn has_ending(&self, ending: &str) -> bool {
        Path::new(&self.path)
            .extension()
            .is_some_and(|found| found == ending)
    }

    /// A finding at this line, counted from 0.
    fn finding(&self, line: usize, what: impl Into<String>) -> Finding {
        Finding {
            path: self.path.clone(),
            line: line + 1,
            what: what.into(),
        }
    }
}

/// Something that is against a rule.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    path: String,
    line: usize,
    what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

/// A rule about one file.
type FileRule = fn(&SourceFile) -> Vec<Finding>;

/// Rules about single files.
const FILE_RULES: &[FileRule] = &[
    source::starts_with_documentation,
    source::is_short_enough,
    source::is_named_for_its_content,
    source::has_no_forbidden_attribute,
    text::leaves_no_open_work_without_an_issue,
    text::has_clean_line_ends,
    text::names_no_machine_path,
];

/// Fails with all findings at once.
pub(crate) fn check(workspace: &Workspace) -> Result<Summary> {
    let mut findings = crates::check(workspace)?;
    for path in workspace
        .files()?
        .into_iter()
        .filter(|path| is_checked(path))
    {
        let text = workspace.read(&path)?;
        let file = SourceFile { path, text };
        findings.extend(FILE_RULES.iter().flat_map(|rule| rule(&file)));
    }
    if findings.is_empty() {
        return Ok(vec![]);
    }
    let lines: Vec<_> = findings.iter().map(ToString::to_string).collect();
    bail!("{} findings:\n  {}", lines.len(), lines.join("\n  "));
}

fn is_checked(path: &str) -> bool {
    let rooted = format!("/{path}");
    TEXT_ENDINGS.iter().any(|ending| path.ends_with(ending))
        && !VERBATIM.iter().any(|part| rooted.contains(part))
}

/// Runs one rule over a text; for the tests of the rules.
#[cfg(test)]
#[track_caller]
fn expect_findings(rule: FileRule, path: &str, text: &str, expected: &[usize]) {
    let file = SourceFile {
        path: path.to_owned(),
        text: text.to_owned(),
    };
    let lines: Vec<_> = rule(&file).iter().map(|finding| finding.line).collect();
    assert_eq!(lines, expected, "lines of findings in {path}:\n{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_checked_and_foreign_text_is_not() {
        let table = [
            ("crates/core/src/lib.rs", true),
            (".ci/run", true),
            ("docs/cli.md", true),
            ("LICENSE-MIT", false),
            ("crates/store/tests/data/v1/notes.md", false),
            ("web/vendor/chart.js", false),
            ("web/logo.png", false),
        ];
        for (path, expected) in table {
            assert_eq!(is_checked(path), expected, "{path}");
        }
    }

    #[test]
    fn a_finding_names_file_and_line() {
        let file = SourceFile {
            path: "a/b.rs".to_owned(),
            text: String::new(),
        };
        assert_eq!(
            file.finding(4, "is wrong").to_string(),
            "a/b.rs:5: is wrong"
        );
    }
}
