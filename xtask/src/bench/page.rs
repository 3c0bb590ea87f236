//! Writes what was measured into `docs/performance.md`, between marks. What stands around the
//! marks is written by people.

use super::machine::Machine;
use super::scaling::Study;
use super::{Detail, Report, ReportRow, decimals};
use crate::workspace::Workspace;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::process::Command;

const PAGE: &str = "docs/performance.md";
const PLOT: &str = "docs/performance.svg";
const TITLE: &str = "| row | measured | budget | n | beside it | when |\n|---|---|---|---|---|---|";

/// Puts the rows into their table; rows that were not measured now stay.
pub(super) fn write_rows(workspace: &Workspace, report: &Report) -> Result<()> {
    let page = workspace.read(PAGE)?;
    let origin = origin(workspace)?;
    let mut lines: Vec<String> = between(&page, "rows")?
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(str::to_owned)
        .collect();
    for row in &report.rows {
        let line = line(row, &origin);
        let name = format!("| `{}` |", row.name);
        match lines.iter_mut().find(|old| old.starts_with(&name)) {
            Some(old) => *old = line,
            None => lines.push(line),
        }
    }
    let machine = &report.machine;
    let table = format!("Measured on: {machine}.\n\n{TITLE}\n{}\n", lines.join("\n"));
    save(workspace, PAGE, &replaced(&page, "rows", &table)?)
}

/// Writes the study and its plot.
pub(super) fn write_scaling(
    workspace: &Workspace,
    machine: &Machine,
    study: &Study,
    plot: &str,
) -> Result<()> {
    let page = workspace.read(PAGE)?;
    let origin = origin(workspace)?;
    let text = format!(
        "Measured {origin} on: {machine}.\n\n![cost of a task](performance.svg)\n\n{}",
        study.tables()
    );
    save(workspace, PLOT, plot)?;
    save(workspace, PAGE, &replaced(&page, "scaling", &text)?)
}

fn line(row: &ReportRow, origin: &str) -> String {
    let budget = row.must.map(|must| must.judge(row.value));
    let details = row.details.iter().map(|detail| {
        let Detail { name, value, unit } = detail;
        format!("{name}: {} {unit}", decimals(*value))
            .trim_end()
            .to_owned()
    });
    format!(
        "| `{}` | {} {} | {} | {} | {} | {origin} |",
        row.name,
        decimals(row.value),
        row.unit,
        budget.as_deref().unwrap_or("-"),
        row.n,
        details.collect::<Vec<_>>().join("; ")
    )
}

/// The day and the commit that was measured.
fn origin(workspace: &Workspace) -> Result<String> {
    let ask = |program: &str, words: &[&str]| -> Result<String> {
        let mut command = Command::new(program);
        let output = command.current_dir(&workspace.root).args(words).output();
        let output = output.with_context(|| format!("start `{program}`"))?;
        ensure!(output.status.success(), "`{program}` failed");
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let day = ask("date", &["-u", "+%Y-%m-%d"])?;
    let commit = ask("git", &["rev-parse", "--short", "HEAD"])?;
    let changes = ask(
        "git",
        &["status", "--porcelain", "--", "crates", "Cargo.lock"],
    )?;
    let changed = if changes.is_empty() {
        ""
    } else {
        " with changes"
    };
    Ok(format!("{day}, {commit}{changed}"))
}

fn marks(name: &str) -> (String, String) {
    (
        format!("<!-- measured: {name} -->\n"),
        format!("<!-- end of {name} -->"),
    )
}

fn between<'a>(page: &'a str, name: &str) -> Result<&'a str> {
    let (begin, end) = marks(name);
    let parts = page
        .split_once(&begin)
        .and_then(|(_, rest)| rest.split_once(&end));
    let (text, _) = parts.with_context(|| format!("`{PAGE}` has no marks `{name}`"))?;
    Ok(text)
}

fn replaced(page: &str, name: &str, text: &str) -> Result<String> {
    let (begin, end) = marks(name);
    let old = format!("{begin}{}{end}", between(page, name)?);
    Ok(page.replace(&old, &format!("{begin}{text}{end}")))
}

fn save(workspace: &Workspace, path: &str, text: &str) -> Result<()> {
    fs::write(workspace.root.join(path), text).with_context(|| format!("write `{path}`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::budget::Must;

    #[test]
    fn only_what_stands_between_the_marks_is_replaced() {
        let page = "a\n<!-- measured: rows -->\nold\n<!-- end of rows -->\nb\n";
        let new = replaced(page, "rows", "new\n").unwrap();
        assert_eq!(
            new,
            "a\n<!-- measured: rows -->\nnew\n<!-- end of rows -->\nb\n"
        );
        assert!(replaced(page, "scaling", "new").is_err());
    }

    #[test]
    fn a_line_tells_value_budget_and_what_was_seen_beside() {
        let row = ReportRow {
            name: "x",
            value: 50.0,
            unit: "%",
            n: 7,
            p50_ms: None,
            p99_ms: None,
            must: Some(Must::AtMost(40.0)),
            details: vec![Detail::new("lost", 1.0, ""), Detail::new("took", 2.5, "s")],
        };
        assert_eq!(
            line(&row, "today, abc"),
            "| `x` | 50.00 % | at most 40.00: MISSED by 25 % | 7 | lost: 1.00; took: 2.50 s | \
             today, abc |"
        );
    }
}
