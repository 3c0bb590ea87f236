//! What callers send to name a request: idempotency keys and traces. The same rules on every surface.

use crate::context::Services;
use skep_model::limits;

/// `00-` trace id `-` parent id `-` flags.
const TRACE_PARENT_LENGTH: usize = 55;

/// Whether a text can be an idempotency key: 1 to `IDEMPOTENCY_KEY_LENGTH_MAX` visible ASCII
/// characters, no quotation mark.
pub fn is_idempotency_key(text: &str) -> bool {
    (1..=limits::IDEMPOTENCY_KEY_LENGTH_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'"')
}

/// The caller's trace in the W3C form, or a new one. A malformed one is replaced, as the standard
/// asks.
pub fn trace_parent(given: Option<&str>, services: &Services) -> String {
    given.filter(|text| is_trace_parent(text)).map_or_else(
        || {
            let trace = services.fresh_id();
            let span = blake3::hash(&trace.to_le_bytes()).to_hex();
            format!("00-{trace:032x}-{}-01", &span[..16])
        },
        str::to_owned,
    )
}

fn is_trace_parent(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [version, trace, parent, flags] = parts[..] else {
        return false;
    };
    let hex = |part: &str, length: usize| {
        part.len() == length
            && part
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let not_zero = |part: &str| part.bytes().any(|byte| byte != b'0');
    text.len() == TRACE_PARENT_LENGTH
        && version == "00"
        && hex(trace, 32)
        && not_zero(trace)
        && hex(parent, 16)
        && not_zero(parent)
        && hex(flags, 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_trace_parent_is_taken_over() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert!(is_trace_parent(good));
        for bad in [
            "",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
        ] {
            assert!(!is_trace_parent(bad), "{bad}");
        }
    }

    #[test]
    fn an_idempotency_key_is_visible_ascii_of_a_bounded_length() {
        let longest = "x".repeat(limits::IDEMPOTENCY_KEY_LENGTH_MAX);
        assert!(is_idempotency_key("toolu_01-a") && is_idempotency_key(&longest));
        for bad in ["", "a b", "a\"b", "ä", &format!("{longest}x")] {
            assert!(!is_idempotency_key(bad), "{bad}");
        }
    }
}
