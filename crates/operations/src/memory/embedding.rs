//! Where values lie among meanings: as the caller says, or as the model server says.

use super::access::EntryName;
use super::given::GivenValue;
use super::values::is_secret;
use crate::context::{Context, Services};
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::fields::check_text;
use skep_model::memory::Embedding;
use std::borrow::Cow;

/// What a caller wants to be known of a meaning.
#[derive(Debug, Default)]
pub(super) struct EmbeddingWanted {
    /// The numbers.
    pub(super) given: Option<Vec<f32>>,
    /// The model that gave them.
    pub(super) model: Option<String>,
    /// Whether the model server is to be asked for them.
    pub(super) ask: bool,
}

/// The embedding of a value, if one is wanted.
pub(super) async fn embedding_of(
    context: &Context,
    name: &EntryName,
    value: &GivenValue,
    wanted: EmbeddingWanted,
) -> Result<Option<Embedding>, OperationError> {
    let wrong = |detail: &str| OperationError::new(ErrorCode::FieldInvalid, detail);
    if wanted.given.is_none() && wanted.model.is_some() {
        return Err(wrong("`embedding_model` is for a given `embedding`"));
    }
    if wanted.given.is_none() && !wanted.ask {
        return Ok(None);
    }
    if is_secret(&context.services.hive.view(), &name.namespace) {
        let detail = format!(
            "`{}` is secret, and an embedding tells of its value",
            name.namespace
        );
        return Err(OperationError::new(ErrorCode::MemoryNotSealed, detail));
    }
    match wanted.given {
        Some(_) if wanted.ask => Err(wrong("give one of `embedding` and `embed`")),
        Some(values) => direction(&values, wanted.model).map(Some),
        None => {
            let text = text_of(value)
                .ok_or_else(|| wrong("`embed` is for texts and JSON, not for bytes"))?;
            asked(&context.services, &text).await.map(Some)
        }
    }
}

/// The direction that these numbers of a model give.
pub(super) fn direction(
    values: &[f32],
    model: Option<String>,
) -> Result<Embedding, OperationError> {
    let found = Embedding::of(values)
        .map_err(|fault| OperationError::new(ErrorCode::EmbeddingInvalid, fault.to_string()))?;
    let Some(model) = model else {
        return Ok(found);
    };
    check_text("embedding_model", &model)?;
    Ok(found.of_model(model))
}

/// Where the model server says that a text lies: an embedding of its model.
pub(super) async fn asked(services: &Services, text: &str) -> Result<Embedding, OperationError> {
    let embedder = services.shared_memory.embedder.as_ref().ok_or_else(|| {
        let detail = "this coordinator was started without a model server";
        OperationError::new(ErrorCode::EmbeddingUnavailable, detail)
    })?;
    let answer = embedder.embed(text).await;
    let found = answer.map_err(|detail| OperationError::new(ErrorCode::EmbeddingFailed, detail))?;
    Ok(found.of_model(embedder.model()))
}

/// The text that a model reads: of a JSON text its content, of other JSON what was written.
fn text_of(value: &GivenValue) -> Option<Cow<'_, str>> {
    match value {
        GivenValue::Json(json) => {
            let text = serde_json::from_str::<String>(json).ok();
            Some(text.map_or(Cow::Borrowed(json.as_str()), Cow::Owned))
        }
        GivenValue::Bytes(bytes) => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
        GivenValue::Artifact { .. } => None,
    }
}
