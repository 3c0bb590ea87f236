//! JSON-RPC 2.0 frames: text, or its binary form, to typed messages and back.
//!
//! A frame is read in two passes over the same bytes: first the envelope, whose parameters stay
//! unread; then the parameters, straight into their type. No tree of values is built.
//! Answers do not name their method, so their result stays unread until the asker, who knows
//! what it asked, calls [`read_result`].

mod agent_calls;
mod body;
mod calls;
mod coordinator_calls;

pub use agent_calls::{AgentCall, HostCall, Opening};
pub use body::{Body, read_result};
pub use calls::{Calls, NodeCall};
pub use coordinator_calls::CoordinatorCall;

use crate::bounds::REQUEST_ID_LENGTH_MAX;
use crate::fault::{Fault, WireError, detail};
use crate::frame::FrameRef;
use crate::packed::{self, Head, Part};
use crate::payload::Meta;
pub(crate) use body::granted_by;
use body::read_meta;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use skep_model::limits::FRAME_BYTES_MAX;
use std::borrow::Cow;
use std::fmt;

const JSONRPC: &str = "2.0";

/// The methods of MCPX that this version speaks, with the names of the contract.
pub mod method {
    /// A node introduces itself.
    pub const SESSION_START: &str = "mcpx.orchestrate.session.start";
    /// Either end takes its leave.
    pub const SESSION_END: &str = "mcpx.orchestrate.session.end";
    /// The coordinator gives work.
    pub const TASK_ASSIGN: &str = "mcpx.orchestrate.task.assign";
    /// The node hands in results.
    pub const TASK_COMPLETE: &str = "mcpx.orchestrate.task.complete";
    /// What the node holds, and what becomes of it.
    pub const STATE_SYNC: &str = "mcpx.coordinate.state.sync";
    /// Heartbeat.
    pub const HEALTH_CHECK: &str = "mcpx.health.check";
    /// A sample of the node's load.
    pub const METRICS_REPORT: &str = "mcpx.metrics.report";
    /// Progress of attempts; or whether the node is draining.
    pub const STATUS_UPDATE: &str = "mcpx.status.update";
    /// Where the inputs of an attempt are.
    pub const DEPENDENCY_RESOLVE: &str = "mcpx.coordinate.dependency.resolve";
    /// The outcome of a gate as it happens, or the question how one stands.
    pub const QUALITY_GATE: &str = "mcpx.coordinate.quality.gate";
    /// A running attempt adds tasks to its run.
    pub const TASK_SPLIT: &str = "mcpx.distribute.task.split";
    /// The coordinator asks for attempts back; the node says that it has too much.
    pub const LOAD_BALANCE: &str = "mcpx.distribute.load.balance";
    /// What the parts of divided work handed in.
    pub const RESULT_MERGE: &str = "mcpx.distribute.result.merge";
    /// Which parts of the protocol both ends use.
    pub const NEGOTIATE: &str = "mcpx.negotiate";
}

/// The id of a request, chosen by the asker and repeated in the answer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(untagged)]
pub enum RequestId {
    /// What both our ends use.
    Number(u64),
    /// What another implementation may use.
    Text(String),
}

impl<'de> Deserialize<'de> for RequestId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IdVisitor;

        impl Visitor<'_> for IdVisitor {
            type Value = RequestId;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(
                    f,
                    "an id: a whole number from 0, or at most {REQUEST_ID_LENGTH_MAX} bytes of text"
                )
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<RequestId, E> {
                Ok(RequestId::Number(number))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<RequestId, E> {
                if text.len() > REQUEST_ID_LENGTH_MAX {
                    return Err(E::custom("the id is too long"));
                }
                Ok(RequestId::Text(text.to_owned()))
            }
        }

        deserializer.deserialize_any(IdVisitor)
    }
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    jsonrpc: Cow<'a, str>,
    #[serde(default)]
    id: Option<RequestId>,
    #[serde(borrow, default)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
    #[serde(default)]
    error: Option<Fault>,
}

/// One frame, read.
#[derive(Debug, Clone)]
pub enum Message<'a, C> {
    /// A request (with an id) or a notification (without one).
    Call {
        /// To be repeated in the answer.
        id: Option<RequestId>,
        /// What is asked or told.
        call: C,
        /// What it says about itself, if anything.
        meta: Option<Box<Meta>>,
    },
    /// The answer to a request.
    Answer {
        /// The request.
        id: RequestId,
        /// For [`read_result`].
        result: Body<'a>,
    },
    /// The error that a request, or an unreadable frame, led to.
    Fault {
        /// The request, if it could be read.
        id: Option<RequestId>,
        /// What was wrong.
        fault: Fault,
    },
}

/// A frame that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct BadFrame {
    /// The request it was, as far as that could be read.
    pub id: Option<RequestId>,
    /// Whether it was a notification, which JSON-RPC does not answer.
    pub is_notification: bool,
    /// What is wrong.
    pub error: WireError,
}

impl BadFrame {
    /// Nothing of it could be read.
    pub(crate) const fn unreadable(error: WireError) -> Self {
        Self {
            id: None,
            is_notification: false,
            error,
        }
    }
}

/// The bytes of a frame as they are to be read: unpacked, if it is a binary one.
#[derive(Debug)]
pub enum Opened<'a> {
    /// JSON.
    Text(&'a str),
    /// Head and value of a binary frame.
    Packed(Cow<'a, [u8]>),
}

impl<'a> Opened<'a> {
    /// Unpacks a frame.
    ///
    /// # Errors
    /// Its content is broken or too large.
    pub fn new(frame: FrameRef<'a>) -> Result<Self, BadFrame> {
        match frame {
            FrameRef::Text(text) => Ok(Self::Text(text)),
            FrameRef::Binary(bytes) => packed::open(bytes)
                .map(Self::Packed)
                .map_err(BadFrame::unreadable),
        }
    }

    /// What it costs of a credit: its size before compression.
    pub fn cost(&self) -> u64 {
        match self {
            Self::Text(text) => text.len() as u64,
            Self::Packed(bytes) => bytes.len() as u64,
        }
    }

    /// Reads it.
    ///
    /// # Errors
    /// Everything that is wrong with the frame, with what is needed to answer it.
    pub fn decode<C: Calls>(&self) -> Result<Message<'_, C>, BadFrame> {
        match self {
            Self::Text(text) => decode(text),
            Self::Packed(bytes) => decode_packed(bytes),
        }
    }
}

/// Reads the content of a binary frame.
fn decode_packed<C: Calls>(content: &[u8]) -> Result<Message<'_, C>, BadFrame> {
    let not_packed = |detail: String| WireError::NotPacked { detail };
    let (head, rest) = packed::read_front::<Head<'static>>(content)
        .map_err(|detail| BadFrame::unreadable(not_packed(detail)))?;
    let Head { id, method, part } = head;
    match (part, id, method) {
        (Part::Params, id, Some(method)) => decode_call(id, &method, Body::Packed(rest)),
        (Part::Result, Some(id), None) => {
            let result = Body::Packed(rest);
            Ok(Message::Answer { id, result })
        }
        (Part::Error, id, None) => match packed::read(rest) {
            Ok(fault) => Ok(Message::Fault { id, fault }),
            Err(detail) => Err(BadFrame::unreadable(not_packed(detail))),
        },
        (_, id, _) => Err(BadFrame {
            id,
            is_notification: false,
            error: WireError::InvalidRequest {
                detail: "`params` need a `method`, `result` needs an `id`".to_owned(),
            },
        }),
    }
}

/// Reads a text frame in which the calls `C` may stand.
///
/// # Errors
/// Everything that is wrong with the frame, with what is needed to answer it.
pub fn decode<C: Calls>(text: &str) -> Result<Message<'_, C>, BadFrame> {
    if text.len() > FRAME_BYTES_MAX {
        return Err(BadFrame::unreadable(WireError::FrameTooLarge {
            bytes: text.len(),
        }));
    }
    let envelope: Envelope<'_> = serde_json::from_str(text).map_err(|error| {
        let detail = detail(&error);
        BadFrame::unreadable(if error.is_data() {
            WireError::InvalidRequest { detail }
        } else {
            WireError::NotJson { detail }
        })
    })?;
    let invalid = |id: Option<RequestId>, detail: &str| BadFrame {
        id,
        is_notification: false,
        error: WireError::InvalidRequest {
            detail: detail.to_owned(),
        },
    };
    if envelope.jsonrpc != JSONRPC {
        return Err(invalid(envelope.id, "`jsonrpc` should be `2.0`"));
    }
    match (
        envelope.id,
        envelope.method,
        envelope.result,
        envelope.error,
    ) {
        (id, Some(method), None, None) => {
            let params = envelope.params.unwrap_or(RawValue::NULL);
            decode_call(id, &method, Body::Json(params))
        }
        (Some(id), None, Some(result), None) => {
            let result = Body::Json(result);
            Ok(Message::Answer { id, result })
        }
        (id, None, None, Some(fault)) => Ok(Message::Fault { id, fault }),
        (id, ..) => Err(invalid(
            id,
            "it should have `method`, or `id` and `result`, or `error`",
        )),
    }
}

fn decode_call<'a, C: Calls>(
    id: Option<RequestId>,
    method: &str,
    params: Body<'a>,
) -> Result<Message<'a, C>, BadFrame> {
    let read =
        C::read(method, params).and_then(|call| Ok((read_meta(call.method(), params)?, call)));
    match read {
        Ok((meta, call)) => Ok(Message::Call { id, call, meta }),
        Err(error) => Err(BadFrame {
            is_notification: id.is_none(),
            id,
            error,
        }),
    }
}

#[derive(Serialize)]
struct CallFrame<'a, P> {
    jsonrpc: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a RequestId>,
    method: &'static str,
    params: &'a P,
}

#[derive(Serialize)]
struct AnswerFrame<'a, R> {
    jsonrpc: &'static str,
    id: &'a RequestId,
    result: &'a R,
}

#[derive(Serialize)]
struct FaultFrame<'a> {
    jsonrpc: &'static str,
    id: Option<&'a RequestId>,
    error: &'a Fault,
}

pub(crate) const WRITES: &str = "our types have text keys and memory does not fail";

/// Writes a call; a notification when it has no id.
pub(crate) fn encode_call<P: Serialize>(
    id: Option<&RequestId>,
    method: &'static str,
    params: &P,
) -> String {
    serde_json::to_string(&CallFrame {
        jsonrpc: JSONRPC,
        id,
        method,
        params,
    })
    .expect(WRITES)
}

/// Writes the answer to a request.
pub fn encode_answer<R: Serialize>(id: &RequestId, result: &R) -> String {
    serde_json::to_string(&AnswerFrame {
        jsonrpc: JSONRPC,
        id,
        result,
    })
    .expect(WRITES)
}

/// Writes an error; without an id when the frame it is about could not be read.
pub fn encode_fault(id: Option<&RequestId>, fault: &Fault) -> String {
    serde_json::to_string(&FaultFrame {
        jsonrpc: JSONRPC,
        id,
        error: fault,
    })
    .expect(WRITES)
}

#[cfg(test)]
mod tests;
