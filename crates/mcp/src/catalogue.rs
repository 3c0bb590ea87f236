//! The operations that a tool can call, with the schemas of what they take and give.

use crate::full_schema::{self, Input};
use serde_json::Value;
use skep_model::token::Scope;
use skep_operations::{Method, Operation, Shape};
use std::sync::LazyLock;

/// An operation and what it takes and gives.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) operation: Operation,
    pub(crate) input: Input,
    /// None when it gives bytes.
    pub(crate) output: Option<Value>,
}

/// Made at the first request: a coordinator that nobody asks pays nothing.
static CATALOGUE: LazyLock<Vec<Entry>> = LazyLock::new(|| {
    let entry = |operation: Operation| Entry {
        input: full_schema::input(&operation),
        output: full_schema::output(&operation),
        operation,
    };
    skep_operations::registry()
        .into_iter()
        .filter(is_callable)
        .map(entry)
        .collect()
});

/// All of them, in the order of the registry.
pub(crate) fn entries() -> &'static [Entry] {
    &CATALOGUE
}

/// The operation of this name.
pub(crate) fn find(id: &str) -> Option<&'static Entry> {
    entries().iter().find(|entry| entry.operation.id == id)
}

/// Uploads are bytes, which no tool call carries; headers alone are no answer; and what nodes and
/// machines that join say to the coordinator is not for agents.
fn is_callable(operation: &Operation) -> bool {
    let is_upload = matches!(operation.input, Shape::Bytes(_));
    let for_nodes_only = operation.permission.scopes == [Scope::Node];
    !is_upload
        && !for_nodes_only
        && !operation.permission.is_open
        && operation.method != Method::Head
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::full_schema::Place;

    #[test]
    fn what_is_left_out_is_known() {
        let left_out: Vec<_> = skep_operations::registry()
            .into_iter()
            .filter(|operation| find(operation.id).is_none())
            .map(|operation| operation.id)
            .collect();
        assert_eq!(
            left_out,
            [
                "tasks.append_log",
                "artifacts.status",
                "artifacts.put",
                "memory.import",
                "join.enrol",
                "nodes.challenge",
                "nodes.login",
            ]
        );
    }

    #[test]
    fn every_operation_takes_an_object_with_all_its_parameters() {
        for entry in entries() {
            let id = entry.operation.id;
            let in_path = entry.operation.path.matches('{').count();
            let of_path = entry.input.parameters.iter();
            let of_path = of_path.filter(|parameter| parameter.place == Place::Path);
            assert_eq!(of_path.count(), in_path, "{id}");
            let properties = entry.input.schema["properties"].as_object().unwrap();
            let has_body = matches!(entry.operation.input, Shape::Json(_));
            let takes_nothing = properties.is_empty() && has_body;
            assert!(!takes_nothing, "the keys of the body of {id} are not seen");
        }
    }

    /// A second one needs a look at its new name.
    #[test]
    fn one_parameter_has_the_name_of_a_key_of_the_body() {
        let renamed: Vec<_> = entries()
            .iter()
            .flat_map(|entry| {
                let renamed = entry.input.parameters.iter();
                renamed
                    .filter(|parameter| parameter.name != parameter.argument)
                    .map(|parameter| (entry.operation.id, parameter.argument.as_str()))
            })
            .collect();
        assert_eq!(renamed, [("tasks.submit", "run_id")]);
    }
}
