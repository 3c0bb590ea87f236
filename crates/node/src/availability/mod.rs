//! When the node takes work, as its owner wants it.
//!
//! [`Availability`] is what the owner says; [`Availability::away`] decides, from facts alone. A node
//! that is away finishes what it runs and is given nothing new. A machine that is put to sleep says
//! nothing: its lease goes on meanwhile, because the node counts time by a clock that counts sleep,
//! too. When it wakes up too late, it stops its attempts before it does anything else, and others
//! have them.

mod hours;
mod schedule;

pub use hours::{Hours, ParseHoursError};
pub(crate) use schedule::Schedule;

use serde::{Deserialize, Serialize};
use skep_model::requirements::Resources;

const MS_PER_MINUTE: u64 = 60_000;
const PERMILLE_PER_PERCENT: u32 = 10;

/// What an owner wants. Left out, the machine always takes work, with all it has.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Availability {
    /// Only in these hours of local time; always, when there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hours: Vec<Hours>,
    /// Only while nobody else uses the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_only: Option<Idle>,
    /// Not while it runs on its battery.
    pub on_ac_power_only: bool,
    /// Offers at most this share of its processors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_percent_max: Option<u8>,
    /// Offers at most this share of its memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_percent_max: Option<u8>,
}

/// When a machine counts as idle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Idle {
    /// Its processors were busy by less than this.
    pub load_percent_max: u8,
    /// For so long.
    pub minutes: u32,
}

/// What is known about the machine at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Days since Monday.
    pub(crate) weekday: u8,
    /// Minutes since midnight, local time.
    pub(crate) minute: u16,
    /// It runs on its battery.
    pub(crate) on_battery: bool,
    /// How long it has been quiet.
    pub(crate) quiet_ms: u64,
}

impl Availability {
    /// Why the machine takes no work now; `None` when it does.
    pub(crate) fn away(&self, facts: &Facts) -> Option<&'static str> {
        let is_open = self.hours.is_empty()
            || self
                .hours
                .iter()
                .any(|hours| hours.contain(facts.weekday, facts.minute));
        if !is_open {
            return Some("outside of its hours");
        }
        if self.on_ac_power_only && facts.on_battery {
            return Some("on battery");
        }
        let is_busy = self
            .idle_only
            .is_some_and(|idle| facts.quiet_ms < u64::from(idle.minutes) * MS_PER_MINUTE);
        is_busy.then_some("its owner uses it")
    }

    /// Whether anything but the offered resources depends on it.
    pub(crate) fn is_always(&self) -> bool {
        self.hours.is_empty() && self.idle_only.is_none() && !self.on_ac_power_only
    }

    /// What is offered of what the machine has.
    pub(crate) fn cut(&self, offered: Resources, machine: &Resources) -> Resources {
        let share = |whole: u64, percent: Option<u8>| {
            percent.map_or(u64::MAX, |percent| {
                (u128::from(whole) * u128::from(percent) / 100) as u64
            })
        };
        let cpu = share(machine.cpu_millis, self.cpu_percent_max);
        let memory = share(machine.memory_bytes, self.memory_percent_max);
        Resources {
            cpu_millis: offered.cpu_millis.min(cpu),
            memory_bytes: offered.memory_bytes.min(memory),
            ..offered
        }
    }

    /// The first value that makes no sense: its name and itself.
    pub(crate) fn nonsense(&self) -> Option<(&'static str, String)> {
        let percents = [
            ("cpu_percent_max", self.cpu_percent_max),
            ("memory_percent_max", self.memory_percent_max),
            (
                "load_percent_max",
                self.idle_only.map(|idle| idle.load_percent_max),
            ),
        ];
        percents.into_iter().find_map(|(name, percent)| {
            let percent = percent.filter(|percent| !(1..=100).contains(percent))?;
            Some((name, percent.to_string()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON_OF_A_TUESDAY: Facts = Facts {
        weekday: 1,
        minute: 720,
        on_battery: false,
        quiet_ms: 0,
    };

    fn wanted(text: &str) -> Availability {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn the_machine_is_away_for_the_first_reason_that_holds() {
        let noon = NOON_OF_A_TUESDAY;
        let battery = Facts {
            on_battery: true,
            ..noon
        };
        let quiet = Facts {
            quiet_ms: 5 * MS_PER_MINUTE,
            ..noon
        };
        let night = r#"{"hours": ["mon-fri 18:00-08:00", "sat-sun 00:00-24:00"]}"#;
        let idle = r#"{"idle_only": {"load_percent_max": 20, "minutes": 5}}"#;
        let mains = r#"{"on_ac_power_only": true}"#;
        let rows = [
            ("{}", battery, None),
            (night, noon, Some("outside of its hours")),
            (
                night,
                Facts {
                    minute: 1_080,
                    ..noon
                },
                None,
            ),
            (night, Facts { weekday: 5, ..noon }, None),
            (mains, noon, None),
            (mains, battery, Some("on battery")),
            (idle, noon, Some("its owner uses it")),
            (idle, quiet, None),
        ];
        for (text, facts, expected) in rows {
            assert_eq!(wanted(text).away(&facts), expected, "{text} {facts:?}");
            let is_always = text == "{}";
            assert_eq!(wanted(text).is_always(), is_always, "{text}");
        }
    }

    #[test]
    fn a_share_of_the_machine_bounds_what_is_offered() {
        let machine = Resources {
            cpu_millis: 8_000,
            memory_bytes: 1_000,
            disk_bytes: 7,
            ..Resources::NONE
        };
        let half = wanted(r#"{"cpu_percent_max": 50, "memory_percent_max": 25}"#);
        let offered = half.cut(machine, &machine);
        assert_eq!((offered.cpu_millis, offered.memory_bytes), (4_000, 250));
        assert_eq!(offered.disk_bytes, 7);
        let little = Resources {
            cpu_millis: 1_000,
            ..machine
        };
        assert_eq!(half.cut(little, &machine).cpu_millis, 1_000);
        assert_eq!(Availability::default().cut(machine, &machine), machine);
    }

    #[test]
    fn a_share_that_is_none_is_refused_by_name() {
        for (text, expected) in [
            ("{}", None),
            (r#"{"cpu_percent_max": 100}"#, None),
            (r#"{"cpu_percent_max": 0}"#, Some("cpu_percent_max")),
            (r#"{"memory_percent_max": 101}"#, Some("memory_percent_max")),
        ] {
            let found = wanted(text).nonsense().map(|(name, _)| name);
            assert_eq!(found, expected, "{text}");
        }
    }
}
