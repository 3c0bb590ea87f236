//! Says what is wrong with a parameter: its name, its value, and what it should be.
//!
//! What it should be comes from the schema that describes the parameter to callers, so that both
//! say the same.

use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

/// Characters of a value that an error repeats.
const VALUE_SHOWN_MAX: usize = 100;

/// The first thing that is wrong with these parameters, which could not be read into `P`.
/// `field` is the one that reading ended at, and `reason` what it ended with.
pub(crate) fn explain<P: JsonSchema>(
    given: &[(String, String)],
    field: &str,
    reason: &str,
) -> OperationError {
    let schema = SchemaSettings::draft2020_12()
        .with(|settings| settings.inline_subschemas = true)
        .into_generator()
        .into_root_schema_for::<P>()
        .to_value();
    let detail = unknown(&schema, given)
        .or_else(|| repeated(given))
        .or_else(|| missing(&schema, given))
        .or_else(|| unreadable(&schema, given, field, reason))
        .unwrap_or_else(|| reason.to_owned());
    OperationError::new(ErrorCode::QueryMalformed, detail)
}

fn unknown(schema: &Value, given: &[(String, String)]) -> Option<String> {
    let known: Vec<_> = schema["properties"]
        .as_object()
        .map(|properties| properties.keys().map(String::as_str).collect())
        .unwrap_or_default();
    let (name, _) = given
        .iter()
        .find(|(name, _)| !known.contains(&name.as_str()))?;
    let name = shown(name);
    Some(if known.is_empty() {
        format!("`{name}` is not a parameter of this route; it takes none")
    } else {
        format!(
            "`{name}` is not a parameter of this route; want {}",
            one_of(&known)
        )
    })
}

fn repeated(given: &[(String, String)]) -> Option<String> {
    given.iter().find_map(|(name, _)| {
        let count = given.iter().filter(|(other, _)| other == name).count();
        (count > 1).then(|| format!("`{name}` is given {count} times; give it once"))
    })
}

fn missing(schema: &Value, given: &[(String, String)]) -> Option<String> {
    let required = schema["required"].as_array()?;
    let name = required
        .iter()
        .filter_map(Value::as_str)
        .find(|name| given.iter().all(|(other, _)| other != name))?;
    let wanted = wanted(&schema["properties"][name]).unwrap_or_else(|| "a value".to_owned());
    Some(format!("`{name}` is missing; want {wanted}"))
}

fn unreadable(
    schema: &Value,
    given: &[(String, String)],
    field: &str,
    reason: &str,
) -> Option<String> {
    let (name, value) = given.iter().find(|(name, _)| name == field)?;
    Some(match wanted(&schema["properties"][name]) {
        Some(wanted) => format!("`{name}` is `{}`; want {wanted}", shown(value)),
        // The type says it better than its schema, and repeats the value.
        None => format!("parameter `{name}`: {}", shown(reason)),
    })
}

/// A text, cut when it is long.
fn shown(text: &str) -> String {
    match text.char_indices().nth(VALUE_SHOWN_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// What the schema of a parameter allows, in words; none for texts of a form of their own.
fn wanted(schema: &Value) -> Option<String> {
    if has_type(schema, "integer") {
        let least = schema["minimum"].as_u64().unwrap_or(0);
        let most = schema["maximum"].as_u64().unwrap_or_else(|| {
            let small = schema["format"] == "uint32";
            if small { u64::from(u32::MAX) } else { u64::MAX }
        });
        return Some(format!("a whole number from {least} to {most}"));
    }
    if has_type(schema, "boolean") {
        return Some("`true` or `false`".to_owned());
    }
    let mut words = Vec::new();
    collect_words(schema, &mut words);
    (!words.is_empty()).then(|| one_of(&words))
}

/// The type of an optional parameter is a list, with `null` in it.
fn has_type(schema: &Value, wanted: &str) -> bool {
    match &schema["type"] {
        Value::String(kind) => kind == wanted,
        Value::Array(kinds) => kinds.iter().any(|kind| kind == wanted),
        _ => false,
    }
}

fn collect_words<'a>(schema: &'a Value, words: &mut Vec<&'a str>) {
    words.extend(schema["const"].as_str());
    let listed = schema["enum"].as_array().into_iter().flatten();
    words.extend(listed.filter_map(Value::as_str));
    for key in ["oneOf", "anyOf"] {
        for variant in schema[key].as_array().into_iter().flatten() {
            collect_words(variant, words);
        }
    }
}

fn one_of(words: &[&str]) -> String {
    match words {
        [word] => format!("`{word}`"),
        _ => format!("one of `{}`", words.join("`, `")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_parameter_should_be_follows_from_its_schema() {
        for (schema, words) in [
            (
                json!({"type": ["integer", "null"], "minimum": 1, "maximum": 9}),
                Some("a whole number from 1 to 9"),
            ),
            (
                json!({"type": "integer", "format": "uint32", "minimum": 0}),
                Some("a whole number from 0 to 4294967295"),
            ),
            (json!({"type": "boolean"}), Some("`true` or `false`")),
            (
                json!({"anyOf": [
                    {"oneOf": [{"const": "a"}, {"type": "string", "enum": ["b", null]}]},
                    {"type": "null"},
                ]}),
                Some("one of `a`, `b`"),
            ),
            (json!({"type": "string", "pattern": "^x$"}), None),
        ] {
            assert_eq!(wanted(&schema).as_deref(), words, "{schema}");
        }
    }

    #[test]
    fn a_long_value_is_cut_between_characters() {
        let cut = shown(&"ä".repeat(VALUE_SHOWN_MAX + 1));
        assert_eq!(cut, format!("{}…", "ä".repeat(VALUE_SHOWN_MAX)));
        assert_eq!(shown("ä"), "ä");
    }
}
