//! A node's end against any coordinator.

use super::{Line, lines};
use crate::codec::{NodeCall, Opened};
use crate::fixtures::{NODE, facts, key, report};
use crate::frame::FrameRef;
use crate::node_end::{LinkOptions, NodeEnd, NodeInput, NodeOptions, NodeOutput};
use crate::payload::{AttemptKey, MergeRequest, NodeMetrics, NodeRequest};
use skep_model::ids::InstanceId;
use std::collections::BTreeSet;

const SLOTS: u32 = 2;

/// What happens around the end, by letter: `c` connected, `d` disconnected, `x` refused to
/// connect, `s` attempts started, `v` they verify, `f` one finished, `w` results are on disk, `l`
/// the disk is full, `a` a question, `o` overload, `p` no overload, `m` a sample, `q` the process
/// is to stop.
pub fn node_session(script: &[u8]) {
    play(script);
}

/// Plays a script; says whether an attempt was started.
pub(super) fn play(script: &[u8]) -> bool {
    let options = NodeOptions {
        node: NODE,
        instance: InstanceId::from_u128(1),
        starts: 0,
        facts: facts(SLOTS),
        slots: SLOTS,
        jitter_seed: 5,
    };
    let link = LinkOptions {
        unix_ms_at_zero: Some(1_000_000),
        ..LinkOptions::FAR
    };
    let mut world = World {
        now: 0,
        node: NodeEnd::new(options, Vec::new()).with_link(link),
        running: BTreeSet::new(),
        started: BTreeSet::new(),
        writing: None,
        next_question: 0,
        questions: BTreeSet::new(),
        is_over: false,
    };
    world.tell(NodeInput::Tick);
    for line in lines(script) {
        match line {
            Line::Frame(FrameRef::Text(text)) => world.tell(NodeInput::Text(text.to_owned())),
            Line::Frame(FrameRef::Binary(bytes)) => world.tell(NodeInput::Binary(bytes.to_vec())),
            Line::Time(span) => {
                world.now += span;
                world.tell(NodeInput::Tick);
            }
            Line::Act(act) => world.act(act),
        }
    }
    world.tell(NodeInput::Disconnected);
    let open = &world.questions;
    assert!(open.is_empty(), "questions without an answer: {open:?}");
    !world.started.is_empty()
}

struct World {
    now: u64,
    node: NodeEnd,
    running: BTreeSet<AttemptKey>,
    started: BTreeSet<AttemptKey>,
    writing: Option<u64>,
    next_question: u64,
    questions: BTreeSet<u64>,
    is_over: bool,
}

impl World {
    fn act(&mut self, act: u8) {
        let first = self.running.first().copied();
        let input = match act {
            b'c' => Some(NodeInput::Connected),
            b'd' => Some(NodeInput::Disconnected),
            b'x' => Some(NodeInput::ConnectRefused { status: 503 }),
            b's' => first.map(NodeInput::Started),
            b'v' => first.map(NodeInput::Verifying),
            b'f' => self
                .running
                .pop_first()
                .map(|key| NodeInput::Finished(Box::new(report(key)))),
            b'w' => self
                .writing
                .take()
                .map(|batch| NodeInput::Spooled { batch }),
            b'l' => self.writing.map(|batch| NodeInput::SpoolStalled { batch }),
            b'a' => Some(self.question()),
            b'o' => Some(NodeInput::Overloaded(true)),
            b'p' => Some(NodeInput::Overloaded(false)),
            b'm' => Some(NodeInput::Metrics(NodeMetrics::default())),
            b'q' => Some(NodeInput::Shutdown),
            _ => None,
        };
        if let Some(input) = input {
            self.tell(input);
        }
    }

    fn question(&mut self) -> NodeInput {
        self.next_question += 1;
        // A node that is over says nothing any more.
        if !self.is_over {
            self.questions.insert(self.next_question);
        }
        NodeInput::Ask {
            token: self.next_question,
            request: Box::new(NodeRequest::Merge(MergeRequest {
                attempt: key(1, 1),
                shards: Vec::new(),
            })),
            key: Some("k".into()),
        }
    }

    fn tell(&mut self, input: NodeInput) {
        let outputs = self.node.handle(self.now, input);
        assert!(
            !self.is_over || outputs.is_empty(),
            "it speaks after its end"
        );
        for output in outputs {
            self.perform(output);
        }
        assert_eq!(self.node.next_timer().is_none(), self.is_over);
    }

    fn perform(&mut self, output: NodeOutput) {
        match output {
            NodeOutput::Send(frame) => {
                let opened = Opened::new(frame.as_ref()).expect("it was written by us");
                if let Err(bad) = opened.decode::<NodeCall>() {
                    panic!("the coordinator cannot read {frame:?}: {bad}");
                }
            }
            NodeOutput::Start(assignment) => {
                let key = assignment.key();
                assert!(self.started.insert(key), "{key} is started twice");
                self.running.insert(key);
                let slots = SLOTS as usize;
                assert!(self.running.len() <= slots, "more attempts than slots");
            }
            NodeOutput::Spool { batch, .. } => self.writing = Some(batch),
            NodeOutput::Answered { token, .. } => {
                assert!(self.questions.remove(&token), "{token} is answered twice");
            }
            NodeOutput::Exit { .. } => self.is_over = true,
            NodeOutput::Connect
            | NodeOutput::Kill { .. }
            | NodeOutput::Unspool(_)
            | NodeOutput::Welcomed(_)
            | NodeOutput::Draining(_)
            | NodeOutput::Freeze
            | NodeOutput::Thaw
            | NodeOutput::CloseConnection { .. } => {}
        }
    }
}
