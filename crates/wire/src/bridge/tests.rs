//! Both ways over the bridge lead back to the same message.

use super::*;
use crate::payload::Meta;
use proptest::prelude::*;
use serde_json::json;

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,6}".prop_map(Value::from),
        Just(json!({})),
        Just(json!([])),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(any_name(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Names that matter to the bridge, and others.
fn any_name() -> impl Strategy<Value = String> {
    let known: Vec<&'static str> = GROUPS
        .into_iter()
        .chain(META_GROUPS)
        .chain([
            META, META_MADE, "jsonrpc", "id", "method", "params", "result", "error", "data", "more",
        ])
        .collect();
    prop_oneof![
        9 => proptest::sample::select(known).prop_map(str::to_owned),
        1 => "[a-z]{1,3}",
    ]
}

fn any_meta() -> impl Strategy<Value = Value> {
    let name = proptest::sample::select(
        META_GROUPS
            .into_iter()
            .chain(["more", "orchestration"])
            .collect::<Vec<_>>(),
    );
    let mark = proptest::option::of(prop_oneof![
        Just(json!("meta")),
        Just(json!("params")),
        Just(json!("data")),
        Just(json!(7)),
    ]);
    let entries = proptest::collection::btree_map(name.prop_map(str::to_owned), any_value(), 0..3);
    (entries, mark).prop_map(|(entries, mark)| {
        let mut meta: Map<String, Value> = entries.into_iter().collect();
        meta.extend(mark.map(|mark| (META_MADE.to_owned(), mark)));
        Value::Object(meta)
    })
}

/// Messages of either protocol, and near misses.
fn any_message() -> impl Strategy<Value = Value> {
    let holder = prop_oneof![
        2 => Just(None),
        4 => any_meta().prop_map(|meta| Some(json!({ "_meta": meta }))),
        3 => (any_meta(), any_value())
            .prop_map(|(meta, more)| Some(json!({ "_meta": meta, "more": more }))),
        2 => any_value().prop_map(Some),
    ];
    let groups = proptest::collection::btree_map(
        proptest::sample::select(GROUPS.to_vec()).prop_map(str::to_owned),
        any_value(),
        0..3,
    );
    (0..3_u8, holder, groups, any_value()).prop_map(|(kind, holder, groups, id)| {
        let mut message: Map<String, Value> = groups.into_iter().collect();
        message.insert("id".to_owned(), id);
        match kind {
            0 => {
                message.insert("method".to_owned(), json!("tools/call"));
                message.extend(holder.map(|holder| ("params".to_owned(), holder)));
            }
            1 => {
                message.insert("result".to_owned(), holder.unwrap_or(json!({})));
            }
            _ => {
                let mut error = json!({ "code": 1, "message": "m" });
                if let Some(data) = holder {
                    error["data"] = data;
                }
                message.insert("error".to_owned(), error);
            }
        }
        Value::Object(message)
    })
}

fn check(message: &Value) {
    if let Ok(mcp) = mcpx_to_mcp(message.clone()) {
        assert_eq!(mcp_to_mcpx(mcp.clone()).as_ref(), Ok(message), "over {mcp}");
        assert!(GROUPS.iter().all(|name| mcp.get(name).is_none()), "{mcp}");
    }
    if let Ok(mcpx) = mcp_to_mcpx(message.clone()) {
        assert_eq!(
            mcpx_to_mcp(mcpx.clone()).as_ref(),
            Ok(message),
            "over {mcpx}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn both_ways_lead_back_to_the_same_message(message in any_message()) {
        check(&message);
    }

    #[test]
    fn any_value_is_translated_without_loss_or_refused(message in any_value()) {
        check(&message);
    }
}

#[test]
fn groups_move_into_meta_and_what_was_made_is_marked() {
    let group = json!({"sessionId": "s"});
    for (mcpx, mcp) in [
        (
            json!({"id": 1, "method": "m", "orchestration": group}),
            json!({"id": 1, "method": "m",
                "params": {"_meta": {"skep/orchestration": group, "skep/made": "params"}}}),
        ),
        (
            json!({"id": 1, "method": "m", "params": {"a": 1}, "distribution": group}),
            json!({"id": 1, "method": "m",
                "params": {"a": 1, "_meta": {"skep/distribution": group, "skep/made": "meta"}}}),
        ),
        (
            json!({"id": 1, "result": {"_meta": {"x": 1}}, "coordination": group}),
            json!({"id": 1, "result": {"_meta": {"x": 1, "skep/coordination": group}}}),
        ),
        (
            json!({"id": 1, "error": {"code": 1}, "coordination": group}),
            json!({"id": 1, "error": {"code": 1,
                "data": {"_meta": {"skep/coordination": group, "skep/made": "data"}}}}),
        ),
        (json!({"id": 1, "result": 7}), json!({"id": 1, "result": 7})),
    ] {
        assert_eq!(mcpx_to_mcp(mcpx.clone()), Ok(mcp.clone()));
        assert_eq!(mcp_to_mcpx(mcp), Ok(mcpx));
    }
}

#[test]
fn what_would_be_lost_is_refused_by_name() {
    let group = json!({});
    for (mcpx, expected) in [
        (
            json!({"method": "m", "params": [1], "orchestration": group}),
            BridgeError::NoRoom { place: "params" },
        ),
        (
            json!({"method": "m", "params": {"_meta": 1}, "orchestration": group}),
            BridgeError::NoRoom { place: "_meta" },
        ),
        (
            json!({"method": "m", "params": {"_meta": {"skep/made": 1}}}),
            BridgeError::NameTaken { name: META_MADE },
        ),
        (json!({"orchestration": group}), BridgeError::NotAMessage),
    ] {
        assert_eq!(mcpx_to_mcp(mcpx), Err(expected));
    }
    let mcp = json!({"method": "m", "params": {"_meta": {"skep/made": "meta"}}});
    let made = "meta".to_owned();
    assert_eq!(mcp_to_mcpx(mcp), Err(BridgeError::WrongMark { made }));
}

#[test]
fn the_groups_of_a_bridged_message_are_those_that_an_end_reads() {
    let mcpx = json!({"method": "m", "params": {}, "orchestration": {"sessionId": "s"}});
    let mcp = mcpx_to_mcp(mcpx).unwrap();
    let meta: Meta = serde_json::from_value(mcp["params"]["_meta"].clone()).unwrap();
    assert_eq!(meta.orchestration.unwrap().session_id, "s");
}
