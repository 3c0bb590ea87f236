//! Agents by what they can do, and their life.

use super::call::{Call, Failure, Outcome};
use super::contract::{ContractTool, Effect, Group, list, text, texts};
use super::swarm::items;
use serde_json::{Value, json};

pub(super) static TOOLS: &[ContractTool] = &[
    ContractTool {
        name: "daa_capability_match",
        group: Group::Agents,
        about: "Ranks the swarm's agents by how many of the required capabilities they have.",
        parameters: &[
            texts("task_requirements", "Names of capabilities.").required(),
            list(
                "available_agents",
                "Ids or names; all agents when left out.",
            ),
        ],
        effect: Effect::Reads,
        handle: |call| Box::pin(capability_match(call)),
    },
    ContractTool {
        name: "daa_lifecycle_manage",
        group: Group::Agents,
        about: "Pauses or resumes an agent, or removes it, and shows where it stands then.",
        parameters: &[
            text("agentId", "Id or name.").required(),
            text("action", "start, stop, pause, resume or terminate.").required(),
        ],
        effect: Effect::Removes,
        handle: |call| Box::pin(lifecycle(call)),
    },
];

async fn capability_match(call: Call) -> Outcome {
    let required = call.texts("task_requirements");
    if required.is_empty() {
        return Err(Failure::argument("`task_requirements` is empty"));
    }
    let available = call.list("available_agents");
    let (agents, _) = items(&call.caller, "agents.list", &json!({})).await?;
    let is_available = |agent: &&Value| {
        available.is_none_or(|list| {
            // The original takes whole agents too.
            let named = |item: &Value| {
                item["id"]
                    .as_str()
                    .or_else(|| item.as_str())
                    .map(str::to_owned)
            };
            let mut names = list.iter().filter_map(named);
            names.any(|name| agent["id"] == name || agent["name"] == name)
        })
    };
    let candidates: Vec<_> = agents.iter().filter(is_available).collect();
    let mut matches: Vec<_> = candidates
        .iter()
        .map(|agent| {
            let has = |wanted: &&&str| agent["capabilities"].get(**wanted).is_some();
            let matched: Vec<_> = required.iter().filter(has).copied().collect();
            (matched, *agent)
        })
        .filter(|(matched, _)| !matched.is_empty())
        .collect();
    matches.sort_by_key(|(matched, _)| std::cmp::Reverse(matched.len()));
    let matches: Vec<_> = matches
        .into_iter()
        .map(|(matched, agent)| {
            json!({
                "agentId": agent["id"],
                "agentType": agent["role"],
                "score": matched.len() as f64 / required.len() as f64,
                "capabilities": agent["capabilities"],
                "matchedRequirements": matched,
                "status": agent["state"],
            })
        })
        .collect();
    Ok(json!({
        "totalCandidates": candidates.len(),
        "bestMatch": matches.first(),
        "matches": matches,
    }))
}

async fn lifecycle(call: Call) -> Outcome {
    let id = call.required_text("agentId")?;
    let action = call.required_text("action")?;
    let before = call.operate("agents.get", json!({ "id": id })).await?;
    let paused = match action {
        "start" | "resume" => false,
        "stop" | "pause" => true,
        "terminate" => {
            call.operate("agents.delete", json!({ "id": id })).await?;
            let gone = call
                .operate("agents.get", json!({ "id": before["id"] }))
                .await;
            return match gone {
                Err(failure) if failure.is_not_found() => Ok(changed(&before, "terminated")),
                other => other.map(|agent| changed(&before, agent["state"].as_str().unwrap_or(""))),
            };
        }
        other => {
            let detail = format!(
                "`action` is `{other}`; want one of `start`, `stop`, `pause`, `resume`, `terminate`"
            );
            return Err(Failure::argument(detail));
        }
    };
    let arguments = json!({ "id": id, "paused": paused });
    let after = call.operate("agents.update", arguments).await?;
    Ok(changed(&before, after["state"].as_str().unwrap_or("")))
}

fn changed(before: &Value, after: &str) -> Value {
    let name = before["name"].as_str().unwrap_or_default();
    json!({
        "message": format!("agent `{name}` is {after}"),
        "agentId": before["id"],
        "previousStatus": before["state"],
        "currentStatus": after,
    })
}
