//! Scripts for the node's end.

use super::*;
use crate::bounds::{
    BAD_MESSAGES_MAX, CONNECT_TIMEOUT_MS, HANDSHAKE_TIMEOUT_MS, PROGRESS_DELAY_MS,
    RESULT_ANSWER_TIMEOUT_MS, RESULT_RETRY_MS, SPOOLED_REPORTS_MAX, STOP_NOTICE_TIMEOUT_MS,
};
use crate::codec::Calls;
use crate::codec::{CoordinatorCall, RequestId, encode_answer, encode_fault};
use crate::fault::{Fault, FaultCode};
use crate::fixtures::{NODE, facts, key, offer, report, welcome};
use crate::payload::{
    AssignBatch, EndCode, Heartbeat, NodeMetrics, ResultAnswer, ResultAnswers, ResultVerdict,
    SessionEnd, StatusUpdate, SyncVerdicts, Verdict, VerdictItem,
};
use serde::Serialize;
use serde_json::Value;
use skep_model::ids::InstanceId;

mod negotiated;
mod parking;
mod results;
mod session;
mod work;

const STATUS: &str = "mcpx.status.update";
const SEND_STATUS: &str = "send mcpx.status.update";

/// The coordinator says that nothing more comes.
fn draining() -> CoordinatorCall {
    CoordinatorCall::Status(StatusUpdate {
        draining: true,
        hold: None,
    })
}

/// A node with the last things it said, on a clock that the script moves.
struct Rig {
    node: NodeEnd,
    now: u64,
    last: Vec<NodeOutput>,
}

impl Rig {
    fn new(slots: u32, spool: Vec<AttemptReport>) -> Self {
        let options = NodeOptions {
            node: NODE,
            instance: InstanceId::from_u128(1),
            starts: 0,
            facts: facts(slots),
            slots,
            jitter_seed: 5,
        };
        Self {
            node: NodeEnd::new(options, spool),
            now: 0,
            last: Vec::new(),
        }
    }

    /// A node in a live session that began at 0 and holds nothing.
    fn live(slots: u32) -> Self {
        let mut rig = Self::new(slots, Vec::new());
        rig.go_live(&SyncVerdicts::default());
        rig
    }

    fn input(&mut self, input: NodeInput) -> Vec<String> {
        self.last = self.node.handle(self.now, input);
        words(&self.last)
    }

    fn tick_at(&mut self, now: u64) -> Vec<String> {
        self.now = now;
        self.input(NodeInput::Tick)
    }

    /// Connects at the next timer and goes through the handshake; returns the sync parameters.
    fn go_live(&mut self, verdicts: &SyncVerdicts) -> Value {
        self.greet();
        self.answer("mcpx.orchestrate.session.start", &welcome());
        let sync = self.sent("mcpx.coordinate.state.sync");
        self.answer("mcpx.coordinate.state.sync", verdicts);
        assert!(self.node.is_live());
        sync["params"].clone()
    }

    /// Connects and says hello.
    fn greet(&mut self) {
        let at = self.node.next_timer().unwrap().max(self.now);
        assert!(
            self.tick_at(at).contains(&"connect".to_owned()),
            "{:?}",
            self.last
        );
        assert_eq!(
            self.input(NodeInput::Connected),
            ["send mcpx.orchestrate.session.start"]
        );
    }

    /// The frame with this method among the last outputs.
    #[track_caller]
    fn sent(&self, method: &str) -> Value {
        self.last
            .iter()
            .filter_map(|output| match output {
                NodeOutput::Send(frame) => Some(json_of(frame)),
                _ => None,
            })
            .find(|frame| frame["method"] == method)
            .unwrap_or_else(|| panic!("no `{method}` in {:?}", self.last))
    }

    /// Answers the request with this method among the last outputs.
    #[track_caller]
    fn answer<T: Serialize>(&mut self, method: &str, result: &T) -> Vec<String> {
        let id = self.sent(method)["id"].as_u64().unwrap();
        self.input(NodeInput::Text(encode_answer(
            &RequestId::Number(id),
            result,
        )))
    }

    fn hear(&mut self, call: &CoordinatorCall) -> Vec<String> {
        self.input(NodeInput::Text(call.encode(None)))
    }

    /// Assigns by request 77; returns the answers as JSON, and leaves the outputs.
    fn assign(&mut self, attempts: &[AttemptKey]) -> Vec<Value> {
        let items = attempts
            .iter()
            .map(|attempt| {
                let written = serde_json::to_string(&offer(*attempt)).unwrap();
                serde_json::from_str(&written).unwrap()
            })
            .collect();
        let call = CoordinatorCall::Assign(AssignBatch { items });
        self.input(NodeInput::Text(call.encode(Some(&RequestId::Number(77)))));
        let frame = self.last.iter().find_map(|output| match output {
            NodeOutput::Send(frame) => Some(json_of(frame)),
            _ => None,
        });
        let frame = frame.expect("an answer");
        assert_eq!(frame["id"], 77);
        let items = frame["result"]["items"].as_array().expect("answers");
        items.iter().map(|item| item["answer"].clone()).collect()
    }

    /// Runs an attempt to its end within one moment, and has its result on disk.
    fn run(&mut self, attempt: AttemptKey) -> Vec<String> {
        assert_eq!(self.assign(&[attempt]), ["accepted"]);
        self.input(NodeInput::Started(attempt));
        self.finish(attempt);
        let batch = self.spool_batch();
        self.input(NodeInput::Spooled { batch })
    }

    fn finish(&mut self, attempt: AttemptKey) -> Vec<String> {
        self.input(NodeInput::Finished(Box::new(report(attempt))))
    }

    #[track_caller]
    fn spool_batch(&self) -> u64 {
        self.last
            .iter()
            .find_map(|output| match output {
                NodeOutput::Spool { batch, .. } => Some(*batch),
                _ => None,
            })
            .expect("a spool order")
    }

    /// Lets time pass from timer to timer until `end`, answering heartbeats or not.
    fn pass_until(&mut self, end: u64, heartbeats_answered: bool) -> Vec<String> {
        let mut seen = Vec::new();
        while let Some(at) = self.node.next_timer().filter(|at| *at <= end) {
            let outputs = self.tick_at(at.max(self.now));
            let beats = outputs.iter().any(|word| word == "send mcpx.health.check");
            seen.extend(outputs);
            if beats && heartbeats_answered {
                let sequence = self.sent("mcpx.health.check")["params"]["sequence"].as_u64();
                let sequence = sequence.unwrap();
                seen.extend(self.answer(
                    "mcpx.health.check",
                    &Heartbeat {
                        sequence,
                        terms: None,
                    },
                ));
            }
            assert!(seen.len() < 10_000, "the timers do not move on: {seen:?}");
        }
        self.now = end;
        seen
    }
}

fn json_of(frame: &Frame) -> Value {
    serde_json::from_str(frame.text().expect("text was agreed on")).unwrap()
}

/// Outputs as short words.
fn words(outputs: &[NodeOutput]) -> Vec<String> {
    outputs
        .iter()
        .map(|output| match output {
            NodeOutput::Connect => "connect".to_owned(),
            NodeOutput::Send(frame) => {
                let frame = json_of(frame);
                match (&frame["method"], &frame["error"]["data"]["code"]) {
                    (Value::String(method), _) => format!("send {method}"),
                    (_, Value::String(code)) => format!("error {code}"),
                    _ => format!("answer {}", frame["id"]),
                }
            }
            NodeOutput::Start(assignment) => format!("start {}", short(assignment.key())),
            NodeOutput::Kill { attempt, reason } => format!("kill {} {reason:?}", short(*attempt)),
            NodeOutput::Spool { reports, .. } => format!("spool {}", reports.len()),
            NodeOutput::Unspool(keys) => {
                let keys: Vec<String> = keys.iter().map(|key| short(*key)).collect();
                format!("unspool {}", keys.join(" "))
            }
            NodeOutput::Welcomed(_) => "welcomed".to_owned(),
            NodeOutput::Draining(draining) => format!("draining {draining}"),
            NodeOutput::Answered { token, answer } => match answer {
                Ok(_) => format!("answered {token}"),
                Err(failure) => {
                    let shown = format!("{failure:?}");
                    let end = shown.find([' ', '(', '{']).unwrap_or(shown.len());
                    format!("unanswered {token} {}", &shown[..end])
                }
            },
            NodeOutput::CloseConnection { .. } => "close".to_owned(),
            NodeOutput::Freeze => "freeze".to_owned(),
            NodeOutput::Thaw => "thaw".to_owned(),
            NodeOutput::Exit { code, .. } => format!("exit {code:?}"),
        })
        .collect()
}

fn short(attempt: AttemptKey) -> String {
    format!("{}@{}", attempt.task.as_u128(), attempt.fence.index)
}

fn verdicts(items: &[(AttemptKey, Verdict)]) -> SyncVerdicts {
    SyncVerdicts {
        items: items
            .iter()
            .map(|(attempt, verdict)| VerdictItem::new(*attempt, *verdict))
            .collect(),
    }
}

fn answers(items: &[(AttemptKey, ResultVerdict)]) -> ResultAnswers {
    ResultAnswers {
        items: items
            .iter()
            .map(|(attempt, answer)| ResultAnswer::new(*attempt, answer.clone()))
            .collect(),
    }
}
