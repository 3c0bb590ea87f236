//! Shared memory: values by namespace and key, with expiry, search and backup.

use super::call::{Call, Failure, Outcome};
use super::contract::{ContractTool, Effect, Group, number, text};
use super::swarm::items;
use serde_json::{Value, json};
use skep_model::memory::Namespace;
use skep_operations::{Timestamp, nearest_namespace};

/// The namespace when none is named.
pub(super) const NAMESPACE: &str = "default";
/// Hits of one search unless said.
const HITS_DEFAULT: u64 = 10;
/// Entries whose values one listing gives.
const LISTED_MAX: usize = 1_000;

pub(super) static TOOLS: &[ContractTool] = &[
    ContractTool {
        name: "memory_usage",
        group: Group::Memory,
        about: "Stores, retrieves, lists, deletes and searches values that the swarm shares.",
        parameters: &[
            text("action", "")
                .required()
                .one_of(&["store", "retrieve", "list", "delete", "search"]),
            text("key", "Of store, retrieve and delete; the words of search."),
            text("value", "Of store. A text that is JSON is kept as such."),
            text("namespace", "").or_text(NAMESPACE),
            number(
                "ttl",
                "Seconds that the value lives; for ever when left out.",
            ),
        ],
        effect: Effect::Removes,
        handle: |call| Box::pin(usage(call)),
    },
    ContractTool {
        name: "memory_search",
        group: Group::Memory,
        about: "Searches keys and values of one namespace or all for words; the best first.",
        parameters: &[
            text("pattern", "Words, all of which must occur.").required(),
            text("namespace", "All when left out."),
            number("limit", "").or_number(10),
        ],
        effect: Effect::Reads,
        handle: |call| Box::pin(search(call)),
    },
];

/// The namespace that a name stands for: itself when there can be one of this name, else the nearest
/// that can be, as for what is imported. `hooks:pre-task` is `hooks-pre-task`.
pub(super) fn namespace_of(name: &str) -> String {
    match name.parse::<Namespace>() {
        Ok(_) => name.to_owned(),
        Err(_) => nearest_namespace(name),
    }
}

async fn usage(call: Call) -> Outcome {
    let action = call.required_text("action")?;
    let namespace = &*namespace_of(call.text("namespace").unwrap_or(NAMESPACE));
    let mut document = match action {
        "store" => store(&call, namespace).await?,
        "retrieve" => retrieve(&call, namespace, call.required_text("key")?).await?,
        "delete" => delete(&call, namespace, call.required_text("key")?).await?,
        "list" => listed(&call, namespace).await?,
        _ => {
            let words = call
                .required_text("key")
                .or_else(|_| call.required_text("value"))?;
            let hits = found(&call, words, Some(namespace), HITS_DEFAULT).await?;
            json!({ "pattern": words, "count": hits.len(), "results": hits })
        }
    };
    document["action"] = json!(action);
    document["namespace"] = json!(namespace);
    document["storage_type"] = json!("skep");
    Ok(document)
}

pub(super) async fn store(call: &Call, namespace: &str) -> Outcome {
    let key = call.required_text("key")?;
    let given = call.required_text("value")?;
    // As the original gives it back: a text that is JSON as what it says.
    let value = serde_json::from_str(given).unwrap_or_else(|_| json!(given));
    let mut arguments = json!({ "namespace": namespace, "key": key, "value": value });
    if let Some(seconds) = call.count("ttl")? {
        arguments["ttl_s"] = json!(seconds);
    }
    let stored = call.operate("memory.put", arguments).await?;
    Ok(json!({
        "key": key,
        "stored": true,
        "size": given.len(),
        "id": format!("{namespace}/{key}@{}", stored["version"]),
        "version": stored["version"],
        "appliedIndex": stored["applied_index"],
    }))
}

pub(super) async fn retrieve(call: &Call, namespace: &str, key: &str) -> Outcome {
    let arguments = json!({ "namespace": namespace, "key": key });
    match call.operate("memory.get", arguments).await {
        Ok(entry) => {
            let value = ["value", "base64", "artifact"]
                .iter()
                .find_map(|form| entry.get(*form));
            Ok(json!({
                "key": key,
                "found": true,
                "value": value,
                "version": entry["version"],
                "expiresAt": entry["expires_at"],
            }))
        }
        Err(failure) if failure.is_not_found() => {
            Ok(json!({ "key": key, "found": false, "value": null }))
        }
        Err(failure) => Err(failure),
    }
}

pub(super) async fn delete(call: &Call, namespace: &str, key: &str) -> Outcome {
    let arguments = json!({ "namespace": namespace, "key": key });
    match call.operate("memory.delete", arguments).await {
        Ok(_) => Ok(json!({ "key": key, "deleted": true })),
        Err(failure) if failure.is_not_found() => Ok(json!({ "key": key, "deleted": false })),
        Err(failure) => Err(failure),
    }
}

/// Entries without values, and whether these are all; none of a namespace that was never used.
pub(super) async fn heads(call: &Call, namespace: &str) -> Result<(Vec<Value>, bool), Failure> {
    match items(
        &call.caller,
        "memory.list",
        &json!({ "namespace": namespace }),
    )
    .await
    {
        Err(failure) if failure.is_not_found() => Ok((Vec::new(), true)),
        other => other,
    }
}

pub(super) async fn listed(call: &Call, namespace: &str) -> Outcome {
    let (heads, complete) = heads(call, namespace).await?;
    let mut entries = Vec::new();
    for head in heads.iter().take(LISTED_MAX) {
        let key = head["key"].as_str().unwrap_or_default();
        let entry = retrieve(call, namespace, key).await?;
        // One that ended between the two looks is not there.
        if entry["found"] == true {
            entries.push(json!({
                "key": key,
                "value": entry["value"],
                "namespace": namespace,
                "metadata": head["metadata"],
                "updatedAt": head["written_at"],
                "expiresAt": head["expires_at"],
                "version": head["version"],
            }));
        }
    }
    Ok(json!({
        "count": entries.len(),
        "total": heads.len(),
        "complete": complete && heads.len() <= LISTED_MAX,
        "entries": entries,
    }))
}

async fn search(call: Call) -> Outcome {
    let pattern = call.required_text("pattern")?;
    let namespace = call.text("namespace").map(namespace_of);
    let namespace = namespace.as_deref();
    let limit = call.count("limit")?.unwrap_or(HITS_DEFAULT);
    let hits = found(&call, pattern, namespace, limit).await?;
    Ok(json!({
        "pattern": pattern,
        "namespace": namespace.unwrap_or("all"),
        "count": hits.len(),
        "results": hits,
    }))
}

/// Entries that hold all words, with their values.
async fn found(
    call: &Call,
    words: &str,
    namespace: Option<&str>,
    limit: u64,
) -> Result<Vec<Value>, Failure> {
    let mut arguments = json!({ "q": words, "limit": limit });
    if let Some(namespace) = namespace {
        arguments["namespace"] = json!(namespace);
    }
    let page = match call.operate("memory.search", arguments).await {
        Err(failure) if failure.is_not_found() => return Ok(Vec::new()),
        other => other?,
    };
    let mut results = Vec::new();
    for hit in page["items"].as_array().into_iter().flatten() {
        let text = |key: &str| hit[key].as_str().unwrap_or_default();
        let entry = retrieve(call, text("namespace"), text("key")).await?;
        results.push(json!({
            "key": hit["key"],
            "namespace": hit["namespace"],
            "value": entry["value"],
            "snippet": hit["snippet"],
            "score": hit["score"],
            "updatedAt": hit["written_at"],
        }));
    }
    Ok(results)
}

/// The present time, as documents have it.
pub(super) fn now(call: &Call) -> String {
    Timestamp(call.caller.services.now()).to_string()
}
