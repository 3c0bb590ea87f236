//! Prompts: ways to begin that a person picks, each with what it is about.

use crate::fault::Fault;
use rmcp::ErrorData;
use rmcp::model::{GetPromptResult, JsonObject, Prompt, PromptArgument, PromptMessage, Role};

/// Characters of an argument.
const ARGUMENT_LENGTH_MAX: usize = 10_000;

/// A prompt with one argument, which stands in its text as `{}`.
struct Beginning {
    name: &'static str,
    description: &'static str,
    argument: &'static str,
    about: &'static str,
    text: &'static str,
}

const PROMPTS: [Beginning; 2] = [
    Beginning {
        name: "plan_and_run",
        description: "Split a goal into a plan of tasks, check it, run it and report.",
        argument: "goal",
        about: "What should be true at the end.",
        text: "Reach this goal with the swarm: {}\n\n\
               1. Look with skep_call at `system.status`, `nodes.list` and \
               `capabilities.list`: what can run where.\n\
               2. Write a plan: tasks with `run`, and `needs` between those that build on each \
               other. Let tasks that do not need each other run beside each other. Give each task \
               whose result matters a gate: a command that proves it.\n\
               3. Check it with skep_call at `plans.validate` and repair what it names.\n\
               4. Submit it with skep_runs_submit, then use skep_wait until the run is final.\n\
               5. Report what was reached, with the evidence of gates and logs. If a task failed, \
               read its log with skep_tasks_logs before you say why.",
    },
    Beginning {
        name: "explain",
        description: "Find out why a run or task failed, hangs or waits.",
        argument: "id",
        about: "The id of a run or task.",
        text: "Find out how `{}` stands and why.\n\n\
               1. Read it with skep_wait and `timeout_s` 0.\n\
               2. For each task that failed: read the end of its log with skep_tasks_logs, and the \
               gates and attempts in skep_tasks_get.\n\
               3. For each task that waits: `tasks.explain` by skep_call says what it waits for \
               and why each node could or could not run it.\n\
               4. Say in a few sentences what happened, with the lines that prove it, and what to \
               do. Change nothing before you were told to.",
    },
];

/// All prompts, always in the same order.
pub(crate) fn list() -> Vec<Prompt> {
    let prompt = |beginning: &Beginning| {
        let argument = PromptArgument::new(beginning.argument)
            .with_description(beginning.about)
            .with_required(true);
        let description = Some(beginning.description);
        Prompt::new(beginning.name, description, Some(vec![argument]))
    };
    PROMPTS.iter().map(prompt).collect()
}

/// The text of a prompt for these arguments.
pub(crate) fn get(
    name: &str,
    arguments: Option<&JsonObject>,
) -> Result<GetPromptResult, ErrorData> {
    let known = PROMPTS.iter().find(|beginning| beginning.name == name);
    let beginning =
        known.ok_or_else(|| Fault::PromptUnknown.error(format!("no prompt is called `{name}`")))?;
    let argument = beginning.argument;
    let given = arguments
        .and_then(|arguments| arguments.get(argument))
        .and_then(|value| value.as_str())
        .filter(|text| !text.trim().is_empty())
        .ok_or_else(|| Fault::ParamsInvalid.error(format!("`{argument}` is missing")))?;
    if given.chars().count() > ARGUMENT_LENGTH_MAX {
        let detail = format!("`{argument}` has more than {ARGUMENT_LENGTH_MAX} characters");
        return Err(Fault::ParamsInvalid.error(detail));
    }
    let text = beginning.text.replace("{}", given);
    let message = PromptMessage::new_text(Role::User, text);
    Ok(GetPromptResult::new(vec![message]).with_description(beginning.description))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue;
    use crate::toolset::{self, object};
    use serde_json::json;

    #[test]
    fn a_prompt_holds_what_it_was_given() {
        let arguments = object(json!({ "goal": "green tests" }));
        let result = get("plan_and_run", Some(&arguments)).unwrap();
        let text = serde_json::to_string(&result).unwrap();
        assert!(text.contains("with the swarm: green tests"), "{text}");
    }

    #[test]
    fn an_unknown_prompt_and_a_missing_argument_are_named() {
        let code = |result: Result<GetPromptResult, ErrorData>| {
            result.unwrap_err().data.unwrap()["code"].clone()
        };
        assert_eq!(code(get("nothing", None)), "mcp_prompt_unknown");
        assert_eq!(code(get("explain", None)), "mcp_params_invalid");
        let long = object(json!({ "id": "x".repeat(ARGUMENT_LENGTH_MAX + 1) }));
        assert_eq!(code(get("explain", Some(&long))), "mcp_params_invalid");
    }

    #[test]
    fn prompts_speak_of_tools_and_operations_that_exist() {
        for beginning in &PROMPTS {
            for word in beginning.text.split(|letter: char| {
                !(letter.is_ascii_alphanumeric() || letter == '_' || letter == '.')
            }) {
                let word = word.trim_end_matches('.');
                if word.starts_with("skep_") {
                    assert!(toolset::find(word).is_some(), "{word}");
                } else if word.contains('.') {
                    assert!(catalogue::find(word).is_some(), "{word}");
                }
            }
        }
    }
}
