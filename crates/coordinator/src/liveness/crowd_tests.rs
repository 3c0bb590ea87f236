//! As many nodes as a coordinator keeps, for a virtual hour: who is given up, and who is not.

use super::*;
use crate::observed::facts;
use skep_model::attempt::LogIndex;
use skep_model::command::{Actor, LogEntry};
use skep_model::ids::{AgentId, InstanceId};
use skep_model::limits::NODES_MAX;
use skep_model::time::UnixMillis;
use std::collections::BTreeSet;

const HOUR_MS: u64 = 3_600_000;
/// What happens within this time happens at once.
const STEP_MS: u64 = 100;
/// A heartbeat is sent this much later than it should, at most.
const JITTER_MS_MAX: u64 = 1_000;
/// And takes this long to arrive, at most.
const DELAY_MS_MAX: u64 = 2_000;
/// Heartbeats that are followed by a break of the link, of a hundred thousand: some thousand in the
/// hour.
const BREAKS_PER_100_000: u64 = 15;
/// With jitter and delay still less than lease and grace.
const BREAK_MS_MAX: u64 = 25_000;
/// How often a commit takes long, and how long: nobody is heard meanwhile.
const STALL_EVERY_MS: u64 = 600_000;
const STALL_MS: u64 = 40_000;
/// Nodes that go away for good, each a while after the one before.
const GONE: usize = 20;
const GOES_EVERY_MS: u64 = 120_000;

/// The same numbers every time.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ (mixed >> 27)) % bound
    }
}

/// The nodes, and what the log says about them.
struct Crowd {
    state: State,
    liveness: Liveness,
    entries: u64,
    suspected: u64,
    lost: BTreeSet<NodeId>,
}

impl Crowd {
    fn new(timers: LeaseTimers) -> Self {
        let mut crowd = Self {
            state: State::new(),
            liveness: Liveness::start(timers, &State::new(), 0),
            entries: 0,
            suspected: 0,
            lost: BTreeSet::new(),
        };
        for number in 0..NODES_MAX {
            let instance = InstanceId::from_u128(1);
            crowd.apply(Command::RegisterNode {
                node: id(number),
                instance,
                starts: 1,
                agent: AgentId::from_u128(number as u128),
                facts: Box::new(facts(format!("n{number}"), 1)),
            });
            crowd.apply(Command::ConfirmNode {
                node: id(number),
                instance,
                lost: Vec::new(),
            });
            crowd.liveness.heard(id(number), &crowd.state, 0);
        }
        crowd
    }

    fn apply(&mut self, command: Command) {
        self.entries += 1;
        let entry = LogEntry {
            at: UnixMillis(1_000),
            seed: 1,
            actor: Actor::Coordinator,
            command,
        };
        self.state.apply(LogIndex(self.entries), &entry);
    }

    /// What is due enters the log at once.
    fn look(&mut self, now: u64) {
        for (node, command) in self.liveness.due(&self.state, now) {
            match command {
                Command::SuspectNode(_) => self.suspected += 1,
                Command::LoseNode(_) => assert!(self.lost.insert(node), "{node} is lost twice"),
                _ => {}
            }
            self.apply(command);
            self.liveness.settled(node);
            if self.lost.contains(&node) {
                self.liveness.forget(node);
            }
        }
    }
}

fn id(number: usize) -> NodeId {
    NodeId::from_u128(number as u128 + 1)
}

/// Until when nobody is heard at this moment.
fn stalled_until(now: u64) -> Option<u64> {
    let since = now % STALL_EVERY_MS;
    (now > STALL_EVERY_MS && since < STALL_MS).then(|| now - since + STALL_MS)
}

#[test]
fn of_ten_thousand_nodes_only_those_that_went_away_are_given_up_in_an_hour() {
    let timers = LeaseTimers::default();
    let ClassTimers {
        heartbeat_ms,
        lease_ms,
        grace_ms,
        ..
    } = timers.server;
    let mut random = Random(7);
    let mut crowd = Crowd::new(timers);
    let goes_at = |number: usize| {
        let place = number / (NODES_MAX / GONE);
        let goes = number.is_multiple_of(NODES_MAX / GONE);
        goes.then_some((place as u64 + 1) * GOES_EVERY_MS)
    };
    // Heartbeats under way, by the step in which they arrive.
    let mut arriving = vec![Vec::new(); (HOUR_MS / STEP_MS) as usize + 1];
    for number in 0..NODES_MAX {
        let first = random.below(heartbeat_ms);
        arriving[(first / STEP_MS) as usize].push(number);
    }
    let (mut heard, mut late) = (0_u64, Vec::new());
    for step in 0..arriving.len() {
        let now = step as u64 * STEP_MS;
        for number in std::mem::take(&mut arriving[step]) {
            if goes_at(number).is_some_and(|at| at <= now) {
                continue;
            }
            late.push(number);
            let breaks = random.below(100_000) < BREAKS_PER_100_000;
            let pause = if breaks {
                random.below(BREAK_MS_MAX)
            } else {
                0
            };
            let waits = heartbeat_ms + random.below(JITTER_MS_MAX) + random.below(DELAY_MS_MAX);
            // The delay of this heartbeat is not the next one's.
            let next = (now + pause + waits).saturating_sub(DELAY_MS_MAX / 2) / STEP_MS;
            if let Some(arrivals) = arriving.get_mut(next as usize) {
                arrivals.push(number);
            }
        }
        if stalled_until(now).is_some() {
            continue;
        }
        if stalled_until(now.saturating_sub(STEP_MS)) == Some(now) {
            crowd.liveness.excuse(STALL_MS);
        }
        for number in late.drain(..) {
            crowd.liveness.heard(id(number), &crowd.state, now);
            heard += 1;
        }
        crowd.look(now);
    }
    let gone: BTreeSet<_> = (0..NODES_MAX)
        .filter(|number| goes_at(*number).is_some_and(|at| at + lease_ms + grace_ms < HOUR_MS))
        .map(id)
        .collect();
    assert_eq!(crowd.lost, gone);
    assert_eq!(gone.len(), GONE);
    assert!(heard > 5_000_000, "{heard} heartbeats are too few");
    assert!(crowd.suspected > 200, "{} suspects", crowd.suspected);
}
