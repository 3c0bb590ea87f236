//! Rules about text of any kind.

use super::{Finding, SourceFile};

/// Words for open work; spelled in halves so that this file does not contain them.
const OPEN_WORK: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];
/// First directories of paths that exist on one machine only.
const MACHINE_DIRECTORIES: [&str; 4] = ["home", "root", "Users", "work"];
/// People whose home directories are examples.
const EXAMPLE_PEOPLE: [&str; 4] = ["ada", "me", "user", "you"];
/// Routes of the API that begin like a directory of machines.
const ROUTES_BELOW_WORK: [&str; 3] = ["claim", "complete", "request"];
/// Parts of paths of files that are about such directories: what a sandbox has to hide.
const ABOUT_MACHINE_PATHS: [&str; 4] = ["isolation", "sandbox", "workspace", "deploy/"];

/// Open work has an issue. Pages and sample plans speak of the words themselves.
pub(super) fn leaves_no_open_work_without_an_issue(file: &SourceFile) -> Vec<Finding> {
    if file.has_ending("md") || file.path.starts_with("examples/") {
        return vec![];
    }
    let lines = file.text.lines().enumerate();
    let open = lines.filter(|(_, line)| OPEN_WORK.iter().any(|word| contains_word(line, word)));
    let without_issue = open.filter(|(_, line)| !names_issue(line));
    without_issue
        .map(|(number, _)| file.finding(number, "open work needs an issue: `(#NN)`"))
        .collect()
}

fn contains_word(line: &str, word: &str) -> bool {
    line.split(|c: char| !c.is_alphanumeric() && c != '_')
        .any(|part| part == word)
}

fn names_issue(line: &str) -> bool {
    line.split('#')
        .skip(1)
        .any(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// No blanks at the ends of lines, no carriage returns, one newline at the end.
pub(super) fn has_clean_line_ends(file: &SourceFile) -> Vec<Finding> {
    let lines = file.text.split('\n').enumerate();
    let blank = lines.filter(|(_, line)| line.ends_with([' ', '\t', '\r']));
    let mut findings: Vec<_> = blank
        .map(|(number, _)| file.finding(number, "blanks at the end of the line"))
        .collect();
    let last = file.text.lines().count().saturating_sub(1);
    if !file.text.is_empty() && !file.text.ends_with('\n') {
        findings.push(file.finding(last, "no newline at the end of the file"));
    } else if file.text.ends_with("\n\n") {
        findings.push(file.finding(last, "empty lines at the end of the file"));
    }
    findings
}

/// The repository works on every machine.
pub(super) fn names_no_machine_path(file: &SourceFile) -> Vec<Finding> {
    if ABOUT_MACHINE_PATHS
        .iter()
        .any(|part| file.path.contains(part))
    {
        return vec![];
    }
    let lines = file.text.lines().enumerate();
    let found = lines.filter_map(|(number, line)| {
        let directory = MACHINE_DIRECTORIES
            .iter()
            .find(|name| has_machine_path(line, name))?;
        let what = format!("a path below `{directory}` of one machine: make it relative");
        Some(file.finding(number, what))
    });
    found.collect()
}

/// Whether the line has an absolute path that starts with this directory and goes on.
fn has_machine_path(line: &str, directory: &str) -> bool {
    let wanted = format!("/{directory}/");
    line.match_indices(&wanted).any(|(start, found)| {
        let before = line[..start].chars().next_back();
        let starts_here = before.is_none_or(|c| !c.is_alphanumeric() && !"_-.}~*/".contains(c));
        let rest = &line[start + found.len()..];
        let person = rest
            .split(|c: char| !c.is_alphanumeric())
            .next()
            .unwrap_or_default();
        let is_known = EXAMPLE_PEOPLE.contains(&person) || ROUTES_BELOW_WORK.contains(&person);
        starts_here && !person.is_empty() && !is_known
    })
}

#[cfg(test)]
mod tests {
    use super::super::expect_findings;
    use super::*;

    #[test]
    fn open_work_without_an_issue_is_found() {
        let [first, second] = OPEN_WORK;
        let rule = leaves_no_open_work_without_an_issue;
        expect_findings(
            rule,
            "a.rs",
            &format!("// {first}: later\n// {second} (#12): x\n"),
            &[1],
        );
        expect_findings(rule, "a.sh", &format!("# {second}\n"), &[1]);
        expect_findings(rule, "examples/a.yaml", &format!("# {second}\n"), &[]);
        expect_findings(
            rule,
            "a.rs",
            &format!("let my_{first}_list = {first}S;\n"),
            &[],
        );
    }

    #[test]
    fn blanks_and_missing_newlines_are_found() {
        expect_findings(has_clean_line_ends, "a.md", "a\nb\n", &[]);
        expect_findings(has_clean_line_ends, "a.md", "", &[]);
        expect_findings(has_clean_line_ends, "a.md", "a \nb\t\nc\r\n", &[1, 2, 3]);
        expect_findings(has_clean_line_ends, "a.md", "a\nb", &[2]);
        expect_findings(has_clean_line_ends, "a.md", "a\n\n", &[2]);
    }

    #[test]
    fn paths_of_one_machine_are_found() {
        let [home, root, _, work] = MACHINE_DIRECTORIES;
        let table: [(String, &[usize]); 8] = [
            (format!("see /{work}/main\n"), &[1]),
            (format!("x\nlet a = \"/{home}/someone/x\";\n"), &[2]),
            (format!("(/{root}/x)\n"), &[1]),
            (format!("/{home}/ada/project and /{home}/\n"), &[]),
            (format!("target/{work}/x and ./{work}/x\n"), &[]),
            (format!("/{work}space/x\n"), &[]),
            (format!("{{home}}/{work}/x\n"), &[]),
            (format!("GET /{work}/request\n"), &[]),
        ];
        for (text, expected) in &table {
            expect_findings(names_no_machine_path, "docs/a.md", text, expected);
        }
        let text = &table[0].0;
        expect_findings(
            names_no_machine_path,
            "crates/runner/tests/isolation.rs",
            text,
            &[],
        );
    }
}
