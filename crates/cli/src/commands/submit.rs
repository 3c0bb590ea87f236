//! `skep submit`: hands a plan to the coordinator, and waits for its end when asked to.

use super::Session;
use crate::args::SubmitArgs;
use crate::exit::{Exit, Outcome};
use crate::output::{table, text};
use crate::plan_input::read;
use crate::progress::follow;
use serde_json::Value;

pub(crate) async fn run(session: &Session, args: SubmitArgs) -> Outcome {
    let body = read(&args.input)?;
    let api = session.api()?;
    // With a key of its own a submission whose answer was lost can be sent again.
    let key = args
        .idempotency_key
        .unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
    let submitted = api
        .post_with_key("/api/v2/runs", &body.submission(), Some(&key))
        .await?;
    if !args.wait {
        session.output.document(&submitted, submission_text)?;
        return Ok(Exit::Ok);
    }
    // Two documents: this is a stream, one document a line.
    session.output.streamed(&submitted, submission_text)?;
    let end = follow(session, &api, &text(&submitted, "/run/id")).await?;
    session.output.streamed(&end.detail, red_tasks)?;
    Ok(end.exit())
}

fn submission_text(submitted: &Value) -> String {
    let repeated = submitted.pointer("/repeated").and_then(Value::as_bool) == Some(true);
    let note = if repeated {
        " (an earlier submission with this key)"
    } else {
        ""
    };
    format!(
        "{} {}{note}",
        text(submitted, "/run/id"),
        text(submitted, "/run/state")
    )
}

/// The state of the run, and each task that did not succeed with its reason.
fn red_tasks(detail: &Value) -> String {
    let tasks = detail.pointer("/tasks").and_then(Value::as_array);
    let red: Vec<_> = tasks
        .into_iter()
        .flatten()
        .filter(|task| text(task, "/state") != "succeeded")
        .map(|task| {
            ["/id", "/name", "/state", "/reason"]
                .map(|at| text(task, at))
                .to_vec()
        })
        .collect();
    let head = format!("{} {}", text(detail, "/run/id"), text(detail, "/run/state"));
    if red.is_empty() {
        return head;
    }
    format!(
        "{head}\n{}",
        table(&["task", "name", "state", "reason"], red)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_tasks_that_did_not_succeed_are_named_at_the_end() {
        let detail = json!({
            "run": {"id": "run_1", "state": "failed"},
            "tasks": [
                {"id": "task_1", "name": "good", "state": "succeeded"},
                {"id": "task_2", "name": "bad", "state": "failed", "reason": "code 3"},
            ],
        });
        let shown = red_tasks(&detail);
        assert!(
            shown.starts_with("run_1 failed") && shown.contains("code 3"),
            "{shown}"
        );
        assert!(!shown.contains("good"), "{shown}");
    }
}
