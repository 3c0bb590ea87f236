//! When a failed call is tried again, and after which delay.

use crate::error::ClientError;
use crate::{RETRY_INITIAL_MS, RETRY_MAX_MS, TRIES_MAX};
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Whether a call may be sent twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// A second call does no harm.
    Harmless,
    /// Only when the first one cannot have arrived.
    OnlyUnsent,
    /// The caller decides.
    Never,
}

/// The delay before the next try, or none when the error is final. `tries` counts those made.
pub(crate) fn delay_after(error: &ClientError, tries: u32, repeat: Repeat) -> Option<Duration> {
    let allowed = match repeat {
        Repeat::Harmless => error.is_retryable(),
        Repeat::OnlyUnsent => error.is_without_effect(),
        Repeat::Never => false,
    };
    if !allowed || tries >= TRIES_MAX {
        return None;
    }
    let asked_ms = error
        .problem()
        .and_then(|problem| problem.retry_after_s)
        .map_or(0, |seconds| seconds.saturating_mul(1_000));
    let delay_ms = backoff_ms(tries).max(asked_ms).min(RETRY_MAX_MS);
    Some(Duration::from_millis(delay_ms))
}

/// An even draw up to a bound that doubles with each try (full jitter).
pub(crate) fn backoff_ms(tries: u32) -> u64 {
    let doublings = tries.saturating_sub(1).min(16);
    let bound = (RETRY_INITIAL_MS << doublings).min(RETRY_MAX_MS);
    // The standard library seeds each of its hash states at random: enough to spread clients.
    RandomState::new().hash_one(tries) % (bound + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Problem;
    use http::StatusCode;

    fn refused(status: StatusCode, retry_after_s: Option<u64>) -> ClientError {
        let problem = Problem {
            retry_after_s,
            ..Problem::read(status, b"")
        };
        ClientError::Problem(Box::new(problem))
    }

    #[test]
    fn only_errors_that_may_pass_are_tried_again_and_not_for_ever() {
        let passing = refused(StatusCode::SERVICE_UNAVAILABLE, None);
        assert!(delay_after(&passing, 1, Repeat::Harmless).is_some());
        assert_eq!(delay_after(&passing, TRIES_MAX, Repeat::Harmless), None);
        assert_eq!(delay_after(&passing, 1, Repeat::OnlyUnsent), None);
        assert_eq!(delay_after(&passing, 1, Repeat::Never), None);
        let final_one = refused(StatusCode::CONFLICT, None);
        assert_eq!(delay_after(&final_one, 1, Repeat::Harmless), None);
    }

    #[test]
    fn the_coordinator_may_ask_for_a_longer_delay_within_the_bound() {
        for (asked, least_ms, most_ms) in [(Some(2), 2_000, 2_000), (Some(99), 5_000, 5_000)] {
            let error = refused(StatusCode::TOO_MANY_REQUESTS, asked);
            let delay = delay_after(&error, 1, Repeat::Harmless)
                .unwrap()
                .as_millis();
            assert!((least_ms..=most_ms).contains(&delay), "{asked:?}: {delay}");
        }
    }

    #[test]
    fn a_call_that_never_left_may_always_be_repeated() {
        let unsent = ClientError::Unreachable {
            url: "http://h".to_owned(),
            source: "refused".into(),
            never_sent: true,
        };
        assert!(delay_after(&unsent, 1, Repeat::OnlyUnsent).is_some());
    }
}
