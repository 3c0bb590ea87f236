//! What models used and cost, and how often tools were called.

use super::analysis::seconds;
use super::call::{Call, Outcome};
use super::contract::{ContractTool, Effect, Group, text};
use serde_json::{Value, json};

pub(super) static TOOLS: &[ContractTool] = &[
    ContractTool {
        name: "token_usage",
        group: Group::Analysis,
        about: "Sums the tokens that sessions and tasks reported, by model, agent and task.",
        parameters: &[
            text(
                "operation",
                "A model, the name of an agent, or the id of a session or task; all unless said.",
            ),
            text("timeframe", "").or_text("24h"),
        ],
        effect: Effect::Reads,
        handle: |call| Box::pin(tokens(call)),
    },
    ContractTool {
        name: "cost_analysis",
        group: Group::Analysis,
        about: "Values reported tokens and node hours by the prices that an operator gave.",
        parameters: &[text("timeframe", "Such as 1h, 24h or 7d; 24h unless said.")],
        effect: Effect::Reads,
        handle: |call| Box::pin(costs(call)),
    },
    ContractTool {
        name: "usage_stats",
        group: Group::Analysis,
        about: "Says how often each operation and tool was called, over all restarts.",
        parameters: &[text(
            "component",
            "operations, tools, or the name of one; all unless said.",
        )],
        effect: Effect::Reads,
        handle: |call| Box::pin(stats(call)),
    },
];

async fn tokens(call: Call) -> Outcome {
    let timeframe = call.required_text("timeframe")?;
    let mut query = json!({ "window_s": seconds("timeframe", timeframe)? });
    if let Some(about) = call.text("operation") {
        query["about"] = json!(about);
    }
    let usage = call.operate("usage.summary", query).await?;
    Ok(json!({
        "operation": call.text("operation").unwrap_or("all"),
        "timeframe": timeframe,
        "records": usage["records"],
        "note": usage["note"],
        "total": usage["total"],
        "byModel": usage["models"],
        "byAgent": usage["agents"],
        "bySession": usage["sessions"],
        "byTask": usage["tasks"],
        "complete": usage["complete"],
    }))
}

async fn costs(call: Call) -> Outcome {
    let timeframe = call.text("timeframe").unwrap_or("24h");
    let query = json!({ "window_s": seconds("timeframe", timeframe)? });
    let costs = call.operate("usage.costs", query).await?;
    Ok(json!({
        "timeframe": timeframe,
        "currency": costs["prices"]["currency"],
        "total": costs["total"],
        "analysis": costs,
    }))
}

async fn stats(call: Call) -> Outcome {
    let component = call.text("component").filter(|named| *named != "all");
    let is_component = matches!(component, Some("operations" | "tools"));
    let query = match component {
        Some(component) if is_component => json!({ "component": component }),
        _ => json!({}),
    };
    let mut calls = call.operate("usage.calls", query).await?;
    if let Some(name) = component.filter(|_| !is_component) {
        keep_only(&mut calls, name);
    }
    Ok(json!({
        "component": component.unwrap_or("all"),
        "since": calls["since"],
        "complete": calls["complete"],
        "components": calls["components"],
    }))
}

/// Leaves one name; one that was never called was called 0 times.
fn keep_only(calls: &mut Value, wanted: &str) {
    for component in calls["components"].as_array_mut().into_iter().flatten() {
        if let Value::Array(names) = &mut component["names"] {
            names.retain(|name| name["name"] == wanted);
        }
        for figure in ["calls", "failed"] {
            let names = component["names"].as_array().into_iter().flatten();
            let sum: u64 = names.filter_map(|name| name[figure].as_u64()).sum();
            component[figure] = json!(sum);
        }
    }
}
