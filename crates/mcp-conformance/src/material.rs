//! Resources and prompts that the suite reads.

use crate::contents::PNG;
use rmcp::ErrorData;
use rmcp::model::{
    CacheScope, ContentBlock, GetPromptResult, JsonObject, Prompt, PromptArgument, PromptMessage,
    ReadResourceResult, Resource, ResourceContents, ResourceTemplate, Role,
};
use serde_json::{Value, json};

const TEXT: &str = "test://static-text";
const BINARY: &str = "test://static-binary";
/// A resource that can be subscribed to in the older revisions.
pub(crate) const WATCHED: &str = "test://watched-resource";
const TEMPLATE: (&str, &str) = ("test://template/", "/data");

pub(crate) fn resources() -> Vec<Resource> {
    let resource = |uri: &str, kind: &str| {
        Resource::new(uri, uri)
            .with_description("A resource of the suite.")
            .with_mime_type(kind)
    };
    vec![
        resource(TEXT, "text/plain"),
        resource(BINARY, "image/png"),
        resource(WATCHED, "text/plain"),
    ]
}

pub(crate) fn template() -> ResourceTemplate {
    let uri = format!("{}{{id}}{}", TEMPLATE.0, TEMPLATE.1);
    ResourceTemplate::new(uri, "template")
        .with_description("A resource with a part that is filled in.")
        .with_mime_type("application/json")
}

/// The resource, if it is one of the suite.
pub(crate) fn read(uri: &str) -> Option<ReadResourceResult> {
    let text = |text: &str, kind: &str| ResourceContents::text(text, uri).with_mime_type(kind);
    let contents = match uri {
        TEXT => text(
            "This is the content of the static text resource.",
            "text/plain",
        ),
        BINARY => ResourceContents::blob(PNG, uri).with_mime_type("image/png"),
        WATCHED => text("It never changes.", "text/plain"),
        _ => {
            let id = uri.strip_prefix(TEMPLATE.0)?.strip_suffix(TEMPLATE.1)?;
            let data = format!("Data for ID: {id}");
            let filled = json!({ "id": id, "templateTest": true, "data": data });
            text(&filled.to_string(), "application/json")
        }
    };
    let result = ReadResourceResult::new(vec![contents]);
    Some(result.with_ttl_ms(0).with_cache_scope(CacheScope::Private))
}

pub(crate) fn prompts() -> Vec<Prompt> {
    let prompt = |name: &str, arguments: &[&str]| {
        let argument = |name: &&str| {
            PromptArgument::new(*name)
                .with_description("A text.")
                .with_required(true)
        };
        let arguments = arguments.iter().map(argument).collect();
        Prompt::new(name, Some("A prompt of the suite."), Some(arguments))
    };
    vec![
        prompt("test_simple_prompt", &[]),
        prompt("test_prompt_with_arguments", &["arg1", "arg2"]),
        prompt("test_prompt_with_embedded_resource", &["resourceUri"]),
        prompt("test_prompt_with_image", &[]),
        prompt("test_input_required_result_prompt", &[]),
    ]
}

/// The prompt, if it is one of the suite that asks nothing.
pub(crate) fn prompt(
    name: &str,
    arguments: Option<&JsonObject>,
) -> Option<Result<GetPromptResult, ErrorData>> {
    let user = |content| PromptMessage::new(Role::User, content);
    let text = |text: &str| user(ContentBlock::text(text));
    let argument = |key: &str| {
        let value = arguments.and_then(|arguments| arguments.get(key));
        let value = value.and_then(Value::as_str);
        value.ok_or_else(|| ErrorData::invalid_params(format!("`{key}` is missing"), None))
    };
    let messages = match name {
        "test_simple_prompt" => Ok(vec![text("This is a simple prompt for testing.")]),
        "test_prompt_with_arguments" => argument("arg1").and_then(|first| {
            let second = argument("arg2")?;
            let filled = format!("Prompt with arguments: arg1='{first}', arg2='{second}'");
            Ok(vec![text(&filled)])
        }),
        "test_prompt_with_embedded_resource" => argument("resourceUri").map(|uri| {
            let resource = ResourceContents::text("Embedded resource content for testing.", uri);
            let resource = ContentBlock::resource(resource.with_mime_type("text/plain"));
            vec![
                user(resource),
                text("Please process the embedded resource above."),
            ]
        }),
        "test_prompt_with_image" => Ok(vec![
            user(ContentBlock::image(PNG, "image/png")),
            text("Please analyze the image above."),
        ]),
        _ => return None,
    };
    Some(messages.map(GetPromptResult::new))
}

/// What an argument that begins like this could be.
pub(crate) fn completions(beginning: &str) -> Vec<String> {
    let known = ["paris", "park", "party", "test", "testing"];
    let fitting = known.iter().filter(|word| word.starts_with(beginning));
    fitting.map(ToString::to_string).collect()
}
