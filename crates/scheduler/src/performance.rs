//! How well an agent has done so far, as one number.

use crate::snapshot::{AgentView, Snapshot};

/// Attempts that every agent is credited with before it made any, so that one lucky or unlucky
/// attempt does not decide.
const PRIOR_ATTEMPTS: u64 = 4;
/// How many of them count as succeeded.
const PRIOR_SUCCEEDED: u64 = 3;
/// Share of the success rate in the part, of four; speed has the rest.
const SUCCESS_SHARE: u64 = 3;

/// What agents take on average, to compare each with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Baseline {
    mean_ms: u64,
}

/// What a successful attempt of these agents took on average, milliseconds; 0 when there was none.
pub fn mean_ms(agents: &[AgentView<'_>]) -> u64 {
    let (mut busy_ms, mut succeeded) = (0_u64, 0_u64);
    for agent in agents {
        busy_ms = busy_ms.saturating_add(agent.busy_ms);
        succeeded = succeeded.saturating_add(agent.succeeded);
    }
    busy_ms.checked_div(succeeded).unwrap_or(0)
}

impl Baseline {
    pub(crate) const fn of(snapshot: &Snapshot<'_>) -> Self {
        Self {
            mean_ms: snapshot.mean_ms,
        }
    }

    /// 0 to 1000: three quarters the share of attempts that succeeded, one quarter speed, where
    /// 500 is the average duration, both drawn to the prior while there are few attempts.
    pub(crate) fn performance(self, agent: &AgentView<'_>) -> u32 {
        let attempts = agent.succeeded.saturating_add(agent.failed);
        let success = permille(
            agent.succeeded.saturating_add(PRIOR_SUCCEEDED),
            attempts.saturating_add(PRIOR_ATTEMPTS),
        );
        let (share, rest) = (SUCCESS_SHARE, 4 - SUCCESS_SHARE);
        ((share * success + rest * self.speed(agent)) / 4) as u32
    }

    fn speed(self, agent: &AgentView<'_>) -> u64 {
        let own_ms = expected_ms(self.mean_ms, agent.succeeded, agent.busy_ms);
        match self.mean_ms.saturating_add(own_ms) {
            0 => 500,
            both => permille(self.mean_ms, both),
        }
    }
}

/// What an attempt is expected to take on an agent that succeeded so often in so many milliseconds
/// in all, where the average agent takes `mean_ms`; 0 when nothing is known.
pub(crate) fn expected_ms(mean_ms: u64, succeeded: u64, busy_ms: u64) -> u64 {
    let prior_ms = mean_ms.saturating_mul(PRIOR_ATTEMPTS);
    let attempts = succeeded.saturating_add(PRIOR_ATTEMPTS);
    busy_ms.saturating_add(prior_ms) / attempts
}

/// `part` of `whole` in thousandths; `whole` is not 0.
fn permille(part: u64, whole: u64) -> u64 {
    (u128::from(part) * 1_000 / u128::from(whole)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Swarm;

    #[test]
    fn few_attempts_weigh_less_than_many() {
        let rows = [
            // (succeeded, failed, busy_ms, performance)
            (0, 0, 0, 687),
            (1, 0, 1_000, 725),
            (100, 0, 100_000, 867),
            (0, 1, 0, 575),
            (0, 100, 0, 146),
            (100, 0, 300_000, 806),
            (100, 0, 10_000, 962),
        ];
        let baseline = Baseline { mean_ms: 1_000 };
        for (succeeded, failed, busy_ms, expected) in rows {
            let swarm = Swarm::with_nodes(1);
            let mut agent = swarm.snapshot().agents[0];
            (agent.succeeded, agent.failed, agent.busy_ms) = (succeeded, failed, busy_ms);
            let measured = baseline.performance(&agent);
            assert_eq!(measured, expected, "{succeeded} {failed} {busy_ms}");
        }
    }

    #[test]
    fn the_largest_counters_do_not_overflow() {
        let swarm = Swarm::with_nodes(1);
        let mut agent = swarm.snapshot().agents[0];
        (agent.succeeded, agent.failed, agent.busy_ms) = (u64::MAX, u64::MAX, u64::MAX);
        let mean_ms = mean_ms(&[agent, agent]);
        assert!(Baseline { mean_ms }.performance(&agent) <= 1_000);
    }
}
