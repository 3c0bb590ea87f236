//! `WriteMemory` and `SetNamespace`.

mod ending;
mod judging;
mod telling;
mod writing;

#[cfg(test)]
mod apart_tests;
#[cfg(test)]
mod growth_tests;
#[cfg(test)]
mod tests;

use crate::apply::Step;
use crate::bounds::within;
use crate::state::State;
use skep_model::command::Idempotency;
use skep_model::event::Event;
use skep_model::limits::{
    MEMORY_KEY_BYTES_MAX, MEMORY_WRITES_PER_COMMAND_MAX, NAMESPACES_MAX, STRATEGY_RULES_MAX,
};
use skep_model::memory::{MemoryRefusal, MemoryVersion, MemoryWrite, Namespace, NamespaceSettings};
use skep_model::refusal::{LimitName, Refusal};

/// What the writes of one command came to.
type Answers = Vec<Result<MemoryVersion, MemoryRefusal>>;

impl State {
    pub(crate) fn write_memory(
        &mut self,
        step: &mut Step,
        writes: &[MemoryWrite],
        all_or_nothing: bool,
        idempotency: Option<&Idempotency>,
    ) -> Result<(), Refusal> {
        let limit = LimitName::MemoryWritesPerCommandMax;
        within(limit, MEMORY_WRITES_PER_COMMAND_MAX, writes.len())?;
        if self.answer_repeated_writes(step, idempotency)? {
            return Ok(());
        }
        let answers = if all_or_nothing {
            self.write_all_or_nothing(step, writes)
        } else {
            self.write_each(step, writes)
        };
        let versions: Vec<_> = answers.into_iter().map(std::result::Result::ok).collect();
        // What changed nothing may be tried again under the same key.
        if let Some(request) = idempotency.filter(|_| versions.iter().any(Option::is_some)) {
            let now = self.now;
            self.idempotency
                .remember_writes(request, versions, now, &mut self.changes);
        }
        Ok(())
    }

    fn answer_repeated_writes(
        &self,
        step: &mut Step,
        idempotency: Option<&Idempotency>,
    ) -> Result<bool, Refusal> {
        let Some(request) = idempotency else {
            return Ok(false);
        };
        let Some(known) = self.idempotency.get(&request.key, self.now) else {
            return Ok(false);
        };
        if known.fingerprint != request.fingerprint {
            return Err(Refusal::IdempotencyMismatch(request.key.clone()));
        }
        let versions = known.versions.clone();
        step.emit(Event::MemoryAlreadyWritten { versions });
        Ok(true)
    }

    fn write_each(&mut self, step: &mut Step, writes: &[MemoryWrite]) -> Answers {
        let mut answers = Answers::with_capacity(writes.len());
        for (item, write) in (0_u32..).zip(writes) {
            let answer = self.write_entry(step, write);
            if let Err(reason) = &answer {
                refuse(step, item, write, reason.clone());
            }
            step.applied
                .write_ends
                .push(step.applied.events.len() as u32);
            answers.push(answer);
        }
        answers
    }

    fn write_all_or_nothing(&mut self, step: &mut Step, writes: &[MemoryWrite]) -> Answers {
        let (events, effects) = (step.applied.events.len(), step.applied.memory.len());
        let (mut answers, mut saved) = (Answers::new(), Vec::new());
        let mut wrong = None;
        for (item, write) in (0_u32..).zip(writes) {
            saved.push(self.memory.save(&write.namespace, &write.key));
            match self.write_entry(step, write) {
                Ok(version) => answers.push(Ok(version)),
                Err(reason) => {
                    wrong = Some((item, reason));
                    break;
                }
            }
        }
        let Some((refused, reason)) = wrong else {
            return answers;
        };
        for before in saved.into_iter().rev() {
            self.memory.undo(before, &mut self.changes);
        }
        step.applied.events.truncate(events);
        step.applied.memory.truncate(effects);
        answers.clear();
        for (item, write) in (0_u32..).zip(writes) {
            let reason = if item == refused {
                reason.clone()
            } else {
                MemoryRefusal::BatchRefused { item: refused }
            };
            refuse(step, item, write, reason.clone());
            answers.push(Err(reason));
        }
        answers
    }

    pub(crate) fn set_namespace(
        &mut self,
        step: &mut Step,
        namespace: &Namespace,
        settings: &NamespaceSettings,
    ) -> Result<(), Refusal> {
        let rules = &settings.strategies;
        within(LimitName::StrategyRulesMax, STRATEGY_RULES_MAX, rules.len())?;
        for rule in rules {
            let limit = LimitName::MemoryKeyBytesMax;
            within(limit, MEMORY_KEY_BYTES_MAX, rule.prefix.len())?;
        }
        if self.namespace(namespace).is_none() {
            let count = self.memory.namespaces.len() + 1;
            within(LimitName::NamespacesMax, NAMESPACES_MAX, count)?;
        }
        let slot = self.memory.slot_mut(namespace);
        let changes_secrecy = slot.record.settings.secret != settings.secret;
        if changes_secrecy && !slot.entries.is_empty() {
            return Err(Refusal::SecrecyTooLate(namespace.clone()));
        }
        slot.record.settings = settings.clone();
        self.changes.namespace(namespace);
        self.memory.forget_if_idle(namespace, &mut self.changes);
        step.emit(Event::NamespaceChanged {
            namespace: namespace.clone(),
        });
        Ok(())
    }
}

fn refuse(step: &mut Step, item: u32, write: &MemoryWrite, reason: MemoryRefusal) {
    step.emit(Event::MemoryRefused {
        item,
        namespace: write.namespace.clone(),
        key: write.key.clone(),
        reason,
    });
}
