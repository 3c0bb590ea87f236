//! Names of namespaces that come from elsewhere.

use skep_model::limits::NAMESPACE_BYTES_MAX;
use skep_model::memory::Namespace;

/// For names of which nothing can be kept.
const DEFAULT: &str = "default";

/// A namespace that can be used, as close to the given one as possible: capitals become small, and
/// what no name may hold becomes `-`.
pub fn nearest_namespace(text: &str) -> String {
    let allowed = |letter: char| match letter.to_ascii_lowercase() {
        letter @ ('a'..='z' | '0'..='9' | '.' | '_' | '-' | '/') => letter,
        _ => '-',
    };
    let letters: String = text
        .chars()
        .map(allowed)
        .take(NAMESPACE_BYTES_MAX)
        .collect();
    let parts: Vec<_> = letters.split('/').filter(|part| !part.is_empty()).collect();
    let joined = parts.join("/");
    // `run/` belongs to runs of this swarm.
    match joined.parse::<Namespace>() {
        Ok(namespace) if namespace.run().is_none() => joined,
        _ => DEFAULT.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_becomes_one_that_can_be_used() {
        for (given, expected) in [
            ("default", "default"),
            ("Swarm Memory", "swarm-memory"),
            ("hooks:pre-task", "hooks-pre-task"),
            ("a//b/", "a/b"),
            ("", "default"),
            ("run/run_00000000000000000000000000", "default"),
        ] {
            assert_eq!(nearest_namespace(given), expected);
        }
    }
}
