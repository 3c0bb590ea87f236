//! Looks at clock, power and load, and says when the node is away.

use super::{Availability, Facts, PERMILLE_PER_PERCENT};
use crate::AVAILABILITY_CHECK_MS;
use jiff::Zoned;
use skep_wire::NodeInput;
use std::fs;
use std::path::{Path, PathBuf};

/// Where the kernel shows batteries and mains.
const POWER_SUPPLIES: &str = "/sys/class/power_supply";

/// What the owner wants, and what was seen of the machine so far.
#[derive(Debug)]
pub(crate) struct Schedule {
    wanted: Availability,
    power_supplies: PathBuf,
    next_look: u64,
    /// Since when nobody but the node used the machine.
    quiet_since: Option<u64>,
}

impl Schedule {
    pub(crate) fn new(wanted: Availability) -> Self {
        Self {
            wanted,
            power_supplies: PathBuf::from(POWER_SUPPLIES),
            next_look: 0,
            quiet_since: None,
        }
    }

    /// A sample of the load. While attempts run here the load is theirs and says nothing about the
    /// owner.
    pub(crate) fn loaded(&mut self, now: u64, load_permille: u32, attempts: u32) {
        let Some(idle) = self.wanted.idle_only else {
            return;
        };
        if attempts > 0 {
            return;
        }
        if load_permille < u32::from(idle.load_percent_max) * PERMILLE_PER_PERCENT {
            self.quiet_since.get_or_insert(now);
        } else {
            self.quiet_since = None;
        }
    }

    /// Every few seconds: what the brain is to hear about it, away or not.
    pub(crate) fn look(&mut self, now: u64) -> Option<NodeInput> {
        if self.wanted.is_always() || now < self.next_look {
            return None;
        }
        self.next_look = now.saturating_add(AVAILABILITY_CHECK_MS);
        let (weekday, minute) = clock_shows(&Zoned::now());
        let facts = Facts {
            weekday,
            minute,
            on_battery: self.wanted.on_ac_power_only && on_battery(&self.power_supplies),
            quiet_ms: self
                .quiet_since
                .map_or(0, |since| now.saturating_sub(since)),
        };
        let reason = self.wanted.away(&facts);
        Some(NodeInput::Away(reason.map(str::to_owned)))
    }
}

/// Days since Monday and minutes since midnight, as a clock on the wall shows them.
fn clock_shows(time: &Zoned) -> (u8, u16) {
    let minute = i32::from(time.hour()) * 60 + i32::from(time.minute());
    (
        time.weekday().to_monday_zero_offset().unsigned_abs(),
        u16::try_from(minute).unwrap_or_default(),
    )
}

/// Whether the machine has mains and none of them is on, or has only a battery that empties. What
/// shows neither is a machine on mains.
fn on_battery(power_supplies: &Path) -> bool {
    let Ok(entries) = fs::read_dir(power_supplies) else {
        return false;
    };
    let (mut mains, mut mains_on, mut empties) = (false, false, false);
    for entry in entries.flatten() {
        let said = |file: &str| {
            let text = fs::read_to_string(entry.path().join(file)).unwrap_or_default();
            text.trim().to_owned()
        };
        match said("type").as_str() {
            "Mains" | "USB" => {
                mains = true;
                mains_on |= said("online") == "1";
            }
            // Batteries of mice and headsets are no concern.
            "Battery" if said("scope") != "Device" => empties |= said("status") == "Discharging",
            _ => {}
        }
    }
    if mains { !mains_on && empties } else { empties }
}

#[cfg(test)]
mod tests {
    use super::super::Idle;
    use super::*;

    #[test]
    fn power_is_read_as_the_kernel_shows_it() {
        type Supply<'a> = (&'a str, &'a [(&'a str, &'a str)]);
        let ac = |online| ("AC", [("type", "Mains"), ("online", online)]);
        let battery = |status| ("BAT0", [("type", "Battery"), ("status", status)]);
        let mouse = [
            ("type", "Battery"),
            ("status", "Discharging"),
            ("scope", "Device"),
        ];
        let (on, off) = (ac("1"), ac("0"));
        let (empties, full) = (battery("Discharging"), battery("Full"));
        let rows: [(&[Supply<'_>], bool); 6] = [
            (&[], false),
            (&[(on.0, &on.1), (full.0, &full.1)], false),
            (&[(off.0, &off.1), (empties.0, &empties.1)], true),
            (&[(on.0, &on.1), (empties.0, &empties.1)], false),
            (&[(empties.0, &empties.1)], true),
            (&[("hid-1", &mouse)], false),
        ];
        for (supplies, expected) in rows {
            let root = tempfile::tempdir().unwrap();
            for (name, files) in supplies {
                let directory = root.path().join(name);
                fs::create_dir(&directory).unwrap();
                for (file, text) in *files {
                    fs::write(directory.join(file), format!("{text}\n")).unwrap();
                }
            }
            assert_eq!(on_battery(root.path()), expected, "{supplies:?}");
        }
        assert!(!on_battery(Path::new("/nowhere/at/all")));
    }

    #[test]
    fn a_machine_is_quiet_since_its_load_fell_and_own_attempts_do_not_count() {
        let mut schedule = Schedule::new(Availability {
            idle_only: Some(Idle {
                load_percent_max: 20,
                minutes: 1,
            }),
            ..Availability::default()
        });
        let away = |schedule: &mut Schedule, now| match schedule.look(now) {
            Some(NodeInput::Away(reason)) => reason,
            other => panic!("a look is due: {other:?}"),
        };
        assert!(away(&mut schedule, 0).is_some(), "nothing is known yet");
        assert_eq!(schedule.look(1), None, "not so soon again");
        schedule.loaded(10_000, 199, 0);
        schedule.loaded(20_000, 100, 0);
        assert!(away(&mut schedule, 69_999).is_some());
        schedule.next_look = 0;
        assert_eq!(away(&mut schedule, 70_000), None);
        schedule.loaded(80_000, 1_000, 3);
        assert_eq!(away(&mut schedule, 80_000), None, "it works itself");
        schedule.loaded(90_000, 200, 0);
        assert!(away(&mut schedule, 90_000).is_some());
    }

    /// Hours are those that the owner sees on the wall, whatever the zone does that day.
    #[test]
    fn hours_are_kept_over_leap_days_changes_of_the_zone_and_2038() {
        const BERLIN: &str = "CET-1CEST,M3.5.0,M10.5.0/3";
        const NEW_YORK: &str = "EST5EDT,M3.2.0,M11.1.0";
        const KOLKATA: &str = "IST-5:30";
        // Zone, hours, moment, and whether they hold then.
        let rows = [
            // Clocks go from 02:00 to 03:00, and so never show 02:30.
            (BERLIN, "sun 01:00-02:00", "2027-03-28T00:59:59Z", true),
            (BERLIN, "sun 01:00-02:00", "2027-03-28T01:00:00Z", false),
            (BERLIN, "sun 02:00-03:00", "2027-03-28T00:59:59Z", false),
            (BERLIN, "sun 02:00-03:00", "2027-03-28T01:00:00Z", false),
            (BERLIN, "sun 03:00-04:00", "2027-03-28T01:00:00Z", true),
            // Clocks go from 03:00 to 02:00, and so show 02:30 twice.
            (BERLIN, "sun 02:00-03:00", "2027-10-31T00:30:00Z", true),
            (BERLIN, "sun 02:00-03:00", "2027-10-31T01:30:00Z", true),
            (BERLIN, "sun 02:00-03:00", "2027-10-31T02:00:00Z", false),
            // Nights go on over the change, and end by the new time.
            (BERLIN, "sat 22:00-06:00", "2027-03-28T03:59:59Z", true),
            (BERLIN, "sat 22:00-06:00", "2027-03-28T04:00:00Z", false),
            (BERLIN, "sat 22:00-06:00", "2027-10-31T04:59:59Z", true),
            (BERLIN, "sat 22:00-06:00", "2027-10-31T05:00:00Z", false),
            // Other zones change on other days, or never, and not by whole hours.
            (NEW_YORK, "sun 02:00-03:00", "2027-03-14T07:00:00Z", false),
            (NEW_YORK, "sun 03:00-04:00", "2027-03-14T07:00:00Z", true),
            (NEW_YORK, "sun 01:00-02:00", "2027-11-07T06:30:00Z", true),
            (KOLKATA, "mon 00:00-00:30", "2027-03-28T18:29:59Z", false),
            (KOLKATA, "mon 00:00-00:30", "2027-03-28T18:30:00Z", true),
            // The leap day is a Tuesday, and March begins on a Wednesday.
            (BERLIN, "tue 00:00-24:00", "2028-02-29T11:00:00Z", true),
            (BERLIN, "tue 22:00-06:00", "2028-03-01T04:59:59Z", true),
            (BERLIN, "wed 00:00-24:00", "2028-02-29T23:00:00Z", true),
            // 32 bits of seconds end on a Tuesday, 04:14:07 in Berlin.
            (BERLIN, "tue 04:00-05:00", "2038-01-19T03:14:07Z", true),
            (BERLIN, "tue 04:00-05:00", "2038-01-19T03:14:08Z", true),
            (BERLIN, "tue 04:00-05:00", "2038-01-19T04:00:00Z", false),
        ];
        for (zone, hours, moment, expected) in rows {
            let moment: jiff::Timestamp = moment.parse().unwrap();
            let zone = jiff::tz::TimeZone::posix(zone).unwrap();
            let (weekday, minute) = clock_shows(&moment.to_zoned(zone));
            let hours: super::super::Hours = hours.parse().unwrap();
            assert_eq!(hours.contain(weekday, minute), expected, "{hours} {moment}");
        }
    }

    #[test]
    fn who_is_always_there_is_not_looked_at() {
        assert_eq!(Schedule::new(Availability::default()).look(5), None);
    }
}
