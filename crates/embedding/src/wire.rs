//! What goes out and what comes in.

use serde::{Deserialize, Serialize};

/// A question.
#[derive(Debug, Serialize)]
pub(crate) struct Question<'a> {
    pub(crate) model: &'a str,
    pub(crate) input: &'a str,
    pub(crate) encoding_format: &'static str,
}

/// An answer; servers add more, which is of no use here.
#[derive(Debug, Deserialize)]
pub(crate) struct Answer {
    pub(crate) data: Vec<Item>,
}

/// The embedding of one text.
#[derive(Debug, Deserialize)]
pub(crate) struct Item {
    pub(crate) embedding: Vec<f32>,
}
