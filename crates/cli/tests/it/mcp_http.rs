//! The Model Context Protocol by raw HTTP: both revisions, tools, and what is refused.

use crate::hive::TestHive;
use crate::mcp_client::Http;
use crate::mcp_message::{Request, hello, legacy, modern};
use serde_json::{Value, json};

#[test]
fn both_revisions_are_served_at_one_url() {
    let hive = TestHive::start(0);
    let http = Http::of(&hive);
    let discovered = http.post(&modern("server/discover", json!({}))).result();
    let versions = discovered["supportedVersions"].as_array().unwrap();
    for version in ["2026-07-28", "2025-11-25"] {
        assert!(versions.contains(&json!(version)), "{discovered}");
    }
    let extensions = &discovered["capabilities"]["extensions"];
    assert!(
        extensions["io.modelcontextprotocol/tasks"].is_object(),
        "{discovered}"
    );
    assert_eq!(discovered["capabilities"]["resources"]["subscribe"], true);

    for version in ["2025-11-25", "2025-06-18", "2025-03-26"] {
        let greeted = http.post(&legacy("initialize", hello(version))).result();
        assert_eq!(greeted["protocolVersion"], version);
        assert_eq!(greeted["serverInfo"]["name"], "skep");
        let capabilities = &greeted["capabilities"];
        assert!(capabilities["tools"].is_object(), "{greeted}");
        assert!(
            capabilities["resources"].get("subscribe").is_none(),
            "{greeted}"
        );
        assert!(capabilities.get("extensions").is_none(), "{greeted}");
    }
    let new = http.post(&modern("tools/list", json!({}))).result();
    let old = http.post(&legacy("tools/list", json!({}))).result();
    assert_eq!(new["tools"], old["tools"]);
    assert_eq!(
        (&new["resultType"], &old["resultType"]),
        (&json!("complete"), &Value::Null)
    );
    assert!(new["ttlMs"].is_u64(), "{new}");
}

#[test]
fn a_plan_is_submitted_waited_for_and_its_log_is_read() {
    let hive = TestHive::start(1);
    let http = Http::of(&hive);
    let plan = json!({ "name": "p", "tasks": { "a": { "run": "echo hello" } } });
    for make in [modern, legacy] {
        let submitted = http
            .tool(make, "skep_runs_submit", json!({ "plan": plan }))
            .done();
        let run = submitted["run"]["id"].as_str().unwrap();
        let task = submitted["tasks"]["a"].as_str().unwrap();
        let ended = http.tool(make, "skep_wait", json!({ "id": run })).done();
        assert_eq!(
            (&ended["final"], &ended["state"]),
            (&json!(true), &json!("succeeded"))
        );
        assert_eq!(ended["document"]["tasks"][0]["id"], task);
        let log = http
            .tool(make, "skep_tasks_logs", json!({ "id": task }))
            .done();
        assert_eq!(
            log,
            json!({ "text": "hello\n", "next_offset": 6, "truncated": false })
        );
        let rest = json!({ "id": task, "offset": 4 });
        let rest = http.tool(make, "skep_tasks_logs", rest).done();
        assert_eq!(
            (&rest["text"], &rest["next_offset"]),
            (&json!("o\n"), &json!(6))
        );
    }
}

#[test]
fn operations_that_are_no_tools_are_found_and_called() {
    let hive = TestHive::start(1);
    let http = Http::of(&hive);
    let found = http
        .tool(modern, "skep_search", json!({ "query": "drain node" }))
        .done();
    let first = &found["operations"][0];
    assert_eq!(first["name"], "nodes.drain");
    assert_eq!(first["input_schema"]["required"], json!(["id"]));
    let nodes = json!({ "operation": "nodes.list" });
    let nodes = http.tool(modern, "skep_call", nodes).done();
    let id = nodes["items"][0]["id"].as_str().unwrap();
    let drain = json!({ "operation": "nodes.drain", "arguments": { "id": id } });
    http.tool(modern, "skep_call", drain).done();
    let node = json!({ "operation": "nodes.get", "arguments": { "id": id } });
    let node = http.tool(modern, "skep_call", node).done();
    assert_eq!(node["drain_requested"], true);
}

#[test]
fn what_the_token_does_not_allow_is_refused_for_each_call() {
    let hive = TestHive::start(0);
    let new = ["--json", "token", "new", "reader", "--scope", "read"];
    let token = hive.skep(&new).expect(0).json();
    let reader = Http::new(hive.address(), token["secret"].as_str().unwrap());
    reader.tool(modern, "skep_tasks_list", json!({})).done();
    let submit = json!({ "name": "t", "kind": "noop" });
    let refused = reader.tool(modern, "skep_tasks_submit", submit).refused();
    assert_eq!(refused["code"], "scope_missing");
    let indirect = json!({ "operation": "tokens.list" });
    let refused = reader.tool(modern, "skep_call", indirect).refused();
    assert_eq!(refused["code"], "scope_missing");

    for token in ["", "swu1_wrong"] {
        let stranger = Http::new(hive.address(), token);
        let answer = stranger.post(&modern("tools/list", json!({})));
        assert_eq!(answer.status, 401);
        assert!(
            answer
                .header("www-authenticate")
                .unwrap()
                .starts_with("Bearer")
        );
    }
}

#[test]
fn pages_of_other_origins_and_other_hosts_are_refused() {
    let hive = TestHive::start(0);
    let http = Http::of(&hive);
    let own = format!("http://{}", hive.address());
    assert_eq!(http.post(&list().header("origin", &own)).status, 200);
    for (name, value) in [
        ("origin", "http://evil.example"),
        ("origin", "null"),
        ("host", "evil.example"),
    ] {
        assert_eq!(
            http.post(&list().header(name, value)).status,
            403,
            "{name}: {value}"
        );
    }
}

/// A request, and the status, number and code of what answers it.
type Bad = (Request, u16, i64, &'static str);

fn list() -> Request {
    modern("tools/list", json!({}))
}

/// Faults of the message, which is not looked into further.
fn bad_messages() -> [Bad; 11] {
    let mut bare = list();
    let meta = bare.body["params"]["_meta"].as_object_mut().unwrap();
    meta.remove("io.modelcontextprotocol/clientCapabilities");
    let invalid = "mcp_invalid_request";
    let mismatch = "mcp_header_mismatch";
    let no_version = r#"{"id":1,"method":"ping"}"#;
    let old = list().header("mcp-protocol-version", "2025-11-25");
    let plain = list().header("content-type", "text/plain");
    let large = list().text(&"x".repeat((16 << 20) + 1));
    let unknown = list().version("1999-01-01");
    [
        (
            list().text("{\"jsonrpc\":"),
            400,
            -32_700,
            "mcp_parse_error",
        ),
        (list().text("[]"), 400, -32_600, invalid),
        (list().text(no_version), 400, -32_600, invalid),
        (list().header("mcp-method", "x"), 400, -32_020, mismatch),
        (old, 400, -32_020, mismatch),
        (unknown, 400, -32_022, "mcp_version_unsupported"),
        (bare, 400, -32_602, "mcp_params_invalid"),
        (list().header("accept", "text/html"), 406, -32_600, invalid),
        (plain, 415, -32_600, invalid),
        (
            list().at("/mcp?toolset=ruv-swarm"),
            400,
            -32_600,
            "mcp_toolset_unknown",
        ),
        (large, 413, -32_600, "body_too_large"),
    ]
}

/// Faults of what the message asks for.
fn bad_requests() -> [Bad; 12] {
    let call = |params: Value| modern("tools/call", params);
    let prompt = modern("prompts/get", json!({ "name": "nothing" }));
    let file = modern("resources/read", json!({ "uri": "file:///etc/passwd" }));
    let task = modern("tasks/get", json!({ "taskId": "x" }));
    let explode = call(json!({ "name": "skep_explode" }));
    let method = "mcp_method_unknown";
    let other_name = call(json!({ "name": "skep_tasks_list" })).header("mcp-name", "skep_wait");
    // With the form of a state, and without.
    let forged = json!({
        "name": "skep_tasks_list",
        "requestState": format!("9999999999999.7b7d.{}", "0".repeat(64)),
        "inputResponses": { "confirm": { "action": "accept", "content": { "ok": true } } },
    });
    let prompt_state = json!({
        "name": "explain", "arguments": { "id": "run_1" }, "requestState": "x",
    });
    let resource_state = json!({ "uri": "skep://node/node_1", "requestState": "" });
    let state = "mcp_request_state_invalid";
    [
        (other_name, 400, -32_020, "mcp_header_mismatch"),
        (call(forged), 200, -32_602, state),
        (modern("prompts/get", prompt_state), 200, -32_602, state),
        (
            modern("resources/read", resource_state),
            200,
            -32_602,
            state,
        ),
        (modern("tools/explode", json!({})), 404, -32_601, method),
        (modern("ping", json!({})), 404, -32_601, method),
        (
            modern("initialize", hello("2026-07-28")),
            404,
            -32_601,
            method,
        ),
        (call(json!({})), 200, -32_602, "mcp_params_invalid"),
        (explode, 200, -32_602, "mcp_tool_unknown"),
        (prompt, 200, -32_602, "mcp_prompt_unknown"),
        (file, 200, -32_602, "mcp_resource_unknown"),
        (task, 400, -32_021, "mcp_capability_missing"),
    ]
}

#[test]
fn bad_messages_are_answered_with_a_code_each() {
    let hive = TestHive::start(0);
    let http = Http::of(&hive);
    let cases = bad_messages().into_iter().chain(bad_requests());
    for (request, status, rpc, code) in cases {
        let answer = http.post(&request);
        let error = answer.error();
        let seen = (
            answer.status,
            error["code"].as_i64(),
            &error["data"]["code"],
        );
        let text = &answer.text;
        assert_eq!(seen, (status, Some(rpc), &json!(code)), "{code}: {text}");
        assert!(error["data"]["hint"].is_string(), "{text}");
    }
    let gone = http.get();
    assert_eq!((gone.status, gone.header("allow")), (405, Some("POST")));
}

#[test]
fn bad_arguments_are_named_in_the_result_of_the_tool() {
    let hive = TestHive::start(0);
    let http = Http::of(&hive);
    let (query, params) = ("query_malformed", "mcp_params_invalid");
    let login = json!({ "operation": "nodes.login" });
    let long = json!({ "name": "t", "run": "x".repeat(65_537) });
    for (tool, arguments, code, named) in [
        ("skep_tasks_get", json!({}), query, "`id` is missing"),
        ("skep_tasks_list", json!({ "limit": "x" }), query, "`limit`"),
        ("skep_tasks_list", json!({ "limt": 1 }), query, "`limt`"),
        (
            "skep_tasks_submit",
            json!({ "nmae": "t" }),
            "body_malformed",
            "nmae",
        ),
        (
            "skep_tasks_submit",
            long,
            "body_malformed",
            "SCRIPT_BYTES_MAX",
        ),
        ("skep_wait", json!({}), params, "`id`"),
        ("skep_wait", json!({ "id": "task_1" }), params, "task_1"),
        ("skep_call", login, "mcp_operation_unknown", "nodes.login"),
    ] {
        let refused = http.tool(modern, tool, arguments).refused();
        assert_eq!(refused["code"], code, "{tool}: {refused}");
        let detail = refused["detail"].as_str().unwrap();
        assert!(detail.contains(named), "{tool}: {detail}");
    }
}

#[test]
fn one_tool_use_is_one_submission() {
    let hive = TestHive::start(0);
    let http = Http::of(&hive);
    let submit = |tool_use: &str, name: &str| {
        let mut call = modern(
            "tools/call",
            json!({ "name": "skep_tasks_submit", "arguments": { "name": name, "kind": "noop" } }),
        );
        call.body["params"]["_meta"]["claudecode/toolUseId"] = json!(tool_use);
        http.post(&call)
    };
    let first = submit("toolu_1", "t").done();
    let again = submit("toolu_1", "t").done();
    let other = submit("toolu_2", "t").done();
    assert_eq!(first["id"], again["id"]);
    assert_ne!(first["id"], other["id"]);
    assert_eq!(
        submit("toolu_1", "u").refused()["code"],
        "idempotency_mismatch"
    );
    assert_eq!(
        submit("a b", "t").refused()["code"],
        "idempotency_key_malformed"
    );
}

#[test]
fn prompts_are_listed_and_filled_in() {
    let hive = TestHive::start(0);
    let http = Http::of(&hive);
    let listed = http.post(&modern("prompts/list", json!({}))).result();
    assert_eq!(listed["prompts"][0]["name"], "plan_and_run");
    let get = json!({ "name": "explain", "arguments": { "id": "run_7" } });
    for make in [modern, legacy] {
        let prompt = http.post(&make("prompts/get", get.clone())).result();
        let text = prompt["messages"][0]["content"]["text"].as_str().unwrap();
        assert!(text.contains("run_7"), "{text}");
    }
}
