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

#[test]
fn a_subscription_goes_on_after_the_last_sign() {
    let hive = TestHive::start(0);
    let http = Http::of(&hive);
    let set = |key: &str| {
        let value = json!({ "namespace": "swarm", "key": key, "value": 1 });
        http.tool(modern, "skep_memory_put", value).done()
    };
    let [first, second] = ["a", "b"].map(|key| format!("skep://memory/swarm/{key}"));
    let listen = |after: Option<Value>| {
        let wish = json!({ "notifications": { "resourceSubscriptions": [first, second] } });
        let mut request = modern("subscriptions/listen", wish);
        if let Some(after) = after {
            request.body["params"]["_meta"]["skep/after"] = after;
        }
        let mut stream = http.open(&request);
        let accepted = stream.message();
        assert_eq!(
            accepted["method"], "notifications/subscriptions/acknowledged",
            "{accepted}"
        );
        stream
    };
    let uri = |message: &Value| message["params"]["uri"].as_str().unwrap().to_owned();
    let cursor = |message: &Value| message["params"]["_meta"]["skep/cursor"].clone();

    let mut stream = listen(None);
    set("a");
    let sign = stream.message();
    assert_eq!(uri(&sign), first);
    drop(stream);
    // Nobody listens.
    set("a");
    set("b");
    let mut stream = listen(Some(cursor(&sign)));
    let both = [stream.message(), stream.message()];
    let mut told = both.clone().map(|sign| uri(&sign));
    told.sort();
    assert_eq!(told, [first.clone(), second.clone()]);
    // After the first of two that came together, the other is told again.
    let mut stream = listen(Some(cursor(&both[0])));
    let again = [stream.message(), stream.message()].map(|sign| uri(&sign));
    assert!(again.contains(&uri(&both[1])), "{again:?}");
    let mut stream = listen(Some(cursor(&both[1])));
    set("b");
    assert_eq!(uri(&stream.message()), second);

    let read = http.post(&modern("resources/read", json!({ "uri": first })));
    let read = read.result()["contents"][0]["_meta"]["skep/cursor"].clone();
    set("a");
    let mut stream = listen(Some(read));
    assert_eq!(uri(&stream.message()), first);

    let mut stream = listen(Some(json!(u64::MAX)));
    let refused = stream.message();
    assert_eq!(
        refused["error"]["data"]["code"], "cursor_ahead",
        "{refused}"
    );
    let mut stream = listen(Some(json!("soon")));
    let refused = stream.message();
    assert_eq!(
        refused["error"]["data"]["code"], "mcp_params_invalid",
        "{refused}"
    );
}
