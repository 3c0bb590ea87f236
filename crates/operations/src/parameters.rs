//! Path and query parameters as typed values.

use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::parameter_fault::explain;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

/// Parameters of the path by their names in the route, decoded.
pub type PathParameters = Vec<(String, String)>;

/// Reads path and query parameters into one struct. A query cannot name what the path says.
pub(crate) fn read<P: DeserializeOwned + JsonSchema>(
    path: &[(String, String)],
    query: &str,
) -> Result<P, OperationError> {
    let mut text = serde_urlencoded::to_string(path)
        .map_err(|error| OperationError::new(ErrorCode::QueryMalformed, error.to_string()))?;
    if !text.is_empty() && !query.is_empty() {
        text.push('&');
    }
    text.push_str(query);
    let pairs = form_urlencoded::parse(text.as_bytes());
    let reader = serde_urlencoded::Deserializer::new(pairs);
    serde_path_to_error::deserialize(reader).map_err(|error| {
        let given: Vec<_> = pairs.into_owned().collect();
        explain::<P>(
            &given,
            &error.path().to_string(),
            &error.inner().to_string(),
        )
    })
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

    #[derive(Debug, PartialEq, serde::Deserialize, schemars::JsonSchema)]
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
    fn unknown_unreadable_repeated_and_missing_parameters_are_named() {
        let path = [("id".to_owned(), "a".to_owned())];
        for (path, query, named) in [
            (
                &path[..],
                "limt=7",
                "`limt` is not a parameter of this route; want one of `id`, `limit`",
            ),
            (
                &path[..],
                "limit=x%20y",
                "`limit` is `x y`; want a whole number",
            ),
            (&path[..], "limit=", "`limit` is ``; want a whole number"),
            (&path[..], "limit=1&limit=1", "`limit` is given 2 times"),
            (&[][..], "limit=1", "`id` is missing"),
        ] {
            let error = read::<Page>(path, query).unwrap_err();
            assert_eq!(error.code(), ErrorCode::QueryMalformed);
            assert!(error.detail().contains(named), "{error}");
        }
    }
}
