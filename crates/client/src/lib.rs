//! Speaks Skep's REST API: typed JSON calls, the event stream, artifacts and attempt logs; and opens
//! WebSockets for those who speak something else.
//!
//! A [`Client`] is cheap to clone; all clones share one pool of kept-alive connections. Calls
//! that can be repeated without harm are repeated, within bounds, when an error says that this
//! may help. What the coordinator refuses comes back as [`ClientError::Problem`], word for word.
//!
//! This crate may not: decide anything, print, keep state beyond its connections, or spawn tasks.
//! Encrypted addresses are spoken to only when the coordinator's authority is pinned.

mod artifacts;
mod base_url;
mod client;
mod dial;
mod error;
mod events;
mod line;
mod log_append;
mod messages;
mod query;
mod request;
mod retry;
mod server_sent;
mod transport;

pub use base_url::BaseUrl;
pub use client::Client;
pub use dial::{Dial, Stream};
pub use error::{ClientError, Problem};
pub use events::{EventStream, StreamedEvent};
pub use line::{Line, LineError};
pub use log_append::LogAppended;
pub use messages::Messages;
pub use query::with_query;
pub use request::Request;

/// Part of the transport that callers name in general requests.
pub use http::Method;

/// How long one exchange may take unless the request says otherwise.
pub const REQUEST_TIMEOUT_MS: u64 = 30_000;
/// How long opening a connection may take.
pub const CONNECT_TIMEOUT_MS: u64 = 5_000;
/// Connections without a request that are kept per coordinator.
pub const IDLE_CONNECTIONS_MAX: usize = 32;
/// How long such a connection is kept.
pub const IDLE_CONNECTION_MS: u64 = 60_000;
/// Tries of one call, the first included.
pub const TRIES_MAX: u32 = 4;
/// Bound of the first delay between two tries; it doubles with each.
pub const RETRY_INITIAL_MS: u64 = 100;
/// Largest delay between two tries, also when the coordinator asks for a longer one.
pub const RETRY_MAX_MS: u64 = 5_000;
/// Bytes of one piece of an upload.
pub const UPLOAD_PIECE_BYTES: usize = 4 << 20;
/// An event stream on which nothing came for this long is opened anew; the coordinator sends a
/// comment far more often.
pub const EVENT_SILENCE_MS: u64 = 60_000;
/// Bytes of one event.
pub const EVENT_BYTES_MAX: usize = 4 << 20;
