//! One round of placing: serve the queues in order until room, tasks or the bound are used up.

use crate::candidates::Candidates;
use crate::field::{Asked, Field};
use crate::order::{Order, Served};
use crate::policy::Policy;
use crate::snapshot::Snapshot;
use skep_model::command::Grant;
use skep_model::requirements::Requirements;
use skep_model::task::ReadyKey;
use std::collections::BTreeMap;

/// A round in progress, with the candidates of one strategy.
pub(crate) struct Round<'s, 'a, C: Candidates> {
    pub(crate) field: Field<'s, 'a>,
    pub(crate) order: Order<'a>,
    signatures: &'s Signatures<'a>,
    candidates: Vec<Option<C>>,
    course: C::Course,
    grants: Vec<Grant>,
}

/// The signatures of a round.
pub(crate) struct Signatures<'a> {
    /// The signature of each queue, by position in `distinct`.
    of_queues: Vec<usize>,
    distinct: Vec<&'a Requirements>,
}

/// The signature of each queue, as a small number, and the signatures. Queues of one signature
/// usually follow each other and borrow the same value, so most are told apart by their address.
pub(crate) fn signatures<'a>(snapshot: &Snapshot<'a>) -> Signatures<'a> {
    let mut numbers: BTreeMap<&Requirements, usize> = BTreeMap::new();
    let mut distinct = Vec::new();
    let mut of_queues = Vec::with_capacity(snapshot.queues.len());
    let mut last: Option<(&Requirements, usize)> = None;
    for queue in &snapshot.queues {
        let number = match last {
            Some((same, number)) if std::ptr::eq(same, queue.requirements) => number,
            _ => *numbers.entry(queue.requirements).or_insert_with(|| {
                distinct.push(queue.requirements);
                distinct.len() - 1
            }),
        };
        last = Some((queue.requirements, number));
        of_queues.push(number);
    }
    Signatures {
        of_queues,
        distinct,
    }
}

impl<'s, 'a, C: Candidates> Round<'s, 'a, C> {
    pub(crate) fn of(
        snapshot: &'s Snapshot<'a>,
        policy: &'s Policy,
        signatures: &'s Signatures<'a>,
    ) -> Self {
        let field = Field::of(snapshot, policy, &signatures.distinct);
        let course = C::course(&field);
        Self {
            order: Order::of(snapshot),
            signatures,
            candidates: std::iter::repeat_with(|| None)
                .take(signatures.distinct.len())
                .collect(),
            course,
            field,
            grants: Vec::new(),
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.grants_left() == 0 || self.field.capacity.is_used_up()
    }

    /// Grants that the policy allows beyond those made.
    pub(crate) fn grants_left(&self) -> usize {
        let most = self.field.policy.grants_max;
        most.saturating_sub(self.grants.len())
    }

    /// What is asked about the task at the head of this queue.
    pub(crate) fn asked(&self, queue: usize, key: &ReadyKey) -> Asked<'a> {
        let snapshot = self.field.snapshot;
        Asked {
            task: key.task,
            wanted: snapshot.queues[queue].requirements,
            failed_on: (snapshot.failed_on)(key.task),
            inputs: (snapshot.inputs)(key.task),
        }
    }

    /// The agent that the strategy chooses for the task.
    pub(crate) fn choose(&mut self, queue: usize, asked: &Asked<'a>) -> Option<usize> {
        let field = &self.field;
        if let Some(only) = asked.wanted.agent {
            let can_take = |agent: &usize| field.can_take(*agent, asked.wanted);
            return field.open_agent(only).filter(can_take);
        }
        let course = &mut self.course;
        self.candidates[self.signatures.of_queues[queue]]
            .get_or_insert_with(|| C::new(field, course, asked.wanted))
            .choose(field, course, asked)
    }

    pub(crate) fn grant(&mut self, asked: &Asked<'a>, agent: usize) {
        let view = &self.field.snapshot.agents[agent];
        self.field.take(agent, &asked.wanted.resources);
        self.grants.push(Grant {
            task: asked.task,
            agent: view.id,
        });
    }

    /// Serves what is left of the queues, one task at a time.
    pub(crate) fn finish(mut self) -> Vec<Grant> {
        while !self.is_over() {
            let Some((queue, key)) = self.order.next() else {
                break;
            };
            let asked = self.asked(queue, &key);
            if let Some(agent) = self.choose(queue, &asked) {
                self.grant(&asked, agent);
                self.order.advance(Served::Granted);
            } else {
                self.order.advance(Served::QueueUnfit);
            }
        }
        self.grants
    }
}

/// Places tasks with the candidates of one strategy.
pub(crate) fn run<C: Candidates>(snapshot: &Snapshot<'_>, policy: &Policy) -> Vec<Grant> {
    let signatures = signatures(snapshot);
    Round::<C>::of(snapshot, policy, &signatures).finish()
}
