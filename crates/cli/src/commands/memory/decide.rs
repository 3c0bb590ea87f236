//! What operators and people decide: namespaces, and values that wait.

use super::super::Session;
use super::look::{all, entry_table};
use super::{entry_path, given_value, keyed, value_text, written_text};
use crate::api::{Api, items, path};
use crate::args::{EntryArgs, MemoryCommand, NamespaceArgs};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{bytes, table, text};
use serde_json::{Map, Value, json};
use skep_client::Method;
use skep_model::limits::NAMESPACES_MAX;

pub(super) async fn run(session: &Session, api: &Api, command: MemoryCommand) -> Outcome {
    match command {
        MemoryCommand::Conflicts {
            namespace,
            key: None,
        } => {
            let filters = [("namespace", Some(namespace))];
            let page = all(api, "/api/v2/memory-conflicts", &filters, usize::MAX).await?;
            session.output.document(&page, entry_table)?;
        }
        MemoryCommand::Conflicts {
            namespace,
            key: Some(key),
        } => {
            let entry = EntryArgs { namespace, key };
            let dispute = api.get(&entry_path(&entry, "conflicts")).await?;
            session.output.document(&dispute, dispute_text)?;
        }
        MemoryCommand::Resolve {
            entry,
            take,
            value,
            if_version,
            why,
        } => {
            let put = value.map(|value| json!({ "value": given_value(&value) }));
            let body = json!({"take": take, "put": put, "if_version": if_version, "why": why});
            let path = entry_path(&entry, "resolve");
            let answer = keyed(api, Method::POST, &path, &body, None).await?;
            session.output.document(&answer, written_text)?;
        }
        _ => {}
    }
    Ok(Exit::Ok)
}

fn dispute_text(dispute: &Value) -> String {
    let one = |title: &str, version: &Value| {
        let head = format!(
            "{title} version {}, {}",
            text(version, "/version"),
            text(version, "/written_at")
        );
        format!("{head}\n{}", value_text(version))
    };
    let mut parts = vec![one("present", &dispute["present"])];
    let open = dispute["open"].as_array().into_iter().flatten();
    parts.extend(open.map(|version| one("waits:", version)));
    parts.join("\n\n")
}

pub(super) async fn namespaces(session: &Session, api: &Api, args: NamespaceArgs) -> Outcome {
    let Some(namespace) = &args.namespace else {
        let page = all(api, "/api/v2/memory-namespaces", &[], NAMESPACES_MAX).await?;
        session.output.document(&page, namespace_table)?;
        return Ok(Exit::Ok);
    };
    let path = path(&["memory-namespaces", namespace]);
    let change = change(&args)?;
    let shown = if change.is_empty() {
        api.get(&path).await?
    } else {
        api.put(&path, &Value::Object(change)).await?
    };
    session.output.document(&shown, |namespace| {
        let settings = &namespace["settings"];
        let table = namespace_table(&json!({"items": [namespace]}));
        format!("{table}\n\nsettings: {settings}")
    })?;
    Ok(Exit::Ok)
}

/// What the flags change.
fn change(args: &NamespaceArgs) -> Result<Map<String, Value>, Failure> {
    let mut change = Map::new();
    let mut set = |name: &str, value: Option<Value>| {
        change.extend(value.map(|value| (name.to_owned(), value)));
    };
    set("entries_max", args.entries_max.map(Value::from));
    set("bytes_max", args.bytes_max.map(Value::from));
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
        let restricted = namespace.pointer("/settings/restricted") == Some(&json!(true));
        vec![
            text(namespace, "/namespace"),
            text(namespace, "/entries"),
            bytes(namespace["bytes"].as_u64().unwrap_or(0)),
            text(namespace, "/conflicts"),
            if restricted { "administrators" } else { "all" }.to_owned(),
        ]
    });
    table(
        &["namespace", "entries", "size", "conflicts", "open to"],
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
