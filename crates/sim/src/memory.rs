//! Writers of shared memory: they count together by compare-and-set, and write, touch and delete
//! entries that end.

use crate::happening::What;
use crate::random::Random;
use crate::world::World;
use skep_coordinator::{ProposeError, Ticket, View};
use skep_model::command::{Command, Idempotency};
use skep_model::event::{EntryEvents, Event};
use skep_model::memory::{
    MemoryChange, MemoryCondition, MemoryKey, MemoryPut, MemoryValue, MemoryVersion, MemoryWrite,
    Namespace,
};
use skep_model::time::UnixMillis;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Seeds in which somebody writes to shared memory, of a thousand.
const MEMORY_PERMILLE: u64 = 180;
/// Sets the stream of randomness apart: seeds without writers lead through what they led through
/// before there were any.
const STREAM: u64 = 0x6d65_6d6f_7279;
/// Writes that add one to the counter, of a thousand.
const COUNT_PERMILLE: u64 = 600;
/// Requests that are sent again although they were answered, of a thousand.
const REPEAT_PERMILLE: u64 = 100;
/// Writes that come right after another one, of a thousand.
const BURST_PERMILLE: u64 = 400;
/// What all writers count with.
const COUNTER: &str = "counter";
/// A namespace that is forgotten whenever nothing is in it.
const PASSING: &str = "passing";

/// One request, whatever became of it.
#[derive(Debug, Clone)]
struct Request {
    write: MemoryWrite,
    /// The version that it was answered with.
    answer: Option<MemoryVersion>,
    refused: bool,
}

impl Request {
    const fn is_answered(&self) -> bool {
        self.answer.is_some() || self.refused
    }

    fn counts(&self) -> bool {
        self.write.key.as_str() == COUNTER
    }
}

/// All writers, and what they were told.
#[derive(Debug)]
pub(crate) struct Memory {
    random: Random,
    requests: Vec<Request>,
    waiting: BTreeMap<Ticket, usize>,
}

type Place = (Namespace, MemoryKey);

/// What the events say of shared memory.
#[derive(Debug, Default)]
pub(crate) struct MemoryFacts {
    entries: BTreeMap<Place, (MemoryVersion, Option<UnixMillis>)>,
    newest: BTreeMap<Namespace, MemoryVersion>,
}

impl MemoryFacts {
    /// I26: each write replaces the version that was there, under a version that was never given.
    /// I27: nothing ends before its time.
    pub(crate) fn event(&mut self, at: UnixMillis, event: &Event) -> Result<(), String> {
        let Some((namespace, key)) = event.memory() else {
            return Ok(());
        };
        let place = (namespace.clone(), key.clone());
        match event {
            Event::MemoryWritten {
                version,
                replaced,
                expires_at,
                ..
            } => {
                self.given(&place, *version, *replaced)?;
                self.entries.insert(place, (*version, *expires_at));
            }
            Event::MemoryDeleted {
                version, replaced, ..
            } => {
                self.given(&place, *version, *replaced)?;
                self.entries.remove(&place);
            }
            Event::MemoryExpired {
                version, replaced, ..
            } => {
                self.given(&place, *version, Some(*replaced))?;
                let end = self.entries.remove(&place).and_then(|(_, end)| end);
                if end.is_none_or(|end| end > at) {
                    return Err(format!("I27: `{key}` ended at {at:?}, not at {end:?}"));
                }
            }
            Event::MemoryTouched {
                version,
                expires_at,
                ..
            } => {
                let known = self.entries.insert(place, (*version, *expires_at));
                if known.is_none_or(|(known, _)| known != *version) {
                    return Err(format!("I26: version {version} was touched, not {known:?}"));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn given(
        &mut self,
        place: &Place,
        version: MemoryVersion,
        replaced: Option<MemoryVersion>,
    ) -> Result<(), String> {
        let there = self.entries.get(place).map(|(version, _)| *version);
        if there != replaced {
            return Err(format!(
                "I26: {version} of {place:?} replaced {replaced:?}, but {there:?} was there"
            ));
        }
        let last = self.newest.insert(place.0.clone(), version);
        match last.filter(|last| version <= *last) {
            Some(last) => Err(format!("I26: {version} of {place:?} came after {last}")),
            None => Ok(()),
        }
    }
}

impl Memory {
    /// The writers of a seed, if it has any.
    pub(crate) fn of_seed(seed: u64) -> Option<Self> {
        let mut random = Random::new(seed ^ STREAM);
        random.chance(MEMORY_PERMILLE).then_some(Self {
            random,
            requests: Vec::new(),
            waiting: BTreeMap::new(),
        })
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.requests.iter().all(Request::is_answered)
    }
}

fn namespace(name: &str) -> Namespace {
    name.parse().expect("the names here are short words")
}

fn key(name: &str) -> MemoryKey {
    name.parse().expect("the names here are short words")
}

fn put(number: u64, ttl_ms: Option<u64>) -> MemoryChange {
    MemoryChange::Put(Arc::new(MemoryPut {
        ttl_ms,
        ..MemoryPut::new(MemoryValue::Json(number.to_string().into()))
    }))
}

impl World {
    /// Somebody writes.
    pub(crate) fn writer_acts(&mut self) -> Result<(), String> {
        let Some(mut memory) = self.memory.take() else {
            return Ok(());
        };
        let pause_ms = if memory.random.chance(BURST_PERMILLE) {
            memory.random.between(1, 20)
        } else {
            memory.random.between(500, 20_000)
        };
        let again = self.now + pause_ms;
        if !self.healing {
            self.schedule(again, What::WriterActs);
        }
        let repeats = memory.random.chance(REPEAT_PERMILLE) && !memory.requests.is_empty();
        let drawn = if repeats {
            let any = memory.random.next() as usize % memory.requests.len();
            Ok(Some(any))
        } else {
            self.draw_write(&mut memory.random).map(|write| {
                write.map(|write| {
                    memory.requests.push(Request {
                        write,
                        answer: None,
                        refused: false,
                    });
                    memory.requests.len() - 1
                })
            })
        };
        self.memory = Some(memory);
        match drawn? {
            Some(request) => self.write(request),
            None => Ok(()),
        }
    }

    /// What a writer wants after it has read what is there; nothing while it cannot read.
    fn draw_write(&mut self, random: &mut Random) -> Result<Option<MemoryWrite>, String> {
        let count = self.read_counter()?;
        let Some((number, version)) = count else {
            return Ok(None);
        };
        if random.chance(COUNT_PERMILLE) {
            let condition = version.map_or(MemoryCondition::Absent, MemoryCondition::Version);
            return Ok(Some(MemoryWrite {
                condition,
                ..MemoryWrite::new(
                    namespace(Namespace::SWARM),
                    key(COUNTER),
                    put(number + 1, None),
                )
            }));
        }
        let ttl_ms = random.chance(600).then(|| random.between(1_000, 60_000));
        let change = match random.between(0, 5) {
            0 => MemoryChange::Delete,
            1 => MemoryChange::Touch { ttl_ms },
            _ => put(0, ttl_ms),
        };
        let name = *random.pick(&["a", "b", "c"]);
        Ok(Some(MemoryWrite::new(
            namespace(PASSING),
            key(name),
            change,
        )))
    }

    /// The number in the counter, and its version; none while nobody can be asked. I28: whatever
    /// is there has a value.
    fn read_counter(&self) -> Result<Option<(u64, Option<MemoryVersion>)>, String> {
        let Some(coordinator) = &self.coordinator else {
            return Ok(None);
        };
        let view = coordinator.engine.view();
        let view = view.read();
        self.counter_of(&view).map(Some)
    }

    fn counter_of(&self, view: &View) -> Result<(u64, Option<MemoryVersion>), String> {
        let (namespace, key) = (namespace(Namespace::SWARM), key(COUNTER));
        let now = view.state.now();
        let Some(entry) = view.state.memory_entry(&namespace, &key, now) else {
            return Ok((0, None));
        };
        let version = entry.version;
        let record = view.recent.memory(&namespace, &key, version);
        let record = record.or_else(|| self.disk.memory.get(&(namespace, key, version)).cloned());
        let put = record.as_ref().and_then(|record| record.put.as_ref());
        match put.map(|put| &put.value) {
            Some(MemoryValue::Json(text)) => {
                let number = text.parse().map_err(|_| format!("I28: it is {text}"))?;
                Ok((number, Some(version)))
            }
            other => Err(format!(
                "I28: version {version} of the counter is {other:?}"
            )),
        }
    }

    /// Sends a request, or sends it again, under the same idempotency key.
    pub(crate) fn write(&mut self, request: usize) -> Result<(), String> {
        if self.coordinator.is_none() {
            self.write_later(request);
            return Ok(());
        }
        let ticket = self.ticket();
        let Some(memory) = &mut self.memory else {
            return Ok(());
        };
        memory.waiting.insert(ticket, request);
        let command = Command::WriteMemory {
            writes: vec![memory.requests[request].write.clone()],
            all_or_nothing: false,
            idempotency: Some(Idempotency {
                key: format!("memory-{request}"),
                fingerprint: [0; 32],
            }),
        };
        self.propose(ticket, command)
    }

    fn write_later(&mut self, request: usize) {
        let Some(memory) = &mut self.memory else {
            return;
        };
        let again = self.now + memory.random.between(500, 30_000);
        self.schedule(again, What::WriterRepeats { request });
    }

    /// Whether the answer was for a writer. I29: an answer is given again as it was given first.
    pub(crate) fn write_answered(
        &mut self,
        ticket: Ticket,
        answer: &Result<Arc<EntryEvents>, ProposeError>,
    ) -> Result<bool, String> {
        let Some(memory) = &mut self.memory else {
            return Ok(false);
        };
        let Some(index) = memory.waiting.remove(&ticket) else {
            return Ok(false);
        };
        let Ok(entry) = answer else {
            self.write_later(index);
            return Ok(true);
        };
        let request = &mut memory.requests[index];
        for event in &entry.events {
            let (version, repeated) = match event {
                Event::MemoryWritten { version, .. }
                | Event::MemoryDeleted { version, .. }
                | Event::MemoryTouched { version, .. } => (*version, false),
                Event::MemoryAlreadyWritten { versions } => match versions[..] {
                    [Some(version)] => (version, true),
                    _ => return Err(format!("I29: request {index} made {versions:?}")),
                },
                // What changed nothing is tried anew when it is repeated.
                Event::MemoryRefused { .. } => {
                    request.refused = request.answer.is_none();
                    continue;
                }
                Event::Refused { reason } => return Err(format!("a write was refused: {reason}")),
                _ => continue,
            };
            let first = *request.answer.get_or_insert(version);
            if first != version {
                return Err(format!(
                    "I29: request {index} made version {first} and then {version}"
                ));
            }
            request.refused = false;
            if repeated {
                self.note("write repeated");
                return Ok(true);
            }
        }
        Ok(true)
    }

    /// Nobody will answer any more: all that wait are sent again later.
    pub(crate) fn writers_lost_coordinator(&mut self) {
        let Some(memory) = &mut self.memory else {
            return;
        };
        let waiting = std::mem::take(&mut memory.waiting);
        for request in waiting.into_values() {
            self.write_later(request);
        }
    }

    /// I30: the counter is the number of requests that were told that they counted.
    pub(crate) fn counted_right(&self, view: &View) -> Result<(), String> {
        let Some(memory) = &self.memory else {
            return Ok(());
        };
        let counted = memory.requests.iter().filter(|one| one.counts());
        let counted = counted.filter(|one| one.answer.is_some()).count() as u64;
        let (number, _) = self.counter_of(view)?;
        if number != counted {
            return Err(format!(
                "I30: the counter is {number}, {counted} were counted"
            ));
        }
        Ok(())
    }
}
