//! One scenario: work goes on, the network breaks, it heals, and every node has to work again.

use super::args::NetArgs;
use super::filter::Lost;
use super::hosts::{self, Hosts, Proxy};
use super::names::Names;
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
/// What the link of a slow coordinator is like, for each connection.
const SLOW: &str = "both delay 150 jitter 100 rate 40000";
/// Largest packet that a path with a black hole lets through, bytes: answers to heartbeats, but no
/// work and no handshake, not even a resumed one.
const BLACKHOLE_BYTES: u16 = 200;
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
    names: Option<Names>,
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
        names: Option<Names>,
        length: Duration,
        args: &NetArgs,
    ) -> Result<Self> {
        let proxy = scenario.is_proxied().then(|| hosts.detour(hit(scenario)));
        Ok(Self {
            scenario,
            proxy: proxy.transpose()?,
            hosts,
            names,
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
            Scenario::MtuBlackhole => {
                let large = Lost::LargeFrom(hosts::COORDINATOR, BLACKHOLE_BYTES);
                self.hosts.lose_at_node(VICTIM, &[large])
            }
            Scenario::NatRebinding => self.hosts.rebind(VICTIM),
            Scenario::NameGone => {
                let names = self.names.as_ref().context("there are no names")?;
                names.forget()?;
                self.tell("reset").map(drop)
            }
            Scenario::Delay => self.tell(FAR).map(drop),
            Scenario::SlowLeader => self.tell(SLOW).map(drop),
            Scenario::ByteByByte => self.tell("both cut-every 1").map(drop),
            Scenario::Trickle => self.tell("both rate 1").map(drop),
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
        self.look_at_those_hit(swarm)?;
        if self.is_coordinator_down {
            swarm.start_coordinator()?;
        }
        let lost = self.hosts.heal()?;
        let (what, count) = match self.scenario {
            Scenario::Flapping => {
                self.hosts.set_cable(VICTIM, true)?;
                (format!("the cable was moved {} times", self.changes), 1)
            }
            one if one.is_proxied() => {
                if let Some(names) = &self.names {
                    names.keep()?;
                }
                self.tell("calm")?;
                let status = self.tell("status")?;
                let count = status.rsplit(' ').next().and_then(|word| word.parse().ok());
                (format!("through the proxy: {status}"), count.unwrap_or(0))
            }
            Scenario::NatRebinding => (format!("{lost} packets came from elsewhere"), lost),
            _ => (format!("{lost} packets were lost"), lost),
        };
        if count == 0 {
            self.findings.push(format!("the fault hit nothing: {what}"));
        }
        Ok(what)
    }

    /// Those that the fault hits stand as they have to.
    fn look_at_those_hit(&mut self, swarm: &Swarm) -> Result<()> {
        let standing = self.scenario.standing();
        for node in hit(self.scenario) {
            let (name, state) = (wiring::name(node), swarm.node_state(node)?);
            if !standing.is_shown_as(&state) {
                let finding = format!("before the heal `{name}` is {state}, not {standing:?}");
                self.findings.push(finding);
            }
        }
        if self.scenario == Scenario::NatRebinding {
            let new = hosts::connections_from(hosts::rebound_address(VICTIM))?;
            let old = hosts::connections_from(hosts::address(VICTIM))?;
            if new == 0 || old > 0 {
                self.findings.push(format!(
                    "the coordinator has {new} connections with the new address, {old} with the old"
                ));
            }
        }
        Ok(())
    }

    fn tell(&mut self, line: &str) -> Result<String> {
        let proxy = self.proxy.as_mut().context("there is no proxy")?;
        proxy.tell(line)
    }
}

/// The nodes whose network breaks.
const fn hit(scenario: Scenario) -> std::ops::Range<usize> {
    if scenario.hits_all() {
        0..NODES
    } else {
        VICTIM..VICTIM + 1
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
