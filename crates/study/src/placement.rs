//! Compares the strategies over the scenarios.

use crate::console::{say, table};
use crate::measured::Measured;
use crate::replay::{Outcome, replay};
use crate::scenario::{SCENARIOS, Scenario};
use anyhow::{Result, ensure};
use serde::Serialize;
use skep_scheduler::{STRATEGIES, strategy};

/// What is compared.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only this scenario
    #[arg(long)]
    scenario: Option<String>,
    /// Tasks of each replay
    #[arg(long, default_value_t = 1_000)]
    tasks: usize,
    /// Replays of each scenario; the figures are their means
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// Print figures for programs
    #[arg(long)]
    json: bool,
}

/// One strategy in one scenario.
#[derive(Debug, Serialize)]
struct Row {
    strategy: &'static str,
    makespan_s: f64,
    /// Above the best strategy of the scenario, in percent.
    behind_best_percent: f64,
    utilisation_percent: f64,
    wait_p50_s: f64,
    wait_p99_s: f64,
    /// From ready to the end, on average.
    turnaround_s: f64,
    failures: f64,
}

#[derive(Debug, Serialize)]
struct Comparison {
    scenario: &'static str,
    about: &'static str,
    strategies: Vec<Row>,
}

/// Plays the scenarios and prints a table of each.
pub(crate) fn run(options: &Options) -> Result<()> {
    ensure!(
        options.tasks > 0 && options.seeds > 0,
        "`--tasks` and `--seeds` have to be at least 1"
    );
    let named = |scenario: &&Scenario| {
        let only = options.scenario.as_deref();
        only.is_none_or(|only| only == scenario.name)
    };
    let chosen: Vec<&Scenario> = SCENARIOS.iter().filter(named).collect();
    let names: Vec<&str> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
    ensure!(
        !chosen.is_empty(),
        "no such scenario: use {}",
        names.join(", ")
    );
    let measured = Measured::load()?;
    let compared: Vec<Comparison> = chosen
        .into_iter()
        .map(|scenario| compare(scenario, &measured, options.tasks, options.seeds))
        .collect::<Result<_>>()?;
    if options.json {
        say(&serde_json::to_string_pretty(&compared)?);
        return Ok(());
    }
    for comparison in &compared {
        say(&shown(comparison));
    }
    Ok(())
}

fn compare(
    scenario: &Scenario,
    measured: &Measured,
    tasks: usize,
    seeds: u64,
) -> Result<Comparison> {
    let mut outcomes: Vec<Vec<Outcome>> = vec![Vec::new(); STRATEGIES.len()];
    for seed in 1..=seeds {
        let workload = scenario.workload(measured, tasks, seed)?;
        for (place, name) in STRATEGIES.iter().enumerate() {
            outcomes[place].push(replay(&workload, &*strategy(name)?));
        }
    }
    let mut strategies: Vec<Row> = STRATEGIES
        .iter()
        .zip(&outcomes)
        .map(|(name, outcomes)| mean(name, outcomes))
        .collect();
    let makespans = strategies.iter().map(|row| row.makespan_s);
    let best = makespans.fold(f64::INFINITY, f64::min);
    for row in &mut strategies {
        row.behind_best_percent = (row.makespan_s / best - 1.0) * 100.0;
    }
    Ok(Comparison {
        scenario: scenario.name,
        about: scenario.about,
        strategies,
    })
}

fn mean(strategy: &'static str, outcomes: &[Outcome]) -> Row {
    let mean = |of: &dyn Fn(&Outcome) -> u64| {
        let sum: u64 = outcomes.iter().map(of).sum();
        sum as f64 / outcomes.len().max(1) as f64
    };
    let wait_s = |percent: usize| {
        let at = |outcome: &Outcome| {
            let place = (outcome.waits_ms.len() * percent).div_ceil(100).max(1) - 1;
            outcome.waits_ms.get(place).copied().unwrap_or(0)
        };
        mean(&at) / 1_000.0
    };
    Row {
        strategy,
        makespan_s: mean(&|outcome| outcome.makespan_ms) / 1_000.0,
        behind_best_percent: 0.0,
        utilisation_percent: mean(&|outcome| outcome.utilisation_permille) / 10.0,
        wait_p50_s: wait_s(50),
        wait_p99_s: wait_s(99),
        turnaround_s: mean(&|outcome| {
            outcome.turnaround_ms / (outcome.waits_ms.len() as u64).max(1)
        }) / 1_000.0,
        failures: mean(&|outcome| outcome.failures),
    }
}

fn shown(comparison: &Comparison) -> String {
    let header = [
        "strategy",
        "makespan s",
        "behind %",
        "busy %",
        "wait p50 s",
        "wait p99 s",
        "turnaround s",
        "failures",
    ];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(comparison.strategies.iter().map(|row| {
        vec![
            row.strategy.to_owned(),
            format!("{:.0}", row.makespan_s),
            format!("{:.1}", row.behind_best_percent),
            format!("{:.1}", row.utilisation_percent),
            format!("{:.1}", row.wait_p50_s),
            format!("{:.1}", row.wait_p99_s),
            format!("{:.0}", row.turnaround_s),
            format!("{:.1}", row.failures),
        ]
    }));
    format!(
        "{}: {}\n{}\n",
        comparison.scenario,
        comparison.about,
        table(&rows)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the default may be behind the best strategy of a scenario.
    const BEHIND_MAX_PERCENT: f64 = 3.0;

    /// A hundred replays: with few of them chance decides, namely whether one of the longest tasks
    /// is on one of the slowest nodes at the end.
    #[track_caller]
    fn expect_the_default_near_the_best(name: &str) {
        let scenario = SCENARIOS.iter().find(|scenario| scenario.name == name);
        let compared = compare(scenario.unwrap(), &Measured::load().unwrap(), 200, 100).unwrap();
        let default = &compared.strategies[0];
        assert_eq!(default.strategy, STRATEGIES[0]);
        assert!(
            default.behind_best_percent <= BEHIND_MAX_PERCENT,
            "{}",
            shown(&compared)
        );
    }

    macro_rules! the_default_is_near_the_best {
        ($($test:ident: $scenario:literal,)*) => {
            $(
                #[test]
                fn $test() {
                    expect_the_default_near_the_best($scenario);
                }
            )*

            #[test]
            fn every_scenario_has_such_a_test() {
                let names: Vec<_> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
                assert_eq!(names, [$($scenario),*]);
            }
        };
    }
    the_default_is_near_the_best! {
        the_default_is_near_the_best_with_uniform_nodes: "uniform",
        the_default_is_near_the_best_with_mixed_speeds: "mixed-speeds",
        the_default_is_near_the_best_in_a_burst: "burst",
        the_default_is_near_the_best_over_far_regions: "far-regions",
        the_default_is_near_the_best_with_flaky_nodes: "flaky-nodes",
        the_default_is_near_the_best_with_skewed_capabilities: "skewed-capabilities",
    }

    #[test]
    fn a_replay_repeats_and_every_task_is_granted() {
        let measured = Measured::load().unwrap();
        for scenario in SCENARIOS {
            let workload = scenario.workload(&measured, 100, 7).unwrap();
            for name in STRATEGIES {
                let play = || replay(&workload, &*strategy(name).unwrap());
                let outcome = play();
                assert_eq!(outcome, play(), "{} {name}", scenario.name);
                assert_eq!(outcome.waits_ms.len(), 100, "{} {name}", scenario.name);
                let longest = workload.tasks.iter().map(|task| task.work_ms).max();
                assert!(outcome.makespan_ms >= longest.unwrap() / 2);
            }
        }
    }

    #[test]
    fn breakers_and_speeds_and_distance_show_in_the_figures() {
        let measured = Measured::load().unwrap();
        let named = |name: &str| {
            let scenario = SCENARIOS.iter().find(|scenario| scenario.name == name);
            compare(scenario.unwrap(), &measured, 500, 10).unwrap()
        };
        let of = |comparison: &Comparison, name: &str| {
            let rows = comparison.strategies.iter();
            let row = rows.clone().find(|row| row.strategy == name).unwrap();
            (row.turnaround_s, row.failures)
        };
        let far = named("far-regions");
        let near = of(&far, "geographic-affinity").0;
        assert!(near < of(&far, "round-robin").0, "{}", shown(&far));
        let speeds = named("mixed-speeds");
        let learned = of(&speeds, "capability-weighted").0;
        // Without learning speeds the load alone gains about 4 percent.
        let in_turn = of(&speeds, "round-robin").0;
        assert!(learned < in_turn * 0.955, "{}", shown(&speeds));
        let flaky = named("flaky-nodes");
        let failures = of(&flaky, "capability-weighted").1;
        assert!(failures < of(&flaky, "round-robin").1, "{}", shown(&flaky));
    }
}
