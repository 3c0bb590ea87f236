//! The short way of a call of a tool that runs one operation.
//!
//! The protocol's library starts several tasks for every message, so that a tool can speak before
//! it answers. Handing them from thread to thread takes longer than most operations. A call that
//! is right in every respect that the library looks at is therefore answered on the task that read
//! it. Whatever has a fault or more to it than this module knows takes the library's way: this one
//! refuses nothing.

use crate::catalogue::Entry;
use crate::endpoint::ResponseBody;
use crate::fault::Fault;
use crate::invocation::Caller;
use crate::offered::{Offered, Toolset};
use crate::search;
use crate::server::{LEGACY_REVISIONS, Server};
use crate::tool_result::refused;
use crate::toolset::Action;
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use http_body_util::{BodyExt, Full};
use rmcp::ErrorData;
use rmcp::model::{
    CallToolResponse, JsonObject, ProtocolVersion, RequestId, RequestMetaObject,
    ServerJsonRpcMessage, ServerResult,
};
use serde::Deserialize;
use skep_operations::Principal;
use std::borrow::Cow;

const METHOD: &str = "tools/call";
const JSON: &str = "application/json";
const EVENT_STREAM: &str = "text/event-stream";
const REVISION_HEADER: HeaderName = HeaderName::from_static("mcp-protocol-version");
const METHOD_HEADER: HeaderName = HeaderName::from_static("mcp-method");
const NAME_HEADER: HeaderName = HeaderName::from_static("mcp-name");
/// Headers that repeat arguments.
const ARGUMENT_HEADERS: &str = "mcp-param-";

/// A message with nothing in it that this module does not know.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Message<'a> {
    #[serde(borrow)]
    jsonrpc: Cow<'a, str>,
    id: RequestId,
    #[serde(borrow)]
    method: Cow<'a, str>,
    params: Params,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Params {
    name: String,
    #[serde(default)]
    arguments: JsonObject,
    #[serde(rename = "_meta", default)]
    meta: JsonObject,
}

/// A call that can be answered here.
#[derive(Debug)]
pub(crate) struct QuickCall {
    id: RequestId,
    name: String,
    entry: &'static Entry,
    arguments: JsonObject,
    meta: RequestMetaObject,
    is_legacy: bool,
}

impl QuickCall {
    /// The call in this message, if it is one for this module.
    pub(crate) fn of(headers: &HeaderMap, toolset: Toolset, bytes: &[u8]) -> Option<Self> {
        let message: Message<'_> = serde_json::from_slice(bytes).ok()?;
        if message.jsonrpc != "2.0" || message.method != METHOD || !has_usual_types(headers) {
            return None;
        }
        let Params {
            name,
            arguments,
            meta,
        } = message.params;
        let meta = RequestMetaObject::from(rmcp::model::MetaObject::from(meta));
        // Whoever wants to hear of progress needs more than an answer.
        if meta.contains_key("progressToken") {
            return None;
        }
        let is_legacy = is_legacy(headers, &name, &meta)?;
        let (entry, arguments) = match toolset.find(&name)? {
            Offered::Native(Action::Run(entry)) => (entry, arguments),
            Offered::Native(Action::Call) => search::call(arguments).ok()?,
            Offered::Native(Action::Wait | Action::Search) | Offered::Contract(_) => return None,
        };
        Some(Self {
            id: message.id,
            name,
            entry,
            arguments,
            meta,
            is_legacy,
        })
    }

    /// Runs the operation; what it refuses is a result as well.
    pub(crate) async fn answer(self, server: &Server, caller: Principal) -> Response<ResponseBody> {
        let capabilities = self.meta.client_capabilities();
        let as_task = capabilities.is_some_and(|declared| declared.supports_tasks());
        let caller = Caller::new(&server.services, caller, &self.meta);
        let done = server
            .run(self.entry, self.arguments, &caller, as_task)
            .await;
        let done = done.unwrap_or_else(|refusal| CallToolResponse::from(refused(&refusal)));
        server.count(&self.name, &done);
        let mut result = ServerResult::from(done);
        if self.is_legacy {
            result.strip_result_type_for_legacy_peer();
        }
        let message = ServerJsonRpcMessage::response(result, self.id);
        let bytes = serde_json::to_vec(&message).unwrap_or_else(|error| unsaid(&error));
        let mut response = Response::new(Full::new(Bytes::from(bytes)).boxed());
        let json = HeaderValue::from_static(JSON);
        response.headers_mut().insert(CONTENT_TYPE, json);
        response
    }
}

fn unsaid(error: &serde_json::Error) -> Vec<u8> {
    let error: ErrorData = Fault::Internal.error(error.to_string());
    let message = ServerJsonRpcMessage::error(error, None);
    serde_json::to_vec(&message).expect("texts and numbers can be written")
}

/// The header's value, if it is there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

fn has_usual_types(headers: &HeaderMap) -> bool {
    let accepted = only(headers, &ACCEPT).unwrap_or_default();
    let accepts = |wanted| accepted.split(',').any(|media| media.trim() == wanted);
    only(headers, &CONTENT_TYPE) == Some(JSON) && accepts(JSON) && accepts(EVENT_STREAM)
}

/// Whether the message is one of an older revision; nothing when headers and message do not agree
/// in every point, or say a revision that is not known.
fn is_legacy(headers: &HeaderMap, name: &str, meta: &RequestMetaObject) -> Option<bool> {
    let revision = only(headers, &REVISION_HEADER)?;
    let Some(said) = meta.protocol_version() else {
        let legacy = LEGACY_REVISIONS.iter();
        let mut legacy = legacy.map(ProtocolVersion::as_str);
        // A header of the newest revision asks for a message that says it as well.
        return legacy.any(|one| one == revision).then_some(true);
    };
    let agrees = said == ProtocolVersion::V_2026_07_28
        && said.as_str() == revision
        && only(headers, &METHOD_HEADER) == Some(METHOD)
        && only(headers, &NAME_HEADER) == Some(name)
        && !headers
            .keys()
            .any(|header| header.as_str().starts_with(ARGUMENT_HEADERS))
        && meta.missing_required_keys(&said).is_empty();
    agrees.then_some(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const META_REVISION: &str = "io.modelcontextprotocol/protocolVersion";
    const META_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

    fn headers(more: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let usual = [
            ("accept", "application/json, text/event-stream"),
            ("content-type", JSON),
        ];
        for (name, value) in usual.iter().chain(more) {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    fn old() -> (HeaderMap, Value) {
        let params = json!({ "name": "skep_memory_get", "arguments": { "key": "k" } });
        let message = json!({ "jsonrpc": "2.0", "id": 1, "method": METHOD, "params": params });
        (headers(&[("mcp-protocol-version", "2025-11-25")]), message)
    }

    fn new() -> (HeaderMap, Value) {
        let (_, mut message) = old();
        message["params"]["_meta"] = json!({ META_REVISION: "2026-07-28", META_CAPABILITIES: {} });
        let headers = headers(&[
            ("mcp-protocol-version", "2026-07-28"),
            ("mcp-method", METHOD),
            ("mcp-name", "skep_memory_get"),
        ]);
        (headers, message)
    }

    fn of(headers: &HeaderMap, message: &Value) -> Option<QuickCall> {
        QuickCall::of(headers, Toolset::Native, message.to_string().as_bytes())
    }

    #[test]
    fn a_plain_call_of_either_kind_of_revision_is_taken() {
        for ((headers, message), is_legacy) in [(old(), true), (new(), false)] {
            let call = of(&headers, &message).unwrap();
            assert_eq!(call.entry.operation.id, "memory.get");
            assert_eq!(call.is_legacy, is_legacy);
            assert_eq!(call.arguments["key"], "k");
        }
        let (headers, mut message) = new();
        message["params"]["name"] = json!("skep_call");
        message["params"]["arguments"] = json!({ "operation": "tasks.get", "arguments": {} });
        assert!(of(&headers, &message).is_none(), "the header says another");
    }

    #[test]
    fn what_has_more_to_it_takes_the_other_way() {
        for (place, value) in [
            ("/params/name", json!("skep_wait")),
            ("/params/name", json!("skep_search")),
            ("/params/name", json!("memory_usage")),
            ("/params/name", json!("no_such_tool")),
            ("/params/_meta/progressToken", json!(1)),
            (
                "/params/_meta/io.modelcontextprotocol~1protocolVersion",
                json!("2030-01-01"),
            ),
            ("/params/arguments", json!([1])),
            ("/params/requestState", json!("x")),
            ("/params/inputResponses", json!({})),
            ("/params/task", json!({})),
            ("/method", json!("tools/list")),
            ("/jsonrpc", json!("1.0")),
            ("/id", json!({})),
        ] {
            for (headers, mut message) in [old(), new()] {
                let (parent, key) = place.rsplit_once('/').unwrap();
                let key = key.replace("~1", "/");
                if message.pointer(parent).is_none() && parent.ends_with("_meta") {
                    message["params"]["_meta"] = json!({});
                }
                message.pointer_mut(parent).unwrap()[key] = value.clone();
                assert!(of(&headers, &message).is_none(), "{place} {value}");
            }
        }
    }

    #[test]
    fn a_header_that_is_missing_doubled_or_wrong_takes_the_other_way() {
        let (good, message) = new();
        for name in good.keys() {
            let mut missing = good.clone();
            missing.remove(name);
            assert!(of(&missing, &message).is_none(), "no {name}");
            let mut doubled = good.clone();
            doubled.append(name.clone(), good[name].clone());
            assert!(of(&doubled, &message).is_none(), "two {name}");
            let mut wrong = good.clone();
            wrong.insert(name.clone(), HeaderValue::from_static("wrong"));
            assert!(of(&wrong, &message).is_none(), "wrong {name}");
        }
        let mut more = good.clone();
        more.insert("mcp-param-key", HeaderValue::from_static("other"));
        assert!(of(&more, &message).is_none());
        let (headers, mut malformed) = new();
        malformed["params"]["_meta"][META_CAPABILITIES] = json!(7);
        assert!(
            of(&headers, &malformed).is_none(),
            "the library says what is wrong"
        );
        let (mut headers, message) = old();
        headers.insert(
            "mcp-protocol-version",
            HeaderValue::from_static("2026-07-28"),
        );
        assert!(of(&headers, &message).is_none(), "the message says nothing");
        headers.insert(
            "mcp-protocol-version",
            HeaderValue::from_static("2024-11-05"),
        );
        assert!(
            of(&headers, &message).is_none(),
            "no such revision is served"
        );
    }
}
