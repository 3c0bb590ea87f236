//! The Model Context Protocol over stdin and stdout, and the entries in clients' files.

use crate::hive::{TestHive, command, skep_in, wait_until};
use crate::mcp_client::{Http, Stdio};
use crate::mcp_message::{gated, hello, modern};
use serde_json::{Value, json};

#[test]
fn lines_are_forwarded_to_the_coordinator_that_runs() {
    let mut hive = TestHive::start(0);
    let mut stdio = Stdio::start(command(hive.path(), &["mcp"]));
    let greeted = stdio.ask("initialize", hello("2025-11-25"));
    assert_eq!(greeted["result"]["protocolVersion"], "2025-11-25");
    stdio.say(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
    let listed = stdio.ask("tools/list", json!({}));
    assert_eq!(listed["result"]["tools"].as_array().unwrap().len(), 14);
    let submit =
        json!({ "name": "skep_tasks_submit", "arguments": { "name": "t", "run": "true" } });
    let submitted = stdio.ask("tools/call", submit);
    let task = &submitted["result"]["structuredContent"]["id"];
    // The same process speaks the new revision too, and goes on after a restart.
    hive.crash_and_restart(0);
    let read = json!({ "name": "skep_tasks_get", "arguments": { "id": task } });
    let read = stdio.send(&modern("tools/call", read).body);
    assert_eq!(read["result"]["structuredContent"]["id"], *task, "{read}");

    stdio.write("not json\n");
    assert_eq!(stdio.line()["error"]["data"]["code"], "mcp_parse_error");
    stdio.write("[]\n");
    assert_eq!(stdio.line()["error"]["data"]["code"], "mcp_invalid_request");
    let wish = json!({ "notifications": { "resourceSubscriptions": [format!("skep://task/{}", task.as_str().unwrap())] } });
    stdio.say(&modern("subscriptions/listen", wish).body);
    assert_eq!(
        stdio.line()["method"],
        "notifications/subscriptions/acknowledged"
    );
    assert_eq!(stdio.end(), Some(0));
}

#[test]
fn an_older_client_follows_a_resource_also_over_a_restart_of_the_coordinator() {
    let mut hive = TestHive::start(0);
    let mut stdio = Stdio::start(command(hive.path(), &["mcp"]));
    let greeted = stdio.ask("initialize", hello("2025-11-25"));
    let capabilities = &greeted["result"]["capabilities"];
    assert_eq!(capabilities["resources"]["subscribe"], true);
    let strange = stdio.ask("resources/subscribe", json!({ "uri": "file:///x" }));
    assert_eq!(strange["error"]["data"]["code"], "mcp_resource_unknown");
    let wish = json!({ "uri": "skep://memory/swarm/plan/*" });
    for _ in 0..2 {
        let followed = stdio.ask("resources/subscribe", wish.clone());
        assert_eq!(followed["result"], json!({}), "{followed}");
    }
    let set = |hive: &TestHive| {
        let value = json!({ "namespace": "swarm", "key": "plan/a", "value": 1 });
        let http = Http::of(hive);
        http.tool(modern, "skep_memory_put", value).done();
    };
    set(&hive);
    let sign = stdio.line();
    assert_eq!(sign["method"], "notifications/resources/updated", "{sign}");
    assert_eq!(sign["params"]["uri"], wish["uri"]);
    assert!(sign["params"]["_meta"]["skep/cursor"].is_string(), "{sign}");
    hive.crash_and_restart(0);
    // Whether it listens again by now or not: it goes on after the last sign.
    set(&hive);
    let later = stdio.line();
    assert_eq!(later["params"]["uri"], wish["uri"], "{later}");
    assert_ne!(later["params"]["_meta"], sign["params"]["_meta"]);
    let left = stdio.ask("resources/unsubscribe", wish);
    assert_eq!(left["result"], json!({}));
    set(&hive);
    assert_eq!(stdio.ask("ping", json!({}))["result"], json!({}));
    assert_eq!(stdio.end(), Some(0));
}

#[test]
fn a_server_whose_answers_nobody_reads_ends_when_it_is_told_to() {
    let hive = TestHive::start(0);
    let mut stdio = Stdio::start(command(hive.path(), &["mcp"]));
    // More than a pipe holds.
    for id in 0..32 {
        let mut list = modern("tools/list", json!({})).body;
        list["id"] = json!(id);
        stdio.say(&list);
    }
    assert!(stdio.line()["result"].is_object());
    let child = stdio.child();
    let pid = rustix::process::Pid::from_child(child);
    wait_until("the end of the server", || {
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).ok();
        match child.try_wait().unwrap() {
            Some(_) => Ok(()),
            None => Err("it runs".to_owned()),
        }
    });
}

#[test]
fn a_cancelled_call_is_not_answered_and_its_work_goes_on() {
    let hive = TestHive::start(1);
    let (arguments, open) = gated(&hive);
    let mut stdio = Stdio::start(command(hive.path(), &["mcp"]));
    stdio.ask("initialize", hello("2025-11-25"));
    let submit = json!({ "name": "skep_runs_submit", "arguments": arguments });
    let submitted = stdio.ask("tools/call", submit);
    let run = submitted["result"]["structuredContent"]["run"]["id"].clone();
    let wait = json!({ "name": "skep_wait", "arguments": { "id": run } });
    let call = json!({ "jsonrpc": "2.0", "id": "w", "method": "tools/call", "params": wait });
    stdio.say(&call);
    let cancel = json!({ "requestId": "w", "reason": "enough" });
    stdio.say(&json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": cancel }));
    // The next answer is that of the next request.
    let ping = stdio.ask("ping", json!({}));
    assert_eq!(ping["result"], json!({}));
    open();
    hive.skep(&[
        "wait",
        run.as_str().unwrap(),
        "--for",
        "succeeded",
        "--timeout",
        "60",
    ])
    .expect(0);
    assert_eq!(stdio.end(), Some(0));
}

#[test]
fn a_coordinator_of_its_own_runs_what_it_is_given_and_serves_others_meanwhile() {
    let directory = tempfile::tempdir().unwrap();
    let mut first = Stdio::start(command(directory.path(), &["mcp"]));
    first.ask("initialize", hello("2025-11-25"));
    let mut second = Stdio::start(command(directory.path(), &["mcp"]));
    let plan = json!({ "name": "p", "tasks": { "a": { "run": "echo here" } } });
    let submit = json!({ "name": "skep_runs_submit", "arguments": { "plan": plan } });
    let submitted = second.ask("tools/call", submit);
    let run = submitted["result"]["structuredContent"]["run"]["id"].clone();
    let wait = json!({ "name": "skep_wait", "arguments": { "id": run } });
    let ended = first.ask("tools/call", wait);
    assert_eq!(
        ended["result"]["structuredContent"]["state"], "succeeded",
        "{ended}"
    );
    assert_eq!(first.end(), Some(0));
    // It is gone, and what it knew is not: the next request starts the next coordinator.
    skep_in(directory.path(), &["run", "ls"]).expect(4);
    let shown = json!({ "name": "skep_wait", "arguments": { "id": run, "timeout_s": 0 } });
    let shown = second.ask("tools/call", shown);
    assert_eq!(
        shown["result"]["structuredContent"]["state"], "succeeded",
        "{shown}"
    );
    assert_eq!(second.end(), Some(0));
}

#[test]
fn a_coordinator_that_was_named_and_does_not_answer_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let arguments = ["mcp", "--url", "http://127.0.0.1:9", "--token", "swu1_x"];
    let mut stdio = Stdio::start(command(directory.path(), &arguments));
    let answer = stdio.ask("initialize", hello("2025-11-25"));
    assert_eq!(
        answer["error"]["data"]["code"], "coordinator_unreachable",
        "{answer}"
    );
    assert_eq!(stdio.end(), Some(0));
}

#[test]
fn a_client_is_told_of_the_server_and_its_entry_works() {
    let hive = TestHive::start(0);
    let file = hive.path().join("client.json");
    for (client, section) in [
        ("claude-code", "mcpServers"),
        ("claude-desktop", "mcpServers"),
        ("cursor", "mcpServers"),
        ("vscode", "servers"),
    ] {
        std::fs::write(
            &file,
            format!("{{\"z\": 1, \"{section}\": {{\"a\": {{}}}}, \"b\": 2}}"),
        )
        .unwrap();
        let arguments = ["--json", "mcp", "config", client, "--file", "client.json"];
        let shown = hive.skep(&arguments).expect(0).json();
        assert_eq!(shown["written"], false);
        assert!(!std::fs::read_to_string(&file).unwrap().contains("skep"));
        let written = hive
            .skep(&[&arguments[..], &["--write"]].concat())
            .expect(0)
            .json();
        assert_eq!(
            (&written["tools"], &written["entry"]),
            (&json!(14), &shown["entry"]),
            "{client}"
        );
        let text = std::fs::read_to_string(&file).unwrap();
        let kept: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&kept["z"], &kept["b"]), (&json!(1), &json!(2)));
        assert_eq!(kept[section]["skep"], shown["entry"]);
        assert!(kept[section]["a"].is_object());
        let copy = std::fs::read_to_string(written["copy"].as_str().unwrap()).unwrap();
        assert!(copy.contains("\"z\": 1") && !copy.contains("skep"));
        let again = hive
            .skep(&[&arguments[..], &["--write"]].concat())
            .expect(0)
            .json();
        assert_eq!(again["copy"], Value::Null, "nothing changed");
    }
    let toml = [
        "--json", "mcp", "config", "codex", "--file", "c.toml", "--write",
    ];
    assert_eq!(hive.skep(&toml).expect(0).json()["tools"], 14);
    let text = std::fs::read_to_string(hive.path().join("c.toml")).unwrap();
    assert!(text.starts_with("[mcp_servers.skep]\n"), "{text}");
}

#[test]
fn an_entry_with_the_tools_of_claude_flow_has_its_name() {
    let hive = TestHive::start(0);
    let config = |toolset: &str| {
        let arguments = [
            "--json",
            "mcp",
            "config",
            "claude-code",
            "--file",
            "c.json",
            "--write",
        ];
        let written = hive.skep(&[&arguments[..], &["--toolset", toolset]].concat());
        written.expect(0).json()
    };
    let written = config("claude-flow");
    assert_eq!(
        written["entry"]["args"].as_array().unwrap()[1..3],
        ["--toolset", "claude-flow"]
    );
    assert!(written["tools"].as_u64().unwrap() > 40, "{written}");
    config("all");
    let text = std::fs::read_to_string(hive.path().join("c.json")).unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    let names: Vec<_> = file["mcpServers"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["claude-flow", "skep"]);
    assert_eq!(file["mcpServers"]["claude-flow"]["alwaysLoad"], false);
}

#[test]
fn a_file_that_cannot_be_read_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("settings.json");
    std::fs::write(&file, "// with a comment\n{}").unwrap();
    let arguments = [
        "--json",
        "mcp",
        "config",
        "vscode",
        "--file",
        "settings.json",
        "--write",
    ];
    let error = skep_in(directory.path(), &arguments).expect(6).json_error();
    assert_eq!(error["code"], "client_file_unusable");
    assert_eq!(
        std::fs::read_to_string(&file).unwrap(),
        "// with a comment\n{}"
    );
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn a_session_that_registers_over_it_works_completes_and_ends_with_the_process() {
    let hive = TestHive::start(0);
    let mut stdio = Stdio::start(command(hive.path(), &["mcp"]));
    stdio.ask("initialize", hello("2025-11-25"));
    let mut tool = |name: &str, arguments: Value| {
        let called = stdio.ask(
            "tools/call",
            json!({ "name": name, "arguments": arguments }),
        );
        assert_ne!(called["result"]["isError"], true, "{called}");
        called["result"]["structuredContent"].clone()
    };
    let described = json!({ "name": "look", "instructions": "look around" });
    let task = tool("skep_tasks_submit", described)["id"].clone();
    let session = tool("skep_sessions_register", json!({}))["id"].clone();
    let shown = json!({ "operation": "sessions.get", "arguments": { "id": session } });
    let shown = tool("skep_call", shown);
    let shown = shown.to_string();
    assert!(
        shown.contains("background") && shown.contains("test-"),
        "{shown}"
    );
    let asked = json!({ "id": session, "wait_ms": 30_000 });
    let given = tool("skep_sessions_request_work", asked)["assignment"].clone();
    assert_eq!(given["task"], task, "{given}");
    let claimed = tool(
        "skep_sessions_claim",
        json!({ "id": session, "task": task }),
    );
    let done = json!({
        "id": session, "task": task, "fence": claimed["fence"], "result": "nothing to see",
    });
    assert_eq!(tool("skep_sessions_complete", done)["state"], "succeeded");
    assert_eq!(stdio.end(), Some(0));
    let left = hive.skep(&["--json", "agent", "ls", "--kind", "attached"]);
    let left = left.expect(0);
    assert_eq!(left.json()["items"], json!([]));
}
