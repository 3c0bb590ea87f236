//! What goes in and out of an operation: requests, replies, and the shapes of their bodies.

use crate::error::OperationError;
use crate::parameters::PathParameters;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use schemars::{Schema, SchemaGenerator};
use serde::Serialize;
use std::fmt;

/// A stream of bytes on its way in or out.
pub type ByteStream = BoxStream<'static, std::io::Result<Bytes>>;

/// The body of a request.
pub enum RequestBody {
    /// All of it.
    Whole(Bytes),
    /// Piece by piece.
    Stream(ByteStream),
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::Stream(_) => f.write_str("a stream"),
        }
    }
}

/// A call as it comes from a surface.
#[derive(Debug)]
pub struct Request {
    /// Decoded parameters of the path.
    pub path: PathParameters,
    /// The query, still encoded.
    pub query: String,
    /// The body.
    pub body: RequestBody,
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    /// Status, when it is not the operation's usual one.
    pub status: Option<u16>,
    /// Headers beyond those of the body.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: ReplyBody,
}

/// The body of an answer.
pub enum ReplyBody {
    /// None.
    Empty,
    /// JSON text.
    Json(Vec<u8>),
    /// Bytes of this media type.
    Stream(&'static str, ByteStream),
}

impl fmt::Debug for ReplyBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("nothing"),
            Self::Json(bytes) => write!(f, "{} bytes of JSON", bytes.len()),
            Self::Stream(media_type, _) => write!(f, "a stream of {media_type}"),
        }
    }
}

impl Reply {
    /// An answer without a body.
    pub const fn empty() -> Self {
        Self {
            status: None,
            headers: Vec::new(),
            body: ReplyBody::Empty,
        }
    }

    /// This value as JSON.
    pub fn json<T: Serialize>(value: &T) -> Result<Self, OperationError> {
        let bytes = serde_json::to_vec(value)
            .map_err(|error| OperationError::internal("encode the answer", &error))?;
        Ok(Self {
            body: ReplyBody::Json(bytes),
            ..Self::empty()
        })
    }

    /// With this header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// With this status.
    #[must_use]
    pub const fn status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }
}

/// What the body of a request or an answer is.
#[derive(Clone, Copy)]
pub enum Shape {
    /// No body.
    Empty,
    /// JSON of this schema.
    Json(fn(&mut SchemaGenerator) -> Schema),
    /// Bytes of this media type.
    Bytes(&'static str),
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "empty",
            Self::Json(_) => "json",
            Self::Bytes(media_type) => media_type,
        })
    }
}
