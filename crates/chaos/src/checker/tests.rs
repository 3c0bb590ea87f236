//! Each rule has to fail on a history made to break it, and no rule on a good one.

use super::breakages::{BREAKAGES, replace};
use super::good_history::{event, finished, good, listed};
use super::{Rule, check};
use serde_json::json;
use std::collections::BTreeSet;

#[test]
fn a_good_history_breaks_no_rule() {
    assert_eq!(check(&good()), []);
}

#[test]
fn an_at_most_once_task_may_end_without_an_answer() {
    let mut history = good();
    history.listed[2] = listed("once", "unknown", 1);
    replace(&mut history, 6, finished("3.1", "once", "unknown", 1));
    assert_eq!(check(&history), []);
    history.executions.pop();
    assert_eq!(check(&history), []);
}

#[test]
fn a_task_may_fail_when_all_its_attempts_were_lost() {
    let mut history = good();
    history.submissions[0].asked[1].attempts_max = 1;
    history.listed[1] = listed("b", "failed", 1);
    let data = json!({"state": "failed", "attempts": 1, "cause": "attempts_used_up"});
    replace(&mut history, 10, event("8.0", "task_finished", "b", &data));
    assert_eq!(check(&history), []);
}

#[test]
fn an_at_most_once_task_may_fail_only_where_nodes_were_told_to_end() {
    let mut history = good();
    history.listed[2] = listed("once", "failed", 1);
    let data = json!({"state": "failed", "attempts": 1, "cause": "attempts_used_up"});
    replace(
        &mut history,
        6,
        event("3.1", "task_finished", "once", &data),
    );
    history.node_stops = 1;
    assert_eq!(check(&history), []);
    history.node_stops = 0;
    let rules: Vec<_> = check(&history).iter().map(|found| found.rule).collect();
    assert_eq!(rules, [Rule::TasksEndAsAsked]);
}

#[test]
fn a_grant_that_was_handed_back_is_no_attempt() {
    let mut history = good();
    let lost = history
        .all_events
        .iter()
        .position(|one| one.kind() == "attempt_ended");
    let place = lost.unwrap();
    let cursor = history.all_events[place].cursor.to_string();
    let ended = json!({"attempt": 1, "ended": {"never_started": "stopping"}});
    replace(
        &mut history,
        place,
        event(&cursor, "attempt_ended", "a", &ended),
    );
    // With one attempt only: the second grant is the first that ran.
    history.submissions[0].asked[0].attempts_max = 1;
    assert_eq!(check(&history), []);
    let refused = json!({"error": {"code": "refused_by_node", "message": "the node stops"}});
    let ended = json!({"attempt": 1, "ended": {"reported": refused}});
    replace(
        &mut history,
        place,
        event(&cursor, "attempt_ended", "a", &ended),
    );
    let rules: Vec<_> = check(&history).iter().map(|found| found.rule).collect();
    assert_eq!(rules, [Rule::TasksEndAsAsked; 2]);
}

#[test]
fn each_breakage_is_found_by_its_rules_and_by_no_other() {
    for (name, breakage, rules) in BREAKAGES {
        let mut history = good();
        breakage(&mut history);
        let violations = check(&history);
        let found: BTreeSet<_> = violations.iter().map(|violation| violation.rule).collect();
        let expected: BTreeSet<_> = rules.iter().copied().collect();
        assert_eq!(found, expected, "{name}: {violations:#?}");
    }
}

#[test]
fn every_rule_is_seen_to_fail() {
    let seen: BTreeSet<_> = BREAKAGES
        .iter()
        .flat_map(|(_, _, rules)| rules.iter())
        .collect();
    assert!(seen.contains(&Rule::RequestsAreAnswered) && seen.contains(&Rule::NoBreakdowns));
    // Rules are counted by the place of the last one.
    assert_eq!(seen.len(), Rule::NoBreakdowns as usize + 1);
}
