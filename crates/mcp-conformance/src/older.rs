//! Tools that ask their client in the middle of a call, as the older revisions do it.

use crate::contents::tool;
use crate::fixture::Fixture;
use crate::questions::{form, sample, typed};
use rmcp::model::{CallToolResult, ContentBlock, InputRequest, JsonObject, ServerRequest, Tool};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer};
use serde_json::{Value, json};

pub(crate) fn tools() -> Vec<Tool> {
    let text = json!({ "type": "string" });
    vec![
        tool(
            "test_sampling",
            "Asks the client's model.",
            json!({ "prompt": text }),
        ),
        tool(
            "test_elicitation",
            "Asks whoever uses the client.",
            json!({ "message": text }),
        ),
        tool(
            "test_elicitation_sep1034_defaults",
            "Asks with defaults.",
            json!({}),
        ),
        tool(
            "test_elicitation_sep1330_enums",
            "Asks with all kinds of choices.",
            json!({}),
        ),
    ]
}

/// Calls a tool of this module.
pub(crate) async fn call(
    fixture: &Fixture,
    name: &str,
    arguments: &JsonObject,
    context: &RequestContext<RoleServer>,
) -> Option<Result<CallToolResult, ErrorData>> {
    let text = |key: &str| {
        let value = arguments.get(key).and_then(Value::as_str);
        value.unwrap_or_default().to_owned()
    };
    let request = match name {
        "test_sampling" => sample(&text("prompt")),
        "test_elicitation" => form(&text("message"), person()),
        "test_elicitation_sep1034_defaults" => form("Please look at the defaults", defaults()),
        "test_elicitation_sep1330_enums" => form("Please choose", choices()),
        _ => return None,
    };
    if !fixture.shared.has_sessions {
        let text = "a client without a session cannot be asked";
        let refused = CallToolResult::error(vec![ContentBlock::text(text)]);
        return Some(Ok(refused));
    }
    Some(ask(request, context).await)
}

async fn ask(
    request: Value,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResult, ErrorData> {
    let request = match typed(request)? {
        InputRequest::CreateMessage(request) => ServerRequest::CreateMessageRequest(request),
        InputRequest::Elicitation(request) => ServerRequest::ElicitRequest(request),
        _ => return Err(ErrorData::internal_error("nothing asks for this", None)),
    };
    let answered = context.peer.send_request(request).await;
    Ok(match answered {
        Ok(answer) => {
            let answer = serde_json::to_value(answer).unwrap_or_default();
            CallToolResult::success(vec![ContentBlock::text(in_words(&answer))])
        }
        Err(error) => CallToolResult::error(vec![ContentBlock::text(error.to_string())]),
    })
}

fn in_words(answer: &Value) -> String {
    match answer["action"].as_str() {
        Some(action) => format!(
            "Elicitation completed: action={action}, content={}",
            answer["content"]
        ),
        None => format!("LLM response: {}", answer["content"]),
    }
}

fn person() -> Value {
    json!({
        "type": "object",
        "properties": {
            "username": { "type": "string", "description": "User's response" },
            "email": { "type": "string", "description": "User's email address" },
        },
        "required": ["username", "email"],
    })
}

fn defaults() -> Value {
    json!({
        "type": "object",
        "properties": {
            "name": { "type": "string", "default": "John Doe" },
            "age": { "type": "integer", "default": 30 },
            "score": { "type": "number", "default": 95.5 },
            "status": {
                "type": "string",
                "enum": ["active", "inactive", "pending"],
                "default": "active",
            },
            "verified": { "type": "boolean", "default": true },
        },
        "required": [],
    })
}

fn choices() -> Value {
    let titled = |word: &str| {
        json!([
            { "const": "value1", "title": format!("First {word}") },
            { "const": "value2", "title": format!("Second {word}") },
            { "const": "value3", "title": format!("Third {word}") },
        ])
    };
    let plain = json!(["option1", "option2", "option3"]);
    json!({
        "type": "object",
        "properties": {
            "untitledSingle": { "type": "string", "enum": plain },
            "titledSingle": { "type": "string", "oneOf": titled("Option") },
            "legacyEnum": {
                "type": "string",
                "enum": ["opt1", "opt2", "opt3"],
                "enumNames": ["Option One", "Option Two", "Option Three"],
            },
            "untitledMulti": { "type": "array", "items": { "type": "string", "enum": plain } },
            "titledMulti": { "type": "array", "items": { "anyOf": titled("Choice") } },
        },
        "required": [],
    })
}
