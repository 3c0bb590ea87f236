//! Path and query parameters as typed values.

use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use serde::de::DeserializeOwned;

/// Parameters of the path by their names in the route, decoded.
pub type PathParameters = Vec<(String, String)>;

/// Reads path and query parameters into one struct; the path wins over the query.
pub(crate) fn read<P: DeserializeOwned>(
    path: &[(String, String)],
    query: &str,
) -> Result<P, OperationError> {
    let malformed = |error: &dyn std::fmt::Display| {
        OperationError::new(ErrorCode::QueryMalformed, error.to_string())
    };
    if path.is_empty() {
        return serde_urlencoded::from_str(query).map_err(|error| malformed(&error));
    }
    let mut text = serde_urlencoded::to_string(path).map_err(|error| malformed(&error))?;
    if !query.is_empty() {
        text.push('&');
        text.push_str(query);
    }
    serde_urlencoded::from_str(&text).map_err(|error| malformed(&error))
}

/// The parameter of this name.
pub(crate) fn find<'a>(path: &'a [(String, String)], name: &str) -> Option<&'a str> {
    path.iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Page {
        id: String,
        limit: Option<usize>,
    }

    #[test]
    fn path_and_query_are_read_together() {
        let path = [("id".to_owned(), "a/b&c".to_owned())];
        let page: Page = read(&path, "limit=7").unwrap();
        assert_eq!(
            page,
            Page {
                id: "a/b&c".to_owned(),
                limit: Some(7)
            }
        );
    }

    #[test]
    fn a_query_cannot_replace_what_the_path_says() {
        let path = [("id".to_owned(), "a".to_owned())];
        assert!(read::<Page>(&path, "id=b").is_err());
    }

    #[test]
    fn unknown_and_unreadable_parameters_are_named() {
        let path = [("id".to_owned(), "a".to_owned())];
        for (query, named) in [("limt=7", "limt"), ("limit=x", "invalid digit")] {
            let error = read::<Page>(&path, query).unwrap_err();
            assert_eq!(error.code(), ErrorCode::QueryMalformed);
            assert!(error.detail().contains(named), "{error}");
        }
    }
}
