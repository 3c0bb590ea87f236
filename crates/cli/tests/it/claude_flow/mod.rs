//! The tools of Claude-Flow's contract: each is called, and what it did is looked at elsewhere.

mod agents;
mod figures;
mod memory;
mod system;
mod tasks;
mod triggers;
mod usage;
mod workflows;

use crate::hive::TestHive;
use crate::mcp_client::{Http, HttpAnswer, Stdio};
use crate::mcp_message::{hello, legacy, modern};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::BTreeSet;

const PATH: &str = "/mcp?toolset=claude-flow";

/// A swarm of two nodes and a client that uses the contract.
pub(crate) struct Swarm {
    hive: TestHive,
    http: Http,
    called: RefCell<BTreeSet<String>>,
}

impl Swarm {
    fn start() -> Self {
        let hive = TestHive::start(2);
        let http = Http::of(&hive);
        Self {
            hive,
            http,
            called: RefCell::default(),
        }
    }

    #[track_caller]
    fn answer(&self, name: &str, arguments: &Value) -> HttpAnswer {
        self.called.borrow_mut().insert(name.to_owned());
        let params = json!({ "name": name, "arguments": arguments });
        self.http.post(&modern("tools/call", params).at(PATH))
    }

    /// What a tool did.
    #[track_caller]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "so that callers write it in place"
    )]
    fn call(&self, name: &str, arguments: Value) -> Value {
        let result = self.answer(name, &arguments).result();
        assert_eq!(result["isError"], false, "{name}: {result}");
        let document = result["structuredContent"].clone();
        assert_eq!(document["success"], true, "{name}: {document}");
        assert!(document["timestamp"].is_string(), "{name}: {document}");
        let content = result["content"].as_array().unwrap();
        assert_eq!(content.len(), 1);
        let text = content[0]["text"].as_str().unwrap();
        let shown: Value = serde_json::from_str(text).unwrap();
        assert_eq!(shown, document);
        document
    }

    /// Why a tool did not do it.
    #[track_caller]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "so that callers write it in place"
    )]
    fn refused(&self, name: &str, arguments: Value) -> Value {
        let result = self.answer(name, &arguments).result();
        assert_eq!(result["isError"], true, "{name}: {result}");
        let document = result["structuredContent"].clone();
        assert_eq!(document["success"], false, "{name}: {document}");
        for key in ["code", "error", "hint", "timestamp"] {
            assert!(document[key].is_string(), "{name}: {document}");
        }
        document
    }

    /// Runs an operation by Skep's own tools.
    #[track_caller]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "so that callers write it in place"
    )]
    fn operate(&self, operation: &str, arguments: Value) -> Value {
        let arguments = json!({ "operation": operation, "arguments": arguments });
        self.http.tool(modern, "skep_call", arguments).done()
    }

    /// A task that ran to its end: its id.
    #[track_caller]
    fn ran(&self, script: &str) -> String {
        let task = json!({ "name": "t", "run": script, "retries": 0 });
        let task = self.operate("tasks.submit", task);
        let id = task["id"].as_str().unwrap().to_owned();
        let waited = self.http.tool(modern, "skep_wait", json!({ "id": id }));
        assert_eq!(waited.done()["final"], true);
        id
    }

    #[track_caller]
    fn nodes(&self) -> Vec<Value> {
        let nodes = self.operate("nodes.list", json!({}));
        nodes["items"].as_array().unwrap().clone()
    }

    /// Everything that the server lists under this method.
    #[track_caller]
    fn list(&self, method: &str, path: &str) -> Value {
        self.http.post(&modern(method, json!({})).at(path)).result()
    }

    /// Names of the tools that are served.
    #[track_caller]
    fn tools(&self) -> BTreeSet<String> {
        let listed = self.list("tools/list", PATH);
        let tools = listed["tools"].as_array().unwrap().iter();
        tools
            .map(|tool| tool["name"].as_str().unwrap().to_owned())
            .collect()
    }
}

fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
}

/// What a tool is looked at by.
type Check = (&'static str, fn(&Swarm));

#[test]
fn every_served_tool_does_what_its_name_says() {
    let swarm = Swarm::start();
    let checks: Vec<Check> = [
        agents::CHECKS,
        tasks::CHECKS,
        figures::CHECKS,
        memory::CHECKS,
        workflows::CHECKS,
        triggers::CHECKS,
        system::CHECKS,
        usage::CHECKS,
    ]
    .concat();
    for (name, check) in &checks {
        swarm.called.borrow_mut().clear();
        check(&swarm);
        let called = swarm.called.borrow();
        assert!(
            called.contains(*name),
            "the check of {name} does not call it"
        );
    }
    let checked: BTreeSet<_> = checks.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(checked, swarm.tools(), "each served tool has one check");
}

#[test]
fn what_is_not_served_and_what_is_unknown_is_an_error_with_its_reason() {
    let swarm = Swarm::start();
    for (name, code) in [
        ("neural_train", "mcp_tool_not_served"),
        ("github_pr_manage", "mcp_tool_not_served"),
        ("agent_spawn", "mcp_tool_not_served"),
        ("swarm_dance", "mcp_tool_unknown"),
        ("skep_wait", "mcp_tool_unknown"),
    ] {
        let error = swarm.answer(name, &json!({})).error();
        assert_eq!(error["data"]["code"], code, "{name}: {error}");
        assert!(text(&error["message"]).contains(name), "{error}");
    }
    // And in Skep's own set the contract is not there.
    let params = json!({ "name": "task_status", "arguments": {} });
    let error = swarm.http.post(&modern("tools/call", params)).error();
    assert_eq!(error["data"]["code"], "mcp_tool_unknown");
}

#[test]
fn arguments_are_checked_before_anything_is_done() {
    let swarm = Swarm::start();
    for (name, arguments, said) in [
        ("task_status", json!({}), "`taskId` is missing"),
        (
            "task_status",
            json!({"taskId": 7}),
            "`taskId` should be a string",
        ),
        (
            "task_status",
            json!({"taskId": "x"}),
            "want the id of a task or run",
        ),
        (
            "performance_report",
            json!({"timeframe": "1y"}),
            "`timeframe` is `1y`; want one of `24h`, `7d`, `30d`",
        ),
        (
            "terminal_execute",
            json!({"command": "true", "args": "x"}),
            "`args` should be",
        ),
        ("parallel_execute", json!({"tasks": []}), "`tasks` is empty"),
        (
            "parallel_execute",
            json!({"tasks": [{"agent": "coder", "description": "write"}]}),
            "no `run`",
        ),
    ] {
        let refused = swarm.refused(name, arguments);
        assert_eq!(refused["code"], "mcp_params_invalid", "{refused}");
        assert!(text(&refused["error"]).contains(said), "{refused}");
    }
    let unknown = json!({ "swarmId": "swarm_1_abc" });
    assert_eq!(
        swarm.refused("swarm_status", unknown)["code"],
        "mcp_swarm_unknown"
    );
    let missing = json!({ "taskId": "task_00000000000000000000000001" });
    assert_eq!(
        swarm.refused("task_status", missing)["code"],
        "task_not_found"
    );

    // Nothing is required: `arguments` may be left out.
    let bare = modern("tools/call", json!({ "name": "agent_list" })).at(PATH);
    assert_eq!(swarm.http.post(&bare).result()["isError"], false);
    let ignored = swarm.call("agent_list", json!({ "filter": "busy", "swarmId": null }));
    assert_eq!(ignored["ignoredArguments"], json!(["filter"]));
}

#[test]
fn permission_is_that_of_the_token_for_each_call() {
    let swarm = Swarm::start();
    let new = ["--json", "token", "new", "reader", "--scope", "read"];
    let token = swarm.hive.skep(&new).expect(0).json();
    let reader = Swarm {
        http: Http::new(swarm.hive.address(), text(&token["secret"])),
        ..swarm
    };
    reader.call("swarm_status", json!({}));
    for (name, arguments) in [
        ("terminal_execute", json!({ "command": "true" })),
        ("backup_create", json!({})),
        ("diagnostic_run", json!({})),
        ("benchmark_run", json!({})),
        ("memory_compress", json!({})),
        ("config_manage", json!({ "action": "list" })),
        ("task_orchestrate", json!({ "task": "x" })),
    ] {
        assert_eq!(
            reader.refused(name, arguments)["code"],
            "scope_missing",
            "{name}"
        );
    }
}

#[test]
fn a_call_that_is_sent_twice_is_done_once_with_all_its_steps() {
    let swarm = Swarm::start();
    let send = |name: &str, arguments: Value| {
        let params = json!({ "name": name, "arguments": arguments });
        let mut call = modern("tools/call", params).at(PATH);
        call.body["params"]["_meta"]["claudecode/toolUseId"] = json!("toolu_1");
        let result = swarm.http.post(&call).result();
        assert_eq!(result["isError"], false, "{result}");
        result["structuredContent"].clone()
    };
    let tasks = json!({ "tasks": ["echo once", "true"] });
    let first = send("parallel_execute", tasks.clone());
    assert_eq!(send("parallel_execute", tasks)["jobId"], first["jobId"]);

    // More entries than one step removes.
    let write = |number: u32| json!({ "namespace": "many", "key": format!("k{number}"), "put": { "value": number } });
    let writes: Vec<_> = (0..150).map(write).collect();
    swarm.operate("memory.batch", json!({ "writes": writes }));
    let removed = send(
        "memory_namespace",
        json!({ "namespace": "many", "action": "delete" }),
    );
    assert_eq!(removed["deletedEntries"], 150);
}

#[test]
fn each_set_is_served_at_its_url_and_over_stdin() {
    let swarm = Swarm::start();
    let names = |path: &str| {
        let listed = swarm.list("tools/list", path);
        let tools = listed["tools"].as_array().unwrap().clone();
        tools
            .iter()
            .map(|tool| tool["name"].clone())
            .collect::<Vec<_>>()
    };
    let (native, contract) = (names("/mcp?toolset=native"), names(PATH));
    assert_eq!(names("/mcp"), native);
    assert_eq!(
        names("/mcp?toolset=all"),
        [native, contract.clone()].concat()
    );
    let unknown = modern("tools/list", json!({})).at("/mcp?toolset=ruv-swarm");
    let error = swarm.http.post(&unknown).error();
    assert_eq!(error["data"]["code"], "mcp_toolset_unknown");

    let command = crate::hive::command(swarm.hive.path(), &["mcp", "--toolset", "claude-flow"]);
    let mut stdio = Stdio::start(command);
    let greeted = stdio.ask("initialize", hello("2025-11-25"));
    let instructions = text(&greeted["result"]["instructions"]);
    assert!(instructions.contains("Claude-Flow"), "{instructions}");
    let listed = stdio.ask("tools/list", json!({}));
    let tools = listed["result"]["tools"].as_array().unwrap().iter();
    assert_eq!(
        tools.map(|tool| tool["name"].clone()).collect::<Vec<_>>(),
        contract
    );
    assert_eq!(stdio.end(), Some(0));
}

#[test]
fn the_resources_of_the_contract_show_the_state_of_the_swarm() {
    let swarm = Swarm::start();
    swarm.ran("true");
    let listed = swarm.list("resources/list", PATH);
    let listed = listed["resources"].as_array().unwrap();
    let read = |uri: &str| {
        assert!(
            listed.iter().any(|resource| resource["uri"] == uri),
            "{uri}"
        );
        let read = legacy("resources/read", json!({ "uri": uri })).at(PATH);
        let read = swarm.http.post(&read).result();
        let contents = text(&read["contents"][0]["text"]);
        serde_json::from_str::<Value>(contents).unwrap()
    };
    let swarms = read("claude-flow://swarms");
    assert_eq!(swarms["swarms"][0]["status"]["nodes"]["ready"], 2);
    let agents = read("claude-flow://agents");
    assert_eq!(
        agents["total_agents"],
        swarm.operate("agents.list", json!({}))["items"]
            .as_array()
            .unwrap()
            .len()
    );
    let performance = read("claude-flow://performance");
    assert_eq!(performance["last_day"]["states"]["succeeded"], 1);

    let none = read("claude-flow://models");
    assert_eq!(
        (&none["total_models"], &none["models"]),
        (&json!(0), &json!([]))
    );
    let used = json!({
        "source": "session", "id": "s", "slices": [{ "model": "large", "output_tokens": 5 }],
    });
    swarm.operate("usage.record", used);
    let models = read("claude-flow://models");
    assert_eq!(models["models"], json!(["large"]), "{models}");
    assert_eq!(models["reported_in_30_days"][0]["output_tokens"], 5);
    let other = legacy("resources/read", json!({ "uri": "claude-flow://neurons" })).at(PATH);
    let error = swarm.http.post(&other).error();
    assert_eq!(error["data"]["code"], "mcp_resource_unknown");
    let own = swarm.list("resources/list", "/mcp");
    let own = own["resources"].as_array().unwrap();
    assert!(
        own.iter()
            .all(|resource| text(&resource["uri"]).starts_with("skep://"))
    );
}
