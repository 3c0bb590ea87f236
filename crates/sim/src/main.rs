//! `skep-sim`: plays seeds, proves determinism, and hunts planted bugs.

#![expect(
    clippy::print_stdout,
    reason = "a tool for developers prints its findings"
)]

mod regressions;

use regressions::Regression;
use skep_sim::{Report, run_seed};
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

const USAGE: &str = "usage: skep-sim [--seeds N] [--from SEED] [--seed SEED [--trace]] [--planted]";

/// One seed in this many is played twice and its digests compared.
const TWICE_EVERY: u64 = 100;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (mut from, mut count) = (1_u64, 100_u64);
    let (mut planted, mut single, mut trace) = (false, false, false);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|text| text.parse::<u64>().ok());
        let understood = match argument.as_str() {
            "--seeds" => number().map(|value| count = value),
            "--from" => number().map(|value| from = value),
            "--seed" => number().map(|value| (from, count, single) = (value, 1, true)),
            "--trace" => {
                trace = true;
                Some(())
            }
            "--planted" => {
                planted = true;
                Some(())
            }
            _ => None,
        };
        if understood.is_none() {
            println!("`{argument}` is not understood; {USAGE}");
            return ExitCode::from(64);
        }
    }
    if planted {
        return hunt::all(from, count);
    }
    if trace {
        let played = run_seed(from, Some(|line| println!("{line}")));
        println!("{played:?}");
        return if played.is_ok() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        };
    }
    match plan(from, count, single) {
        Ok(plan) => play(&plan, from, count, single),
        Err(line) => {
            println!("`{line}` in regressions.txt is not understood");
            ExitCode::from(64)
        }
    }
}

/// What is played: the regressions first, unless one seed is wanted.
fn plan(from: u64, count: u64, single: bool) -> Result<Vec<Regression>, String> {
    let mut plan = if single {
        Vec::new()
    } else {
        regressions::all()?
    };
    plan.extend((from..from + count).map(|seed| Regression {
        seed,
        reaches: Vec::new(),
    }));
    Ok(plan)
}

/// What many seeds led through together.
#[derive(Default)]
struct Totals {
    steps: u64,
    virtual_ms: u64,
    /// How often each thing happened, and the first seed in which it did.
    seen: BTreeMap<&'static str, (u64, u64)>,
    /// Regressions in which something does not happen any more.
    outdated: Vec<(u64, &'static str)>,
    failures: Vec<(u64, String)>,
}

fn play(plan: &[Regression], from: u64, count: u64, single: bool) -> ExitCode {
    let totals = Mutex::new(Totals::default());
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(case) = plan.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = play_one(case.seed);
                    if let Ok(mut totals) = totals.lock() {
                        totals.add(case, result);
                    }
                }
            });
        }
    });
    let totals = totals
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    totals.print(from, count, single)
}

fn play_one(seed: u64) -> Result<Report, String> {
    let report = run_seed(seed, None)?;
    if seed.is_multiple_of(TWICE_EVERY) {
        let again = run_seed(seed, None)?;
        if again.digest != report.digest {
            let (first, second) = (report.digest, again.digest);
            return Err(format!("not deterministic: digest {first}, then {second}"));
        }
    }
    Ok(report)
}

impl Totals {
    fn add(&mut self, case: &Regression, result: Result<Report, String>) {
        let seed = case.seed;
        match result {
            Ok(report) => {
                for name in &case.reaches {
                    if !report.seen.contains_key(name) {
                        self.outdated.push((seed, name));
                    }
                }
                self.steps += report.steps;
                self.virtual_ms += report.virtual_ms;
                for (name, times) in report.seen {
                    let (total, first) = self.seen.entry(name).or_insert((0, seed));
                    *total += times;
                    *first = seed.min(*first);
                }
            }
            Err(violation) => self.failures.push((seed, violation)),
        }
    }

    fn print(mut self, from: u64, count: u64, single: bool) -> ExitCode {
        self.failures.sort();
        for (seed, violation) in self.failures.iter().take(10) {
            println!("seed {seed}: {violation}");
            println!("  replay: cargo run --profile sim -p skep-sim -- --seed {seed}");
        }
        for (name, (times, first)) in &self.seen {
            println!("{times:>10}  {name} (seed {first})");
        }
        self.outdated.sort_unstable();
        for (seed, name) in &self.outdated {
            println!("outdated: in seed {seed} of regressions.txt there is no `{name}` any more");
        }
        let hours = self.virtual_ms / 3_600_000;
        println!("{} steps in {hours} virtual hours", self.steps);
        let unseen: Vec<_> = SOMETIMES
            .iter()
            .filter(|name| !self.seen.contains_key(**name))
            .collect();
        if !single && count >= SOMETIMES_SEEDS_MIN && !unseen.is_empty() {
            println!("never happened: {unseen:?}");
            return ExitCode::FAILURE;
        }
        println!(
            "seeds {from} to {}: {} violations",
            from + count - 1,
            self.failures.len()
        );
        if self.failures.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

/// From this many seeds on, everything in [`SOMETIMES`] must have happened.
const SOMETIMES_SEEDS_MIN: u64 = 200;

/// Rare things that the simulation must reach, or it proves little.
const SOMETIMES: [&str; 56] = [
    "node vanished",
    "attempt moved",
    "attempt retried",
    "attempt revoked",
    "clock jumped",
    "connection broken",
    "disconnect policy set",
    "coordinator crashed",
    "disk full",
    "disk full for minutes",
    "late report refused",
    "node crashed",
    "node fenced itself",
    "node lost",
    "node parked",
    "node parked by its owner",
    "node paused",
    "node suspect",
    "one-way partition",
    "partition",
    "submission repeated",
    "task cancelled",
    "task expired",
    "task failed",
    "task succeeded",
    "task unknown",
    "grant refused",
    "answer to a join lost",
    "copy and original took turns",
    "copy sent away",
    "expired join token refused",
    "join token revoked",
    "link flaps",
    "login refused",
    "machine approved",
    "machine joined",
    "machine slept",
    "node away",
    "node removed",
    "old state directory started",
    "reconnect storm",
    "revoked join token refused",
    "slow reader",
    "state directory started twice",
    "used-up join token refused",
    "memory expired",
    "write refused",
    "write repeated",
    "due time skipped",
    "due time submitted",
    "due time waits",
    "event acted on",
    "event not counted",
    "session began work",
    "session died at work",
    "session overstayed",
];

#[cfg(feature = "planted-bugs")]
mod hunt {
    use skep_model::planted::{PlantedBug, plant};
    use skep_sim::run_seed;
    use std::process::ExitCode;

    /// Plants each bug in turn and plays seeds until one shows it.
    pub(crate) fn all(from: u64, count: u64) -> ExitCode {
        let mut missed = Vec::new();
        let bugs = std::sync::Mutex::new(PlantedBug::ALL.to_vec());
        let found = std::sync::Mutex::new(&mut missed);
        std::thread::scope(|scope| {
            for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
                scope.spawn(|| {
                    while let Some(bug) = bugs.lock().ok().and_then(|mut bugs| bugs.pop()) {
                        if !hunt(bug, from, count)
                            && let Ok(mut missed) = found.lock()
                        {
                            missed.push(bug);
                        }
                    }
                });
            }
        });
        println!(
            "planted {}: {} found",
            PlantedBug::ALL.len(),
            PlantedBug::ALL.len() - missed.len()
        );
        if missed.is_empty() {
            return ExitCode::SUCCESS;
        }
        println!("not found within {count} seeds: {missed:?}");
        ExitCode::FAILURE
    }

    fn hunt(bug: PlantedBug, from: u64, count: u64) -> bool {
        plant(Some(bug));
        for seed in from..from + count {
            // A bug may also trip an `expect` of the code under test: that is a find, too.
            let played = std::panic::catch_unwind(|| run_seed(seed, None));
            let violation = match played {
                Ok(Ok(_)) => continue,
                Ok(Err(violation)) => violation,
                Err(_) => "it panicked".to_owned(),
            };
            println!("{bug:?}: found by seed {seed}: {violation}");
            return true;
        }
        false
    }
}

#[cfg(not(feature = "planted-bugs"))]
mod hunt {
    use std::process::ExitCode;

    /// Planted bugs exist only under their feature.
    pub(crate) fn all(_: u64, _: u64) -> ExitCode {
        println!("--planted needs the feature: cargo run -p skep-sim --features planted-bugs");
        ExitCode::from(64)
    }
}
