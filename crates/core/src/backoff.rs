//! Delay before a retry: full jitter under a bound that doubles, drawn from the entry's seed.

use skep_model::ids::TaskId;
use skep_model::task::RetryPolicy;

/// The finaliser of `SplitMix64`: spreads every bit of the input over the output.
const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// Largest delay after the attempt of this number, counted from 1.
fn bound_ms(policy: &RetryPolicy, attempt: u32) -> u64 {
    let doublings = attempt.saturating_sub(1);
    let factor = 1_u64.checked_shl(doublings).unwrap_or(u64::MAX);
    let doubled = policy.backoff_initial_ms.saturating_mul(factor);
    doubled.min(policy.backoff_max_ms)
}

/// The delay after the attempt of this number: evenly drawn from 0 to the bound, both included.
pub(crate) fn retry_delay_ms(policy: &RetryPolicy, seed: u64, task: TaskId, attempt: u32) -> u64 {
    let id = task.as_u128();
    let parts = [(id >> 64) as u64, id as u64, u64::from(attempt)];
    let draw = parts
        .into_iter()
        .fold(mix(seed), |hash, part| mix(hash ^ part));
    // The high half of the product is below the second factor, without the bias of a remainder.
    let choices = u128::from(bound_ms(policy, attempt)) + 1;
    ((u128::from(draw) * choices) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(initial: u64, max: u64) -> RetryPolicy {
        RetryPolicy {
            backoff_initial_ms: initial,
            backoff_max_ms: max,
            ..RetryPolicy::default()
        }
    }

    #[test]
    fn the_bound_doubles_up_to_its_maximum() {
        let policy = policy(1_000, 30_000);
        let bounds = [1, 2, 3, 5, 6, 64, 65, u32::MAX].map(|n| bound_ms(&policy, n));
        assert_eq!(
            bounds,
            [1_000, 2_000, 4_000, 16_000, 30_000, 30_000, 30_000, 30_000]
        );
    }

    #[test]
    fn delays_fill_the_whole_range_and_never_leave_it() {
        let policy = policy(9, 9);
        let mut seen = [0_u32; 10];
        for seed in 0..10_000 {
            let delay = retry_delay_ms(&policy, seed, TaskId::from_u128(7), 1);
            seen[usize::try_from(delay).unwrap()] += 1;
        }
        assert!(
            seen.iter().all(|count| (800..1_200).contains(count)),
            "{seen:?}"
        );
    }

    #[test]
    fn delays_differ_by_seed_task_and_attempt_and_repeat_for_the_same_ones() {
        let policy = policy(u64::MAX, u64::MAX);
        let delay =
            |seed, task, attempt| retry_delay_ms(&policy, seed, TaskId::from_u128(task), attempt);
        let base = delay(1, 1, 1);
        assert_eq!(base, delay(1, 1, 1));
        for other in [
            delay(2, 1, 1),
            delay(1, 2, 1),
            delay(1, 1, 2),
            delay(1, 1 << 64, 1),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn no_backoff_means_no_delay() {
        assert_eq!(
            retry_delay_ms(&policy(0, 30_000), 5, TaskId::from_u128(1), 3),
            0
        );
    }
}
