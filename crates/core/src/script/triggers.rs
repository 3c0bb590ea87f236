//! The statements about triggers: `trigger ID on=SUBJECT:CHANGES:FIELD=PATTERN` takes the tasks that
//! were drafted, numbered from 0, as its template; `act ID at=INDEX.ORDINAL run=ID task=ID` acts on an
//! event, and without `at` on the one that waits longest.

use super::{Words, World};
use skep_model::command::Command;
use skep_model::event::EventCursor;
use skep_model::ids::{RunId, TaskId, TriggerId};
use skep_model::run::RunSpec;
use skep_model::template::Template;
use skep_model::trigger::{TriggerFiring, TriggerSpec};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

impl World {
    pub(super) fn trigger_command(&mut self, words: &Words<'_>) -> Command {
        let trigger = TriggerId::from_u128(words.id());
        match words.verb {
            "trigger" => Command::CreateTrigger {
                trigger,
                spec: Box::new(self.trigger_spec(words)),
            },
            "pause-trigger" => Command::PauseTrigger(trigger),
            "resume-trigger" => Command::ResumeTrigger(trigger),
            "delete-trigger" => Command::DeleteTrigger(trigger),
            "act" => Command::FireTrigger(Box::new(TriggerFiring {
                trigger,
                cause: self.cause(words, trigger),
                run: RunId::from_u128(words.number("run").unwrap().into()),
                tasks: words
                    .options_named("task")
                    .map(|id| TaskId::from_u128(id.parse().unwrap()))
                    .collect(),
            })),
            other => panic!("no statement `{other}` about triggers"),
        }
    }

    fn cause(&self, words: &Words<'_>, trigger: TriggerId) -> EventCursor {
        if let Some(at) = words.option("at") {
            return at.parse().unwrap();
        }
        let record = self.state.trigger(trigger);
        let first = record.and_then(|record| record.pending.front());
        first.map_or_else(EventCursor::default, |first| first.cause)
    }

    fn trigger_spec(&mut self, words: &Words<'_>) -> TriggerSpec {
        let tasks = std::mem::take(&mut self.draft);
        let watches = words.options_named("on");
        TriggerSpec {
            name: format!("w{}", words.id()),
            watches: watches
                .map(|text| text.replace(':', " ").parse().unwrap())
                .collect(),
            cooldown_ms: words.number("cooldown").unwrap_or(0),
            firings_max: words.number("max").map(|max| max as u32),
            template: Arc::new(Template {
                run: RunSpec {
                    name: "answer".to_owned(),
                    labels: BTreeMap::new(),
                    weight: 10,
                    trace_parent: None,
                    strategy: None,
                },
                ids: tasks.len() as u32,
                tasks,
            }),
        }
    }

    pub(super) fn show_triggers(&self) -> String {
        let mut text = String::new();
        for trigger in self.state.triggers() {
            let held = if trigger.paused { "held" } else { "active" };
            let waiting: Vec<String> = trigger
                .pending
                .iter()
                .map(|waiting| format!("{} {}", waiting.cause, waiting.happened.change()))
                .collect();
            writeln!(
                text,
                "{} is {held}, waiting {waiting:?}, live {:?}, matched {}, fired {}, skipped {}, \
                 left {:?}, last {:?}",
                trigger.id,
                trigger.live,
                trigger.matched,
                trigger.fired,
                trigger.skipped,
                trigger.left(),
                trigger.last.as_ref().map(|last| &last.outcome),
            )
            .unwrap();
        }
        text
    }
}
