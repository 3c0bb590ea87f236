//! A small language for tests: one statement per command, with small numbers for ids.
//!
//! `check(script, expect)` applies each statement to a fresh state and compares what happened.
//! Statements are separated by `;`; those before a `|` happen silently. After every statement all
//! invariants are checked, and the state is compared with one restored from the rows written so
//! far, so every script is a test of these too.

mod joining;
mod memory;
mod reports;
mod schedules;
mod statements;
mod triggers;

use crate::{Applied, State};
use expect_test::Expect;
use skep_model::attempt::LogIndex;
use skep_model::command::{Actor, Command, LogEntry};
use skep_model::event::Event;
use skep_model::ids::{NodeId, RunId, TaskId};
use skep_model::memory::MemoryWrite;
use skep_model::row::{Row, RowChange, RowKey};
use skep_model::task::NewTask;
use skep_model::time::UnixMillis;
use std::collections::BTreeMap;
use std::fmt::Write;

/// The words of one statement: `verb plain plain key=value key=value`.
#[derive(Debug)]
struct Words<'a> {
    verb: &'a str,
    plain: Vec<&'a str>,
    options: Vec<(&'a str, &'a str)>,
}

impl<'a> Words<'a> {
    fn of(statement: &'a str) -> Self {
        let mut words = statement.split_whitespace();
        let verb = words.next().unwrap();
        let (mut plain, mut options) = (Vec::new(), Vec::new());
        for word in words {
            match word.split_once('=') {
                Some(option) => options.push(option),
                None => plain.push(word),
            }
        }
        Self {
            verb,
            plain,
            options,
        }
    }

    fn option(&self, key: &str) -> Option<&'a str> {
        self.options_named(key).next()
    }

    fn options_named(&self, key: &str) -> impl Iterator<Item = &'a str> {
        let named = self.options.iter().filter(move |(name, _)| *name == key);
        named.map(|(_, value)| *value)
    }

    fn number(&self, key: &str) -> Option<u64> {
        self.option(key).map(|value| value.parse().unwrap())
    }

    fn has(&self, word: &str) -> bool {
        self.plain.contains(&word)
    }

    /// The first plain word, a number.
    fn id(&self) -> u128 {
        self.plain[0].parse().unwrap()
    }
}

/// A state, its log so far, and the rows a store would hold.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) state: State,
    index: u64,
    at: u64,
    /// Tasks of the next submission.
    draft: Vec<NewTask>,
    /// Writes of the next batch.
    writes: Vec<MemoryWrite>,
    pub(crate) rows: BTreeMap<RowKey, Row>,
    /// Everything that happened.
    pub(crate) events: Vec<Event>,
}

impl World {
    pub(crate) fn after(script: &str) -> Self {
        let mut world = Self::default();
        for statement in statements_of(script) {
            world.perform(statement);
        }
        world
    }

    fn apply(&mut self, command: Command) -> Applied {
        self.index += 1;
        let entry = LogEntry {
            at: UnixMillis(self.at),
            seed: self.index,
            actor: Actor::Coordinator,
            command,
        };
        let applied = self.state.apply(LogIndex(self.index), &entry);
        self.state.check().unwrap();
        self.events.extend(applied.events.iter().cloned());
        applied
    }

    /// Goes on with a state made from the rows.
    pub(crate) fn restart(&mut self) {
        self.state = State::restore(self.rows.values().cloned().collect()).unwrap();
    }

    fn store(&mut self) {
        for change in self.state.take_changes() {
            match change {
                RowChange::Put(key, row) => {
                    self.rows.insert(key, row);
                }
                RowChange::Delete(key) => {
                    self.rows.remove(&key);
                }
            }
        }
    }

    fn assert_restorable(&self) {
        let restored = State::restore(self.rows.values().cloned().collect()).unwrap();
        restored.check().unwrap();
        assert_eq!(portrait(&restored), portrait(&self.state));
    }

    pub(crate) fn perform(&mut self, statement: &str) -> String {
        let words = Words::of(statement);
        match words.verb {
            "at" => self.at = words.id() as u64,
            "task" => self.draft.push(statements::new_task(&words)),
            "also" => self.draft_write(&words),
            "entries" => return self.show_entries(),
            "show" => return self.show(TaskId::from_u128(words.id())),
            "run-counts" => return self.show_run(RunId::from_u128(words.id())),
            "queues" => return self.show_queues(),
            "agents" => return self.show_agents(),
            "schedules" => return self.show_schedules(),
            "triggers" => return self.show_triggers(),
            "hold" => return self.show_hold(NodeId::from_u128(words.id())),
            "timer" => return format!("{:?}\n", self.state.next_timer()),
            _ => {
                let command = self.command(&words);
                let applied = self.apply(command);
                self.store();
                self.assert_restorable();
                return render(&applied);
            }
        }
        String::new()
    }

    fn show(&self, task: TaskId) -> String {
        let task = self.state.task(task).unwrap();
        format!(
            "{} is {}, attempts {}, waits for {:?}, not before {:?}, failed on {:?}, ended {:?}\n",
            task.id,
            task.state,
            task.attempts,
            task.waits_for,
            task.not_before,
            task.failed_on,
            task.ended_attempts
                .iter()
                .map(|attempt| &attempt.ended)
                .collect::<Vec<_>>(),
        )
    }

    fn show_run(&self, run: RunId) -> String {
        let run = self.state.run(run).unwrap();
        format!("{} is {}: {:?}\n", run.id, run.state, run.counts)
    }

    fn show_queues(&self) -> String {
        let mut text = String::new();
        for queue in self.state.ready_queues() {
            let tasks: Vec<_> = queue.tasks.iter().map(|key| key.task).collect();
            writeln!(text, "{:?} {} {tasks:?}", queue.run, queue.priority).unwrap();
        }
        text
    }

    fn show_hold(&self, node: NodeId) -> String {
        let record = self.state.node(node).unwrap();
        let (wanted, hold) = (record.on_disconnect(), record.hold);
        let (bound, since) = (hold.bound.policy, hold.since);
        let parked = match (record.parked, hold.bound.park_ms) {
            (None, 0) => String::new(),
            (parked, ms) => {
                let still = parked.map(|parked| parked.stands_still);
                format!(", may be parked for {ms} ms, stands still: {still:?}")
            }
        };
        format!("{node} should {wanted}, may {bound}, since entry {since}{parked}\n")
    }

    fn show_agents(&self) -> String {
        let mut text = String::new();
        for agent in self.state.agents() {
            let state = self.state.agent_state(agent).as_str();
            let load = self.state.agent_load(agent.id);
            let (yes, no, busy) = (agent.succeeded, agent.failed, agent.busy_ms);
            let id = agent.id;
            writeln!(
                text,
                "{id} is {state}, load {load}, {yes} good in {busy} ms, {no} bad"
            )
            .unwrap();
        }
        text
    }
}

/// Everything one can see of a state, for comparing two of them.
pub(crate) fn portrait(state: &State) -> String {
    let mut text = format!(
        "{:?} {:?} {:?}\n",
        state.now(),
        state.next_timer(),
        state.counts()
    );
    for task in state.tasks() {
        writeln!(text, "{task:?}").unwrap();
    }
    for run in state.runs() {
        let tasks: Vec<_> = state.tasks_of_run(run.id).map(|task| task.id).collect();
        writeln!(text, "{run:?} {tasks:?}").unwrap();
    }
    for node in state.nodes() {
        let held: Vec<_> = state.held_by_node(node.id).map(|task| task.id).collect();
        writeln!(text, "{node:?} {:?} {held:?}", state.node_use(node.id)).unwrap();
    }
    for agent in state.agents() {
        let load = state.agent_load(agent.id);
        writeln!(text, "{agent:?} {load} {:?}", state.agent_state(agent)).unwrap();
    }
    for token in state.tokens() {
        assert_eq!(state.token_by_hash(&token.hash), Some(token));
        writeln!(text, "{token:?}").unwrap();
    }
    for queue in state.ready_queues() {
        writeln!(text, "{queue:?}").unwrap();
    }
    text += &memory::portrait(state);
    for (at, schedule) in state.due_schedules() {
        writeln!(text, "{at:?} {}", schedule.id).unwrap();
    }
    for schedule in state.schedules() {
        writeln!(text, "{schedule:?}").unwrap();
    }
    for (cause, trigger) in state.due_triggers() {
        writeln!(text, "{cause} {}", trigger.id).unwrap();
    }
    for trigger in state.triggers() {
        writeln!(text, "{trigger:?}").unwrap();
    }
    writeln!(text, "{:?}", state.idempotency).unwrap();
    text
}

fn statements_of(script: &str) -> impl Iterator<Item = &str> {
    let statements = script.split(';').map(str::trim);
    statements.filter(|statement| !statement.is_empty())
}

fn render(applied: &Applied) -> String {
    let mut text = String::new();
    for event in &applied.events {
        writeln!(text, "{event:?}").unwrap();
    }
    for finished in &applied.finished {
        assert!(finished.record.state.is_final() && finished.record.lease.is_none());
    }
    for run in &applied.finished_runs {
        assert!(run.state.is_final() && run.finished_at.is_some());
    }
    text
}

/// Shortens ids, leaves out what is absent or zero.
fn shortened(text: &str) -> String {
    let mut short = String::new();
    let mut rest = text;
    while let Some(place) = rest.find("_00000") {
        let (before, id) = rest.split_at(place + 1);
        short.push_str(before);
        rest = id.trim_start_matches('0');
    }
    short.push_str(rest);
    let zero = [
        "pending",
        "ready",
        "leased",
        "running",
        "verifying",
        "paused",
        "succeeded",
        "failed",
        "cancelled",
        "expired",
        "unknown",
    ];
    for state in zero {
        short = short.replace(&format!(" {state}: 0,"), "");
        short = short.replace(&format!(", {state}: 0 }}"), " }");
    }
    let short = short
        .replace("{ unknown: 0 }", "{}")
        .replace(" run: None,", "");
    let mut parts = short.split("Fence { epoch: 1, index: LogIndex(");
    let mut text = parts.next().unwrap().to_owned();
    for part in parts {
        let (index, after) = part.split_once(") }").unwrap();
        write!(text, "1.{index}{after}").unwrap();
    }
    text
}

/// Performs a script and compares what happened after its `|` (or all of it).
#[track_caller]
pub(crate) fn check(script: &str, expect: &Expect) {
    let (silent, shown) = script.split_once('|').unwrap_or(("", script));
    let mut world = World::after(silent);
    let mut text = String::new();
    for statement in statements_of(shown) {
        let happened = world.perform(statement);
        if !happened.is_empty() || !matches!(Words::of(statement).verb, "at" | "task" | "also") {
            writeln!(text, "> {statement}\n{}", happened.trim_end()).unwrap();
        }
    }
    expect.assert_eq(&shortened(&text));
}
