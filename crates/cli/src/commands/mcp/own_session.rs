//! The attached agent that the client registers over this process: it is kept alive while the
//! process lives, also while the client works and says nothing, and ends with it.

use super::message::Message;
use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::{Map, Value};
use skep_client::{Client, ClientError, Method};
use std::time::Duration;

/// The tool that registers a session.
const REGISTER: &str = "skep_sessions_register";
/// How long the farewell may take.
const LEAVE_MAX: Duration = Duration::from_secs(3);

/// What is known of it.
#[derive(Debug, Default)]
pub(super) struct OwnSession {
    /// Name and version of the client, as it introduced itself.
    client: Mutex<Option<(String, String)>>,
    /// The session, once it is registered.
    id: Mutex<Option<String>>,
}

impl OwnSession {
    /// The message as it is sent on: what the client leaves open about its session is filled in. A
    /// name that is made from the client's own is told apart from those of its other sessions by
    /// `mark`.
    pub(super) fn filled_in(&self, message: &Message, bytes: Bytes, mark: u32) -> Bytes {
        if let Some(client) = message.client() {
            *self.client.lock() = Some(client);
        }
        if message.tool() != Some(REGISTER) {
            return bytes;
        }
        let Ok(mut whole) = serde_json::from_slice::<Value>(&bytes) else {
            return bytes;
        };
        let arguments = &mut whole["params"]["arguments"];
        if arguments.is_null() {
            *arguments = Value::Object(Map::new());
        }
        let Some(arguments) = arguments.as_object_mut() else {
            return bytes;
        };
        let mut fill = |key: &str, value: String| {
            arguments.entry(key).or_insert_with(|| value.into());
        };
        fill("heartbeat", "background".to_owned());
        fill("instance", format!("skep mcp {mark:08x}"));
        if let Some((name, version)) = self.client.lock().as_ref() {
            fill("name", format!("{name}-{:04x}", mark & 0xffff));
            fill("client", format!("{name} {version}"));
        }
        serde_json::to_vec(&whole).map_or(bytes, Bytes::from)
    }

    /// Learns the id from the answer to a registration.
    pub(super) fn learn(&self, message: &Message, answer: &str) {
        if message.tool() != Some(REGISTER) {
            return;
        }
        let answer: Value = serde_json::from_str(answer).unwrap_or_default();
        let result = &answer["result"];
        if result["isError"] != true
            && let Some(id) = result["structuredContent"]["id"].as_str()
        {
            *self.id.lock() = Some(id.to_owned());
        }
    }

    /// Whether there is anybody to keep alive.
    pub(super) fn is_registered(&self) -> bool {
        self.id.lock().is_some()
    }

    /// Says that the session is there. One that is not known any more is let go of.
    pub(super) async fn beat(&self, client: &Client) {
        let Some(path) = self.path() else { return };
        let beat = client.request(Method::POST, format!("{path}/heartbeat"));
        let Ok(beat) = beat.json(&Value::Object(Map::new())) else {
            return;
        };
        match beat.send::<Value>().await {
            Ok(_) => {}
            Err(ClientError::Problem(problem)) if problem.code == "session_not_found" => {
                *self.id.lock() = None;
            }
            Err(error) => tracing::debug!(%error, "a heartbeat was not taken in"),
        }
    }

    /// Ends the session: what it has goes back at once. If that does not arrive, its silence says
    /// the same later.
    pub(super) async fn leave(&self, client: &Client) {
        let Some(path) = self.path() else { return };
        let left = tokio::time::timeout(LEAVE_MAX, client.delete::<Value>(&path)).await;
        if !matches!(left, Ok(Ok(_))) {
            tracing::debug!("the end of the session was not taken in");
        }
    }

    fn path(&self) -> Option<String> {
        let id = self.id.lock().clone()?;
        Some(crate::api::path(&["sessions", &id]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::mcp::message;
    use serde_json::json;

    fn sent(session: &OwnSession, message: &Value) -> Value {
        let bytes = Bytes::from(message.to_string());
        let read = message::read(&bytes).unwrap();
        serde_json::from_slice(&session.filled_in(&read, bytes, 0xabcd_1234)).unwrap()
    }

    fn register(arguments: &Value) -> Value {
        let params = json!({ "name": REGISTER, "arguments": arguments });
        json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params })
    }

    #[test]
    fn what_a_client_leaves_open_about_its_session_is_filled_in() {
        let session = OwnSession::default();
        let client = json!({ "clientInfo": { "name": "claude-code", "version": "2.1" } });
        let hello = json!({ "id": 0, "method": "initialize", "params": client });
        assert_eq!(sent(&session, &hello), hello);
        let filled = sent(&session, &register(&json!({ "capabilities": ["rust"] })));
        assert_eq!(
            filled["params"]["arguments"],
            json!({
                "capabilities": ["rust"], "heartbeat": "background",
                "instance": "skep mcp abcd1234", "name": "claude-code-1234",
                "client": "claude-code 2.1",
            })
        );
        let own = json!({ "name": "me", "heartbeat": "calls", "instance": "x", "client": "y" });
        assert_eq!(sent(&session, &register(&own))["params"]["arguments"], own);
        let other = json!({ "id": 1, "method": "tools/call", "params": { "name": "skep_wait" } });
        assert_eq!(sent(&session, &other), other);
    }

    #[test]
    fn only_a_registration_that_was_done_is_kept_alive() {
        let session = OwnSession::default();
        let message = message::read(register(&json!({})).to_string().as_bytes()).unwrap();
        let refused = json!({ "result": { "isError": true, "structuredContent": { "id": "x" } } });
        session.learn(&message, &refused.to_string());
        assert!(!session.is_registered());
        let done = json!({ "result": { "structuredContent": { "id": "agent_1" } } });
        session.learn(&message, &done.to_string());
        assert!(session.is_registered());
    }
}
