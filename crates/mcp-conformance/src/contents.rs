//! Tools that only answer: each kind of content, an error, and schemas with special keys.

use rmcp::model::{CallToolResult, ContentBlock, JsonObject, ResourceContents, Tool};
use serde_json::{Value, json};
use std::sync::Arc;

/// A PNG of one pixel.
pub(crate) const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
/// A WAV without a sample.
const WAV: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA=";

/// An object that is written out.
pub(crate) fn object(value: Value) -> JsonObject {
    match value {
        Value::Object(object) => object,
        _ => JsonObject::new(),
    }
}

/// A tool that takes these properties, all of them required.
pub(crate) fn tool(name: &'static str, description: &'static str, properties: Value) -> Tool {
    let required: Vec<_> = match &properties {
        Value::Object(properties) => properties.keys().cloned().collect(),
        _ => Vec::new(),
    };
    let mut schema = object(json!({ "type": "object" }));
    schema.insert("properties".to_owned(), properties);
    if !required.is_empty() {
        schema.insert("required".to_owned(), json!(required));
    }
    Tool::new(name, description, Arc::new(schema))
}

pub(crate) fn tools() -> Vec<Tool> {
    let none = || json!({});
    let header = json!({ "region": { "type": "string", "x-mcp-header": "Region" } });
    vec![
        tool("test_simple_text", "Answers with text.", none()),
        tool("test_image_content", "Answers with an image.", none()),
        tool("test_audio_content", "Answers with a sound.", none()),
        tool("test_embedded_resource", "Answers with a resource.", none()),
        tool(
            "test_multiple_content_types",
            "Answers with several kinds of content.",
            none(),
        ),
        tool("test_error_handling", "Fails.", none()),
        tool("greet", "Greets.", json!({ "name": { "type": "string" } })),
        tool(
            "test_custom_headers",
            "Takes a parameter that a header repeats.",
            header,
        ),
        Tool::new(
            "json_schema_2020_12_tool",
            "Has a schema with the keys of JSON Schema 2020-12.",
            Arc::new(object(schema_2020_12())),
        ),
    ]
}

fn schema_2020_12() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {
            "address": {
                "$anchor": "addressDef",
                "type": "object",
                "properties": { "street": { "type": "string" }, "city": { "type": "string" } },
            },
        },
        "properties": {
            "name": { "type": "string" },
            "address": { "$ref": "#/$defs/address" },
            "contactMethod": { "type": "string", "enum": ["phone", "email"] },
            "phone": { "type": "string" },
            "email": { "type": "string" },
        },
        "allOf": [{ "anyOf": [{ "required": ["phone"] }, { "required": ["email"] }] }],
        "if": {
            "properties": { "contactMethod": { "const": "phone" } },
            "required": ["contactMethod"],
        },
        "then": { "required": ["phone"] },
        "else": { "required": ["email"] },
        "additionalProperties": false,
    })
}

/// The answer of a tool of this module.
pub(crate) fn answer(name: &str, arguments: &JsonObject) -> Option<CallToolResult> {
    let resource = |uri: &str, kind: &str, text: &str| {
        ContentBlock::resource(ResourceContents::text(text, uri).with_mime_type(kind))
    };
    let content = match name {
        "test_simple_text" => vec![ContentBlock::text(
            "This is a simple text response for testing.",
        )],
        "test_image_content" => vec![ContentBlock::image(PNG, "image/png")],
        "test_audio_content" => vec![ContentBlock::audio(WAV, "audio/wav")],
        "test_embedded_resource" => vec![resource(
            "test://embedded-resource",
            "text/plain",
            "This is an embedded resource content.",
        )],
        "test_multiple_content_types" => vec![
            ContentBlock::text("Multiple content types test:"),
            ContentBlock::image(PNG, "image/png"),
            resource(
                "test://mixed-content-resource",
                "application/json",
                r#"{"test":"data","value":123}"#,
            ),
        ],
        "test_error_handling" => {
            let text = "This tool intentionally returns an error for testing";
            return Some(CallToolResult::error(vec![ContentBlock::text(text)]));
        }
        "greet" => {
            let name = arguments.get("name").and_then(Value::as_str);
            vec![ContentBlock::text(format!(
                "Hello, {}!",
                name.unwrap_or("you")
            ))]
        }
        "test_custom_headers" | "json_schema_2020_12_tool" => {
            let given = Value::Object(arguments.clone());
            vec![ContentBlock::text(given.to_string())]
        }
        _ => return None,
    };
    Some(CallToolResult::success(content))
}
