//! The declarations against the contract itself.

use super::contract::Group;
use super::not_served::NOT_SERVED;
use super::{resources, served};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Tools of the contract; three of them came with 2.7.
const CONTRACT_TOOLS: usize = 90;

fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn contract(kind: &str) -> Vec<Value> {
    let text = include_str!("../../../../tests/contracts/claude-flow-mcp.json");
    let all = read(text);
    let all = all.as_array().unwrap().iter();
    all.filter(|entry| entry["kind"] == kind).cloned().collect()
}

fn name(entry: &Value) -> String {
    entry["name"].as_str().unwrap().to_owned()
}

#[test]
fn every_tool_of_the_contract_is_either_served_or_has_a_reason() {
    let tools = contract("tool");
    assert_eq!(tools.len(), CONTRACT_TOOLS);
    let all: BTreeSet<_> = tools.iter().map(name).collect();
    let of_contract = served().filter(|tool| tool.group != Group::Alias);
    let listed: Vec<_> = of_contract.map(|tool| tool.name.to_owned()).collect();
    let left_out: Vec<_> = NOT_SERVED
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect();
    let declared: BTreeSet<_> = listed.iter().chain(&left_out).cloned().collect();
    assert_eq!(declared.len(), listed.len() + left_out.len(), "one is both");
    assert_eq!(declared, all);
}

#[test]
fn a_served_tool_has_the_schema_of_the_contract() {
    for entry in contract("tool") {
        let Some(tool) = served().find(|tool| tool.name == entry["name"]) else {
            continue;
        };
        let tool = tool.tool();
        let mut properties = Map::new();
        let mut required = Vec::new();
        for parameter in entry["params"].as_array().unwrap() {
            properties.insert(name(parameter), of_parameter(parameter));
            if parameter["required"] == true {
                required.push(name(parameter));
            }
        }
        let expected = json!({
            "type": "object", "properties": properties, "required": required,
        });
        let mut served = Value::Object((*tool.input_schema).clone());
        for property in served["properties"].as_object_mut().unwrap().values_mut() {
            // Words for the model, which the contract does not have.
            property.as_object_mut().unwrap().remove("description");
        }
        assert_eq!(without_items(served), expected, "{}", tool.name);
    }
}

/// The contract has lists without `items`, which strict clients refuse: the one known correction.
fn without_items(mut schema: Value) -> Value {
    for property in schema["properties"].as_object_mut().unwrap().values_mut() {
        if property["type"] == "array" {
            let items = property.as_object_mut().unwrap().remove("items");
            assert!(items.is_some_and(|items| items.is_object()), "{property}");
        }
    }
    schema
}

fn of_parameter(parameter: &Value) -> Value {
    let mut schema = json!({ "type": parameter["type"] });
    for key in ["enum", "default"] {
        if let Some(value) = parameter.get(key) {
            schema[key] = value.clone();
        }
    }
    schema
}

#[test]
fn aliases_are_names_that_texts_of_the_original_call() {
    let extras = read(include_str!(
        "../../../../tests/contracts/claude-flow-extras.json"
    ));
    let phantoms = extras["phantom_tools"].as_array().unwrap();
    let phantoms: BTreeSet<_> = phantoms.iter().map(name).collect();
    let aliases: Vec<_> = served().filter(|tool| tool.group == Group::Alias).collect();
    assert!(!aliases.is_empty());
    for alias in aliases {
        assert!(phantoms.contains(alias.name), "{}", alias.name);
    }
}

#[test]
fn resources_have_the_addresses_of_the_contract() {
    let known: BTreeSet<_> = contract("resource")
        .iter()
        .map(|entry| (entry["uri"].as_str().unwrap().to_owned(), name(entry)))
        .collect();
    for (uri, name, _) in resources::SERVED {
        assert!(known.contains(&(uri.to_owned(), name.to_owned())), "{uri}");
    }
}

#[test]
fn a_tool_that_is_not_served_is_refused_by_its_reason_and_a_stranger_as_such() {
    for (name, reason) in NOT_SERVED {
        let error = super::refusal(name);
        assert_eq!(error.data.unwrap()["code"], "mcp_tool_not_served");
        assert!(error.message.contains(reason), "{name}");
    }
    let error = super::refusal("swarm_dance");
    assert_eq!(error.data.unwrap()["code"], "mcp_tool_unknown");
}

#[test]
fn descriptions_are_sentences() {
    for tool in served() {
        assert!(tool.about.ends_with('.'), "{}", tool.name);
        assert!(tool.about.len() <= 120, "{}", tool.name);
    }
}
