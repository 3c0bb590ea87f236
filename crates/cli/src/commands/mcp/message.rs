//! What the forwarder has to see in a message: where it belongs, and the headers that repeat parts
//! of it. Everything else goes through as it came.

use super::subscriptions::{META_AFTER, Wish};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Revision of clients that say none: the first with streamable HTTP.
const REVISION_DEFAULT: &str = "2025-03-26";
const META_CLIENT: &str = "io.modelcontextprotocol/clientInfo";
const META_REVISION: &str = "io.modelcontextprotocol/protocolVersion";

/// The number of JSON-RPC for parameters that are wrong.
pub(super) const INVALID_PARAMS: i64 = -32_602;

/// The parts of a message that are looked at.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Message {
    #[serde(default)]
    pub(super) id: Option<Value>,
    #[serde(default)]
    pub(super) method: Option<String>,
    #[serde(default)]
    params: Value,
}

/// A line that is no message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed {
    /// Whether it is JSON all the same.
    pub(super) is_json: bool,
    pub(super) detail: String,
}

/// Reads a line.
pub(super) fn read(line: &[u8]) -> Result<Message, Malformed> {
    let malformed = |error: serde_json::Error| Malformed {
        is_json: error.is_data(),
        detail: error.to_string(),
    };
    // Serde would take an array for a struct, its elements for the fields.
    let object: Map<String, Value> = serde_json::from_slice(line).map_err(malformed)?;
    Message::deserialize(Value::Object(object)).map_err(malformed)
}

/// What to do with a message of the client.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Way {
    /// It wants an answer with this id.
    Forward(Value),
    /// Nobody waits for the answer to this request any more.
    Cancel(Value),
    /// It needs no answer, and nothing behind us keeps what it says.
    Drop,
}

impl Message {
    /// Where it goes.
    pub(super) fn way(&self) -> Way {
        match (&self.id, self.method.as_deref()) {
            (Some(id), Some(_)) => Way::Forward(id.clone()),
            (None, Some("notifications/cancelled")) => match &self.params["requestId"] {
                Value::Null => Way::Drop,
                id => Way::Cancel(id.clone()),
            },
            _ => Way::Drop,
        }
    }

    /// Whether its answer ends only when the client no longer wants it.
    pub(super) fn is_listening(&self) -> bool {
        self.method.as_deref() == Some("subscriptions/listen")
    }

    /// What it asks for, if it is a subscription as the older revisions have them.
    pub(super) fn wish(&self) -> Option<Wish> {
        let meta = &self.params["_meta"];
        let is_older = meta[META_REVISION].is_null();
        let uri = self.params["uri"].as_str().filter(|_| is_older)?.to_owned();
        match self.method.as_deref() {
            Some("resources/subscribe") => {
                let after = meta.get(META_AFTER).cloned();
                Some(Wish::Subscribe { uri, after })
            }
            Some("resources/unsubscribe") => Some(Wish::Unsubscribe { uri }),
            _ => None,
        }
    }

    /// The tool that it calls.
    pub(super) fn tool(&self) -> Option<&str> {
        let calls = self.method.as_deref() == Some("tools/call");
        self.params["name"].as_str().filter(|_| calls)
    }

    /// Name and version of the client, where it says them: in its first message, or in each.
    pub(super) fn client(&self) -> Option<(String, String)> {
        let said = [
            &self.params["clientInfo"],
            &self.params["_meta"][META_CLIENT],
        ];
        let said = said.into_iter().find(|said| said.is_object())?;
        let text = |key: &str| said[key].as_str().map(str::to_owned);
        Some((text("name")?, text("version").unwrap_or_default()))
    }

    /// Whether it begins a conversation of an older revision.
    pub(super) fn is_initialize(&self) -> bool {
        self.method.as_deref() == Some("initialize")
    }

    /// The headers that go with it; `agreed` is what an earlier `initialize` settled.
    pub(super) fn headers(&self, agreed: Option<&str>) -> Vec<(&'static str, String)> {
        let method = self.method.clone().unwrap_or_default();
        if self.is_initialize() {
            return Vec::new();
        }
        let own = self.params["_meta"][META_REVISION].as_str();
        let revision = own.or(agreed).unwrap_or(REVISION_DEFAULT);
        let mut headers = vec![("mcp-protocol-version", revision.to_owned())];
        if own.is_some() {
            let key = match method.as_str() {
                "tools/call" | "prompts/get" => Some("name"),
                "resources/read" => Some("uri"),
                "tasks/get" | "tasks/update" | "tasks/cancel" => Some("taskId"),
                _ => None,
            };
            let name = key.and_then(|key| self.params[key].as_str());
            headers.extend(name.map(|name| ("mcp-name", name.to_owned())));
            headers.push(("mcp-method", method));
        }
        headers
    }
}

/// An answer to `initialize` with what this process adds to the coordinator's capabilities.
pub(super) fn with_subscriptions(answer: &str) -> String {
    let Ok(mut answer) = serde_json::from_str::<Value>(answer) else {
        return answer.to_owned();
    };
    if let Some(resources) = answer.pointer_mut("/result/capabilities/resources") {
        resources["subscribe"] = json!(true);
    }
    answer.to_string()
}

/// The revision that this answer to `initialize` settles.
pub(super) fn agreed_revision(answer: &str) -> Option<String> {
    let answer: Value = serde_json::from_str(answer).ok()?;
    let revision = answer["result"]["protocolVersion"].as_str()?;
    Some(revision.to_owned())
}

/// An error in place of an answer that cannot be had.
pub(super) fn error(id: Option<&Value>, rpc: i64, code: &str, detail: &str, hint: &str) -> String {
    json!({
        "jsonrpc": "2.0",
        "id": id,
        "error": {
            "code": rpc,
            "message": detail,
            "data": { "code": code, "hint": hint },
        },
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(
        clippy::needless_pass_by_value,
        reason = "so that callers write it in place"
    )]
    fn of(message: Value) -> Message {
        super::read(message.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn a_line_is_one_message() {
        for (line, is_json) in [("not json", false), ("{", false), ("[]", true), ("7", true)] {
            let malformed = super::read(line.as_bytes()).unwrap_err();
            assert_eq!(malformed.is_json, is_json, "{line}");
        }
    }

    #[test]
    fn headers_repeat_what_a_new_message_says() {
        let message = of(json!({
            "id": 1, "method": "tools/call",
            "params": { "name": "skep_wait", "_meta": { META_REVISION: "2026-07-28" } },
        }));
        assert_eq!(
            message.headers(Some("2025-11-25")),
            [
                ("mcp-protocol-version", "2026-07-28".to_owned()),
                ("mcp-name", "skep_wait".to_owned()),
                ("mcp-method", "tools/call".to_owned()),
            ]
        );
    }

    #[test]
    fn an_older_message_has_the_revision_that_was_agreed() {
        let message = of(json!({ "id": 1, "method": "tools/list" }));
        let revision = |text: &str| vec![("mcp-protocol-version", text.to_owned())];
        assert_eq!(message.headers(Some("2025-11-25")), revision("2025-11-25"));
        assert_eq!(message.headers(None), revision("2025-03-26"));
        let first = of(json!({ "id": 1, "method": "initialize" }));
        assert_eq!(first.headers(None), []);
        let answer = r#"{"id":1,"result":{"protocolVersion":"2025-11-25"}}"#;
        assert_eq!(agreed_revision(answer), Some("2025-11-25".to_owned()));
    }

    #[test]
    fn a_subscription_of_an_older_revision_is_a_wish() {
        let subscribe =
            |params| of(json!({ "id": 1, "method": "resources/subscribe", "params": params }));
        let wish = |after| {
            let uri = "skep://run/1".to_owned();
            Some(Wish::Subscribe { uri, after })
        };
        let uri = json!({ "uri": "skep://run/1" });
        assert_eq!(subscribe(uri.clone()).wish(), wish(None));
        let mut resumed = uri.clone();
        resumed["_meta"] = json!({ META_AFTER: "7.1" });
        assert_eq!(subscribe(resumed).wish(), wish(Some(json!("7.1"))));
        let mut new = uri.clone();
        new["_meta"] = json!({ META_REVISION: "2026-07-28" });
        assert_eq!(subscribe(new).wish(), None);
        assert_eq!(subscribe(json!({})).wish(), None);
        let read = of(json!({ "id": 1, "method": "resources/read", "params": uri }));
        assert_eq!(read.wish(), None);
    }

    #[test]
    fn an_older_client_is_told_that_it_can_subscribe() {
        let answer = r#"{"id":1,"result":{"capabilities":{"resources":{}}}}"#;
        let told = with_subscriptions(answer);
        let told: Value = serde_json::from_str(&told).unwrap();
        assert_eq!(
            told["result"]["capabilities"]["resources"]["subscribe"],
            true
        );
        let error = r#"{"error":{"code":1},"id":1}"#;
        assert_eq!(with_subscriptions(error), error);
    }

    #[test]
    fn only_requests_are_forwarded_and_a_cancellation_names_its_request() {
        for (message, way) in [
            (
                json!({"id": "a", "method": "ping"}),
                Way::Forward(json!("a")),
            ),
            (
                json!({"method": "notifications/cancelled", "params": {"requestId": 7}}),
                Way::Cancel(json!(7)),
            ),
            (json!({"method": "notifications/initialized"}), Way::Drop),
            (json!({"id": 1, "result": {}}), Way::Drop),
        ] {
            assert_eq!(of(message.clone()).way(), way, "{message}");
        }
    }
}
