//! What the proxy does to each direction of a connection, and the lines that change it.

use std::num::NonZeroU64;
use std::str::{FromStr, SplitWhitespace};
use std::time::Duration;

/// What a line has to look like.
pub(crate) const GRAMMAR: &str = "up|down|both followed by any of: delay MS, jitter MS, rate \
                                  BYTES_PER_S, cut-every BYTES, cut-at OFFSET, stall, go, \
                                  half-close; or one of: reset, refuse, accept, calm, status";

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From who connected.
    Up,
    /// Back to it.
    Down,
}

/// How one direction is treated. Bytes are never changed, lost or reordered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Lane {
    pub(crate) delay: Duration,
    /// The delay is up to this much longer or shorter.
    pub(crate) jitter: Duration,
    /// Bytes in a second; as many as come unless said.
    pub(crate) rate: Option<NonZeroU64>,
    /// Bytes handed over at a time, at most.
    pub(crate) cut_every: Option<NonZeroU64>,
    /// Offset in the connection before and after which bytes are handed over apart.
    pub(crate) cut_at: Option<u64>,
    pub(crate) is_stalled: bool,
    /// How often this direction of the open connections was ended.
    pub(crate) half_closes: u64,
}

/// Parts of a second into which a bounded rate is divided.
const RATE_STEPS: u64 = 20;

impl Lane {
    /// How many of the bytes that wait are handed over next, after so many before.
    pub(crate) fn piece(&self, waiting: usize, offset: u64) -> usize {
        let until_cut = self
            .cut_at
            .and_then(|cut| cut.checked_sub(offset))
            .filter(|distance| *distance > 0);
        let bounds = [
            self.cut_every.map(NonZeroU64::get),
            until_cut,
            self.rate.map(|rate| (rate.get() / RATE_STEPS).max(1)),
        ];
        let bound = bounds.into_iter().flatten().min().unwrap_or(u64::MAX);
        waiting.min(usize::try_from(bound).unwrap_or(usize::MAX))
    }

    /// How long a byte waits that drew this place, from -1,000 to 1,000, in the jitter.
    pub(crate) fn wait(&self, place: i32) -> Duration {
        let share = self.jitter * place.unsigned_abs() / 1_000;
        if place < 0 {
            self.delay.saturating_sub(share)
        } else {
            self.delay + share
        }
    }
}

/// Everything that can be told to a proxy.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Settings {
    pub(crate) up: Lane,
    pub(crate) down: Lane,
    /// Whether new connections are reset at once.
    pub(crate) is_refusing: bool,
    /// How often the open connections were reset.
    pub(crate) resets: u64,
}

impl Settings {
    pub(crate) const fn lane(&self, direction: Direction) -> &Lane {
        match direction {
            Direction::Up => &self.up,
            Direction::Down => &self.down,
        }
    }

    /// Does what a line says. Of a line that is not understood nothing is done; the error is the
    /// word.
    pub(crate) fn obey(&mut self, line: &str) -> Result<(), String> {
        let mut changed = self.clone();
        let mut words = line.split_whitespace();
        match words.next().unwrap_or_default() {
            "up" => change(&mut [&mut changed.up], words)?,
            "down" => change(&mut [&mut changed.down], words)?,
            "both" => change(&mut [&mut changed.up, &mut changed.down], words)?,
            "reset" => changed.resets += 1,
            "refuse" => changed.is_refusing = true,
            "accept" => changed.is_refusing = false,
            "calm" => {
                changed.is_refusing = false;
                for lane in [&mut changed.up, &mut changed.down] {
                    let half_closes = lane.half_closes;
                    *lane = Lane {
                        half_closes,
                        ..Lane::default()
                    };
                }
            }
            other => return Err(other.to_owned()),
        }
        *self = changed;
        Ok(())
    }
}

fn change(lanes: &mut [&mut Lane], mut words: SplitWhitespace<'_>) -> Result<(), String> {
    while let Some(word) = words.next() {
        let number = if matches!(word, "stall" | "go" | "half-close") {
            0
        } else {
            number::<u64>(word, words.next())?
        };
        let millis = Duration::from_millis(number);
        for lane in &mut *lanes {
            match word {
                "delay" => lane.delay = millis,
                "jitter" => lane.jitter = millis,
                "rate" => lane.rate = NonZeroU64::new(number),
                "cut-every" => lane.cut_every = NonZeroU64::new(number),
                "cut-at" => lane.cut_at = Some(number),
                "stall" => lane.is_stalled = true,
                "go" => lane.is_stalled = false,
                "half-close" => lane.half_closes += 1,
                _ => return Err(word.to_owned()),
            }
        }
    }
    Ok(())
}

fn number<T: FromStr>(name: &str, word: Option<&str>) -> Result<T, String> {
    let parsed = word.and_then(|word| word.parse().ok());
    parsed.ok_or_else(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(lines: &[&str]) -> Settings {
        let mut settings = Settings::default();
        for line in lines {
            settings.obey(line).unwrap();
        }
        settings
    }

    #[test]
    fn a_line_changes_what_it_names_and_calm_takes_it_back() {
        let settings = told(&["up delay 200 jitter 100", "down rate 10 stall", "refuse"]);
        assert_eq!(settings.up.delay, Duration::from_millis(200));
        assert_eq!(settings.up.jitter, Duration::from_millis(100));
        assert_eq!(settings.down.rate, NonZeroU64::new(10));
        assert!(settings.down.is_stalled && settings.is_refusing && !settings.up.is_stalled);
        assert_eq!(told(&["both delay 5 stall cut-at 3", "calm"]), told(&[]));
        // What was done to connections cannot be taken back, and is not done again.
        let ended = told(&["reset", "up half-close", "calm"]);
        assert_eq!((ended.resets, ended.up.half_closes), (1, 1));
    }

    #[test]
    fn a_line_that_is_not_understood_changes_nothing() {
        for (line, word) in [
            ("", ""),
            ("sideways delay 5", "sideways"),
            ("both delay 5 jitter much", "jitter"),
            ("up delay", "delay"),
            ("down delay 5 faster 6", "faster"),
        ] {
            let mut settings = Settings::default();
            assert_eq!(settings.obey(line), Err(word.to_owned()), "{line}");
            assert_eq!(settings, Settings::default(), "{line}");
        }
    }

    #[test]
    fn pieces_end_at_the_cut_and_keep_within_every_bound() {
        for (line, waiting, offset, expected) in [
            ("up", 100, 0, 100),
            ("up cut-at 30", 100, 0, 30),
            ("up cut-at 30", 100, 29, 1),
            ("up cut-at 30", 70, 30, 70),
            ("up cut-at 0", 100, 0, 100),
            ("up cut-every 1", 100, 7, 1),
            ("up rate 1", 100, 0, 1),
            ("up rate 1000", 100, 0, 50),
            ("up rate 1000 cut-every 20 cut-at 110", 100, 100, 10),
        ] {
            let piece = told(&[line]).up.piece(waiting, offset);
            assert_eq!(piece, expected, "{line} at {offset}");
        }
    }

    #[test]
    fn jitter_is_added_and_taken_away_but_never_below_nothing() {
        let lane = told(&["up delay 200 jitter 300"]).up;
        let waits = [-1_000, -100, 0, 1_000].map(|place| lane.wait(place).as_millis());
        assert_eq!(waits, [0, 170, 200, 500]);
    }
}
