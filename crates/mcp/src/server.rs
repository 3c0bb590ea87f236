//! Answers each method of the protocol; what it means is said in the module of its kind.

use crate::around::refuse_state;
use crate::claude_flow;
use crate::fault::Fault;
use crate::invocation::Caller;
use crate::offered::{Offered, Toolset};
use crate::swarm_uri::Named;
use crate::tool_result::{self, Refusal, done, refused};
use crate::toolset::{self, Action, object};
use crate::wait::{self, Waiter};
use crate::{catalogue, mcp_tasks, prompts, resources, search, subscription};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CancelTaskParams, CreateTaskResult,
    CustomRequest, CustomResult, DiscoverResult, ErrorCode as RpcCode, GetPromptRequestParams,
    GetPromptResponse, GetTaskParams, GetTaskResult, Implementation, InitializeRequestParams,
    InitializeResult, JsonObject, ListPromptsResult, ListResourceTemplatesResult,
    ListResourcesResult, ListToolsResult, PaginatedRequestParams, ProtocolVersion,
    ReadResourceRequestParams, ReadResourceResponse, ServerCapabilities, ServerConfig,
    SubscriptionFilter, Tool, UpdateTaskParams,
};
use rmcp::service::{RequestContext, SubscriptionContext};
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde_json::{Value, json};
use skep_operations::{Component, Services};
use std::borrow::Cow;
use std::sync::Arc;

/// How long a client may keep the lists: they change with the version of Skep only.
const LIST_TTL_MS: u64 = 300_000;

/// Revisions that are served and begin with a handshake; those before have no streamable HTTP.
pub(crate) static LEGACY_REVISIONS: [ProtocolVersion; 3] = [
    ProtocolVersion::V_2025_03_26,
    ProtocolVersion::V_2025_06_18,
    ProtocolVersion::V_2025_11_25,
];

/// For the tools of the contract.
const CONTRACT_INSTRUCTIONS: &str = "These are Claude-Flow's tools, served by Skep: each does what \
    its name says or fails with a code and a sentence. Work is commands that run isolated on the \
    swarm's machines; it goes on although you disconnect. Ids are Skep's: task_results takes the id \
    of a task or of a whole run.";

const INSTRUCTIONS: &str = "Skep runs graphs of tasks on several machines and loses nothing: what \
    it accepted goes on although you disconnect. Submit with skep_runs_submit or \
    skep_tasks_submit, then skep_wait with the id. Errors have a code and a hint. Everything else \
    (nodes, agents, artifacts, events, tokens) is found with skep_search and done with skep_call.";

/// Methods whose parameters the protocol's library reads; when it cannot, it does not say why.
const METHODS_WITH_PARAMETERS: [&str; 8] = [
    "initialize",
    "tools/call",
    "prompts/get",
    "resources/read",
    "subscriptions/listen",
    "tasks/get",
    "tasks/update",
    "tasks/cancel",
];

/// The server of one request.
#[derive(Debug, Clone)]
pub struct Server {
    pub(crate) services: Arc<Services>,
}

impl Server {
    fn caller(&self, context: &RequestContext<RoleServer>) -> Result<Caller, ErrorData> {
        Caller::of(&self.services, context)
    }

    /// Counts a call of a tool that exists.
    pub(crate) fn count(&self, name: &str, done: &CallToolResponse) {
        let failed = match done {
            CallToolResponse::Complete(result) => result.is_error == Some(true),
            // Work was taken in; what becomes of it is no matter of the call.
            _ => false,
        };
        self.services.calls.count(Component::Tools, name, failed);
    }

    /// Runs the operation; with `as_task`, what goes on after the answer is an MCP task.
    pub(crate) async fn run(
        &self,
        entry: &catalogue::Entry,
        arguments: JsonObject,
        caller: &Caller,
        as_task: bool,
    ) -> Result<CallToolResponse, Refusal> {
        let from = arguments.get("offset").and_then(Value::as_u64).unwrap_or(0);
        let reply = caller.invoke(entry, arguments).await?;
        let document = tool_result::document(reply, from).await?;
        let started = mcp_tasks::started(entry.operation.id, &document);
        if let Some(named) = started.filter(|_| as_task) {
            let task = mcp_tasks::task(named, &document, self.services.now());
            return Ok(CreateTaskResult::new(task).into());
        }
        Ok(done(document).into())
    }

    async fn act(
        &self,
        action: Action,
        arguments: JsonObject,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, Refusal> {
        let capabilities = context.client_capabilities();
        let as_task = capabilities.is_some_and(|declared| declared.supports_tasks());
        let caller = self.caller(context).map_err(internal)?;
        match action {
            Action::Run(entry) => self.run(entry, arguments, &caller, as_task).await,
            Action::Call => {
                let (entry, arguments) = search::call(arguments)?;
                self.run(entry, arguments, &caller, as_task).await
            }
            Action::Search => Ok(done(search::search(arguments)?).into()),
            Action::Wait => {
                let waiter = Waiter::of(context);
                let document = wait::wait(&caller, arguments, &waiter).await?;
                Ok(done(document).into())
            }
        }
    }
}

fn internal(error: ErrorData) -> Refusal {
    Refusal::Fault(Fault::Internal, error.message.into_owned())
}

/// The run or task that an MCP task is.
fn work(task_id: &str) -> Result<Named, ErrorData> {
    Named::by_id(task_id)
        .filter(|named| !matches!(named, Named::Node(_)))
        .ok_or_else(|| Fault::ParamsInvalid.error(format!("`{task_id}` is no run or task")))
}

/// An error of `tasks/*`: what is not there is a wrong parameter.
fn task_error(refusal: &Refusal) -> ErrorData {
    let mut error = resources::as_error(refusal);
    if error.code == RpcCode::RESOURCE_NOT_FOUND {
        error.code = RpcCode::INVALID_PARAMS;
    }
    error
}

/// What a client is told about the tools that it asked for.
fn instructions(toolset: Toolset) -> String {
    match toolset {
        Toolset::Native => INSTRUCTIONS.to_owned(),
        Toolset::ClaudeFlow => CONTRACT_INSTRUCTIONS.to_owned(),
        Toolset::All => format!("{INSTRUCTIONS} {CONTRACT_INSTRUCTIONS}"),
    }
}

/// Every list is one page.
fn refuse_cursor(request: Option<&PaginatedRequestParams>) -> Result<(), ErrorData> {
    match request.and_then(|request| request.cursor.as_ref()) {
        None => Ok(()),
        Some(_) => Err(Fault::ParamsInvalid.error("`cursor` leads nowhere: the list is one page")),
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_prompts()
            .enable_resources()
            .enable_resources_subscribe()
            .enable_tasks()
            .build();
        let version = self.services.server.version.clone();
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new("skep", version).with_title("Skep"))
            .with_instructions(INSTRUCTIONS)
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        let newest = [ProtocolVersion::V_2026_07_28];
        Cow::Owned([&LEGACY_REVISIONS[..], &newest].concat())
    }

    async fn discover(
        &self,
        context: RequestContext<RoleServer>,
    ) -> Result<DiscoverResult, ErrorData> {
        let versions = self.supported_protocol_versions().into_owned();
        let mut found = DiscoverResult::from_server_info(versions, self.get_info());
        found.instructions = Some(instructions(Toolset::of(&context)));
        std::future::ready(Ok(found)).await
    }

    /// The older revisions know neither this form of tasks nor subscriptions without a session.
    async fn initialize(
        &self,
        request: InitializeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<InitializeResult, ErrorData> {
        let mut answer = self.negotiate_initialize(&request)?;
        answer.capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_prompts()
            .enable_resources()
            .build();
        answer.instructions = Some(instructions(Toolset::of(&context)));
        context.peer.set_peer_info(request);
        std::future::ready(Ok(answer)).await
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        refuse_cursor(request.as_ref())?;
        let tools = Toolset::of(&context).tools();
        let list = ListToolsResult::with_all_items(tools).with_ttl_ms(LIST_TTL_MS);
        std::future::ready(Ok(list)).await
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        let native = toolset::find(name).map(|tool| tool.tool.clone());
        native.or_else(|| claude_flow::find(name).map(claude_flow::ContractTool::tool))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let offered = Toolset::of(&context).find(&request.name);
        let offered = offered.ok_or_else(|| claude_flow::refusal(&request.name))?;
        refuse_state(&request.name, request.request_state.as_deref())?;
        let arguments = request.arguments.unwrap_or_default();
        let done: CallToolResponse = match offered {
            Offered::Native(action) => {
                let done = self.act(action, arguments, &context).await;
                done.unwrap_or_else(|refusal| CallToolResult::into(refused(&refusal)))
            }
            Offered::Contract(tool) => {
                let caller = self.caller(&context)?;
                let waiter = Waiter::of(&context);
                let done = claude_flow::call(tool, caller, arguments, waiter).await;
                done.into()
            }
        };
        self.count(&request.name, &done);
        Ok(done)
    }

    async fn list_prompts(
        &self,
        request: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        refuse_cursor(request.as_ref())?;
        let list = ListPromptsResult::with_all_items(prompts::list()).with_ttl_ms(LIST_TTL_MS);
        std::future::ready(Ok(list)).await
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        refuse_state(&request.name, request.request_state.as_deref())?;
        let prompt = prompts::get(&request.name, request.arguments.as_ref())?;
        std::future::ready(Ok(prompt.into())).await
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        refuse_cursor(request.as_ref())?;
        let mut list = resources::list(&self.caller(&context)?).await?;
        if Toolset::of(&context).has_contract() {
            list.resources.extend(claude_flow::resources());
        }
        Ok(list)
    }

    async fn list_resource_templates(
        &self,
        request: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        refuse_cursor(request.as_ref())?;
        std::future::ready(Ok(resources::templates().with_ttl_ms(LIST_TTL_MS))).await
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        refuse_state(&request.uri, request.request_state.as_deref())?;
        let caller = self.caller(&context)?;
        if Toolset::of(&context).has_contract()
            && let Some(read) = claude_flow::read_resource(&caller, &request.uri).await
        {
            return Ok(read?.into());
        }
        Ok(resources::read(&caller, &request.uri).await?.into())
    }

    fn accepted_subscription_filter(
        &self,
        requested: &SubscriptionFilter,
    ) -> Option<SubscriptionFilter> {
        Some(subscription::accepted(requested))
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let caller = self.caller(context.request_context())?;
        subscription::listen(&caller, &context).await
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        let named = work(&request.task_id)?;
        let document = wait::read_named(&self.caller(&context)?, named).await;
        let document = document.map_err(|refusal| task_error(&refusal))?;
        let task = mcp_tasks::detailed(named, document, self.services.now())?;
        Ok(GetTaskResult::new(task))
    }

    /// Nothing asks the client for input, so no answer has a question: it is passed over.
    async fn update_task(
        &self,
        request: UpdateTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let named = work(&request.task_id)?;
        let document = wait::read_named(&self.caller(&context)?, named).await;
        document.map(drop).map_err(|refusal| task_error(&refusal))
    }

    /// The one message that cancels work: a client that leaves, or stops waiting, does not.
    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let named = work(&request.task_id)?;
        let id = match named {
            Named::Run(_) => "runs.cancel",
            Named::Task(_) | Named::Node(_) => "tasks.cancel",
        };
        let entry = catalogue::find(id).ok_or_else(|| Fault::Internal.error(id))?;
        let arguments = object(json!({ "id": request.task_id }));
        match self.caller(&context)?.invoke(entry, arguments).await {
            Ok(_) => Ok(()),
            // What has ended is not cancelled again; the client sees how it ended.
            Err(error) if error.code() == skep_operations::ErrorCode::AlreadyFinal => Ok(()),
            Err(error) => Err(task_error(&error.into())),
        }
    }

    async fn on_custom_request(
        &self,
        request: CustomRequest,
        _: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        let method = request.method;
        let error = if METHODS_WITH_PARAMETERS.contains(&method.as_str()) {
            Fault::ParamsInvalid.error(format!("the parameters of `{method}` cannot be read"))
        } else {
            Fault::MethodUnknown.error(format!("no method is called `{method}`"))
        };
        std::future::ready(Err(error)).await
    }
}
