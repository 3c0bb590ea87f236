//! What cron expressions mean, also where clocks are changed.

use super::*;
use crate::limits::SCHEDULE_EXPRESSION_BYTES_MAX;
use proptest::prelude::*;
use std::collections::BTreeMap;

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;

/// A zone with the offset of each time, the first of them from the beginning on; minutes.
#[derive(Debug, Clone)]
struct Changing {
    first: i64,
    changes: BTreeMap<u64, i64>,
}

impl Zone for Changing {
    fn offset_s(&self, at: UnixMillis) -> i64 {
        let latest = self.changes.range(..=at.0).next_back();
        latest.map_or(self.first, |(_, minutes)| *minutes) * 60
    }

    fn next_change(&self, after: UnixMillis) -> Option<UnixMillis> {
        let next = self.changes.range(after.0 + 1..).next();
        next.map(|(at, _)| UnixMillis(*at))
    }
}

/// Days after 1970-01-05, a Monday, and hours and minutes of UTC.
fn utc(day: u64, hour: u64, minute: u64) -> u64 {
    (day + 4) * DAY_MS + hour * HOUR_MS + minute * MINUTE_MS
}

/// One hour ahead of UTC, two from the second Tuesday 01:00 UTC to the Thursday after it.
fn summer() -> Changing {
    Changing {
        first: 60,
        changes: BTreeMap::from([(utc(8, 1, 0), 120), (utc(10, 1, 0), 60)]),
    }
}

#[track_caller]
fn check(expression: &str, zone: &dyn Zone, from: u64, expected: &[u64]) {
    let cron: Cron = expression.parse().unwrap();
    let mut after = UnixMillis(from);
    for due in expected {
        let found = next_due(&cron, zone, after).unwrap();
        assert_eq!(found, UnixMillis(*due), "`{expression}` after {after:?}");
        after = found;
    }
}

#[test]
fn fields_mean_what_they_say() {
    for (expression, expected) in [
        ("30 4 * * *", [utc(0, 4, 30), utc(1, 4, 30)]),
        ("*/20 0 * * *", [utc(0, 0, 20), utc(0, 0, 40)]),
        ("5-7/2 1,3 * * *", [utc(0, 1, 5), utc(0, 1, 7)]),
        ("50/5 0 * * *", [utc(0, 0, 50), utc(0, 0, 55)]),
        ("0 0 * * wed", [utc(2, 0, 0), utc(9, 0, 0)]),
        ("0 0 * * 7", [utc(6, 0, 0), utc(13, 0, 0)]),
        ("0 0 * * 5-7", [utc(4, 0, 0), utc(5, 0, 0)]),
        ("0 0 8 * *", [utc(3, 0, 0), utc(34, 0, 0)]),
        ("0 0 1 MAR *", [utc(55, 0, 0), utc(420, 0, 0)]),
        ("0 0 8 * fri", [utc(3, 0, 0), utc(4, 0, 0)]),
        ("0 0 */2 * fri", [utc(4, 0, 0), utc(18, 0, 0)]),
        ("@hourly", [utc(0, 1, 0), utc(0, 2, 0)]),
        ("@daily", [utc(1, 0, 0), utc(2, 0, 0)]),
        ("@weekly", [utc(6, 0, 0), utc(13, 0, 0)]),
        ("@monthly", [utc(27, 0, 0), utc(55, 0, 0)]),
        ("@yearly", [utc(361, 0, 0), utc(726, 0, 0)]),
    ] {
        check(expression, &Utc, utc(0, 0, 0), &expected);
    }
}

#[test]
fn the_29th_of_february_is_found_across_a_century_without_one() {
    let in_2096 = 3_981_312_000_000;
    let in_2104 = 4_233_686_400_000;
    check("0 0 29 2 *", &Utc, in_2096 - 1, &[in_2096, in_2104]);
}

#[test]
fn wrong_expressions_say_where_they_are_wrong() {
    for (expression, said) in [
        (
            "",
            "has five fields (minute, hour, day of the month, month, weekday), and this one has 0",
        ),
        ("* * * *", "this one has 4"),
        ("* * * * * *", "this one has 6"),
        (
            "60 * * * *",
            "`60` in the field for the minute (column 1) is no value: want 0 to 59",
        ),
        (
            "* 24 * * *",
            "the hour (column 3) is no value: want 0 to 23",
        ),
        (
            "* * 0 * *",
            "the day of the month (column 5) is no value: want 1 to 31",
        ),
        (
            "* * * 13 *",
            "the month (column 7) is no value: want 1 to 12 or jan to dec",
        ),
        (
            "* * * * 8",
            "want 0 to 7 (0 and 7 are Sunday) or sun to sat",
        ),
        (
            "1,2,x * * * *",
            "`x` in the field for the minute (column 5)",
        ),
        ("7-5 * * * *", "`7-5` in the field"),
        ("*/0 * * * *", "`*/0` in the field"),
        ("+5 * * * *", "`+5` in the field"),
        ("1, * * * *", "`` in the field for the minute (column 3)"),
        ("@often", "`@often` is no word for a cron expression"),
        ("0 0 31 2 *", "`0 0 31 2 *` means a day that never comes"),
    ] {
        let error = expression.parse::<Cron>().unwrap_err().to_string();
        assert!(error.contains(said), "`{expression}`: {error}");
    }
    let long = "1".repeat(SCHEDULE_EXPRESSION_BYTES_MAX + 1);
    assert_eq!(long.parse::<Cron>(), Err(CronError::TooLong(long.len())));
}

#[test]
fn what_lies_in_an_hour_that_is_left_out_is_due_once_when_the_clock_jumps() {
    // On that Tuesday 02:00 becomes 03:00.
    let jump = utc(8, 1, 0);
    for (expression, expected) in [
        ("30 2 * * *", [utc(7, 1, 30), jump, utc(9, 0, 30)]),
        ("0,30 2 * * *", [utc(7, 1, 30), jump, utc(9, 0, 0)]),
        ("0 2,3 * * *", [utc(7, 2, 0), jump, utc(9, 0, 0)]),
        ("0 3 * * *", [utc(7, 2, 0), jump, utc(9, 1, 0)]),
        (
            "30 1,3 * * *",
            [utc(7, 2, 30), utc(8, 0, 30), utc(8, 1, 30)],
        ),
    ] {
        check(expression, &summer(), utc(7, 1, 15), &expected);
    }
}

#[test]
fn what_lies_in_an_hour_that_comes_twice_is_due_the_first_time() {
    // On that Thursday 03:00 becomes 02:00.
    for (expression, expected) in [
        ("30 2 * * *", [utc(10, 0, 30), utc(11, 1, 30)]),
        ("0 3 * * *", [utc(10, 2, 0), utc(11, 2, 0)]),
        ("45 1,2 * * *", [utc(9, 23, 45), utc(10, 0, 45)]),
    ] {
        check(expression, &summer(), utc(9, 12, 0), &expected);
    }
    // A search that begins in the second of the two hours does not find what was in the first.
    check("30 2 * * *", &summer(), utc(10, 1, 10), &[utc(11, 1, 30)]);
}

#[test]
fn what_is_of_every_hour_follows_the_passing_of_time() {
    let jump = [utc(8, 0, 30), utc(8, 1, 0), utc(8, 1, 30)];
    check("*/30 * * * *", &summer(), utc(8, 0, 0), &jump);
    let twice = [utc(10, 0, 45), utc(10, 1, 45), utc(10, 2, 45)];
    check("45 * * * *", &summer(), utc(10, 0, 0), &twice);
}

#[test]
fn spans_keep_their_beat_whatever_is_missed() {
    let timing = Timing::Every { every_ms: 1_000 };
    for (due, after, next) in [
        (5_000, 5_003, 6_000),
        (5_000, 8_999, 9_000),
        (5_000, 9_000, 10_000),
        (5_000, 4_999, 5_000),
        (5_000, 1_000, 5_000),
    ] {
        let found = timing.next_in_spans(UnixMillis(due), UnixMillis(after));
        assert_eq!(found, Some(UnixMillis(next)));
    }
}

/// What a clerk would do who looks at the clock on the wall each minute.
fn watched(cron: &Cron, zone: &dyn Zone, from: u64, to: u64) -> Vec<UnixMillis> {
    let local = |at: u64| at as i64 / 60_000 + zone.offset_s(UnixMillis(at)) / 60;
    let mut shown = local(from.saturating_sub(DAY_MS));
    let mut due = Vec::new();
    for at in (from.saturating_sub(DAY_MS)..=to).step_by(MINUTE_MS as usize) {
        let now = local(at);
        let is_due = if cron.is_of_every_hour() {
            cron.means(LocalMinute(now))
        } else {
            (shown + 1..=now).any(|minute| cron.means(LocalMinute(minute)))
        };
        shown = shown.max(now);
        if is_due && at > from {
            due.push(UnixMillis(at));
        }
    }
    due
}

fn expressions() -> impl Strategy<Value = String> {
    let minute = prop_oneof![
        Just("*/7".to_owned()),
        (0..60_u8).prop_map(|at| at.to_string())
    ];
    let hour = prop_oneof![
        Just("*".to_owned()),
        Just("*/3".to_owned()),
        (0..22_u8).prop_map(|at| format!("{at}-{}", at + 2)),
    ];
    let weekday = prop_oneof![Just("*"), Just("1-5"), Just("sun,tue")];
    (minute, hour, weekday)
        .prop_map(|(minute, hour, weekday)| format!("{minute} {hour} * * {weekday}"))
}

proptest! {
    #[test]
    fn due_times_are_those_that_a_watcher_of_the_clock_finds(
        expression in expressions(),
        first in -12..12_i64,
        changes in prop::collection::btree_map(1_500..8_000_u64, -12..12_i64, 0..3),
        start in 1_500..4_000_u64,
    ) {
        // Clocks are changed by up to an hour, and rest for two days before the next change.
        let mut last = (0, first);
        let mut kept = BTreeMap::new();
        for (minute, quarters) in changes {
            let offset = last.1 + quarters.signum() * (quarters.abs() % 5);
            if minute > last.0 + 2_880 {
                kept.insert(minute * MINUTE_MS, offset * 15);
                last = (minute, offset);
            }
        }
        let zone = Changing { first: first * 15, changes: kept };
        let cron: Cron = expression.parse().unwrap();
        let (from, to) = (start * MINUTE_MS, 10_000 * MINUTE_MS);
        let mut found = Vec::new();
        let mut after = UnixMillis(from);
        while let Some(due) = next_due(&cron, &zone, after).filter(|due| due.0 <= to) {
            prop_assert!(due > after);
            found.push(due);
            after = due;
        }
        prop_assert_eq!(found, watched(&cron, &zone, from, to));
    }
}
