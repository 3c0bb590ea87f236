//! Makes the request of an operation from the arguments of a tool call.

use crate::catalogue::Entry;
use crate::full_schema::Place;
use bytes::Bytes;
use serde_json::{Map, Value};
use skep_operations::{OperationError, PathParameters, Request, RequestBody, Shape};

/// Sorts the arguments into path, query and body. What the operation does not know goes where it
/// is refused by name.
pub(crate) fn request(
    entry: &Entry,
    mut arguments: Map<String, Value>,
) -> Result<Request, OperationError> {
    let mut path = PathParameters::new();
    let mut query = form_urlencoded::Serializer::new(String::new());
    for parameter in &entry.input.parameters {
        let Some(text) = arguments.remove(&parameter.argument).and_then(text_of) else {
            continue;
        };
        match parameter.place {
            Place::Path => path.push((parameter.name.clone(), text)),
            Place::Query => drop(query.append_pair(&parameter.name, &text)),
        }
    }
    let body = if matches!(entry.operation.input, Shape::Json(_)) {
        let bytes = serde_json::to_vec(&arguments)
            .map_err(|error| OperationError::internal("encode the arguments", &error))?;
        Bytes::from(bytes)
    } else {
        for (name, value) in arguments {
            query.append_pair(&name, &text_of(value).unwrap_or_default());
        }
        Bytes::new()
    };
    Ok(Request {
        path,
        query: query.finish(),
        body: RequestBody::Whole(body),
    })
}

/// A parameter as a URL has it; `null` is one that was left out.
fn text_of(value: Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::find;
    use serde_json::json;

    fn sorted(id: &str, arguments: Value) -> (PathParameters, String, Value) {
        let Value::Object(arguments) = arguments else {
            panic!("arguments are an object")
        };
        let request = request(find(id).unwrap(), arguments).unwrap();
        let RequestBody::Whole(body) = request.body else {
            panic!("a body from arguments is whole")
        };
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        (request.path, request.query, body)
    }

    #[test]
    fn arguments_go_into_path_query_and_body() {
        let (path, query, body) = sorted("tasks.assign", json!({"id": "task_1", "agent": "a"}));
        assert_eq!(path, [("id".to_owned(), "task_1".to_owned())]);
        assert_eq!((query.as_str(), body), ("", json!({"agent": "a"})));
        let (path, query, body) = sorted(
            "tasks.list",
            json!({"limit": 7, "name": "a&b c", "state": null}),
        );
        assert_eq!((path.len(), query.as_str()), (0, "limit=7&name=a%26b+c"));
        assert_eq!(body, Value::Null);
    }

    #[test]
    fn the_run_of_a_task_is_not_its_script() {
        let (_, query, body) = sorted(
            "tasks.submit",
            json!({"name": "a", "run": "true", "run_id": "run_1"}),
        );
        assert_eq!(query, "run=run_1");
        assert_eq!(body, json!({"name": "a", "run": "true"}));
    }

    #[test]
    fn an_unknown_argument_is_sent_on_to_be_refused_by_name() {
        let (_, query, _) = sorted("tasks.get", json!({"id": "task_1", "verbose": true}));
        assert_eq!(query, "verbose=true");
        let (_, _, body) = sorted("tasks.assign", json!({"id": "task_1", "agnt": "a"}));
        assert_eq!(body, json!({"agnt": "a"}));
    }
}
