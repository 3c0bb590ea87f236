//! Hours of the week, as an owner writes them.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const MINUTES_PER_HOUR: u16 = 60;
const MINUTES_PER_DAY: u16 = 24 * MINUTES_PER_HOUR;

/// Hours on some days of the week, local time: `mon-fri 18:00-08:00`. Hours that end before they
/// begin end on the next day. Without days they are those of every day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hours {
    first_day: u8,
    last_day: u8,
    from: u16,
    to: u16,
}

/// A text that is not of the form `mon-fri 18:00-08:00`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` should look like `mon-fri 18:00-08:00`, `sat 00:00-24:00` or `22:00-06:00`")]
pub struct ParseHoursError {
    text: String,
}

impl Hours {
    /// Whether the minute of the day (0 is midnight) is among them; Monday is day 0.
    pub(crate) fn contain(self, weekday: u8, minute: u16) -> bool {
        if self.from < self.to {
            return self.has(weekday) && (self.from..self.to).contains(&minute);
        }
        let yesterday = (weekday + 6) % 7;
        (self.has(weekday) && minute >= self.from) || (self.has(yesterday) && minute < self.to)
    }

    /// Days that end before they begin go over Sunday.
    fn has(self, weekday: u8) -> bool {
        if self.first_day <= self.last_day {
            (self.first_day..=self.last_day).contains(&weekday)
        } else {
            weekday >= self.first_day || weekday <= self.last_day
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let (days, times) = match (words.next()?, words.next()) {
            (times, None) => (None, times),
            (days, Some(times)) => (Some(days), times),
        };
        let (first_day, last_day) = match days {
            None => (0, 6),
            Some(days) => match days.split_once('-') {
                Some((first, last)) => (day(first)?, day(last)?),
                None => (day(days)?, day(days)?),
            },
        };
        let (from, to) = times.split_once('-')?;
        let (from, to) = (minute(from)?, minute(to)?);
        let makes_sense = words.next().is_none() && from != to && from < MINUTES_PER_DAY;
        makes_sense.then_some(Self {
            first_day,
            last_day,
            from,
            to,
        })
    }
}

fn day(text: &str) -> Option<u8> {
    let place = DAYS.iter().position(|day| *day == text)?;
    u8::try_from(place).ok()
}

/// Minutes since midnight; `24:00` is the end of the day.
fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let is_written_out = hour.len() == 2 && minute.len() == 2;
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    let total = hour.checked_mul(MINUTES_PER_HOUR)?.checked_add(minute)?;
    (is_written_out && minute < MINUTES_PER_HOUR && total <= MINUTES_PER_DAY).then_some(total)
}

impl FromStr for Hours {
    type Err = ParseHoursError;

    fn from_str(text: &str) -> Result<Self, ParseHoursError> {
        Self::parse(text).ok_or_else(|| ParseHoursError {
            text: text.to_owned(),
        })
    }
}

impl TryFrom<String> for Hours {
    type Error = ParseHoursError;

    fn try_from(text: String) -> Result<Self, ParseHoursError> {
        text.parse()
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, last] = [self.first_day, self.last_day].map(|day| DAYS[usize::from(day)]);
        let clock = |minute: u16| {
            let (hour, minute) = (minute / MINUTES_PER_HOUR, minute % MINUTES_PER_HOUR);
            format!("{hour:02}:{minute:02}")
        };
        if first == last {
            write!(f, "{first} ")?;
        } else {
            write!(f, "{first}-{last} ")?;
        }
        write!(f, "{}-{}", clock(self.from), clock(self.to))
    }
}

impl From<Hours> for String {
    fn from(hours: Hours) -> Self {
        hours.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_contain_their_minutes_and_go_over_midnight() {
        const MON: u8 = 0;
        const FRI: u8 = 4;
        const SAT: u8 = 5;
        const SUN: u8 = 6;
        let rows = [
            ("mon-fri 18:00-08:00", MON, "17:59", false),
            ("mon-fri 18:00-08:00", MON, "18:00", true),
            ("mon-fri 18:00-08:00", MON, "07:59", false),
            ("mon-fri 18:00-08:00", FRI, "23:59", true),
            ("mon-fri 18:00-08:00", SAT, "07:59", true),
            ("mon-fri 18:00-08:00", SAT, "08:00", false),
            ("sat 00:00-24:00", SAT, "23:59", true),
            ("sat 00:00-24:00", SUN, "00:00", false),
            ("sat-mon 09:00-10:00", SUN, "09:30", true),
            ("sat-mon 09:00-10:00", FRI, "09:30", false),
            ("22:00-06:00", MON, "05:00", true),
            ("22:00-06:00", MON, "12:00", false),
        ];
        for (text, weekday, at, expected) in rows {
            let hours: Hours = text.parse().unwrap();
            let at_minute = minute(at).unwrap();
            assert_eq!(hours.contain(weekday, at_minute), expected, "{text} {at}");
            assert_eq!(hours.to_string().parse(), Ok(hours), "{text}");
        }
    }

    #[test]
    fn what_is_no_span_of_hours_is_refused() {
        for text in [
            "",
            "mon",
            "always",
            "mon-fri",
            "mon 18-08",
            "mon 8:00-9:00",
            "mon 18:60-19:00",
            "mon 24:00-08:00",
            "mon 09:00-24:01",
            "mon 09:00-09:00",
            "day 09:00-10:00",
            "mon 09:00-10:00 fri",
        ] {
            assert!(text.parse::<Hours>().is_err(), "{text}");
        }
    }
}
