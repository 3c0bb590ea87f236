//! What operators say about namespaces.

use super::super::Session;
use super::look::all;
use crate::api::{Api, items, path};
use crate::args::{NamespaceCommand, NamespaceSettingArgs};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{bytes, table, text};
use serde_json::{Map, Value, json};
use skep_model::limits::NAMESPACES_MAX;

pub(super) async fn run(session: &Session, api: &Api, command: NamespaceCommand) -> Outcome {
    let shown = match command {
        NamespaceCommand::List => {
            let page = all(api, "/api/v2/memory-namespaces", &[], NAMESPACES_MAX).await?;
            session.output.document(&page, namespace_table)?;
            return Ok(Exit::Ok);
        }
        NamespaceCommand::Show { namespace } => {
            api.get(&path(&["memory-namespaces", &namespace])).await?
        }
        NamespaceCommand::Set(args) => {
            let change = Value::Object(change(&args.settings)?);
            api.put(&path(&["memory-namespaces", &args.namespace]), &change)
                .await?
        }
    };
    session.output.document(&shown, |namespace| {
        let settings = &namespace["settings"];
        let table = namespace_table(&json!({"items": [namespace]}));
        format!("{table}\n\nsettings: {settings}")
    })?;
    Ok(Exit::Ok)
}

/// What the flags change.
fn change(args: &NamespaceSettingArgs) -> Result<Map<String, Value>, Failure> {
    let mut change = Map::new();
    let mut set = |name: &str, value: Option<Value>| {
        change.extend(value.map(|value| (name.to_owned(), value)));
    };
    set("entries_max", args.entries_max.map(Value::from));
    set("bytes_max", args.bytes_max.map(Value::from));
    set("secret", args.secret.map(Value::from));
    set("restricted", args.restricted.map(Value::from));
    if !args.strategies.is_empty() {
        let rules = args.strategies.iter().map(|rule| strategy(rule));
        set("strategies", Some(rules.collect::<Result<_, _>>()?));
    }
    Ok(change)
}

fn strategy(text: &str) -> Result<Value, Failure> {
    let (prefix, name) = text.rsplit_once('=').ok_or_else(|| {
        let message = format!("--strategy `{text}` should look like PREFIX=STRATEGY");
        Failure::new(Exit::Invalid, "pair_malformed", message)
    })?;
    let strategy = match name {
        "set_union" | "counter" | "json_merge_patch" | "append" => json!({ "merge": name }),
        other => json!(other),
    };
    Ok(json!({"prefix": prefix, "strategy": strategy}))
}

fn namespace_table(page: &Value) -> String {
    let rows = items(page).iter().map(|namespace| {
        let says = |name: &str| namespace["settings"][name] == json!(true);
        vec![
            text(namespace, "/namespace"),
            text(namespace, "/entries"),
            bytes(namespace["bytes"].as_u64().unwrap_or(0)),
            text(namespace, "/conflicts"),
            if says("secret") { "sealed" } else { "open" }.to_owned(),
            if says("restricted") {
                "administrators"
            } else {
                "all"
            }
            .to_owned(),
        ]
    });
    table(
        &[
            "namespace",
            "entries",
            "size",
            "conflicts",
            "values",
            "open to",
        ],
        rows,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strategy_is_named_by_its_prefix() {
        for (given, expected) in [
            ("=manual", json!({"prefix": "", "strategy": "manual"})),
            (
                "a=b/=append",
                json!({"prefix": "a=b/", "strategy": {"merge": "append"}}),
            ),
        ] {
            assert_eq!(strategy(given).unwrap(), expected);
        }
        assert_eq!(strategy("manual").unwrap_err().code, "pair_malformed");
    }
}
