//! Tools about what was used, and about work that is described or judged.

use super::{Check, Swarm, text};
use crate::hive::TestHive;
use serde_json::{Value, json};

pub(super) const CHECKS: &[Check] = &[
    ("token_usage", |swarm| {
        let none = swarm.call("token_usage", json!({ "operation": "nobody" }));
        assert_eq!(none["records"], 0);
        assert!(text(&none["note"]).contains("session-end"), "{none}");
        let report = |output: u64| {
            let slices = json!([
                { "model": "large", "messages": 2, "input_tokens": 10, "output_tokens": output },
                { "model": "small", "output_tokens": 1 },
            ]);
            let record = json!({
                "source": "session", "id": "tokens", "agent": "ann", "slices": slices,
            });
            swarm.operate("usage.record", record);
        };
        report(5);
        report(7);
        let used = swarm.call("token_usage", json!({ "operation": "tokens" }));
        assert_eq!(
            (&used["records"], &used["total"]["output_tokens"]),
            (&json!(1), &json!(8)),
            "a later report takes the place of the earlier one: {used}"
        );
        assert_eq!(used["byAgent"][0]["name"], "ann");
        assert_eq!(used["byModel"][0]["name"], "large");
        let small = swarm.call("token_usage", json!({ "operation": "small" }));
        assert_eq!(small["total"]["output_tokens"], 1);
        swarm.refused("token_usage", json!({ "timeframe": "yesterday" }));
    }),
    ("cost_analysis", costs),
    ("usage_stats", |swarm| {
        let calls = |name: &str| {
            let stats = swarm.call("usage_stats", json!({ "component": name }));
            let components = stats["components"].as_array().unwrap().iter();
            let calls = components.map(|component| component["calls"].as_u64().unwrap());
            calls.sum::<u64>()
        };
        let before = (calls("health_check"), calls("nodes.list"));
        swarm.call("health_check", json!({}));
        swarm.refused("health_check", json!({ "components": ["neurons"] }));
        swarm.operate("nodes.list", json!({}));
        assert_eq!(calls("health_check"), before.0 + 2);
        assert_eq!(calls("nodes.list"), before.1 + 1);
        let tools = swarm.call("usage_stats", json!({ "component": "tools" }));
        let names = tools["components"][0]["names"].as_array().unwrap();
        let health = names.iter().find(|name| name["name"] == "health_check");
        assert!(health.unwrap()["failed"].as_u64().unwrap() >= 1, "{tools}");
    }),
    ("task_orchestrate", orchestrated),
    ("quality_assess", |swarm| {
        let task = swarm.ran("echo done");
        let judged = |criteria: Value| json!({ "target": task, "criteria": criteria });
        let good = swarm.call("quality_assess", judged(json!(["completed", "exit_code"])));
        assert_eq!(good["passed"], true, "{good}");
        let commands = json!([
            { "name": "yes", "run": "test -n \"$TARGET\" && echo $TARGET" },
            { "name": "no", "run": "echo why; exit 4" },
        ]);
        let mixed = swarm.call("quality_assess", judged(commands));
        assert_eq!(mixed["passed"], false);
        let verdicts = mixed["criteria"].as_array().unwrap();
        assert_eq!(
            (&verdicts[0]["verdict"], &verdicts[0]["evidence"]["output"]),
            (&json!("passed"), &json!(format!("{task}\n")))
        );
        let no = &verdicts[1];
        assert_eq!(
            (
                &no["verdict"],
                &no["evidence"]["exitCode"],
                &no["evidence"]["output"]
            ),
            (&json!("failed"), &json!(4), &json!("why\n"))
        );
        // It has no gates, and nobody here knows what elegance is.
        let open = swarm.refused(
            "quality_assess",
            judged(json!(["completed", "gates", "elegance"])),
        );
        assert_eq!(open["code"], "mcp_not_assessed");
        assert_eq!(
            open["counts"],
            json!({ "passed": 1, "failed": 0, "not_assessed": 2 })
        );
        swarm.refused("quality_assess", json!({ "target": "src/main.rs" }));
        swarm.refused("quality_assess", judged(json!([7])));
        let odd = json!({ "name": "x", "run": "true", "env": "A=1" });
        swarm.refused("quality_assess", judged(json!([odd])));
    }),
];

fn costs(swarm: &Swarm) {
    let slices = json!([
        { "model": "cost-large", "input_tokens": 1_000_000, "output_tokens": 2_000_000 },
        { "model": "unheard-of", "output_tokens": 1 },
    ]);
    let record = json!({ "source": "session", "id": "costs", "slices": slices });
    swarm.operate("usage.record", record);
    swarm.ran("true");
    let without = swarm.call("cost_analysis", json!({}));
    assert_eq!(
        (&without["total"], &without["currency"]),
        (&Value::Null, &Value::Null)
    );
    assert!(
        text(&without["analysis"]["note"]).contains("prices"),
        "{without}"
    );
    let prices = json!({
        "currency": "EUR", "models": { "cost-*": { "input": 3, "output": 10 } },
    });
    let entry = json!({ "namespace": "usage", "key": "prices", "value": prices });
    swarm.operate("memory.put", entry);
    let costs = swarm.call("cost_analysis", json!({ "timeframe": "1h" }));
    assert_eq!(
        (&costs["currency"], &costs["total"]),
        (&json!("EUR"), &json!(23.0)),
        "{costs}"
    );
    let analysis = &costs["analysis"];
    let unpriced = analysis["unpriced_models"].as_array().unwrap();
    assert!(unpriced.contains(&json!("unheard-of")), "{analysis}");
    let nodes = analysis["nodes"].as_array().unwrap();
    assert!(
        nodes
            .iter()
            .any(|node| node["hours"].as_f64().unwrap() > 0.0),
        "{analysis}"
    );
    assert_eq!(
        analysis["unpriced_nodes"].as_array().unwrap().len(),
        nodes.len()
    );
    let wrong = json!({ "namespace": "usage", "key": "prices", "value": { "currency": 7 } });
    swarm.operate("memory.put", wrong);
    assert_eq!(
        swarm.refused("cost_analysis", json!({}))["code"],
        "document_invalid"
    );
    let gone = json!({ "namespace": "usage", "key": "prices" });
    swarm.operate("memory.delete", gone);
}

fn orchestrated(swarm: &Swarm) {
    let list = "Mend the house:\n1. the roof\n2. the ${{ door }}";
    let wanted = json!({ "task": list, "strategy": "sequential", "priority": "high" });
    let made = swarm.call("task_orchestrate", wanted);
    let tasks = made["tasks"].as_array().unwrap();
    let of = |place: usize| swarm.operate("tasks.get", json!({ "id": tasks[place]["taskId"] }));
    let (first, second) = (of(0), of(1));
    assert_eq!(
        (&first["state"], &first["priority"]),
        (&json!("ready"), &json!(7))
    );
    assert_eq!(second["waits_for"], json!([first["id"]]));
    assert!(
        second["spec"].to_string().contains("the ${{ door }}"),
        "{second}"
    );
    let alone = swarm.call(
        "task_orchestrate",
        json!({ "task": "Paint it", "strategy": "balanced" }),
    );
    assert_eq!(
        (&alone["status"], &alone["parts"]),
        (&json!("ready"), &json!(1))
    );
    assert_eq!(alone["placement"], "round-robin");
    let later = json!({ "task": "Look at it", "dependencies": [alone["taskId"]] });
    let later = swarm.call("task_orchestrate", later);
    let found = swarm.operate("tasks.get", json!({ "id": later["taskId"] }));
    assert_eq!(found["waits_for"], json!([alone["taskId"]]));
    assert_eq!(found["run"], alone["runId"]);
    let done = swarm.ran("true");
    let after = json!({ "task": "Rest", "dependencies": [done] });
    let after = swarm.call("task_orchestrate", after);
    assert_eq!(
        after["dependencies"],
        json!({ "waitsFor": [], "succeeded": [done] })
    );
    let failed = swarm.ran("exit 1");
    let never = json!({ "task": "Never", "dependencies": [failed] });
    assert_eq!(
        swarm.refused("task_orchestrate", never)["code"],
        "mcp_params_invalid"
    );
    for id in [&made["runId"], &alone["runId"], &after["runId"]] {
        swarm.operate("runs.cancel", json!({ "id": id }));
    }
}

#[test]
fn counts_of_calls_survive_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let counted = |hive: &TestHive| {
        let calls = hive.skep(&["--json", "analyse", "calls"]).expect(0).json();
        let names = calls["components"][0]["names"].as_array().unwrap().clone();
        let list = names.iter().find(|name| name["name"] == "tokens.list");
        list.map_or(0, |name| name["calls"].as_u64().unwrap())
    };
    let mut expected = 0;
    for _ in 0..3 {
        let mut hive = TestHive::start_in(directory.path(), &[], &[]);
        hive.skep(&["--json", "token", "ls"]).expect(0);
        expected += 1;
        assert_eq!(counted(&hive), expected);
        assert_eq!(hive.stop(), Some(0));
    }
}
