//! Who a request says it is: its id, its trace, its idempotency key.

use crate::failure::Failure;
use axum::http::{HeaderMap, HeaderName};
use skep_model::limits;
use skep_operations::{ErrorCode, Services, is_idempotency_key};

/// Header of the request's id, in and out.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// W3C trace context.
pub(crate) const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Characters of a request id that is taken over from the caller.
const REQUEST_ID_LENGTH_MAX: usize = 128;
/// A request's id and path.
#[derive(Debug, Clone)]
pub(crate) struct RequestIdentity {
    /// The caller's `x-request-id`, or one of ours.
    pub(crate) id: String,
    /// The path, without the query.
    pub(crate) path: String,
}

impl RequestIdentity {
    pub(crate) fn of(headers: &HeaderMap, path: &str, services: &Services) -> Self {
        let given = headers
            .get(REQUEST_ID)
            .and_then(|value| value.to_str().ok());
        let id = given
            .filter(|text| is_plain(text, REQUEST_ID_LENGTH_MAX))
            .map_or_else(
                || format!("req_{:032x}", services.fresh_id()),
                str::to_owned,
            );
        Self {
            id,
            path: path.to_owned(),
        }
    }
}

fn is_plain(text: &str, length_max: usize) -> bool {
    (1..=length_max).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The header of this name as text; none when it is missing. `title` is how people write it.
///
/// What comes twice is refused: two readers could take different ones of them.
pub(crate) fn single<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
    title: &str,
) -> Result<Option<&'a str>, Failure> {
    refuse_repeated(headers, name, title)?;
    let text = headers.get(name).map(|value| {
        value.to_str().map_err(|_| {
            let detail = format!("`{title}` should hold visible ASCII characters only");
            Failure::new(ErrorCode::HeaderMalformed, detail)
        })
    });
    text.transpose()
}

/// Refuses a header that comes more than once.
pub(crate) fn refuse_repeated(
    headers: &HeaderMap,
    name: &HeaderName,
    title: &str,
) -> Result<(), Failure> {
    let count = headers.get_all(name).iter().count();
    if count <= 1 {
        return Ok(());
    }
    let detail = format!("`{title}` is given {count} times; send it once");
    Err(Failure::new(ErrorCode::HeaderMalformed, detail))
}

/// The `Idempotency-Key`, quoted as the draft standard wants or bare.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Failure> {
    refuse_repeated(headers, &IDEMPOTENCY_KEY, "Idempotency-Key")?;
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else {
        return Ok(None);
    };
    let malformed = || {
        Failure::new(
            ErrorCode::IdempotencyKeyMalformed,
            format!(
                "`Idempotency-Key` should be 1 to {} visible ASCII characters",
                limits::IDEMPOTENCY_KEY_LENGTH_MAX
            ),
        )
    };
    let text = value.to_str().map_err(|_| malformed())?.trim();
    let quoted = text
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let key = quoted.unwrap_or(text);
    if is_idempotency_key(key) {
        Ok(Some(key.to_owned()))
    } else {
        Err(malformed())
    }
}

/// The caller's trace, or a new one. A malformed one is replaced, and so are two: the standard
/// asks for both.
pub(crate) fn trace_parent(headers: &HeaderMap, services: &Services) -> String {
    let mut values = headers.get_all(TRACE_PARENT).iter();
    let first = values.next().filter(|_| values.next().is_none());
    skep_operations::trace_parent(first.and_then(|value| value.to_str().ok()), services)
}

/// A header that holds an entity tag, without quotes and weakness.
pub(crate) fn entity_tag(
    headers: &HeaderMap,
    name: &HeaderName,
    title: &str,
) -> Result<Option<String>, Failure> {
    let text = single(headers, name, title)?;
    Ok(text.map(str::trim).map(|text| {
        let tag = text.strip_prefix("W/").unwrap_or(text);
        tag.trim_matches('"').to_owned()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn key_of(text: &str) -> Result<Option<String>, ErrorCode> {
        let mut headers = HeaderMap::new();
        headers.insert(IDEMPOTENCY_KEY, HeaderValue::from_str(text).unwrap());
        idempotency_key(&headers).map_err(|failure| failure.0.code())
    }

    #[test]
    fn an_idempotency_key_may_be_quoted_or_bare() {
        assert_eq!(key_of("\"abc-1\""), Ok(Some("abc-1".to_owned())));
        assert_eq!(key_of("abc-1"), Ok(Some("abc-1".to_owned())));
        assert_eq!(idempotency_key(&HeaderMap::new()).unwrap(), None);
    }

    #[test]
    fn an_idempotency_key_that_is_empty_long_or_odd_is_refused() {
        let long = "x".repeat(limits::IDEMPOTENCY_KEY_LENGTH_MAX + 1);
        for text in ["", "\"\"", "a b", "a\"b", &*long] {
            assert_eq!(
                key_of(text),
                Err(ErrorCode::IdempotencyKeyMalformed),
                "{text}"
            );
        }
    }
}
