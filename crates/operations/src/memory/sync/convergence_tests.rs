//! Installations that write apart and meet at random come to the same entries, and then have nothing
//! more to say to each other. Everything that decides is the real thing: state machines, stamps, what
//! is sent, what is known, and merges; only what lies between is played.

use super::clocks::{abroad, at_home, is_known};
use super::items::{Became, Item, Outcome, REMOVED};
use super::progress::{Cursor, Progress};
use crate::memory::merging::in_order;
use crate::memory_merge::merge;
use serde_json::{Value, json};
use skep_core::State;
use skep_model::attempt::LogIndex;
use skep_model::command::{Actor, Command, LogEntry};
use skep_model::event::Event;
use skep_model::ids::ReplicaId;
use skep_model::memory::{
    ConflictStrategy, MemoryChange, MemoryCondition, MemoryEffect, MemoryKey, MemoryPut,
    MemoryRecord, MemoryRefusal, MemoryValue, MemoryVersion, MemoryWrite, MergeFunction, Namespace,
    NamespaceSettings, StrategyRule,
};
use skep_model::time::UnixMillis;
use std::collections::BTreeMap;
use std::sync::Arc;

const SEEDS: u64 = 60;
const STEPS: u64 = 80;
const KEYS: u64 = 4;
/// Small pages, so that scans have several.
const PAGE: usize = 2;
/// Meetings after which all must be quiet.
const ROUNDS_MAX: usize = 40;

/// Numbers that look random, the same for each seed.
struct Draws(u64);

impl Draws {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

fn namespace() -> Namespace {
    Namespace::SWARM.parse().unwrap()
}

/// One installation.
struct Site {
    id: ReplicaId,
    strategy: ConflictStrategy,
    state: State,
    index: u64,
    at: UnixMillis,
    records: BTreeMap<MemoryVersion, Arc<MemoryRecord>>,
}

impl Site {
    fn new(number: u128, strategy: ConflictStrategy) -> Self {
        let mut site = Self {
            id: ReplicaId::from_u128(number + 1),
            strategy,
            state: State::new(),
            index: 0,
            at: UnixMillis(1_000),
            records: BTreeMap::new(),
        };
        let rule = StrategyRule {
            prefix: String::new(),
            strategy,
        };
        site.apply(Command::SetNamespace {
            namespace: namespace(),
            settings: Box::new(NamespaceSettings {
                strategies: vec![rule],
                ..NamespaceSettings::default()
            }),
        });
        site
    }

    fn apply(&mut self, command: Command) -> Vec<Event> {
        self.index += 1;
        let entry = LogEntry {
            at: self.at,
            seed: 0,
            actor: Actor::Coordinator,
            command,
        };
        let applied = self.state.apply(LogIndex(self.index), &entry);
        self.state.check().unwrap();
        for effect in applied.memory {
            if let MemoryEffect::Recorded(record) = effect {
                self.records.insert(record.version, record);
            }
        }
        applied.events
    }

    /// Gives the refusal, if it is one.
    fn write(&mut self, write: MemoryWrite) -> Result<Vec<Event>, MemoryRefusal> {
        let events = self.apply(Command::WriteMemory {
            writes: vec![write],
            all_or_nothing: false,
            idempotency: None,
        });
        let refusal = events.iter().find_map(|event| match event {
            Event::MemoryRefused { reason, .. } => Some(reason.clone()),
            _ => None,
        });
        refusal.map_or(Ok(events), Err)
    }

    /// Somebody here writes or removes an entry, or decides between values.
    fn act(&mut self, draws: &mut Draws, step: u64) {
        self.at = self.at.plus(draws.below(3));
        let key: MemoryKey = format!("k{}", draws.below(KEYS)).parse().unwrap();
        let entry = self
            .state
            .memory_entry(&namespace(), &key, self.at)
            .cloned();
        let change = match draws.below(4) {
            0 if entry.is_some() => MemoryChange::Delete,
            _ => put_of(&self.value(step, entry.map(|entry| entry.version))),
        };
        // Refused is only what is full or not there.
        self.write(MemoryWrite::new(namespace(), key, change))
            .unwrap();
    }

    fn value(&self, step: u64, present: Option<MemoryVersion>) -> Value {
        let own = self.id.to_string();
        let present = present.and_then(|version| self.json(version));
        match self.strategy {
            ConflictStrategy::Merge(MergeFunction::SetUnion | MergeFunction::Append) => {
                let mut elements = present
                    .and_then(|value| value.as_array().cloned())
                    .unwrap_or_default();
                elements.push(json!(format!("{own}@{step}")));
                Value::Array(elements)
            }
            ConflictStrategy::Merge(MergeFunction::Counter) => {
                let mut counts = present.unwrap_or_else(|| json!({}));
                counts[&own] = json!(step);
                counts
            }
            ConflictStrategy::Merge(MergeFunction::JsonMergePatch) => {
                json!({ format!("f{}", step % 3): format!("{own}@{step}") })
            }
            // Sometimes two write the same.
            _ => json!(step % 5),
        }
    }

    fn json(&self, version: MemoryVersion) -> Option<Value> {
        let put = self.records.get(&version)?.put.as_ref()?;
        match &put.value {
            MemoryValue::Json(text) => serde_json::from_str(text).ok(),
            _ => None,
        }
    }

    /// A page of what somebody else has to know.
    fn page(&self, progress: &Progress, reader: ReplicaId) -> (Vec<Item>, Option<MemoryKey>) {
        let after = progress.after();
        let page = self
            .state
            .memory_scan(&namespace(), after, self.at, PAGE, |entry| {
                Progress::wants(progress.since, &progress.again, reader, entry)
            });
        let items = page.entries.iter().map(|entry| Item {
            key: entry.key.clone(),
            version: entry.version,
            stamp: abroad(&entry.effective_stamp(), self.id),
            put: None,
            task: None,
            run: None,
            why: None,
        });
        (items.collect(), page.next.cloned())
    }

    fn newest(&self) -> MemoryVersion {
        let kept = self.state.namespace(&namespace()).unwrap();
        kept.record.last_version
    }

    /// Takes in an entry with what it holds.
    fn take(&mut self, item: &Item, put: Option<&Arc<MemoryPut>>) -> Outcome {
        let stamp = at_home(&item.stamp, self.id).unwrap();
        let present = self
            .state
            .memory_remembered(&namespace(), &item.key, self.at);
        let says = put.map_or(REMOVED, |put| put.value.blake3());
        if is_known(&stamp, says, present) {
            return Outcome::Unchanged;
        }
        let change = put.map_or(MemoryChange::Delete, |put| {
            MemoryChange::Put(Arc::clone(put))
        });
        let write = MemoryWrite {
            stamp: Some(Box::new(stamp)),
            ..MemoryWrite::new(namespace(), item.key.clone(), change)
        };
        let answer = match self.write(write.clone()) {
            Err(MemoryRefusal::MergeNeeded { current }) => {
                let merged = self.merged(&write, current);
                self.write(merged)
            }
            answer => answer,
        };
        match answer {
            Ok(_) => Outcome::Taken,
            Err(MemoryRefusal::Superseded { .. }) => Outcome::Older,
            Err(other) => panic!("{other}"),
        }
    }

    fn merged(&self, write: &MemoryWrite, current: MemoryVersion) -> MemoryWrite {
        let record = &self.records[&current];
        let present = record.put.as_ref().unwrap();
        let MemoryChange::Put(put) = &write.change else {
            panic!("removals are not merged");
        };
        let written = write.stamp.as_ref().unwrap().time.moment();
        let (earlier, later) = in_order((record.moment(), &present.value), (written, &put.value));
        let json = |value: &MemoryValue| match value {
            MemoryValue::Json(text) => serde_json::from_str::<Value>(text).unwrap(),
            other => panic!("{other:?}"),
        };
        let ConflictStrategy::Merge(function) = self.strategy else {
            panic!("{:?} does not merge", self.strategy);
        };
        MemoryWrite {
            condition: MemoryCondition::Version(current),
            change: put_of(&merge(function, json(earlier), json(later)).unwrap()),
            ..write.clone()
        }
    }

    /// Decides about everything that waits; says whether something did.
    fn decide(&mut self) -> bool {
        let open: Vec<_> = self
            .state
            .memory_conflicts(&namespace(), None)
            .cloned()
            .collect();
        for entry in &open {
            let value = self.json(entry.version).unwrap();
            let write = MemoryWrite {
                condition: MemoryCondition::Version(entry.version),
                settles: entry.conflicts.iter().map(|open| open.version).collect(),
                ..MemoryWrite::new(namespace(), entry.key.clone(), put_of(&value))
            };
            self.write(write).unwrap();
        }
        !open.is_empty()
    }

    /// What a reader finds.
    fn portrait(&self) -> BTreeMap<String, Value> {
        let all = self
            .state
            .memory_scan(&namespace(), None, self.at, usize::MAX, |entry| {
                !entry.deleted
            });
        let shown = all.entries.iter().map(|entry| {
            let value = self.json(entry.version).unwrap();
            (entry.key.to_string(), value)
        });
        shown.collect()
    }
}

fn put_of(value: &Value) -> MemoryChange {
    let value = MemoryValue::Json(value.to_string().into());
    MemoryChange::Put(Arc::new(MemoryPut::new(value)))
}

/// Installations, and how far each knows the others.
struct World {
    sites: Vec<Site>,
    /// Who meets whom.
    links: Vec<(usize, usize)>,
    cursors: BTreeMap<(usize, usize), Cursor>,
}

impl World {
    fn new(sites: u128, links: &[(usize, usize)], strategy: ConflictStrategy) -> Self {
        let sites = (0..sites).map(|number| Site::new(number, strategy));
        Self {
            sites: sites.collect(),
            links: links.to_vec(),
            cursors: BTreeMap::new(),
        }
    }

    /// One round, which may break off after some pages; says whether anything changed.
    fn meet(&mut self, link: (usize, usize), mut pages: u64) -> bool {
        let there = self.sites[link.1].id;
        let mut cursor = self
            .cursors
            .remove(&link)
            .unwrap_or_else(|| Cursor::fresh(there));
        let mut changed = false;
        for (from, to, progress) in [
            (link.1, link.0, &mut cursor.pull),
            (link.0, link.1, &mut cursor.push),
        ] {
            while pages > 0 {
                pages -= 1;
                let (is_last, took) = carry(&mut self.sites, from, to, progress);
                changed |= took;
                if is_last {
                    break;
                }
            }
        }
        self.cursors.insert(link, cursor);
        changed
    }

    /// Meets until nobody has anything to say.
    fn settle(&mut self) {
        for _ in 0..ROUNDS_MAX {
            let latest = self.sites.iter().map(|site| site.at).max().unwrap();
            let mut changed = false;
            for site in &mut self.sites {
                site.at = latest;
            }
            for link in self.links.clone() {
                changed |= self.meet(link, u64::MAX);
            }
            if !changed {
                return;
            }
        }
        panic!("they still talk after {ROUNDS_MAX} rounds");
    }
}

/// Carries a page; says whether it was the last one, and whether anything was taken.
fn carry(sites: &mut [Site], from: usize, to: usize, progress: &mut Progress) -> (bool, bool) {
    let reader = sites[to].id;
    let (items, next) = sites[from].page(progress, reader);
    let newest = sites[from].newest();
    let mut done = Vec::new();
    let mut took = false;
    for item in items {
        let put = sites[from].records[&item.version].put.clone();
        let outcome = sites[to].take(&item, put.as_ref());
        took |= outcome == Outcome::Taken;
        let became = Became {
            key: item.key.clone(),
            outcome,
            code: None,
            detail: None,
        };
        done.push((item, became));
    }
    let is_last = next.is_none();
    progress.note_page(newest, next, &done);
    (is_last, took)
}

#[track_caller]
fn converges(strategy: ConflictStrategy, sites: u128, links: &[(usize, usize)]) {
    for seed in 0..SEEDS {
        let mut draws = Draws(seed);
        let mut world = World::new(sites, links, strategy);
        for step in 0..STEPS {
            if draws.below(5) == 0 {
                let link = links[draws.below(links.len() as u64) as usize];
                let pages = draws.below(6);
                world.meet(link, pages);
            } else {
                let site = draws.below(sites as u64) as usize;
                world.sites[site].act(&mut draws, step);
            }
        }
        world.settle();
        // Somebody decides, the others hear of it, until nothing waits anywhere.
        for _ in 0..ROUNDS_MAX {
            let Some(site) = world
                .sites
                .iter_mut()
                .find_map(|site| site.decide().then_some(()))
            else {
                break;
            };
            let () = site;
            world.settle();
        }
        let first = world.sites[0].portrait();
        for site in &world.sites {
            assert_eq!(site.portrait(), first, "seed {seed}, {strategy:?}");
            assert_eq!(
                site.state.memory_conflicts(&namespace(), None).count(),
                0,
                "seed {seed}"
            );
        }
    }
}

const PAIR: &[(usize, usize)] = &[(0, 1)];
const STAR: &[(usize, usize)] = &[(0, 1), (0, 2)];
const RING: &[(usize, usize)] = &[(0, 1), (1, 2), (2, 0)];

#[test]
fn two_installations_come_to_the_same_under_every_strategy() {
    for strategy in [
        ConflictStrategy::LastWriterWins,
        ConflictStrategy::VectorClock,
        ConflictStrategy::Manual,
        ConflictStrategy::Merge(MergeFunction::SetUnion),
        ConflictStrategy::Merge(MergeFunction::Counter),
        ConflictStrategy::Merge(MergeFunction::Append),
        ConflictStrategy::Merge(MergeFunction::JsonMergePatch),
    ] {
        converges(strategy, 2, PAIR);
    }
}

#[test]
fn three_installations_come_to_the_same_over_a_hub_and_in_a_ring() {
    for links in [STAR, RING] {
        for strategy in [
            ConflictStrategy::LastWriterWins,
            ConflictStrategy::VectorClock,
            ConflictStrategy::Manual,
            ConflictStrategy::Merge(MergeFunction::SetUnion),
            ConflictStrategy::Merge(MergeFunction::Counter),
            ConflictStrategy::Merge(MergeFunction::Append),
            ConflictStrategy::Merge(MergeFunction::JsonMergePatch),
        ] {
            converges(strategy, 3, links);
        }
    }
}
