//! The JSON Schema of the plan file, and the shapes in it that no derive can describe.

use crate::file::{MatrixAxis, MatrixFile, PlanFile};
use crate::position::At;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::marker::PhantomData;

/// The JSON Schema (2020-12) of the plan file.
pub fn json_schema() -> serde_json::Value {
    let mut schema = schemars::schema_for!(PlanFile);
    schema.insert("title".to_owned(), "Skep plan".into());
    schema.to_value()
}

/// A mapping whose order is that of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named<T>(pub Vec<(At<String>, T)>);

impl<T> Named<T> {
    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value with this name.
    pub fn get(&self, name: &str) -> Option<&T> {
        self.0
            .iter()
            .find(|(known, _)| known.value == name)
            .map(|(_, value)| value)
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.0.iter().map(|(name, _)| name.value.as_str())
    }
}

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Serialize> Serialize for Named<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(&name.value, value)?;
        }
        map.end()
    }
}

impl<T: JsonSchema> JsonSchema for Named<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("NamedOf{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        BTreeMap::<String, T>::json_schema(generator)
    }
}

/// In a schema: one of two shapes.
pub(crate) struct Either<A, B>(PhantomData<(A, B)>);

/// In a schema: a list that may be written without brackets when it has one item.
pub(crate) type OneOrMore<T> = Either<T, Vec<T>>;

impl<A: JsonSchema, B: JsonSchema> JsonSchema for Either<A, B> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("{}Or{}", A::schema_name(), B::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [generator.subschema_for::<A>(), generator.subschema_for::<B>()],
        })
    }
}

impl JsonSchema for MatrixFile {
    fn schema_name() -> Cow<'static, str> {
        "MatrixFile".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Axes by name, and under `exclude` the combinations to leave out.",
            "type": "object",
            "properties": {
                "exclude": {
                    "description": "Combinations whose named axes have these values are left out.",
                    "type": "array",
                    "items": { "type": "object" },
                },
            },
            "additionalProperties": generator.subschema_for::<MatrixAxis>(),
        })
    }
}
