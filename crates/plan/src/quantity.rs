//! Spans of time, amounts of bytes and shares of processors, as people write them.

use serde::{Serialize, Serializer};
use std::borrow::Cow;

/// A span of time: `30s`, `5m`, `1h30m`, `250ms`, `2d`, or whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration {
    /// Milliseconds.
    pub ms: u64,
}

/// An amount of bytes: `512MiB`, `2GiB`, `10MB`, or whole bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size {
    /// Bytes.
    pub bytes: u64,
}

/// A number of processors with up to three decimals: `2`, `0.5`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cpu {
    /// Thousandths.
    pub millis: u64,
}

impl Duration {
    /// Reads a span; none when the text is not one or the span too long to count.
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(seconds) = text.parse::<u64>() {
            return seconds.checked_mul(1_000).map(|ms| Self { ms });
        }
        let mut rest = text;
        let mut ms = 0_u64;
        let mut largest = u64::MAX;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit())?;
            let (number, tail) = rest.split_at(digits);
            let unit_end = tail
                .find(|c: char| c.is_ascii_digit())
                .unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(unit_end);
            let unit_ms = match unit {
                "ms" => 1,
                "s" => 1_000,
                "m" => 60_000,
                "h" => 3_600_000,
                "d" => 86_400_000,
                _ => return None,
            };
            // Units fall, so that `30m1h` is a slip and not an hour and a half.
            if unit_ms >= largest {
                return None;
            }
            largest = unit_ms;
            ms = number
                .parse::<u64>()
                .ok()?
                .checked_mul(unit_ms)?
                .checked_add(ms)?;
            rest = tail;
        }
        (!text.is_empty()).then_some(Self { ms })
    }

    fn show(self) -> String {
        const UNITS: [(u64, &str); 5] = [
            (86_400_000, "d"),
            (3_600_000, "h"),
            (60_000, "m"),
            (1_000, "s"),
            (1, "ms"),
        ];
        if self.ms == 0 {
            return "0s".to_owned();
        }
        let mut rest = self.ms;
        let parts = UNITS.map(|(unit_ms, unit)| {
            let count = rest / unit_ms;
            rest %= unit_ms;
            if count > 0 {
                format!("{count}{unit}")
            } else {
                String::new()
            }
        });
        parts.concat()
    }
}

impl Size {
    /// Reads an amount; none when the text is not one or too large to count.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let unit_bytes: u64 = match unit.trim_start() {
            "" | "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            "TiB" => 1 << 40,
            "kB" | "KB" => 1_000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "TB" => 1_000_000_000_000,
            _ => return None,
        };
        let bytes = number.parse::<u64>().ok()?.checked_mul(unit_bytes)?;
        Some(Self { bytes })
    }

    fn show(self) -> String {
        const UNITS: [(u32, &str); 4] = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
        let exact = |shift: u32| self.bytes > 0 && self.bytes.trailing_zeros() >= shift;
        match UNITS.into_iter().find(|(shift, _)| exact(*shift)) {
            Some((shift, unit)) => format!("{}{unit}", self.bytes >> shift),
            None => self.bytes.to_string(),
        }
    }
}

impl Cpu {
    /// Reads a number of processors; none when it is not one or has more than three decimals.
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        let is_digits = |part: &str| part.chars().all(|c| c.is_ascii_digit());
        if whole.is_empty() || !is_digits(whole) || !is_digits(decimals) || decimals.len() > 3 {
            return None;
        }
        let thousandths: u64 = format!("{decimals:0<3}").parse().ok()?;
        let millis = whole
            .parse::<u64>()
            .ok()?
            .checked_mul(1_000)?
            .checked_add(thousandths)?;
        Some(Self { millis })
    }

    fn show(self) -> String {
        let (whole, rest) = (self.millis / 1_000, self.millis % 1_000);
        let text = format!("{whole}.{rest:03}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

macro_rules! written_as_text {
    ($($name:ident, $types:expr, $pattern:literal, $description:literal;)*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.show())
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "description": $description,
                    "type": $types,
                    "pattern": $pattern,
                    "minimum": 0,
                })
            }
        }
    )*};
}
written_as_text! {
    Duration, ["string", "integer"], "^([0-9]+(ms|s|m|h|d))+$|^[0-9]+$",
        "A span of time such as 30s, 5m or 1h30m, or whole seconds.";
    Size, ["string", "integer"], "^[0-9]+ ?(B|[KMGT]iB|[kKMGT]B)?$",
        "An amount of bytes such as 512MiB or 2GiB, or whole bytes.";
    Cpu, ["string", "number"], "^[0-9]+(\\.[0-9]{1,3})?$",
        "A number of processors with up to three decimals.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_time_are_read_and_shown() {
        for (text, ms, shown) in [
            ("30s", 30_000, "30s"),
            ("1h30m", 5_400_000, "1h30m"),
            ("90", 90_000, "1m30s"),
            ("250ms", 250, "250ms"),
            ("0s", 0, "0s"),
            ("2d", 172_800_000, "2d"),
        ] {
            let duration = Duration::parse(text).expect(text);
            assert_eq!((duration.ms, duration.show().as_str()), (ms, shown));
        }
        for text in [
            "",
            "s",
            "1x",
            "-1",
            "1.5h",
            "30m1h",
            "1s1s",
            "5 m",
            "99999999999999999999s",
        ] {
            assert_eq!(Duration::parse(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_and_processors_are_read_and_shown() {
        for (text, bytes, shown) in [
            ("512MiB", 512 << 20, "512MiB"),
            ("2 GiB", 2 << 30, "2GiB"),
            ("1MB", 1_000_000, "1000000"),
            ("7", 7, "7"),
        ] {
            let size = Size::parse(text).expect(text);
            assert_eq!((size.bytes, size.show().as_str()), (bytes, shown));
        }
        for text in ["", "GiB", "1.5GiB", "1gib", "99999999999TiB"] {
            assert_eq!(Size::parse(text), None, "{text}");
        }
        for (text, millis, shown) in [
            ("2", 2_000, "2"),
            ("0.5", 500, "0.5"),
            ("1.250", 1_250, "1.25"),
        ] {
            let cpu = Cpu::parse(text).expect(text);
            assert_eq!((cpu.millis, cpu.show().as_str()), (millis, shown));
        }
        for text in ["", ".5", "0.0005", "1e3", "-1", "99999999999999999999"] {
            assert_eq!(Cpu::parse(text), None, "{text}");
        }
    }
}
