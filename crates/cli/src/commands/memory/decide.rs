//! What people decide: between values that wait.

use super::super::Session;
use super::look::{all, entry_table};
use super::{entry_path, given_value, keyed, value_text, written_text};
use crate::api::Api;
use crate::args::{EntryArgs, MemoryCommand};
use crate::exit::{Exit, Outcome};
use crate::output::text;
use serde_json::{Value, json};
use skep_client::Method;

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
