//! Listings, histories and searches.

use super::super::Session;
use super::entry_path;
use crate::api::{Api, items, path};
use crate::args::MemoryCommand;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{bytes, note, table, text};
use serde_json::{Value, json};
use skep_client::with_query;
use skep_model::limits::PAGE_ITEMS_MAX;
use std::fmt::Write as _;

pub(super) async fn run(session: &Session, api: &Api, command: MemoryCommand) -> Outcome {
    match command {
        MemoryCommand::List {
            namespace,
            prefix,
            tags,
            since,
            until,
            limit,
        } => {
            let tags = Some(tags.join(",")).filter(|tags| !tags.is_empty());
            let filters = [
                ("prefix", prefix),
                ("tags", tags),
                ("since", since),
                ("until", until),
            ];
            let page = all(api, &path(&["memory", &namespace]), &filters, limit).await?;
            session.output.document(&page, entry_table)?;
        }
        MemoryCommand::History { entry, limit } => {
            let page = all(api, &entry_path(&entry, "history"), &[], limit).await?;
            session.output.document(&page, version_table)?;
        }
        MemoryCommand::Search {
            words,
            namespace,
            prefix,
            limit,
        } => {
            let q = Some(words.join(" "));
            let filters = [("q", q), ("namespace", namespace), ("prefix", prefix)];
            let page = all(api, "/api/v2/memory-search", &filters, limit).await?;
            session.output.document(&page, hit_text)?;
        }
        _ => {}
    }
    Ok(Exit::Ok)
}

/// All items of a listing up to `limit`, page after page. What the pages say beside their items is
/// that of the last one.
pub(super) async fn all(
    api: &Api,
    path: &str,
    filters: &[(&str, Option<String>)],
    limit: usize,
) -> Result<Value, Failure> {
    let mut found: Vec<Value> = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let size = (limit - found.len()).clamp(1, PAGE_ITEMS_MAX).to_string();
        let given = filters.iter();
        let given = given.filter_map(|(name, value)| Some((*name, value.as_deref()?)));
        let place = cursor.as_deref().map(|cursor| ("cursor", cursor));
        let query = given.chain([("limit", size.as_str())]).chain(place);
        let mut page = api.get(&with_query(path, query)).await?;
        found.extend(items(&page).iter().cloned());
        let next = page["next_cursor"].as_str().map(str::to_owned);
        if next.is_none() || found.len() >= limit {
            if next.is_some() {
                note(&format!("there are more; --limit {limit} was reached"));
            }
            found.truncate(limit);
            page["items"] = json!(found);
            return Ok(page);
        }
        cursor = next;
    }
}

/// Entries as a table.
pub(super) fn entry_table(page: &Value) -> String {
    let rows = items(page).iter().map(|entry| {
        vec![
            text(entry, "/key"),
            text(entry, "/version"),
            bytes(entry["bytes"].as_u64().unwrap_or(0)),
            text(entry, "/written_at"),
            text(entry, "/expires_at"),
            words(&entry["tags"]),
        ]
    });
    table(&["key", "version", "size", "written", "ends", "tags"], rows)
}

/// The texts of a list, or a dash.
fn words(list: &Value) -> String {
    let words = list.as_array().into_iter().flatten();
    let words: Vec<_> = words.map(crate::output::shown).collect();
    if words.is_empty() {
        return "-".to_owned();
    }
    words.join(" ")
}

fn version_table(page: &Value) -> String {
    let rows = items(page).iter().map(|version| {
        let mut row: Vec<_> = ["/version", "/state", "/written_at", "/task", "/why"]
            .map(|field| text(version, field))
            .to_vec();
        row.insert(2, bytes(version["value_bytes"].as_u64().unwrap_or(0)));
        row
    });
    table(
        &["version", "state", "size", "written", "task", "why"],
        rows,
    )
}

fn hit_text(page: &Value) -> String {
    let rows = items(page).iter().map(|hit| {
        ["/namespace", "/key", "/version", "/snippet"]
            .map(|field| text(hit, field))
            .to_vec()
    });
    let mut shown = table(&["namespace", "key", "version", "found"], rows);
    if let Some(behind) = page["behind"].as_u64().filter(|behind| *behind > 0) {
        // Writing to a string cannot fail.
        let _ = write!(shown, "\n{behind} new versions are not searched yet");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_listed_with_version_size_and_tags() {
        let page = json!({"items": [
            {"key": "a b", "version": 7, "bytes": 2048, "tags": ["x", "y"]},
        ]});
        let shown = entry_table(&page);
        let words: Vec<_> = shown.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(words, ["a", "b", "7", "2.0", "KiB", "-", "-", "x", "y"]);
    }
}
