//! What can be wrong with a message, and how that is said to its sender.

mod object;

pub use object::{Fault, FaultData};

use crate::bounds::{
    DETAIL_LENGTH_MAX, ECHO_LENGTH_MAX, PROTOCOL_VERSION, RESULT_REQUESTS_PENDING_MAX,
};
use crate::payload::EndCode;
use skep_model::limits::FRAME_BYTES_MAX;

/// What is wrong with a received message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Larger than a frame may be.
    #[error(
        "the frame has `{bytes}` bytes, more than FRAME_BYTES_MAX `{FRAME_BYTES_MAX}`: \
         split the batch"
    )]
    FrameTooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Not JSON.
    #[error("the frame is not JSON: {detail}")]
    NotJson {
        /// What the parser said.
        detail: String,
    },
    /// JSON, but not one JSON-RPC 2.0 message.
    #[error("the frame is not a JSON-RPC 2.0 message: {detail}")]
    InvalidRequest {
        /// What is missing or wrong.
        detail: String,
    },
    /// The receiver has no such method.
    #[error("method `{method}` is unknown here")]
    MethodUnknown {
        /// What was called, cut to `ECHO_LENGTH_MAX`.
        method: String,
    },
    /// The parameters are not those of the method.
    #[error("parameters of `{method}`: {detail}")]
    InvalidParams {
        /// What was called.
        method: &'static str,
        /// What is missing or wrong.
        detail: String,
    },
    /// A list is longer than it may be.
    #[error("`{method}` carries `{items}` items, more than `{bound}`: split the batch")]
    TooManyItems {
        /// What was called.
        method: &'static str,
        /// How many it carries.
        items: usize,
        /// How many it may carry.
        bound: usize,
    },
    /// The method needs an answer, so it needs an id; or it has none, so it may not have one.
    #[error("`{method}` was sent in the wrong form: {detail}")]
    WrongForm {
        /// What was called.
        method: &'static str,
        /// What is missing or wrong.
        detail: &'static str,
    },
    /// The session is not at the point where this may be said.
    #[error("`{method}` is out of order: {expected}")]
    OutOfOrder {
        /// What was called.
        method: &'static str,
        /// What should come first.
        expected: &'static str,
    },
    /// The peer speaks another version.
    #[error("protocol version `{offered}` is not supported: use `{PROTOCOL_VERSION}`")]
    VersionUnsupported {
        /// What it speaks, cut to `ECHO_LENGTH_MAX`.
        offered: String,
    },
    /// Too many requests wait for an answer.
    #[error(
        "more than RESULT_REQUESTS_PENDING_MAX `{RESULT_REQUESTS_PENDING_MAX}` result requests \
         wait for an answer: wait for one"
    )]
    Busy,
    /// Not MessagePack in the form of a binary frame.
    #[error("the binary frame is not MessagePack of a message: {detail}")]
    NotPacked {
        /// What the parser said.
        detail: String,
    },
    /// The compressed content is broken.
    #[error("the content of the binary frame cannot be unpacked: {detail}")]
    NotCompressed {
        /// What the decompressor said.
        detail: String,
    },
    /// The content would be larger than a frame may be.
    #[error(
        "the binary frame unpacks to `{bytes}` bytes, more than FRAME_BYTES_MAX \
         `{FRAME_BYTES_MAX}`: split the batch"
    )]
    UnpacksTooLarge {
        /// What it says that it unpacks to.
        bytes: usize,
    },
    /// A binary frame came although it was not agreed on.
    #[error("binary frames were not agreed on: offer `{capability}` in `mcpx.negotiate` first")]
    EncodingNotAgreed {
        /// What should be offered.
        capability: &'static str,
    },
    /// The method exists, but this end does not serve it.
    #[error("`{method}` is not served here: look at the answer to `mcpx.negotiate`")]
    MethodNotServed {
        /// What was called.
        method: &'static str,
    },
    /// Nobody waits for the answer any more.
    #[error("`{method}` came `{late_ms}` ms after its deadline: nothing was done")]
    DeadlineExceeded {
        /// What was called.
        method: &'static str,
        /// How much too late.
        late_ms: u64,
    },
    /// The sender has another epoch of the coordinator in mind.
    #[error("the message is of epoch `{said}`, and this is epoch `{epoch}`: start a new session")]
    EpochStale {
        /// The sender's.
        said: u32,
        /// The receiver's.
        epoch: u32,
    },
    /// A message id was used for two different things.
    #[error("message id `{message_id}` was used with another idempotency key: choose a new one")]
    MessageIdReused {
        /// The id, cut to `ECHO_LENGTH_MAX`.
        message_id: String,
    },
    /// The request came before, its effect stands, and its answer was too large to keep.
    #[error("the request was answered before, and the answer is not kept: ask for the state")]
    AnswerNotKept,
    /// More was sent than was granted.
    #[error("`{method}` exceeds what was granted: wait for credit")]
    CreditExceeded {
        /// What was called.
        method: &'static str,
    },
}

impl WireError {
    /// The code under which the sender is told.
    pub const fn code(&self) -> FaultCode {
        match self {
            Self::FrameTooLarge { .. } | Self::UnpacksTooLarge { .. } => FaultCode::FrameTooLarge,
            Self::NotJson { .. } | Self::NotPacked { .. } | Self::NotCompressed { .. } => {
                FaultCode::ParseError
            }
            Self::InvalidRequest { .. } | Self::WrongForm { .. } => FaultCode::InvalidRequest,
            Self::MethodUnknown { .. } => FaultCode::MethodUnknown,
            Self::InvalidParams { .. } => FaultCode::InvalidParams,
            Self::TooManyItems { .. } => FaultCode::TooManyItems,
            Self::OutOfOrder { .. } => FaultCode::OutOfOrder,
            Self::VersionUnsupported { .. } => FaultCode::VersionUnsupported,
            Self::Busy => FaultCode::Busy,
            Self::EncodingNotAgreed { .. } => FaultCode::EncodingNotAgreed,
            Self::MethodNotServed { .. } => FaultCode::MethodNotServed,
            Self::DeadlineExceeded { .. } => FaultCode::DeadlineExceeded,
            Self::EpochStale { .. } => FaultCode::EpochStale,
            Self::MessageIdReused { .. } => FaultCode::MessageIdReused,
            Self::AnswerNotKept => FaultCode::AnswerNotKept,
            Self::CreditExceeded { .. } => FaultCode::CreditExceeded,
        }
    }

    /// Whether it speaks of a sender that breaks the protocol, rather than of one that is newer,
    /// late or eager.
    pub(crate) const fn is_bad_behaviour(&self) -> bool {
        !matches!(
            self,
            Self::MethodUnknown { .. }
                | Self::MethodNotServed { .. }
                | Self::Busy
                | Self::DeadlineExceeded { .. }
                | Self::EpochStale { .. }
                | Self::AnswerNotKept
        )
    }

    /// The error object for the sender.
    pub fn fault(&self) -> Fault {
        Fault::new(self.code(), self.to_string())
    }
}

/// The start of a peer's text, short enough to repeat it in an error message.
pub(crate) fn echo(text: &str) -> String {
    text.chars().take(ECHO_LENGTH_MAX).collect()
}

/// What the parser said, cut because it may repeat the peer's text.
pub(crate) fn detail(error: &impl std::fmt::Display) -> String {
    error.to_string().chars().take(DETAIL_LENGTH_MAX).collect()
}

/// Stable codes of JSON-RPC errors: a number for `error.code`, a word for `error.data.code`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FaultCode {
    /// The frame is not JSON.
    ParseError,
    /// The frame is not a JSON-RPC message, or a method was sent in the wrong form.
    InvalidRequest,
    /// The frame is too large.
    FrameTooLarge,
    /// No such method.
    MethodUnknown,
    /// The parameters are not those of the method.
    InvalidParams,
    /// A list is too long.
    TooManyItems,
    /// Something else should come first.
    OutOfOrder,
    /// The versions of the protocol do not go together.
    VersionUnsupported,
    /// Too many requests wait for an answer.
    Busy,
    /// A newer process of the node is connected.
    Replaced,
    /// The node was removed.
    Removed,
    /// The coordinator stops or is not ready; try again later.
    Shutdown,
    /// The session was refused for breaking the protocol.
    Protocol,
    /// The coordinator's disk is full: what was asked is not stored. Try again later; a refused
    /// hello counts as heard.
    StorageFull,
    /// A binary frame came without agreement.
    EncodingNotAgreed,
    /// The method exists and is not served here.
    MethodNotServed,
    /// The message came after its deadline.
    DeadlineExceeded,
    /// The message is of another epoch of the coordinator.
    EpochStale,
    /// A message id was used for two different things.
    MessageIdReused,
    /// The request was answered before, and the answer is gone.
    AnswerNotKept,
    /// More was sent than was granted.
    CreditExceeded,
}

impl FaultCode {
    /// All codes.
    pub const ALL: [Self; 21] = [
        Self::ParseError,
        Self::InvalidRequest,
        Self::FrameTooLarge,
        Self::MethodUnknown,
        Self::InvalidParams,
        Self::TooManyItems,
        Self::OutOfOrder,
        Self::VersionUnsupported,
        Self::Busy,
        Self::Replaced,
        Self::Removed,
        Self::Shutdown,
        Self::Protocol,
        Self::StorageFull,
        Self::EncodingNotAgreed,
        Self::MethodNotServed,
        Self::DeadlineExceeded,
        Self::EpochStale,
        Self::MessageIdReused,
        Self::AnswerNotKept,
        Self::CreditExceeded,
    ];

    /// The number of JSON-RPC.
    pub const fn number(self) -> i64 {
        match self {
            Self::ParseError => -32_700,
            Self::InvalidRequest | Self::FrameTooLarge => -32_600,
            Self::MethodUnknown => -32_601,
            Self::InvalidParams | Self::TooManyItems => -32_602,
            Self::OutOfOrder => -32_000,
            Self::VersionUnsupported => -32_001,
            Self::Busy => -32_002,
            Self::Replaced
            | Self::Removed
            | Self::Shutdown
            | Self::Protocol
            | Self::StorageFull => -32_003,
            Self::EncodingNotAgreed => -32_004,
            Self::MethodNotServed => -32_005,
            Self::DeadlineExceeded => -32_006,
            Self::EpochStale => -32_007,
            Self::MessageIdReused | Self::AnswerNotKept => -32_008,
            Self::CreditExceeded => -32_009,
        }
    }

    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ParseError => "parse_error",
            Self::InvalidRequest => "invalid_request",
            Self::FrameTooLarge => "frame_too_large",
            Self::MethodUnknown => "method_unknown",
            Self::InvalidParams => "invalid_params",
            Self::TooManyItems => "too_many_items",
            Self::OutOfOrder => "out_of_order",
            Self::VersionUnsupported => "version_unsupported",
            Self::Busy => "busy",
            Self::Replaced => EndCode::Replaced.as_str(),
            Self::Removed => EndCode::Removed.as_str(),
            Self::Shutdown => EndCode::Shutdown.as_str(),
            Self::Protocol => EndCode::Protocol.as_str(),
            Self::StorageFull => EndCode::StorageFull.as_str(),
            Self::EncodingNotAgreed => "encoding_not_agreed",
            Self::MethodNotServed => "method_not_served",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::EpochStale => "epoch_stale",
            Self::MessageIdReused => "message_id_reused",
            Self::AnswerNotKept => "answer_not_kept",
            Self::CreditExceeded => "credit_exceeded",
        }
    }
}

impl From<EndCode> for FaultCode {
    fn from(code: EndCode) -> Self {
        match code {
            EndCode::Replaced => Self::Replaced,
            EndCode::Removed => Self::Removed,
            EndCode::Shutdown => Self::Shutdown,
            EndCode::Protocol => Self::Protocol,
            EndCode::StorageFull => Self::StorageFull,
        }
    }
}
