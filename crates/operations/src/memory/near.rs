//! Finds entries by what they mean.

use super::access::{may_use, searched_namespaces};
use super::embedding::{asked, direction};
use crate::context::Context;
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::fields::NoParameters;
use crate::lookup;
use crate::paging::page_limit;
use crate::rfc3339::Timestamp;
use serde::{Deserialize, Serialize};
use skep_model::limits::PAGE_ITEMS_MAX;
use skep_model::memory::{MemoryKey, MemoryTag, MemoryVersion, Namespace};
use skep_store::{MemoryNear, NearValue};
use std::collections::BTreeSet;

/// What to be near to, and where to look.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct NearBody {
    /// Numbers that a model gave.
    embedding: Option<Vec<f32>>,
    /// Name of that model. Only embeddings of the same model are compared; without a name, those that
    /// have none either.
    embedding_model: Option<String>,
    /// Or a text, for which the coordinator asks its model server.
    text: Option<String>,
    /// Only in this namespace.
    namespace: Option<String>,
    /// Only keys that begin so.
    prefix: String,
    /// Entries wanted.
    #[schemars(range(min = 1, max = PAGE_ITEMS_MAX))]
    limit: Option<usize>,
}

/// An entry that is near.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct NearView {
    /// Where.
    namespace: Namespace,
    /// Which entry.
    key: MemoryKey,
    /// Its version.
    version: MemoryVersion,
    /// How near: 1 the same meaning, 0 nothing in common, -1 the opposite.
    similarity: f32,
    /// Words that find it.
    tags: BTreeSet<MemoryTag>,
    /// When it was written.
    written_at: Timestamp,
}

/// The nearest entries, the nearest first.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(super) struct NearAnswer {
    /// The entries. Fewer than wanted if some of those found were replaced just now.
    items: Vec<NearView>,
    /// The model whose embeddings were compared: that of the model server for `text`, or the named one.
    model: Option<String>,
    /// Entries there whose embedding is of another model or length: nobody can compare them.
    incomparable: u64,
    /// Newly written versions that were not looked at yet.
    behind: u64,
}

pub(super) async fn near(
    context: Context,
    _: NoParameters,
    body: NearBody,
) -> Result<NearAnswer, OperationError> {
    let namespaces = searched_namespaces(&context, body.namespace.as_deref())?;
    let limit = page_limit(body.limit)?;
    let embedding = match (body.embedding, body.text) {
        (Some(values), None) => direction(&values, body.embedding_model)?,
        (None, Some(text)) if body.embedding_model.is_none() => {
            asked(&context.services, &text).await?
        }
        (None, Some(_)) => {
            let detail = "`embedding_model` is for a given `embedding`";
            return Err(OperationError::new(ErrorCode::FieldInvalid, detail));
        }
        _ => {
            let detail = "give one of `embedding` and `text`";
            return Err(OperationError::new(ErrorCode::FieldInvalid, detail));
        }
    };
    let model = embedding.model().map(str::to_owned);
    let looking = MemoryNear {
        embedding,
        namespaces,
        prefix: body.prefix,
        limit,
    };
    let found = lookup::ask(&context.services, "compare shared memory", move |archive| {
        archive.nearest_memory(&looking)
    });
    let found = found.await?;
    let items = found.values.into_iter();
    Ok(NearAnswer {
        items: items
            .filter_map(|value| still_true(&context, value))
            .collect(),
        model,
        incomparable: found.incomparable,
        behind: found.behind,
    })
}

/// A value, if the entry is there, still has the version, and is open to the caller.
fn still_true(context: &Context, value: NearValue) -> Option<NearView> {
    let at = context.services.now();
    let view = context.services.hive.view();
    may_use(&view, &context.caller, &value.namespace).ok()?;
    let entry = view.state.memory_entry(&value.namespace, &value.key, at)?;
    (entry.version == value.version).then(|| NearView {
        tags: entry.tags.clone(),
        written_at: entry.written_at.into(),
        namespace: value.namespace,
        key: value.key,
        version: value.version,
        similarity: value.similarity,
    })
}
