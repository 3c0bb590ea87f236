//! One breakage of a good history after the other, with the rules that have to notice it.

use super::Rule;
use super::good_history::{ended, event, execution, finished, leased, listed, recovery, submitted};
use crate::history::{Event, History};
use serde_json::json;

/// Puts an event in front of another, in the fresh read and where the stream has it.
fn insert(history: &mut History, place: usize, event: &Event) {
    history.all_events.insert(place, event.clone());
    history.streams[0].events.clear();
    history.streams[0].events.clone_from(&history.all_events);
}

pub(super) fn replace(history: &mut History, place: usize, event: Event) {
    history.all_events[place] = event;
    history.streams[0].events.clone_from(&history.all_events);
}

fn other_answer(history: &mut History, tasks: [&str; 3]) {
    history.submissions[0].answers[1].tasks = tasks.map(str::to_owned).to_vec();
}

pub(super) type Breakage = fn(&mut History);

/// What breaks, and the rules that have to say so.
pub(super) const BREAKAGES: &[(&str, Breakage, &[Rule])] = &[
    (
        "a request was given up",
        |history| history.submissions[0].given_up = Some("500".to_owned()),
        &[Rule::RequestsAreAnswered],
    ),
    (
        "an answer names too few tasks",
        |history| {
            for answer in &mut history.submissions[0].answers {
                answer.tasks.pop();
            }
        },
        &[Rule::RequestsAreAnswered, Rule::NoTaskIsMadeTwice],
    ),
    (
        "a repeated key made another task",
        |history| {
            other_answer(history, ["a", "b", "new"]);
            history.listed.push(listed("new", "succeeded", 1));
            insert(history, 11, &submitted("9.0", "new"));
            insert(history, 12, &leased("10.0", "new", 1, 10));
            insert(history, 13, &finished("11.0", "new", "succeeded", 1));
            history.executions.push(execution("new", 1, "1.10"));
        },
        &[Rule::SameKeySameAnswer],
    ),
    (
        "two keys made the same task",
        |history| {
            let mut other = history.submissions[0].clone();
            "key-2".clone_into(&mut other.key);
            history.submissions.push(other);
        },
        &[Rule::SameKeySameAnswer],
    ),
    (
        "an accepted task is gone",
        |history| drop(history.listed.remove(1)),
        &[Rule::AcceptedTasksAreKept],
    ),
    (
        "a task is listed twice",
        |history| history.listed.push(listed("a", "succeeded", 2)),
        &[Rule::NoTaskIsMadeTwice],
    ),
    (
        "a task exists that no answer named",
        |history| history.listed.push(listed("ghost", "succeeded", 1)),
        &[Rule::NoTaskIsMadeTwice],
    ),
    (
        "a task was submitted twice",
        |history| insert(history, 3, &submitted("1.3", "a")),
        &[Rule::NoTaskIsMadeTwice],
    ),
    (
        "a task never became final",
        |history| {
            history.listed[1] = listed("b", "running", 1);
            history.all_events.pop();
        },
        &[Rule::TasksBecomeFinal, Rule::OneResultPerTask],
    ),
    (
        "a task failed with attempts left",
        |history| {
            history.listed[1] = listed("b", "failed", 1);
            replace(history, 10, finished("8.0", "b", "failed", 1));
        },
        &[Rule::TasksEndAsAsked],
    ),
    (
        "a task that may be repeated ended as unknown",
        |history| {
            history.listed[1] = listed("b", "unknown", 1);
            replace(history, 10, finished("8.0", "b", "unknown", 1));
        },
        &[Rule::TasksEndAsAsked],
    ),
    (
        "a task failed for another cause than lost attempts",
        |history| {
            history.submissions[0].asked[1].attempts_max = 1;
            history.listed[1] = listed("b", "failed", 1);
            replace(history, 10, finished("8.0", "b", "failed", 1));
        },
        &[Rule::TasksEndAsAsked],
    ),
    (
        "an attempt ended in an error of the node",
        |history| {
            let how = json!({"attempt": 1, "ended": {"reported": {"error": {"code": "spawn"}}}});
            replace(history, 5, event("3.0", "attempt_ended", "a", &how));
        },
        &[Rule::TasksEndAsAsked],
    ),
    (
        "two results of a task were accepted",
        |history| insert(history, 11, &finished("8.1", "b", "succeeded", 1)),
        &[Rule::OneResultPerTask],
    ),
    (
        "a task changed after it was final",
        |history| {
            let change = event("9.0", "task_changed", "b", &json!({"state": "ready"}));
            insert(history, 11, &change);
        },
        &[Rule::OneResultPerTask],
    ),
    (
        "the listing and the events differ",
        |history| history.listed[0] = listed("a", "succeeded", 1),
        &[Rule::ListingMatchesEvents],
    ),
    (
        "a held task was granted",
        |history| insert(history, 10, &leased("7.1", "b", 2, 8)),
        &[Rule::OneHolderAtATime, Rule::FencesRise],
    ),
    (
        "an attempt ended that did not hold the task",
        |history| replace(history, 5, ended("3.0", "a", 7)),
        &[Rule::OneHolderAtATime],
    ),
    (
        "a final task was granted",
        |history| insert(history, 11, &leased("9.0", "b", 2, 9)),
        &[Rule::OneHolderAtATime, Rule::FencesRise],
    ),
    (
        "a fence came again",
        |history| {
            replace(history, 7, leased("5.0", "a", 2, 2));
            history.executions[1] = execution("a", 2, "1.2");
        },
        &[Rule::FencesRise],
    ),
    (
        "an attempt was not counted",
        |history| replace(history, 9, leased("7.0", "b", 2, 7)),
        &[Rule::FencesRise],
    ),
    (
        "a task was granted before what it needs",
        |history| {
            history.all_events.swap(8, 10);
            replace(history, 8, leased("6.0", "b", 1, 6));
            replace(history, 9, finished("7.0", "a", "succeeded", 2));
            replace(history, 10, finished("8.0", "b", "succeeded", 1));
        },
        &[Rule::NeedsComeFirst],
    ),
    (
        "an attempt was executed twice",
        |history| history.executions.push(execution("a", 1, "1.2")),
        &[Rule::ExecutionsAreGranted],
    ),
    (
        "an execution has a fence that was not granted",
        |history| history.executions[0] = execution("a", 1, "1.4"),
        &[Rule::ExecutionsAreGranted],
    ),
    (
        "a task succeeded without being executed",
        |history| drop(history.executions.remove(1)),
        &[Rule::SuccessWasExecuted],
    ),
    (
        "an at-most-once task was executed twice",
        |history| history.executions.push(execution("once", 1, "1.2")),
        &[Rule::AtMostOnceIsKept, Rule::ExecutionsAreGranted],
    ),
    (
        "a stream repeats an event",
        |history| {
            let again = history.streams[0].events[3].clone();
            history.streams[0].events.insert(4, again);
        },
        &[Rule::StreamsRise, Rule::StreamsAreComplete],
    ),
    (
        "a stream leaves out an event inside an entry",
        |history| drop(history.streams[0].events.remove(1)),
        &[Rule::StreamsRise, Rule::StreamsAreComplete],
    ),
    (
        "a stream leaves out an entry",
        |history| drop(history.streams[0].events.remove(7)),
        &[Rule::StreamsAreComplete],
    ),
    (
        "a stream showed an event that is no longer there",
        |history| {
            let lost = ended("8.0", "b", 1);
            history.streams[0].events.push(lost);
        },
        &[Rule::StreamsAreComplete],
    ),
    (
        "a stream goes on where the fresh read ends",
        |history| {
            history.streams[0].events.clone_from(&history.all_events);
            history.streams[0].events.push(ended("9.0", "b", 1));
        },
        &[Rule::StreamsAreComplete],
    ),
    (
        "a stream was told that events are gone",
        |history| history.streams[0].problems.push("resync".to_owned()),
        &[Rule::StreamsAreComplete],
    ),
    (
        "a stream brought nothing",
        |history| history.streams[0].events.clear(),
        &[Rule::StreamsAreComplete],
    ),
    (
        "the log begins in the middle of an entry",
        |history| {
            for event in &mut history.all_events[..3] {
                event.cursor.ordinal += 1;
            }
            history.streams[0].events.clone_from(&history.all_events);
        },
        &[Rule::StreamsRise],
    ),
    (
        "a process was left",
        |history| history.orphans.push("7 `sleep`".to_owned()),
        &[Rule::NoOrphans],
    ),
    (
        "a node came back too late",
        |history| history.recoveries.push(recovery(Some(40_001))),
        &[Rule::WorkGoesOn],
    ),
    (
        "a node did not come back",
        |history| history.recoveries.push(recovery(None)),
        &[Rule::WorkGoesOn],
    ),
    (
        "a process ended by itself",
        |history| history.breakdowns.push("`n1` ended".to_owned()),
        &[Rule::NoBreakdowns],
    ),
];
