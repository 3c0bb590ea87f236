//! Clients: they submit, repeat what was not answered, and meddle.

use crate::happening::What;
use crate::plans::Graph;
use crate::world::World;
use skep_coordinator::{Input, ProposeError, Ticket};
use skep_model::command::{Actor, Command, Idempotency};
use skep_model::event::{EntryEvents, Event};
use skep_model::ids::RunId;
use skep_model::run::RunSpec;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What one submission is, whatever became of it.
#[derive(Debug)]
pub(crate) struct Submission {
    key: String,
    graph: Graph,
    pub(crate) answered: bool,
}

/// All submissions, and who waits for which answer.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    pub(crate) submissions: Vec<Submission>,
    waiting: BTreeMap<Ticket, usize>,
    next_ticket: u64,
}

impl World {
    /// A client does something: mostly it submits a new graph.
    pub(crate) fn client_acts(&mut self) -> Result<(), String> {
        let again = self.now + self.random.between(1_000, 45_000);
        if !self.healing {
            self.schedule(again, What::ClientActs);
        }
        if self.random.chance(150) && self.joining.is_some() {
            return self.operator_acts();
        }
        if self.random.chance(550) || self.clients.submissions.is_empty() {
            let wall = self.wall();
            let graph = Graph::draw(&mut self.random, wall);
            let key = format!("key-{}", self.clients.submissions.len());
            self.clients.submissions.push(Submission {
                key,
                graph,
                answered: false,
            });
            return self.submit(self.clients.submissions.len() - 1);
        }
        if self.random.chance(200) {
            let any = self.random.next() as usize % self.clients.submissions.len();
            return self.submit(any);
        }
        self.meddle()
    }

    /// Submits, or submits again, under the same key.
    pub(crate) fn submit(&mut self, submission: usize) -> Result<(), String> {
        if self.coordinator.is_none() {
            let again = self.now + self.random.between(500, 10_000);
            self.schedule(again, What::ClientRepeats { submission });
            return Ok(());
        }
        let mut random = self.random.clone();
        let mut fresh = || u128::from(random.next()) << 64 | u128::from(random.next());
        let asked = &self.clients.submissions[submission];
        let run = RunId::from_u128(fresh());
        let tasks = asked.graph.stamp(&mut fresh);
        let idempotency = Some(Idempotency {
            key: asked.key.clone(),
            fingerprint: asked.graph.fingerprint(),
        });
        let spec = Arc::new(RunSpec {
            name: asked.key.clone(),
            labels: BTreeMap::new(),
            weight: 10,
            trace_parent: None,
            strategy: None,
        });
        self.random = random;
        self.oracle.asked(&tasks);
        let ticket = self.ticket();
        self.clients.waiting.insert(ticket, submission);
        self.propose(
            ticket,
            Command::SubmitRun {
                run,
                spec,
                tasks,
                idempotency,
            },
        )
    }

    /// Cancels, pauses, resumes, retries or drains something.
    fn meddle(&mut self) -> Result<(), String> {
        let runs: Vec<_> = self.oracle.runs().collect();
        if runs.is_empty() {
            return Ok(());
        }
        let run = *self.random.pick(&runs);
        let tasks = self.oracle.tasks_of(run).to_vec();
        let node = self.nodes[self.random.next() as usize % self.nodes.len()].id;
        let command = match (self.random.between(0, 8), tasks.first()) {
            (0, _) => Command::CancelRun(run),
            (1, _) => Command::PauseRun(run),
            (2, _) => Command::ResumeRun(run),
            (3, _) => Command::DrainNode(node),
            (4, _) => Command::ResumeNode(node),
            (_, None) => return Ok(()),
            (5, Some(_)) => Command::CancelTask(*self.random.pick(&tasks)),
            (6, Some(_)) => Command::RetryTask(*self.random.pick(&tasks)),
            (7, Some(_)) => Command::PauseTask(*self.random.pick(&tasks)),
            (_, Some(_)) => Command::ResumeTask(*self.random.pick(&tasks)),
        };
        let ticket = self.ticket();
        self.propose(ticket, command)
    }

    /// Whatever was held is let go, so that everything can end.
    pub(crate) fn release_everything(&mut self) -> Result<(), String> {
        let Some(coordinator) = &self.coordinator else {
            return Ok(());
        };
        let view = coordinator.engine.view();
        let mut commands = Vec::new();
        {
            let view = view.read();
            let state = &view.state;
            commands.extend(state.runs().map(|run| Command::ResumeRun(run.id)));
            let paused = |task: &&skep_model::task::TaskRecord| {
                task.state == skep_model::task::TaskState::Paused
            };
            commands.extend(
                state
                    .tasks()
                    .filter(paused)
                    .map(|task| Command::ResumeTask(task.id)),
            );
            let drained = state.nodes().filter(|node| node.drain_requested);
            commands.extend(drained.map(|node| Command::ResumeNode(node.id)));
            let parked = state.nodes().filter(|node| node.parked.is_some());
            commands.extend(parked.map(|node| Command::UnparkNode(node.id)));
            let away = state.nodes().filter(|node| node.away.is_some());
            commands.extend(away.map(|node| Command::SetAvailability {
                node: node.id,
                instance: node.instance,
                away: None,
            }));
        }
        let gone = self.never_to_come_back().into_iter();
        commands.extend(gone.map(Command::RemoveNode));
        for command in commands {
            let ticket = self.ticket();
            self.propose(ticket, command)?;
        }
        self.open_the_door()
    }

    pub(crate) fn ticket(&mut self) -> Ticket {
        self.clients.next_ticket += 1;
        Ticket(self.clients.next_ticket)
    }

    pub(crate) fn propose(&mut self, ticket: Ticket, command: Command) -> Result<(), String> {
        self.feed(Input::Propose {
            ticket,
            actor: Actor::Coordinator,
            command,
        })
    }

    pub(crate) fn client_answered(
        &mut self,
        ticket: Ticket,
        answer: Result<Arc<EntryEvents>, ProposeError>,
    ) -> Result<(), String> {
        if self.join_answered(ticket, &answer)?
            || self.write_answered(ticket, &answer)?
            || self.session_answered(ticket, &answer)?
        {
            return Ok(());
        }
        let Some(submission) = self.clients.waiting.remove(&ticket) else {
            return Ok(());
        };
        let Ok(entry) = answer else {
            let again = self.now + self.random.between(500, 10_000);
            self.schedule(again, What::ClientRepeats { submission });
            return Ok(());
        };
        let asked = &mut self.clients.submissions[submission];
        let size = asked.graph.size();
        asked.answered = true;
        let mut made = None;
        let mut tasks = Vec::new();
        for event in &entry.events {
            match event {
                Event::RunSubmitted { run, .. } => made = Some(*run),
                Event::TaskSubmitted { task, .. } => tasks.push(*task),
                Event::AlreadyDone { run, .. } => made = *run,
                Event::Refused { reason } => {
                    return Err(format!("a submission was refused: {reason}"));
                }
                _ => {}
            }
        }
        let Some(run) = made else {
            return Err("a submission was answered without a run".to_owned());
        };
        if !tasks.is_empty() && tasks.len() != size {
            return Err(format!("I1: {} of {size} tasks were taken in", tasks.len()));
        }
        let key = asked.key.clone();
        self.oracle.acked(&key, run, tasks)
    }

    /// Nobody will answer any more: all that wait repeat their submissions later.
    pub(crate) fn client_lost_coordinator(&mut self) {
        if let Some(joining) = &mut self.joining {
            joining.lost_coordinator();
        }
        self.writers_lost_coordinator();
        self.sessions_lost_coordinator();
        let waiting = std::mem::take(&mut self.clients.waiting);
        for submission in waiting.into_values() {
            let again = self.now + self.random.between(500, 60_000);
            self.schedule(again, What::ClientRepeats { submission });
        }
    }
}
