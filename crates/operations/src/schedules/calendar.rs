//! When schedules are due, by the time zones that this machine knows.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use skep_coordinator::ports::Calendar;
use skep_model::schedule::{Cron, Timing, Zone, next_due};
use skep_model::time::UnixMillis;

/// The name that needs no data of the machine.
pub(super) const UTC: &str = "UTC";

/// Time zones from the files of the machine.
#[derive(Debug, Clone, Copy)]
pub struct SystemCalendar;

/// A time zone of the machine.
pub(super) struct SystemZone(TimeZone);

impl SystemZone {
    /// The zone of this IANA name; none when the machine does not know it.
    pub(super) fn named(name: &str) -> Option<Self> {
        if name == UTC {
            return Some(Self(TimeZone::UTC));
        }
        TimeZone::get(name).ok().map(Self)
    }
}

fn timestamp(at: UnixMillis) -> Timestamp {
    let ms = i64::try_from(at.0).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX)
}

impl Zone for SystemZone {
    fn offset_s(&self, at: UnixMillis) -> i64 {
        self.0.to_offset(timestamp(at)).seconds().into()
    }

    fn next_change(&self, after: UnixMillis) -> Option<UnixMillis> {
        let next = self.0.following(timestamp(after)).next()?;
        let ms = u64::try_from(next.timestamp().as_millisecond()).ok()?;
        Some(UnixMillis(ms)).filter(|at| *at > after)
    }
}

impl Calendar for SystemCalendar {
    fn next(&self, timing: &Timing, due: UnixMillis, after: UnixMillis) -> Option<UnixMillis> {
        let Timing::Cron { expression, zone } = timing else {
            return timing.next_in_spans(due, after);
        };
        let cron: Cron = expression.parse().ok()?;
        let next = SystemZone::named(zone).and_then(|zone| next_due(&cron, &zone, after));
        if next.is_none() {
            tracing::warn!(
                expression,
                zone,
                "a schedule has no next due time: this machine does not know its time zone, or no \
                 such day comes"
            );
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(expression: &str, zone: TimeZone, after: &str) -> String {
        let after: Timestamp = after.parse().unwrap();
        let after = UnixMillis(after.as_millisecond() as u64);
        let due = next_due(&expression.parse().unwrap(), &SystemZone(zone), after).unwrap();
        timestamp(due).to_string()
    }

    #[test]
    fn due_times_follow_the_rules_of_the_zone() {
        let zone = || TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        for (expression, after, due) in [
            ("0 6 * * *", "2027-01-10T00:00:00Z", "2027-01-10T05:00:00Z"),
            ("0 6 * * *", "2027-07-10T00:00:00Z", "2027-07-10T04:00:00Z"),
            ("30 2 * * *", "2027-03-28T00:00:00Z", "2027-03-28T01:00:00Z"),
            ("30 2 * * *", "2027-10-31T00:00:00Z", "2027-10-31T00:30:00Z"),
            ("30 2 * * *", "2027-10-31T00:30:00Z", "2027-11-01T01:30:00Z"),
            ("30 * * * *", "2027-10-31T00:30:00Z", "2027-10-31T01:30:00Z"),
        ] {
            assert_eq!(
                next(expression, zone(), after),
                due,
                "{expression}, {after}"
            );
        }
    }

    #[test]
    fn a_zone_that_is_not_known_has_no_due_times() {
        let timing = |zone: &str| Timing::Cron {
            expression: "@daily".to_owned(),
            zone: zone.to_owned(),
        };
        let next = |zone| SystemCalendar.next(&timing(zone), UnixMillis(0), UnixMillis(0));
        assert_eq!(next("Mars/Olympus"), None);
        assert_eq!(next(UTC), Some(UnixMillis(86_400_000)));
    }
}
