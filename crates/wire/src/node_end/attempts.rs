//! The attempts a node holds: slots, steps, progress, and what it ran before.

use super::ended::EndedMemory;
use crate::bounds::PROGRESS_DELAY_MS;
use crate::payload::{AssignRefusal, Assignment, AttemptKey, HeldAttempt, HeldPhase};
use skep_model::attempt::{AttemptReport, Fence, LogIndex, Outcome};
use skep_model::command::{Phase, Progress};
use skep_model::ids::TaskId;
use skep_model::planted::{PlantedBug, planted};
use skep_model::task::HandBack;
use std::collections::{BTreeMap, VecDeque};

/// How far an attempt is on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Accepted; waits until a killed attempt has left its slot.
    Waiting,
    /// Handed to the runner.
    Starting,
    /// Its command runs.
    Running,
    /// Its gates run.
    Verifying,
    /// Stopped because the process stops; its result is wanted.
    Stopping,
    /// The same, before its command ran, as far as is known: it may turn out never to have started.
    Withdrawn(HandBack),
    /// Stopped; its result is not wanted, and it is not held any more.
    Killed,
}

#[derive(Debug)]
struct Attempt {
    step: Step,
    /// The last step the coordinator knows of.
    reported: Option<Phase>,
}

/// What follows when everything is stopped.
#[derive(Debug, Default)]
pub(super) struct Stopped {
    /// To be stopped by the runner.
    pub(super) running: Vec<AttemptKey>,
    /// Accepted, never handed to the runner, and not here any more.
    pub(super) never_started: Vec<AttemptKey>,
}

/// What becomes of an assignment.
#[derive(Debug)]
pub(super) enum Admission {
    /// It is run; older attempts of the same task are to be stopped first.
    Accepted { superseded: Vec<AttemptKey> },
    /// It is here already.
    Duplicate,
    /// It is not run.
    Refused(AssignRefusal),
}

#[derive(Debug)]
pub(super) struct Attempts {
    slots: usize,
    table: BTreeMap<AttemptKey, Attempt>,
    killed: usize,
    waiting: VecDeque<Box<Assignment>>,
    ended: EndedMemory,
    /// When a started attempt has lasted long enough to be reported; in order of time.
    progress_due: VecDeque<(u64, AttemptKey)>,
}

impl Attempts {
    pub(super) fn new(slots: usize) -> Self {
        Self {
            slots,
            table: BTreeMap::new(),
            killed: 0,
            waiting: VecDeque::new(),
            ended: EndedMemory::default(),
            progress_due: VecDeque::new(),
        }
    }

    /// Remembers an attempt of an earlier process of this node.
    pub(super) fn remember_ended(&mut self, attempt: AttemptKey) {
        self.ended.remember(attempt);
    }

    /// Decides about an assignment; an accepted one is handed out by [`Self::next_start`].
    pub(super) fn admit(&mut self, assignment: Assignment) -> Admission {
        let key = assignment.key();
        let is_repeated = self.table.get(&key);
        if let Some(attempt) =
            is_repeated.filter(|_| !planted(PlantedBug::DuplicateMessageRepeatsEffect))
        {
            return if attempt.step == Step::Killed {
                Admission::Refused(AssignRefusal::AlreadyEnded)
            } else {
                Admission::Duplicate
            };
        }
        match self.ended.fence_of(key.task) {
            Some(fence) if fence == key.fence => {
                return Admission::Refused(AssignRefusal::AlreadyEnded);
            }
            Some(fence) if fence > key.fence => return Admission::Refused(AssignRefusal::Stale),
            _ => {}
        }
        let mut superseded = Vec::new();
        for (other, attempt) in self.table.range(all_attempts_of(key.task)) {
            if other.fence > key.fence {
                return Admission::Refused(AssignRefusal::Stale);
            }
            if attempt.step != Step::Killed {
                superseded.push(*other);
            }
        }
        if self.live_count() - superseded.len() >= self.slots {
            return Admission::Refused(AssignRefusal::NoSlot);
        }
        for attempt in &superseded {
            self.kill(*attempt);
        }
        self.table.insert(
            key,
            Attempt {
                step: Step::Waiting,
                reported: None,
            },
        );
        self.waiting.push_back(Box::new(assignment));
        Admission::Accepted { superseded }
    }

    /// The next accepted attempt for which a slot is free.
    pub(super) fn next_start(&mut self) -> Option<Box<Assignment>> {
        let in_slots = self.table.len() - self.waiting.len();
        if in_slots >= self.slots {
            return None;
        }
        let assignment = self.waiting.pop_front()?;
        if let Some(attempt) = self.table.get_mut(&assignment.key()) {
            attempt.step = Step::Starting;
        }
        Some(assignment)
    }

    /// Whether the attempt is here, or was.
    pub(super) fn knows(&self, key: AttemptKey) -> bool {
        self.table.contains_key(&key) || self.ended.fence_of(key.task) == Some(key.fence)
    }

    /// Attempts that were not killed.
    pub(super) fn live_count(&self) -> usize {
        self.table.len() - self.killed
    }

    /// Whether an attempt goes on that nobody told to stop.
    pub(super) fn any_goes_on(&self) -> bool {
        let stops = |step| matches!(step, Step::Killed | Step::Stopping | Step::Withdrawn(_));
        self.table.values().any(|attempt| !stops(attempt.step))
    }

    /// Whether no attempt has a slot or waits for one.
    pub(super) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    pub(super) fn started(&mut self, now: u64, key: AttemptKey) {
        let Some(attempt) = self.table.get_mut(&key) else {
            return;
        };
        match attempt.step {
            Step::Starting => {
                attempt.step = Step::Running;
                self.progress_due
                    .push_back((now.saturating_add(PROGRESS_DELAY_MS), key));
            }
            Step::Withdrawn(_) => attempt.step = Step::Stopping,
            _ => {}
        }
    }

    pub(super) fn verifying(&mut self, now: u64, key: AttemptKey) {
        if let Some(attempt) = self.table.get_mut(&key)
            && attempt.step == Step::Running
        {
            attempt.step = Step::Verifying;
            if attempt.reported.is_some() {
                self.progress_due.push_front((now, key));
            }
        }
    }

    /// Takes an ended attempt out; returns its result if it is wanted.
    pub(super) fn finished(&mut self, report: AttemptReport) -> Option<AttemptReport> {
        let key = AttemptKey::from(&report);
        let attempt = self.table.remove(&key)?;
        self.ended.remember(key);
        match attempt.step {
            Step::Killed => {
                self.killed -= 1;
                None
            }
            // The runner says that a command begins before it does.
            Step::Withdrawn(reason) if report.outcome == Outcome::Interrupted => {
                Some(not_started(key, reason))
            }
            _ => Some(report),
        }
    }

    /// Marks an attempt as stopped and unwanted. True if it was neither before; one that only
    /// waited for a slot is forgotten, and false is returned as nothing has to be stopped.
    pub(super) fn kill(&mut self, key: AttemptKey) -> bool {
        let Some(attempt) = self.table.get_mut(&key) else {
            return false;
        };
        match attempt.step {
            Step::Killed => false,
            Step::Waiting => {
                self.waiting.retain(|assignment| assignment.key() != key);
                self.table.remove(&key);
                self.ended.remember(key);
                false
            }
            _ => {
                attempt.step = Step::Killed;
                self.killed += 1;
                true
            }
        }
    }

    /// Attempts that were accepted and not started.
    pub(super) fn waiting_count(&self) -> usize {
        self.waiting.len()
    }

    /// Forgets attempts that were not started, the youngest first, for others to run them; says
    /// which. They are not taken again under the same grant.
    pub(super) fn give_back(&mut self, wanted: &[AttemptKey], at_most: usize) -> Vec<AttemptKey> {
        let given_back: Vec<AttemptKey> = self
            .waiting
            .iter()
            .rev()
            .map(|assignment| assignment.key())
            .filter(|key| wanted.is_empty() || wanted.contains(key))
            .take(at_most)
            .collect();
        for key in &given_back {
            self.kill(*key);
        }
        given_back
    }

    /// Kills everything; says what has to be stopped.
    pub(super) fn kill_all(&mut self) -> Vec<AttemptKey> {
        let keys: Vec<AttemptKey> = self.table.keys().copied().collect();
        keys.into_iter().filter(|key| self.kill(*key)).collect()
    }

    /// Stops everything, for this reason.
    pub(super) fn stop_all(&mut self, reason: HandBack) -> Stopped {
        let never_started: Vec<AttemptKey> = self.waiting.iter().map(|it| it.key()).collect();
        for key in &never_started {
            self.kill(*key);
        }
        let mut running = Vec::new();
        for (key, attempt) in &mut self.table {
            attempt.step = match attempt.step {
                Step::Killed | Step::Stopping | Step::Withdrawn(_) => continue,
                Step::Starting => Step::Withdrawn(reason),
                Step::Waiting | Step::Running | Step::Verifying => Step::Stopping,
            };
            running.push(*key);
        }
        Stopped {
            running,
            never_started,
        }
    }

    /// What the node tells the coordinator that it holds. From then on the coordinator knows the
    /// steps of these attempts.
    pub(super) fn held(&mut self) -> Vec<HeldAttempt> {
        self.table
            .iter_mut()
            .filter_map(|(key, attempt)| {
                let phase = match attempt.step {
                    Step::Killed => return None,
                    Step::Waiting | Step::Starting | Step::Withdrawn(_) => HeldPhase::Accepted,
                    Step::Running | Step::Stopping => HeldPhase::Running,
                    Step::Verifying => HeldPhase::Verifying,
                };
                attempt.reported = match phase {
                    HeldPhase::Accepted => None,
                    HeldPhase::Running => Some(Phase::Running),
                    HeldPhase::Verifying => Some(Phase::Verifying),
                };
                Some(HeldAttempt {
                    task: key.task,
                    fence: key.fence,
                    phase,
                })
            })
            .collect()
    }

    /// When [`Self::take_progress`] may have something to report.
    pub(super) fn progress_timer(&self) -> Option<u64> {
        self.progress_due.front().map(|(due, _)| *due)
    }

    /// Steps of attempts that have lasted long enough. Only to be asked for in a live session:
    /// what is taken counts as known to the coordinator.
    pub(super) fn take_progress(&mut self, now: u64) -> Vec<Progress> {
        let mut items = Vec::new();
        while let Some((due, key)) = self.progress_due.front().copied() {
            if due > now {
                break;
            }
            self.progress_due.pop_front();
            let Some(attempt) = self.table.get_mut(&key) else {
                continue;
            };
            let lasts = matches!(attempt.step, Step::Running | Step::Verifying);
            if lasts && attempt.reported.is_none() {
                items.push(progress(key, Phase::Running));
                attempt.reported = Some(Phase::Running);
            }
            if attempt.step == Step::Verifying && attempt.reported == Some(Phase::Running) {
                items.push(progress(key, Phase::Verifying));
                attempt.reported = Some(Phase::Verifying);
            }
        }
        items
    }
}

/// The report of an attempt that was accepted and not started.
pub(super) fn not_started(key: AttemptKey, reason: HandBack) -> AttemptReport {
    AttemptReport::without_process(key.task, key.fence, Outcome::NotStarted { reason })
}

const fn progress(key: AttemptKey, phase: Phase) -> Progress {
    Progress {
        task: key.task,
        fence: key.fence,
        phase,
    }
}

const fn all_attempts_of(task: TaskId) -> std::ops::RangeInclusive<AttemptKey> {
    const LOWEST: Fence = Fence {
        epoch: 0,
        index: LogIndex(0),
    };
    const HIGHEST: Fence = Fence {
        epoch: u32::MAX,
        index: LogIndex(u64::MAX),
    };
    AttemptKey::new(task, LOWEST)..=AttemptKey::new(task, HIGHEST)
}
