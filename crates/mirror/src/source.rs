//! What a mirror needs of the swarm, in its own words.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;

/// Fields of a hash and their texts. A value that there is not has no field.
pub type Fields = BTreeMap<&'static str, String>;

/// What changed since it was asked last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changed {
    /// Topics that were written, removed, or ended.
    pub topics: BTreeSet<String>,
    /// Whether more may have changed than `topics` says.
    pub all_topics: bool,
}

impl Changed {
    /// Takes in what else changed. More than `topics_max` topics are all of them.
    pub(crate) fn add(&mut self, other: Self, topics_max: usize) {
        self.all_topics |= other.all_topics;
        if !self.all_topics {
            self.topics.extend(other.topics);
            self.all_topics = self.topics.len() > topics_max;
        }
        if self.all_topics {
            self.topics.clear();
        }
    }
}

/// What is small enough to be looked at as a whole each time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overview {
    /// `sessions:{id}`, by id.
    pub sessions: BTreeMap<String, Fields>,
    /// `work_queue`: documents, the most urgent first.
    pub work_queue: Vec<String>,
    /// `metrics:global`.
    pub metrics: Fields,
}

/// Some topics, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TopicPage {
    /// Their names.
    pub names: Vec<String>,
    /// The name to go on after; none at the end. A page without names may have one.
    pub next: Option<String>,
}

/// A swarm that is shown.
pub trait MirrorSource: Send {
    /// Waits until something changed, and says what. It MUST name a topic only after a call of
    /// [`Self::topic`] gives the change. Dropping the future MUST lose nothing. `None` when nothing
    /// will change any more.
    fn changed(&mut self) -> impl Future<Output = Option<Changed>> + Send;

    /// Sessions, queue and counts as they are now.
    fn overview(&self) -> Overview;

    /// The next topics behind this one.
    fn topics(&self, after: Option<&str>) -> TopicPage;

    /// A topic as it is now: `knowledge:{topic}`. `None` when it is not there, or not to be shown.
    ///
    /// # Errors
    /// Why it could not be read, as one sentence without a full stop.
    fn topic(&self, name: &str) -> impl Future<Output = Result<Option<Fields>, String>> + Send;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_topics_are_all_of_them() {
        let one = |name: &str| Changed {
            topics: BTreeSet::from([name.to_owned()]),
            all_topics: false,
        };
        let mut changed = Changed::default();
        for name in ["a", "b", "a"] {
            changed.add(one(name), 2);
        }
        assert_eq!((changed.topics.len(), changed.all_topics), (2, false));
        for name in ["c", "d"] {
            changed.add(one(name), 2);
            assert_eq!((changed.topics.len(), changed.all_topics), (0, true));
        }
    }
}
