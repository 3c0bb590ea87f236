//! Joins the JSON results of the parts of a task into one, by rules for each field.
//!
//! [`aggregate`] is what a task with `merge: {kind: aggregate}` runs. A field that is `null` counts
//! as not there; a part that lacks a field adds nothing to it; a field that no part has is an error,
//! except under `count`. What is not named by a rule is left out.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Fields that one aggregation may have.
pub const AGGREGATE_FIELDS_MAX: usize = 256;
/// How deep the values of a field may be nested: as deep as the JSON that is read.
pub const NESTING_MAX: usize = 128;

/// The rule of each field.
pub type Fields = BTreeMap<String, Operation>;

/// What becomes of the values that the parts have for a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Their sum, exact while all of them are whole. Objects are added up key by key.
    Sum,
    /// The smallest; of objects, key by key.
    Min,
    /// The largest; of objects, key by key.
    Max,
    /// Their mean, over the parts that have the field; of objects, key by key.
    Mean,
    /// How many parts have the field, whatever its value.
    Count,
    /// Lists: each different item once, in the order of the parts. Objects: the keys of all of
    /// them; values of one key must be equal, or lists or objects that are united likewise.
    Union,
}

impl Operation {
    /// All operations.
    pub const ALL: [Self; 6] = [
        Self::Sum,
        Self::Min,
        Self::Max,
        Self::Mean,
        Self::Count,
        Self::Union,
    ];

    /// The word used in plans.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Min => "min",
            Self::Max => "max",
            Self::Mean => "mean",
            Self::Count => "count",
            Self::Union => "union",
        }
    }

    const fn wanted(self) -> &'static str {
        match self {
            Self::Sum | Self::Min | Self::Max | Self::Mean => "numbers, or objects of numbers",
            Self::Count => "anything",
            Self::Union => "lists, or objects",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why results cannot be joined. Parts are counted from 0, as their directories are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AggregateError {
    /// The result of a part is a list, a text or the like.
    #[error("the result of part {part} must be a JSON object, not {found}")]
    NotAnObject {
        /// The part.
        part: usize,
        /// What it is instead.
        found: &'static str,
    },
    /// Probably misspelt.
    #[error("no part has the field `{field}`: correct its name, or remove its rule")]
    Missing {
        /// The field.
        field: String,
    },
    /// A value that the operation cannot take, or that is of another kind than those before.
    #[error("`{path}` of part {part} is {found}: `{operation}` takes {wanted}, alike in all parts")]
    WrongType {
        /// The field, with the keys below it.
        path: String,
        /// The part.
        part: usize,
        /// What it does.
        operation: Operation,
        /// What it can take.
        wanted: &'static str,
        /// What was there.
        found: &'static str,
    },
    /// Two parts say different things about one key.
    #[error(
        "`{path}` of part {part} differs from that of a part before: `union` takes equal values only"
    )]
    Conflict {
        /// The field, with the keys below it.
        path: String,
        /// The later part.
        part: usize,
    },
    /// JSON has no number for it.
    #[error("the {operation} of `{path}` is larger than a JSON number can be")]
    Overflow {
        /// The field, with the keys below it.
        path: String,
        /// What was computed.
        operation: Operation,
    },
    /// Nested too deep.
    #[error("`{path}` is nested deeper than {NESTING_MAX} (NESTING_MAX): write flatter results")]
    TooDeep {
        /// The field.
        path: String,
    },
}

/// Joins the results of the parts, in their order.
pub fn aggregate(parts: &[Value], fields: &Fields) -> Result<Value, AggregateError> {
    let mut objects = Vec::with_capacity(parts.len());
    for (part, value) in parts.iter().enumerate() {
        let found = kind(value);
        let object = value
            .as_object()
            .ok_or(AggregateError::NotAnObject { part, found })?;
        objects.push((part, object));
    }
    let mut joined = Map::new();
    for (field, operation) in fields {
        let values = values_of(&objects, field);
        let value = match (operation, values.is_empty()) {
            (Operation::Count, _) => Value::from(values.len()),
            (_, true) => {
                let field = field.clone();
                return Err(AggregateError::Missing { field });
            }
            (Operation::Union, false) => Place::of(field, *operation).united(&values)?,
            (_, false) => Place::of(field, *operation).computed(&values)?,
        };
        joined.insert(field.clone(), value);
    }
    Ok(Value::Object(joined))
}

/// Values by the part that has them.
type Values<'a> = [(usize, &'a Value)];

fn values_of<'a>(
    objects: &[(usize, &'a Map<String, Value>)],
    key: &str,
) -> Vec<(usize, &'a Value)> {
    let value = |(part, object): &(usize, &'a Map<String, Value>)| {
        let value = object.get(key).filter(|value| !value.is_null())?;
        Some((*part, value))
    };
    objects.iter().filter_map(value).collect()
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A field, or a key below it, and what is done with its values.
struct Place {
    path: String,
    depth: usize,
    operation: Operation,
}

impl Place {
    fn of(field: &str, operation: Operation) -> Self {
        Self {
            path: field.to_owned(),
            depth: 0,
            operation,
        }
    }

    fn below(&self, key: &str) -> Result<Self, AggregateError> {
        if self.depth == NESTING_MAX {
            let path = self.path.clone();
            return Err(AggregateError::TooDeep { path });
        }
        Ok(Self {
            path: format!("{}.{key}", self.path),
            depth: self.depth + 1,
            operation: self.operation,
        })
    }

    fn wrong(&self, part: usize, value: &Value) -> AggregateError {
        AggregateError::WrongType {
            path: self.path.clone(),
            part,
            operation: self.operation,
            wanted: self.operation.wanted(),
            found: kind(value),
        }
    }

    /// All values as one kind; the first that is of another one is the error.
    fn all<'a, T>(
        &self,
        values: &Values<'a>,
        take: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Vec<(usize, T)>, AggregateError> {
        let taken = values.iter().map(|(part, value)| {
            let taken = take(value).ok_or_else(|| self.wrong(*part, value))?;
            Ok((*part, taken))
        });
        taken.collect()
    }

    fn key_by_key(
        &self,
        values: &Values<'_>,
        join: impl Fn(&Self, &Values<'_>) -> Result<Value, AggregateError>,
    ) -> Result<Value, AggregateError> {
        let objects = self.all(values, Value::as_object)?;
        let keys: BTreeSet<&String> = objects
            .iter()
            .flat_map(|(_, object)| object.keys())
            .collect();
        let mut joined = Map::new();
        for key in keys {
            let values = values_of(&objects, key);
            if !values.is_empty() {
                joined.insert(key.clone(), join(&self.below(key)?, &values)?);
            }
        }
        Ok(Value::Object(joined))
    }

    /// There is at least one value.
    fn computed(&self, values: &Values<'_>) -> Result<Value, AggregateError> {
        match values[0].1 {
            Value::Object(_) => self.key_by_key(values, Self::computed),
            Value::Number(_) => {
                let numbers = self.all(values, Value::as_number)?;
                let numbers: Vec<&Number> = numbers.into_iter().map(|(_, number)| number).collect();
                let result = match self.operation {
                    Operation::Min => least(&numbers, |new, known| new < known),
                    Operation::Max => least(&numbers, |new, known| new > known),
                    Operation::Mean => mean(&numbers),
                    Operation::Sum | Operation::Count | Operation::Union => sum(&numbers),
                };
                let overflow = || AggregateError::Overflow {
                    path: self.path.clone(),
                    operation: self.operation,
                };
                result.map(Value::Number).ok_or_else(overflow)
            }
            other => Err(self.wrong(values[0].0, other)),
        }
    }

    /// There is at least one value.
    fn united(&self, values: &Values<'_>) -> Result<Value, AggregateError> {
        match values[0].1 {
            Value::Object(_) => self.key_by_key(values, Self::united),
            Value::Array(_) => {
                let lists = self.all(values, Value::as_array)?;
                let items = lists.into_iter().flat_map(|(_, list)| list);
                let mut seen = BTreeSet::new();
                let new = |item: &&Value| seen.insert(item.to_string());
                Ok(Value::Array(items.filter(new).cloned().collect()))
            }
            // Only below the field itself: there a single value is what an object says of a key.
            first if self.depth > 0 => {
                let other = values.iter().find(|(_, value)| *value != first);
                match other {
                    None => Ok(first.clone()),
                    Some((part, _)) => Err(AggregateError::Conflict {
                        path: self.path.clone(),
                        part: *part,
                    }),
                }
            }
            other => Err(self.wrong(values[0].0, other)),
        }
    }
}

fn whole(numbers: &[&Number]) -> Option<Vec<i128>> {
    numbers.iter().map(|number| number.as_i128()).collect()
}

fn floats(numbers: &[&Number]) -> Option<Vec<f64>> {
    numbers.iter().map(|number| number.as_f64()).collect()
}

/// Exact while all numbers are whole, else in floating point, in the order of the parts.
fn sum(numbers: &[&Number]) -> Option<Number> {
    match whole(numbers) {
        Some(whole) => {
            let sum = whole.into_iter().try_fold(0_i128, i128::checked_add);
            sum.and_then(number)
        }
        None => Number::from_f64(floats(numbers)?.into_iter().sum()),
    }
}

/// A whole number when the mean of whole numbers is one, else in floating point.
fn mean(numbers: &[&Number]) -> Option<Number> {
    let count = u32::try_from(numbers.len()).ok()?;
    let exact = whole(numbers).and_then(|whole| {
        let sum = whole.into_iter().try_fold(0_i128, i128::checked_add)?;
        (sum % i128::from(count) == 0).then(|| sum / i128::from(count))
    });
    if let Some(exact) = exact {
        return number(exact);
    }
    let sum: f64 = floats(numbers)?.into_iter().sum();
    Number::from_f64(sum / f64::from(count))
}

/// The first number that no other one beats; whole numbers are compared exactly.
fn least(numbers: &[&Number], beats: impl Fn(Ordered, Ordered) -> bool) -> Option<Number> {
    let values: Vec<Ordered> = match whole(numbers) {
        Some(whole) => whole.into_iter().map(Ordered::Whole).collect(),
        None => floats(numbers)?.into_iter().map(Ordered::Float).collect(),
    };
    let mut best = 0;
    for position in 1..values.len() {
        if beats(values[position], values[best]) {
            best = position;
        }
    }
    numbers.get(best).map(|number| (*number).clone())
}

/// A number that can be compared with others of its kind.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
enum Ordered {
    Whole(i128),
    Float(f64),
}

fn number(value: i128) -> Option<Number> {
    Number::from_i128(value)
}

#[cfg(test)]
mod tests;
