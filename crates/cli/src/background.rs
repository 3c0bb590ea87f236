//! What a coordinator does beside serving: tasks with names, which its owner stops and waits for.

use crate::{memory_peers, memory_upkeep};
use skep_mirror::Mirror;
use skep_operations::{MirroredSwarm, Services};
use skep_tiers::SharedTierWriter;
use std::sync::Arc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Tasks that run until the token they were given is cancelled.
#[derive(Debug, Default)]
pub(crate) struct Background {
    tasks: Vec<(&'static str, JoinHandle<()>)>,
}

impl Background {
    /// Starts all that this coordinator needs.
    pub(crate) fn start(
        services: &Arc<Services>,
        tier_writer: Option<SharedTierWriter>,
        mirror: Option<Mirror>,
        stop: &CancellationToken,
    ) -> Self {
        let mut background = Self::default();
        if let Some(writer) = tier_writer {
            background.spawn("fill tier 2 of shared memory", writer.run(stop.clone()));
        }
        if let Some(mirror) = mirror {
            let swarm = MirroredSwarm::follow(Arc::clone(services));
            background.spawn("Redis mirror", mirror.run(swarm, stop.clone()));
        }
        let upkeep = memory_upkeep::run(Arc::clone(services), stop.clone());
        background.spawn("upkeep of memory", upkeep);
        for peer in services.shared_memory.peers.iter() {
            let Some(every) = peer.every else { continue };
            let (services, stop) = (Arc::clone(services), stop.clone());
            let rounds = memory_peers::run(services, peer.name.clone(), every, stop);
            background.spawn("exchange of memory with a peer", rounds);
        }
        background
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the handle is kept under its name and awaited by `Background::ended`"
    )]
    fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.push((name, tokio::spawn(task)));
    }

    /// Waits for all of them; they were told to stop before.
    pub(crate) async fn ended(self) {
        for (name, task) in self.tasks {
            if let Err(error) = task.await {
                tracing::warn!(%error, task = name, "a background task failed");
            }
        }
    }
}
