//! Figures of what was done, what holds work up, and whether all is well.

use super::call::{Call, Failure, Outcome};
use super::contract::{ContractTool, Effect, Group, list, text, texts};
use super::swarm::{counts, items};
use serde_json::{Value, json};

pub(super) static TOOLS: &[ContractTool] = &[
    ContractTool {
        name: "benchmark_run",
        group: Group::Analysis,
        about: "Measures the running swarm with tasks that do nothing: scheduler, store, transport.",
        parameters: &[text(
            "suite",
            "scheduler, store, transport or all; all unless said.",
        )],
        effect: Effect::Writes,
        handle: |call| Box::pin(benchmark(call)),
    },
    ContractTool {
        name: "bottleneck_analyze",
        group: Group::Analysis,
        about: "Says what holds work up now, each finding with its figures and what to do.",
        parameters: BOTTLENECK_PARAMETERS,
        effect: Effect::Reads,
        handle: |call| Box::pin(bottlenecks(call)),
    },
    ContractTool {
        name: "performance_report",
        group: Group::Analysis,
        about: "Sums up the tasks that ended in a time: outcomes, durations, waits, who ran them.",
        parameters: &[
            text("timeframe", "")
                .one_of(&["24h", "7d", "30d"])
                .or_text("24h"),
            text("format", "")
                .one_of(&["summary", "detailed", "json"])
                .or_text("summary"),
        ],
        effect: Effect::Reads,
        handle: |call| Box::pin(report(call)),
    },
    ContractTool {
        name: "metrics_collect",
        group: Group::Analysis,
        about: "Samples the swarm now: load, memory, slots and links of nodes, queue, log and disk.",
        parameters: &[texts(
            "components",
            "Any of nodes, queue, log, disk; all unless said.",
        )],
        effect: Effect::Reads,
        handle: |call| Box::pin(collect(call)),
    },
    ContractTool {
        name: "trend_analysis",
        group: Group::Analysis,
        about: "Shows how a figure of ended tasks moved over a time, its slope and where it changed.",
        parameters: &[
            text(
                "metric",
                "tasks_finished, success_rate, duration_ms or queue_wait_ms.",
            )
            .required(),
            text("period", "Such as 1h, 24h or 7d; 24h unless said."),
        ],
        effect: Effect::Reads,
        handle: |call| Box::pin(trend(call)),
    },
    ContractTool {
        name: "error_analysis",
        group: Group::Analysis,
        about: "Groups messages that are alike: the given lines, or why tasks failed in the last day.",
        parameters: &[texts(
            "logs",
            "Lines; the reasons of failed tasks when left out.",
        )],
        effect: Effect::Reads,
        handle: |call| Box::pin(errors(call)),
    },
    ContractTool {
        name: "health_check",
        group: Group::Analysis,
        about: "Probes log, archive, disk, clock and nodes, and says of each whether it is well.",
        parameters: &[texts(
            "components",
            "Any of log, archive, disk, clock, nodes; all unless said.",
        )],
        effect: Effect::Reads,
        handle: |call| Box::pin(health(call)),
    },
];

/// Also of the alias.
pub(super) const BOTTLENECK_PARAMETERS: &[super::contract::Parameter] = &[
    text(
        "component",
        "queue, placement, nodes, log or disk; all unless said.",
    ),
    list("metrics", "Names of figures to give; all unless said."),
];

async fn benchmark(call: Call) -> Outcome {
    let suite = call.text("suite").unwrap_or("all");
    let suites = match suite {
        "all" => json!([]),
        one => json!([one]),
    };
    let results = call.operate("system.benchmark", json!({ "suites": suites }));
    Ok(json!({ "suite": suite, "results": results.await? }))
}

pub(super) async fn bottlenecks(call: Call) -> Outcome {
    const COMPONENTS: [&str; 5] = ["queue", "placement", "nodes", "log", "disk"];
    let component = call
        .text("component")
        .filter(|component| *component != "all");
    known_all("component", component.as_slice(), &COMPONENTS)?;
    let found = call.operate("analysis.bottlenecks", json!({})).await?;
    let wanted = |finding: &&Value| component.is_none_or(|wanted| finding["component"] == wanted);
    let findings = found["findings"].as_array().into_iter().flatten();
    let findings: Vec<_> = findings.filter(wanted).collect();
    let advice: Vec<_> = findings.iter().map(|finding| &finding["advice"]).collect();
    let mut figures = found["figures"].clone();
    let metrics = call.texts("metrics");
    if !metrics.is_empty() {
        let known: Vec<_> = figures
            .as_object()
            .into_iter()
            .flat_map(|all| all.keys())
            .collect();
        let known: Vec<&str> = known.into_iter().map(String::as_str).collect();
        known_all("metrics", &metrics, &known)?;
        let all = figures.clone();
        figures = json!({});
        for metric in metrics {
            figures[metric] = all[metric].clone();
        }
    }
    Ok(json!({
        "analysis": {
            "component": component.unwrap_or("all"),
            "bottlenecks": findings,
            "recommendations": advice,
            "figures": figures,
        },
    }))
}

/// Refuses a word that is not one of the list.
pub(super) fn known_all(name: &str, given: &[&str], known: &[&str]) -> Result<(), Failure> {
    match given.iter().find(|word| !known.contains(word)) {
        None => Ok(()),
        Some(word) => {
            let known = known.join("`, `");
            let detail = format!("`{name}` has `{word}`; want any of `{known}`");
            Err(Failure::argument(detail))
        }
    }
}

async fn report(call: Call) -> Outcome {
    let timeframe = call.required_text("timeframe")?;
    let format = call.required_text("format")?;
    let window = json!({ "window_s": seconds("timeframe", timeframe)? });
    let report = call.operate("analysis.report", window).await?;
    let status = call.operate("system.status", json!({})).await?;
    let metrics = json!({
        "tasks_executed": report["tasks"],
        "success_rate": report["success_rate"],
        "avg_execution_time": report["duration_ms"]["mean"],
        "agents_active": status["agents"],
        "retries": report["retries"],
        "queue_wait_p95_ms": report["queue_wait_ms"]["p95"],
        "cpu_ms": report["cpu_ms"],
        "memory_peak_bytes": report["memory_peak_bytes"],
        "complete": report["complete"],
    });
    let mut document = json!({ "timeframe": timeframe, "format": format, "metrics": metrics });
    if format != "summary" {
        document["details"] = report;
    }
    Ok(document)
}

/// A time such as `90s`, `5m`, `24h` or `7d`.
pub(super) fn seconds(name: &str, text: &str) -> Result<u64, Failure> {
    let unit = text.chars().last().and_then(|unit| {
        let length = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            _ => return None,
        };
        Some((length, &text[..text.len() - 1]))
    });
    let read = unit.and_then(|(length, digits)| digits.parse::<u64>().ok()?.checked_mul(length));
    let wanted = || {
        Failure::argument(format!(
            "`{name}` is `{text}`; want a time such as `24h` or `7d`"
        ))
    };
    read.filter(|seconds| *seconds > 0).ok_or_else(wanted)
}

async fn collect(call: Call) -> Outcome {
    const COMPONENTS: [&str; 4] = ["nodes", "queue", "log", "disk"];
    let wanted = call.texts("components");
    known_all("components", &wanted, &COMPONENTS)?;
    let wants = |component: &str| wanted.is_empty() || wanted.contains(&component);
    let mut metrics = json!({});
    if wants("nodes") {
        let (nodes, _) = items(&call.caller, "nodes.list", &json!({})).await?;
        metrics["nodes"] = nodes.iter().map(node_metrics).collect();
    }
    if wants("queue") {
        metrics["queue"] = counts(&call.operate("system.status", json!({})).await?);
    }
    if wants("log") {
        metrics["log"] = call.operate("system.metrics", json!({})).await?;
    }
    if wants("disk") {
        let health = call.operate("system.health", json!({})).await?;
        let status = call.operate("system.status", json!({})).await?;
        let checks = health["checks"].as_array().into_iter().flatten();
        let disk = checks.clone().find(|check| check["name"] == "disk");
        metrics["disk"] = json!({
            "free": disk.map(|check| &check["detail"]),
            "databaseBytes": status["history"]["database_bytes"],
        });
    }
    Ok(json!({ "metrics": metrics }))
}

fn node_metrics(node: &Value) -> Value {
    json!({
        "node": node["name"],
        "state": node["state"],
        "loadPermille": node["load_permille"],
        "offered": node["resources"],
        "inUse": node["in_use"],
        "slots": node["slots"],
        "memoryBytes": node["hardware"]["memory_bytes"],
        "cores": node["hardware"]["cores"],
        "gpus": node["hardware"]["gpus"],
        "link": node["link"],
    })
}

async fn trend(call: Call) -> Outcome {
    let metric = match call.required_text("metric")? {
        "throughput" | "tasks" => "tasks_finished",
        "execution_time" | "duration" => "duration_ms",
        "queue_wait" | "latency" => "queue_wait_ms",
        known => known,
    };
    let period = call.text("period").unwrap_or("24h");
    let query = json!({ "metric": metric, "window_s": seconds("period", period)? });
    let trend = call.operate("analysis.trend", query).await?;
    Ok(json!({ "metric": metric, "period": period, "trend": trend }))
}

async fn errors(call: Call) -> Outcome {
    let mut arguments = json!({});
    if let Some(lines) = call.value("logs") {
        arguments["lines"] = lines.clone();
    }
    let groups = call.operate("analysis.errors", arguments).await?;
    Ok(json!({
        "source": if call.value("logs").is_some() { "logs" } else { "failed tasks" },
        "messages": groups["messages"],
        "clusterCount": groups["groups_found"],
        "complete": groups["complete"],
        "clusters": groups["groups"],
    }))
}

async fn health(call: Call) -> Outcome {
    const COMPONENTS: [&str; 5] = ["log", "archive", "disk", "clock", "nodes"];
    checked(&call, &COMPONENTS, false).await
}

/// Examines the coordinator and gives the checks that are wanted.
pub(super) async fn checked(call: &Call, known: &[&str], full: bool) -> Outcome {
    let wanted = call.texts("components");
    known_all("components", &wanted, known)?;
    let report = call
        .operate("system.diagnostics", json!({ "full": full }))
        .await?;
    let checks = report["checks"].as_array().into_iter().flatten();
    let wants = |check: &&Value| {
        let name = check["name"].as_str().unwrap_or_default();
        wanted.is_empty() || wanted.contains(&name)
    };
    let checks: Vec<_> = checks.filter(wants).collect();
    let healthy = checks.iter().all(|check| check["ok"] == true);
    Ok(json!({
        "healthy": healthy,
        "status": if healthy { "healthy" } else { "unhealthy" },
        "components": checks,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_unit_and_nonsense_is_refused() {
        for (text, expected) in [("90s", 90), ("5m", 300), ("24h", 86_400), ("7d", 604_800)] {
            assert_eq!(seconds("period", text).unwrap(), expected);
        }
        for text in [
            "",
            "h",
            "0h",
            "-1h",
            "24",
            "5w",
            "1.5h",
            "99999999999999999999d",
        ] {
            assert!(seconds("period", text).is_err(), "{text}");
        }
    }
}
