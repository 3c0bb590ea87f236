//! Changes a value by a function of the present one: read, computed, and written on condition that
//! nobody wrote meanwhile, again until that holds.

use super::EntryPath;
use super::access::{EntryName, may_write};
use super::given::{GivenValue, checked, provenance, refuse_header_condition};
use super::merging::{json_of, merged, no_merge};
use super::values::{read_value, store_value};
use super::write::{WriteAnswer, one};
use crate::context::Context;
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Number, Value};
use skep_model::limits::MEMORY_TTL_MS_MIN;
use skep_model::memory::{
    MemoryChange, MemoryCondition, MemoryPut, MemoryValue, MemoryWrite, MergeFunction,
};
use std::sync::Arc;

/// How often an update is computed anew because somebody else wrote the entry meanwhile.
const UPDATE_TRIES_MAX: u32 = 32;

/// How the new value is made of the present one and the given one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum UpdateFunction {
    /// Both are numbers: their sum.
    Increment,
    /// The given one is a JSON merge patch (RFC 7396) on the present one.
    JsonMergePatch,
    /// Both are lists: the given elements behind those that are there.
    Append,
    /// Both are lists: each element once.
    SetUnion,
    /// Both are objects of one number per replica: the larger of each.
    Counter,
}

/// What is to happen to a value.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UpdateBody {
    /// How the new value is made.
    function: UpdateFunction,
    /// The given value. Without an entry it is the new value.
    #[schemars(with = "Value")]
    value: Box<RawValue>,
    /// Seconds the entry lives from now; without it, it ends when it would have ended.
    #[serde(default)]
    ttl_s: Option<u64>,
    /// Why it is written.
    #[serde(default)]
    why: Option<String>,
}

pub(super) async fn update(
    context: Context,
    path: EntryPath,
    body: UpdateBody,
) -> Result<WriteAnswer, OperationError> {
    let name = EntryName::of(&path)?;
    refuse_header_condition(&context)?;
    may_write(&context, &name.namespace)?;
    let given: Arc<str> = Box::<str>::from(body.value.clone()).into();
    let mut tries = 0;
    loop {
        let write = computed(&context, &name, &body, &given).await?;
        tries += 1;
        match one(&context, &name, write).await {
            Err(error)
                if error.code() == ErrorCode::MemoryVersionConflict && tries < UPDATE_TRIES_MAX => {
            }
            Err(error) if error.code() == ErrorCode::MemoryVersionConflict => {
                let detail = format!(
                    "`{}` in `{}` was written by others {UPDATE_TRIES_MAX} times meanwhile \
                     (UPDATE_TRIES_MAX)",
                    name.key, name.namespace
                );
                return Err(OperationError::new(ErrorCode::MemoryContended, detail));
            }
            answer => return answer,
        }
    }
}

/// The write that makes the new value of the one that is there now.
async fn computed(
    context: &Context,
    name: &EntryName,
    body: &UpdateBody,
    given: &Arc<str>,
) -> Result<MemoryWrite, OperationError> {
    let now = context.services.now();
    let found = {
        let view = context.services.hive.view();
        let found = view.state.memory_entry(&name.namespace, &name.key, now);
        found.map(|entry| (entry.version, entry.expires_at))
    };
    let given = MemoryValue::Json(Arc::clone(given));
    let mut put = MemoryPut::new(given.clone());
    let mut condition = MemoryCondition::Absent;
    if let Some((version, expires_at)) = found {
        condition = MemoryCondition::Version(version);
        let present = read_value(&context.services, name, version).await?;
        // Gone from the history means replaced: the write is refused, and the next try sees more.
        if let Some(present) = present.as_ref().and_then(|record| record.put.as_deref()) {
            let value = apply(name, body.function, &present.value, &given)?;
            let value = GivenValue::Json(value);
            put = present.clone();
            put.value = store_value(&context.services, &name.namespace, value).await?;
            // It told of the old value.
            put.embedding = None;
        }
        let left = |end: skep_model::time::UnixMillis| end.since(now).max(MEMORY_TTL_MS_MIN);
        put.ttl_ms = expires_at.map(left);
    }
    if let Some(seconds) = body.ttl_s {
        put.ttl_ms = Some(seconds.saturating_mul(1_000));
    }
    let change = MemoryChange::Put(Arc::new(put));
    let write = MemoryWrite {
        condition,
        provenance: provenance(context, body.why.clone()),
        ..MemoryWrite::new(name.namespace.clone(), name.key.clone(), change)
    };
    checked(name, write)
}

fn apply(
    name: &EntryName,
    function: UpdateFunction,
    present: &MemoryValue,
    given: &MemoryValue,
) -> Result<String, OperationError> {
    let function = match function {
        UpdateFunction::Increment => {
            let present = json_of(name, "present", present)?;
            let given = json_of(name, "given", given)?;
            let sum = sum(&present, &given);
            let sum =
                sum.ok_or_else(|| no_merge(name, "both should be numbers, and so their sum"))?;
            return Ok(sum.to_string());
        }
        UpdateFunction::JsonMergePatch => MergeFunction::JsonMergePatch,
        UpdateFunction::Append => MergeFunction::Append,
        UpdateFunction::SetUnion => MergeFunction::SetUnion,
        UpdateFunction::Counter => MergeFunction::Counter,
    };
    Ok(merged(name, function, present, given)?.to_string())
}

/// Of whole numbers a whole number; none when it cannot be held.
fn sum(present: &Value, given: &Value) -> Option<Number> {
    if let (Some(present), Some(given)) = (present.as_i64(), given.as_i64()) {
        return present.checked_add(given).map(Number::from);
    }
    Number::from_f64(present.as_f64()? + given.as_f64()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_are_added_and_nothing_else() {
        for (present, given, expected) in [
            (json!(1), json!(2), Some("3")),
            (json!(1), json!(-2), Some("-1")),
            (json!(1), json!(0.5), Some("1.5")),
            (json!(i64::MAX), json!(1), None),
            (json!("1"), json!(1), None),
            (json!(1), json!(null), None),
        ] {
            let sum = sum(&present, &given).map(|sum| sum.to_string());
            assert_eq!(sum.as_deref(), expected, "{present} {given}");
        }
    }
}
