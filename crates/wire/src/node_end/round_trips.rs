//! How long heartbeats take to be answered.

use crate::bounds::ROUND_TRIPS_KEPT;
use std::collections::VecDeque;

/// The round trips of the last heartbeats of a connection.
#[derive(Debug, Default)]
pub(super) struct RoundTrips {
    last: VecDeque<u32>,
}

impl RoundTrips {
    pub(super) fn add(&mut self, ms: u64) {
        if self.last.len() == ROUND_TRIPS_KEPT {
            self.last.pop_front();
        }
        self.last.push_back(u32::try_from(ms).unwrap_or(u32::MAX));
    }

    /// The middle one, the larger one of two: a single slow answer says nothing about the link.
    pub(super) fn median(&self) -> Option<u32> {
        let mut sorted: Vec<u32> = self.last.iter().copied().collect();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_the_last_round_trips_ignores_outliers_and_forgets_the_past() {
        let rows: [(&[u64], Option<u32>); 5] = [
            (&[], None),
            (&[7], Some(7)),
            (&[3, 900, 4], Some(4)),
            (&[500, 500, 500, 2, 3, 1, 3, 2], Some(2)),
            (&[u64::MAX], Some(u32::MAX)),
        ];
        for (measured, expected) in rows {
            let mut round_trips = RoundTrips::default();
            for ms in measured {
                round_trips.add(*ms);
            }
            assert_eq!(round_trips.median(), expected, "{measured:?}");
        }
    }
}
