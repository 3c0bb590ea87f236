//! Listings, histories and searches.

use super::super::Session;
use super::change::embedding_of;
use super::entry_path;
use crate::api::{Api, items, path};
use crate::args::{MemoryCommand, NearArgs};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{bytes, note, plural, table, text};
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
        MemoryCommand::Near(args) => near(session, api, args).await?,
        _ => {}
    }
    Ok(Exit::Ok)
}

async fn near(session: &Session, api: &Api, args: NearArgs) -> Result<(), Failure> {
    let mut body = json!({
        "namespace": args.namespace,
        "prefix": args.prefix.unwrap_or_default(),
        "limit": args.limit,
    });
    match &args.embedding {
        Some(file) => {
            body["embedding"] = embedding_of(file)?;
            body["embedding_model"] = json!(args.model);
        }
        None => body["text"] = json!(args.words.join(" ")),
    }
    let answer = api.post("/api/v2/memory-near", &body).await?;
    session.output.document(&answer, near_text)?;
    Ok(())
}

fn near_text(answer: &Value) -> String {
    let rows = items(answer).iter().map(|entry| {
        let similarity = entry["similarity"].as_f64().unwrap_or(0.0);
        vec![
            text(entry, "/namespace"),
            text(entry, "/key"),
            text(entry, "/version"),
            format!("{similarity:.3}"),
        ]
    });
    let mut shown = table(&["namespace", "key", "version", "similarity"], rows);
    if let Some(others) = answer["incomparable"].as_u64().filter(|others| *others > 0) {
        let entries = plural(others, "entry has", "entries have");
        // Writing to a string cannot fail.
        let _ = write!(shown, "\n{entries} an embedding that cannot be compared");
    }
    shown.push_str(&behind_text(answer));
    shown
}

/// What was written too lately to be found.
fn behind_text(answer: &Value) -> String {
    match answer["behind"].as_u64() {
        None | Some(0) => String::new(),
        Some(behind) => {
            let versions = plural(behind, "new version is", "new versions are");
            format!("\n{versions} not searched yet")
        }
    }
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
    shown.push_str(&behind_text(page));
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_searched_yet_is_counted_in_good_grammar() {
        for (behind, expected) in [
            (json!(0), ""),
            (json!(1), "\n1 new version is not searched yet"),
            (json!(2), "\n2 new versions are not searched yet"),
        ] {
            assert_eq!(behind_text(&json!({ "behind": behind })), expected);
        }
    }

    #[test]
    fn what_is_near_is_listed_with_what_was_left_out() {
        let answer = json!({
            "items": [{"namespace": "swarm", "key": "a", "version": 3, "similarity": 0.98765}],
            "incomparable": 1, "behind": 0,
        });
        let shown = near_text(&answer);
        assert!(shown.contains("0.988"), "{shown}");
        assert!(
            shown.ends_with("1 entry has an embedding that cannot be compared"),
            "{shown}"
        );
    }

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
