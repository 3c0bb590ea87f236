//! The resources of the contract that have a state behind them.

use super::call::{Failure, operate};
use super::swarm::{counts, items};
use crate::invocation::Caller;
use crate::resources::as_error;
use rmcp::ErrorData;
use rmcp::model::{CacheScope, ReadResourceResult, Resource, ResourceContents};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

const JSON: &str = "application/json";
/// Models that were reported since are shown: 30 days.
const USED_WINDOW_S: u64 = 30 * 86_400;

/// Address, name and description.
pub(super) const SERVED: [(&str, &str, &str); 4] = [
    (
        "claude-flow://swarms",
        "Active Swarms",
        "The swarm and its figures, now.",
    ),
    (
        "claude-flow://agents",
        "Agent Registry",
        "The agents by role and by what they can do, now.",
    ),
    (
        "claude-flow://models",
        "Neural Models",
        "Models that nodes offer, that searches ask, and that sessions reported in 30 days.",
    ),
    (
        "claude-flow://performance",
        "Performance Metrics",
        "What was done in the last day, as measured.",
    ),
];

/// As `resources/list` shows them.
pub(crate) fn list() -> impl Iterator<Item = Resource> {
    SERVED.iter().map(|(uri, name, about)| {
        Resource::new(*uri, *name)
            .with_description(*about)
            .with_mime_type(JSON)
    })
}

/// A resource as it is now; none when the address is none of the contract's.
pub(crate) async fn read(
    caller: &Caller,
    uri: &str,
) -> Option<Result<ReadResourceResult, ErrorData>> {
    let document = match uri {
        "claude-flow://swarms" => swarms(caller).await,
        "claude-flow://agents" => agents(caller).await,
        "claude-flow://models" => models(caller).await,
        "claude-flow://performance" => performance(caller).await,
        _ => return None,
    };
    let shown = document.map(|document| {
        let contents = ResourceContents::text(format!("{document:#}"), uri).with_mime_type(JSON);
        let result = ReadResourceResult::new(vec![contents]);
        result.with_ttl_ms(0).with_cache_scope(CacheScope::Private)
    });
    Some(shown.map_err(|failure| as_error(failure.refusal())))
}

async fn swarms(caller: &Caller) -> Result<Value, Failure> {
    let status = operate(caller, "system.status", json!({})).await?;
    let counts = counts(&status);
    Ok(json!({
        "active_swarms": 1,
        "total_agents": status["agents"],
        "topologies": [counts["topology"]],
        "swarms": [{ "id": status["cluster"], "status": counts }],
    }))
}

async fn agents(caller: &Caller) -> Result<Value, Failure> {
    let (agents, complete) = items(caller, "agents.list", &json!({})).await?;
    let (mut types, mut capabilities) = (Map::new(), Map::new());
    for agent in &agents {
        count(&mut types, agent["role"].as_str().unwrap_or_default());
        for name in agent["capabilities"]
            .as_object()
            .into_iter()
            .flat_map(|all| all.keys())
        {
            count(&mut capabilities, name);
        }
    }
    let is_active = |agent: &&Value| matches!(agent["state"].as_str(), Some("idle" | "busy"));
    Ok(json!({
        "total_agents": agents.len(),
        "active": agents.iter().filter(is_active).count(),
        "types": types,
        "capabilities": capabilities,
        "complete": complete,
    }))
}

fn count(counts: &mut Map<String, Value>, name: &str) {
    let number = counts.get(name).and_then(Value::as_u64).unwrap_or(0);
    counts.insert(name.to_owned(), json!(number + 1));
}

/// Skep runs none of these itself.
async fn models(caller: &Caller) -> Result<Value, Failure> {
    let (nodes, complete) = items(caller, "nodes.list", &json!({})).await?;
    let mut offered = Map::new();
    for model in nodes.iter().filter_map(|node| node["models"].as_array()) {
        for name in model.iter().filter_map(Value::as_str) {
            count(&mut offered, name);
        }
    }
    let status = operate(caller, "system.status", json!({})).await?;
    let embedding = &status["memory"]["embedding_model"];
    let used = json!({ "window_s": USED_WINDOW_S });
    let used = operate(caller, "usage.summary", used).await?;
    let reported = used["models"].as_array().into_iter().flatten();
    let reported = reported.filter_map(|model| model["name"].as_str());
    let names: BTreeSet<_> = offered
        .keys()
        .map(String::as_str)
        .chain(embedding.as_str())
        .chain(reported)
        .collect();
    Ok(json!({
        "total_models": names.len(),
        "models": names,
        "offered_by_nodes": offered,
        "embedding_model": embedding,
        "reported_in_30_days": used["models"],
        "complete": complete,
    }))
}

async fn performance(caller: &Caller) -> Result<Value, Failure> {
    let status = operate(caller, "system.status", json!({})).await?;
    let report = operate(caller, "analysis.report", json!({})).await?;
    let metrics = operate(caller, "system.metrics", json!({})).await?;
    Ok(json!({ "started_at": status["started_at"], "last_day": report, "counters": metrics }))
}
