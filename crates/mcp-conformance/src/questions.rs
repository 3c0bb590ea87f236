//! Tools and a prompt that ask the client something first, in the way of revision 2026-07-28: the
//! answer to the call is what is asked, and the client calls again with its answers.

use crate::contents::{object, tool};
use crate::fixture::Fixture;
use rmcp::model::{
    CallToolRequestParams, ClientCapabilities, InputRequest, InputRequiredResult, InputResponses,
    JsonObject, Tool,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer};
use serde_json::{Value, json};
use skep_mcp::Question;

/// What is asked of a client.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// A value of this name and type, from whoever uses the client.
    Form(&'static str, &'static str),
    /// A text of the client's model.
    Sample,
    /// The client's directories.
    Roots,
}

/// A question with its key.
#[derive(Debug, Clone, Copy)]
struct Ask {
    key: &'static str,
    kind: Kind,
    words: &'static str,
}

/// A tool or prompt that asks: in rounds, and with a state that the client hands back or without.
#[derive(Debug)]
struct Asking {
    name: &'static str,
    rounds: &'static [&'static [Ask]],
    has_state: bool,
}

const NAME: Ask = Ask {
    key: "user_name",
    kind: Kind::Form("name", "string"),
    words: "What is your name?",
};
const CONFIRM: Ask = Ask {
    key: "confirm",
    kind: Kind::Form("ok", "boolean"),
    words: "Please confirm",
};
const CAPITAL: Ask = Ask {
    key: "capital_question",
    kind: Kind::Sample,
    words: "What is the capital of France?",
};
const ROOTS: Ask = Ask {
    key: "client_roots",
    kind: Kind::Roots,
    words: "",
};
const GREETING: Ask = Ask {
    key: "greeting",
    words: "Generate a greeting",
    ..CAPITAL
};
const FIRST: Ask = Ask {
    key: "step1",
    words: "Step 1: What is your name?",
    ..NAME
};
const SECOND: Ask = Ask {
    key: "step2",
    kind: Kind::Form("color", "string"),
    words: "Step 2: What is your favorite color?",
};
const CONTEXT: Ask = Ask {
    key: "user_context",
    kind: Kind::Form("context", "string"),
    words: "What context should the prompt use?",
};

/// The prompt that asks.
pub(crate) const PROMPT: &str = "test_input_required_result_prompt";
/// The tool that asks and then starts a job.
pub(crate) const JOB: &str = "test_tool_with_task";

const fn once(name: &'static str, rounds: &'static [&'static [Ask]]) -> Asking {
    Asking {
        name,
        rounds,
        has_state: false,
    }
}

const fn with_state(name: &'static str, rounds: &'static [&'static [Ask]]) -> Asking {
    Asking {
        name,
        rounds,
        has_state: true,
    }
}

const ASKING: [Asking; 11] = [
    once("test_input_required_result_elicitation", &[&[NAME]]),
    once("test_input_required_result_sampling", &[&[CAPITAL]]),
    once("test_input_required_result_list_roots", &[&[ROOTS]]),
    with_state("test_input_required_result_request_state", &[&[CONFIRM]]),
    with_state(
        "test_input_required_result_multiple_inputs",
        &[&[NAME, GREETING, ROOTS]],
    ),
    with_state(
        "test_input_required_result_multi_round",
        &[&[FIRST], &[SECOND]],
    ),
    with_state("test_input_required_result_tampered_state", &[&[CONFIRM]]),
    once(
        "test_input_required_result_capabilities",
        &[&[NAME, CAPITAL]],
    ),
    once("test_streaming_elicitation", &[&[NAME]]),
    with_state(JOB, &[&[NAME]]),
    once(PROMPT, &[&[CONTEXT]]),
];

pub(crate) fn tools() -> Vec<Tool> {
    let asking = ASKING.iter().filter(|asking| asking.name != PROMPT);
    let tool = |asking: &Asking| tool(asking.name, "Asks its client.", json!({}));
    asking.map(tool).collect()
}

/// How far a request has come.
#[derive(Debug)]
pub(crate) enum Progress {
    /// The client has to answer first.
    Asked(InputRequiredResult),
    /// All answers, by the keys of the questions.
    Answered(JsonObject),
}

/// What came with a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Given<'a> {
    pub(crate) question: Question<'a>,
    pub(crate) responses: Option<&'a InputResponses>,
    pub(crate) state: Option<&'a str>,
}

impl<'a> Given<'a> {
    pub(crate) fn of_call(request: &'a CallToolRequestParams) -> Self {
        Self {
            question: Question {
                method: "tools/call",
                name: &request.name,
                arguments: request.arguments.as_ref(),
            },
            responses: request.input_responses.as_ref(),
            state: request.request_state.as_deref(),
        }
    }
}

/// Asks, or gives the answers; nothing when it is no tool or prompt of this module.
pub(crate) fn proceed(
    fixture: &Fixture,
    given: Given<'_>,
    context: &RequestContext<RoleServer>,
) -> Option<Result<Progress, ErrorData>> {
    let asking = ASKING
        .iter()
        .find(|asking| asking.name == given.question.name)?;
    Some(next(fixture, asking, given, context))
}

fn next(
    fixture: &Fixture,
    asking: &Asking,
    given: Given<'_>,
    context: &RequestContext<RoleServer>,
) -> Result<Progress, ErrorData> {
    let question = given.question;
    let state = given
        .state
        .map(|sealed| fixture.server.open_state(context, question, sealed))
        .transpose()?;
    let round = state.as_ref().and_then(|state| state["round"].as_u64());
    // Answers without their state belong to nothing.
    let responses = given
        .responses
        .filter(|_| !asking.has_state || round.is_some());
    let round = usize::try_from(round.unwrap_or(0)).unwrap_or(usize::MAX);
    let mut answers = state.map_or_else(JsonObject::new, |state| object(state["answers"].clone()));
    let Some(wanted) = asking.rounds.get(round) else {
        return Err(ErrorData::invalid_params("there is no such round", None));
    };
    let wanted = declared(wanted, context)?;
    let mut open = Vec::new();
    for ask in wanted {
        match responses.and_then(|responses| answer(ask, responses.get(ask.key)?)) {
            Some(answer) => drop(answers.insert(ask.key.to_owned(), answer)),
            None => open.push(ask),
        }
    }
    let (round, open) = match asking.rounds.get(round + 1) {
        _ if !open.is_empty() => (round, open),
        Some(following) => (round + 1, declared(following, context)?),
        None => return Ok(Progress::Answered(answers)),
    };
    let requests = open
        .iter()
        .map(|ask| Ok((ask.key.to_owned(), request(*ask)?)));
    let requests = requests.collect::<Result<_, ErrorData>>()?;
    let state = asking
        .has_state
        .then(|| json!({ "round": round, "answers": answers }));
    let sealed = state
        .map(|state| fixture.server.seal_state(context, question, &state))
        .transpose()?;
    let asked = InputRequiredResult::new(Some(requests), sealed);
    Ok(Progress::Asked(asked))
}

/// The questions that the client can answer; an error when there is none.
fn declared(wanted: &[Ask], context: &RequestContext<RoleServer>) -> Result<Vec<Ask>, ErrorData> {
    let declared = context.client_capabilities().unwrap_or_default();
    let declared = serde_json::to_value(declared).unwrap_or_default();
    let capability = |ask: &Ask| match ask.kind {
        Kind::Form(..) => "elicitation",
        Kind::Sample => "sampling",
        Kind::Roots => "roots",
    };
    let can = |ask: &&Ask| declared[capability(ask)].is_object();
    let asked: Vec<_> = wanted.iter().filter(can).copied().collect();
    if !asked.is_empty() {
        return Ok(asked);
    }
    let missing = wanted.iter().map(|ask| (capability(ask), json!({})));
    let missing: JsonObject = missing
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
    let required: ClientCapabilities =
        serde_json::from_value(Value::Object(missing)).unwrap_or_default();
    Err(ErrorData::missing_required_client_capability(required))
}

fn request(ask: Ask) -> Result<InputRequest, ErrorData> {
    let request = match ask.kind {
        Kind::Form(field, kind) => form(
            ask.words,
            json!({ "type": "object", "properties": { field: { "type": kind } }, "required": [field] }),
        ),
        Kind::Sample => sample(ask.words),
        Kind::Roots => json!({ "method": "roots/list", "params": {} }),
    };
    typed(request)
}

/// A request for values of this schema.
pub(crate) fn form(message: &str, schema: Value) -> Value {
    let mut params = json!({ "mode": "form", "message": message });
    params["requestedSchema"] = schema;
    json!({ "method": "elicitation/create", "params": params })
}

/// A request for a text of the client's model.
pub(crate) fn sample(text: &str) -> Value {
    let message = json!({ "role": "user", "content": { "type": "text", "text": text } });
    let params = json!({ "messages": [message], "maxTokens": 100 });
    json!({ "method": "sampling/createMessage", "params": params })
}

/// A request as the library has it.
pub(crate) fn typed(request: Value) -> Result<InputRequest, ErrorData> {
    serde_json::from_value(request)
        .map_err(|error| ErrorData::internal_error(error.to_string(), None))
}

/// What was answered, if it has the form of an answer. A refusal is one.
fn answer(ask: Ask, response: &Value) -> Option<Value> {
    match ask.kind {
        Kind::Form(field, _) if response["action"] == "accept" => {
            response["content"].get(field).cloned()
        }
        Kind::Form(..) => response["action"].as_str().map(|action| json!(action)),
        Kind::Sample => response["content"]
            .is_object()
            .then(|| response["content"]["text"].clone()),
        Kind::Roots => response["roots"]
            .is_array()
            .then(|| response["roots"].clone()),
    }
}
