//! The verb that looks at what was recorded.

use super::nodes::milliseconds;
use crate::secret_scan::Depth;
use clap::{Subcommand, ValueEnum};

#[derive(Debug, Subcommand)]
pub(crate) enum AnalyseCommand {
    /// Sum up the tasks that ended in a time: outcomes, durations, waits, who ran them
    Report {
        /// How far back: a whole number and s, m or h
        #[arg(long = "for", default_value = "24h", value_name = "TIME", value_parser = milliseconds)]
        for_ms: u64,
    },
    /// Show how a figure of ended tasks moved over a time
    Trend {
        /// The figure
        #[arg(value_enum, value_name = "METRIC")]
        metric: Metric,
        /// How far back: a whole number and s, m or h
        #[arg(long = "for", default_value = "24h", value_name = "TIME", value_parser = milliseconds)]
        for_ms: u64,
    },
    /// Say what holds work up now
    Bottlenecks,
    /// Group why tasks did not succeed, by messages that are alike
    Errors {
        /// How far back: a whole number and s, m or h
        #[arg(long = "for", default_value = "24h", value_name = "TIME", value_parser = milliseconds)]
        for_ms: u64,
    },
    /// Sum up what models used, by model, agent, session and task
    Usage {
        /// How far back: a whole number and s, m or h
        #[arg(long = "for", default_value = "24h", value_name = "TIME", value_parser = milliseconds)]
        for_ms: u64,
        /// Only this model, agent, session or task
        #[arg(value_name = "NAME")]
        about: Option<String>,
    },
    /// Value what was used by the prices in shared memory
    Costs {
        /// How far back: a whole number and s, m or h
        #[arg(long = "for", default_value = "24h", value_name = "TIME", value_parser = milliseconds)]
        for_ms: u64,
    },
    /// Say how often each operation and tool was called, over all restarts
    Calls,
    /// Look through files of this machine for secrets, wide permissions and missing lockfiles
    Secrets {
        /// A directory, or one file
        path: std::path::PathBuf,
        /// How deep to look
        #[arg(long, value_enum, default_value = "standard", value_name = "DEPTH")]
        depth: Depth,
    },
    /// Count in the log of a task what matches, and lines that are alike
    Log {
        /// Task id
        task: String,
        /// Regular expression whose lines are counted; may be repeated
        #[arg(long = "pattern", value_name = "REGEX")]
        patterns: Vec<String>,
    },
}

/// A figure of ended tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Metric {
    /// How many ended
    TasksFinished,
    /// Share of those that succeeded
    SuccessRate,
    /// How long they ran
    DurationMs,
    /// How long they waited for an agent
    QueueWaitMs,
}

impl Metric {
    /// Its name in the API.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::TasksFinished => "tasks_finished",
            Self::SuccessRate => "success_rate",
            Self::DurationMs => "duration_ms",
            Self::QueueWaitMs => "queue_wait_ms",
        }
    }
}
