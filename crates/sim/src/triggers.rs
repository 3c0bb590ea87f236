//! Somebody who keeps triggers: makes, pauses, resumes and deletes them; and what must hold of the
//! events that match.

use crate::happening::What;
use crate::random::Random;
use crate::world::World;
use skep_coordinator::View;
use skep_model::command::Command;
use skep_model::ids::{TaskId, TriggerId};
use skep_model::run::RunSpec;
use skep_model::task::{NewTask, TaskSpec};
use skep_model::template::Template;
use skep_model::trigger::TriggerSpec;
use std::collections::BTreeMap;
use std::sync::Arc;

mod facts;

pub(crate) use facts::TriggerFacts;

/// Seeds in which somebody keeps triggers, of a thousand.
const TRIGGERS_PERMILLE: u64 = 180;
/// Sets the stream of randomness apart, as for those who keep schedules.
const STREAM: u64 = 0x7472_6967;
/// Triggers of one seed at a time.
const TRIGGERS: usize = 3;
/// Name of what triggers submit, and of its tasks.
const ANSWER: &str = "answer";

/// What a trigger of the simulator waits for. The oracle reads it from the trigger's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    FailedTasks,
    CancelledTasks,
    BadRuns,
    Writes,
    Agents,
    /// Tasks of other triggers.
    Answers,
}

impl Wanted {
    const ALL: [Self; 6] = [
        Self::FailedTasks,
        Self::CancelledTasks,
        Self::BadRuns,
        Self::Writes,
        Self::Agents,
        Self::Answers,
    ];

    const fn word(self) -> &'static str {
        match self {
            Self::FailedTasks => "failed",
            Self::CancelledTasks => "cancelled",
            Self::BadRuns => "runs",
            Self::Writes => "writes",
            Self::Agents => "agents",
            Self::Answers => "answers",
        }
    }

    const fn watch(self) -> &'static str {
        match self {
            Self::FailedTasks => "task failed",
            Self::CancelledTasks => "task cancelled",
            Self::BadRuns => "run failed,cancelled",
            Self::Writes => "memory written namespace=*",
            Self::Agents => "agent created",
            Self::Answers => "task name=answer",
        }
    }
}

/// Who keeps triggers.
#[derive(Debug)]
pub(crate) struct Watcher {
    random: Random,
    made: u64,
}

impl Watcher {
    /// The watcher of a seed, if it has one.
    pub(crate) fn of_seed(seed: u64) -> Option<Self> {
        let mut random = Random::new(seed ^ STREAM);
        random
            .chance(TRIGGERS_PERMILLE)
            .then_some(Self { random, made: 0 })
    }

    fn create(&mut self) -> Result<Command, String> {
        self.made += 1;
        let random = &mut self.random;
        let wanted = *random.pick(&Wanted::ALL);
        let cooldown_ms = *random.pick(&[0, 0, 20_000]);
        let firings_max = *random.pick(&[None, None, Some(3)]);
        let task = NewTask {
            id: TaskId::from_u128(0),
            spec: Arc::new(TaskSpec::noop(ANSWER)),
            needs: Vec::new(),
        };
        let most = firings_max.unwrap_or(0);
        let watch = wanted.watch().parse();
        let spec = TriggerSpec {
            name: format!("{}-{}-{cooldown_ms}-{most}", self.made, wanted.word()),
            watches: vec![watch.map_err(|error| format!("{error}"))?],
            cooldown_ms,
            firings_max,
            template: Arc::new(Template {
                run: RunSpec {
                    name: ANSWER.to_owned(),
                    labels: BTreeMap::new(),
                    weight: 10,
                    trace_parent: None,
                    strategy: None,
                },
                tasks: vec![task],
                ids: 1,
            }),
        };
        Ok(Command::CreateTrigger {
            trigger: TriggerId::from_u128(self.made.into()),
            spec: Box::new(spec),
        })
    }

    /// What it wants of the triggers that it sees.
    fn draw(&mut self, view: &View) -> Result<Option<Command>, String> {
        let known: Vec<_> = view.state.triggers().map(|record| record.id).collect();
        if known.len() < TRIGGERS && (known.is_empty() || self.random.chance(400)) {
            return self.create().map(Some);
        }
        let trigger = known[self.random.next() as usize % known.len()];
        Ok(match self.random.between(0, 9) {
            0 => Some(Command::DeleteTrigger(trigger)),
            1 => Some(Command::PauseTrigger(trigger)),
            2..=5 => Some(Command::ResumeTrigger(trigger)),
            _ => None,
        })
    }
}

impl World {
    /// The watcher does something.
    pub(crate) fn watcher_acts(&mut self) -> Result<(), String> {
        let Some(mut watcher) = self.watcher.take() else {
            return Ok(());
        };
        let again = self.now + watcher.random.between(1_000, 60_000);
        if !self.healing {
            self.schedule(again, What::WatcherActs);
        }
        let wanted = match &self.coordinator {
            Some(coordinator) => watcher.draw(&coordinator.engine.view().read())?,
            None => None,
        };
        self.watcher = Some(watcher);
        let Some(command) = wanted else {
            return Ok(());
        };
        let ticket = self.ticket();
        self.propose(ticket, command)
    }
}
