//! Which namespaces of shared memory a search looks at.

use skep_model::memory::Namespace;

/// Namespaces that are looked at. What lies elsewhere changes nothing of the answer: neither what
/// is found, nor how much of it there is, nor where the next page starts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum SearchedNamespaces {
    /// All of them.
    #[default]
    All,
    /// These.
    Only(Vec<Namespace>),
    /// All but these.
    Except(Vec<Namespace>),
}

impl SearchedNamespaces {
    /// Lists for SQL: the only ones that are looked at, and those that are not. Each is a JSON array
    /// for `json_each`, or `NULL` where nothing is said.
    pub(super) fn as_lists(&self) -> (Option<String>, Option<String>) {
        match self {
            Self::All => (None, None),
            Self::Only(names) => (Some(list(names)), None),
            Self::Except(names) => (None, Some(list(names))),
        }
    }
}

fn list(names: &[Namespace]) -> String {
    let names: Vec<_> = names.iter().map(Namespace::as_str).collect();
    serde_json::json!(names).to_string()
}
