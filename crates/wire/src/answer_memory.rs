//! Which requests were answered before, and how: a request that comes again has no second effect.

use crate::bounds::{ANSWER_BYTES_REMEMBERED_MAX, ANSWERS_REMEMBERED_MAX};
use crate::codec::RequestId;
use crate::fault::{Fault, WireError, echo};
use crate::payload::Meta;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, VecDeque};

/// Under what a request is known: its idempotency key, else its message id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Name {
    Key(Box<str>),
    Message(Box<str>),
}

/// How a request was answered.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    Answer(Box<RawValue>),
    Fault(Fault),
}

#[derive(Debug)]
enum Entry {
    /// Not answered yet; these requests want the answer, the first of them had the effect.
    Open(Vec<RequestId>),
    Settled(Outcome),
    /// The answer was too large to keep.
    NotKept,
}

/// What is to be done with a request.
#[derive(Debug)]
pub(crate) enum Recall {
    /// It is new: act on it.
    New,
    /// It is being worked on: the answer will go to this request, too.
    Joined,
    /// It was answered; this is the answer.
    Known(Outcome),
}

/// Bounded memory of one connection: the oldest answers give way.
#[derive(Debug, Default)]
pub(crate) struct AnswerMemory {
    entries: BTreeMap<Name, Entry>,
    /// Settled entries, the oldest first.
    order: VecDeque<Name>,
    /// Which entry an open request belongs to.
    open: BTreeMap<RequestId, Name>,
    /// Under which key a message id was used.
    messages: BTreeMap<Box<str>, Option<Box<str>>>,
    message_order: VecDeque<Box<str>>,
    bytes: usize,
}

impl AnswerMemory {
    /// Looks a request up and remembers it. Requests without a name are always new.
    pub(crate) fn recall(&mut self, id: &RequestId, meta: &Meta) -> Result<Recall, WireError> {
        if let Some(message) = &meta.message_id {
            self.check_message(message, meta.idempotency_key.as_deref())?;
        }
        let name = match (&meta.idempotency_key, &meta.message_id) {
            (Some(key), _) => Name::Key(key.clone()),
            (None, Some(message)) => Name::Message(message.clone()),
            (None, None) => return Ok(Recall::New),
        };
        match self.entries.get_mut(&name) {
            None => {
                if self.open.len() >= ANSWERS_REMEMBERED_MAX {
                    return Err(WireError::Busy);
                }
                self.entries
                    .insert(name.clone(), Entry::Open(vec![id.clone()]));
                self.open.insert(id.clone(), name);
                Ok(Recall::New)
            }
            Some(Entry::Open(waiting)) => {
                if waiting.len() >= ANSWERS_REMEMBERED_MAX {
                    return Err(WireError::Busy);
                }
                waiting.push(id.clone());
                Ok(Recall::Joined)
            }
            Some(Entry::Settled(outcome)) => Ok(Recall::Known(outcome.clone())),
            Some(Entry::NotKept) => Err(WireError::AnswerNotKept),
        }
    }

    fn check_message(&mut self, message: &str, key: Option<&str>) -> Result<(), WireError> {
        if let Some(known) = self.messages.get(message) {
            return if known.as_deref() == key {
                Ok(())
            } else {
                Err(WireError::MessageIdReused {
                    message_id: echo(message),
                })
            };
        }
        self.messages.insert(message.into(), key.map(Into::into));
        self.message_order.push_back(message.into());
        if self.message_order.len() > ANSWERS_REMEMBERED_MAX
            && let Some(oldest) = self.message_order.pop_front()
        {
            self.messages.remove(&oldest);
        }
        Ok(())
    }

    /// Whether somebody may ask for this answer again.
    pub(crate) fn wants(&self, id: &RequestId) -> bool {
        self.open.contains_key(id)
    }

    /// The request was answered; says which others get the same answer.
    pub(crate) fn settle(&mut self, id: &RequestId, outcome: Outcome) -> Vec<RequestId> {
        let Some(name) = self.open.remove(id) else {
            return Vec::new();
        };
        let size = outcome.bytes();
        let entry = if size > ANSWER_BYTES_REMEMBERED_MAX {
            Entry::NotKept
        } else {
            self.bytes += size;
            Entry::Settled(outcome)
        };
        let before = self.entries.insert(name.clone(), entry);
        self.order.push_back(name);
        while self.order.len() > ANSWERS_REMEMBERED_MAX || self.bytes > ANSWER_BYTES_REMEMBERED_MAX
        {
            self.forget_oldest();
        }
        match before {
            Some(Entry::Open(waiting)) => waiting.into_iter().skip(1).collect(),
            _ => Vec::new(),
        }
    }

    /// The request was refused before anything was done: it may be asked again.
    pub(crate) fn forget(&mut self, id: &RequestId) {
        if let Some(name) = self.open.remove(id) {
            self.entries.remove(&name);
        }
    }

    fn forget_oldest(&mut self) {
        let Some(name) = self.order.pop_front() else {
            self.bytes = 0;
            return;
        };
        if let Some(Entry::Settled(outcome)) = self.entries.remove(&name) {
            self.bytes -= outcome.bytes();
        }
    }
}

impl Outcome {
    fn bytes(&self) -> usize {
        match self {
            Self::Answer(raw) => raw.get().len(),
            Self::Fault(fault) => fault.message.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(message: Option<&str>, key: Option<&str>) -> Meta {
        Meta {
            message_id: message.map(Into::into),
            idempotency_key: key.map(Into::into),
            ..Meta::default()
        }
    }

    fn answer(text: &str) -> Outcome {
        Outcome::Answer(serde_json::value::to_raw_value(text).unwrap())
    }

    fn id(number: u64) -> RequestId {
        RequestId::Number(number)
    }

    #[test]
    fn a_request_that_comes_again_gets_the_same_answer() {
        let mut memory = AnswerMemory::default();
        let said = meta(Some("m1"), Some("k1"));
        assert!(matches!(memory.recall(&id(1), &said), Ok(Recall::New)));
        assert!(matches!(memory.recall(&id(2), &said), Ok(Recall::Joined)));
        assert_eq!(memory.settle(&id(1), answer("done")), [id(2)]);
        let Ok(Recall::Known(Outcome::Answer(raw))) = memory.recall(&id(3), &said) else {
            panic!("it is forgotten");
        };
        assert_eq!(raw.get(), "\"done\"");
        // Another message about the same thing is the same request.
        let other = meta(Some("m2"), Some("k1"));
        assert!(matches!(
            memory.recall(&id(4), &other),
            Ok(Recall::Known(_))
        ));
    }

    #[test]
    fn a_message_id_with_another_key_is_refused() {
        let mut memory = AnswerMemory::default();
        let first = meta(Some("m1"), Some("k1"));
        assert!(memory.recall(&id(1), &first).is_ok());
        for key in [None, Some("k2")] {
            let error = memory.recall(&id(2), &meta(Some("m1"), key)).unwrap_err();
            assert!(matches!(error, WireError::MessageIdReused { .. }));
        }
    }

    #[test]
    fn a_refused_request_may_be_asked_again() {
        let mut memory = AnswerMemory::default();
        let said = meta(None, Some("k1"));
        assert!(matches!(memory.recall(&id(1), &said), Ok(Recall::New)));
        memory.forget(&id(1));
        assert!(matches!(memory.recall(&id(2), &said), Ok(Recall::New)));
    }

    #[test]
    fn the_memory_is_bounded_in_number_and_bytes() {
        let mut memory = AnswerMemory::default();
        for number in 0..3 * ANSWERS_REMEMBERED_MAX as u64 {
            let name = number.to_string();
            let said = meta(Some(&name), Some(&name));
            assert!(matches!(memory.recall(&id(number), &said), Ok(Recall::New)));
            memory.settle(&id(number), answer(&"x".repeat(10_000)));
        }
        assert!(memory.bytes <= ANSWER_BYTES_REMEMBERED_MAX);
        assert!(memory.entries.len() <= ANSWERS_REMEMBERED_MAX);
        assert!(memory.messages.len() <= ANSWERS_REMEMBERED_MAX);
        assert!(memory.open.is_empty());
    }

    #[test]
    fn an_answer_too_large_to_keep_is_said_to_be_gone() {
        let mut memory = AnswerMemory::default();
        let said = meta(None, Some("k"));
        assert!(memory.recall(&id(1), &said).is_ok());
        memory.settle(&id(1), answer(&"x".repeat(ANSWER_BYTES_REMEMBERED_MAX)));
        let again = memory.recall(&id(2), &said);
        assert_eq!(again.unwrap_err(), WireError::AnswerNotKept);
    }
}
