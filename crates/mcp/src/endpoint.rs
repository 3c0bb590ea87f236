//! What answers at `/mcp`: one message in, its answer out, as JSON or as a stream of events.

use crate::fault::Fault;
use crate::offered::Toolset;
use crate::quick::QuickCall;
use crate::server::Server;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use rmcp::ServerHandler;
use rmcp::transport::streamable_http_server::session::SessionManager;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use skep_model::limits::BODY_BYTES_MAX;
use skep_operations::{ErrorCode, Principal, Services};
use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Where a message of the new revision says that it is one.
const META_REVISION: &str = "io.modelcontextprotocol/protocolVersion";

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of an answer.
pub type ResponseBody = BoxBody<Bytes, Infallible>;

/// The protocol's end of the coordinator. Cheap to clone; holds nothing about clients.
///
/// `H` answers the messages. `M` keeps the conversations of older clients, which nothing of ours
/// needs: [`Endpoint::new`] keeps none.
pub struct Endpoint<H = Server, M = NeverSessionManager> {
    service: StreamableHttpService<H, M>,
    /// Answers plain calls of Skep's own tools. None when a call may belong to a session, which
    /// only the service knows.
    quick: Option<Server>,
}

impl<H, M> Clone for Endpoint<H, M> {
    fn clone(&self) -> Self {
        Self {
            service: self.service.clone(),
            quick: self.quick.clone(),
        }
    }
}

impl<H, M> fmt::Debug for Endpoint<H, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").finish_non_exhaustive()
    }
}

/// What is looked at before the protocol's library reads the message.
#[derive(Debug, Deserialize)]
struct Probe<'a> {
    #[serde(borrow, default)]
    jsonrpc: Option<Cow<'a, str>>,
    #[serde(default)]
    id: Option<Value>,
    #[serde(borrow, default)]
    method: Option<Cow<'a, str>>,
    #[serde(default)]
    params: Option<ProbedParams>,
}

#[derive(Debug, Deserialize)]
struct ProbedParams {
    #[serde(rename = "_meta", default)]
    meta: Option<Map<String, Value>>,
}

impl Probe<'_> {
    /// The handshake belongs to the older revisions; a message of the new one that asks for it
    /// asks for a method that does not exist.
    fn is_misplaced_handshake(&self) -> bool {
        let meta = self.params.as_ref().and_then(|params| params.meta.as_ref());
        self.method.as_deref() == Some("initialize")
            && meta.is_some_and(|meta| meta.contains_key(META_REVISION))
    }
}

impl Endpoint {
    /// An endpoint whose streams end when `stop` is cancelled.
    pub fn new(services: Arc<Services>, stop: CancellationToken) -> Self {
        Self::around(services, stop, |server| server, None)
    }
}

impl<H: ServerHandler, M: SessionManager + Default> Endpoint<H, M> {
    /// An endpoint of a server that is built around Skep's own. With `sessions`, clients of older
    /// revisions get a session, which a server needs to ask them something in the middle of a
    /// request; a restart ends it.
    pub fn around(
        services: Arc<Services>,
        stop: CancellationToken,
        build: impl Fn(Server) -> H + Send + Sync + 'static,
        sessions: Option<Arc<M>>,
    ) -> Self {
        // Who may call, and from which page, was checked before; every message stands alone.
        let config = StreamableHttpServerConfig::default()
            .disable_allowed_hosts()
            .disable_allowed_origins()
            .with_legacy_session_mode(sessions.is_some())
            .with_json_response(true)
            .with_sse_retry(None)
            .with_cancellation_token(stop)
            .with_max_request_body_bytes(BODY_BYTES_MAX);
        let server = Server { services };
        let quick = sessions.is_none().then(|| server.clone());
        let make = move || Ok(build(server.clone()));
        Self {
            quick,
            service: StreamableHttpService::new(make, sessions.unwrap_or_default(), config),
        }
    }

    /// Answers one request of this caller. Every fault has a code in `error.data.code`.
    pub async fn handle<B>(&self, caller: Principal, request: Request<B>) -> Response<ResponseBody>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let toolset = match Toolset::of_query(request.uri().query()) {
            Ok(toolset) => toolset,
            Err(wanted) => {
                let detail = format!("no set of tools is called `{wanted}`");
                let kind = Fault::ToolsetUnknown;
                return fault(StatusCode::BAD_REQUEST, None, kind, &detail);
            }
        };
        let (mut parts, body) = request.into_parts();
        let bytes = match Limited::new(body, BODY_BYTES_MAX).collect().await {
            Ok(collected) => collected.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => return too_large(),
            Err(_) => {
                let detail = "the body ended before it was complete";
                return fault(StatusCode::BAD_REQUEST, None, Fault::ParseError, detail);
            }
        };
        if let Some(server) = &self.quick
            && parts.method == Method::POST
            && let Some(call) = QuickCall::of(&parts.headers, toolset, &bytes)
        {
            return call.answer(server, caller).await;
        }
        let id = match examined(&parts.method, &bytes) {
            Ok(id) => id,
            Err(refusal) => return *refusal,
        };
        parts.extensions.insert(caller);
        let request = Request::from_parts(parts, Full::new(bytes));
        let response = self.service.handle(request).await;
        if response.status().is_client_error() || response.status().is_server_error() {
            named(response, id.as_ref()).await
        } else {
            response
        }
    }
}

/// The id of the message, if the body looks like one.
fn examined(method: &Method, bytes: &[u8]) -> Result<Option<Value>, Box<Response<ResponseBody>>> {
    if method != Method::POST {
        return Ok(None);
    }
    let refuse = |id: Option<&Value>, kind, detail: &str| {
        Err(Box::new(fault(StatusCode::BAD_REQUEST, id, kind, detail)))
    };
    match serde_json::from_slice::<Probe<'_>>(bytes) {
        Ok(probe) if probe.is_misplaced_handshake() => {
            let (id, kind) = (probe.id.as_ref(), Fault::MethodUnknown);
            let detail = "`initialize` is not part of this revision";
            Err(Box::new(fault(StatusCode::NOT_FOUND, id, kind, detail)))
        }
        Ok(probe) if probe.jsonrpc.as_deref() == Some("2.0") => Ok(probe.id),
        Ok(probe) => refuse(
            probe.id.as_ref(),
            Fault::InvalidRequest,
            "`jsonrpc` should be `2.0`",
        ),
        Err(error) if error.is_data() => refuse(
            None,
            Fault::InvalidRequest,
            "the body should be one JSON-RPC message",
        ),
        Err(error) => refuse(None, Fault::ParseError, &error.to_string()),
    }
}

fn too_large() -> Response<ResponseBody> {
    let code = ErrorCode::BodyTooLarge;
    let detail = format!("BODY_BYTES_MAX is {BODY_BYTES_MAX}");
    let data = json!({ "code": code.as_str(), "hint": code.advice() });
    let error = json!({ "code": Fault::InvalidRequest.rpc().0, "message": detail, "data": data });
    answer(StatusCode::PAYLOAD_TOO_LARGE, None, &error)
}

fn fault(
    status: StatusCode,
    id: Option<&Value>,
    kind: Fault,
    detail: &str,
) -> Response<ResponseBody> {
    let error = json!({ "code": kind.rpc().0, "message": detail, "data": kind.data() });
    answer(status, id, &error)
}

fn answer(status: StatusCode, id: Option<&Value>, error: &Value) -> Response<ResponseBody> {
    let message = json!({ "jsonrpc": "2.0", "id": id, "error": error });
    let mut response = Response::new(Full::new(Bytes::from(message.to_string())).boxed());
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// Gives an error that the protocol's library made its code, and the form of a message.
async fn named(response: Response<ResponseBody>, id: Option<&Value>) -> Response<ResponseBody> {
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap_or_default().to_bytes();
    let message: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let plain = || {
        let kind = if parts.status.is_server_error() {
            Fault::Internal
        } else {
            Fault::InvalidRequest
        };
        json!({ "code": kind.rpc().0, "message": String::from_utf8_lossy(&bytes) })
    };
    let mut error = message.get("error").cloned().unwrap_or_else(plain);
    if error["data"]["code"].is_null() {
        let kind = Fault::of_rpc(error["code"].as_i64().unwrap_or_default());
        if !error["data"].is_object() {
            error["data"] = json!({});
        }
        error["data"]["code"] = json!(kind.as_str());
        error["data"]["hint"] = json!(kind.advice());
    }
    let mut named = answer(parts.status, id, &error);
    for (name, value) in &parts.headers {
        if name != header::CONTENT_TYPE && name != header::CONTENT_LENGTH {
            named.headers_mut().insert(name.clone(), value.clone());
        }
    }
    named
}
