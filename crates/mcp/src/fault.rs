//! What can be wrong with a message before it reaches an operation: one table of codes.

use rmcp::ErrorData;
use rmcp::model::ErrorCode as RpcCode;
use serde_json::{Value, json};

macro_rules! faults {
    ($($variant:ident, $word:literal, $rpc:expr, $title:literal, $advice:literal;)+) => {
        /// A fault of a message, told in `error.data.code`. Codes are only ever added.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Fault {
            $(#[doc = $title] $variant,)+
        }

        impl Fault {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Its stable word.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// What it is.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)+ }
            }

            /// What to do about it.
            pub const fn advice(self) -> &'static str {
                match self { $(Self::$variant => $advice,)+ }
            }

            /// Its number in JSON-RPC.
            pub(crate) const fn rpc(self) -> RpcCode {
                match self { $(Self::$variant => $rpc,)+ }
            }
        }
    };
}

faults! {
    ParseError, "mcp_parse_error", RpcCode::PARSE_ERROR,
        "The message is not JSON",
        "Send one JSON-RPC 2.0 message as the body; the detail says where reading ended.";
    InvalidRequest, "mcp_invalid_request", RpcCode::INVALID_REQUEST,
        "The message is not what this URL takes",
        "Send one JSON-RPC 2.0 request or notification by POST, as `application/json`, and accept both `application/json` and `text/event-stream`.";
    HeaderMismatch, "mcp_header_mismatch", RpcCode::HEADER_MISMATCH,
        "A header says something else than the body",
        "`MCP-Protocol-Version`, `Mcp-Method` and `Mcp-Name` repeat what the body says; the detail names the one that does not.";
    VersionUnsupported, "mcp_version_unsupported", RpcCode::UNSUPPORTED_PROTOCOL_VERSION,
        "The protocol revision is not served",
        "`error.data.supported` or `server/discover` lists the revisions; use one of them.";
    MethodUnknown, "mcp_method_unknown", RpcCode::METHOD_NOT_FOUND,
        "There is no such method in this revision",
        "`server/discover` lists the capabilities; methods of an older revision, such as `ping`, are not part of the new one.";
    ParamsInvalid, "mcp_params_invalid", RpcCode::INVALID_PARAMS,
        "The parameters do not fit the method",
        "The detail names what is missing or malformed. Requests of revision 2026-07-28 carry version, client and capabilities in `_meta`.";
    CapabilityMissing, "mcp_capability_missing", RpcCode::MISSING_REQUIRED_CLIENT_CAPABILITY,
        "The client did not declare what this needs",
        "Declare the capability of `error.data.requiredCapabilities` in `_meta` of this very request.";
    ToolUnknown, "mcp_tool_unknown", RpcCode::INVALID_PARAMS,
        "There is no such tool",
        "`tools/list` lists the tools; every other operation is reached with `skep_search` and `skep_call`.";
    RequestStateInvalid, "mcp_request_state_invalid", RpcCode::INVALID_PARAMS,
        "The state of a question is not the one that was given",
        "Send `requestState` exactly as it came, with the same arguments and token, within an hour; or leave it out and begin anew.";
    PromptUnknown, "mcp_prompt_unknown", RpcCode::INVALID_PARAMS,
        "There is no such prompt",
        "`prompts/list` lists the prompts and their arguments.";
    ResourceUnknown, "mcp_resource_unknown", RpcCode::RESOURCE_NOT_FOUND,
        "There is no such resource",
        "Resources look like `skep://task/ID`, `skep://run/ID` and `skep://node/ID`; `resources/list` lists the newest.";
    ToolsetUnknown, "mcp_toolset_unknown", RpcCode::INVALID_REQUEST,
        "There is no such set of tools",
        "Leave `toolset` out, or ask for `native`, `claude-flow` or `all`.";
    ToolNotServed, "mcp_tool_not_served", RpcCode::INVALID_PARAMS,
        "The tool's meaning does not exist in Skep yet",
        "It is a tool of Claude-Flow's contract, but nothing here would do what it says. `docs/claude-flow.md` lists what is served and why the others are not.";
    SwarmUnknown, "mcp_swarm_unknown", RpcCode::INVALID_PARAMS,
        "There is no such swarm",
        "An installation is one swarm. Leave `swarmId` out, or use the one that `swarm_status` gives.";
    DocumentUnknown, "mcp_document_unknown", RpcCode::INVALID_PARAMS,
        "There is no such workflow or template",
        "`workflow_create` and `workflow_template` give the ids; the action `list` lists templates.";
    NotFinished, "mcp_not_finished", RpcCode::INVALID_PARAMS,
        "The work has not ended yet",
        "Ask again when `task_status` says that it is final; nothing was changed by asking.";
    WorkFailed, "mcp_work_failed", RpcCode::INTERNAL_ERROR,
        "The work was run and did not succeed",
        "The result beside this code says how each part ended, with exit code and output.";
    NotAssessed, "mcp_not_assessed", RpcCode::INTERNAL_ERROR,
        "Not every criterion was judged",
        "The result beside this code says which, and why. Commands are judged by their exit codes; words need somebody who understands them.";
    NotText, "mcp_not_text", RpcCode::INTERNAL_ERROR,
        "The bytes are not text",
        "A tool answers in text. Fetch the file with `skep artifact get`, or by HTTP from `/api/v2/artifacts/{blake3}`.";
    OperationUnknown, "mcp_operation_unknown", RpcCode::INVALID_PARAMS,
        "There is no such operation",
        "`skep_search` lists the operations by what they do; name one as it is listed, e.g. `nodes.list`.";
    Internal, "mcp_internal", RpcCode::INTERNAL_ERROR,
        "Something broke inside",
        "The coordinator's log has the cause.";
}

impl Fault {
    /// As an error of JSON-RPC.
    pub(crate) fn error(self, detail: impl Into<String>) -> ErrorData {
        ErrorData::new(self.rpc(), detail.into(), Some(self.data()))
    }

    /// What stands beside the message of the error.
    pub(crate) fn data(self) -> Value {
        json!({ "code": self.as_str(), "hint": self.advice() })
    }

    /// The one that goes with a number of JSON-RPC, for errors that the protocol's library made.
    pub(crate) fn of_rpc(code: i64) -> Self {
        const GENERAL: [Fault; 8] = [
            Fault::ParseError,
            Fault::InvalidRequest,
            Fault::HeaderMismatch,
            Fault::VersionUnsupported,
            Fault::MethodUnknown,
            Fault::ParamsInvalid,
            Fault::CapabilityMissing,
            Fault::ResourceUnknown,
        ];
        let known = GENERAL
            .into_iter()
            .find(|fault| i64::from(fault.rpc().0) == code);
        known.unwrap_or(Self::Internal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_fault_has_a_word_of_its_own_and_says_what_to_do() {
        let words: BTreeSet<_> = Fault::ALL.iter().map(|fault| fault.as_str()).collect();
        assert_eq!(words.len(), Fault::ALL.len());
        for fault in Fault::ALL {
            assert!(fault.as_str().starts_with("mcp_"), "{fault:?}");
            assert!(fault.advice().ends_with('.'), "{fault:?}");
        }
    }

    #[test]
    fn an_error_of_the_library_gets_the_word_of_its_number() {
        for (code, fault) in [
            (-32_700, Fault::ParseError),
            (-32_020, Fault::HeaderMismatch),
            (-32_022, Fault::VersionUnsupported),
            (-32_601, Fault::MethodUnknown),
            (-32_021, Fault::CapabilityMissing),
            (-1, Fault::Internal),
        ] {
            assert_eq!(Fault::of_rpc(code), fault, "{code}");
        }
    }
}
