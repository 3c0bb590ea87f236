//! The configuration file of the coordinator.

use super::call::{Call, Failure, Outcome};
use super::contract::{ContractTool, Effect, Group, map, text};
use serde_json::{Map, Value, json};

pub(super) static TOOLS: &[ContractTool] = &[ContractTool {
    name: "config_manage",
    group: Group::System,
    about: "Gets, lists, validates and sets settings of the coordinator's configuration file.",
    parameters: &[
        text("action", "get, list, validate or set.").required(),
        map(
            "config",
            "Settings by name: of validate and set with values, of get with anything.",
        ),
    ],
    effect: Effect::Writes,
    handle: |call| Box::pin(manage(call)),
}];

async fn manage(call: Call) -> Outcome {
    let action = call.required_text("action")?;
    let config = call.value("config").and_then(Value::as_object);
    let mut document = match action {
        "list" => listed(&call).await?,
        "get" => get(&call, named(config)?).await?,
        "validate" => {
            let wanted = json!({ "settings": named(config)? });
            call.operate("config.validate", wanted).await?
        }
        "set" => {
            let wanted = json!({ "settings": named(config)? });
            call.operate("config.set", wanted).await?
        }
        other => {
            let detail =
                format!("`action` is `{other}`; want one of `get`, `list`, `validate`, `set`");
            return Err(Failure::argument(detail));
        }
    };
    document["action"] = json!(action);
    Ok(document)
}

fn named(config: Option<&Map<String, Value>>) -> Result<&Map<String, Value>, Failure> {
    let named = config.filter(|config| !config.is_empty());
    named.ok_or_else(|| Failure::argument("`config` names no setting: give {name: value}"))
}

async fn listed(call: &Call) -> Outcome {
    let found = call.operate("config.get", json!({})).await?;
    Ok(json!({ "file": found["file"], "config": found["settings"] }))
}

async fn get(call: &Call, names: &Map<String, Value>) -> Outcome {
    let found = call.operate("config.get", json!({})).await?;
    let settings = found["settings"].as_array().map_or(&[][..], Vec::as_slice);
    let mut wanted = Vec::new();
    for name in names.keys() {
        let setting = settings.iter().find(|setting| setting["key"] == **name);
        let setting = setting.ok_or_else(|| {
            let known: Vec<_> = settings
                .iter()
                .filter_map(|setting| setting["key"].as_str())
                .collect();
            let detail = format!(
                "no setting is called `{name}`; want `{}`",
                known.join("`, `")
            );
            Failure::argument(detail)
        })?;
        wanted.push(setting.clone());
    }
    Ok(json!({ "file": found["file"], "config": wanted }))
}
