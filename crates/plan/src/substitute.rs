//! Filling `${{ params.x }}` and `${{ matrix.x }}` into texts.

use crate::error::{ErrorCode, Problem, Problems};
use crate::position::At;
use crate::suggest;
use std::collections::BTreeMap;

const OPEN: &str = "${{";
const CLOSE: &str = "}}";

/// What references mean in one instance of a task.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope<'a> {
    /// Values of the parameters.
    pub(crate) params: &'a BTreeMap<String, String>,
    /// Values of the axes, in the order of the matrix.
    pub(crate) matrix: &'a [(String, String)],
}

impl Scope<'_> {
    /// The text with every reference replaced. One that means nothing is a problem and stays.
    pub(crate) fn fill(&self, text: &At<String>, problems: &mut Problems) -> String {
        let mut filled = String::with_capacity(text.value.len());
        let mut rest = text.value.as_str();
        while let Some(start) = rest.find(OPEN) {
            filled.push_str(&rest[..start]);
            let inner = &rest[start + OPEN.len()..];
            let Some(end) = inner.find(CLOSE) else {
                let message = format!("`{OPEN}` is not closed");
                let fix = format!("add `{CLOSE}` after the name");
                let problem = Problem::new(ErrorCode::UnknownReference, message, fix);
                problems.add(text.position, problem.found(&rest[start..]));
                rest = &rest[start..];
                break;
            };
            let name = inner[..end].trim();
            match self.value(name) {
                Some(value) => filled.push_str(value),
                None => problems.add(text.position, self.unknown(name)),
            }
            rest = &inner[end + CLOSE.len()..];
        }
        filled.push_str(rest);
        filled
    }

    fn value(&self, name: &str) -> Option<&str> {
        let (kind, name) = name.split_once('.')?;
        match kind {
            "params" => self.params.get(name).map(String::as_str),
            "matrix" => self
                .matrix
                .iter()
                .find(|(axis, _)| axis == name)
                .map(|(_, value)| value.as_str()),
            _ => None,
        }
    }

    fn unknown(&self, name: &str) -> Problem {
        let params = self.params.keys().map(|param| format!("params.{param}"));
        let axes = self.matrix.iter().map(|(axis, _)| format!("matrix.{axis}"));
        let known: Vec<String> = params.chain(axes).collect();
        let message = "the reference means nothing here";
        let fix = if known.is_empty() {
            "declare it under `params` or `matrix`".to_owned()
        } else {
            suggest::hint(name, known.iter().map(String::as_str))
        };
        Problem::new(ErrorCode::UnknownReference, message, fix).found(name)
    }
}

/// Whether the text has a reference to an axis.
pub(crate) fn refers_to_axes(text: &At<String>) -> bool {
    let mut references = text.value.split(OPEN).skip(1);
    references.any(|reference| reference.trim_start().starts_with("matrix."))
}

/// The lines of a text, or its words when it has only one line.
pub(crate) fn split(text: &str) -> Vec<String> {
    let parts: Vec<&str> = if text.trim().contains('\n') {
        text.lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect()
    } else {
        text.split_whitespace().collect()
    };
    parts.into_iter().map(str::to_owned).collect()
}

/// The path as seen from the base directory; `.` and doubled slashes are dropped.
pub(crate) fn resolve(base_dir: &str, path: &str) -> String {
    let whole = if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("{base_dir}/{path}")
    };
    let parts: Vec<&str> = whole
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    let root = if whole.starts_with('/') { "/" } else { "" };
    format!("{root}{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_replaced_and_unknown_ones_are_named() {
        let params = BTreeMap::from([("dir".to_owned(), "a b".to_owned())]);
        let matrix = [("lang".to_owned(), "rs".to_owned())];
        let scope = Scope {
            params: &params,
            matrix: &matrix,
        };
        for (text, filled, problem) in [
            ("plain $HOME ${X}", "plain $HOME ${X}", None),
            ("${{params.dir}}/${{ matrix.lang }}", "a b/rs", None),
            ("${{ params.dri }}", "", Some("did you mean `params.dir`?")),
            (
                "${{ env.HOME }}",
                "",
                Some("use one of params.dir, matrix.lang"),
            ),
            (
                "x ${{ params.dir",
                "x ${{ params.dir",
                Some("add `}}` after the name"),
            ),
        ] {
            let mut problems = Problems::new("test");
            let result = scope.fill(&At::new(text.to_owned(), None), &mut problems);
            assert_eq!(result, filled);
            let fix = problems
                .finish(())
                .err()
                .map(|errors| errors.0[0].fix.clone());
            assert_eq!(fix.as_deref(), problem, "{text}");
        }
    }

    #[test]
    fn paths_are_seen_from_the_base_directory() {
        for (path, expected) in [
            (".", "/home/me"),
            ("src//lib.rs", "/home/me/src/lib.rs"),
            ("./a/./b", "/home/me/a/b"),
            ("../other", "/home/me/../other"),
            ("/tmp/", "/tmp"),
        ] {
            assert_eq!(resolve("/home/me", path), expected);
        }
    }
}
