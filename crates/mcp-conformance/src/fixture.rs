//! The suite's server around Skep's own: what it does not know, Skep answers.

use crate::jobs::{self, Job};
use crate::questions::{self, Given, Progress};
use crate::{contents, material, older, signals};
use anyhow::Context as _;
use parking_lot::Mutex;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CancelTaskParams,
    CompleteRequestParams, CompleteResult, CompletionInfo, ContentBlock, CustomRequest,
    CustomResult, GetPromptRequestParams, GetPromptResponse, GetPromptResult, GetTaskParams,
    GetTaskResult, InitializeRequestParams, InitializeResult, ListPromptsResult,
    ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, LoggingLevel,
    PaginatedRequestParams, PromptMessage, ProtocolVersion, ReadResourceRequestParams,
    ReadResourceResponse, Role, ServerConfig, SetLevelRequestParams, SubscribeRequestParams,
    SubscriptionFilter, Tool, UnsubscribeRequestParams, UpdateTaskParams,
};
use rmcp::service::{RequestContext, SubscriptionContext};
use rmcp::{ErrorData, RoleServer, ServerHandler};
use skep_mcp::{Question, Server};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::broadcast;

/// Changes that a slow subscriber may be behind.
const CHANGES_MAX: usize = 16;

/// A list that changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Tools,
    Prompts,
}

/// What all requests share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// By the ids of their tasks.
    pub(crate) jobs: Mutex<BTreeMap<String, Job>>,
    /// Directory of the files that jobs wait for.
    pub(crate) answers: PathBuf,
    answer_count: AtomicU64,
    /// Whether clients of older revisions have one.
    pub(crate) has_sessions: bool,
    changes: broadcast::Sender<Change>,
}

impl Shared {
    pub(crate) fn new(home: &Path, has_sessions: bool) -> anyhow::Result<Self> {
        let answers = home.join("answers");
        std::fs::create_dir_all(&answers).context("make a directory for answers")?;
        Ok(Self {
            jobs: Mutex::default(),
            answers,
            answer_count: AtomicU64::new(0),
            has_sessions,
            changes: broadcast::channel(CHANGES_MAX).0,
        })
    }

    /// A file that nobody else waits for.
    pub(crate) fn fresh_answer(&self) -> PathBuf {
        let number = self.answer_count.fetch_add(1, Ordering::Relaxed);
        self.answers.join(number.to_string())
    }

    pub(crate) fn announce(&self, change: Change) {
        // Nobody may listen.
        drop(self.changes.send(change));
    }
}

/// The server of one request, or of one session.
#[derive(Debug, Clone)]
pub(crate) struct Fixture {
    pub(crate) server: Server,
    pub(crate) shared: Arc<Shared>,
    level: Arc<Mutex<Option<LoggingLevel>>>,
}

impl Fixture {
    pub(crate) fn new(server: Server, shared: Arc<Shared>) -> Self {
        Self {
            server,
            shared,
            level: Arc::default(),
        }
    }

    /// What the client of a session wants to hear.
    pub(crate) fn log_level(&self) -> Option<LoggingLevel> {
        *self.level.lock()
    }

    fn tools() -> Vec<Tool> {
        let mut tools = contents::tools();
        tools.extend(signals::tools());
        tools.extend(questions::tools());
        tools.extend(older::tools());
        tools.extend(jobs::tools());
        tools
    }

    /// Calls a tool of the suite.
    async fn call(
        &self,
        request: &CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Option<Result<CallToolResponse, ErrorData>> {
        let name = request.name.as_ref();
        let arguments = request.arguments.clone().unwrap_or_default();
        if let Some(done) = contents::answer(name, &arguments) {
            return Some(Ok(done.into()));
        }
        if let Some(done) = signals::call(self, name, context).await {
            return Some(done);
        }
        if let Some(done) = older::call(self, name, &arguments, context).await {
            return Some(done.map(Into::into));
        }
        if let Some(progress) = questions::proceed(self, Given::of_call(request), context) {
            return Some(match progress {
                Ok(Progress::Asked(asked)) => Ok(asked.into()),
                Ok(Progress::Answered(answers)) if name == questions::JOB => {
                    jobs::call_with_name(self, &answers["user_name"], context).await
                }
                Ok(Progress::Answered(answers)) => {
                    let text = format!("state-ok: {}", serde_json::Value::Object(answers));
                    Ok(CallToolResult::success(vec![ContentBlock::text(text)]).into())
                }
                Err(error) => Err(error),
            });
        }
        jobs::call(self, name, &arguments, context).await
    }
}

impl ServerHandler for Fixture {
    fn get_info(&self) -> ServerConfig {
        let mut info = self.server.get_info();
        let capabilities = &mut info.capabilities;
        capabilities.completions = Some(rmcp::model::JsonObject::new());
        if let Some(tools) = &mut capabilities.tools {
            tools.list_changed = Some(true);
        }
        if let Some(prompts) = &mut capabilities.prompts {
            prompts.list_changed = Some(true);
        }
        info
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        self.server.supported_protocol_versions()
    }

    async fn initialize(
        &self,
        request: InitializeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<InitializeResult, ErrorData> {
        let mut answer = self.server.initialize(request, context).await?;
        answer.capabilities.completions = Some(rmcp::model::JsonObject::new());
        answer.capabilities.logging = Some(rmcp::model::JsonObject::new());
        if let Some(resources) = &mut answer.capabilities.resources {
            resources.subscribe = Some(true);
        }
        Ok(answer)
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        let values = material::completions(&request.argument.value);
        let info = CompletionInfo::new(values);
        let info = info.map_err(|error| ErrorData::internal_error(error, None))?;
        std::future::ready(Ok(CompleteResult::new(info))).await
    }

    async fn set_level(
        &self,
        request: SetLevelRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        *self.level.lock() = Some(request.level);
        std::future::ready(Ok(())).await
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let mut list = self.server.list_tools(request, context).await?;
        list.tools.extend(Self::tools());
        Ok(list)
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        let own = || Self::tools().into_iter().find(|tool| tool.name == name);
        self.server.get_tool(name).or_else(own)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        match self.call(&request, &context).await {
            Some(done) => done,
            None => self.server.call_tool(request, context).await,
        }
    }

    async fn list_prompts(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        let mut list = self.server.list_prompts(request, context).await?;
        list.prompts.extend(material::prompts());
        Ok(list)
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let given = Given {
            question: Question {
                method: "prompts/get",
                name: &request.name,
                arguments: request.arguments.as_ref(),
            },
            responses: request.input_responses.as_ref(),
            state: request.request_state.as_deref(),
        };
        if request.name == questions::PROMPT
            && let Some(progress) = questions::proceed(self, given, &context)
        {
            return Ok(match progress? {
                Progress::Asked(asked) => asked.into(),
                Progress::Answered(answers) => {
                    let text = serde_json::Value::Object(answers).to_string();
                    let message = PromptMessage::new_text(Role::User, text);
                    GetPromptResult::new(vec![message]).into()
                }
            });
        }
        match material::prompt(&request.name, request.arguments.as_ref()) {
            Some(prompt) => prompt.map(Into::into),
            None => self.server.get_prompt(request, context).await,
        }
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let mut list = self.server.list_resources(request, context).await?;
        list.resources.extend(material::resources());
        Ok(list)
    }

    async fn list_resource_templates(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let mut list = self
            .server
            .list_resource_templates(request, context)
            .await?;
        list.resource_templates.push(material::template());
        Ok(list)
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        match material::read(&request.uri) {
            Some(resource) => Ok(resource.into()),
            None => self.server.read_resource(request, context).await,
        }
    }

    fn accepted_subscription_filter(
        &self,
        requested: &SubscriptionFilter,
    ) -> Option<SubscriptionFilter> {
        let mut accepted = self.server.accepted_subscription_filter(requested)?;
        accepted.tools_list_changed = requested.tools_list_changed;
        accepted.prompts_list_changed = requested.prompts_list_changed;
        Some(accepted)
    }

    /// Changes of lists are told here, changes of resources by Skep; the suite never asks for both
    /// at once.
    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let accepted = context.accepted();
        let wants = |change| match change {
            Change::Tools => accepted.tools_list_changed == Some(true),
            Change::Prompts => accepted.prompts_list_changed == Some(true),
        };
        if !wants(Change::Tools) && !wants(Change::Prompts) {
            return self.server.listen(context).await;
        }
        let mut changes = self.shared.changes.subscribe();
        loop {
            let change = tokio::select! {
                change = changes.recv() => change,
                () = context.cancelled() => return Ok(()),
            };
            let sent = match change {
                Ok(Change::Tools) if wants(Change::Tools) => {
                    context.sink().notify_tool_list_changed().await
                }
                Ok(Change::Prompts) if wants(Change::Prompts) => {
                    context.sink().notify_prompt_list_changed().await
                }
                _ => Ok(()),
            };
            sent.map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
        }
    }

    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        std::future::ready(watched(&request.uri)).await
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        std::future::ready(watched(&request.uri)).await
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        let got = self.server.get_task(request, context.clone()).await?;
        jobs::seen(self, got, &context).await
    }

    async fn update_task(
        &self,
        request: UpdateTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        // Whether it is there, and may be seen, Skep knows.
        self.server.update_task(request.clone(), context).await?;
        jobs::update(self, &request.task_id, &request.input_responses)
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.server.cancel_task(request, context).await
    }

    async fn on_custom_request(
        &self,
        request: CustomRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        self.server.on_custom_request(request, context).await
    }
}

/// There is one resource to follow; it never changes.
fn watched(uri: &str) -> Result<(), ErrorData> {
    if uri == material::WATCHED {
        return Ok(());
    }
    let detail = format!("nothing can be followed at `{uri}`");
    Err(ErrorData::resource_not_found(detail, None))
}
