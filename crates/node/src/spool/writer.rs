//! The spool's thread: one write and one sync for all that came in meanwhile.

use super::queue::{SpoolOrders, SpoolQueue};
use super::spool_file::SpoolFile;
use crate::DISK_FULL_RETRY_MS;
use crate::error::{NodeError, SpoolError, chain};
use crate::inbox::{Inbox, Note};
use skep_model::attempt::AttemptReport;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

const THREAD_NAME: &str = "skep-spool";

/// Owns the file on its own thread.
#[derive(Debug)]
pub(crate) struct SpoolWriter {
    file: SpoolFile,
    queue: Arc<SpoolQueue>,
    inbox: Arc<Inbox>,
}

impl SpoolWriter {
    pub(crate) fn start(
        file: SpoolFile,
        queue: Arc<SpoolQueue>,
        inbox: Arc<Inbox>,
    ) -> Result<JoinHandle<()>, NodeError> {
        let mut writer = Self { file, queue, inbox };
        std::thread::Builder::new()
            .name(THREAD_NAME.to_owned())
            .spawn(move || writer.run())
            .map_err(|source| NodeError::Thread {
                name: THREAD_NAME,
                source,
            })
    }

    fn run(&mut self) {
        loop {
            let orders = self.queue.take();
            if let Err(error) = self.perform(&orders) {
                self.inbox.push(Note::SpoolBroken(chain(&error)));
                return;
            }
            if orders.closed {
                return;
            }
        }
    }

    fn perform(&mut self, orders: &SpoolOrders) -> Result<(), SpoolError> {
        if let Some(batch) = orders.batch {
            if !self.append_patiently(batch, &orders.reports)? {
                return Ok(());
            }
            self.file.sync()?;
            self.inbox.push(Note::Spooled(batch));
        }
        if orders.answered.is_empty() {
            return Ok(());
        }
        match self.file.forget(&orders.answered) {
            // They will be sent once more after a restart; that does no harm.
            Err(error) if error.is_disk_full() => Ok(()),
            done => done,
        }
    }

    /// Writes, and waits while the disk is full. False when the node ended meanwhile.
    fn append_patiently(
        &mut self,
        batch: u64,
        reports: &[Arc<AttemptReport>],
    ) -> Result<bool, SpoolError> {
        let mut was_full = false;
        loop {
            match self.file.append(reports) {
                Err(error) if error.is_disk_full() => {
                    if !was_full {
                        tracing::error!(
                            results = reports.len(),
                            "the node's disk is full: results are kept and handed in from memory \
                             until there is space again"
                        );
                        self.inbox.push(Note::SpoolStalled(batch));
                    }
                    was_full = true;
                }
                done => {
                    if was_full && done.is_ok() {
                        tracing::info!("the node's disk has space again");
                    }
                    return done.map(|()| true);
                }
            }
            if self
                .queue
                .is_closed_within(Duration::from_millis(DISK_FULL_RETRY_MS))
            {
                tracing::error!(
                    results = reports.len(),
                    "the node ends while its disk is full: of these results, those that the \
                     coordinator has not answered are lost"
                );
                return Ok(false);
            }
        }
    }
}
