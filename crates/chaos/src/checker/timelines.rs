//! Rules about the life of each task, as the events tell it.

use super::{AcceptedTasks, Findings, Rule};
use crate::history::{Cursor, Event, History};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// Epoch and log index of a grant.
type Fence = (u64, u64);

/// A grant.
#[derive(Debug)]
pub(super) struct Grant {
    pub(super) attempt: u64,
    pub(super) fence: Fence,
    at: Cursor,
}

/// A final state.
#[derive(Debug)]
pub(super) struct End<'a> {
    pub(super) state: &'a str,
    pub(super) attempts: u64,
    /// Why it is final.
    pub(super) cause: &'a str,
    at: Cursor,
}

impl fmt::Display for End<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            state,
            attempts,
            cause,
            at,
        } = self;
        write!(
            f,
            "event {at} says {state} ({cause}) after {attempts} attempts"
        )
    }
}

/// The life of one task.
#[derive(Debug, Default)]
pub(super) struct Timeline<'a> {
    submitted: usize,
    pub(super) grants: Vec<Grant>,
    pub(super) ends: Vec<End<'a>>,
    /// Grants that nodes handed back before they started anything.
    pub(super) hand_backs: u64,
    /// The attempt that holds it.
    held_by: Option<u64>,
}

/// Reads the lives of all tasks, and checks each step against those before.
pub(super) fn read<'a>(
    history: &'a History,
    findings: &mut Findings,
) -> BTreeMap<&'a str, Timeline<'a>> {
    let mut timelines: BTreeMap<&str, Timeline<'_>> = BTreeMap::new();
    for event in &history.all_events {
        let Some(task) = event.task() else { continue };
        let timeline = timelines.entry(task).or_default();
        match event.kind() {
            "task_submitted" => timeline.submitted += 1,
            "task_leased" => timeline.grant(task, event, findings),
            "attempt_ended" => {
                let ended = event.number("attempt");
                let held_by = timeline.held_by.take();
                findings.expect(
                    ended.is_some() && ended == held_by,
                    Rule::OneHolderAtATime,
                    || {
                        let at = event.cursor;
                        format!("`{task}` at {at}: attempt {ended:?} ended, {held_by:?} held it")
                    },
                );
                let how = &event.body["data"]["ended"];
                timeline.hand_backs += u64::from(is_handed_back(how));
                findings.expect(is_our_doing(how), Rule::TasksEndAsAsked, || {
                    format!("`{task}` at {}: an attempt ended as {how}", event.cursor)
                });
            }
            "task_finished" => {
                timeline.held_by = None;
                timeline.ends.push(End {
                    state: event.word("state").unwrap_or_default(),
                    attempts: event.number("attempts").unwrap_or_default(),
                    cause: event.word("cause").unwrap_or("a cause of many words"),
                    at: event.cursor,
                });
            }
            "task_changed" | "task_progressed" => {
                findings.expect(timeline.ends.is_empty(), Rule::OneResultPerTask, || {
                    format!("`{task}` changed at {} after it was final", event.cursor)
                });
            }
            _ => {}
        }
    }
    timelines
}

/// Attempts of our commands end early only because their node was killed, or was cut off for so
/// long that it stopped them itself, or was told to end. What it was granted and never started it
/// hands back.
fn is_our_doing(how: &Value) -> bool {
    *how == "lost" || how["reported"] == "interrupted" || is_handed_back(how)
}

/// Whether the attempt never began: it costs the task nothing.
fn is_handed_back(how: &Value) -> bool {
    how["never_started"].is_string()
}

impl Timeline<'_> {
    fn grant(&mut self, task: &str, event: &Event, findings: &mut Findings) {
        let at = event.cursor;
        let (Some(attempt), Some(fence)) = (event.number("attempt"), event.fence()) else {
            findings.add(
                Rule::FencesRise,
                format!("`{task}` at {at}: no attempt or no fence"),
            );
            return;
        };
        if let Some(holder) = self.held_by.replace(attempt) {
            let detail = format!("`{task}` at {at}: attempt {holder} still held it");
            findings.add(Rule::OneHolderAtATime, detail);
        }
        findings.expect(self.ends.is_empty(), Rule::OneHolderAtATime, || {
            format!("`{task}` at {at}: granted after it was final")
        });
        let (last_attempt, last_fence) = self
            .grants
            .last()
            .map_or((0, (0, 0)), |grant| (grant.attempt, grant.fence));
        let rises = attempt == last_attempt + 1 && fence > last_fence;
        findings.expect(rises, Rule::FencesRise, || {
            format!(
                "`{task}` at {at}: attempt {attempt} with fence {fence:?} follows attempt \
                 {last_attempt} with fence {last_fence:?}"
            )
        });
        self.grants.push(Grant { attempt, fence, at });
    }

    fn first_grant(&self) -> Option<Cursor> {
        self.grants.first().map(|grant| grant.at)
    }
}

/// Checks the lives as a whole, against what was acknowledged.
pub(super) fn check(
    accepted: &AcceptedTasks<'_>,
    timelines: &BTreeMap<&str, Timeline<'_>>,
    findings: &mut Findings,
) {
    for (id, timeline) in timelines {
        findings.expect(accepted.contains_key(id), Rule::NoTaskIsMadeTwice, || {
            format!("`{id}` has events and no answer named it")
        });
        findings.expect(timeline.submitted == 1, Rule::NoTaskIsMadeTwice, || {
            format!("`{id}` was submitted {} times", timeline.submitted)
        });
        if let [end] = timeline.ends.as_slice() {
            findings.expect(
                end.attempts == timeline.grants.len() as u64,
                Rule::FencesRise,
                || {
                    format!(
                        "`{id}` was granted {} times, and {end}",
                        timeline.grants.len()
                    )
                },
            );
        }
    }
    for (id, task) in accepted {
        let timeline = timelines.get(id);
        let ends = timeline.map_or(0, |timeline| timeline.ends.len());
        findings.expect(ends == 1, Rule::OneResultPerTask, || {
            format!("`{id}` has {ends} events that say it is final")
        });
        for need in &task.needs {
            let granted = timeline.and_then(Timeline::first_grant);
            let end = timelines.get(need).and_then(|need| need.ends.first());
            let comes_first = match (end, granted) {
                (Some(end), Some(granted)) => end.state == "succeeded" && end.at < granted,
                (None, Some(_)) => false,
                (_, None) => true,
            };
            findings.expect(comes_first, Rule::NeedsComeFirst, || {
                format!("`{id}` was granted before `{need}` had succeeded")
            });
        }
    }
}
