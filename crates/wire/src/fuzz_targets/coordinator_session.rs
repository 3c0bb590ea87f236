//! A coordinator's end against any node.

use super::{Line, lines};
use crate::codec::{CoordinatorCall, Opened};
use crate::coordinator_end::{
    CoordinatorEnd, CoordinatorOptions, CoordinatorOutput, FromNode, ReplyId,
};
use crate::fault::{Fault, FaultCode};
use crate::fixtures::{key, offer, welcome};
use crate::payload::{
    AttemptKey, BalanceRequest, Capability, EndCode, GateAnswer, GateStanding, MergeAnswer,
    NodeAnswer, NodeRequest, Offer, ResolveAnswer, ResultAnswer, ResultAnswers, ResultVerdict,
    SplitAnswer, SyncVerdicts,
};
use std::collections::{BTreeSet, VecDeque};

/// Acts of the coordinator around the end, by letter: `a` assigns, `v` revokes, `d` drains, `b`
/// asks for work back, `r` answers results, `q` answers questions, `f` refuses them, `e` ends.
pub fn coordinator_session(script: &[u8]) {
    play(script);
}

/// Plays a script; says whether the session became live.
pub(super) fn play(script: &[u8]) -> bool {
    let options = CoordinatorOptions {
        offers: Capability::ALL
            .into_iter()
            .fold(CoordinatorOptions::DEFAULTS.offers, |set, capability| {
                set.with(capability)
            }),
        unix_ms_at_zero: Some(1_000_000),
        ..CoordinatorOptions::DEFAULTS
    };
    let mut world = World {
        now: 0,
        end: CoordinatorEnd::new(options, 0),
        next_task: 0,
        assigned: BTreeSet::new(),
        results: VecDeque::new(),
        questions: VecDeque::new(),
        was_live: false,
    };
    for line in lines(script) {
        match line {
            Line::Frame(frame) => {
                let outputs = world.end.on_frame(world.now, frame);
                world.perform(outputs);
            }
            Line::Time(span) => {
                world.now += span;
                let outputs = world.end.on_tick(world.now);
                world.perform(outputs);
            }
            Line::Act(act) => world.act(act),
        }
        world.was_live |= world.end.is_live();
    }
    world.was_live
}

struct World {
    now: u64,
    end: CoordinatorEnd,
    next_task: u128,
    /// Attempts that were not answered for.
    assigned: BTreeSet<AttemptKey>,
    results: VecDeque<(ReplyId, Vec<AttemptKey>)>,
    questions: VecDeque<(ReplyId, NodeRequest)>,
    was_live: bool,
}

impl World {
    fn act(&mut self, act: u8) {
        let outputs = match act {
            b'a' => {
                let offers: Vec<Offer> = (1..=3)
                    .map(|step| offer(key(self.next_task + step, 1)))
                    .collect();
                self.next_task += 3;
                self.assigned.extend(offers.iter().map(Offer::key));
                self.end.assign(&offers)
            }
            b'v' => {
                let revoked: Vec<AttemptKey> = self.assigned.iter().copied().take(2).collect();
                self.end.revoke(&revoked)
            }
            b'd' => self.end.tell_draining(true),
            b'b' => {
                let request = BalanceRequest {
                    attempts: Vec::new(),
                    at_most: 2,
                };
                self.end.ask_back(&request).unwrap_or_default()
            }
            b'r' => self.answer_results(),
            b'q' => self.answer_question(),
            b'f' => match self.questions.pop_front() {
                Some((reply, _)) => {
                    let fault = Fault::new(FaultCode::Busy, "wait");
                    self.end.refuse_ask(&reply, &fault)
                }
                None => Vec::new(),
            },
            b'e' => self.end.end(EndCode::Shutdown, "stops"),
            _ => Vec::new(),
        };
        self.perform(outputs);
    }

    fn answer_results(&mut self) -> Vec<CoordinatorOutput> {
        let Some((reply, keys)) = self.results.pop_front() else {
            return Vec::new();
        };
        let items = keys
            .into_iter()
            .map(|key| ResultAnswer::new(key, ResultVerdict::Committed))
            .collect();
        let answers = ResultAnswers { items };
        let outputs = self.end.reply_results(&reply, &answers);
        let again = self.end.reply_results(&reply, &answers);
        assert!(again.is_empty(), "results are answered twice");
        outputs
    }

    fn answer_question(&mut self) -> Vec<CoordinatorOutput> {
        let Some((reply, request)) = self.questions.pop_front() else {
            return Vec::new();
        };
        let answer = match request {
            NodeRequest::Resolve(_) => NodeAnswer::Resolve(ResolveAnswer::default()),
            NodeRequest::Gate(_) => NodeAnswer::Gate(GateAnswer {
                standing: GateStanding::Open,
            }),
            NodeRequest::Split(_) => NodeAnswer::Split(SplitAnswer::default()),
            NodeRequest::Merge(_) => NodeAnswer::Merge(MergeAnswer::default()),
        };
        let outputs = self.end.reply_ask(&reply, &answer);
        let again = self.end.reply_ask(&reply, &answer);
        assert!(again.is_empty(), "a question is answered twice");
        outputs
    }

    fn perform(&mut self, outputs: Vec<CoordinatorOutput>) {
        let mut outputs: VecDeque<CoordinatorOutput> = outputs.into();
        while let Some(output) = outputs.pop_front() {
            match output {
                CoordinatorOutput::Send(frame) => {
                    let opened = Opened::new(frame.as_ref()).expect("it was written by us");
                    if let Err(bad) = opened.decode::<CoordinatorCall>() {
                        panic!("the node cannot read {frame:?}: {bad}");
                    }
                }
                CoordinatorOutput::Event(event) => outputs.extend(self.on_event(event)),
                CoordinatorOutput::Close { .. } => {
                    assert!(self.end.is_closed() && self.end.next_timer().is_none());
                    assert!(outputs.is_empty(), "something comes after the end");
                }
            }
        }
    }

    fn on_event(&mut self, event: FromNode) -> Vec<CoordinatorOutput> {
        match event {
            FromNode::Hello(_) => return self.end.reply_hello(&welcome()),
            FromNode::SyncReport { reply, .. } => {
                return self.end.reply_sync(&reply, &SyncVerdicts::default());
            }
            FromNode::Results { reply, reports } => {
                let keys = reports.iter().map(AttemptKey::from).collect();
                self.results.push_back((reply, keys));
            }
            FromNode::Ask { reply, request, .. } => self.questions.push_back((reply, *request)),
            FromNode::Assigned(items) => {
                for item in items {
                    let is_new = self.assigned.remove(&item.attempt());
                    assert!(is_new, "{} is answered for twice", item.attempt());
                }
            }
            FromNode::Heartbeat { .. }
            | FromNode::Progress(_)
            | FromNode::Away(_)
            | FromNode::Parked(_)
            | FromNode::Metrics(_)
            | FromNode::Goodbye { .. }
            | FromNode::Groups { .. }
            | FromNode::Load(_)
            | FromNode::GaveBack { .. } => {}
        }
        Vec::new()
    }
}
