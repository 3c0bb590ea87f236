//! What is submitted: batches of mixed tasks and small graphs, drawn from the seed.

use crate::history::{Asked, Submission};
use crate::random::Random;
use crate::wiring::LABEL;
use serde_json::{Map, Value, json};
use std::path::Path;

/// Tasks in one batch.
const BATCH_MAX: u64 = 60;
/// Retries of tasks that have to succeed whatever is killed.
const RETRIES: u64 = 30;
/// Attempts of a task that does not say.
const ATTEMPTS_DEFAULT: u64 = 3;
/// The edges of the graph, by the place of each task.
const GRAPH: [&[usize]; 5] = [&[], &[0], &[0], &[1, 2], &[3]];
/// Submissions in a hundred that are graphs.
const GRAPHS_PERCENT: u64 = 40;
/// Batches in a hundred that hold only tasks of the simplest form.
const SIMPLE_PERCENT: u64 = 30;

/// A request that is ready to be sent, over and over.
#[derive(Debug, Clone)]
pub(crate) struct Planned {
    pub(crate) route: &'static str,
    pub(crate) body: Value,
    pub(crate) submission: Submission,
    /// How many tasks the requests before it hold.
    pub(crate) tasks_before: usize,
}

impl Planned {
    /// Whether it makes a run.
    pub(crate) fn is_run(&self) -> bool {
        self.route == RUNS
    }
}

const BATCH: &str = "/api/v2/tasks/batch";
const RUNS: &str = "/api/v2/runs";

/// Requests that hold so many tasks together.
pub(crate) fn plan(tasks: usize, seed: u64, counter_file: &Path) -> Vec<Planned> {
    let mut random = Random::new(seed, 1);
    let mut planned: Vec<Planned> = Vec::new();
    let mut tasks_before = 0;
    while tasks_before < tasks {
        let left = tasks - tasks_before;
        let mut maker = Maker {
            random: &mut random,
            counter_file,
            next_name: tasks_before,
        };
        let is_graph = left >= GRAPH.len() && maker.random.chance(GRAPHS_PERCENT);
        let (route, body, asked) = if is_graph {
            let (body, asked) = maker.graph();
            (RUNS, body, asked)
        } else {
            let count = maker.random.between(1, BATCH_MAX.min(left as u64));
            let (body, asked) = maker.batch(count);
            (BATCH, body, asked)
        };
        let key = format!("chaos-{seed}-{}", planned.len());
        let size = asked.len();
        let submission = Submission {
            key,
            asked,
            answers: Vec::new(),
            given_up: None,
        };
        planned.push(Planned {
            route,
            body,
            submission,
            tasks_before,
        });
        tasks_before += size;
    }
    planned
}

/// A request for one task that only this node may run.
pub(crate) fn bound_task(node: &str) -> Planned {
    let mut task = json!({
        "name": format!("only-{node}"),
        "run": "true",
        "affinity": [{"label": LABEL, "value": node}],
    });
    let mut asked = Asked {
        name: format!("only-{node}"),
        is_counted: false,
        at_most_once: false,
        attempts_max: ATTEMPTS_DEFAULT,
        needs: Vec::new(),
    };
    with_retries(&mut task, &mut asked);
    Planned {
        route: BATCH,
        body: json!({"tasks": [task]}),
        submission: Submission {
            key: format!("chaos-only-{node}"),
            asked: vec![asked],
            answers: Vec::new(),
            given_up: None,
        },
        tasks_before: 0,
    }
}

struct Maker<'a> {
    random: &'a mut Random,
    counter_file: &'a Path,
    next_name: usize,
}

impl Maker<'_> {
    fn batch(&mut self, count: u64) -> (Value, Vec<Asked>) {
        let is_simple = self.random.chance(SIMPLE_PERCENT);
        let tasks = (0..count).map(|_| {
            let (mut task, asked) = if is_simple {
                self.simple()
            } else {
                self.task()
            };
            task["name"] = Value::String(asked.name.clone());
            (task, asked)
        });
        let (tasks, asked): (Vec<_>, Vec<_>) = tasks.unzip();
        (json!({"tasks": tasks}), asked)
    }

    fn graph(&mut self) -> (Value, Vec<Asked>) {
        let mut tasks = Map::new();
        let mut all: Vec<Asked> = Vec::new();
        for needs in GRAPH {
            let (mut task, mut asked) = if self.random.chance(30) {
                self.counted()
            } else {
                self.noop_with_retries()
            };
            let names: Vec<_> = needs.iter().map(|place| all[*place].name.clone()).collect();
            task["needs"] = json!(names);
            asked.needs = needs.to_vec();
            tasks.insert(asked.name.clone(), task);
            all.push(asked);
        }
        (json!({"plan": {"name": "graph", "tasks": tasks}}), all)
    }

    fn task(&mut self) -> (Value, Asked) {
        match self.random.below(10) {
            0..3 => self.noop_with_retries(),
            3..5 => {
                let (mut task, mut asked) = self.simple_command();
                with_retries(&mut task, &mut asked);
                (task, asked)
            }
            5..8 => self.counted(),
            _ => self.counted_once(),
        }
    }

    /// Of keys that need no resolving, with the default retries.
    fn simple(&mut self) -> (Value, Asked) {
        if self.random.chance(70) {
            (json!({"kind": "noop"}), self.asked())
        } else {
            self.simple_command()
        }
    }

    /// A command in a sandbox.
    fn simple_command(&mut self) -> (Value, Asked) {
        (json!({"run": "sleep 0.05"}), self.asked())
    }

    fn noop_with_retries(&mut self) -> (Value, Asked) {
        let (mut task, mut asked) = (json!({"kind": "noop"}), self.asked());
        with_retries(&mut task, &mut asked);
        (task, asked)
    }

    /// A command that writes down that it was executed.
    fn counted(&mut self) -> (Value, Asked) {
        let (mut task, mut asked) = (self.counting_command(), self.asked());
        asked.is_counted = true;
        with_retries(&mut task, &mut asked);
        (task, asked)
    }

    /// The same, but executed once or not at all.
    fn counted_once(&mut self) -> (Value, Asked) {
        let mut task = self.counting_command();
        task["delivery"] = json!("at_most_once");
        let asked = Asked {
            is_counted: true,
            at_most_once: true,
            attempts_max: 1,
            ..self.asked()
        };
        (task, asked)
    }

    fn counting_command(&mut self) -> Value {
        let ms = if self.random.chance(8) {
            self.random.between(1_000, 3_000)
        } else {
            self.random.between(0, 300)
        };
        let line = "$SKEP_TASK_ID $SKEP_ATTEMPT $SKEP_FENCE";
        let file = self.counter_file.display();
        let sleep = format!("{}.{:03}", ms / 1_000, ms % 1_000);
        // One `write` with O_APPEND for a line: lines of several processes do not mix.
        json!({"run": format!("echo \"{line}\" >> '{file}'; sleep {sleep}"), "isolation": "s0"})
    }

    fn asked(&mut self) -> Asked {
        self.next_name += 1;
        Asked {
            name: format!("t{}", self.next_name),
            is_counted: false,
            at_most_once: false,
            attempts_max: ATTEMPTS_DEFAULT,
            needs: Vec::new(),
        }
    }
}

fn with_retries(task: &mut Value, asked: &mut Asked) {
    task["retries"] = json!({"count": RETRIES, "backoff": "100ms", "backoff_max": "1s"});
    asked.attempts_max = RETRIES + 1;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_plan_holds_as_many_tasks_as_wanted_each_under_its_own_name() {
        let planned = plan(2_000, 5, Path::new("/c"));
        let asked: Vec<_> = planned
            .iter()
            .flat_map(|one| &one.submission.asked)
            .collect();
        let names: BTreeSet<_> = asked.iter().map(|asked| &asked.name).collect();
        assert_eq!((asked.len(), names.len()), (2_000, 2_000));
        let keys: BTreeSet<_> = planned.iter().map(|one| &one.submission.key).collect();
        assert_eq!(keys.len(), planned.len());
        assert!(planned.iter().any(Planned::is_run));
        assert!(asked.iter().any(|asked| asked.at_most_once));
        assert!(
            asked
                .iter()
                .any(|asked| asked.attempts_max == ATTEMPTS_DEFAULT)
        );
    }

    #[test]
    fn a_seed_draws_the_same_plan() {
        let bodies = |seed| -> Vec<_> {
            plan(300, seed, Path::new("/c"))
                .into_iter()
                .map(|one| one.body)
                .collect()
        };
        assert_eq!(bodies(3), bodies(3));
        assert_ne!(bodies(3), bodies(4));
    }

    #[test]
    fn the_needs_of_a_graph_are_named_as_they_are_placed() {
        let planned = plan(500, 1, Path::new("/c"));
        let graph = planned.iter().find(|one| one.is_run()).unwrap();
        let asked = &graph.submission.asked;
        let last = &graph.body["plan"]["tasks"][&asked[3].name];
        assert_eq!(last["needs"], json!([asked[1].name, asked[2].name]));
    }
}
