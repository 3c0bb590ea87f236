//! All played nodes together: started one by one, cut at once, counted.

use crate::connection::Coordinator;
use crate::played_node::PlayedNode;
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Pause between the starts of two nodes. Machines do not start in the same millisecond; the
/// storm after [`Fleet::cut`] has no such pause.
const START_PAUSE: Duration = Duration::from_micros(200);

/// What is played.
#[derive(Debug, Clone)]
pub struct FleetOptions {
    /// Where.
    pub coordinator: Coordinator,
    /// How many nodes.
    pub nodes: usize,
    /// Attempts that each of them takes at a time.
    pub slots: u32,
}

/// A number that only rises.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What happened to the nodes, all together.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Nodes with a live session now.
    pub(crate) live: watch::Sender<usize>,
    /// Cuts, each counted once for every node that noticed.
    pub(crate) cuts_noticed: watch::Sender<usize>,
    /// Connections that broke, or could not be opened.
    pub(crate) lost: Count,
    /// Connections that were answered with an HTTP status.
    pub(crate) refused: Count,
    /// Attempts that were started.
    pub(crate) attempts: Count,
}

/// What a fleet says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Told {
    /// Nodes with a live session.
    pub live: usize,
    /// Connections that broke or could not be opened, without those that the fleet cut itself.
    pub lost: u64,
    /// Connections that were answered with an HTTP status instead of being opened.
    pub refused: u64,
    /// Attempts that were started.
    pub attempts: u64,
}

/// Played nodes. They stop when this is dropped.
#[derive(Debug)]
pub struct Fleet {
    nodes: usize,
    counts: Arc<Counts>,
    cuts: watch::Sender<u64>,
    playing: TaskTracker,
    stop: CancellationToken,
}

impl Fleet {
    /// Starts the nodes, one shortly after the other; returns when all are started, which is
    /// before all are live.
    pub async fn start(options: FleetOptions) -> Self {
        let fleet = Self {
            nodes: options.nodes,
            counts: Arc::default(),
            cuts: watch::channel(0).0,
            playing: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        let start = Instant::now();
        for number in 1..=options.nodes {
            let node = PlayedNode::new(
                number,
                options.slots,
                options.coordinator.clone(),
                Arc::clone(&fleet.counts),
            );
            let playing = node.play(fleet.cuts.subscribe(), fleet.stop.clone());
            fleet.playing.spawn(playing);
            let due = START_PAUSE * u32::try_from(number).unwrap_or(u32::MAX);
            tokio::time::sleep_until((start + due).into()).await;
        }
        fleet
    }

    /// Waits until all nodes have a live session at the same time.
    pub async fn all_live(&self) {
        let mut live = self.counts.live.subscribe();
        // The sender lives in this value.
        drop(live.wait_for(|live| *live >= self.nodes).await);
    }

    /// Breaks all connections at once and waits until every node has noticed. Some may be back by
    /// then.
    pub async fn cut(&self) {
        let mut noticed = self.counts.cuts_noticed.subscribe();
        let goal = *noticed.borrow() + self.nodes;
        self.cuts.send_modify(|cuts| *cuts += 1);
        // The sender lives in this value.
        drop(noticed.wait_for(|noticed| *noticed >= goal).await);
    }

    /// What happened so far.
    pub fn told(&self) -> Told {
        Told {
            live: *self.counts.live.borrow(),
            lost: self.counts.lost.get(),
            refused: self.counts.refused.get(),
            attempts: self.counts.attempts.get(),
        }
    }

    /// Ends all nodes without a goodbye.
    pub async fn stop(self) {
        self.stop.cancel();
        self.playing.close();
        self.playing.wait().await;
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
