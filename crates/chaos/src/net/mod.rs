//! `skep-chaos net`: hosts with addresses of their own, and a network between them that breaks.
//!
//! Each scenario is played in namespaces of its own (user, network, processes), so several can be
//! played at a time and nothing of them is left afterwards. The coordinator's host is where this
//! program plays; each node has its own host, and a bridge joins them. Root is not needed, but
//! user namespaces, `unshare`, `nsenter`, `ip` and `nft` are: where one is missing or forbidden,
//! the scenarios are skipped, and the output says how many.

mod args;
mod disturbance;
mod filter;
mod hosts;
mod names;
mod sandbox;
mod scenario;

pub(crate) use args::{NetArgs, USAGE};

use crate::args::Args;
use crate::checker::Rule;
use crate::history::History;
use crate::play::{self, Stage};
use crate::report::Coverage;
use crate::wiring::Wiring;
use anyhow::{Context, Result, anyhow};
use disturbance::{NODES, NetDisturbance};
use hosts::Hosts;
use names::{COORDINATOR_NAME, Names};
use sandbox::Sandbox;
use scenario::Scenario;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Longest time of one scenario beyond its fault.
const SCENARIO_MAX: Duration = Duration::from_mins(4);
/// Parts of a scenario's output that are shown when everything is fine.
const SHOWN: [&str; 3] = ["fault: ", "all rules hold", "the sabotage was"];

/// What one scenario led to.
struct Played {
    is_fine: bool,
    output: String,
}

/// Plays all scenarios, several at a time; whether all rules hold in all of them.
pub(crate) fn run(args: &NetArgs) -> Result<bool> {
    let plan: Vec<_> = (0..args.rounds)
        .flat_map(|round| {
            args.scenarios()
                .into_iter()
                .map(move |one| (one, args.seed + round))
        })
        .collect();
    let count = plan.len();
    let sandbox = match Sandbox::find() {
        Ok(sandbox) => sandbox,
        Err(why) => {
            println!("SKIPPED ({count} scenarios): {why}");
            return Ok(!args.is_required);
        }
    };
    let start = Instant::now();
    let next = AtomicUsize::new(0);
    let failures = AtomicUsize::new(0);
    let work = || {
        while let Some((scenario, seed)) = plan.get(next.fetch_add(1, Ordering::Relaxed)) {
            let played = play_apart(args, &sandbox, *scenario, *seed);
            if !show(*scenario, *seed, played) {
                failures.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    thread::scope(|scope| -> Result<()> {
        for job in 1..=args.jobs.min(count) {
            let thread = thread::Builder::new().name(format!("job-{job}"));
            thread.spawn_scoped(scope, work)?;
        }
        Ok(())
    })?;
    let (failed, seconds) = (failures.into_inner(), start.elapsed().as_secs_f64());
    let fine = count - failed;
    println!("network scenarios: {fine} of {count} hold, {failed} do not, in {seconds:.1} s");
    Ok(failed == 0)
}

/// Prints a scenario's output, in one piece; whether it is fine.
fn show(scenario: Scenario, seed: u64, played: Result<Played>) -> bool {
    let name = scenario.name();
    let played = played.unwrap_or_else(|error| Played {
        is_fine: false,
        output: format!("error: {error:#}"),
    });
    let lines = played.output.lines();
    let is_shown =
        |line: &&str| !played.is_fine || SHOWN.iter().any(|beginning| line.starts_with(beginning));
    let lines: Vec<_> = lines
        .filter(is_shown)
        .map(|line| format!("{name}: {line}\n"))
        .collect();
    print!("{}", lines.concat());
    if !played.is_fine {
        println!(
            "{name}: FAILED; replay: cargo run -p skep-chaos -- net --only {name} --seed {seed}"
        );
    }
    played.is_fine
}

/// Plays one scenario in namespaces of its own.
fn play_apart(args: &NetArgs, sandbox: &Sandbox, scenario: Scenario, seed: u64) -> Result<Played> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("skep-chaos-net-");
    let mut directory = match &args.dir {
        Some(place) => builder.tempdir_in(place),
        None => builder.tempdir(),
    }
    .context("make a temporary directory")?;
    let skep = play::find(&args.skep)?;
    let output = directory.path().join("output");
    let mut words = vec!["net-scenario".to_owned()];
    words.extend(args.words(scenario, seed));
    let mut command = sandbox.command(&std::env::current_exe().context("find this program")?);
    command.args(words);
    command.arg("--skep").arg(skep);
    command.arg("--dir").arg(directory.path());
    let bound = SCENARIO_MAX + scenario.length() * args.longer;
    let end = sandbox::wait(command, &output, bound)?;
    let mut text = fs::read_to_string(&output).context("read what a scenario printed")?;
    if let Err(why) = &end {
        directory.disable_cleanup(true);
        let kept = directory.path().display();
        // Writing to a string cannot fail.
        let _ = write!(text, "{why}\nkept: {kept}\n");
    }
    Ok(Played {
        is_fine: end.is_ok(),
        output: text,
    })
}

/// Plays one scenario in the namespaces that this process was put into.
pub(crate) fn run_scenario(args: &NetArgs) -> Result<bool> {
    let [scenario] = args.only.as_slice() else {
        return Err(anyhow!("one scenario is played at a time; {USAGE}"));
    };
    let directory = args.dir.as_deref().context("`--dir` is needed")?;
    // Apart, so that processes of the swarm are told from those that play.
    let directory = directory.join("swarm");
    fs::create_dir(&directory).context("make the directory of the swarm")?;
    let shown = Args {
        tasks: args.tasks,
        seed: args.seed,
        sabotage: args.sabotage,
        ..Args::default()
    };
    let played = play_scenario(args, *scenario, &directory);
    let judged = played.and_then(|(history, coverage)| {
        crate::judge(&shown, &directory, &history, &coverage, &[Rule::WorkGoesOn])
    });
    if !matches!(judged, Ok(true)) {
        println!("{}", crate::report::log_tails(&directory));
    }
    judged
}

fn play_scenario(
    args: &NetArgs,
    scenario: Scenario,
    directory: &Path,
) -> Result<(History, Coverage)> {
    let hosts = Hosts::new(NODES)?;
    let is_named = scenario.is_by_name();
    let names = is_named.then(|| Names::hide_system(directory));
    let names = names.transpose()?;
    let stage = Stage {
        skep: &args.skep,
        directory,
        wiring: Wiring::Hosts {
            entrances: hosts.entrances(),
            name: is_named.then_some(COORDINATOR_NAME),
        },
        tasks: args.tasks,
        seed: args.seed,
    };
    let length = scenario.length() * args.longer;
    let mut disturbance = NetDisturbance::new(scenario, hosts, names, length, args)?;
    play::play(&stage, &mut disturbance)
}
