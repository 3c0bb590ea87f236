//! Both sides of the credits against each other, in any interleaving.

use super::*;
use proptest::prelude::*;
use std::collections::VecDeque;

#[derive(Debug)]
struct World {
    spending: Spending,
    granting: Granting,
    window: Credit,
    to_send: VecDeque<u64>,
    /// Frames on the wire, as the sizes of their items.
    frames: VecDeque<Vec<u64>>,
    /// Frames that the receiver has not dealt with.
    taken: VecDeque<Vec<u64>>,
    grants: VecDeque<Credit>,
    /// Frames whose answers are on the wire.
    answers: usize,
    unanswered: usize,
    delivered: Vec<u64>,
}

fn cost(frame: &[u64]) -> u64 {
    frame.iter().sum()
}

impl World {
    fn new(window: Credit, sizes: &[u64]) -> Self {
        Self {
            spending: Spending::bounded(window),
            granting: Granting::new(window),
            window,
            to_send: sizes.iter().copied().collect(),
            frames: VecDeque::new(),
            taken: VecDeque::new(),
            grants: VecDeque::new(),
            answers: 0,
            unanswered: 0,
            delivered: Vec::new(),
        }
    }

    /// One step of one kind; says whether anything happened.
    fn step(&mut self, kind: u8) -> bool {
        let happened = match kind % 5 {
            0 => self.send(),
            1 => self.frames.pop_front().map(|frame| {
                assert!(self.granting.receive(frame.len() as u64, cost(&frame)));
                self.taken.push_back(frame);
            }),
            2 => self.taken.pop_front().map(|frame| {
                self.granting.finish(frame.len() as u64, cost(&frame));
                self.delivered.extend(frame);
                self.answers += 1;
                self.grants.extend(self.granting.next_grant());
            }),
            3 => self
                .grants
                .pop_front()
                .map(|grant| self.spending.grant(grant)),
            _ => (self.answers > 0).then(|| {
                self.answers -= 1;
                self.unanswered -= 1;
            }),
        };
        self.check();
        happened.is_some()
    }

    fn send(&mut self) -> Option<()> {
        let room = self.spending.room(self.unanswered == 0);
        let mut frame = Vec::new();
        while let Some(size) = self.to_send.front() {
            let holds = room.holds(frame.len(), cost(&frame) + size);
            if frame.len() as u64 >= room.items || !holds {
                break;
            }
            frame.push(*size);
            self.to_send.pop_front();
        }
        if frame.is_empty() {
            return None;
        }
        self.spending.spend(frame.len() as u64, cost(&frame));
        self.unanswered += 1;
        self.frames.push_back(frame);
        Some(())
    }

    fn check(&self) {
        let under_way = || self.frames.iter().chain(&self.taken);
        let items: usize = under_way().map(Vec::len).sum();
        let bytes: u64 = under_way().map(|frame| cost(frame)).sum();
        assert!(items as u64 <= self.window.items, "{items} items under way");
        assert!(
            bytes <= self.window.bytes || items == 1,
            "{bytes} bytes in {items} items under way"
        );
    }
}

proptest! {
    #[test]
    fn everything_arrives_and_no_more_than_the_credit_is_under_way(
        items in 1_u64..20,
        bytes in 1_u64..200,
        sizes in proptest::collection::vec(1_u64..300, 0..60),
        kinds in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut world = World::new(Credit { items, bytes }, &sizes);
        for kind in kinds {
            world.step(kind);
        }
        // However it went, there is a way on until all is there.
        while (0..5).any(|kind| world.step(kind)) {}
        prop_assert_eq!(world.delivered, sizes);
    }
}

#[test]
fn an_exceeded_credit_is_noticed() {
    let mut granting = Granting::new(Credit {
        items: 2,
        bytes: 100,
    });
    assert!(granting.receive(2, 100));
    assert!(!granting.receive(1, 0));
    granting.finish(2, 100);
    assert!(!granting.receive(1, 0), "it was not granted yet");
    assert_eq!(
        granting.next_grant(),
        Some(Credit {
            items: 4,
            bytes: 200
        })
    );
    assert!(granting.receive(1, 500), "alone it may exceed the bytes");
    assert!(!granting.receive(1, 1));
}

#[test]
fn a_paused_receiver_grants_nothing_until_it_goes_on() {
    let mut granting = Granting::new(Credit {
        items: 1,
        bytes: 10,
    });
    assert!(granting.receive(1, 1));
    granting.finish(1, 1);
    granting.pause(true);
    assert_eq!(granting.next_grant(), None);
    granting.pause(false);
    assert!(granting.next_grant().is_some());
}

#[test]
fn without_an_agreement_nothing_is_bounded() {
    let mut spending = Spending::default();
    spending.spend(u64::MAX, u64::MAX);
    spending.grant(Credit { items: 0, bytes: 0 });
    assert_eq!(spending.room(false), Room::UNBOUNDED);
}
