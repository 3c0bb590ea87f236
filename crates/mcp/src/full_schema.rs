//! Whole schemas of what an operation takes and gives, from the types that REST uses.

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use skep_operations::{Operation, Shape};

/// The argument that stands for a parameter of the route whose name a key of the body has too.
const COLLISION_SUFFIX: &str = "_id";

/// Where a parameter of a route goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Into the path.
    Path,
    /// Into the query.
    Query,
}

/// A parameter of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parameter {
    /// As the route calls it.
    pub(crate) name: String,
    /// As the tool's arguments call it.
    pub(crate) argument: String,
    pub(crate) place: Place,
}

/// What an operation takes: parameters and keys of its body in one object.
#[derive(Debug, Clone)]
pub(crate) struct Input {
    pub(crate) schema: Map<String, Value>,
    pub(crate) parameters: Vec<Parameter>,
}

/// What an operation takes.
pub(crate) fn input(operation: &Operation) -> Input {
    let mut generator = generator();
    let of_route = (operation.parameters)(&mut generator).to_value();
    let of_body = match operation.input {
        Shape::Json(schema) => schema(&mut generator).to_value(),
        Shape::Empty | Shape::Bytes(_) => json!({}),
    };
    let definitions = generator.take_definitions(true);
    let body = match of_body["$ref"].as_str() {
        Some(reference) => reference
            .rsplit('/')
            .next()
            .and_then(|name| definitions.get(name))
            .cloned()
            .unwrap_or_default(),
        None => of_body,
    };
    let mut properties = object(&body["properties"]);
    let mut required = strings(&body["required"]);
    let mut parameters = Vec::new();
    for (name, schema) in object(&of_route["properties"]) {
        let place = if operation.path.contains(&format!("{{{name}}}")) {
            Place::Path
        } else {
            Place::Query
        };
        let argument = if properties.contains_key(&name) {
            format!("{name}{COLLISION_SUFFIX}")
        } else {
            name.clone()
        };
        if place == Place::Path || strings(&of_route["required"]).contains(&name) {
            required.push(argument.clone());
        }
        properties.insert(argument.clone(), schema);
        parameters.push(Parameter {
            name,
            argument,
            place,
        });
    }
    let mut schema = Map::new();
    schema.insert("type".to_owned(), json!("object"));
    schema.insert("properties".to_owned(), properties.into());
    if !required.is_empty() {
        schema.insert("required".to_owned(), json!(required));
    }
    if !definitions.is_empty() {
        schema.insert("$defs".to_owned(), definitions.into());
    }
    Input { schema, parameters }
}

/// What an operation gives, if that is JSON.
pub(crate) fn output(operation: &Operation) -> Option<Value> {
    let Shape::Json(schema) = operation.output else {
        return None;
    };
    let mut generator = generator();
    let mut whole = schema(&mut generator).to_value();
    let definitions = generator.take_definitions(true);
    if let Some(object) = whole.as_object_mut().filter(|_| !definitions.is_empty()) {
        object.insert("$defs".to_owned(), definitions.into());
    }
    Some(whole)
}

fn generator() -> SchemaGenerator {
    SchemaSettings::draft2020_12()
        .with(|settings| settings.meta_schema = None)
        .into_generator()
}

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

fn strings(value: &Value) -> Vec<String> {
    let texts = value.as_array().into_iter().flatten();
    texts.filter_map(Value::as_str).map(str::to_owned).collect()
}
