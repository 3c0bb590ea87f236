//! Property: what is written is read as the same again.

use super::super::*;
use crate::fixtures::{hello, key, offer, report};
use crate::payload::{
    AssignBatch, Assignment, Goodbye, Heartbeat, HeldAttempt, HeldPhase, Hello, Meta, NodeMetrics,
    RawJson, ResultBatch, StatusUpdate, SyncReport, SyncVerdicts, Verdict, VerdictItem,
};
use proptest::prelude::*;
use skep_model::attempt::{AttemptReport, GateReport, Outcome};

fn any_meta() -> impl Strategy<Value = Option<Meta>> {
    proptest::option::of(".{0,8}".prop_map(|text| {
        let raw = serde_json::value::to_raw_value(&text).unwrap();
        Meta {
            coordination: Some(RawJson(raw)),
            ..Meta::default()
        }
    }))
}

fn any_report() -> impl Strategy<Value = AttemptReportParts> {
    (
        any::<u128>(),
        any::<u64>(),
        ".{0,40}",
        any::<i32>(),
        any::<bool>(),
    )
}

type AttemptReportParts = (u128, u64, String, i32, bool);

fn build_report((task, index, text, code, gated): AttemptReportParts) -> AttemptReport {
    let mut built = report(key(task, index));
    built.exit_code = Some(code);
    if gated {
        built.outcome = Outcome::GateFailed { gate: text.clone() };
        built.gates.push(GateReport {
            name: text.clone(),
            passed: false,
            exit_code: None,
            duration_ms: index,
            output: text,
        });
    } else {
        built.outcome = Outcome::Error {
            code: "c".to_owned(),
            message: text,
        };
    }
    built
}

fn any_node_call() -> impl Strategy<Value = NodeCall> {
    let keys = || proptest::collection::vec((any::<u128>(), any::<u64>()), 0..5);
    prop_oneof![
        (any_meta(), proptest::option::of(any::<u32>()), ".{0,20}").prop_map(
            |(meta, resume, name)| {
                let mut said = hello();
                said.facts.name = name;
                NodeCall::Hello(Box::new(Hello {
                    resume,
                    meta,
                    ..said
                }))
            }
        ),
        (keys(), keys()).prop_map(|(held, spooled)| NodeCall::Sync(SyncReport {
            held: held
                .into_iter()
                .map(|(task, index)| HeldAttempt {
                    task: key(task, index).task,
                    fence: key(task, index).fence,
                    phase: HeldPhase::Verifying,
                })
                .collect(),
            spooled: spooled
                .into_iter()
                .map(|(task, index)| key(task, index))
                .collect(),
        })),
        any::<u64>().prop_map(|sequence| NodeCall::Heartbeat(Heartbeat { sequence })),
        (proptest::collection::vec(any_report(), 0..4), any_meta()).prop_map(|(parts, meta)| {
            let reports = parts.into_iter().map(build_report).collect();
            NodeCall::Results(ResultBatch { reports, meta })
        }),
        ".{0,40}".prop_map(|reason| NodeCall::Goodbye(Goodbye { reason })),
        (any::<u32>(), any::<u64>()).prop_map(|(load_permille, memory_used_bytes)| {
            NodeCall::Metrics(NodeMetrics {
                load_permille,
                memory_used_bytes,
                attempts: 1,
            })
        }),
    ]
}

fn any_coordinator_call() -> impl Strategy<Value = CoordinatorCall> {
    let verdict = prop_oneof![
        Just(Verdict::Keep),
        Just(Verdict::Kill),
        Just(Verdict::Resend),
        Just(Verdict::Discard)
    ];
    prop_oneof![
        proptest::collection::vec((any::<u128>(), any::<u64>(), ".{0,40}"), 0..4).prop_map(
            |parts| {
                let items = parts
                    .into_iter()
                    .map(|(task, index, text)| {
                        let written = serde_json::to_string(&offer(key(task, index))).unwrap();
                        let read: Assignment = serde_json::from_str(&written).unwrap();
                        Assignment { name: text, ..read }
                    })
                    .collect();
                CoordinatorCall::Assign(AssignBatch { items })
            }
        ),
        proptest::collection::vec((any::<u128>(), any::<u64>(), verdict), 0..4).prop_map(|parts| {
            let items = parts
                .into_iter()
                .map(|(task, index, verdict)| VerdictItem::new(key(task, index), verdict))
                .collect();
            CoordinatorCall::Verdicts(SyncVerdicts { items })
        }),
        any::<bool>().prop_map(|draining| CoordinatorCall::Status(StatusUpdate { draining })),
    ]
}

fn any_id() -> impl Strategy<Value = Option<RequestId>> {
    proptest::option::of(prop_oneof![
        any::<u64>().prop_map(RequestId::Number),
        "[a-z\"\\\\é]{0,10}".prop_map(RequestId::Text),
    ])
}

#[track_caller]
fn survives<C: Calls + PartialEq + fmt::Debug>(id: Option<RequestId>, call: C) {
    let text = encode(&Message::Call {
        id: id.clone(),
        call,
    });
    let Ok(Message::Call {
        id: read_id,
        call: read,
    }) = decode::<C>(&text)
    else {
        panic!("not a call: {text}");
    };
    let again = read.encode(read_id.as_ref());
    assert_eq!((read_id, again), (id, text));
}

proptest! {
    #[test]
    fn a_call_of_a_node_survives_its_text(id in any_id(), call in any_node_call()) {
        survives(id, call);
    }

    #[test]
    fn a_call_of_a_coordinator_survives_its_text(id in any_id(), call in any_coordinator_call()) {
        survives(id, call);
    }

    #[test]
    fn no_text_makes_the_decoder_panic(text in "[\\{\\}\\[\\]\":,a-z0-9 .]{0,200}") {
        let read = (decode::<NodeCall>(&text).is_ok(), decode::<CoordinatorCall>(&text).is_ok());
        prop_assert!(!read.0 || text.contains("jsonrpc"));
    }

    #[test]
    fn a_cut_frame_is_never_read_as_another_one(call in any_node_call(), cut in 1_usize..200) {
        let text = call.encode(Some(&RequestId::Number(1)));
        let end = text.len().saturating_sub(cut);
        if let Some(start) = text.get(..end) {
            prop_assert!(decode::<NodeCall>(start).is_err());
        }
    }
}
