//! Tools that say something beside their answer: progress, log messages, changed lists; and one
//! that refuses a client without a capability.

use crate::contents::tool;
use crate::fixture::{Change, Fixture};
use rmcp::model::{
    CallToolResponse, CallToolResult, ClientCapabilities, ContentBlock, LoggingLevel,
    LoggingMessageNotificationParam, ProgressNotificationParam, ProtocolVersion,
    SamplingCapability, Tool,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer};
use serde_json::json;
use std::time::Duration;

/// Between two messages of a tool.
const PAUSE: Duration = Duration::from_millis(50);

pub(crate) fn tools() -> Vec<Tool> {
    let tool = |name, description| tool(name, description, json!({}));
    vec![
        tool("test_tool_with_progress", "Tells of its progress."),
        tool("test_tool_with_logging", "Sends log messages."),
        tool("test_logging_tool", "Sends a log message to who wants it."),
        tool(
            "test_trigger_tool_change",
            "Tells subscribers that the list of tools changed.",
        ),
        tool(
            "test_trigger_prompt_change",
            "Tells subscribers that the list of prompts changed.",
        ),
        tool(
            "test_missing_capability",
            "Serves clients that can sample, no others.",
        ),
    ]
}

/// Calls a tool of this module.
pub(crate) async fn call(
    fixture: &Fixture,
    name: &str,
    context: &RequestContext<RoleServer>,
) -> Option<Result<CallToolResponse, ErrorData>> {
    match name {
        "test_tool_with_progress" => progress(context).await,
        "test_tool_with_logging" => {
            let texts = [
                "Tool execution started",
                "Tool processing data",
                "Tool execution completed",
            ];
            for text in texts {
                log(fixture, context, text).await;
                tokio::time::sleep(PAUSE).await;
            }
        }
        "test_logging_tool" => log(fixture, context, "Tool executed").await,
        "test_trigger_tool_change" => fixture.shared.announce(Change::Tools),
        "test_trigger_prompt_change" => fixture.shared.announce(Change::Prompts),
        "test_missing_capability" => {
            if let Err(missing) = needs_sampling(context) {
                return Some(Err(missing));
            }
        }
        _ => return None,
    }
    let done = CallToolResult::success(vec![ContentBlock::text("done")]);
    Some(Ok(done.into()))
}

async fn progress(context: &RequestContext<RoleServer>) {
    for step in [0.0, 50.0, 100.0] {
        if let Some(token) = context.meta.get_progress_token() {
            let progress = ProgressNotificationParam::new(token, step).with_total(100.0);
            // Who left hears nothing, and that is no fault.
            drop(context.peer.notify_progress(progress).await);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// A message for whoever asked for its level: in this request, or for the session. A client of an
/// older revision that said nothing gets all of them.
async fn log(fixture: &Fixture, context: &RequestContext<RoleServer>, text: &str) {
    let level = LoggingLevel::Info;
    let wanted = context.meta.log_level().or_else(|| fixture.log_level());
    let is_new = context.protocol_version() >= Some(ProtocolVersion::V_2026_07_28);
    let is_wanted = wanted.map_or(!is_new, |wanted| wanted as u8 <= level as u8);
    if !is_wanted {
        return;
    }
    let message = LoggingMessageNotificationParam::new(level, json!(text));
    drop(context.peer.notify_logging_message(message).await);
}

fn needs_sampling(context: &RequestContext<RoleServer>) -> Result<(), ErrorData> {
    let declared = context.client_capabilities();
    if declared.is_some_and(|declared| declared.sampling.is_some()) {
        return Ok(());
    }
    let mut required = ClientCapabilities::default();
    required.sampling = Some(SamplingCapability::default());
    Err(ErrorData::missing_required_client_capability(required))
}
