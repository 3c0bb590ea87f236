//! The named scenarios.

use crate::measured::Measured;
use crate::random::Random;
use crate::swarm::{Node, Task, Workload};
use anyhow::Result;
use skep_model::requirements::{Proficiency, Requirements};

/// Where the coordinator stands.
const HOME: &str = "aws:eu-central-1";
/// Bytes that may be under way on one connection: throughput is this for each round trip.
const WINDOW_BYTES: u64 = 4 << 20;

/// A kind of swarm and work.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    build: fn(&Measured, &mut Draft) -> Result<()>,
}

/// All scenarios.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "uniform",
        about: "40 equal nodes, work for 90 % of them",
        build: |measured, draft| {
            draft.nodes(measured, 40, HOME)?;
            draft.tasks(measured, 900);
            Ok(())
        },
    },
    Scenario {
        name: "mixed-speeds",
        about: "nodes from half to twice as fast with 1 to 4 slots, work for 70 % of them",
        build: |measured, draft| {
            draft.mixed_nodes(measured)?;
            draft.tasks(measured, 700);
            Ok(())
        },
    },
    Scenario {
        name: "burst",
        about: "the same nodes, all tasks at once",
        build: |measured, draft| {
            draft.mixed_nodes(measured)?;
            draft.tasks(measured, 700);
            for task in &mut draft.workload.tasks {
                task.arrives_ms = 0;
            }
            Ok(())
        },
    },
    Scenario {
        name: "far-regions",
        about: "six regions on four continents; each second task needs 2 GiB of another's result",
        build: far_regions,
    },
    Scenario {
        name: "flaky-nodes",
        about: "4 of 40 nodes fail nine attempts in ten, work for 80 % of all",
        build: |measured, draft| {
            draft.nodes(measured, 40, HOME)?;
            for node in draft.workload.nodes.iter_mut().step_by(10) {
                node.failing_permille = 900;
            }
            draft.tasks(measured, 800);
            Ok(())
        },
    },
    Scenario {
        name: "skewed-capabilities",
        about: "a quarter of the nodes can do what a quarter of the tasks need, work for 90 %",
        build: skewed_capabilities,
    },
];

fn far_regions(measured: &Measured, draft: &mut Draft) -> Result<()> {
    let regions = [
        HOME,
        "aws:eu-west-1",
        "aws:us-east-1",
        "aws:us-west-2",
        "aws:ap-northeast-1",
        "aws:ap-southeast-2",
    ];
    for region in regions {
        draft.nodes(measured, 7, region)?;
    }
    draft.tasks(measured, 700);
    for place in (1..draft.workload.tasks.len()).step_by(2) {
        let task = &mut draft.workload.tasks[place];
        task.follows = Some(place - 1);
        task.input_bytes = 2 << 30;
    }
    Ok(())
}

fn skewed_capabilities(measured: &Measured, draft: &mut Draft) -> Result<()> {
    draft.nodes(measured, 40, HOME)?;
    for node in draft.workload.nodes.iter_mut().step_by(4) {
        node.capabilities
            .insert("rust".to_owned(), Proficiency::Expert);
    }
    let mut rust = Requirements::default();
    rust.capabilities
        .insert("rust".to_owned(), Proficiency::Intermediate);
    draft.workload.signatures.push(rust);
    draft.tasks(measured, 900);
    for task in &mut draft.workload.tasks {
        task.signature = usize::from(draft.random.happens(250));
    }
    Ok(())
}

impl Scenario {
    /// The swarm and work of this seed.
    pub(crate) fn workload(
        &self,
        measured: &Measured,
        tasks: usize,
        seed: u64,
    ) -> Result<Workload> {
        let mut draft = Draft {
            random: Random::new(seed),
            count: tasks,
            workload: Workload {
                seed,
                nodes: Vec::new(),
                signatures: vec![Requirements::default()],
                tasks: Vec::new(),
            },
        };
        (self.build)(measured, &mut draft)?;
        Ok(draft.workload)
    }
}

/// A workload that is being put together.
struct Draft {
    random: Random,
    /// Tasks to make.
    count: usize,
    workload: Workload,
}

impl Draft {
    fn nodes(&mut self, measured: &Measured, count: usize, region: &'static str) -> Result<()> {
        let rtt_ms = measured.round_trip_ms(HOME, region)?;
        for _ in 0..count {
            self.workload.nodes.push(Node {
                region,
                rtt_ms,
                throughput_bytes_s: WINDOW_BYTES * 1_000 / u64::from(rtt_ms.max(10)),
                speed_permille: 1_000,
                slots: 2,
                capabilities: [].into(),
                failing_permille: 0,
            });
        }
        Ok(())
    }

    fn mixed_nodes(&mut self, measured: &Measured) -> Result<()> {
        self.nodes(measured, 40, HOME)?;
        for node in &mut self.workload.nodes {
            node.speed_permille = 500 + self.random.below(1_501);
            node.slots = 1 + self.random.below(4) as u32;
        }
        Ok(())
    }

    /// Tasks with measured durations that come at random, as fast as to keep this share of the
    /// nodes busy.
    fn tasks(&mut self, measured: &Measured, load_permille: u64) {
        let mut work_ms: Vec<u64> = Vec::with_capacity(self.count);
        while work_ms.len() < self.count {
            let mut some = measured.work_ms.clone();
            self.random.shuffle(&mut some);
            work_ms.extend(some.into_iter().take(self.count - work_ms.len()));
        }
        let nodes = self.workload.nodes.iter();
        let speed: u64 = nodes
            .map(|node| u64::from(node.slots) * node.speed_permille)
            .sum();
        let total_ms: u64 = work_ms.iter().sum();
        let mean_ms = total_ms as f64 / work_ms.len().max(1) as f64;
        let gap_ms = mean_ms * 1_000.0 / speed as f64 * 1_000.0 / load_permille as f64;
        let mut arrives_ms = 0.0;
        for work_ms in work_ms {
            arrives_ms += self.random.gap(gap_ms);
            self.workload.tasks.push(Task {
                arrives_ms: arrives_ms as u64,
                work_ms,
                signature: 0,
                follows: None,
                input_bytes: 0,
            });
        }
    }
}
