//! Asks a model server where a text lies among meanings: `POST BASE/embeddings`, in the form that
//! OpenAI made and Ollama, llama.cpp, vLLM and most others speak.
//!
//! This crate may not: invent an embedding. When the server does not answer as it should, there is
//! an error that says so.

mod endpoint;
mod error;
mod wire;

pub use endpoint::{ANSWER_MAX, EMBEDDED_TEXT_BYTES_MAX, EmbeddingEndpoint, EndpointOptions};
pub use error::{EndpointError, OptionsError};

#[cfg(test)]
mod tests;
