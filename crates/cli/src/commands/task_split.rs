//! `skep task split`: tasks that a running attempt adds to its own run, or a person to any run.

use super::Session;
use crate::api::path;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::text;
use crate::plan_input::read_text;
use serde_json::{Value, json};
use std::io::Read;
use std::path::Path;

/// Bytes of tasks from stdin; the same as of a plan file.
const STDIN_BYTES_MAX: u64 = crate::plan_input::PLAN_BYTES_MAX;

pub(super) async fn run(
    session: &Session,
    file: &Path,
    task: &str,
    key: Option<String>,
) -> Outcome {
    let source = if file == Path::new("-") {
        read_stdin()?
    } else {
        read_text(file, "task")?
    };
    let body = body_of(&source, &std::env::current_dir()?)?;
    // With a key of its own a call whose answer was lost can be made again.
    let key = key.unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
    let added = session
        .api()?
        .post_with_key(&path(&["tasks", task, "children"]), &body, Some(&key))
        .await?;
    session.output.document(&added, |added| {
        let ids = added.pointer("/tasks").and_then(Value::as_array);
        let ids: Vec<_> = ids.into_iter().flatten().map(|id| text(id, "")).collect();
        ids.join("\n")
    })?;
    Ok(Exit::Ok)
}

fn read_stdin() -> Result<String, Failure> {
    let mut source = String::new();
    std::io::stdin()
        .lock()
        .take(STDIN_BYTES_MAX + 1)
        .read_to_string(&mut source)?;
    if source.len() as u64 > STDIN_BYTES_MAX {
        let message = format!("stdin has more than {STDIN_BYTES_MAX} bytes (PLAN_BYTES_MAX)");
        return Err(Failure::new(Exit::Invalid, "plan_too_large", message));
    }
    Ok(source)
}

/// What the coordinator is asked for. It checks the tasks: only it knows the run.
fn body_of(source: &str, base_dir: &Path) -> Result<Value, Failure> {
    let malformed = |detail: &str| {
        let message = format!("the tasks cannot be read: {detail}");
        Failure::new(Exit::Invalid, "tasks_malformed", message)
            .hint("the file should hold a map under `tasks:`, as a plan does")
    };
    let read: Value =
        serde_saphyr::from_str(source).map_err(|error| malformed(&error.to_string()))?;
    match read.get("tasks") {
        Some(tasks @ Value::Object(_)) => {
            Ok(json!({ "tasks": tasks, "base_dir": base_dir.to_string_lossy() }))
        }
        _ => Err(malformed("there is no map `tasks`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_taken_as_a_plan_has_them() {
        let body = body_of("tasks: {a: {run: x}}", Path::new("/here")).unwrap();
        let expected = json!({"tasks": {"a": {"run": "x"}}, "base_dir": "/here"});
        assert_eq!(body, expected);
        for source in ["a: {run: x}", "tasks: [a]", "tasks: {"] {
            let failure = body_of(source, Path::new("/")).unwrap_err();
            assert_eq!(failure.code, "tasks_malformed", "{source}");
        }
    }
}
