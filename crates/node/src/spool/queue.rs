//! Orders from the event loop to the spool's thread.

use parking_lot::{Condvar, Mutex};
use skep_model::attempt::AttemptReport;
use skep_wire::payload::AttemptKey;
use std::sync::Arc;
use std::time::Duration;

/// What the thread has to do next, everything at once.
#[derive(Debug, Default)]
pub(crate) struct SpoolOrders {
    /// Number of the last batch in `reports`.
    pub(super) batch: Option<u64>,
    pub(super) reports: Vec<Arc<AttemptReport>>,
    pub(super) answered: Vec<AttemptKey>,
    pub(super) closed: bool,
}

impl SpoolOrders {
    fn is_empty(&self) -> bool {
        self.batch.is_none() && self.answered.is_empty() && !self.closed
    }
}

/// Collects orders; never makes the event loop wait. Bounded, because the brain has one batch
/// written at a time, and only what was written can be answered.
#[derive(Debug, Default)]
pub(crate) struct SpoolQueue {
    orders: Mutex<SpoolOrders>,
    arrived: Condvar,
}

impl SpoolQueue {
    pub(crate) fn write(&self, batch: u64, reports: Vec<Arc<AttemptReport>>) {
        let mut orders = self.orders.lock();
        orders.batch = Some(batch);
        orders.reports.extend(reports);
        self.arrived.notify_one();
    }

    pub(crate) fn forget(&self, keys: Vec<AttemptKey>) {
        self.orders.lock().answered.extend(keys);
        self.arrived.notify_one();
    }

    /// The thread ends after it has done what was ordered before.
    pub(crate) fn close(&self) {
        self.orders.lock().closed = true;
        self.arrived.notify_one();
    }

    /// Waits for orders and takes them all.
    pub(super) fn take(&self) -> SpoolOrders {
        let mut orders = self.orders.lock();
        while orders.is_empty() {
            self.arrived.wait(&mut orders);
        }
        let closed = orders.closed;
        let taken = std::mem::take(&mut *orders);
        orders.closed = closed;
        taken
    }

    /// Waits at most this long for the order to end; true when it came.
    pub(super) fn is_closed_within(&self, patience: Duration) -> bool {
        let mut orders = self.orders.lock();
        if !orders.closed {
            self.arrived.wait_for(&mut orders, patience);
        }
        orders.closed
    }
}
