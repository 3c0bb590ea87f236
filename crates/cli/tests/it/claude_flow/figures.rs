//! Tools about figures: what was done, what holds work up, and whether all is well.

use super::{Check, Swarm, text};
use crate::hive::wait_until;
use serde_json::{Value, json};

pub(super) const CHECKS: &[Check] = &[
    ("benchmark_run", |swarm| {
        let finals = || finals(swarm);
        let before = finals();
        let measured = swarm.call("benchmark_run", json!({ "suite": "store" }));
        let write = &measured["results"]["store"]["durable_write_us"];
        assert_eq!(write["count"], 50);
        assert!(write["p50"].as_u64().unwrap() > 0, "{measured}");
        assert!(measured["results"].get("scheduler").is_none(), "{measured}");
        // The writes were real: they are in the history.
        assert_eq!(finals(), before + 50);
        let links = swarm.call("benchmark_run", json!({ "suite": "transport" }));
        assert_eq!(links["results"]["transport"].as_array().unwrap().len(), 2);
        let all = swarm.call("benchmark_run", json!({}));
        assert_eq!(all["results"]["scheduler"]["tasks"], 500);
        assert_eq!(finals(), before + 50 + 50 + 50 + 500);
        swarm.refused("benchmark_run", json!({ "suite": "wasm" }));
    }),
    ("bottleneck_analyze", bottlenecks),
    ("bottleneck_detect", |swarm| {
        let found = swarm.call("bottleneck_detect", json!({ "metrics": ["slots"] }));
        let slots = swarm.operate("system.status", json!({}))["slots"].clone();
        assert_eq!(found["analysis"]["figures"], json!({ "slots": slots }));
    }),
    ("performance_report", |swarm| {
        let report = |format: &str| swarm.call("performance_report", json!({ "format": format }));
        let before = report("summary");
        swarm.ran("true");
        swarm.ran("exit 1");
        let after = report("detailed");
        let count = |report: &Value| report["metrics"]["tasks_executed"].as_u64().unwrap();
        assert_eq!(count(&after), count(&before) + 2);
        assert!(
            after["metrics"]["success_rate"].as_f64().unwrap() < 1.0,
            "{after}"
        );
        assert_eq!(before.get("details"), None);
        let states = after["details"]["states"].as_object().unwrap().values();
        assert_eq!(
            states.map(|count| count.as_u64().unwrap()).sum::<u64>(),
            count(&after)
        );
    }),
    ("metrics_collect", |swarm| {
        let metrics = swarm.call("metrics_collect", json!({}));
        let nodes = metrics["metrics"]["nodes"].as_array().unwrap();
        let known = swarm.nodes();
        assert_eq!(nodes.len(), known.len());
        assert_eq!(nodes[0]["cores"], known[0]["hardware"]["cores"]);
        assert!(metrics["metrics"]["log"]["commits"].as_u64().unwrap() > 0);
        let one = swarm.call("metrics_collect", json!({ "components": ["queue"] }));
        let keys: Vec<_> = one["metrics"].as_object().unwrap().keys().collect();
        assert_eq!(keys, ["queue"]);
        swarm.refused("metrics_collect", json!({ "components": ["neurons"] }));
    }),
    ("trend_analysis", |swarm| {
        let trend = json!({ "metric": "throughput", "period": "7d" });
        let trend = swarm.call("trend_analysis", trend);
        let points = trend["trend"]["points"].as_array().unwrap();
        let sum: u64 = points
            .iter()
            .map(|point| point["tasks"].as_u64().unwrap())
            .sum();
        assert_eq!(sum, finals(swarm));
        assert!(
            trend["trend"]["slope_per_hour"].as_f64().unwrap() > 0.0,
            "{trend}"
        );
        let unknown = json!({ "metric": "happiness" });
        assert_eq!(
            swarm.refused("trend_analysis", unknown)["code"],
            "query_malformed"
        );
        swarm.refused(
            "trend_analysis",
            json!({ "metric": "success_rate", "period": "soon" }),
        );
    }),
    ("error_analysis", |swarm| {
        let lines = json!(["no route to 10.0.0.1", "no route to 10.0.0.2", "disk full"]);
        let groups = swarm.call("error_analysis", json!({ "logs": lines }));
        assert_eq!(groups["clusterCount"], 2);
        assert_eq!(groups["clusters"][0]["count"], 2);
        assert_eq!(groups["clusters"][0]["last"], 2);
        swarm.ran("exit 7");
        let failed = swarm.call("error_analysis", json!({}));
        assert_eq!(failed["source"], "failed tasks");
        assert!(failed["messages"].as_u64().unwrap() > 0, "{failed}");
        let first = &failed["clusters"][0];
        assert!(
            text(&first["first_seen"]) <= text(&first["last_seen"]),
            "{first}"
        );
    }),
    ("health_check", |swarm| {
        let health = swarm.call("health_check", json!({}));
        assert_eq!(health["healthy"], true, "{health}");
        assert_eq!(health["components"].as_array().unwrap().len(), 5);
        for node in swarm.nodes() {
            swarm.operate("nodes.drain", json!({ "id": node["id"] }));
        }
        let drained = swarm.call("health_check", json!({ "components": ["nodes"] }));
        assert_eq!(drained["status"], "unhealthy", "{drained}");
        assert!(drained["components"][0]["remedy"].is_string(), "{drained}");
        resume(swarm);
        assert_eq!(swarm.call("health_check", json!({}))["healthy"], true);
    }),
];

fn finals(swarm: &Swarm) -> u64 {
    let report = swarm.operate("analysis.report", json!({}));
    assert_eq!(report["complete"], true);
    report["tasks"].as_u64().unwrap()
}

fn resume(swarm: &Swarm) {
    for node in swarm.nodes() {
        swarm.operate("nodes.resume", json!({ "id": node["id"] }));
    }
    swarm.hive.wait_for_nodes(2);
}

fn bottlenecks(swarm: &Swarm) {
    let queue = || {
        let found = swarm.call("bottleneck_analyze", json!({ "component": "queue" }));
        found["analysis"]["bottlenecks"].as_array().unwrap().clone()
    };
    for node in swarm.nodes() {
        swarm.operate("nodes.drain", json!({ "id": node["id"] }));
    }
    let task = swarm.operate("tasks.submit", json!({ "name": "t", "run": "true" }));
    let found = queue();
    assert_eq!(found[0]["severity"], "critical", "{found:?}");
    assert!(
        text(&found[0]["detail"]).contains("no node takes work"),
        "{found:?}"
    );
    resume(swarm);
    wait_until("the end of the task", || {
        let task = swarm.operate("tasks.get", json!({ "id": task["id"] }));
        if task["state"] == "succeeded" {
            Ok(())
        } else {
            Err(task.to_string())
        }
    });
    let critical = |finding: &Value| finding["severity"] == "critical";
    assert!(!queue().iter().any(critical));
    swarm.refused("bottleneck_analyze", json!({ "component": "gpu" }));
}
