//! The registry and the documents made from it.

use crate::openapi;
use serde_json::Value;
use skep_operations::{API_PREFIX, Repetition, Shape};
use std::collections::BTreeSet;

#[test]
fn ids_and_routes_are_unique_and_named_alike() {
    let operations = skep_operations::registry();
    let ids: BTreeSet<_> = operations.iter().map(|operation| operation.id).collect();
    let routes: BTreeSet<_> = operations
        .iter()
        .map(|operation| (operation.path, operation.method))
        .collect();
    assert_eq!(
        (ids.len(), routes.len()),
        (operations.len(), operations.len())
    );
    for operation in &operations {
        let group = operation.id.split('.').next().unwrap().replace('_', "-");
        assert!(
            operation.path.starts_with(&format!("/{group}")),
            "{operation:?}"
        );
        assert!(operation.summary.ends_with('.'), "{operation:?}");
        assert!(
            operation.permission.is_open || !operation.permission.scopes.is_empty(),
            "{operation:?} is open to nobody"
        );
        if operation.repetition == Repetition::Keyed {
            assert!(
                matches!(operation.input, Shape::Json(_)),
                "{operation:?} has no fingerprint"
            );
        }
    }
}

#[test]
fn the_openapi_document_describes_every_operation_and_refers_to_nothing_missing() {
    let document = openapi();
    assert_eq!(document["openapi"], "3.1.0");
    for operation in skep_operations::registry() {
        let path = format!("{API_PREFIX}{}", operation.path);
        let method = operation.method.as_str().to_lowercase();
        let item = &document["paths"][&path][&method];
        assert_eq!(item["operationId"], operation.id, "{path}");
        let parameters = item["parameters"].as_array().unwrap();
        for name in path.split(['{', '}']).skip(1).step_by(2) {
            let found = parameters
                .iter()
                .find(|parameter| parameter["name"] == name)
                .unwrap_or_else(|| panic!("{}: `{name}` is not described", operation.id));
            assert_eq!(
                (&found["in"], &found["required"]),
                (&"path".into(), &true.into())
            );
        }
        let has_body = !matches!(operation.input, Shape::Empty);
        assert_eq!(
            item.get("requestBody").is_some(),
            has_body,
            "{}",
            operation.id
        );
        assert!(item["responses"][operation.success.to_string()].is_object());
    }
    check_references(&document, &document);
}

fn check_references(document: &Value, value: &Value) {
    match value {
        Value::Object(object) => {
            if let Some(Value::String(reference)) = object.get("$ref") {
                let pointer = reference.strip_prefix('#').expect(reference);
                assert!(
                    document.pointer(pointer).is_some(),
                    "`{reference}` leads nowhere"
                );
            }
            object
                .values()
                .for_each(|value| check_references(document, value));
        }
        Value::Array(values) => values
            .iter()
            .for_each(|value| check_references(document, value)),
        _ => {}
    }
}
