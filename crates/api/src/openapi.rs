//! The OpenAPI 3.1 document, written from the registry of operations.
//!
//! Its schema dialect is JSON Schema 2020-12, which is what the types' schemas are written in.

use crate::failure::{PROBLEM_JSON, Problem};
use crate::state::ApiState;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use skep_operations::{API_PREFIX, ErrorCode, Operation, Repetition, Shape, TaskRule};
use std::collections::BTreeMap;

/// Serves the document.
pub(crate) async fn show(State(api): State<ApiState>) -> Response {
    let mut response = Response::new(Body::from(api.openapi.clone()));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    std::future::ready(response).await
}

/// The document.
pub fn openapi() -> Value {
    let mut generator = SchemaSettings::draft2020_12()
        .with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        })
        .into_generator();
    let problem = generator.subschema_for::<Problem>();
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for operation in skep_operations::registry() {
        let method = operation.method.as_str().to_lowercase();
        let item = describe(&operation, &mut generator);
        let path = paths
            .entry(format!("{API_PREFIX}{}", operation.path))
            .or_default();
        path.insert(method, item);
    }
    let codes: Vec<_> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Skep",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "One durable swarm of many agents.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "responses": { "Problem": {
                "description": "An error as RFC 9457 problem document.",
                "content": { PROBLEM_JSON: { "schema": problem } },
            } },
        },
        "x-error-codes": codes,
    })
}

fn describe(operation: &Operation, generator: &mut SchemaGenerator) -> Value {
    let mut item = json!({
        "operationId": operation.id,
        "tags": [operation.id.split('.').next().unwrap_or_default()],
        "summary": operation.summary,
        "parameters": parameters(operation, generator),
        "responses": {
            operation.success.to_string(): answer(&operation.output, generator),
            "default": { "$ref": "#/components/responses/Problem" },
        },
        "x-scopes": operation.permission.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>(),
        "x-task-tokens": operation.permission.attempts != TaskRule::Refused,
    });
    if let (Some(content), Some(object)) =
        (content(&operation.input, generator), item.as_object_mut())
    {
        object.insert(
            "requestBody".into(),
            json!({ "required": true, "content": content }),
        );
    }
    item
}

fn answer(shape: &Shape, generator: &mut SchemaGenerator) -> Value {
    match content(shape, generator) {
        Some(content) => json!({ "description": "Done.", "content": content }),
        None => json!({ "description": "Done." }),
    }
}

fn content(shape: &Shape, generator: &mut SchemaGenerator) -> Option<Value> {
    match shape {
        Shape::Empty => None,
        Shape::Json(schema) => Some(json!({ "application/json": { "schema": schema(generator) } })),
        Shape::Bytes(media_type) => {
            Some(json!({ *media_type: { "schema": { "type": "string", "format": "binary" } } }))
        }
    }
}

/// Headers that make an operation conditional: name, meaning, operations.
const CONDITIONS: [(&str, &str, &[&str]); 3] = [
    (
        "If-Match",
        "Only if the task has this version.",
        &["tasks.update"],
    ),
    (
        "If-Match",
        "Only if the entry has this version; `*` for any.",
        &["memory.put", "memory.delete", "memory.touch"],
    ),
    (
        "If-None-Match",
        "`*`: only if there is no such entry.",
        &["memory.put"],
    ),
];

/// Parameters of path, query and headers.
fn parameters(operation: &Operation, generator: &mut SchemaGenerator) -> Vec<Value> {
    let schema = (operation.parameters)(generator).to_value();
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let properties = schema["properties"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    let mut parameters: Vec<_> = properties
        .into_iter()
        .map(|(name, mut schema)| {
            let in_path = operation.path.contains(&format!("{{{name}}}"));
            let description = schema
                .as_object_mut()
                .and_then(|object| object.remove("description"))
                .unwrap_or_default();
            json!({
                "name": name,
                "in": if in_path { "path" } else { "query" },
                "required": in_path || required.contains(&Value::String(name.clone())),
                "description": description,
                "schema": schema,
            })
        })
        .collect();
    if operation.repetition == Repetition::Keyed {
        parameters.push(header_parameter(
            "Idempotency-Key",
            "Two requests with the same key and body are one, for 24 hours.",
        ));
    }
    for (name, description, _) in CONDITIONS
        .iter()
        .filter(|(_, _, operations)| operations.contains(&operation.id))
    {
        parameters.push(header_parameter(name, description));
    }
    parameters
}

fn header_parameter(name: &str, description: &str) -> Value {
    json!({
        "name": name,
        "in": "header",
        "required": false,
        "description": description,
        "schema": { "type": "string" },
    })
}
