//! Who waits for changes at the seat of an attached agent: its connection, if it has one.

use parking_lot::Mutex;
use skep_model::ids::NodeId;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;

/// One watcher a seat; clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct SeatWatches(Arc<Mutex<Watches>>);

#[derive(Debug, Default)]
struct Watches {
    next: u64,
    of_seats: BTreeMap<NodeId, (u64, watch::Sender<()>)>,
}

impl SeatWatches {
    /// Watches the seat, in the place of whoever did before.
    pub(crate) fn watch(&self, seat: NodeId) -> SeatWatch {
        let (sender, changes) = watch::channel(());
        let mut watches = self.0.lock();
        watches.next += 1;
        let number = watches.next;
        watches.of_seats.insert(seat, (number, sender));
        SeatWatch {
            seat,
            number,
            changes,
            watches: self.clone(),
        }
    }

    /// Something about the seat changed.
    pub(crate) fn changed(&self, seat: NodeId) {
        if let Some((_, sender)) = self.0.lock().of_seats.get(&seat) {
            sender.send_replace(());
        }
    }

    fn end(&self, seat: NodeId, number: u64) {
        let mut watches = self.0.lock();
        let known = watches.of_seats.get(&seat);
        if known.is_some_and(|(known, _)| *known == number) {
            watches.of_seats.remove(&seat);
        }
    }
}

/// A watch over the seat of an attached agent. A newer one takes its place; dropping it ends it.
#[derive(Debug)]
pub struct SeatWatch {
    seat: NodeId,
    number: u64,
    changes: watch::Receiver<()>,
    watches: SeatWatches,
}

impl SeatWatch {
    /// Waits until something changed since the last call. False when another watch took the place
    /// of this one. Dropping the future loses nothing.
    pub async fn changed(&mut self) -> bool {
        self.changes.changed().await.is_ok()
    }
}

impl Drop for SeatWatch {
    fn drop(&mut self) {
        self.watches.end(self.seat, self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_now::ready;

    const SEAT: NodeId = NodeId::from_u128(1);

    /// Polls a future once.
    mod futures_now {
        use std::pin::pin;
        use std::task::{Context, Poll, Waker};

        pub(super) fn ready<F: Future>(future: F) -> Option<F::Output> {
            match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(output) => Some(output),
                Poll::Pending => None,
            }
        }
    }

    #[test]
    fn a_change_is_seen_once_and_not_by_those_of_other_seats() {
        let watches = SeatWatches::default();
        let mut watch = watches.watch(SEAT);
        let mut other = watches.watch(NodeId::from_u128(2));
        assert_eq!(ready(watch.changed()), None);
        watches.changed(SEAT);
        watches.changed(SEAT);
        assert_eq!(ready(watch.changed()), Some(true));
        assert_eq!(ready(watch.changed()), None);
        assert_eq!(ready(other.changed()), None);
    }

    #[test]
    fn a_newer_watch_takes_the_place_and_the_older_one_does_not_end_it() {
        let watches = SeatWatches::default();
        let mut older = watches.watch(SEAT);
        let mut newer = watches.watch(SEAT);
        assert_eq!(ready(older.changed()), Some(false));
        drop(older);
        watches.changed(SEAT);
        assert_eq!(ready(newer.changed()), Some(true));
        drop(newer);
        assert!(watches.0.lock().of_seats.is_empty());
    }
}
