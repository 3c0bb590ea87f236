//! The play that kills: faults of processes, one after the other, while clients submit.

use crate::args::Args;
use crate::faults::{Fault, Sleeper, pause};
use crate::history::History;
use crate::play::{self, Disturbance, Stage, wait_for_progress};
use crate::random::Random;
use crate::report::Coverage;
use crate::signals::Signals;
use crate::swarm::{Swarm, free_address};
use crate::wiring::Wiring;
use anyhow::Result;
use std::path::Path;

const NODES: usize = 3;
/// From so many cycles on, one node sleeps until its work is given to others.
const CYCLES_WITH_SLEEPER: usize = 3;
/// Longest time for which clients submit before a fault comes.
const SUBMITTING_MS_MAX: u64 = 60;

/// Plays in the directory; the answer is for the checker.
pub(crate) fn play(args: &Args, directory: &Path) -> Result<(History, Coverage)> {
    let mut random = Random::new(args.seed, 0);
    let address = free_address(&mut random)?;
    let stage = Stage {
        skep: &play::find(&args.skep)?,
        directory,
        wiring: Wiring::Loopback {
            address,
            nodes: NODES,
        },
        tasks: args.tasks,
        seed: args.seed,
    };
    let mut unrest = Unrest {
        args,
        directory,
        random,
        sleeper: None,
    };
    play::play(&stage, &mut unrest)
}

/// The faults of a play.
struct Unrest<'a> {
    args: &'a Args,
    directory: &'a Path,
    random: Random,
    sleeper: Option<Sleeper>,
}

impl Disturbance for Unrest<'_> {
    fn play(
        &mut self,
        swarm: &mut Swarm,
        signals: &Signals,
        played: &mut Vec<String>,
    ) -> Result<History> {
        let args = self.args;
        if args.sabotage {
            swarm.sabotage(self.directory);
        }
        let mut seen = History::default();
        let plan = Fault::plan(args.cycles, &mut self.random);
        for (cycle, fault) in plan.into_iter().enumerate() {
            let quota = |halves: usize| args.tasks * (2 * cycle + halves) / (2 * args.cycles);
            signals.let_submit(quota(1));
            let progress = wait_for_progress(&swarm.server);
            pause(&mut self.random, 0, 800);
            if cycle == 0 && args.cycles >= CYCLES_WITH_SLEEPER {
                self.sleeper = Some(Sleeper::put_to_sleep(swarm, NODES - 1)?);
                played.push(format!("n{NODES} sleeps"));
            }
            let sleeping = self.sleeper.as_ref().map(Sleeper::node);
            let awake: Vec<_> = (0..NODES).filter(|node| Some(*node) != sleeping).collect();
            // The second half is on its way when the fault comes.
            signals.let_submit(quota(2));
            pause(&mut self.random, 0, SUBMITTING_MS_MAX);
            fault.play(swarm, &awake, &mut self.random)?;
            seen.node_stops += usize::from(fault == Fault::RestartNode);
            played.push(format!("{fault:?} after {progress} tasks ended"));
            self.wake_sleeper_if_lost(swarm, played)?;
        }
        signals.let_submit(args.tasks);
        if let Some(sleeper) = self.sleeper.take() {
            played.push(match sleeper.wake_when_lost(swarm)? {
                Some(slept) => format!("n{NODES} woke, given up, after {} s", slept.as_secs()),
                None => format!("n{NODES} woke and was never given up"),
            });
        }
        Ok(seen)
    }
}

impl Unrest<'_> {
    fn wake_sleeper_if_lost(&mut self, swarm: &Swarm, played: &mut Vec<String>) -> Result<()> {
        let Some(sleeper) = &self.sleeper else {
            return Ok(());
        };
        if sleeper.wake_if_lost(swarm)? {
            played.push(format!("n{NODES} woke, given up"));
            self.sleeper = None;
        }
        Ok(())
    }
}
