//! What holds work up now: each finding with the figures behind it and what to do.

use super::window::{Spread, Window};
use crate::context::{Context, Services};
use crate::error::OperationError;
use crate::fields::NoParameters;
use crate::system::readiness;
use serde::Serialize;
use skep_coordinator::View;
use skep_model::limits;
use skep_model::node::{NodeRecord, NodeState};
use skep_model::task::{TaskRecord, TaskState};
use skep_scheduler::BreakerView;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The past that waits are taken from.
const PAST_S: u64 = 3_600;
/// Ready tasks whose placement is explained: each asks all agents.
const EXPLAINED_MAX: usize = 20;
/// Live tasks that are looked at.
const LIVE_SEEN_MAX: usize = 50_000;
/// A machine that is busier than this gives its attempts less than they expect.
const LOAD_PERMILLE_MAX: u32 = 900;
/// A heartbeat that takes longer delays every grant and result of a node.
const RTT_MS_MAX: u32 = 500;
/// Mean of commits above which the disk is what submitters wait for.
const COMMIT_MS_MAX: u64 = 50;
/// Waits are worth a finding from this on, whatever tasks last.
const WAIT_MS_MIN: u64 = 1_000;

/// What holds work up, the worst first.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(super) struct Bottlenecks {
    /// The findings; none when nothing holds work up.
    findings: Vec<Finding>,
    /// The figures that were looked at.
    figures: Figures,
}

/// Something that holds work up.
#[derive(Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
struct Finding {
    /// Where: `queue`, `placement`, `nodes`, `log` or `disk`.
    component: &'static str,
    /// How bad it is.
    severity: Severity,
    /// What was found, with figures.
    detail: String,
    /// What to do.
    advice: &'static str,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Severity {
    /// Work stands still because of it.
    Critical,
    /// Work is slower because of it.
    Warning,
}

/// What was looked at.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
struct Figures {
    /// Tasks that could run and have no agent.
    ready: usize,
    /// How long the first of these has been ready, milliseconds.
    oldest_ready_ms: Option<u64>,
    /// Attempts that the ready nodes run at a time.
    slots: u64,
    /// Of these, taken ones.
    slots_taken: u64,
    /// From being ready to the grant, of tasks that ended in the last hour, milliseconds.
    queue_wait_ms: Option<Spread>,
    /// How long the last attempts ran in the last hour, milliseconds.
    duration_ms: Option<Spread>,
    /// Mean duration of the log's commits since the start, milliseconds.
    commit_ms_mean: u64,
    /// Commands that wait for a commit.
    proposals_waiting: u64,
}

pub(super) async fn bottlenecks(
    context: Context,
    _: NoParameters,
) -> Result<Bottlenecks, OperationError> {
    let services = &context.services;
    let window = Window::last(services, PAST_S).await?;
    let (figures, ready) = figures(services, &window);
    let mut findings = Vec::new();
    findings.extend(queue(&figures));
    if figures.slots_taken < figures.slots {
        findings.extend(placement(services, &ready));
    }
    findings.extend(nodes(services));
    findings.extend(log(&figures));
    let bad = readiness(services).await.into_iter();
    findings.extend(bad.filter(|check| !check.ok).map(|check| Finding {
        component: if check.name == "disk" { "disk" } else { "log" },
        severity: Severity::Critical,
        detail: format!("{}: {}", check.name, check.detail),
        advice: "Run `skep doctor` on the coordinator's machine; it says what to do about each check.",
    }));
    findings.sort_by_key(|finding| finding.severity);
    Ok(Bottlenecks { findings, figures })
}

/// The figures, and the first ready tasks.
fn figures(services: &Arc<Services>, window: &Window) -> (Figures, Vec<skep_model::ids::TaskId>) {
    let now = services.now();
    let stats = services.hive.stats();
    let view = services.hive.view();
    let is_ready = |task: &&TaskRecord| task.state == TaskState::Ready;
    let ready: Vec<_> = view
        .state
        .tasks()
        .take(LIVE_SEEN_MAX)
        .filter(is_ready)
        .collect();
    let oldest = ready.iter().map(|task| now.since(task.ready_at)).max();
    let (mut slots, mut slots_taken) = (0, 0);
    for node in ready_nodes(&view) {
        slots += u64::from(node.facts.slots);
        slots_taken += u64::from(view.state.node_use(node.id).attempts);
    }
    let samples = window.samples.iter();
    let figures = Figures {
        ready: ready.len(),
        oldest_ready_ms: oldest,
        slots,
        slots_taken,
        queue_wait_ms: Spread::of(samples.clone().filter_map(|sample| sample.queue_wait_ms)),
        duration_ms: Spread::of(samples.filter_map(|sample| sample.duration_ms)),
        commit_ms_mean: stats.commit_duration_ms_sum / stats.commits.max(1),
        proposals_waiting: stats.proposals_waiting,
    };
    let first = ready.iter().take(EXPLAINED_MAX).map(|task| task.id);
    (figures, first.collect())
}

fn ready_nodes(view: &View) -> impl Iterator<Item = &NodeRecord> {
    let machines = view.state.machines();
    machines.filter(|node| node.state == NodeState::Ready)
}

fn queue(figures: &Figures) -> Vec<Finding> {
    let mut findings = Vec::new();
    if figures.ready > 0 && figures.slots == 0 {
        findings.push(Finding {
            component: "queue",
            severity: Severity::Critical,
            detail: format!("{} tasks are ready and no node takes work", figures.ready),
            advice: "Start a node with `skep node start`, or resume a drained one.",
        });
    } else if figures.ready > 0 && figures.slots_taken >= figures.slots {
        findings.push(Finding {
            component: "queue",
            severity: Severity::Warning,
            detail: format!(
                "all {} slots are taken and {} tasks wait for one",
                figures.slots, figures.ready
            ),
            advice: "Add nodes with `skep join`, or start nodes with more `--slots`.",
        });
    }
    if let (Some(wait), Some(duration)) = (figures.queue_wait_ms, figures.duration_ms)
        && wait.p95 >= WAIT_MS_MIN
        && wait.p95 > duration.p50
    {
        findings.push(Finding {
            component: "queue",
            severity: Severity::Warning,
            detail: format!(
                "in the last hour 5 in 100 tasks waited longer than {} ms for an agent; half of \
                 all tasks ran no longer than {} ms",
                wait.p95, duration.p50
            ),
            advice: "More slots shorten the wait; submitting long tasks with higher priority helps those behind them.",
        });
    }
    findings
}

/// Ready tasks by what keeps them from an agent.
fn placement(services: &Services, ready: &[skep_model::ids::TaskId]) -> Option<Finding> {
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    for task in ready {
        let Some(explanation) = services.hive.explain(*task) else {
            continue;
        };
        let fits = |agent: &skep_scheduler::AgentExplanation| {
            matches!(agent.verdict, skep_scheduler::Verdict::Fits { .. })
        };
        if !explanation.agents.iter().any(fits) {
            *reasons.entry(explanation.summary).or_default() += 1;
        }
    }
    let (reason, count) = reasons.into_iter().max_by_key(|(_, count)| *count)?;
    Some(Finding {
        component: "placement",
        severity: Severity::Warning,
        detail: format!(
            "{count} of the first {} ready tasks fit no agent: {reason}",
            ready.len()
        ),
        advice: "`skep explain TASK` says for each agent what it lacks.",
    })
}

fn nodes(services: &Services) -> Vec<Finding> {
    let now = services.now();
    let view = services.hive.view();
    let mut findings = Vec::new();
    for node in view.state.machines() {
        let name = &node.facts.name;
        let metrics = view.metrics.get(&node.id);
        let mut found = |severity, detail: String, advice| {
            let component = "nodes";
            findings.push(Finding {
                component,
                severity,
                detail,
                advice,
            });
        };
        if matches!(node.state, NodeState::Suspect | NodeState::Lost) {
            found(
                Severity::Warning,
                format!("node `{name}` is {}", node.state),
                "Look at the machine; what it held is tried elsewhere when its policy says so.",
            );
        }
        if let BreakerView::Open { failures, .. } = view.breakers.view(node.id, now) {
            found(
                Severity::Warning,
                format!("node `{name}` gets no work after {failures} failures in a row"),
                "`skep node show` says why its attempts fail; it is tried again by itself.",
            );
        }
        let load = metrics.map_or(0, |metrics| metrics.load_permille);
        if load > LOAD_PERMILLE_MAX {
            found(
                Severity::Warning,
                format!("node `{name}` is busy to {load} of 1000"),
                "Give it fewer slots, or move other work off that machine.",
            );
        }
        let rtt = metrics.and_then(|metrics| metrics.rtt_ms).unwrap_or(0);
        if rtt > RTT_MS_MAX {
            found(
                Severity::Warning,
                format!("a heartbeat of node `{name}` takes {rtt} ms"),
                "Look at the network between the machines; `skep node ls` shows the times.",
            );
        }
    }
    findings
}

fn log(figures: &Figures) -> Vec<Finding> {
    let mut findings = Vec::new();
    if figures.proposals_waiting * 2 > limits::PROPOSALS_QUEUED_MAX as u64 {
        findings.push(Finding {
            component: "log",
            severity: Severity::Warning,
            detail: format!("{} commands wait for a commit", figures.proposals_waiting),
            advice: "Submit in batches; a batch of 1,000 tasks is one command.",
        });
    }
    if figures.commit_ms_mean > COMMIT_MS_MAX {
        findings.push(Finding {
            component: "log",
            severity: Severity::Warning,
            detail: format!("a commit takes {} ms in the mean", figures.commit_ms_mean),
            advice: "Put the data directory on a faster disk; each commit is one sync.",
        });
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calm() -> Figures {
        Figures {
            ready: 0,
            oldest_ready_ms: None,
            slots: 4,
            slots_taken: 1,
            queue_wait_ms: None,
            duration_ms: None,
            commit_ms_mean: 2,
            proposals_waiting: 0,
        }
    }

    fn spread(value: u64) -> Option<Spread> {
        Spread::of(std::iter::once(value))
    }

    #[test]
    fn each_bottleneck_is_found_by_its_figures_and_a_calm_swarm_has_none() {
        let found = |figures: &Figures| {
            let all = queue(figures).into_iter().chain(log(figures));
            all.map(|finding| (finding.component, finding.severity))
                .collect::<Vec<_>>()
        };
        assert_eq!(found(&calm()), []);
        for (figures, expected) in [
            (
                Figures {
                    ready: 3,
                    slots: 0,
                    ..calm()
                },
                ("queue", Severity::Critical),
            ),
            (
                Figures {
                    ready: 3,
                    slots_taken: 4,
                    ..calm()
                },
                ("queue", Severity::Warning),
            ),
            (
                Figures {
                    queue_wait_ms: spread(5_000),
                    duration_ms: spread(100),
                    ..calm()
                },
                ("queue", Severity::Warning),
            ),
            (
                Figures {
                    commit_ms_mean: 80,
                    ..calm()
                },
                ("log", Severity::Warning),
            ),
            (
                Figures {
                    proposals_waiting: 8_000,
                    ..calm()
                },
                ("log", Severity::Warning),
            ),
        ] {
            assert_eq!(found(&figures), [expected], "{figures:?}");
        }
        let long_tasks = Figures {
            queue_wait_ms: spread(5_000),
            duration_ms: spread(60_000),
            ..calm()
        };
        assert_eq!(found(&long_tasks), []);
    }
}
