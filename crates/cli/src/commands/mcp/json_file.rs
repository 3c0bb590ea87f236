//! Puts one entry into a JSON file of another program, and leaves everything else as it is, in its
//! order.

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use std::fmt;

/// An object as it stands in a file: keys in their order, values as their text.
#[derive(Debug, Default)]
struct Ordered(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Ordered {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Ordered;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ordered, A::Error> {
                let mut pairs: Vec<(String, Box<RawValue>)> = Vec::new();
                while let Some((key, value)) = map.next_entry()? {
                    if pairs.iter().any(|(known, _)| *known == key) {
                        return Err(A::Error::custom(format!("the key `{key}` comes twice")));
                    }
                    pairs.push((key, value));
                }
                Ok(Ordered(pairs))
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

impl Ordered {
    fn get(&self, key: &str) -> Option<&RawValue> {
        let found = self.0.iter().find(|(known, _)| known == key);
        found.map(|(_, value)| &**value)
    }

    fn set(&mut self, key: &str, value: Box<RawValue>) {
        match self.0.iter_mut().find(|(known, _)| known == key) {
            Some((_, old)) => *old = value,
            None => self.0.push((key.to_owned(), value)),
        }
    }

    /// As text, each key on a line that is indented so far.
    fn text(&self, indent: usize) -> String {
        if self.0.is_empty() {
            return "{}".to_owned();
        }
        let space = " ".repeat(indent);
        let lines: Vec<_> = self
            .0
            .iter()
            .map(|(key, value)| format!("{space}  {}: {}", Value::from(key.as_str()), value.get()))
            .collect();
        format!("{{\n{}\n{space}}}", lines.join(",\n"))
    }
}

/// The file with this entry below `section` in place of one of the same name.
///
/// # Errors
/// The file, or its section, is not an object.
pub(super) fn with_entry(
    text: &str,
    section: &str,
    name: &str,
    entry: &Value,
) -> Result<String, serde_json::Error> {
    let mut file: Ordered = if text.trim().is_empty() {
        Ordered::default()
    } else {
        serde_json::from_str(text)?
    };
    let mut entries: Ordered = match file.get(section) {
        Some(entries) => serde_json::from_str(entries.get())?,
        None => Ordered::default(),
    };
    let pretty = serde_json::to_string_pretty(entry)?.replace('\n', "\n    ");
    entries.set(name, RawValue::from_string(pretty)?);
    file.set(section, RawValue::from_string(entries.text(2))?);
    let mut text = file.text(0);
    text.push('\n');
    Ok(text)
}

/// The entry of this name below `section`.
pub(super) fn entry(text: &str, section: &str, name: &str) -> Option<Value> {
    let file: Value = serde_json::from_str(text).ok()?;
    Some(file.get(section)?.get(name)?.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn everything_else_stays_as_it_is_in_its_order() {
        let before = r#"{
  "zoom":   1.50,
  "mcpServers": {"other": {"command": "x",  "args": []}, "skep": {"command": "old"}},
  "about": {"b": 1, "a": 2}
}"#;
        let entry = json!({"command": "/bin/skep", "args": ["mcp"]});
        let after = with_entry(before, "mcpServers", "skep", &entry).unwrap();
        for kept in [
            r#""zoom": 1.50"#,
            r#""other": {"command": "x",  "args": []}"#,
            r#""about": {"b": 1, "a": 2}"#,
        ] {
            assert!(after.contains(kept), "{kept}: {after}");
        }
        assert!(after.find("zoom") < after.find("mcpServers"));
        assert!(!after.contains("old"), "{after}");
        assert_eq!(
            super::entry(&after, "mcpServers", "skep"),
            Some(entry.clone())
        );
        let again = with_entry(&after, "mcpServers", "skep", &entry).unwrap();
        assert_eq!(again, after);
    }

    #[test]
    fn a_new_file_holds_the_entry_alone() {
        let entry = json!({"command": "s"});
        let text = with_entry("", "servers", "skep", &entry).unwrap();
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read, json!({"servers": {"skep": {"command": "s"}}}));
    }

    #[test]
    fn a_file_of_another_form_is_refused() {
        for text in [
            "[]",
            "{",
            "{\"servers\": 1}",
            "{\"a\": 1, \"a\": 2}",
            "// c\n{}",
        ] {
            assert!(
                with_entry(text, "servers", "skep", &json!({})).is_err(),
                "{text}"
            );
        }
    }
}
