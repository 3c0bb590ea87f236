//! Puts proposals in one order and cuts them into group commits.
//!
//! At most one commit is on its way to the disk. While it is, proposals gather; when it is back
//! they become the next one. So a busy disk makes commits larger, not callers slower.

use crate::gathering::{self, Waiting};
use crate::ports::Commit;
use skep_model::attempt::{AttemptReport, LogIndex};
use skep_model::command::{Command, LogEntry};
use skep_model::limits;
use skep_model::planted::{PlantedBug, planted};
use skep_model::work::Work;
use std::collections::VecDeque;

/// Names the caller that waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// A proposal with the one who waits for it.
#[derive(Debug)]
pub(crate) struct Pending<O> {
    pub(crate) entry: LogEntry,
    pub(crate) origin: O,
    from_outside: bool,
}

/// Too many proposals wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QueueFull;

/// The queue before the log. `O` says who proposed and what to do with the answer.
#[derive(Debug)]
pub(crate) struct Sequencer<O> {
    queue: VecDeque<Pending<O>>,
    in_flight: Option<Vec<Waiting<O>>>,
    last: LogIndex,
    outside_waiting: usize,
}

impl<O> Sequencer<O> {
    pub(crate) fn new(last: LogIndex) -> Self {
        Self {
            queue: VecDeque::new(),
            in_flight: None,
            last,
            outside_waiting: 0,
        }
    }

    /// Takes in a proposal of a caller, if there is room.
    pub(crate) fn offer(&mut self, entry: LogEntry, origin: O) -> Result<(), QueueFull> {
        if self.outside_waiting >= limits::PROPOSALS_QUEUED_MAX {
            return Err(QueueFull);
        }
        self.outside_waiting += 1;
        self.queue.push_back(Pending {
            entry,
            origin,
            from_outside: true,
        });
        Ok(())
    }

    /// Takes in a proposal of the coordinator itself. These are bounded by their sources: one
    /// decision at a time, and a fixed number of unanswered requests per node.
    pub(crate) fn push(&mut self, entry: LogEntry, origin: O) {
        self.queue.push_back(Pending {
            entry,
            origin,
            from_outside: false,
        });
    }

    pub(crate) const fn is_idle(&self) -> bool {
        self.in_flight.is_none()
    }

    pub(crate) fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// How many of those that wait are of callers.
    pub(crate) const fn outside_waiting(&self) -> usize {
        self.outside_waiting
    }

    /// Cuts the next batch into `commit`, which must go to the journal next. Writes to shared memory
    /// that follow one another become one entry where they may.
    pub(crate) fn cut(&mut self, commit: &mut Commit) {
        let mut waiting: Vec<Waiting<O>> = Vec::new();
        let (mut bytes, mut newest) = (0, 0);
        while let Some(pending) = self.queue.pop_front() {
            let more = weight(&pending.entry.command);
            let last = commit.entries.last_mut().filter(|_| !waiting.is_empty());
            let joined =
                last.filter(|(_, entry)| gathering::may_join(entry, newest + more, &pending.entry));
            let is_full = joined.is_none() && waiting.len() >= limits::BATCH_COMMANDS_MAX;
            let is_long = !waiting.is_empty() && bytes + more > limits::BATCH_BYTES_MAX;
            if is_full || is_long {
                self.queue.push_front(pending);
                break;
            }
            bytes += more;
            self.outside_waiting -= usize::from(pending.from_outside);
            if let Some((_, entry)) = joined
                && let Some(others) = waiting.pop()
            {
                newest += more;
                let next = (pending.entry, pending.origin);
                waiting.push(gathering::join(entry, others, next));
            } else {
                newest = more;
                self.last = self.last.next();
                commit.entries.push((self.last, pending.entry));
                waiting.push(Waiting::One(pending.origin));
            }
        }
        self.in_flight = Some(waiting);
    }

    /// The commit is durable: who proposed its entries, in their order.
    pub(crate) fn committed(&mut self) -> Vec<Waiting<O>> {
        self.in_flight.take().unwrap_or_default()
    }

    /// Empties the queue, for proposals that must be looked at one by one.
    pub(crate) fn take_queue(&mut self) -> VecDeque<Pending<O>> {
        self.outside_waiting = 0;
        std::mem::take(&mut self.queue)
    }

    /// Nothing of the commit was stored: its proposals, to be answered or queued again. Their
    /// indexes were not used.
    pub(crate) fn rejected(&mut self, entries: Vec<(LogIndex, LogEntry)>) -> Vec<Pending<O>> {
        if let Some((first, _)) = entries.first()
            && !planted(PlantedBug::RejectedIndexSkipped)
        {
            self.last = LogIndex(first.0 - 1);
        }
        let waiting = self.in_flight.take().unwrap_or_default();
        let pairs = entries.into_iter().zip(waiting);
        let parts = pairs.flat_map(|((_, entry), waiting)| gathering::part(entry, waiting));
        parts
            .map(|(entry, origin)| Pending {
                entry,
                origin,
                from_outside: false,
            })
            .collect()
    }
}

fn report_weight(report: &AttemptReport) -> usize {
    const REPORT: usize = 256;
    let account = report.account.as_ref();
    let said = account.and_then(|account| account.result.as_ref());
    REPORT + said.map_or(0, String::len)
}

/// About how many bytes a command takes in the log; exact enough to bound a batch.
fn weight(command: &Command) -> usize {
    const ENTRY: usize = 64;
    const TASK: usize = 256;
    const SCRIPTED_TASK: usize = 1_024;
    const GRANT: usize = 32;
    let tasks = |tasks: &[skep_model::task::NewTask]| {
        tasks
            .iter()
            .map(|task| match &task.spec.work {
                Work::Noop => TASK,
                Work::Command(_) => SCRIPTED_TASK,
                Work::Described(work) => {
                    TASK + work.instructions.len() + work.expected.as_ref().map_or(0, String::len)
                }
            })
            .sum::<usize>()
    };
    ENTRY
        + match command {
            Command::SubmitRun { tasks: new, .. } | Command::SubmitTasks { tasks: new, .. } => {
                tasks(new)
            }
            Command::GrantLeases(grants) => grants.len() * GRANT,
            Command::ReportProgress { items, .. } => items.len() * GRANT,
            Command::ReportResults { reports, .. } => reports.iter().map(report_weight).sum(),
            Command::ReportGate { gate, .. } => gate.output.len(),
            Command::WriteMemory { writes, .. } => writes
                .iter()
                .map(skep_model::memory::MemoryWrite::bytes)
                .sum(),
            _ => 0,
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_model::command::Actor;
    use skep_model::time::UnixMillis;

    fn entry() -> LogEntry {
        LogEntry {
            at: UnixMillis(1),
            seed: 0,
            actor: Actor::Coordinator,
            command: Command::FireTimers,
        }
    }

    #[test]
    fn a_batch_closes_at_the_command_limit_and_the_rest_waits() {
        let mut sequencer = Sequencer::new(LogIndex(7));
        for number in 0..=limits::BATCH_COMMANDS_MAX {
            sequencer.offer(entry(), number).unwrap();
        }
        let mut commit = Commit::default();
        sequencer.cut(&mut commit);
        assert_eq!(commit.entries.len(), limits::BATCH_COMMANDS_MAX);
        assert_eq!(commit.entries[0].0, LogIndex(8));
        assert_eq!(sequencer.waiting(), 1);
        assert_eq!(sequencer.committed().len(), limits::BATCH_COMMANDS_MAX);
    }

    #[test]
    fn a_full_queue_refuses_callers_but_not_the_coordinator() {
        let mut sequencer = Sequencer::new(LogIndex(0));
        for number in 0..limits::PROPOSALS_QUEUED_MAX {
            sequencer.offer(entry(), number).unwrap();
        }
        assert_eq!(sequencer.offer(entry(), 0), Err(QueueFull));
        sequencer.push(entry(), 0);
        assert_eq!(sequencer.waiting(), limits::PROPOSALS_QUEUED_MAX + 1);
    }

    #[test]
    fn indexes_of_a_rejected_batch_are_used_again() {
        let mut sequencer = Sequencer::new(LogIndex(0));
        sequencer.offer(entry(), 'a').unwrap();
        let mut commit = Commit::default();
        sequencer.cut(&mut commit);
        let back = sequencer.rejected(commit.entries);
        assert_eq!(back.len(), 1);
        sequencer.push(entry(), 'b');
        let mut again = Commit::default();
        sequencer.cut(&mut again);
        assert_eq!(again.entries[0].0, LogIndex(1));
    }
}
