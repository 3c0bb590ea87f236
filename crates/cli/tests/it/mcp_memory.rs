//! Shared memory over the Model Context Protocol: tools, resources, and addresses that are followed.

use crate::hive::TestHive;
use crate::mcp_client::Http;
use crate::mcp_message::modern;
use serde_json::{Value, json};

#[test]
fn a_value_is_shared_read_found_and_not_overwritten_unseen() {
    let hive = TestHive::start(0);
    let http = Http::of(&hive);
    let put = |value: &str, version: Option<u64>| {
        let arguments = json!({
            "namespace": "knowledge", "key": "sort/quick", "value": { "says": value },
            "if_version": version, "why": "it was measured",
        });
        http.tool(modern, "skep_memory_put", arguments)
    };
    let written = put("pivot", None).done();
    let version = written["version"].as_u64();
    let arguments = json!({"namespace": "knowledge", "key": "sort/quick"});
    let read = http.tool(modern, "skep_memory_get", arguments).done();
    assert_eq!(read["value"], json!({"says": "pivot"}));
    assert_eq!(
        (&read["why"], read["version"].as_u64()),
        (&json!("it was measured"), version)
    );
    put("partition", version).done();
    let refused = put("median", version).result();
    assert_eq!(refused["isError"], true);
    let refused = &refused["structuredContent"];
    assert_eq!(refused["code"], "memory_version_conflict");
    assert!(refused["current_version"].as_u64() > version);
    let listed = json!({"operation": "memory.list", "arguments": {"namespace": "knowledge"}});
    let listed = http.tool(modern, "skep_call", listed).done();
    assert_eq!(listed["items"][0]["key"], "sort/quick");
    let found = http.tool(modern, "skep_memory_search", json!({"q": "partition"}));
    assert!(found.done()["items"].is_array());
}

#[test]
fn entries_are_resources_and_a_pattern_of_them_is_followed() {
    let hive = TestHive::start(0);
    let http = Http::of(&hive);
    let set = |key: &str| hive.skep(&["memory", "set", "swarm", key, "1"]).expect(0);
    set("plan/a b");
    let listed = http.post(&modern("resources/list", json!({}))).result();
    let uri = "skep://memory/swarm/plan/a%20b";
    let listed = listed["resources"].as_array().unwrap();
    assert!(
        listed.iter().any(|resource| resource["uri"] == uri),
        "{listed:?}"
    );
    let read = http
        .post(&modern("resources/read", json!({ "uri": uri })))
        .result();
    let document = read["contents"][0]["text"].as_str().unwrap();
    let document: Value = serde_json::from_str(document).unwrap();
    assert_eq!(
        (&document["key"], &document["value"]),
        (&json!("plan/a b"), &json!(1))
    );
    let pattern = "skep://memory/swarm/plan/*";
    let wish = json!({ "notifications": { "resourceSubscriptions": [pattern, uri] } });
    let mut stream = http.open(&modern("subscriptions/listen", wish));
    let first = stream.message();
    assert_eq!(
        first["method"], "notifications/subscriptions/acknowledged",
        "{first}"
    );
    let mut told = || {
        stream.message()["params"]["uri"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    set("other");
    set("plan/c");
    assert_eq!(told(), pattern);
    set("plan/a b");
    let mut both = [told(), told()];
    both.sort();
    assert_eq!(both, [pattern, uri]);
}
