//! How often operations and tools were called: counted in the process, kept in shared memory about
//! once a minute, and summed over all processes that ever counted.

use super::NAMESPACE;
use crate::context::{Context, Services};
use crate::error::OperationError;
use crate::memory::documents::{self, Document, Found};
use crate::rfc3339::Timestamp;
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use skep_model::memory::MemoryVersion;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Keys of counts begin so; behind it comes when the process started, or [`EARLIER`].
const PREFIX: &str = "calls/";
/// The entry into which counts of ended processes are summed.
const EARLIER: &str = "calls/earlier";
/// Names that one component may have: more than there are operations and tools.
const NAMES_MAX: usize = 1_000;
/// Under this, calls are counted whose names are too many.
const OTHER: &str = "other";
/// Processes whose counts are summed at a time.
const PROCESSES_MAX: usize = 1_000;

/// What is called.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Component {
    /// Operations, from whatever surface. A tool may run several.
    Operations,
    /// Tools of the Model Context Protocol.
    Tools,
}

/// Calls under one name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Count {
    calls: u64,
    failed: u64,
}

/// Counts under one name while the process runs.
#[derive(Debug, Default)]
struct Running {
    calls: AtomicU64,
    failed: AtomicU64,
}

type Names = BTreeMap<String, Running>;

/// Counts the calls of this process.
#[derive(Debug, Default)]
pub struct CallCounters {
    counts: RwLock<BTreeMap<Component, Names>>,
    /// All calls, and all at the time of the last keeping.
    all: AtomicU64,
    kept: AtomicU64,
}

impl CallCounters {
    /// Counts a call.
    pub fn count(&self, component: Component, name: &str, failed: bool) {
        let add = |running: &Running| {
            running.calls.fetch_add(1, Ordering::Relaxed);
            running
                .failed
                .fetch_add(u64::from(failed), Ordering::Relaxed);
        };
        self.all.fetch_add(1, Ordering::Relaxed);
        let known = self.counts.read();
        if let Some(running) = known.get(&component).and_then(|names| names.get(name)) {
            add(running);
            return;
        }
        drop(known);
        let mut counts = self.counts.write();
        let names = counts.entry(component).or_default();
        let name = if names.len() < NAMES_MAX { name } else { OTHER };
        add(names.entry(name.to_owned()).or_default());
    }

    fn now(&self) -> Counts {
        let running = self.counts.read();
        let components = running.iter().map(|(component, names)| {
            let names = names.iter().map(|(name, running)| {
                let count = Count {
                    calls: running.calls.load(Ordering::Relaxed),
                    failed: running.failed.load(Ordering::Relaxed),
                };
                (name.clone(), count)
            });
            (*component, names.collect())
        });
        components.collect()
    }
}

type Counts = BTreeMap<Component, BTreeMap<String, Count>>;

/// Counts as they are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    /// Since when they were counted.
    since: String,
    counts: Counts,
}

impl Kept {
    fn add(&mut self, other: &Self) {
        // Texts of times sort as the times do.
        self.since = self.since.clone().min(other.since.clone());
        for (component, names) in &other.counts {
            let own = self.counts.entry(*component).or_default();
            for (name, count) in names {
                let sum = own.entry(name.clone()).or_default();
                sum.calls = sum.calls.saturating_add(count.calls);
                sum.failed = sum.failed.saturating_add(count.failed);
            }
        }
    }
}

fn own(services: &Services) -> Kept {
    Kept {
        since: Timestamp(services.server.started_at).to_string(),
        counts: services.calls.now(),
    }
}

fn own_key(services: &Services) -> String {
    format!("{PREFIX}{}", Timestamp(services.server.started_at))
}

/// Keeps the counts of this process, in place of those that it kept before. Nothing is written when
/// nothing was called since.
///
/// # Errors
/// Those of a write to shared memory; the next time all of them are written.
pub async fn keep_calls(services: &Arc<Services>) -> Result<(), OperationError> {
    let all = services.calls.all.load(Ordering::Relaxed);
    if all == services.calls.kept.load(Ordering::Relaxed) {
        return Ok(());
    }
    let (kept, key) = (own(services), own_key(services));
    documents::put_own(services, document(&key, &kept), None, &[]).await?;
    services.calls.kept.store(all, Ordering::Relaxed);
    Ok(())
}

const fn document<'a>(key: &'a str, kept: &'a Kept) -> Document<'a, Kept> {
    Document {
        namespace: NAMESPACE,
        key,
        content: kept,
        ttl_s: None,
        why: "how often operations and tools were called",
    }
}

/// Sums what ended processes kept into one entry, as one step.
///
/// # Errors
/// Those of shared memory; nothing is changed then.
pub async fn sum_up_calls(services: &Arc<Services>) -> Result<(), OperationError> {
    let (found, _) = kept_by_others(services).await?;
    let (before, ended): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|found| found.key == EARLIER);
    let Some(mut sum) = ended.first().map(|first| Kept {
        since: first.content.since.clone(),
        counts: Counts::new(),
    }) else {
        return Ok(());
    };
    for found in before.iter().chain(&ended) {
        sum.add(&found.content);
    }
    let gone: Vec<(String, MemoryVersion)> = ended
        .iter()
        .map(|found| (found.key.clone(), found.version))
        .collect();
    let version = before
        .first()
        .map_or(MemoryVersion(0), |found| found.version);
    documents::put_own(services, document(EARLIER, &sum), Some(version), &gone).await
}

async fn kept_by_others(
    services: &Arc<Services>,
) -> Result<(Vec<Found<Kept>>, bool), OperationError> {
    let own = own_key(services);
    let (mut found, complete) =
        documents::own(services, NAMESPACE, PREFIX, None, PROCESSES_MAX).await?;
    found.retain(|found: &Found<Kept>| found.key != own);
    Ok((found, complete))
}

/// Which calls.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct CallsQuery {
    /// Only this component.
    component: Option<Component>,
}

/// How often something was called.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(super) struct Calls {
    /// Since when calls are counted; those of a process that was killed may lack its last minute.
    since: String,
    /// Whether all counts that are kept are in the sums.
    complete: bool,
    /// The components.
    components: Vec<ComponentCalls>,
}

/// Calls of one component.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct ComponentCalls {
    /// Which.
    component: Component,
    /// Calls in all.
    calls: u64,
    /// Of these, refused or failed ones.
    failed: u64,
    /// By name, the most called first.
    names: Vec<NameCalls>,
}

/// Calls under one name.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct NameCalls {
    /// The operation or tool.
    name: String,
    /// Calls.
    calls: u64,
    /// Of these, refused or failed ones.
    failed: u64,
    /// Of these, calls of this process.
    since_start: u64,
}

pub(super) async fn calls(context: Context, query: CallsQuery) -> Result<Calls, OperationError> {
    documents::check_open(&context, NAMESPACE)?;
    let services = &context.services;
    let (found, complete) = kept_by_others(services).await?;
    let own = own(services);
    let mut sum = own.clone();
    for found in &found {
        sum.add(&found.content);
    }
    let wanted = |component: &Component| query.component.is_none_or(|only| only == *component);
    let components = sum.counts.into_iter();
    Ok(Calls {
        since: sum.since,
        complete,
        components: components
            .filter(|(component, _)| wanted(component))
            .map(|(component, names)| of_component(component, names, &own.counts))
            .collect(),
    })
}

fn of_component(
    component: Component,
    names: BTreeMap<String, Count>,
    own: &Counts,
) -> ComponentCalls {
    let now = |name: &str| {
        let names = own.get(&component)?;
        names.get(name).map(|count| count.calls)
    };
    let mut names: Vec<_> = names
        .into_iter()
        .map(|(name, count)| NameCalls {
            since_start: now(&name).unwrap_or(0),
            name,
            calls: count.calls,
            failed: count.failed,
        })
        .collect();
    names.sort_by_key(|name| std::cmp::Reverse(name.calls));
    ComponentCalls {
        component,
        calls: names.iter().map(|name| name.calls).sum(),
        failed: names.iter().map(|name| name.failed).sum(),
        names,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_name_and_there_is_an_end_to_names() {
        let counters = CallCounters::default();
        counters.count(Component::Tools, "a", false);
        counters.count(Component::Tools, "a", true);
        counters.count(Component::Operations, "a", false);
        let counts = counters.now();
        let expected = Count {
            calls: 2,
            failed: 1,
        };
        assert_eq!(counts[&Component::Tools]["a"], expected);
        assert_eq!(counts[&Component::Operations]["a"].calls, 1);
        for number in 0..2 * NAMES_MAX {
            counters.count(Component::Tools, &format!("n{number}"), false);
        }
        let counts = counters.now();
        let names = &counts[&Component::Tools];
        assert_eq!(names.len(), NAMES_MAX + 1);
        assert_eq!(names[OTHER].calls as usize, 2 * NAMES_MAX - (NAMES_MAX - 1));
    }

    #[test]
    fn counts_of_processes_add_up_since_the_first() {
        let of = |since: &str, calls| Kept {
            since: since.to_owned(),
            counts: Counts::from([(
                Component::Tools,
                BTreeMap::from([("a".to_owned(), Count { calls, failed: 1 })]),
            )]),
        };
        let mut sum = of("2026-11-21T00:00:00.000Z", 3);
        sum.add(&of("2026-11-20T00:00:00.000Z", 4));
        let mut expected = of("2026-11-20T00:00:00.000Z", 7);
        expected
            .counts
            .get_mut(&Component::Tools)
            .unwrap()
            .get_mut("a")
            .unwrap()
            .failed = 2;
        assert_eq!(sum, expected);
    }
}
