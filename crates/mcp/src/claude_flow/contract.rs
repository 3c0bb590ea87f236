//! How a tool of the contract is declared: its name, its parameters and what it does; and the check
//! of what a caller gives it.

use super::call::{Call, Outcome};
use crate::toolset::object;
use futures_util::future::BoxFuture;
use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// What changes when a tool is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing.
    Reads,
    /// Something is added or changed.
    Writes,
    /// Something may be gone afterwards.
    Removes,
}

/// A tool of the contract that is served.
#[derive(Debug)]
pub(crate) struct ContractTool {
    pub(super) name: &'static str,
    pub(super) group: Group,
    /// For the model that chooses among tools.
    pub(super) about: &'static str,
    pub(super) parameters: &'static [Parameter],
    pub(super) effect: Effect,
    pub(super) handle: fn(Call) -> BoxFuture<'static, Outcome>,
}

/// The groups of the contract, and those names that only its texts use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Group {
    Swarm,
    Memory,
    Task,
    Analysis,
    Workflow,
    Agents,
    System,
    Alias,
}

impl Group {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Swarm => "swarm",
            Self::Memory => "memory",
            Self::Task => "task",
            Self::Analysis => "analysis",
            Self::Workflow => "workflow",
            Self::Agents => "agents (daa)",
            Self::System => "system",
            Self::Alias => "alias",
        }
    }
}

/// What a parameter holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Number,
    Flag,
    Object,
    /// A list; what is in it, as JSON Schema calls it, or anything.
    List(Option<&'static str>),
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Number => "number",
            Self::Flag => "boolean",
            Self::Object => "object",
            Self::List(_) => "array",
        }
    }

    fn admits(self, value: &Value) -> bool {
        match self {
            Self::Text => value.is_string(),
            Self::Number => value.is_number(),
            Self::Flag => value.is_boolean(),
            Self::Object => value.is_object(),
            Self::List(items) => value.as_array().is_some_and(|list| {
                let fits = |item: &Value| match items {
                    Some("string") => item.is_string(),
                    Some("object") => item.is_object(),
                    _ => true,
                };
                list.iter().all(fits)
            }),
        }
    }

    fn wanted(self) -> String {
        match self {
            Self::List(Some(items)) => format!("an array of {items}s"),
            Self::List(None) => "an array".to_owned(),
            Self::Object => "an object".to_owned(),
            other => format!("a {}", other.as_str()),
        }
    }
}

/// What a parameter is when it is left out.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Default {
    Text(&'static str),
    Number(u32),
}

impl Default {
    fn value(self) -> Value {
        match self {
            Self::Text(text) => json!(text),
            Self::Number(number) => json!(number),
        }
    }
}

/// A parameter of a tool.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    kind: Kind,
    about: &'static str,
    is_required: bool,
    choices: &'static [&'static str],
    default: Option<Default>,
    is_listed: bool,
}

const fn parameter(name: &'static str, kind: Kind, about: &'static str) -> Parameter {
    Parameter {
        name,
        kind,
        about,
        is_required: false,
        choices: &[],
        default: None,
        is_listed: true,
    }
}

pub(super) const fn text(name: &'static str, about: &'static str) -> Parameter {
    parameter(name, Kind::Text, about)
}

pub(super) const fn number(name: &'static str, about: &'static str) -> Parameter {
    parameter(name, Kind::Number, about)
}

pub(super) const fn flag(name: &'static str, about: &'static str) -> Parameter {
    parameter(name, Kind::Flag, about)
}

pub(super) const fn map(name: &'static str, about: &'static str) -> Parameter {
    parameter(name, Kind::Object, about)
}

/// A list of anything.
pub(super) const fn list(name: &'static str, about: &'static str) -> Parameter {
    parameter(name, Kind::List(None), about)
}

/// A list of texts.
pub(super) const fn texts(name: &'static str, about: &'static str) -> Parameter {
    parameter(name, Kind::List(Some("string")), about)
}

impl Parameter {
    pub(super) const fn required(self) -> Self {
        Self {
            is_required: true,
            ..self
        }
    }

    pub(super) const fn one_of(self, choices: &'static [&'static str]) -> Self {
        Self { choices, ..self }
    }

    pub(super) const fn or_text(self, default: &'static str) -> Self {
        Self {
            default: Some(Default::Text(default)),
            ..self
        }
    }

    pub(super) const fn or_number(self, default: u32) -> Self {
        Self {
            default: Some(Default::Number(default)),
            ..self
        }
    }

    /// The original reads it without saying so; it is taken and not listed.
    pub(super) const fn unlisted(self) -> Self {
        Self {
            is_listed: false,
            ..self
        }
    }

    fn schema(&self) -> Value {
        let mut schema = Map::new();
        schema.insert("type".to_owned(), json!(self.kind.as_str()));
        if !self.about.is_empty() {
            schema.insert("description".to_owned(), json!(self.about));
        }
        if !self.choices.is_empty() {
            schema.insert("enum".to_owned(), json!(self.choices));
        }
        if let Some(default) = self.default {
            schema.insert("default".to_owned(), default.value());
        }
        if let Kind::List(items) = self.kind {
            let items = items.map_or_else(|| json!({}), |kind| json!({ "type": kind }));
            schema.insert("items".to_owned(), items);
        }
        Value::Object(schema)
    }

    /// Says what is wrong with a value.
    fn check(&self, value: &Value) -> Result<(), String> {
        let name = self.name;
        if !self.kind.admits(value) {
            return Err(format!("`{name}` should be {}", self.kind.wanted()));
        }
        let given = value.as_str().unwrap_or_default();
        if self.choices.is_empty() || self.choices.contains(&given) {
            return Ok(());
        }
        let choices = self.choices.join("`, `");
        Err(format!("`{name}` is `{given}`; want one of `{choices}`"))
    }
}

impl ContractTool {
    /// As `tools/list` shows it.
    pub(crate) fn tool(&self) -> Tool {
        let output = json!({
            "type": "object",
            "properties": {
                "success": { "type": "boolean" },
                "timestamp": { "type": "string" },
            },
            "required": ["success", "timestamp"],
        });
        let annotations = match self.effect {
            Effect::Reads => ToolAnnotations::new().read_only(true),
            Effect::Writes => ToolAnnotations::new().destructive(false),
            Effect::Removes => ToolAnnotations::new().destructive(true),
        };
        Tool::new(self.name, self.about, Arc::new(self.input()))
            .with_raw_output_schema(Arc::new(object(output)))
            .with_annotations(annotations)
    }

    fn input(&self) -> JsonObject {
        let listed = || self.parameters.iter().filter(|known| known.is_listed);
        let properties: Map<String, Value> = listed()
            .map(|known| (known.name.to_owned(), known.schema()))
            .collect();
        let required: Vec<_> = listed()
            .filter(|known| known.is_required)
            .map(|known| known.name)
            .collect();
        object(json!({
            "type": "object", "properties": properties, "required": required,
        }))
    }

    /// Puts in what was left out, and gives the names of arguments that nothing is done with.
    ///
    /// # Errors
    /// A sentence about each argument that is missing or cannot be used.
    pub(super) fn check(
        &self,
        mut arguments: Map<String, Value>,
    ) -> Result<(Map<String, Value>, Vec<String>), String> {
        arguments.retain(|_, value| !value.is_null());
        let mut wrong = Vec::new();
        for known in self.parameters {
            match (arguments.get(known.name), known.default) {
                (Some(value), _) => wrong.extend(known.check(value).err()),
                (None, Some(default)) => {
                    arguments.insert(known.name.to_owned(), default.value());
                }
                (None, None) if known.is_required => {
                    wrong.push(format!("`{}` is missing", known.name));
                }
                (None, None) => {}
            }
        }
        if !wrong.is_empty() {
            return Err(wrong.join("; "));
        }
        let is_known = |name: &String| self.parameters.iter().any(|known| known.name == name);
        let ignored = arguments.keys().filter(|name| !is_known(name)).cloned();
        let ignored: Vec<_> = ignored.collect();
        arguments.retain(|name, _| is_known(name));
        Ok((arguments, ignored))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOOL: ContractTool = ContractTool {
        name: "example",
        group: Group::System,
        about: "An example.",
        parameters: &[
            text("kind", "").required().one_of(&["a", "b"]),
            number("limit", "At most so many.").or_number(10),
            texts("words", ""),
            map("more", ""),
            flag("verbose", "").unlisted(),
        ],
        effect: Effect::Reads,
        handle: |_| Box::pin(async { Ok(json!({})) }),
    };

    fn check(arguments: Value) -> Result<(Value, Vec<String>), String> {
        let checked = TOOL.check(object(arguments))?;
        Ok((Value::Object(checked.0), checked.1))
    }

    #[test]
    fn arguments_are_checked_completed_and_what_is_unknown_is_named() {
        assert_eq!(
            check(json!({"kind": "a"})),
            Ok((json!({"kind": "a", "limit": 10}), vec![]))
        );
        assert_eq!(
            check(json!({"kind": "b", "limit": 2, "verbose": true, "colour": 1, "more": null})),
            Ok((
                json!({"kind": "b", "limit": 2, "verbose": true}),
                vec!["colour".to_owned()]
            ))
        );
    }

    #[test]
    fn what_is_wrong_is_said_of_all_arguments_at_once() {
        for (arguments, said) in [
            (json!({}), "`kind` is missing"),
            (json!({"kind": "c"}), "`kind` is `c`; want one of `a`, `b`"),
            (json!({"kind": 1}), "`kind` should be a string"),
            (
                json!({"kind": "a", "limit": "2", "words": [1]}),
                "`limit` should be a number; `words` should be an array of strings",
            ),
            (
                json!({"kind": "a", "more": []}),
                "`more` should be an object",
            ),
        ] {
            assert_eq!(check(arguments), Err(said.to_owned()));
        }
    }

    #[test]
    fn the_schema_lists_what_is_listed() {
        let schema = Value::Object(TOOL.input());
        assert_eq!(schema["required"], json!(["kind"]));
        let properties = &schema["properties"];
        assert_eq!(
            properties["kind"],
            json!({"type": "string", "enum": ["a", "b"]})
        );
        assert_eq!(
            properties["words"],
            json!({"type": "array", "items": {"type": "string"}})
        );
        assert!(properties.get("verbose").is_none());
    }
}
