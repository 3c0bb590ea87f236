//! Names of tasks that a submission speaks of and that exist already.

use crate::context::Services;
use crate::error::OperationError;
use crate::lookup;
use skep_model::ids::{RunId, TaskId};
use skep_model::task::{NewTask, TaskState};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Which of some names are taken in a run, by tasks live or final. Tasks can be named by their
/// ids too; without a run there is no other way.
#[derive(Debug, Default)]
pub(crate) struct RunNames {
    found: BTreeMap<String, TaskId>,
    succeeded: BTreeSet<TaskId>,
}

impl RunNames {
    /// Looks the names up. The run must be known.
    pub(crate) async fn load(
        services: &Arc<Services>,
        run: Option<RunId>,
        wanted: BTreeSet<String>,
    ) -> Result<Self, OperationError> {
        let mut names = Self::default();
        for text in &wanted {
            if let Ok(id) = text.parse::<TaskId>()
                && let Some(task) = lookup::task(services, id).await?
            {
                names.add(text.clone(), id, task.record().state);
            }
        }
        let Some(run) = run else { return Ok(names) };
        lookup::known_run(services, run).await?;
        names.add_from_memory(services, run, &wanted);
        let missing: Vec<_> = wanted
            .into_iter()
            .filter(|name| !names.found.contains_key(name))
            .collect();
        let archived = lookup::ask(services, "look for names of a run", move |archive| {
            let mut found = Vec::new();
            for name in missing {
                if let Some(task) = archive.task_by_name(run, &name)? {
                    found.push((name, task.record.id, task.record.state));
                }
            }
            Ok(found)
        })
        .await?;
        for (name, id, state) in archived {
            names.add(name, id, state);
        }
        Ok(names)
    }

    fn add_from_memory(&mut self, services: &Services, run: RunId, wanted: &BTreeSet<String>) {
        let view = services.hive.view();
        let live = view.state.tasks_of_run(run);
        let recent = view.recent.finished().map(|task| &task.record);
        for record in live.chain(recent.filter(|record| record.run == Some(run))) {
            if wanted.contains(&record.spec.name) {
                self.add(record.spec.name.clone(), record.id, record.state);
            }
        }
    }

    fn add(&mut self, name: String, task: TaskId, state: TaskState) {
        self.found.insert(name, task);
        if state == TaskState::Succeeded {
            self.succeeded.insert(task);
        }
    }

    /// Finds a task by its name.
    pub(crate) fn finder(&self) -> impl Fn(&str) -> Option<TaskId> + '_ {
        |name| self.found.get(name).copied()
    }

    /// A need that succeeded already is met: the core knows only what is live. A need that ended
    /// otherwise stays, and the core refuses it by name.
    pub(crate) fn without_succeeded(&self, mut tasks: Vec<NewTask>) -> Vec<NewTask> {
        for task in &mut tasks {
            task.needs.retain(|need| !self.succeeded.contains(need));
        }
        tasks
    }
}
