//! Results from the end of an attempt to the coordinator's answer: first to disk, then sent.

use crate::batch_frame::{BatchFrame, Fit};
use crate::bounds::{RESULT_RETRY_MS, SPOOLED_REPORTS_MAX};
use crate::frame::Frame;
use crate::payload::{AttemptKey, ResultAnswers, ResultVerdict};
use skep_model::attempt::{AttemptReport, Outcome};
use skep_model::limits::ITEMS_PER_FRAME_MAX;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Where a result stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Not on disk yet.
    Unwritten,
    /// On disk, or the disk is full; waits to be sent.
    Unsent,
    /// Sent, waits for an answer.
    InFlight,
    /// Was refused, waits to be sent again.
    Refused,
}

#[derive(Debug)]
struct Entry {
    report: Arc<AttemptReport>,
    stage: Stage,
}

#[derive(Debug, Default)]
pub(super) struct Spool {
    entries: BTreeMap<AttemptKey, Entry>,
    unwritten: VecDeque<AttemptKey>,
    /// The batch that is being written.
    writing: Option<(u64, Vec<AttemptKey>)>,
    /// The disk is full: that batch waits, and results are handed in from memory.
    stalled: bool,
    last_batch: u64,
    unsent: VecDeque<AttemptKey>,
    refused: Vec<AttemptKey>,
    retry_at: Option<u64>,
}

impl Spool {
    /// With results that an earlier process left on disk.
    pub(super) fn recovered(reports: Vec<AttemptReport>) -> Self {
        let entries: BTreeMap<AttemptKey, Entry> = reports
            .into_iter()
            .map(|report| {
                let entry = Entry {
                    report: Arc::new(report),
                    stage: Stage::Unsent,
                };
                (AttemptKey::from(&*entry.report), entry)
            })
            .collect();
        Self {
            unsent: entries.keys().copied().collect(),
            entries,
            ..Self::default()
        }
    }

    pub(super) fn contains(&self, attempt: AttemptKey) -> bool {
        self.entries.contains_key(&attempt)
    }

    pub(super) fn is_full(&self) -> bool {
        self.entries.len() >= SPOOLED_REPORTS_MAX
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether everything is on disk, or answered.
    pub(super) fn is_written(&self) -> bool {
        self.is_empty() || (self.writing.is_none() && self.unwritten.is_empty())
    }

    /// All attempts with a result here.
    pub(super) fn keys(&self) -> impl Iterator<Item = AttemptKey> + '_ {
        self.entries.keys().copied()
    }

    pub(super) fn add(&mut self, report: AttemptReport) {
        let key = AttemptKey::from(&report);
        let entry = Entry {
            report: Arc::new(report),
            stage: Stage::Unwritten,
        };
        self.entries.insert(key, entry);
        self.unwritten.push_back(key);
        if self.stalled {
            self.enqueue(key);
        }
    }

    /// The next batch for the disk, if none is being written.
    pub(super) fn next_write(&mut self) -> Option<(u64, Vec<Arc<AttemptReport>>)> {
        if self.writing.is_some() || self.unwritten.is_empty() {
            return None;
        }
        let count = self.unwritten.len().min(ITEMS_PER_FRAME_MAX);
        let keys: Vec<AttemptKey> = self.unwritten.drain(..count).collect();
        let reports = keys
            .iter()
            .filter_map(|key| Some(Arc::clone(&self.entries.get(key)?.report)))
            .collect();
        self.last_batch += 1;
        self.writing = Some((self.last_batch, keys));
        Some((self.last_batch, reports))
    }

    /// Everything that no batch has carried yet, as one last batch.
    pub(super) fn last_write(&mut self) -> Option<(u64, Vec<Arc<AttemptReport>>)> {
        let reports: Vec<_> = std::mem::take(&mut self.unwritten)
            .iter()
            .filter_map(|key| Some(Arc::clone(&self.entries.get(key)?.report)))
            .collect();
        self.last_batch += 1;
        (!reports.is_empty()).then_some((self.last_batch, reports))
    }

    /// The batch and all before it are on disk.
    pub(super) fn written(&mut self, batch: u64) {
        let Some((_, keys)) = self.writing.take_if(|(writing, _)| *writing <= batch) else {
            return;
        };
        self.stalled = false;
        // What was handed in from memory may be answered by now, or on its way.
        self.unwritten.retain(|key| self.entries.contains_key(key));
        for key in keys {
            if self.stage_of(key) == Some(Stage::Unwritten) {
                self.enqueue(key);
            }
        }
    }

    /// The disk is full. What cannot be written is handed in from memory: an answered result needs
    /// no disk, and one that is lost with the process would have been lost all the same.
    pub(super) fn stalled(&mut self, batch: u64) {
        let Some((_, keys)) = self
            .writing
            .as_ref()
            .filter(|(writing, _)| *writing == batch)
        else {
            return;
        };
        self.stalled = true;
        for key in [keys.as_slice(), self.unwritten.make_contiguous()].concat() {
            if self.stage_of(key) == Some(Stage::Unwritten) {
                self.enqueue(key);
            }
        }
    }

    fn stage_of(&self, key: AttemptKey) -> Option<Stage> {
        Some(self.entries.get(&key)?.stage)
    }

    /// Puts a result that may be sent into the queue, unless it is there or on its way.
    fn enqueue(&mut self, key: AttemptKey) {
        if let Some(entry) = self.entries.get_mut(&key)
            && entry.stage != Stage::Unsent
        {
            entry.stage = Stage::Unsent;
            self.unsent.push_back(key);
        }
    }

    /// A new session begins: everything on disk is sent again.
    pub(super) fn send_all_again(&mut self) {
        self.refused.clear();
        self.retry_at = None;
        let on_disk: Vec<AttemptKey> = self
            .entries
            .iter()
            .filter(|(_, entry)| matches!(entry.stage, Stage::InFlight | Stage::Refused))
            .map(|(key, _)| *key)
            .collect();
        for key in on_disk {
            self.enqueue(key);
        }
    }

    /// The coordinator asks for one result: it is sent unless it is on its way.
    pub(super) fn resend(&mut self, key: AttemptKey) {
        if self
            .entries
            .get(&key)
            .is_some_and(|entry| entry.stage == Stage::Refused)
        {
            self.refused.retain(|refused| *refused != key);
            self.enqueue(key);
        }
    }

    /// Forgets a result that is on disk. False if there is none, or if it is not written yet:
    /// then it is sent in its turn, and the answer is the same.
    pub(super) fn discard(&mut self, key: AttemptKey) -> bool {
        let on_disk = self
            .entries
            .get(&key)
            .is_some_and(|entry| entry.stage != Stage::Unwritten);
        if on_disk {
            self.entries.remove(&key);
        }
        on_disk
    }

    /// The next request with results, what it takes of the credit, and whose they are.
    pub(super) fn next_request(
        &mut self,
        mut frame: BatchFrame,
    ) -> Option<(Frame, u64, Vec<AttemptKey>)> {
        let mut sent = Vec::new();
        while let Some(key) = self.unsent.front() {
            let key = *key;
            let Some(entry) = self.entries.get_mut(&key) else {
                self.unsent.pop_front();
                continue;
            };
            let fit = match frame.push(&entry.report) {
                Fit::TooLarge => frame.push(&stripped(&entry.report)),
                fit => fit,
            };
            if fit != Fit::Added {
                break;
            }
            entry.stage = Stage::InFlight;
            sent.push(key);
            self.unsent.pop_front();
        }
        let (frame, cost) = frame.finish()?;
        Some((frame, cost, sent))
    }

    /// Whether a request would carry anything.
    pub(super) fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// A request was answered; says what can be deleted. What was not answered for is sent again
    /// later.
    pub(super) fn answered(
        &mut self,
        now: u64,
        asked: &[AttemptKey],
        answers: &ResultAnswers,
    ) -> Vec<AttemptKey> {
        let mut done = Vec::new();
        for item in &answers.items {
            let settled = matches!(item.answer, ResultVerdict::Committed | ResultVerdict::Stale);
            let was_sent = self
                .entries
                .get(&item.attempt())
                .is_some_and(|entry| entry.stage == Stage::InFlight);
            if settled && was_sent && self.discard(item.attempt()) {
                done.push(item.attempt());
            }
        }
        self.refuse(now, asked);
        done
    }

    /// Sends those of `asked` that are still here again after a while.
    pub(super) fn refuse(&mut self, now: u64, asked: &[AttemptKey]) {
        for key in asked {
            if let Some(entry) = self.entries.get_mut(key)
                && entry.stage == Stage::InFlight
            {
                entry.stage = Stage::Refused;
                self.refused.push(*key);
                self.retry_at
                    .get_or_insert(now.saturating_add(RESULT_RETRY_MS));
            }
        }
    }

    pub(super) const fn retry_timer(&self) -> Option<u64> {
        self.retry_at
    }

    pub(super) fn retry_refused(&mut self, now: u64) {
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
            for key in std::mem::take(&mut self.refused) {
                self.enqueue(key);
            }
        }
    }
}

/// A result whose evidence fits into no frame, as an error that says so. The whole of it is in
/// the spool until the answer.
fn stripped(report: &AttemptReport) -> AttemptReport {
    AttemptReport {
        outcome: Outcome::Error {
            code: "report_too_large".to_owned(),
            message: "the list of artifacts and gates does not fit into FRAME_BYTES_MAX: \
                      hand in fewer files"
                .to_owned(),
        },
        artifacts: Vec::new(),
        gates: Vec::new(),
        account: None,
        ..report.clone()
    }
}
