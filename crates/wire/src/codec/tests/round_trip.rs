//! Property: what is written is read as the same again.

use super::super::*;
use crate::fixtures::{hello, key, offer, report};
use crate::framing::Framing;
use crate::payload::Credit;
use crate::payload::groups::{AffinityKind, AffinityRule, CoordinationMetadata, DistributionInfo};
use crate::payload::{
    AssignBatch, Assignment, AttemptKey, AwayNotice, BalanceRequest, Capabilities, Capability,
    GateMessage, GateRequest, Goodbye, Heartbeat, HeldAttempt, HeldPhase, Hello, HoldTerms,
    LoadNotice, MergeRequest, Meta, Negotiation, NodeMetrics, NodeRequest, ProgressBatch,
    ResolveRequest, ResultBatch, SplitRequest, StatusUpdate, SyncReport, SyncVerdicts, Verdict,
    VerdictItem,
};
use proptest::prelude::*;
use skep_model::attempt::{AttemptReport, GateReport, Outcome};
use skep_model::time::UnixMillis;

fn any_meta() -> impl Strategy<Value = Option<Meta>> {
    proptest::option::of(
        (".{0,8}", any::<u64>(), any::<i16>()).prop_map(|(text, number, part)| {
            let weight = serde_json::Number::from_f64(f64::from(part) / 8.0);
            Meta {
                coordination: Some(Box::new(CoordinationMetadata {
                    dependencies: vec![text.clone()],
                    ..CoordinationMetadata::default()
                })),
                distribution: Some(Box::new(DistributionInfo {
                    affinity_rules: vec![AffinityRule {
                        kind: Some(AffinityKind::DataLocality),
                        weight,
                        ..AffinityRule::default()
                    }],
                    ..DistributionInfo::default()
                })),
                message_id: Some(text.into()),
                deadline: Some(UnixMillis(number)),
                ..Meta::default()
            }
        }),
    )
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

fn terms() -> impl Strategy<Value = HoldTerms> {
    (any::<u64>(), any::<u64>(), any::<bool>()).prop_map(|(number, hold_ms, parked)| HoldTerms {
        number,
        hold_ms,
        parked,
    })
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
        (any::<u64>(), any::<Option<u64>>())
            .prop_map(|(sequence, terms)| NodeCall::Heartbeat(Heartbeat { sequence, terms })),
        (proptest::collection::vec(any_report(), 0..4), any_meta()).prop_map(|(parts, meta)| {
            let reports = parts.into_iter().map(build_report).collect();
            NodeCall::Results(ResultBatch { reports, meta })
        }),
        ".{0,40}".prop_map(|reason| NodeCall::Goodbye(Goodbye { reason })),
        (any::<u32>(), any::<u64>(), any::<Option<u32>>()).prop_map(
            |(load_permille, memory_used_bytes, rtt_ms)| {
                NodeCall::Metrics(NodeMetrics {
                    load_permille,
                    memory_used_bytes,
                    attempts: 1,
                    rtt_ms,
                    upload_bytes_s: rtt_ms.map(u64::from),
                })
            }
        ),
        any::<Option<Option<u8>>>().prop_map(|away| {
            let notice = |reason: Option<u8>| AwayNotice(reason.map(|reason| reason.to_string()));
            NodeCall::Progress(ProgressBatch {
                away: away.map(notice),
                ..ProgressBatch::default()
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
        (any::<bool>(), proptest::option::of(terms()))
            .prop_map(|(draining, hold)| CoordinatorCall::Status(StatusUpdate { draining, hold })),
        (keys(), any::<u32>()).prop_map(|(attempts, at_most)| {
            CoordinatorCall::Balance(BalanceRequest { attempts, at_most })
        }),
    ]
}

fn keys() -> impl Strategy<Value = Vec<AttemptKey>> {
    proptest::collection::vec((any::<u128>(), any::<u64>()), 0..4).prop_map(|parts| {
        parts
            .into_iter()
            .map(|(task, index)| key(task, index))
            .collect()
    })
}

/// What nodes ask and announce beside the ordinary course of a session.
fn any_new_call() -> impl Strategy<Value = NodeCall> {
    let ask = |request| NodeCall::Ask(Box::new(request));
    prop_oneof![
        (any::<u8>(), any::<u64>()).prop_map(|(bits, items)| {
            let offered = Capability::ALL
                .into_iter()
                .enumerate()
                .filter(|(place, _)| bits & (1 << place) != 0)
                .fold(Capabilities::NONE, |set, (_, capability)| {
                    set.with(capability)
                });
            NodeCall::Negotiate(Negotiation::offering(offered, Credit { items, bytes: 7 }))
        }),
        (any::<bool>(), any::<u32>()).prop_map(|(overloaded, waiting)| {
            NodeCall::Load(LoadNotice {
                overloaded,
                waiting,
            })
        }),
        (any::<u64>(), keys()).prop_map(move |(index, keys)| {
            let wanted = keys.into_iter().map(|key| key.task).collect();
            ask(NodeRequest::Resolve(ResolveRequest {
                attempt: key(1, index),
                wanted,
            }))
        }),
        (any::<u64>(), ".{0,9}").prop_map(move |(index, name)| {
            let gate = if index % 2 == 0 {
                GateMessage::Evaluate(name)
            } else {
                GateMessage::Report(GateReport {
                    name,
                    passed: true,
                    exit_code: Some(-1),
                    duration_ms: index,
                    output: "é".to_owned(),
                })
            };
            ask(NodeRequest::Gate(GateRequest {
                attempt: key(1, index),
                gate,
            }))
        }),
        (any::<u64>(), ".{0,9}", any::<i64>()).prop_map(move |(index, name, number)| {
            let task = serde_json::json!({"run": name, "more": [number, null, 0.5, {}]});
            ask(NodeRequest::Split(SplitRequest {
                attempt: key(1, index),
                tasks: [(name, task)].into(),
                base_dir: None,
            }))
        }),
        (any::<u64>(), keys()).prop_map(move |(index, keys)| {
            let shards = keys.into_iter().map(|key| key.task).collect();
            ask(NodeRequest::Merge(MergeRequest {
                attempt: key(1, index),
                shards,
            }))
        }),
    ]
}

fn any_id() -> impl Strategy<Value = Option<RequestId>> {
    proptest::option::of(prop_oneof![
        any::<u64>().prop_map(RequestId::Number),
        "[a-z\"\\\\é]{0,10}".prop_map(RequestId::Text),
    ])
}

/// JSON, MessagePack, and MessagePack that is compressed when it is large.
fn framings() -> [Framing; 3] {
    let packed = Capabilities::NONE.with(Capability::MessagePack);
    let compressed = packed.with(Capability::Zstd);
    [
        Framing::TEXT,
        Framing::agreed(packed),
        Framing::agreed(compressed),
    ]
}

/// Written and read again in each form it is the same, word for word in JSON.
#[track_caller]
fn survives<C: Calls + PartialEq + fmt::Debug>(id: Option<&RequestId>, call: &C) {
    for framing in framings() {
        let frame = call.frame(framing, id);
        let opened = Opened::new(frame.as_ref()).unwrap();
        let Ok(Message::Call {
            id: read_id,
            call: read,
            ..
        }) = opened.decode::<C>()
        else {
            panic!("not a call: {frame:?}");
        };
        let texts = (read.encode(read_id.as_ref()), call.encode(id));
        assert_eq!(texts.0, texts.1);
    }
}

proptest! {
    #[test]
    fn a_call_of_a_node_survives_its_text(id in any_id(), call in any_node_call()) {
        survives(id.as_ref(), &call);
    }

    #[test]
    fn what_a_node_asks_survives_its_frames(id in any_id(), call in any_new_call()) {
        survives(id.as_ref(), &call);
    }

    #[test]
    fn no_bytes_make_the_decoder_of_binary_frames_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        form in 0_u8..4,
    ) {
        let frame: Vec<u8> = std::iter::once(form).chain(bytes).collect();
        if let Ok(opened) = Opened::new(FrameRef::Binary(&frame)) {
            prop_assert!(opened.decode::<NodeCall>().is_err());
        }
    }

    #[test]
    fn a_call_of_a_coordinator_survives_its_text(id in any_id(), call in any_coordinator_call()) {
        survives(id.as_ref(), &call);
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
