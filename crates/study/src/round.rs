//! Times single rounds over many nodes, tasks and requirement signatures.

use crate::console::{say, table};
use crate::random::Random;
use anyhow::{Result, ensure};
use serde::Serialize;
use skep_model::ids::{AgentId, NodeId, TaskId};
use skep_model::isolation::IsolationLevel;
use skep_model::node::NodeState;
use skep_model::requirements::{
    AffinityRule, AffinitySense, AffinityStrength, Performer, Proficiency, Requirements, Resources,
};
use skep_model::task::ReadyKey;
use skep_model::time::UnixMillis;
use skep_scheduler::{
    AgentView, BreakerView, NodeView, Policy, QueueView, STRATEGIES, Snapshot, TaskInputs, mean_ms,
    strategy,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// Slots of each node.
const SLOTS: u32 = 4;
/// Different capabilities; a signature asks for up to two of them, an agent has up to four.
const CAPABILITIES: u64 = 8;
/// Different amounts of resources that signatures ask for.
const SHAPES: u64 = 6;
const GIB: u64 = 1 << 30;

/// What is timed.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Nodes, with one agent each
    #[arg(long, default_value_t = 10_000)]
    nodes: usize,
    /// Tasks that wait
    #[arg(long, default_value_t = 1_000_000)]
    tasks: usize,
    /// Different requirements among them
    #[arg(long, default_value_t = 100)]
    signatures: usize,
    /// Requirements that insist on one node, in thousandths
    #[arg(long, default_value_t = 0)]
    bound: u64,
    /// Free slots in thousandths
    #[arg(long, default_value_t = 1_000)]
    free: u64,
    /// Rounds, each over the same swarm with other slots free
    #[arg(long, default_value_t = 100)]
    rounds: usize,
    /// Only this strategy
    #[arg(long)]
    strategy: Option<String>,
    /// Print figures for programs
    #[arg(long)]
    json: bool,
}

/// What nodes and queues borrow from.
struct Ground {
    labels: Vec<BTreeMap<String, String>>,
    capabilities: Vec<BTreeMap<String, Proficiency>>,
    signatures: Vec<Requirements>,
    tasks: Vec<BTreeSet<ReadyKey>>,
}

#[derive(Debug, Serialize)]
struct Figures {
    strategy: &'static str,
    grants: usize,
    p50_ms: f64,
    p99_ms: f64,
    per_grant_us: f64,
}

/// Times the rounds and prints what they took.
pub(crate) fn run(options: &Options) -> Result<()> {
    ensure!(
        options.nodes > 0 && options.signatures > 0 && options.rounds > 0,
        "`--nodes`, `--signatures` and `--rounds` have to be at least 1"
    );
    if let Some(name) = &options.strategy {
        strategy(name)?;
    }
    let ground = ground(options);
    let wanted = |name: &&&str| {
        options
            .strategy
            .as_deref()
            .is_none_or(|only| only == **name)
    };
    let figures: Vec<Figures> = STRATEGIES
        .iter()
        .filter(wanted)
        .map(|name| measure(name, options, &ground))
        .collect::<Result<_>>()?;
    if options.json {
        say(&serde_json::to_string_pretty(&figures)?);
        return Ok(());
    }
    let mut rows = vec![
        ["strategy", "grants", "p50 ms", "p99 ms", "per grant µs"]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(figures.iter().map(|of| {
        vec![
            of.strategy.to_owned(),
            of.grants.to_string(),
            format!("{:.2}", of.p50_ms),
            format!("{:.2}", of.p99_ms),
            format!("{:.2}", of.per_grant_us),
        ]
    }));
    say(&table(&rows));
    Ok(())
}

fn ground(options: &Options) -> Ground {
    let mut random = Random::new(1);
    let mut some = |most: u64| -> BTreeMap<String, Proficiency> {
        let count = random.below(most + 1);
        (0..count)
            .map(|_| {
                let name = format!("skill-{}", random.below(CAPABILITIES));
                (name, Proficiency::Intermediate)
            })
            .collect()
    };
    let capabilities = (0..options.nodes).map(|_| some(4)).collect();
    let signature = |number: usize| Requirements {
        capabilities: some(2),
        resources: Resources {
            cpu_millis: 250 * (number as u64 % SHAPES + 1),
            ..Resources::NONE
        },
        affinity: vec![rule(options, number)],
        ..Requirements::default()
    };
    let signatures: Vec<Requirements> = (0..options.signatures).map(signature).collect();
    let mut tasks = vec![BTreeSet::new(); options.signatures];
    for number in 0..options.tasks as u64 {
        tasks[number as usize % options.signatures].insert(ReadyKey {
            ready_at: UnixMillis(number),
            sequence: (number, 0),
            task: TaskId::from_u128(u128::from(number) << 64 | 0x5eed),
        });
    }
    let labels = (0..options.nodes)
        .map(|number| [("host".to_owned(), format!("host-{number}"))].into())
        .collect();
    Ground {
        labels,
        capabilities,
        signatures,
        tasks,
    }
}

/// A rule that no other signature has: it binds to one node, or hopes for a label that none has.
fn rule(options: &Options, number: usize) -> AffinityRule {
    let is_bound = (number as u64 * 1_000 / options.signatures as u64) < options.bound;
    let host = format!("host-{}", number * 7 % options.nodes);
    AffinityRule {
        label: if is_bound {
            "host".to_owned()
        } else {
            format!("rack-{number}")
        },
        value: is_bound.then_some(host),
        sense: AffinitySense::Attract,
        strength: if is_bound {
            AffinityStrength::Required
        } else {
            AffinityStrength::Weight(5)
        },
    }
}

fn snapshot<'a>(options: &Options, ground: &'a Ground, random: &mut Random) -> Snapshot<'a> {
    let total = Resources {
        cpu_millis: 4_000,
        memory_bytes: 16 * GIB,
        ..Resources::NONE
    };
    let mut nodes = Vec::new();
    let mut agents = Vec::new();
    for (number, labels) in ground.labels.iter().enumerate() {
        let free = (0..SLOTS).filter(|_| random.happens(options.free)).count() as u32;
        nodes.push(NodeView {
            id: NodeId::from_u128(number as u128),
            name: "node",
            state: NodeState::Ready,
            performer: Performer::Node,
            labels,
            isolation: IsolationLevel::S1,
            total,
            free: total,
            slots: SLOTS,
            slots_free: free,
            region: None,
            rtt_ms: Some(random.below(200) as u32),
            throughput_bytes_s: None,
            load_permille: None,
            breaker: BreakerView::Closed,
        });
        agents.push(AgentView {
            id: AgentId::from_u128(number as u128),
            name: "agent",
            node: number,
            capabilities: &ground.capabilities[number],
            slots: SLOTS,
            slots_free: free,
            paused: false,
            succeeded: random.below(100),
            failed: random.below(5),
            busy_ms: random.below(100_000),
        });
    }
    let queue = |(requirements, tasks)| QueueView {
        requirements,
        run: None,
        weight: 10,
        held_by_run: 0,
        priority: 5,
        tasks,
    };
    Snapshot {
        now: UnixMillis(options.tasks as u64),
        mean_ms: mean_ms(&agents),
        nodes,
        agents,
        queues: ground
            .signatures
            .iter()
            .zip(&ground.tasks)
            .map(queue)
            .collect(),
        failed_on: &|_| &[],
        inputs: &|_| TaskInputs::NONE,
    }
}

fn measure(name: &'static str, options: &Options, ground: &Ground) -> Result<Figures> {
    let strategy = strategy(name)?;
    let mut random = Random::new(2);
    let mut took_ms = Vec::new();
    let mut grants = 0;
    for _ in 0..options.rounds {
        let snapshot = snapshot(options, ground, &mut random);
        let start = Instant::now();
        grants += strategy.place(&snapshot, &Policy::default()).len();
        took_ms.push(start.elapsed().as_secs_f64() * 1_000.0);
    }
    took_ms.sort_by(f64::total_cmp);
    let at = |percent: usize| took_ms[(took_ms.len() * percent).div_ceil(100).max(1) - 1];
    let total_ms: f64 = took_ms.iter().sum();
    Ok(Figures {
        strategy: name,
        grants: grants / options.rounds,
        p50_ms: at(50),
        p99_ms: at(99),
        per_grant_us: total_ms * 1_000.0 / grants.max(1) as f64,
    })
}
