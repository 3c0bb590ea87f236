//! Tools about the swarm and its agents.

use super::{Check, Swarm, text};
use serde_json::{Value, json};

pub(super) const CHECKS: &[Check] = &[
    ("swarm_status", |swarm| {
        let before = swarm.call("swarm_status", json!({}));
        assert_eq!(before["nodes"]["ready"], 2);
        swarm.ran("true");
        let own = json!({ "swarmId": before["swarmId"], "verbose": true });
        let after = swarm.call("swarm_status", own);
        let count = |status: &Value| status["taskCount"].as_u64().unwrap();
        assert_eq!(count(&after), count(&before) + 1);
        assert_eq!(after["agentCount"], agents(swarm).len());
        assert_eq!(
            after["agents"].as_array().unwrap().len(),
            agents(swarm).len()
        );
        assert!(
            after["tasks"]
                .as_array()
                .unwrap()
                .iter()
                .any(|task| task["name"] == "t")
        );
    }),
    ("agent_list", |swarm| {
        let listed = swarm.call("agent_list", json!({}));
        let expected: Vec<_> = agents(swarm)
            .iter()
            .map(|agent| agent["id"].clone())
            .collect();
        let listed: Vec<_> = listed["agents"].as_array().unwrap().clone();
        let listed: Vec<_> = listed.iter().map(|agent| agent["id"].clone()).collect();
        assert_eq!(listed, expected);
    }),
    ("agent_metrics", |swarm| {
        let sum = || {
            let metrics = swarm.call("agent_metrics", json!({}));
            let metrics = metrics["metrics"].as_array().unwrap().clone();
            let done = metrics
                .iter()
                .map(|agent| agent["attemptsSucceeded"].as_u64().unwrap());
            done.sum::<u64>()
        };
        let before = sum();
        let task = swarm.ran("true");
        assert_eq!(sum(), before + 1);
        let agent = swarm.operate("tasks.get", json!({ "id": task }))["agent"].clone();
        let one = swarm.call("agent_metrics", json!({ "agentId": agent }));
        assert_eq!(one["count"], 1);
        assert_eq!(one["metrics"][0]["lastDay"]["id"], agent);
        assert!(
            one["metrics"][0]["lastDay"]["duration_ms"]["max"].is_u64(),
            "{one}"
        );
        let unknown = json!({ "agentId": "nobody" });
        assert_eq!(
            swarm.refused("agent_metrics", unknown)["code"],
            "agent_not_found"
        );
    }),
    ("swarm_monitor", |swarm| {
        let seen = swarm.call("swarm_monitor", json!({ "interval": 0.1 }));
        let samples = seen["samples"].as_array().unwrap();
        assert_eq!(samples.len(), 5);
        let times: Vec<_> = samples.iter().map(|sample| text(&sample["at"])).collect();
        assert!(times.is_sorted() && times[0] < times[4], "{times:?}");
        assert_eq!(
            samples[4]["slots"],
            swarm.operate("system.status", json!({}))["slots"]
        );
        swarm.refused("swarm_monitor", json!({ "interval": 100 }));
    }),
    ("daa_capability_match", |swarm| {
        let able = new_agent(swarm, "able", &json!({ "rust": "expert", "sql": "basic" }));
        let wanted = json!({ "task_requirements": ["rust", "sql", "cobol"] });
        let found = swarm.call("daa_capability_match", wanted);
        assert_eq!(found["bestMatch"]["agentId"], able);
        assert_eq!(
            found["bestMatch"]["matchedRequirements"],
            json!(["rust", "sql"])
        );
        let others = json!({ "task_requirements": ["rust"], "available_agents": ["nobody"] });
        let found = swarm.call("daa_capability_match", others);
        assert_eq!(
            (&found["totalCandidates"], &found["bestMatch"]),
            (&json!(0), &json!(null))
        );
        swarm.operate("agents.delete", json!({ "id": able }));
    }),
    ("daa_lifecycle_manage", |swarm| {
        let agent = new_agent(swarm, "mortal", &json!({}));
        let manage = |action: &str| {
            let arguments = json!({ "agentId": "mortal", "action": action });
            swarm.call("daa_lifecycle_manage", arguments)
        };
        let state = || swarm.operate("agents.get", json!({ "id": agent }))["state"].clone();
        assert_eq!(manage("pause")["currentStatus"], "paused");
        assert_eq!(state(), "paused");
        assert_eq!(manage("resume")["previousStatus"], "paused");
        assert_eq!(state(), "idle");
        assert_eq!(manage("terminate")["currentStatus"], "terminated");
        assert!(!agents(swarm).iter().any(|known| known["id"] == agent));
        let dance = json!({ "agentId": agents(swarm)[0]["id"], "action": "dance" });
        swarm.refused("daa_lifecycle_manage", dance);
    }),
];

fn agents(swarm: &Swarm) -> Vec<Value> {
    let agents = swarm.operate("agents.list", json!({}));
    agents["items"].as_array().unwrap().clone()
}

fn new_agent(swarm: &Swarm, name: &str, capabilities: &Value) -> Value {
    let node = &swarm.nodes()[0]["id"];
    let new = json!({ "name": name, "node": node, "capabilities": capabilities });
    swarm.operate("agents.create", new)["id"].clone()
}
