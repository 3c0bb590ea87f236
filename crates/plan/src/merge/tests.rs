//! Results of parts and what becomes of them.

use super::*;
use serde_json::json;

fn rule(operation: Operation) -> Fields {
    BTreeMap::from([("x".to_owned(), operation)])
}

fn joined(operation: Operation, values: &[Value]) -> Result<Value, String> {
    let parts: Vec<Value> = values.iter().map(|value| json!({ "x": value })).collect();
    let whole = aggregate(&parts, &rule(operation)).map_err(|error| error.to_string())?;
    Ok(whole["x"].clone())
}

#[test]
fn each_operation_joins_values_exactly() {
    use Operation::{Count, Max, Mean, Min, Sum, Union};
    for (operation, values, expected) in [
        (Sum, vec![json!(1), json!(-3)], json!(-2)),
        (
            Sum,
            vec![json!(i64::MAX), json!(1)],
            json!(9_223_372_036_854_775_808_u64),
        ),
        (Sum, vec![json!(1), json!(0.5)], json!(1.5)),
        (
            Sum,
            vec![json!({"a": 1, "b": 2}), json!({"b": 3, "c": null})],
            json!({"a": 1, "b": 5}),
        ),
        (Min, vec![json!(2), json!(-1), json!(0.5)], json!(-1)),
        (
            Max,
            vec![
                json!(9_007_199_254_740_993_u64),
                json!(9_007_199_254_740_992_u64),
            ],
            json!(9_007_199_254_740_993_u64),
        ),
        (Max, vec![json!({"a": 1}), json!({"a": 4})], json!({"a": 4})),
        (Mean, vec![json!(1), json!(3)], json!(2)),
        (Mean, vec![json!(1), json!(2)], json!(1.5)),
        (Mean, vec![json!(4), Value::Null], json!(4)),
        (Count, vec![json!("text"), Value::Null, json!([])], json!(2)),
        (Count, vec![Value::Null], json!(0)),
        (
            Union,
            vec![json!([2, 1]), json!([1, "1", 3])],
            json!([2, 1, "1", 3]),
        ),
        (
            Union,
            vec![
                json!({"a": 1, "l": [1]}),
                json!({"b": "t", "a": 1, "l": [2]}),
            ],
            json!({"a": 1, "b": "t", "l": [1, 2]}),
        ),
    ] {
        assert_eq!(
            joined(operation, &values),
            Ok(expected),
            "{operation} {values:?}"
        );
    }
}

#[test]
fn values_that_cannot_be_joined_are_refused_with_their_place() {
    use Operation::{Max, Mean, Sum, Union};
    for (operation, values, expected) in [
        (
            Sum,
            vec![json!(1), json!("2")],
            "`x` of part 1 is a text: `sum` takes numbers, or objects of numbers, alike in all parts",
        ),
        (
            Mean,
            vec![json!({"a": 1}), json!({"a": {"b": 1}})],
            "`x.a` of part 1 is an object: `mean` takes numbers, or objects of numbers, alike in all parts",
        ),
        (
            Max,
            vec![json!([1])],
            "`x` of part 0 is a list: `max` takes numbers, or objects of numbers, alike in all parts",
        ),
        (
            Union,
            vec![json!(1), json!(1)],
            "`x` of part 0 is a number: `union` takes lists, or objects, alike in all parts",
        ),
        (
            Union,
            vec![json!({"a": 1}), json!({}), json!({"a": 2})],
            "`x.a` of part 2 differs from that of a part before: `union` takes equal values only",
        ),
        (
            Sum,
            vec![json!(u64::MAX), json!(1)],
            "the sum of `x` is larger than a JSON number can be",
        ),
        (
            Sum,
            vec![json!(f64::MAX), json!(f64::MAX)],
            "the sum of `x` is larger than a JSON number can be",
        ),
        (
            Sum,
            vec![Value::Null],
            "no part has the field `x`: correct its name, or remove its rule",
        ),
    ] {
        assert_eq!(joined(operation, &values), Err(expected.to_owned()));
    }
}

#[test]
fn results_must_be_objects_and_other_fields_are_left_out() {
    let error = aggregate(&[json!({"x": 1}), json!([1])], &rule(Operation::Sum)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the result of part 1 must be a JSON object, not a list"
    );
    let joined = aggregate(&[json!({"x": 1, "y": 2})], &rule(Operation::Sum));
    assert_eq!(joined, Ok(json!({"x": 1})));
}

#[test]
fn nesting_beyond_the_bound_is_refused() {
    let mut deep = json!(1);
    for _ in 0..=NESTING_MAX {
        deep = json!({ "a": deep });
    }
    let error = joined(Operation::Sum, &[deep]).unwrap_err();
    assert!(error.contains("NESTING_MAX"), "{error}");
}

#[test]
fn rules_are_read_by_the_words_that_plans_use() {
    for operation in Operation::ALL {
        let fields: Fields = serde_json::from_value(json!({ "x": operation.as_str() })).unwrap();
        assert_eq!(fields, rule(operation));
    }
    assert!(serde_json::from_value::<Fields>(json!({"x": "median"})).is_err());
}
