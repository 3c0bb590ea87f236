//! The swarm as the Redis mirror asks for it.

use crate::context::Services;
use crate::memory::mirrored as knowledge;
use crate::sessions::mirrored as sessions;
use skep_mirror::{Changed, Fields, MirrorSource, Overview, TopicPage};
use skep_model::event::{EntryEvents, Event};
use skep_model::memory::Namespace;
use std::sync::Arc;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

/// Follows the events of a coordinator.
#[derive(Debug)]
pub struct MirroredSwarm {
    services: Arc<Services>,
    entries: Receiver<Arc<EntryEvents>>,
}

impl MirroredSwarm {
    /// From now on.
    pub fn follow(services: Arc<Services>) -> Self {
        let entries = services.hive.subscribe();
        Self { services, entries }
    }
}

impl MirrorSource for MirroredSwarm {
    async fn changed(&mut self) -> Option<Changed> {
        let mut changed = match self.entries.recv().await {
            Ok(entry) => topics_of(&entry),
            Err(RecvError::Lagged(_)) => everything(),
            Err(RecvError::Closed) => return None,
        };
        loop {
            let more = match self.entries.try_recv() {
                Ok(entry) => topics_of(&entry),
                Err(TryRecvError::Lagged(_)) => everything(),
                // What ended is said with the next call.
                Err(TryRecvError::Empty | TryRecvError::Closed) => return Some(changed),
            };
            changed.all_topics |= more.all_topics;
            changed.topics.extend(more.topics);
        }
    }

    fn overview(&self) -> Overview {
        sessions::overview(&self.services)
    }

    fn topics(&self, after: Option<&str>) -> TopicPage {
        knowledge::topics(&self.services, after)
    }

    async fn topic(&self, name: &str) -> Result<Option<Fields>, String> {
        let found = knowledge::topic(&self.services, name).await;
        found.map_err(|error| error.to_string())
    }
}

fn everything() -> Changed {
    Changed {
        all_topics: true,
        ..Changed::default()
    }
}

fn topics_of(entry: &EntryEvents) -> Changed {
    let mut changed = Changed::default();
    for event in &entry.events {
        match event {
            Event::MemoryWritten { namespace, key, .. }
            | Event::MemoryTouched { namespace, key, .. }
            | Event::MemoryDeleted { namespace, key, .. }
            | Event::MemoryExpired { namespace, key, .. }
            | Event::MemoryConflictSettled { namespace, key, .. }
                if namespace.as_str() == Namespace::KNOWLEDGE =>
            {
                changed.topics.insert(key.to_string());
            }
            Event::NamespaceChanged { namespace } if namespace.as_str() == Namespace::KNOWLEDGE => {
                changed.all_topics = true;
            }
            _ => {}
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_model::attempt::LogIndex;
    use skep_model::command::Actor;
    use skep_model::memory::MemoryVersion;
    use skep_model::time::UnixMillis;

    fn deleted(namespace: &str) -> Event {
        Event::MemoryDeleted {
            namespace: namespace.parse().unwrap(),
            key: "a/b".parse().unwrap(),
            version: MemoryVersion(2),
            replaced: Some(MemoryVersion(1)),
        }
    }

    #[test]
    fn only_knowledge_makes_topics() {
        let entry = |events| EntryEvents {
            index: LogIndex(1),
            at: UnixMillis(1),
            actor: Actor::Coordinator,
            events,
        };
        let changed = topics_of(&entry(vec![deleted("swarm"), deleted("knowledge")]));
        assert_eq!(changed.topics.into_iter().collect::<Vec<_>>(), ["a/b"]);
        assert!(!changed.all_topics);
        let namespace: Namespace = "knowledge".parse().unwrap();
        let changed = topics_of(&entry(vec![Event::NamespaceChanged { namespace }]));
        assert!(changed.all_topics);
    }
}
