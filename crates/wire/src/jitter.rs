//! Random numbers from a seed, for spreading timers. Not for secrets.

/// `SplitMix64`: small, well spread, the same on every machine.
#[derive(Debug, Clone)]
pub(crate) struct Jitter {
    state: u64,
}

impl Jitter {
    pub(crate) const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    const fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// An even draw from 0 to `bound`, both included.
    pub(crate) const fn up_to(&mut self, bound: u64) -> u64 {
        match bound.checked_add(1) {
            Some(count) => self.draw() % count,
            None => self.draw(),
        }
    }

    /// `middle`, moved by at most `percent` percent in either direction.
    pub(crate) const fn around(&mut self, middle: u64, percent: u64) -> u64 {
        let spread = middle.saturating_mul(percent) / 100;
        middle
            .saturating_sub(spread)
            .saturating_add(self.up_to(spread.saturating_mul(2)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_stay_in_their_bounds_and_reach_both_halves() {
        let mut jitter = Jitter::new(7);
        let draws: Vec<u64> = (0..1_000).map(|_| jitter.around(5_000, 20)).collect();
        assert!(draws.iter().all(|draw| (4_000..=6_000).contains(draw)));
        assert!(draws.iter().any(|draw| *draw < 4_500) && draws.iter().any(|draw| *draw > 5_500));
        assert!((0..1_000).all(|_| jitter.up_to(3) <= 3));
    }

    #[test]
    fn equal_seeds_give_equal_draws() {
        let (mut one, mut other) = (Jitter::new(42), Jitter::new(42));
        assert!((0..100).all(|_| one.up_to(u64::MAX) == other.up_to(u64::MAX)));
    }
}
