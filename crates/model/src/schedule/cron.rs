//! Cron expressions: which local minutes they mean. Pure: local time comes in, local time goes out.

use crate::limits::SCHEDULE_EXPRESSION_BYTES_MAX;

const MINUTES_PER_DAY: i64 = 24 * 60;
/// How far ahead the next minute is looked for: the 29th of February may be eight years away.
const DAYS_AHEAD: i64 = 8 * 366;
/// Words for whole expressions.
const WORDS: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];
const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// Why a text is no cron expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// It is too long.
    #[error(
        "the cron expression has {0} bytes: SCHEDULE_EXPRESSION_BYTES_MAX is {max}",
        max = SCHEDULE_EXPRESSION_BYTES_MAX
    )]
    TooLong(usize),
    /// It begins with `@` and is none of the known words.
    #[error(
        "`{0}` is no word for a cron expression: want @hourly, @daily, @weekly, @monthly or \
         @yearly, or five fields"
    )]
    UnknownWord(String),
    /// It has not five fields.
    #[error(
        "a cron expression has five fields (minute, hour, day of the month, month, weekday), and \
         this one has {0}: write `*` for a field that does not matter"
    )]
    FieldCount(usize),
    /// A part of a field cannot be read.
    #[error(
        "`{part}` in the field for the {field} (column {column}) is no value: want {min} to \
         {max}{names}, `*`, a range such as `{min}-{max}`, or a step such as `*/2`"
    )]
    BadPart {
        /// The part between commas.
        part: String,
        /// What the field is for.
        field: &'static str,
        /// Where the part begins, counted from 1 in bytes.
        column: usize,
        /// Smallest value.
        min: u8,
        /// Largest value.
        max: u8,
        /// Which names may be used.
        names: &'static str,
    },
    /// No minute of the next eight years is meant.
    #[error("the cron expression `{0}` means a day that never comes")]
    Never(String),
}

/// A minute of local time, counted from the beginning of 1970 of the same local time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LocalMinute(pub i64);

/// A cron expression of five fields, read. If both days of the month and weekdays are restricted,
/// a day is meant that is one of either; a field that begins with `*` restricts nothing in this
/// sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cron {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Whether either of days and weekdays is enough.
    either_day: bool,
}

/// One of the five fields.
struct Field {
    what: &'static str,
    min: u8,
    max: u8,
    names: &'static [&'static str],
    /// For errors.
    names_text: &'static str,
}

const FIELDS: [Field; 5] = [
    Field {
        what: "minute",
        min: 0,
        max: 59,
        names: &[],
        names_text: "",
    },
    Field {
        what: "hour",
        min: 0,
        max: 23,
        names: &[],
        names_text: "",
    },
    Field {
        what: "day of the month",
        min: 1,
        max: 31,
        names: &[],
        names_text: "",
    },
    Field {
        what: "month",
        min: 1,
        max: 12,
        names: &MONTHS,
        names_text: " or jan to dec",
    },
    Field {
        what: "weekday",
        min: 0,
        max: 7,
        names: &WEEKDAYS,
        names_text: " (0 and 7 are Sunday) or sun to sat",
    },
];

impl std::str::FromStr for Cron {
    type Err = CronError;

    /// Reads an expression.
    ///
    /// # Errors
    /// Says where it is wrong; [`CronError::Never`] for one that means no minute at all.
    fn from_str(text: &str) -> Result<Self, CronError> {
        if text.len() > SCHEDULE_EXPRESSION_BYTES_MAX {
            return Err(CronError::TooLong(text.len()));
        }
        let word = text.trim();
        if word.starts_with('@') {
            let known = WORDS.iter().find(|(name, _)| *name == word);
            let (_, fields) = known.ok_or_else(|| CronError::UnknownWord(word.to_owned()))?;
            return Self::of_fields(fields);
        }
        Self::of_fields(text)
    }
}

impl Cron {
    fn of_fields(text: &str) -> Result<Self, CronError> {
        let words: Vec<&str> = text.split_whitespace().collect();
        if words.len() != FIELDS.len() {
            return Err(CronError::FieldCount(words.len()));
        }
        let mut bits = [0_u64; 5];
        for ((field, word), bits) in FIELDS.iter().zip(&words).zip(&mut bits) {
            // Words are parts of the text, so that their addresses say where they are.
            let column = word.as_ptr() as usize - text.as_ptr() as usize + 1;
            *bits = field.read(word, column)?;
        }
        let [minutes, hours, days, months, weekdays] = bits;
        let sunday = (weekdays >> 7) & 1;
        let cron = Self {
            minutes,
            hours,
            days,
            months,
            weekdays: (weekdays | sunday) & 0x7f,
            either_day: !words[2].starts_with('*') && !words[4].starts_with('*'),
        };
        match cron.next_from(LocalMinute(0)) {
            Some(_) => Ok(cron),
            None => Err(CronError::Never(text.to_owned())),
        }
    }

    /// Whether it means minutes of every hour: then it follows the passing of time, and is due
    /// twice in an hour that comes twice.
    pub const fn is_of_every_hour(&self) -> bool {
        self.hours == (1 << 24) - 1
    }

    /// Whether it means this minute.
    pub fn means(&self, minute: LocalMinute) -> bool {
        let (day, of_day) = split(minute);
        self.means_day(day) && self.means_minute(of_day)
    }

    /// The first minute it means that is not before `from`; none within eight years.
    pub fn next_from(&self, from: LocalMinute) -> Option<LocalMinute> {
        let (first, of_first) = split(from);
        (first..first + DAYS_AHEAD).find_map(|day| {
            if !self.means_day(day) {
                return None;
            }
            let earliest = if day == first { of_first } else { 0 };
            let found = (earliest..MINUTES_PER_DAY).find(|minute| self.means_minute(*minute));
            found.map(|minute| LocalMinute(day * MINUTES_PER_DAY + minute))
        })
    }

    fn means_day(&self, day: i64) -> bool {
        let (month, of_month) = month_and_day(day);
        // The first day of 1970 was a Thursday.
        let weekday = (day + 4).rem_euclid(7);
        let by_day = has(self.days, of_month);
        let by_weekday = has(self.weekdays, weekday);
        let fits = if self.either_day {
            by_day || by_weekday
        } else {
            by_day && by_weekday
        };
        fits && has(self.months, month)
    }

    fn means_minute(&self, of_day: i64) -> bool {
        has(self.hours, of_day / 60) && has(self.minutes, of_day % 60)
    }
}

impl Field {
    fn read(&self, word: &str, column: usize) -> Result<u64, CronError> {
        let mut bits = 0;
        let mut column = column;
        for part in word.split(',') {
            let read = self.part(part);
            bits |= read.ok_or_else(|| CronError::BadPart {
                part: part.to_owned(),
                field: self.what,
                column,
                min: self.min,
                max: self.max,
                names: self.names_text,
            })?;
            column += part.len() + 1;
        }
        Ok(bits)
    }

    /// One part between commas: values, with a step or without.
    fn part(&self, part: &str) -> Option<u64> {
        let (values, step) = match part.split_once('/') {
            Some((values, step)) => (values, Some(number(step).filter(|step| *step > 0)?)),
            None => (part, None),
        };
        let (first, last) = match values.split_once('-') {
            _ if values == "*" => (self.min, self.max),
            Some((first, last)) => (self.value(first)?, self.value(last)?),
            // With a step, one value means all from there on.
            None if step.is_some() => (self.value(values)?, self.max),
            None => (self.value(values)?, self.value(values)?),
        };
        if first > last {
            return None;
        }
        let all = (first..=last).step_by(usize::from(step.unwrap_or(1)));
        Some(all.fold(0, |bits, value| bits | 1 << value))
    }

    fn value(&self, text: &str) -> Option<u8> {
        let lower = text.to_ascii_lowercase();
        if let Some(position) = self.names.iter().position(|name| *name == lower) {
            return Some(position as u8 + self.min);
        }
        number(text).filter(|value| (self.min..=self.max).contains(value))
    }
}

/// A number of digits alone: `+1` is none.
fn number(text: &str) -> Option<u8> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| text.parse().ok()).flatten()
}

const fn has(bits: u64, value: i64) -> bool {
    (bits >> value) & 1 == 1
}

/// The day, counted from 1970, and the minute of it.
const fn split(minute: LocalMinute) -> (i64, i64) {
    let day = minute.0.div_euclid(MINUTES_PER_DAY);
    (day, minute.0.rem_euclid(MINUTES_PER_DAY))
}

/// Month and day of the month in the Gregorian calendar. Years are counted from March, so that the
/// leap day is the last of its year, in eras of 400 years, which all have equally many days.
const fn month_and_day(day: i64) -> (i64, i64) {
    const DAYS_PER_ERA: i64 = 146_097;
    /// From the first of March of the year 0 to 1970.
    const DAYS_TO_1970: i64 = 719_468;
    let of_era = (day + DAYS_TO_1970).rem_euclid(DAYS_PER_ERA);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // From March on, five months have 153 days, again and again.
    let from_march = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    (month, of_month)
}
