//! Short forms of schemas: the keys of an object and their types, without what lies deeper.
//!
//! A tool is listed with the outline of what it takes and gives, because every listed schema costs
//! each conversation its size. The outline allows all that the whole schema allows; the operation
//! itself checks the rest, and `skep_search` gives the whole schema.

use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// References that are followed before a type is given up as unknown.
const DEPTH_MAX: usize = 8;

/// Who reads the outline, and so what it keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    /// Whoever writes arguments: every key, with the first sentence of what it is for.
    Writes,
    /// Whoever reads an answer: the keys that are always there.
    Reads,
}

/// The outline of an object's schema.
pub(crate) fn outline(schema: &Value, reader: Reader) -> Map<String, Value> {
    let target = resolve(schema, schema);
    let properties = target["properties"].as_object();
    let short: Map<String, Value> = properties
        .into_iter()
        .flatten()
        .filter(|(name, _)| reader == Reader::Writes || is_required(target, name))
        .map(|(name, property)| (name.clone(), short_form(property, schema, reader)))
        .collect();
    let mut object = Map::new();
    object.insert("type".to_owned(), json!("object"));
    object.insert("properties".to_owned(), short.into());
    if let Some(required) = target.get("required").filter(|_| reader == Reader::Writes) {
        object.insert("required".to_owned(), required.clone());
    }
    object
}

fn short_form(property: &Value, root: &Value, reader: Reader) -> Value {
    let mut short = Map::new();
    let mut types = BTreeSet::new();
    collect_types(property, root, DEPTH_MAX, &mut types);
    if reader == Reader::Writes {
        // Whoever writes arguments leaves a key out instead.
        types.remove("null");
    }
    let types: Vec<_> = types.into_iter().collect();
    match types.as_slice() {
        [] => {}
        [only] => drop(short.insert("type".to_owned(), json!(only))),
        several => drop(short.insert("type".to_owned(), json!(several))),
    }
    if reader == Reader::Writes {
        // Some clients refuse an array without a word about its items.
        if types.contains(&"array") {
            short.insert("items".to_owned(), json!({}));
        }
        let listed = resolve(property, root)["enum"].as_array();
        if let Some(listed) = listed.filter(|listed| !listed.is_empty()) {
            short.insert("enum".to_owned(), listed.clone().into());
        }
        if let Some(text) = property["description"].as_str() {
            short.insert("description".to_owned(), first_sentence(text).into());
        }
    }
    short.into()
}

fn is_required(schema: &Value, name: &str) -> bool {
    let required = schema["required"].as_array();
    required.is_some_and(|required| required.iter().any(|required| required == name))
}

fn first_sentence(text: &str) -> String {
    let joined = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match joined.find(". ") {
        Some(end) => joined[..=end].to_owned(),
        None => joined,
    }
}

/// What a schema refers to, or itself.
fn resolve<'a>(schema: &'a Value, root: &'a Value) -> &'a Value {
    let mut schema = schema;
    for _ in 0..DEPTH_MAX {
        let referred = schema["$ref"]
            .as_str()
            .and_then(|reference| reference.strip_prefix('#'))
            .and_then(|pointer| root.pointer(pointer));
        match referred {
            Some(next) => schema = next,
            None => break,
        }
    }
    schema
}

/// The JSON types that a value of this schema can have; none when it can have all.
fn collect_types<'a>(
    schema: &'a Value,
    root: &'a Value,
    depth: usize,
    types: &mut BTreeSet<&'a str>,
) {
    let schema = resolve(schema, root);
    if depth == 0 {
        return;
    }
    match &schema["type"] {
        Value::String(kind) => drop(types.insert(kind)),
        Value::Array(kinds) => types.extend(kinds.iter().filter_map(Value::as_str)),
        _ => {}
    }
    for key in ["anyOf", "oneOf", "allOf"] {
        for variant in schema[key].as_array().into_iter().flatten() {
            collect_types(variant, root, depth - 1, types);
        }
    }
    let words = schema.get("const").into_iter();
    for word in words.chain(schema["enum"].as_array().into_iter().flatten()) {
        if word.is_string() {
            types.insert("string");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outline_keeps_keys_types_and_first_sentences() {
        let schema = json!({
            "$ref": "#/$defs/Task",
            "$defs": {
                "Task": {
                    "type": "object",
                    "properties": {
                        "name": { "type": "string", "description": "Its name. And\nmore. Much." },
                        "needs": { "anyOf": [
                            { "type": "string" },
                            { "type": "array", "items": { "type": "string" } },
                            { "type": "null" },
                        ]},
                        "kind": { "$ref": "#/$defs/Kind" },
                        "any": {},
                    },
                    "required": ["name"],
                },
                "Kind": { "type": "string", "enum": ["noop", "command"] },
            },
        });
        let kept = Value::Object(outline(&schema, Reader::Writes));
        assert_eq!(
            kept,
            json!({
                "type": "object",
                "properties": {
                    "name": { "type": "string", "description": "Its name." },
                    "needs": { "type": ["array", "string"], "items": {} },
                    "kind": { "type": "string", "enum": ["noop", "command"] },
                    "any": {},
                },
                "required": ["name"],
            })
        );
        assert_eq!(
            Value::Object(outline(&schema, Reader::Reads)),
            json!({
                "type": "object",
                "properties": { "name": { "type": "string" } },
            })
        );
    }
}
