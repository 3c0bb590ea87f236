//! Amounts of tokens, and the hour and model to which they belong.

use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::fields::check_text;
use crate::rfc3339::Timestamp;
use serde::{Deserialize, Serialize};
use skep_model::time::UnixMillis;

pub(super) const HOUR_MS: u64 = 3_600_000;
/// Most that one slice can say of anything: far more than a model gives in an hour.
const COUNT_MAX: u64 = 1 << 50;

/// What providers count.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(default)]
pub(crate) struct Amount {
    /// Answers of the model.
    pub(super) messages: u64,
    /// Amount that went in, without those that a cache had.
    pub(super) input_tokens: u64,
    /// Amount that came out.
    pub(super) output_tokens: u64,
    /// Amount that went in and that a cache had.
    pub(super) cache_read_tokens: u64,
    /// Amount that went into a cache.
    pub(super) cache_write_tokens: u64,
}

impl Amount {
    pub(super) const fn add(&mut self, other: &Self) {
        self.messages = self.messages.saturating_add(other.messages);
        self.input_tokens = self.input_tokens.saturating_add(other.input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(other.output_tokens);
        self.cache_read_tokens = self
            .cache_read_tokens
            .saturating_add(other.cache_read_tokens);
        self.cache_write_tokens = self
            .cache_write_tokens
            .saturating_add(other.cache_write_tokens);
    }

    const fn all(&self) -> [u64; 5] {
        [
            self.messages,
            self.input_tokens,
            self.output_tokens,
            self.cache_read_tokens,
            self.cache_write_tokens,
        ]
    }
}

/// What one model used in one hour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub(crate) struct Slice {
    /// A time in the hour, such as `2026-11-21T10:00:00.000Z`; when left out, that of the call.
    #[serde(default)]
    pub(super) hour: Option<String>,
    /// The model, as its provider calls it.
    pub(super) model: String,
    /// How much.
    #[serde(flatten)]
    pub(super) tokens: Amount,
}

impl Slice {
    /// The slice with the beginning of its hour.
    ///
    /// # Errors
    /// `field_invalid`.
    pub(super) fn checked(self, now: UnixMillis) -> Result<Self, OperationError> {
        check_text("model", &self.model)?;
        if self.tokens.all().into_iter().any(|count| count > COUNT_MAX) {
            let detail = format!("a number of `{}` is larger than {COUNT_MAX}", self.model);
            return Err(OperationError::new(ErrorCode::FieldInvalid, detail));
        }
        let at = match &self.hour {
            None => now,
            Some(text) => {
                let time: Result<Timestamp, _> = text.parse();
                let time = time.map_err(|error| {
                    OperationError::new(ErrorCode::FieldInvalid, format!("`hour`: {error}"))
                })?;
                time.0
            }
        };
        let hour = UnixMillis(at.0 / HOUR_MS * HOUR_MS);
        Ok(Self {
            hour: Some(Timestamp(hour).to_string()),
            ..self
        })
    }

    /// When its hour ends; none for a record that somebody else wrote without one.
    pub(super) fn end(&self) -> Option<UnixMillis> {
        let hour: Timestamp = self.hour.as_ref()?.parse().ok()?;
        Some(UnixMillis(hour.0.0.saturating_add(HOUR_MS)))
    }
}
