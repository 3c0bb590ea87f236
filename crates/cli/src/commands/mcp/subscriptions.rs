//! Subscriptions of clients of the older revisions: one request for each resource, and signs that
//! come by themselves.
//!
//! The coordinator keeps nothing about clients; it tells of changes for as long as somebody listens,
//! in the newest revision. So each subscription is a request of our own that listens, and what the
//! client follows lives and ends with this process. When the coordinator goes away, listening goes
//! on after the last sign as soon as one answers again.

use super::forwarder::{Forwarder, say};
use super::message::{self, INVALID_PARAMS};
use crate::exit::Failure;
use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Resources that one client can follow.
const SUBSCRIPTIONS_MAX: usize = 64;
/// Pause before listening again when the coordinator went away.
const AGAIN_AFTER: Duration = Duration::from_millis(500);
/// The revision in which the coordinator is listened to.
const REVISION: &str = "2026-07-28";
/// Up to where the log was looked at for a sign.
const META_CURSOR: &str = "skep/cursor";
/// After which sign to go on.
pub(super) const META_AFTER: &str = "skep/after";

/// What a client of an older revision asks for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Wish {
    /// To hear of changes of a resource, perhaps after a sign that it has.
    Subscribe { uri: String, after: Option<Value> },
    /// Not to hear of them any more.
    Unsubscribe { uri: String },
}

/// What is followed, by address.
#[derive(Debug, Default)]
pub(super) struct Subscriptions(Mutex<BTreeMap<String, CancellationToken>>);

/// What becomes of a wish to subscribe.
#[derive(Debug)]
pub(super) enum Opened {
    /// It is to be followed until this is cancelled.
    New(CancellationToken),
    /// It is followed already.
    Known,
    Full,
}

impl Subscriptions {
    pub(super) fn open(&self, uri: &str) -> Opened {
        let mut all = self.0.lock();
        if all.contains_key(uri) {
            return Opened::Known;
        }
        if all.len() >= SUBSCRIPTIONS_MAX {
            return Opened::Full;
        }
        let let_go = CancellationToken::new();
        all.insert(uri.to_owned(), let_go.clone());
        Opened::New(let_go)
    }

    pub(super) fn close(&self, uri: &str) {
        if let Some(let_go) = self.0.lock().remove(uri) {
            let_go.cancel();
        }
    }

    pub(super) fn close_all(&self) {
        for let_go in std::mem::take(&mut *self.0.lock()).into_values() {
            let_go.cancel();
        }
    }
}

/// What a message of the coordinator means for a subscription.
#[derive(Debug, PartialEq)]
enum Heard {
    Accepted,
    /// Nothing can be followed there.
    NotFollowed,
    /// It changed; where the log was looked at.
    Changed(Option<Value>),
    Refused(Value),
    Nothing,
}

fn heard(text: &str, uri: &str) -> Heard {
    let message: Value = serde_json::from_str(text).unwrap_or_default();
    if message["error"].is_object() {
        return Heard::Refused(message["error"].clone());
    }
    let params = &message["params"];
    match message["method"].as_str() {
        Some("notifications/subscriptions/acknowledged") => {
            let accepted = params["notifications"]["resourceSubscriptions"].as_array();
            let accepted = accepted.is_some_and(|all| all.iter().any(|one| one == uri));
            if accepted {
                Heard::Accepted
            } else {
                Heard::NotFollowed
            }
        }
        Some("notifications/resources/updated") => {
            Heard::Changed(params["_meta"].get(META_CURSOR).cloned())
        }
        _ => Heard::Nothing,
    }
}

/// The message that listens.
fn listen(uri: &str, after: Option<&Value>) -> Value {
    let mut meta = json!({
        "io.modelcontextprotocol/protocolVersion": REVISION,
        "io.modelcontextprotocol/clientInfo": {
            "name": "skep mcp", "version": env!("CARGO_PKG_VERSION"),
        },
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    if let Some(after) = after {
        meta[META_AFTER] = after.clone();
    }
    let wish = json!({ "resourceSubscriptions": [uri] });
    json!({
        "jsonrpc": "2.0", "id": uri, "method": "subscriptions/listen",
        "params": { "notifications": wish, "_meta": meta },
    })
}

/// A sign for the client.
fn sign(uri: &str, cursor: Option<&Value>) -> String {
    let mut params = json!({ "uri": uri });
    if let Some(cursor) = cursor {
        params["_meta"] = json!({ META_CURSOR: cursor });
    }
    let method = "notifications/resources/updated";
    json!({ "jsonrpc": "2.0", "method": method, "params": params }).to_string()
}

/// An answer without content.
pub(super) fn done(id: &Value) -> String {
    json!({ "jsonrpc": "2.0", "id": id, "result": {} }).to_string()
}

pub(super) fn full(id: &Value) -> String {
    let detail = format!("SUBSCRIPTIONS_MAX is {SUBSCRIPTIONS_MAX}");
    let hint = "Unsubscribe from resources that need not be followed any more.";
    message::error(
        Some(id),
        INVALID_PARAMS,
        "mcp_params_invalid",
        &detail,
        hint,
    )
}

/// How far a subscription has come.
struct Following<'a> {
    id: &'a Value,
    uri: &'a str,
    after: Option<Value>,
    is_answered: bool,
}

/// What to do when a message was heard, or none comes any more.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Listen,
    ListenAgain,
    GiveUp,
}

/// Follows a resource until it is dropped; ends by itself only when the client was told that it
/// cannot be followed, or when what was promised is not given any more.
pub(super) async fn follow(
    forwarder: &Forwarder<'_>,
    id: &Value,
    uri: &str,
    after: Option<Value>,
) -> Result<(), Failure> {
    let mut following = Following {
        id,
        uri,
        after,
        is_answered: false,
    };
    loop {
        let asked = listen(uri, following.after.as_ref()).to_string();
        let message = message::read(asked.as_bytes()).expect("it was written as a message");
        let heard = match forwarder.exchange(&message, Bytes::from(asked)).await {
            Ok(mut messages) => loop {
                let Ok(Some(text)) = messages.next().await else {
                    break Next::ListenAgain;
                };
                let next = following.take(heard(&text, uri))?;
                if next != Next::Listen {
                    break next;
                }
            },
            Err(failure) if !following.is_answered => return Err(failure),
            Err(_) => Next::ListenAgain,
        };
        if heard == Next::GiveUp {
            return Ok(());
        }
        forwarder.coordinator.forget().await;
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}

impl Following<'_> {
    fn take(&mut self, heard: Heard) -> Result<Next, Failure> {
        match heard {
            Heard::Accepted if !self.is_answered => {
                self.is_answered = true;
                say(&done(self.id))?;
            }
            // Nobody knows what happened since the last look.
            Heard::Accepted if self.after.is_none() => say(&sign(self.uri, None))?,
            Heard::Accepted | Heard::Nothing => {}
            Heard::Changed(cursor) => {
                say(&sign(self.uri, cursor.as_ref()))?;
                self.after = cursor;
            }
            Heard::NotFollowed | Heard::Refused(_) if !self.is_answered => {
                say(&self.refusal(heard))?;
                return Ok(Next::GiveUp);
            }
            // The log does not go back as far any more, or it is another one.
            Heard::Refused(_) if self.after.take().is_some() => return Ok(Next::ListenAgain),
            // The client is to look again, and will be told why it cannot.
            Heard::NotFollowed | Heard::Refused(_) => {
                say(&sign(self.uri, None))?;
                return Ok(Next::GiveUp);
            }
        }
        Ok(Next::Listen)
    }

    fn refusal(&self, heard: Heard) -> String {
        let Heard::Refused(error) = heard else {
            let detail = format!("nothing can be followed at `{}`", self.uri);
            let hint = "Tasks, runs, nodes and entries of shared memory can.";
            let code = "mcp_resource_unknown";
            return message::error(Some(self.id), INVALID_PARAMS, code, &detail, hint);
        };
        json!({ "jsonrpc": "2.0", "id": self.id, "error": error }).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_is_followed_once_and_not_too_many_are() {
        let all = Subscriptions::default();
        let Opened::New(first) = all.open("a") else {
            panic!("it is new");
        };
        assert!(matches!(all.open("a"), Opened::Known));
        for number in 1..SUBSCRIPTIONS_MAX {
            assert!(matches!(all.open(&number.to_string()), Opened::New(_)));
        }
        assert!(matches!(all.open("b"), Opened::Full));
        all.close("a");
        assert!(first.is_cancelled());
        let Opened::New(again) = all.open("a") else {
            panic!("it is new again");
        };
        all.close_all();
        assert!(again.is_cancelled());
    }

    #[test]
    fn what_is_heard_is_told_apart() {
        let method = |method: &str, params: Value| {
            json!({ "jsonrpc": "2.0", "method": method, "params": params }).to_string()
        };
        let accepted = |uri: &str| {
            let params = json!({ "notifications": { "resourceSubscriptions": [uri] } });
            method("notifications/subscriptions/acknowledged", params)
        };
        assert_eq!(heard(&accepted("a"), "a"), Heard::Accepted);
        assert_eq!(heard(&accepted("b"), "a"), Heard::NotFollowed);
        let changed = json!({ "uri": "a", "_meta": { META_CURSOR: "7.1" } });
        let changed = method("notifications/resources/updated", changed);
        assert_eq!(heard(&changed, "a"), Heard::Changed(Some(json!("7.1"))));
        let refused = json!({ "id": "a", "error": { "code": 1 } }).to_string();
        assert_eq!(heard(&refused, "a"), Heard::Refused(json!({ "code": 1 })));
        assert_eq!(heard("not json", "a"), Heard::Nothing);
    }

    #[test]
    fn a_place_that_is_gone_is_given_up_and_the_resource_followed_from_now() {
        let (id, uri) = (json!(1), "a");
        let mut following = Following {
            id: &id,
            uri,
            after: Some(json!("1.1")),
            is_answered: true,
        };
        let gone = || Heard::Refused(json!({ "code": 1 }));
        assert_eq!(following.take(gone()).unwrap(), Next::ListenAgain);
        assert_eq!(following.after, None);
        assert_eq!(following.take(gone()).unwrap(), Next::GiveUp);
    }
}
