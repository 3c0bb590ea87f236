//! One scenario: work goes on, the network breaks, it heals, and every node has to work again.

use super::args::NetArgs;
use super::filter::Lost;
use super::hosts::{self, Hosts, Proxy};
use super::scenario::{RECOVERY_MAX, Scenario};
use crate::history::{History, Recovery};
use crate::play::{Disturbance, patiently, wait_for_progress};
use crate::signals::Signals;
use crate::submitter::submit_once;
use crate::swarm::Swarm;
use crate::wiring;
use crate::workload;
use anyhow::{Context, Result};
use std::thread;
use std::time::{Duration, Instant};

pub(super) const NODES: usize = 3;
/// The node whose network breaks, where it is one.
const VICTIM: usize = 0;
const LOSS_PERCENT: u8 = 30;
/// How often something changes while a fault lasts: a cable, the path through the proxy.
const CHANGE_EVERY: Duration = Duration::from_secs(2);
/// How often more is let in while a fault lasts.
const STEP: Duration = Duration::from_millis(200);
/// How often a task is looked at that shows that a node works again.
const POLL: Duration = Duration::from_millis(100);
/// What a far-away node is like.
const FAR: &str = "both delay 200 jitter 100";
/// What happens on a rough path, one after the other.
const ROUGH: [&str; 10] = [
    "both cut-every 1",
    "down stall",
    "down go delay 50 jitter 50",
    "reset",
    "up half-close",
    "both rate 4000",
    "down half-close",
    "refuse",
    "reset",
    "accept",
];

/// What breaks, and what it breaks.
#[derive(Debug)]
pub(super) struct NetDisturbance {
    scenario: Scenario,
    hosts: Hosts,
    proxy: Option<Proxy>,
    length: Duration,
    tasks: usize,
    /// Whether the network stays broken while it is said to have healed.
    is_sabotaged: bool,
    /// How often something was changed so far.
    changes: usize,
    is_coordinator_down: bool,
    findings: Vec<String>,
}

impl NetDisturbance {
    pub(super) fn new(
        scenario: Scenario,
        hosts: Hosts,
        length: Duration,
        args: &NetArgs,
    ) -> Result<Self> {
        let proxy = scenario.is_proxied().then(|| hosts.detour(VICTIM));
        Ok(Self {
            scenario,
            proxy: proxy.transpose()?,
            hosts,
            length,
            tasks: args.tasks,
            is_sabotaged: args.sabotage,
            changes: 0,
            is_coordinator_down: false,
            findings: Vec::new(),
        })
    }

    fn begin(&mut self) -> Result<()> {
        let victim = Lost::From(hosts::address(VICTIM));
        let coordinator = Lost::From(hosts::COORDINATOR);
        match self.scenario {
            Scenario::Partition | Scenario::KillInPartition => {
                Hosts::lose_at_coordinator(&[victim])?;
                self.hosts.lose_at_node(VICTIM, &[coordinator])
            }
            Scenario::NodeUnheard => Hosts::lose_at_coordinator(&[victim]),
            Scenario::NodeDeaf => self.hosts.lose_at_node(VICTIM, &[coordinator]),
            Scenario::Outage => {
                let all = [Lost::All];
                Hosts::lose_at_coordinator(&all)?;
                (0..NODES).try_for_each(|node| self.hosts.lose_at_node(node, &all))
            }
            Scenario::Loss => {
                let some = [Lost::Percent(LOSS_PERCENT)];
                Hosts::lose_at_coordinator(&some)?;
                (0..NODES).try_for_each(|node| self.hosts.lose_at_node(node, &some))
            }
            Scenario::Delay => self.tell(FAR).map(drop),
            Scenario::Flapping | Scenario::RoughPath => Ok(()),
        }
    }

    /// Lets more be submitted, evenly, and changes what changes, until the fault has lasted.
    fn go_on(&mut self, swarm: &mut Swarm, signals: &Signals) -> Result<()> {
        let start = Instant::now();
        while start.elapsed() < self.length {
            let share = start.elapsed().as_secs_f64() / self.length.as_secs_f64();
            signals.let_submit(self.tasks / 3 + (share * (self.tasks / 3) as f64) as usize);
            if start.elapsed() >= CHANGE_EVERY * self.changes as u32 {
                self.change(swarm)?;
                self.changes += 1;
            }
            thread::sleep(STEP);
        }
        Ok(())
    }

    fn change(&mut self, swarm: &mut Swarm) -> Result<()> {
        let changes = self.changes;
        match self.scenario {
            Scenario::Flapping => self.hosts.set_cable(VICTIM, changes % 2 == 1),
            Scenario::RoughPath => self.tell(ROUGH[changes % ROUGH.len()]).map(drop),
            Scenario::KillInPartition if changes == 1 => {
                self.is_coordinator_down = true;
                swarm.kill_coordinator()
            }
            Scenario::KillInPartition if changes == 2 => {
                self.is_coordinator_down = false;
                swarm.start_coordinator().map(drop)
            }
            _ => Ok(()),
        }
    }

    /// Undoes everything; what the fault did. A fault that hit nothing proves nothing, and is a
    /// finding.
    fn heal(&mut self, swarm: &mut Swarm) -> Result<String> {
        if self.scenario.is_given_up() {
            let is_whole = |node: &usize| *node == VICTIM || self.scenario == Scenario::Outage;
            for node in (0..NODES).filter(is_whole) {
                let (name, state) = (wiring::name(node), swarm.node_state(node)?);
                if state != "lost" {
                    let finding = format!("`{name}` was cut off and is {state}, not lost");
                    self.findings.push(finding);
                }
            }
        }
        if self.is_coordinator_down {
            swarm.start_coordinator()?;
        }
        let lost = self.hosts.heal()?;
        let (what, count) = match self.scenario {
            Scenario::Flapping => {
                self.hosts.set_cable(VICTIM, true)?;
                (format!("the cable was moved {} times", self.changes), 1)
            }
            Scenario::Delay | Scenario::RoughPath => {
                self.tell("calm")?;
                let status = self.tell("status")?;
                let count = status.rsplit(' ').next().and_then(|word| word.parse().ok());
                (format!("through the proxy: {status}"), count.unwrap_or(0))
            }
            _ => (format!("{lost} packets were lost"), lost),
        };
        if count == 0 {
            self.findings.push(format!("the fault hit nothing: {what}"));
        }
        Ok(what)
    }

    fn tell(&mut self, line: &str) -> Result<String> {
        let proxy = self.proxy.as_mut().context("there is no proxy")?;
        proxy.tell(line)
    }
}

impl Disturbance for NetDisturbance {
    fn play(
        &mut self,
        swarm: &mut Swarm,
        signals: &Signals,
        played: &mut Vec<String>,
    ) -> Result<History> {
        signals.let_submit(self.tasks / 3);
        let progress = wait_for_progress(&swarm.server);
        self.begin()?;
        self.go_on(swarm, signals)?;
        let what = if self.is_sabotaged {
            "not healed".to_owned()
        } else {
            self.heal(swarm)?
        };
        let healed_at = Instant::now();
        let (name, seconds) = (self.scenario.name(), self.length.as_secs());
        played.push(format!(
            "{name} for {seconds} s after {progress} tasks ended; {what}"
        ));
        signals.let_submit(self.tasks);
        let mut seen = History::default();
        watch_recovery(swarm, healed_at, &mut seen)?;
        if self.is_sabotaged {
            self.heal(swarm)?;
        }
        seen.breakdowns.append(&mut self.findings);
        for recovery in &seen.recoveries {
            played.push(recovery.to_string());
        }
        Ok(seen)
    }
}

/// Gives each node a task that no other may have, and waits until it is done.
fn watch_recovery(swarm: &Swarm, healed_at: Instant, seen: &mut History) -> Result<()> {
    let mut waiting = Vec::new();
    for node in 0..NODES {
        let name = wiring::name(node);
        let planned = workload::bound_task(&name);
        let submission = patiently(|| submit_once(&planned, &swarm.server))?;
        let task = submission.answers.iter().flat_map(|answer| &answer.tasks);
        let task = task.last().cloned().context("a task was not accepted")?;
        seen.submissions.push(submission);
        waiting.push((name, task));
    }
    let mut took = vec![None; NODES];
    while took.contains(&None) && healed_at.elapsed() <= RECOVERY_MAX {
        for ((_, task), took) in waiting.iter().zip(&mut took) {
            if took.is_none() {
                let shown = swarm.server.get(&format!("/api/v2/tasks/{task}"))?;
                let is_done = shown["state"] == "succeeded";
                *took = is_done.then(|| healed_at.elapsed());
            }
        }
        thread::sleep(POLL);
    }
    for ((node, _), took) in waiting.into_iter().zip(took) {
        seen.recoveries.push(Recovery {
            node,
            took_ms: took.map(|took| took.as_millis() as u64),
            bound_ms: RECOVERY_MAX.as_millis() as u64,
        });
    }
    Ok(())
}
