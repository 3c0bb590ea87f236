//! The attempts that run here, each with its thread.

use crate::attempt_thread::{AttemptJob, Workshop, report_without_process};
use crate::inbox::Note;
use skep_model::attempt::{AttemptReport, Outcome};
use skep_model::work::CommandWork;
use skep_runner::CancelHandle;
use skep_wire::KillReason;
use skep_wire::payload::{Assignment, AttemptKey};
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

#[derive(Debug)]
struct Running {
    cancel: CancelHandle,
    thread: JoinHandle<()>,
    is_unwanted: bool,
}

/// Starts, stops and joins the threads of attempts.
#[derive(Debug)]
pub(crate) struct Attempts {
    workshop: Arc<Workshop>,
    running: HashMap<AttemptKey, Running>,
    /// All stand still, also those that are still to start.
    is_frozen: bool,
}

impl Attempts {
    pub(crate) fn new(workshop: Arc<Workshop>) -> Self {
        Self {
            workshop,
            running: HashMap::new(),
            is_frozen: false,
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.running.len()
    }

    /// Runs an attempt on a thread of its own. One that cannot be started ends at once.
    pub(crate) fn start(&mut self, assignment: Box<Assignment>, work: Box<CommandWork>) {
        let key = assignment.key();
        match self.spawn(assignment, work) {
            Ok(running) => {
                self.running.insert(key, running);
            }
            Err(error) => {
                tracing::error!(attempt = %key, %error, "an attempt cannot be started");
                let outcome = Outcome::Error {
                    code: "node_exhausted".to_owned(),
                    message: format!("the node cannot start a thread for the attempt: {error}"),
                };
                self.workshop
                    .inbox
                    .push(Note::Finished(report_without_process(key, outcome)));
            }
        }
    }

    fn spawn(&self, assignment: Box<Assignment>, work: Box<CommandWork>) -> io::Result<Running> {
        let cancel = CancelHandle::new()?;
        if self.is_frozen {
            cancel.freeze();
        }
        let name = format!("attempt-{}", assignment.fence);
        let job = AttemptJob {
            workshop: Arc::clone(&self.workshop),
            assignment,
            work,
            cancel: cancel.clone(),
        };
        let thread = std::thread::Builder::new()
            .name(name)
            .spawn(move || job.run())?;
        Ok(Running {
            cancel,
            thread,
            is_unwanted: false,
        })
    }

    /// Stops an attempt; nothing happens if it has ended.
    pub(crate) fn kill(&mut self, key: AttemptKey, reason: KillReason) {
        let Some(running) = self.running.get_mut(&key) else {
            return;
        };
        match reason {
            KillReason::Revoked => {
                running.is_unwanted = true;
                running.cancel.kill();
            }
            KillReason::SelfFenced => {
                running.is_unwanted = true;
                running.cancel.interrupt();
            }
            KillReason::Shutdown => running.cancel.interrupt(),
        }
    }

    /// Lets everything stand still, also what starts from now on.
    pub(crate) fn freeze(&mut self) {
        self.is_frozen = true;
        for running in self.running.values() {
            running.cancel.freeze();
        }
    }

    /// Lets everything go on.
    pub(crate) fn thaw(&mut self) {
        self.is_frozen = false;
        for running in self.running.values() {
            running.cancel.thaw();
        }
    }

    /// Whether everything was frozen and no process runs any more.
    pub(crate) fn stand_still(&self) -> bool {
        let mut all = self.running.values();
        self.is_frozen && all.all(|running| running.cancel.stands_still())
    }

    /// Whether everything is told to stand still.
    pub(crate) const fn is_frozen(&self) -> bool {
        self.is_frozen
    }

    /// Stops everything.
    pub(crate) fn interrupt_all(&self) {
        for running in self.running.values() {
            running.cancel.interrupt();
        }
    }

    /// Joins the thread of an attempt that said it is finished; that was its last act.
    pub(crate) fn finished(&mut self, report: &AttemptReport) {
        let key = AttemptKey::from(report);
        let mut is_unwanted = false;
        if let Some(running) = self.running.remove(&key) {
            is_unwanted = running.is_unwanted;
            if running.thread.join().is_err() {
                tracing::error!(attempt = %key, "the thread of an attempt panicked");
            }
        }
        if is_unwanted || report.artifacts.is_empty() {
            self.workshop.release(key);
        } else {
            self.workshop.staging.handed_in(key);
        }
    }
}
