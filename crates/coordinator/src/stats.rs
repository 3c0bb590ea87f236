//! Counters of the coordinator, for `/metrics` and `system.status`.

/// Upper bounds of the commit duration buckets, milliseconds.
pub const COMMIT_BUCKETS_MS: [u64; 10] = [1, 2, 5, 10, 25, 50, 100, 250, 1_000, 5_000];

/// Upper bounds of the decision duration buckets, microseconds.
pub const DECISION_BUCKETS_US: [u64; 18] = [
    50, 100, 200, 500, 1_000, 2_000, 3_000, 5_000, 7_500, 10_000, 15_000, 20_000, 30_000, 50_000,
    75_000, 100_000, 250_000, 1_000_000,
];

/// What happened since the start of the process. Counters only rise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EngineStats {
    /// Log entries applied.
    pub entries_applied: u64,
    /// Group commits that carried entries.
    pub commits: u64,
    /// Commits by duration, not cumulated; the last counts those above all bounds.
    pub commit_durations: [u64; COMMIT_BUCKETS_MS.len() + 1],
    /// Sum of all commit durations, milliseconds.
    pub commit_duration_ms_sum: u64,
    /// Rounds in which ready tasks were compared with free agents.
    pub decisions: u64,
    /// Such rounds by duration, not cumulated; the last counts those above all bounds.
    pub decision_durations: [u64; DECISION_BUCKETS_US.len() + 1],
    /// Sum of all their durations, microseconds.
    pub decision_duration_us_sum: u64,
    /// Proposals that wait for a commit.
    pub proposals_waiting: u64,
    /// Proposals that were turned away because too many waited.
    pub proposals_refused: u64,
    /// Tasks taken in.
    pub tasks_submitted: u64,
    /// Tasks that became final, by state: succeeded, failed, cancelled, expired, unknown.
    pub tasks_finished: [u64; 5],
    /// Attempts granted.
    pub attempts_granted: u64,
    /// Attempts given up because their node was lost, left or restarted.
    pub leases_lost: u64,
    /// Reports that carried a fence that was not current, or came for a final task.
    pub reports_fenced: u64,
    /// Connected nodes.
    pub links: u64,
    /// Writes and removals in shared memory.
    pub memory_writes: u64,
    /// Writes to shared memory that were refused.
    pub memory_refused: u64,
    /// Entries of shared memory whose time was over.
    pub memory_expired: u64,
}

impl EngineStats {
    pub(crate) fn commit_took(&mut self, ms: u64) {
        self.commits += 1;
        self.commit_duration_ms_sum += ms;
        let bucket = COMMIT_BUCKETS_MS.iter().position(|bound| ms <= *bound);
        self.commit_durations[bucket.unwrap_or(COMMIT_BUCKETS_MS.len())] += 1;
    }

    pub(crate) fn decision_took(&mut self, us: u64) {
        self.decisions += 1;
        self.decision_duration_us_sum += us;
        let bucket = DECISION_BUCKETS_US.iter().position(|bound| us <= *bound);
        self.decision_durations[bucket.unwrap_or(DECISION_BUCKETS_US.len())] += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_is_counted_where_its_duration_belongs() {
        let mut stats = EngineStats::default();
        let last = DECISION_BUCKETS_US.len();
        for (us, bucket) in [
            (0, 0),
            (50, 0),
            (51, 1),
            (1_000_000, last - 1),
            (1_000_001, last),
        ] {
            let before = stats.decision_durations[bucket];
            stats.decision_took(us);
            assert_eq!(stats.decision_durations[bucket], before + 1, "{us} us");
        }
        assert_eq!(
            (stats.decisions, stats.decision_duration_us_sum),
            (5, 2_000_102)
        );
    }
}
