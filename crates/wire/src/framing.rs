//! How one connection writes its frames: as JSON, or as agreed.

use crate::batch_frame::BatchFrame;
use crate::codec::{RequestId, encode_answer, encode_call, encode_fault};
use crate::fault::Fault;
use crate::frame::Frame;
use crate::packed::{self, Head, Part};
use crate::payload::{Capabilities, Capability, Credit, Meta};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// What was agreed on about frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Framing {
    packed: bool,
    compressed: bool,
}

/// Parameters or a result with `_meta` beside their own fields.
#[derive(Serialize)]
struct WithMeta<'a, P> {
    #[serde(flatten)]
    fields: &'a P,
    #[serde(rename = "_meta")]
    meta: &'a Meta,
}

impl Framing {
    /// JSON; what every end reads at any time.
    pub const TEXT: Self = Self {
        packed: false,
        compressed: false,
    };

    /// What these capabilities of both ends lead to.
    pub const fn agreed(capabilities: Capabilities) -> Self {
        Self {
            packed: capabilities.has(Capability::MessagePack),
            compressed: capabilities.has(Capability::Zstd),
        }
    }

    /// Whether frames are binary.
    pub const fn is_binary(self) -> bool {
        self.packed
    }

    /// Writes a call; a notification when it has no id.
    pub fn call<P: Serialize>(
        self,
        id: Option<&RequestId>,
        method: &'static str,
        params: &P,
    ) -> Frame {
        if !self.packed {
            return Frame::Text(encode_call(id, method, params));
        }
        let head = Head {
            id: id.cloned(),
            method: Some(Cow::Borrowed(method)),
            part: Part::Params,
        };
        self.seal(&packed::content(&head, params))
    }

    /// Writes a call with `_meta`. MUST NOT be used for parameters that have one themselves.
    pub fn call_with<P: Serialize>(
        self,
        id: Option<&RequestId>,
        method: &'static str,
        params: &P,
        meta: &Meta,
    ) -> Frame {
        let fields = params;
        self.call(id, method, &WithMeta { fields, meta })
    }

    /// Writes a call, with `_meta` if there is one to say.
    pub(crate) fn call_meta<P: Serialize>(
        self,
        id: Option<&RequestId>,
        method: &'static str,
        params: &P,
        meta: Option<&Meta>,
    ) -> Frame {
        match meta {
            Some(meta) => self.call_with(id, method, params, meta),
            None => self.call(id, method, params),
        }
    }

    /// Writes the answer to a request.
    pub fn answer<R: Serialize>(self, id: &RequestId, result: &R) -> Frame {
        if !self.packed {
            return Frame::Text(encode_answer(id, result));
        }
        let head = Head {
            id: Some(id.clone()),
            method: None,
            part: Part::Result,
        };
        self.seal(&packed::content(&head, result))
    }

    /// Writes an answer with a grant in its `_meta`, if there is one to say.
    pub(crate) fn answer_granting<R: Serialize>(
        self,
        id: &RequestId,
        result: &R,
        grant: Option<Credit>,
    ) -> Frame {
        match grant.map(Meta::granting) {
            Some(meta) => {
                let (fields, meta) = (result, &meta);
                self.answer(id, &WithMeta { fields, meta })
            }
            None => self.answer(id, result),
        }
    }

    /// Writes an answer that was kept as JSON.
    pub(crate) fn answer_raw(self, id: &RequestId, result: &RawValue) -> Frame {
        if !self.packed {
            return Frame::Text(encode_answer(id, &result));
        }
        let value: Value = serde_json::from_str(result.get()).expect("it was written by us");
        self.answer(id, &value)
    }

    /// Writes an error; without an id when the frame it is about could not be read.
    pub fn fault(self, id: Option<&RequestId>, fault: &Fault) -> Frame {
        if !self.packed {
            return Frame::Text(encode_fault(id, fault));
        }
        let head = Head {
            id: id.cloned(),
            method: None,
            part: Part::Error,
        };
        self.seal(&packed::content(&head, fault))
    }

    /// Begins a request whose parameters are one list.
    pub(crate) fn batch(self, id: u64, method: &'static str, list: &'static str) -> BatchFrame {
        BatchFrame::request(self, id, method, list)
    }

    pub(crate) fn seal(self, content: &[u8]) -> Frame {
        Frame::Binary(packed::seal(content, self.compressed))
    }
}
