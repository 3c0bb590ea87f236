//! Rules about Rust source files.

use super::{Finding, SourceFile};

/// Lines of a file before its tests.
const CODE_LINES_MAX: usize = 400;
/// Lines of a file that is all tests.
const TEST_LINES_MAX: usize = 800;
/// Names that say nothing about the content.
const EMPTY_NAMES: [&str; 7] = [
    "utils", "util", "common", "helpers", "helper", "misc", "types",
];

/// Attributes that may not be used, and what to do instead.
const FORBIDDEN_ATTRIBUTES: [(&str, &str); 3] = [
    ("allow", "use `#[expect(.., reason = \"..\")]`"),
    (
        "ignore",
        "a test runs or goes; assert the present behaviour and link the issue",
    ),
    ("should_panic", "assert on the error or the message"),
];

/// Every file says what it is.
pub(super) fn starts_with_documentation(file: &SourceFile) -> Vec<Finding> {
    if !file.has_ending("rs") || file.text.starts_with("//!") {
        return vec![];
    }
    vec![file.finding(0, "the first line has to be `//!` and say what the file is")]
}

/// Files are split by concern before they grow.
pub(super) fn is_short_enough(file: &SourceFile) -> Vec<Finding> {
    if !file.has_ending("rs") {
        return vec![];
    }
    let lines: Vec<_> = file.text.lines().collect();
    let is_tests = is_test_file(&file.path);
    let maximum = if is_tests {
        TEST_LINES_MAX
    } else {
        CODE_LINES_MAX
    };
    let counted = if is_tests {
        lines.len()
    } else {
        first_test_module(&lines)
    };
    if counted <= maximum {
        return vec![];
    }
    let what = format!("{counted} lines, at most {maximum}: split the file by concern");
    vec![file.finding(maximum, what)]
}

fn is_test_file(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("/tests.rs") || path.ends_with("_tests.rs")
}

/// The line at which the tests inside the file start.
fn first_test_module(lines: &[&str]) -> usize {
    let starts = |pair: &[&str]| {
        pair[0] == "#[cfg(test)]" && pair[1].contains("mod ") && pair[1].ends_with('{')
    };
    lines.windows(2).position(starts).unwrap_or(lines.len())
}

/// A module is named for what it holds.
pub(super) fn is_named_for_its_content(file: &SourceFile) -> Vec<Finding> {
    let Some(path) = file.path.strip_suffix(".rs") else {
        return vec![];
    };
    let what = |name: &str| format!("a module named `{name}` says nothing: name what it holds");
    let parts = path.split('/').filter(|part| EMPTY_NAMES.contains(part));
    let named = parts.map(|part| file.finding(0, what(part)));
    let inline = file.text.lines().enumerate().filter_map(|(number, line)| {
        let rest = line
            .trim_start()
            .trim_start_matches("pub(crate) ")
            .trim_start_matches("pub ");
        let name = rest.strip_prefix("mod ")?.strip_suffix('{')?.trim();
        EMPTY_NAMES
            .contains(&name)
            .then(|| file.finding(number, what(name)))
    });
    named.chain(inline).collect()
}

/// Lints are expected with a reason, and tests run.
pub(super) fn has_no_forbidden_attribute(file: &SourceFile) -> Vec<Finding> {
    if !file.has_ending("rs") {
        return vec![];
    }
    let lines = file.text.lines().enumerate();
    let found = lines.filter_map(|(number, line)| {
        let line = line.trim_start();
        let inside = line
            .strip_prefix("#[")
            .or_else(|| line.strip_prefix("#!["))?;
        let is_used = |name: &str| match inside.strip_prefix("cfg_attr(") {
            Some(conditional) => conditional.contains(&format!(" {name}")),
            None => inside
                .strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(['(', ']', ' '])),
        };
        let (name, advice) = FORBIDDEN_ATTRIBUTES
            .iter()
            .find(|(name, _)| is_used(name))?;
        Some(file.finding(
            number,
            format!("the attribute `{name}` is not used here: {advice}"),
        ))
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::super::expect_findings;
    use super::*;

    #[test]
    fn a_file_without_a_first_line_of_documentation_is_found() {
        expect_findings(starts_with_documentation, "a.rs", "//! Says it.\n", &[]);
        expect_findings(
            starts_with_documentation,
            "a.rs",
            "use x;\n//! Late.\n",
            &[1],
        );
        expect_findings(starts_with_documentation, "a.rs", "", &[1]);
        expect_findings(starts_with_documentation, "a.md", "# Title\n", &[]);
    }

    #[test]
    fn code_is_counted_up_to_the_tests_inside_the_file() {
        let code = "x\n".repeat(CODE_LINES_MAX);
        let tests = format!(
            "#[cfg(test)]\nmod tests {{\n{}}}\n",
            "y\n".repeat(CODE_LINES_MAX)
        );
        expect_findings(
            is_short_enough,
            "crates/a/src/b.rs",
            &format!("{code}{tests}"),
            &[],
        );
        let declared = format!("#[cfg(test)]\nmod tests;\n{code}");
        expect_findings(
            is_short_enough,
            "crates/a/src/b.rs",
            &declared,
            &[CODE_LINES_MAX + 1],
        );
        expect_findings(is_short_enough, "crates/a/src/b/tests.rs", &declared, &[]);
        let long = "z\n".repeat(TEST_LINES_MAX + 1);
        expect_findings(
            is_short_enough,
            "crates/a/tests/it/b.rs",
            &long,
            &[TEST_LINES_MAX + 1],
        );
    }

    #[test]
    fn empty_names_are_found_in_paths_and_in_the_text() {
        expect_findings(is_named_for_its_content, "crates/a/src/utils.rs", "", &[1]);
        expect_findings(
            is_named_for_its_content,
            "crates/a/tests/common/mod.rs",
            "",
            &[1],
        );
        expect_findings(
            is_named_for_its_content,
            "a/backoff.rs",
            "\npub mod misc {\n}\n",
            &[2],
        );
        expect_findings(
            is_named_for_its_content,
            "a/task_types.rs",
            "mod typesetting {\n",
            &[],
        );
    }

    #[test]
    fn forbidden_attributes_are_found_wherever_they_stand() {
        let table: [(&str, &[usize]); 7] = [
            ("fn a() {}\n    #[allow(dead_code)]\n", &[2]),
            ("#![allow(dead_code)]\n", &[1]),
            ("#[cfg_attr(test, allow(dead_code))]\n", &[1]),
            ("#[ignore]\n#[ignore = \"slow\"]\n", &[1, 2]),
            ("#[should_panic(expected = \"x\")]\n", &[1]),
            ("#[expect(dead_code, reason = \"allow\")]\n", &[]),
            ("let text = \"#[allow(x)]\"; // #[ignore]\n", &[]),
        ];
        for (text, expected) in table {
            expect_findings(has_no_forbidden_attribute, "a.rs", text, expected);
        }
    }
}
