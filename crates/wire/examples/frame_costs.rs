//! What frames cost: bytes on the wire and time to write and read, for each form.
//!
//! `cargo run --release -p skep-wire --example frame_costs`
#![expect(clippy::print_stdout, reason = "the table is what it is for")]

use skep_model::attempt::{
    ArtifactHash, ArtifactRecord, AttemptReport, Fence, GateReport, LogIndex, Outcome, ResourceUse,
};
use skep_model::ids::TaskId;
use skep_model::isolation::IsolationLevel;
use skep_model::task::TaskSpec;
use skep_model::work::{
    ArtifactPattern, CommandWork, Gate, GitResult, Input, Invocation, Work, Workspace,
};
use skep_wire::codec::{Calls, CoordinatorCall, Message, NodeCall, Opened, RequestId};
use skep_wire::payload::{
    AssignBatch, Assignment, Capabilities, Capability, Offer, ResultBatch, TaskToken,
};
use skep_wire::{Frame, Framing};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

/// Long enough that a figure moves by a few percent only.
const ROUND_MS: u128 = 300;

const fn fence(index: u64) -> Fence {
    Fence {
        epoch: 3,
        index: LogIndex(1_000_000 + index),
    }
}

fn command() -> Work {
    Work::Command(Box::new(CommandWork {
        invocation: Invocation::Shell(
            "cargo test --package engine --lib -- --nocapture\n./report.sh target/report.json\n"
                .to_owned(),
        ),
        env: BTreeMap::from([
            ("RUST_BACKTRACE".to_owned(), "1".to_owned()),
            ("SHARD".to_owned(), "17".to_owned()),
        ]),
        workspace: Workspace::Git {
            repository: "/srv/repositories/engine".to_owned(),
            reference: "2f6c1a9d0e".to_owned(),
            result: GitResult::default(),
        },
        reads: vec!["/usr/share/data".to_owned()],
        inputs: Vec::<Input>::new(),
        artifacts: vec![ArtifactPattern {
            name: "report".to_owned(),
            glob: "target/report.json".to_owned(),
            required: true,
        }],
        gates: Vec::<Gate>::new(),
        timeout_ms: 600_000,
        kill_grace_ms: 5_000,
    }))
}

fn assignments(count: u64) -> CoordinatorCall {
    let items = (0..count)
        .map(|index| {
            let mut spec = TaskSpec::noop(format!("unit-tests-{index}"));
            spec.work = command();
            let offer = Offer {
                task: TaskId::from_u128(u128::from(index) << 70 | 0x1234_5678_9abc),
                run: None,
                run_name: Some("nightly".into()),
                attempt: 1,
                fence: fence(index),
                spec: Arc::new(spec),
                idempotency_key: format!("nightly-unit-tests-{index}"),
                token: TaskToken::new("st_0123456789abcdefghijklmnopqrstuvwxyz0123456789"),
                meta: None,
            };
            let written = serde_json::to_string(&offer).expect("it has text keys");
            serde_json::from_str::<Assignment>(&written).expect("it was just written")
        })
        .collect();
    CoordinatorCall::Assign(AssignBatch { items })
}

fn results(count: u64) -> NodeCall {
    let reports = (0..count)
        .map(|index| AttemptReport {
            task: TaskId::from_u128(u128::from(index) << 70 | 0x1234_5678_9abc),
            fence: fence(index),
            outcome: Outcome::Completed,
            exit_code: Some(0),
            duration_ms: 12_345 + index,
            usage: ResourceUse {
                user_ms: 10_000 + index,
                system_ms: 900,
                memory_peak_bytes: 300 << 20,
            },
            isolation: Some(IsolationLevel::S1),
            artifacts: vec![ArtifactRecord {
                name: "report".to_owned(),
                path: "target/report.json".to_owned(),
                bytes: 20_000 + index,
                blake3: ArtifactHash::of(&index.to_le_bytes()),
                executable: false,
            }],
            gates: vec![GateReport {
                name: "tests".to_owned(),
                passed: true,
                exit_code: Some(0),
                duration_ms: 4_000,
                output: "test result: ok. 148 passed; 0 failed; 0 ignored\n".repeat(4),
            }],
            account: None,
        })
        .collect();
    NodeCall::Results(ResultBatch {
        reports,
        meta: None,
    })
}

/// Nanoseconds that one call takes, measured over `ROUND_MS`.
#[expect(
    clippy::disallowed_methods,
    reason = "it measures; the crate itself reads no clock"
)]
fn nanoseconds(mut once: impl FnMut()) -> u128 {
    let begin = Instant::now();
    let mut rounds = 0;
    while begin.elapsed().as_millis() < ROUND_MS {
        once();
        rounds += 1;
    }
    begin.elapsed().as_nanos() / rounds
}

fn measure<C: Calls>(what: &str, count: u64, call: &C) {
    let packed = Capabilities::NONE.with(Capability::MessagePack);
    let forms = [
        ("json", Framing::TEXT),
        ("messagepack", Framing::agreed(packed)),
        (
            "messagepack+zstd",
            Framing::agreed(packed.with(Capability::Zstd)),
        ),
    ];
    let id = RequestId::Number(7);
    for (name, framing) in forms {
        let frame: Frame = call.frame(framing, Some(&id));
        let write = nanoseconds(|| {
            black_box(call.frame(framing, Some(&id)));
        });
        let read = nanoseconds(|| {
            let opened = Opened::new(frame.as_ref()).expect("it was just written");
            let message = opened.decode::<C>().expect("it was just written");
            assert!(matches!(black_box(message), Message::Call { .. }));
        });
        println!(
            "{what:<11} {count:>5} {name:<17} {:>9} {:>12} {:>12}",
            frame.bytes() as u64 / count,
            write / u128::from(count),
            read / u128::from(count)
        );
    }
}

fn main() {
    println!("what        items form              bytes/item write ns/item read ns/item");
    for count in [1, 16, 256] {
        measure("assignments", count, &assignments(count));
        measure("results", count, &results(count));
    }
}
