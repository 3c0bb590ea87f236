//! State that goes with a question to the client, who keeps it and hands it back with the answer.
//!
//! Nothing is stored here for a question, so any coordinator on the same data takes up where one
//! left off. The client could change what it keeps; the code at its end proves that it did not,
//! and that the state belongs to this caller and to this very request.

use rmcp::model::JsonObject;
use serde_json::Value;
use skep_model::time::UnixMillis;
use skep_operations::Principal;

/// How long a question stays open.
const OPEN_MS: u64 = 60 * 60 * 1_000;
/// Bytes of a state that is looked at.
const STATE_BYTES_MAX: usize = 16 << 10;

/// The request that a question belongs to, and who makes it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) caller: &'a Principal,
    pub(crate) method: &'a str,
    /// The tool, prompt or resource.
    pub(crate) name: &'a str,
    pub(crate) arguments: Option<&'a JsonObject>,
}

/// Why a state is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unproven {
    /// It was changed, made elsewhere, or belongs to another caller or request.
    Forged,
    /// The question is no longer open.
    Expired,
}

/// Key of the codes. All coordinators on the same data have the same one.
#[derive(Clone)]
pub(crate) struct RequestStateKey([u8; 32]);

impl RequestStateKey {
    pub(crate) fn derived_from(secret: &[u8; 32]) -> Self {
        Self(blake3::derive_key("skep mcp request state v1", secret))
    }

    /// The state as the client keeps it: end, content and code.
    pub(crate) fn seal(&self, asked: Asked<'_>, state: &Value, now: UnixMillis) -> String {
        let end = now.0.saturating_add(OPEN_MS);
        let content = hex(state.to_string().as_bytes());
        let code = self.code(asked, end, &content).to_hex();
        format!("{end}.{content}.{code}")
    }

    /// The state that the client handed back.
    pub(crate) fn open(
        &self,
        asked: Asked<'_>,
        sealed: &str,
        now: UnixMillis,
    ) -> Result<Value, Unproven> {
        if sealed.len() > STATE_BYTES_MAX {
            return Err(Unproven::Forged);
        }
        let mut parts = sealed.split('.');
        let (Some(end), Some(content), Some(code), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Unproven::Forged);
        };
        let end: u64 = end.parse().map_err(|_| Unproven::Forged)?;
        let code = blake3::Hash::from_hex(code).map_err(|_| Unproven::Forged)?;
        // Both are hashes, whose comparison takes the same time wherever they differ.
        if self.code(asked, end, content) != code {
            return Err(Unproven::Forged);
        }
        if now.0 > end {
            return Err(Unproven::Expired);
        }
        let state = unhex(content).and_then(|bytes| serde_json::from_slice(&bytes).ok());
        state.ok_or(Unproven::Forged)
    }

    fn code(&self, asked: Asked<'_>, end: u64, content: &str) -> blake3::Hash {
        let arguments = asked.arguments.filter(|arguments| !arguments.is_empty());
        let arguments = arguments.map_or_else(String::new, |arguments| {
            Value::Object(arguments.clone()).to_string()
        });
        let caller = format!("{:?}", asked.caller.actor());
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        for part in [&caller, asked.method, asked.name, &arguments, content] {
            // With its length, so that no two lists of parts are the same bytes.
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        hasher.update(&end.to_le_bytes());
        hasher.finalize()
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        write!(text, "{byte:02x}").expect("a string takes all that is written");
    }
    text
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |digit: u8| char::from(digit).to_digit(16);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let byte = |[high, low]: &[u8; 2]| u8::try_from(digit(*high)? * 16 + digit(*low)?).ok();
    rest.is_empty().then(|| pairs.iter().map(byte).collect())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toolset::object;
    use serde_json::json;
    use skep_model::ids::TokenId;

    const NOW: UnixMillis = UnixMillis(1_000);

    fn principal(id: u128) -> Principal {
        Principal::Token {
            id: TokenId::from_u128(id),
            scopes: vec![],
        }
    }

    fn asked<'a>(caller: &'a Principal, name: &'a str, arguments: &'a JsonObject) -> Asked<'a> {
        Asked {
            caller,
            method: "tools/call",
            name,
            arguments: Some(arguments),
        }
    }

    #[test]
    fn a_state_comes_back_as_it_was_given_also_to_another_process() {
        let (caller, arguments) = (principal(1), object(json!({ "file": "ä" })));
        let asked = asked(&caller, "t", &arguments);
        let state = json!({ "round": 2, "name": "Zoë" });
        let sealed = RequestStateKey::derived_from(&[7; 32]).seal(asked, &state, NOW);
        let later = RequestStateKey::derived_from(&[7; 32]);
        assert_eq!(later.open(asked, &sealed, NOW), Ok(state));
    }

    #[test]
    fn a_forged_state_is_refused() {
        let key = RequestStateKey::derived_from(&[7; 32]);
        let (caller, arguments) = (principal(1), object(json!({ "file": "a" })));
        let asked = asked(&caller, "t", &arguments);
        let sealed = key.seal(asked, &json!({ "round": 1 }), NOW);
        let (end, rest) = sealed.split_once('.').unwrap();
        let (content, code) = rest.split_once('.').unwrap();
        let other = hex(json!({ "round": 9 }).to_string().as_bytes());
        for forged in [
            format!("{sealed}-TAMPERED"),
            format!("{sealed}.x"),
            format!("{}.{content}.{code}", end.parse::<u64>().unwrap() + 1),
            format!("{end}.{other}.{code}"),
            format!("{end}.{content}.{}", "0".repeat(64)),
            format!("{end}.{content}"),
            "x".repeat(STATE_BYTES_MAX + 1),
            String::new(),
        ] {
            assert_eq!(
                key.open(asked, &forged, NOW),
                Err(Unproven::Forged),
                "{forged}"
            );
        }
        let stranger = RequestStateKey::derived_from(&[8; 32]);
        assert_eq!(stranger.open(asked, &sealed, NOW), Err(Unproven::Forged));
    }

    #[test]
    fn a_state_belongs_to_one_caller_and_one_request() {
        let key = RequestStateKey::derived_from(&[7; 32]);
        let (caller, stranger) = (principal(1), principal(2));
        let (arguments, others) = (object(json!({ "a": 1 })), object(json!({ "a": 2 })));
        let mine = asked(&caller, "t", &arguments);
        let sealed = key.seal(mine, &json!({}), NOW);
        let prompt = Asked {
            method: "prompts/get",
            ..mine
        };
        for other in [
            asked(&stranger, "t", &arguments),
            asked(&caller, "u", &arguments),
            asked(&caller, "t", &others),
            prompt,
        ] {
            assert_eq!(key.open(other, &sealed, NOW), Err(Unproven::Forged));
        }
        assert_eq!(key.open(mine, &sealed, NOW), Ok(json!({})));
    }

    #[test]
    fn a_question_is_open_for_an_hour() {
        let key = RequestStateKey::derived_from(&[7; 32]);
        let (caller, arguments) = (principal(1), JsonObject::new());
        let asked = asked(&caller, "t", &arguments);
        let sealed = key.seal(asked, &json!({}), NOW);
        let end = NOW.0 + OPEN_MS;
        assert!(key.open(asked, &sealed, UnixMillis(end)).is_ok());
        let late = key.open(asked, &sealed, UnixMillis(end + 1));
        assert_eq!(late, Err(Unproven::Expired));
    }
}
