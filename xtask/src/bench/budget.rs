//! What a row has to reach.

use super::decimals;
use serde::Serialize;

/// The bound of a row, in its unit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Must {
    AtMost(f64),
    AtLeast(f64),
}

impl Must {
    const fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtMost(bound) => value <= bound,
            Self::AtLeast(bound) => value >= bound,
        }
    }

    /// The bound in words.
    pub(super) fn shown(self) -> String {
        match self {
            Self::AtMost(bound) => format!("at most {}", decimals(bound)),
            Self::AtLeast(bound) => format!("at least {}", decimals(bound)),
        }
    }

    /// Whether the value meets it, and by how much it does not.
    pub(super) fn judge(self, value: f64) -> String {
        let bound = match self {
            Self::AtMost(bound) | Self::AtLeast(bound) => bound,
        };
        if self.is_met(value) {
            return format!("{}: met", self.shown());
        }
        let percent = (value - bound).abs() / bound * 100.0;
        format!("{}: MISSED by {percent:.0} %", self.shown())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_miss_says_by_how_much() {
        let table = [
            (Must::AtMost(40.0), 40.0, "at most 40.00: met"),
            (Must::AtMost(40.0), 50.0, "at most 40.00: MISSED by 25 %"),
            (Must::AtLeast(80.0), 80.0, "at least 80.00: met"),
            (Must::AtLeast(80.0), 20.0, "at least 80.00: MISSED by 75 %"),
        ];
        for (must, value, expected) in table {
            assert_eq!(must.judge(value), expected);
        }
    }
}
