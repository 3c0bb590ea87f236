//! Judges a history by what Skep promises. Knows nothing of how Skep works: it sees requests,
//! answers, events, and what the tasks themselves wrote down.

#[cfg(test)]
mod breakages;
mod executions;
#[cfg(test)]
mod good_history;
mod streams;
mod submissions;
#[cfg(test)]
mod tests;
mod timelines;

use crate::history::{Asked, History};
use serde::Serialize;
use std::collections::BTreeMap;
use timelines::Timeline;

/// What has to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Rule {
    /// A repeated request is answered in the end.
    RequestsAreAnswered,
    /// The same idempotency key has the same answer.
    SameKeySameAnswer,
    /// An acknowledged task is there after the end.
    AcceptedTasksAreKept,
    /// Every task is there once, and was asked for.
    NoTaskIsMadeTwice,
    /// Every acknowledged task became final.
    TasksBecomeFinal,
    /// A task ends as its kind allows.
    TasksEndAsAsked,
    /// A task has one accepted result.
    OneResultPerTask,
    /// The listing and the events say the same.
    ListingMatchesEvents,
    /// Nobody holds a task that somebody holds, and nobody one that is final.
    OneHolderAtATime,
    /// Attempts are counted up by one, and fences rise with them.
    FencesRise,
    /// A task is granted after those that it needs have ended.
    NeedsComeFirst,
    /// An execution belongs to a grant, and a grant to one execution.
    ExecutionsAreGranted,
    /// A task that succeeded was executed in the attempt that was accepted.
    SuccessWasExecuted,
    /// An at-most-once task is not executed twice.
    AtMostOnceIsKept,
    /// Cursors of a stream rise strictly, entry by entry, without a gap inside an entry.
    StreamsRise,
    /// A resumed stream holds what a fresh one holds.
    StreamsAreComplete,
    /// No process outlives what started it.
    NoOrphans,
    /// After the network has healed, every node works again in time.
    WorkGoesOn,
    /// No process ends, panics or stays without being told to.
    NoBreakdowns,
}

/// A rule that does not hold, with where it does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Violation {
    pub(crate) rule: Rule,
    pub(crate) detail: String,
}

/// Gathers violations.
#[derive(Debug, Default)]
struct Findings(Vec<Violation>);

impl Findings {
    fn add(&mut self, rule: Rule, detail: impl Into<String>) {
        self.0.push(Violation {
            rule,
            detail: detail.into(),
        });
    }

    /// Adds a finding unless this holds.
    fn expect(&mut self, holds: bool, rule: Rule, detail: impl FnOnce() -> String) {
        if !holds {
            self.add(rule, detail());
        }
    }
}

/// An acknowledged task.
#[derive(Debug)]
struct Accepted<'a> {
    asked: &'a Asked,
    /// Ids of the tasks it needs.
    needs: Vec<&'a str>,
}

/// All acknowledged tasks by id.
type AcceptedTasks<'a> = BTreeMap<&'a str, Accepted<'a>>;

/// All violations of a history, in the order of the rules.
pub(crate) fn check(history: &History) -> Vec<Violation> {
    let mut findings = Findings::default();
    let accepted = accepted(history);
    let timelines = timelines::read(history, &mut findings);
    submissions::check(history, &mut findings);
    check_listing(history, &accepted, &timelines, &mut findings);
    timelines::check(&accepted, &timelines, &mut findings);
    executions::check(history, &accepted, &timelines, &mut findings);
    streams::check(history, &mut findings);
    for orphan in &history.orphans {
        findings.add(Rule::NoOrphans, orphan);
    }
    for recovery in &history.recoveries {
        let is_in_time = recovery.took_ms.is_some_and(|ms| ms <= recovery.bound_ms);
        findings.expect(is_in_time, Rule::WorkGoesOn, || {
            format!("{recovery}; the bound is {} ms", recovery.bound_ms)
        });
    }
    for breakdown in &history.breakdowns {
        findings.add(Rule::NoBreakdowns, breakdown);
    }
    findings.0.sort_by_key(|violation| violation.rule);
    findings.0
}

fn accepted(history: &History) -> AcceptedTasks<'_> {
    let mut accepted = AcceptedTasks::new();
    for submission in &history.submissions {
        for answer in &submission.answers {
            for (asked, id) in submission.asked.iter().zip(&answer.tasks) {
                let needs = asked
                    .needs
                    .iter()
                    .filter_map(|place| answer.tasks.get(*place));
                let needs = needs.map(String::as_str).collect();
                accepted.insert(id, Accepted { asked, needs });
            }
        }
    }
    accepted
}

/// Compares what is listed with what was acknowledged and with what the events say.
fn check_listing(
    history: &History,
    accepted: &AcceptedTasks<'_>,
    timelines: &BTreeMap<&str, Timeline<'_>>,
    findings: &mut Findings,
) {
    let mut listed = BTreeMap::new();
    for task in &history.listed {
        let id = task.id.as_str();
        let is_new = listed.insert(id, task).is_none();
        findings.expect(is_new, Rule::NoTaskIsMadeTwice, || {
            format!("`{id}` is listed twice")
        });
        findings.expect(accepted.contains_key(id), Rule::NoTaskIsMadeTwice, || {
            format!("`{id}` is listed and no answer named it")
        });
    }
    for (id, task) in accepted {
        let Some(shown) = listed.get(id) else {
            findings.add(Rule::AcceptedTasksAreKept, format!("`{id}` is not listed"));
            continue;
        };
        let state = shown.state.as_str();
        findings.expect(is_final(state), Rule::TasksBecomeFinal, || {
            format!("`{id}` is {state}")
        });
        let hand_backs = timelines.get(id).map_or(0, |timeline| timeline.hand_backs);
        let ran = shown.attempts.saturating_sub(hand_backs);
        findings.expect(
            may_end_so(task.asked, state, ran, history),
            Rule::TasksEndAsAsked,
            || {
                let attempts = shown.attempts;
                format!(
                    "`{id}` is {state} after {attempts} attempts, {hand_backs} of them handed \
                     back: {:?}",
                    task.asked
                )
            },
        );
        let ends = timelines
            .get(id)
            .map(|timeline| timeline.ends.as_slice())
            .unwrap_or_default();
        for end in ends {
            let is_used_up = end.state != "failed" || end.cause == "attempts_used_up";
            findings.expect(is_used_up, Rule::TasksEndAsAsked, || {
                format!("`{id}` should not fail so: {end}")
            });
            let is_same = end.state == state && end.attempts == shown.attempts;
            findings.expect(is_same, Rule::ListingMatchesEvents, || {
                format!(
                    "`{id}` is listed as {state} after {} attempts, and {end}",
                    shown.attempts
                )
            });
        }
    }
}

fn is_final(state: &str) -> bool {
    matches!(
        state,
        "succeeded" | "failed" | "cancelled" | "expired" | "unknown"
    )
}

/// All our commands succeed when they are left alone: a task may only fail because its attempts
/// were lost or stopped, and only an at-most-once task may end without an answer. It fails only
/// where its node could say that it stopped it. Grants that were handed back are not among the
/// attempts: they cost nothing.
fn may_end_so(asked: &Asked, state: &str, attempts: u64, history: &History) -> bool {
    let may_fail = !asked.at_most_once || history.node_stops > 0;
    match state {
        "succeeded" => (1..=asked.attempts_max).contains(&attempts),
        "unknown" => asked.at_most_once && attempts == 1,
        "failed" => may_fail && attempts == asked.attempts_max,
        // Whether it is final at all is another rule.
        _ => !is_final(state),
    }
}
