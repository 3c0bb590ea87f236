//! Makes one value of two that were written apart from each other. The result is proposed under
//! the condition that the entry still has the version that was read.
//!
//! Set union and counter give the same whoever merges, in whatever order, and however often.

use serde_json::{Map, Value};
use skep_model::memory::MergeFunction;
use std::collections::BTreeMap;

/// Why two values cannot be merged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// The function is for lists.
    #[error("`{function:?}` merges lists, and the {which} value is none")]
    NoList {
        /// The function.
        function: MergeFunction,
        /// `earlier` or `later`.
        which: &'static str,
    },
    /// A counter is an object of one number per replica.
    #[error("a counter is an object of whole numbers, one per replica; the {which} value is none")]
    NoCounter {
        /// `earlier` or `later`.
        which: &'static str,
    },
}

/// Merges two values that were written without seeing each other.
pub fn merge(function: MergeFunction, earlier: Value, later: Value) -> Result<Value, MergeError> {
    match function {
        MergeFunction::SetUnion => {
            let mut elements = list(function, "earlier", earlier)?;
            elements.extend(list(function, "later", later)?);
            Ok(set(elements))
        }
        MergeFunction::Append => {
            let mut elements = list(function, "earlier", earlier)?;
            elements.extend(list(function, "later", later)?);
            Ok(Value::Array(elements))
        }
        MergeFunction::Counter => {
            let mut counts = counts("earlier", earlier)?;
            for (replica, count) in self::counts("later", later)? {
                let larger = counts.get(&replica).and_then(Value::as_u64);
                if larger.is_none_or(|larger| count.as_u64() > Some(larger)) {
                    counts.insert(replica, count);
                }
            }
            Ok(Value::Object(counts))
        }
        MergeFunction::JsonMergePatch => Ok(patched(earlier, later)),
    }
}

/// What a counter has counted in all.
pub fn counted(counter: &Value) -> Option<u64> {
    let counts = counter.as_object()?.values();
    counts.map(Value::as_u64).try_fold(0_u64, |total, count| {
        count.map(|count| total.saturating_add(count))
    })
}

fn list(
    function: MergeFunction,
    which: &'static str,
    value: Value,
) -> Result<Vec<Value>, MergeError> {
    match value {
        Value::Array(elements) => Ok(elements),
        _ => Err(MergeError::NoList { function, which }),
    }
}

/// Each element once, in the order of their texts: the same list whoever merges.
fn set(elements: Vec<Value>) -> Value {
    let by_text = elements
        .into_iter()
        .map(|element| (element.to_string(), element));
    let by_text: BTreeMap<_, _> = by_text.collect();
    Value::Array(by_text.into_values().collect())
}

fn counts(which: &'static str, value: Value) -> Result<Map<String, Value>, MergeError> {
    match value {
        Value::Object(counts) if counts.values().all(Value::is_u64) => Ok(counts),
        _ => Err(MergeError::NoCounter { which }),
    }
}

/// RFC 7396. As deep as the parser of the patch went.
fn patched(target: Value, patch: Value) -> Value {
    let Value::Object(patch) = patch else {
        return patch;
    };
    let mut target = match target {
        Value::Object(target) => target,
        _ => Map::new(),
    };
    for (name, change) in patch {
        if change.is_null() {
            target.remove(&name);
        } else {
            let old = target.remove(&name).unwrap_or(Value::Null);
            target.insert(name, patched(old, change));
        }
    }
    Value::Object(target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(function: MergeFunction, present: Value, other: Value, expected: &Value) {
        assert_eq!(merge(function, present, other).as_ref(), Ok(expected));
    }

    #[test]
    fn a_union_has_each_element_once_whoever_merges() {
        let (a, b) = (json!([3, "x", {"k": 1}]), json!(["x", 1, 3]));
        let union = json!(["x", 1, 3, {"k": 1}]);
        check(MergeFunction::SetUnion, a.clone(), b.clone(), &union);
        check(MergeFunction::SetUnion, b, a, &union);
        check(
            MergeFunction::SetUnion,
            union.clone(),
            union.clone(),
            &union,
        );
    }

    #[test]
    fn a_counter_keeps_the_larger_count_of_each_replica() {
        let (a, b) = (json!({"n1": 4, "n2": 1}), json!({"n2": 3, "n3": 2}));
        let both = json!({"n1": 4, "n2": 3, "n3": 2});
        check(MergeFunction::Counter, a.clone(), b.clone(), &both);
        check(MergeFunction::Counter, b, a, &both);
        assert_eq!(counted(&both), Some(9));
        assert_eq!(counted(&json!({"n1": -1})), None);
    }

    #[test]
    fn a_patch_is_applied_as_rfc_7396_says() {
        for (target, patch, expected) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (
                json!({"a": "b"}),
                json!({"b": "c"}),
                json!({"a": "b", "b": "c"}),
            ),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (
                json!({"a": {"b": "c"}}),
                json!({"a": {"b": "d", "c": null}}),
                json!({"a": {"b": "d"}}),
            ),
            (json!(["a", "b"]), json!(["c"]), json!(["c"])),
            (
                json!({"e": null}),
                json!({"a": 1}),
                json!({"e": null, "a": 1}),
            ),
            (
                json!([1, 2]),
                json!({"a": "b", "c": null}),
                json!({"a": "b"}),
            ),
            (
                json!({}),
                json!({"a": {"bb": {"c": null}}}),
                json!({"a": {"bb": {}}}),
            ),
        ] {
            check(MergeFunction::JsonMergePatch, target, patch, &expected);
        }
    }

    #[test]
    fn the_other_list_is_appended() {
        let expected = json!([1, 2, 2, 3]);
        check(
            MergeFunction::Append,
            json!([1, 2]),
            json!([2, 3]),
            &expected,
        );
    }

    #[test]
    fn what_is_not_of_the_right_form_is_named() {
        for (function, present, other, which) in [
            (MergeFunction::SetUnion, json!(1), json!([]), "earlier"),
            (MergeFunction::Append, json!([]), json!({}), "later"),
            (MergeFunction::Counter, json!([]), json!({}), "earlier"),
            (MergeFunction::Counter, json!({}), json!({"a": -1}), "later"),
        ] {
            let error = merge(function, present, other).unwrap_err();
            assert!(error.to_string().contains(which), "{error}");
        }
    }
}
