//! What the node answers to assignments and to requests to give attempts back.

use super::{CoordinatorEnd, CoordinatorOutput, FromNode, event};
use crate::codec::{Body, RequestId, method, read_result};
use crate::fault::{Fault, echo};
use crate::payload::{
    AssignAnswer, AssignAnswers, AssignRefusal, Assigned, AttemptKey, BalanceAnswer,
};
use std::collections::BTreeMap;

impl CoordinatorEnd {
    pub(super) fn on_answer(&mut self, id: &RequestId, result: Body<'_>) -> Vec<CoordinatorOutput> {
        if self.take_balance(id) {
            return self.on_given_back(result);
        }
        let Some(asked) = self.take_assign(id) else {
            return self.count_bad();
        };
        let mut outputs = match read_result::<AssignAnswers>(method::TASK_ASSIGN, result) {
            Ok(answers) => vec![event(FromNode::Assigned(reconcile(&asked, answers)))],
            Err(error) => {
                let mut outputs = vec![event(FromNode::Assigned(failed(
                    &asked,
                    AssignRefusal::RequestFailed,
                    &error.to_string(),
                )))];
                outputs.extend(self.count_bad());
                outputs
            }
        };
        outputs.extend(self.send_waiting());
        outputs
    }

    fn on_given_back(&mut self, result: Body<'_>) -> Vec<CoordinatorOutput> {
        let read = read_result::<BalanceAnswer>(method::LOAD_BALANCE, result);
        let is_bad = read.is_err();
        let BalanceAnswer { given_back } = read.unwrap_or_default();
        let mut outputs = vec![event(FromNode::GaveBack { given_back })];
        if is_bad {
            outputs.extend(self.count_bad());
        }
        outputs
    }

    fn take_balance(&mut self, id: &RequestId) -> bool {
        matches!(id, RequestId::Number(number) if self.balances.remove(number))
    }

    pub(super) fn on_fault(
        &mut self,
        id: Option<&RequestId>,
        fault: &Fault,
    ) -> Vec<CoordinatorOutput> {
        if id.is_some_and(|id| self.take_balance(id)) {
            let given_back = Vec::new();
            return vec![event(FromNode::GaveBack { given_back })];
        }
        let Some(asked) = id.and_then(|id| self.take_assign(id)) else {
            return self.count_bad();
        };
        let mut outputs = vec![event(FromNode::Assigned(failed(
            &asked,
            AssignRefusal::RequestFailed,
            &echo(&fault.message),
        )))];
        outputs.extend(self.send_waiting());
        outputs
    }

    fn take_assign(&mut self, id: &RequestId) -> Option<Vec<AttemptKey>> {
        match id {
            RequestId::Number(number) => self.assigns.remove(number),
            RequestId::Text(_) => None,
        }
    }
}

pub(super) fn failed(asked: &[AttemptKey], code: AssignRefusal, message: &str) -> Vec<Assigned> {
    asked
        .iter()
        .map(|attempt| {
            let message = message.to_owned();
            Assigned::new(*attempt, AssignAnswer::Refused { code, message })
        })
        .collect()
}

/// The answers to exactly the attempts that were asked about: others are dropped, and an attempt
/// without an answer counts as refused.
fn reconcile(asked: &[AttemptKey], answers: AssignAnswers) -> Vec<Assigned> {
    let in_order = answers.items.len() == asked.len()
        && answers
            .items
            .iter()
            .zip(asked)
            .all(|(item, attempt)| item.attempt() == *attempt);
    if in_order {
        return answers.items;
    }
    let mut by_attempt: BTreeMap<AttemptKey, Assigned> = answers
        .items
        .into_iter()
        .map(|item| (item.attempt(), item))
        .collect();
    asked
        .iter()
        .flat_map(|attempt| match by_attempt.remove(attempt) {
            Some(item) => vec![item],
            None => failed(
                &[*attempt],
                AssignRefusal::RequestFailed,
                "the node did not answer for this attempt",
            ),
        })
        .collect()
}
