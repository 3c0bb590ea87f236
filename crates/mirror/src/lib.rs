//! Shows a swarm in a Redis or Valkey server, in the layout of the Unified Swarm, for tools that read
//! it there: `sessions:{id}`, `work_queue`, `knowledge:{topic}`, `metrics:global`.
//!
//! One way: nothing is ever read back into the swarm, and a server that is lost, slow, emptied or
//! changed by others changes nothing but what its readers see. [`Mirror::run`] follows a
//! [`MirrorSource`]; whenever it cannot be sure what lies in the server, it writes all of it anew.
//!
//! This crate may not: decide what is shown (the source does), fail or slow anything of the swarm, or
//! touch a key in the server that the mirror did not make.

mod mirror;
mod prefix;
mod server;
mod source;
mod stats;

pub use mirror::{Mirror, MirrorOptions};
pub use prefix::{MirrorPrefix, MirrorPrefixError};
pub use server::MirrorAddressError;
pub use source::{Changed, Fields, MirrorSource, Overview, TopicPage};
pub use stats::{MirrorCounts, MirrorStats};
