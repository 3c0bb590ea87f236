//! Why there is no embedding.

use crate::endpoint::{ANSWER_MAX, EMBEDDED_TEXT_BYTES_MAX};
use skep_model::memory::EmbeddingFault;

/// The endpoint cannot be used as it was described.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    /// The address cannot be read.
    #[error(
        "`{url}` is no address of a model server, such as `http://127.0.0.1:11434/v1`: {detail}"
    )]
    Address {
        /// What was given.
        url: String,
        /// What is wrong with it.
        detail: &'static str,
    },
    /// The key would be readable on its way.
    #[error("a key would be sent to `{url}` unencrypted: use an `https` address")]
    KeyExposed {
        /// The address.
        url: String,
    },
    /// The key has characters that no header has.
    #[error("the key of the model server holds characters that cannot be sent")]
    KeyMalformed,
    /// The machine's list of trusted authorities cannot be read.
    #[error("read the certificate authorities that this machine trusts")]
    Authorities(#[source] std::io::Error),
}

/// The server gave no embedding.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// The text is longer than any model reads.
    #[error(
        "a text of {given} bytes is too long for an embedding: EMBEDDED_TEXT_BYTES_MAX is \
         {EMBEDDED_TEXT_BYTES_MAX}"
    )]
    TextTooLong {
        /// Its length.
        given: usize,
    },
    /// Nobody answers.
    #[error("the model server at `{url}` cannot be reached")]
    Unreachable {
        /// Where it should be.
        url: String,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It takes too long.
    #[error("the model server at `{url}` did not answer within {} s", ANSWER_MAX.as_secs())]
    TimedOut {
        /// Where it is.
        url: String,
    },
    /// It refused.
    #[error("the model server at `{url}` refused with {status}: {detail}")]
    Refused {
        /// Where it is.
        url: String,
        /// The status of its answer.
        status: u16,
        /// What it said, cut.
        detail: String,
    },
    /// Its answer is none.
    #[error("the model server at `{url}` answered with something else than an embedding: {detail}")]
    Malformed {
        /// Where it is.
        url: String,
        /// What is wrong with the answer.
        detail: String,
    },
    /// Its numbers are no embedding.
    #[error("the model server at `{url}` answered with numbers that are no embedding")]
    Useless {
        /// Where it is.
        url: String,
        /// Why not.
        #[source]
        fault: EmbeddingFault,
    },
}
