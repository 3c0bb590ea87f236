//! Namespaces, caches, checkpoints and figures of shared memory.

use super::call::{Call, Failure, Outcome};
use super::contract::{ContractTool, Effect, Group, number, text};
use super::memory::{delete, heads, namespace_of, now, retrieve, store};
use super::swarm::items;
use crate::fault::Fault;
use serde_json::{Value, json};

/// Where `cache_manage` keeps what it is given.
const CACHE: &str = "cache";
/// Where checkpoints of sessions are.
const SESSIONS: &str = "sessions";
/// A namespace is there as long as something is in it: what `create` puts there.
const MARK: &str = ".created";
/// Removals in one step.
const REMOVED_AT_ONCE: usize = 100;

pub(super) static TOOLS: &[ContractTool] = &[
    ContractTool {
        name: "memory_persist",
        group: Group::Memory,
        about: "Writes a checkpoint behind all earlier writes and waits until it is on disk.",
        parameters: &[text(
            "sessionId",
            "Whose checkpoint it is; all when left out.",
        )],
        effect: Effect::Writes,
        handle: |call| Box::pin(persist(call)),
    },
    ContractTool {
        name: "memory_namespace",
        group: Group::Memory,
        about: "Makes, lists, empties and measures namespaces of shared memory.",
        parameters: &[
            text(
                "namespace",
                "Its name; of list the beginning of names, or all.",
            )
            .required(),
            text("action", "create, list, delete or stats.").required(),
        ],
        effect: Effect::Removes,
        handle: |call| Box::pin(namespace(call)),
    },
    ContractTool {
        name: "memory_compress",
        group: Group::Memory,
        about: "Removes what is no longer kept and gives back its space on disk; measures both sides.",
        parameters: &[text(
            "namespace",
            "Whose old versions go; those of all when left out.",
        )],
        effect: Effect::Removes,
        handle: |call| Box::pin(compress(call)),
    },
    ContractTool {
        name: "memory_sync",
        group: Group::Memory,
        about: "Exchanges entries with another installation, which the configuration names; tells of conflicts.",
        parameters: &[text(
            "target",
            "The peer, by the name that the configuration gives it.",
        )
        .required()],
        effect: Effect::Removes,
        handle: |call| Box::pin(sync(call)),
    },
    ContractTool {
        name: "cache_manage",
        group: Group::Memory,
        about: "Gets, sets, clears and counts values of the namespace `cache`.",
        parameters: &[
            text("action", "get, set, clear or stats.").required(),
            text("key", "Of get and set; of clear all when left out."),
            text("value", "Of set.").unlisted(),
            number("ttl", "Of set.").unlisted(),
        ],
        effect: Effect::Removes,
        handle: |call| Box::pin(cache(call)),
    },
    ContractTool {
        name: "memory_analytics",
        group: Group::Memory,
        about: "Counts entries and bytes of each namespace, and what was written in a time.",
        parameters: &[text("timeframe", "Such as 1h, 24h or 7d; 24h unless said.")],
        effect: Effect::Reads,
        handle: |call| Box::pin(analytics(call)),
    },
];

/// All namespaces, as their operation shows them.
async fn namespaces(call: &Call, prefix: &str) -> Result<Vec<Value>, Failure> {
    let filter = json!({ "prefix": prefix });
    let (namespaces, _) = items(&call.caller, "memory.namespaces", &filter).await?;
    Ok(namespaces)
}

fn sum(namespaces: &[Value], key: &str) -> u64 {
    let numbers = namespaces
        .iter()
        .filter_map(|namespace| namespace[key].as_u64());
    numbers.sum()
}

/// Each write is on disk before it is answered, and a later one is never there without the earlier:
/// so a checkpoint that was answered proves all before it.
async fn persist(call: Call) -> Outcome {
    let session = call.text("sessionId").unwrap_or("all");
    let namespaces = namespaces(&call, "").await?;
    let counts = json!({
        "namespaces": namespaces.len(),
        "entries": sum(&namespaces, "entries"),
        "bytes": sum(&namespaces, "bytes"),
    });
    let checkpoint = json!({ "sessionId": session, "counts": counts, "at": now(&call) });
    let arguments = json!({
        "namespace": SESSIONS, "key": format!("checkpoint/{session}"), "value": checkpoint,
    });
    let written = call.operate("memory.put", arguments).await?;
    Ok(json!({
        "sessionId": session,
        "persisted": true,
        "counts": counts,
        "version": written["version"],
        "appliedIndex": written["applied_index"],
    }))
}

async fn namespace(call: Call) -> Outcome {
    let given = call.required_text("namespace")?;
    let name = &*namespace_of(given);
    let action = call.required_text("action")?;
    let named = json!({ "namespace": name });
    let mut document = match action {
        "create" => {
            let first = json!({
                "namespace": name, "key": MARK, "value": { "createdAt": now(&call) },
            });
            let made = call.operate("memory.put", first).await?;
            json!({ "created": true, "firstKey": MARK, "version": made["version"] })
        }
        "list" => {
            let prefix = if matches!(given, "all" | "*") {
                ""
            } else {
                name
            };
            let namespaces = namespaces(&call, prefix).await?;
            json!({ "count": namespaces.len(), "namespaces": namespaces })
        }
        "stats" => json!({ "stats": call.operate("memory.namespace.get", named).await? }),
        "delete" => json!({ "deletedEntries": empty(&call, name).await? }),
        other => {
            let detail =
                format!("`action` is `{other}`; want one of `create`, `list`, `delete`, `stats`");
            return Err(Failure::argument(detail));
        }
    };
    document["namespace"] = json!(name);
    document["action"] = json!(action);
    Ok(document)
}

/// Removes all entries of a namespace; says how many.
///
/// # Errors
/// One is refused; how many were removed before is said with it.
async fn empty(call: &Call, namespace: &str) -> Result<u64, Failure> {
    let mut removed = 0;
    loop {
        let (heads, complete) = heads(call, namespace).await?;
        for part in heads.chunks(REMOVED_AT_ONCE) {
            let write =
                |head: &Value| json!({ "namespace": namespace, "key": head["key"], "delete": {} });
            let writes: Vec<_> = part.iter().map(write).collect();
            let done = call.operate("memory.batch", json!({ "writes": writes }));
            let done = done.await?;
            removed += done["done"].as_u64().unwrap_or(0);
            let items = done["items"].as_array().into_iter().flatten();
            let mut errors = items.filter_map(|item| item.get("error"));
            // One that went meanwhile is gone as well.
            if let Some(error) = errors.find(|error| error["code"] != "memory_not_found") {
                let detail = format!("not all entries were removed: {}", error["detail"]);
                let facts = json!({ "deletedEntries": removed });
                return Err(Failure::new(Fault::WorkFailed, detail).with(facts));
            }
        }
        if complete {
            return Ok(removed);
        }
    }
}

async fn compress(call: Call) -> Outcome {
    let mut arguments = json!({});
    if let Some(name) = call.text("namespace") {
        arguments["namespace"] = json!(namespace_of(name));
    }
    let done = call.operate("memory.compact", arguments).await?;
    let total = |side: &str| done[side]["total"].as_i64().unwrap_or_default();
    Ok(json!({
        "namespace": call.text("namespace").unwrap_or("all"),
        "finished": done["finished"],
        "bytesBefore": total("before"),
        "bytesAfter": total("after"),
        "bytesSaved": total("before") - total("after"),
        "compaction": done,
    }))
}

/// `success` says that the round went through; what was refused is counted and named.
async fn sync(call: Call) -> Outcome {
    let target = call.required_text("target")?;
    let done = call
        .operate("memory.sync", json!({ "peer": target }))
        .await?;
    let both = |count: &str| {
        let sides = ["pulled", "pushed"].map(|side| done[side][count].as_u64().unwrap_or(0));
        sides[0] + sides[1]
    };
    Ok(json!({
        "target": target,
        "direction": done["direction"],
        "pulled": done["pulled"]["taken"],
        "pushed": done["pushed"]["taken"],
        "unchanged": both("unchanged"),
        "older": both("older"),
        "conflicts": both("conflicts"),
        "refused": both("refused"),
        "report": done,
    }))
}

async fn cache(call: Call) -> Outcome {
    let action = call.required_text("action")?;
    let mut document = match action {
        "get" => retrieve(&call, CACHE, call.required_text("key")?).await?,
        "set" => store(&call, CACHE).await?,
        "clear" => match call.text("key") {
            Some(key) => {
                let gone = delete(&call, CACHE, key).await?;
                json!({ "cleared": u8::from(gone["deleted"] == true) })
            }
            None => json!({ "cleared": empty(&call, CACHE).await? }),
        },
        "stats" => {
            let found = namespaces(&call, CACHE).await?;
            let own = found
                .iter()
                .find(|namespace| namespace["namespace"] == CACHE);
            json!({
                "entries": own.map_or(json!(0), |own| own["entries"].clone()),
                "bytes": own.map_or(json!(0), |own| own["bytes"].clone()),
            })
        }
        other => {
            let detail =
                format!("`action` is `{other}`; want one of `get`, `set`, `clear`, `stats`");
            return Err(Failure::argument(detail));
        }
    };
    document["action"] = json!(action);
    Ok(document)
}

async fn analytics(call: Call) -> Outcome {
    let timeframe = call.text("timeframe").unwrap_or("24h");
    let seconds = super::analysis::seconds("timeframe", timeframe)?;
    let since = call
        .caller
        .services
        .now()
        .0
        .saturating_sub(seconds.saturating_mul(1_000));
    let since = skep_operations::Timestamp(skep_model::time::UnixMillis(since)).to_string();
    let mut shown = Vec::new();
    let namespaces = namespaces(&call, "").await?;
    for namespace in &namespaces {
        let filter = json!({ "namespace": namespace["namespace"], "since": since });
        let (written, complete) = items(&call.caller, "memory.list", &filter).await?;
        shown.push(json!({
            "namespace": namespace["namespace"],
            "entries": namespace["entries"],
            "bytes": namespace["bytes"],
            "conflicts": namespace["conflicts"],
            "writesEver": namespace["last_version"],
            "writtenInTimeframe": written.len(),
            "complete": complete,
        }));
    }
    Ok(json!({
        "timeframe": timeframe,
        "entries": sum(&namespaces, "entries"),
        "bytes": sum(&namespaces, "bytes"),
        "namespaces": shown,
    }))
}
