//! What the statements of the test language mean.

use super::joining;
use super::{Words, World};
use skep_model::agent::AgentSpec;
use skep_model::attempt::{FailureClass, Fence, LogIndex};
use skep_model::command::{Command, Grant, Idempotency, Phase, Progress};
use skep_model::ids::{AgentId, InstanceId, NodeId, RunId, TaskId, TokenId};
use skep_model::isolation::IsolationLevel;
use skep_model::node::{Hardware, NodeFacts};
use skep_model::requirements::{
    AffinityRule, AffinitySense, AffinityStrength, Performer, Proficiency, Requirements, Resources,
};
use skep_model::run::RunSpec;
use skep_model::task::{Compensation, Condition, Delivery, NewTask, Priority, TaskSpec};
use skep_model::time::UnixMillis;
use skep_model::token::{Scope, TokenRecord};
use skep_model::work::{CommandWork, Gate, Invocation, Work, Workspace};
use std::collections::BTreeMap;
use std::sync::Arc;

fn task_id(text: &str) -> TaskId {
    TaskId::from_u128(text.parse().unwrap())
}

fn fence(text: &str) -> Fence {
    Fence {
        epoch: 1,
        index: LogIndex(text.parse().unwrap()),
    }
}

fn level(text: &str) -> IsolationLevel {
    match text {
        "s0" => IsolationLevel::S0,
        "s1" => IsolationLevel::S1,
        "s2" => IsolationLevel::S2,
        other => panic!("no isolation level `{other}`"),
    }
}

/// `cap=rust:expert`, as often as one likes.
pub(super) fn capabilities(words: &Words<'_>) -> BTreeMap<String, Proficiency> {
    let pairs = words.options_named("cap").map(|pair| {
        let (name, proficiency) = pair.split_once(':').unwrap();
        let proficiency = match proficiency {
            "basic" => Proficiency::Basic,
            "expert" => Proficiency::Expert,
            other => panic!("no proficiency `{other}`"),
        };
        (name.to_owned(), proficiency)
    });
    pairs.collect()
}

pub(super) fn labels(words: &Words<'_>) -> BTreeMap<String, String> {
    let pairs = words.options_named("label").map(|pair| {
        let (name, value) = pair.split_once(':').unwrap();
        (name.to_owned(), value.to_owned())
    });
    pairs.collect()
}

fn cpu(words: &Words<'_>, default: u64) -> Resources {
    Resources {
        cpu_millis: words.number("cpu").unwrap_or(default),
        ..Resources::NONE
    }
}

fn affinity(words: &Words<'_>) -> Vec<AffinityRule> {
    let senses = [
        ("near", AffinitySense::Attract),
        ("far", AffinitySense::Repel),
    ];
    let rules = senses.into_iter().flat_map(|(key, sense)| {
        words.options_named(key).map(move |rule| {
            let (label, value) = match rule.split_once(':') {
                Some((label, value)) => (label, Some(value.to_owned())),
                None => (rule, None),
            };
            AffinityRule {
                label: label.to_owned(),
                value,
                sense,
                strength: AffinityStrength::Required,
            }
        })
    });
    rules.collect()
}

fn command_work(gates: Vec<Gate>) -> Work {
    Work::Command(Box::new(CommandWork {
        invocation: Invocation::Argv(vec!["true".to_owned()]),
        env: BTreeMap::new(),
        workspace: Workspace::None,
        inputs: Vec::new(),
        artifacts: Vec::new(),
        gates,
        timeout_ms: 1_000,
        kill_grace_ms: 1_000,
        reads: Vec::new(),
    }))
}

pub(super) fn new_task(words: &Words<'_>) -> NewTask {
    let mut spec = TaskSpec::noop(format!("t{}", words.id()));
    let gates = words.options_named("gate").map(|name| Gate {
        name: name.to_owned(),
        invocation: Invocation::Argv(vec!["true".to_owned()]),
        timeout_ms: 1_000,
    });
    let gates: Vec<Gate> = gates.collect();
    if words.has("command") || !gates.is_empty() {
        spec.work = command_work(gates);
    }
    if words.has("described") {
        spec.work = joining::described_work();
    }
    spec.requirements = Requirements {
        capabilities: capabilities(words),
        resources: cpu(words, 0),
        affinity: affinity(words),
        isolation: match words.option("isolation") {
            None if words.has("described") => IsolationLevel::S0,
            said => said.map(level).unwrap_or_default(),
        },
        agent: words.number("pin").map(|id| AgentId::from_u128(id.into())),
        performer: match words.option("by") {
            Some("node") => Performer::Node,
            _ => spec.work.performer(),
        },
    };
    spec.priority = priority(words).unwrap_or_default();
    spec.condition = match words.option("when") {
        Some("failure") => Condition::Failure,
        Some("always") => Condition::Always,
        _ => Condition::Success,
    };
    if words.has("once") {
        spec.delivery = Delivery::AtMostOnce;
    }
    spec.deadline = words.number("deadline").map(UnixMillis);
    spec.retry.attempts_max = words.number("attempts").unwrap_or(3) as u32;
    spec.retry.backoff_initial_ms = words.number("backoff").unwrap_or(1_000);
    if words.option("retry") == Some("gate") {
        spec.retry.on = vec![FailureClass::Gate];
    }
    spec.compensate = words.option("undo").map(|undo| {
        Box::new(Compensation {
            task: task_id(undo),
            work: Work::Noop,
        })
    });
    let needs = words.option("needs").unwrap_or("");
    NewTask {
        id: TaskId::from_u128(words.id()),
        spec: Arc::new(spec),
        needs: needs
            .split(',')
            .filter(|need| !need.is_empty())
            .map(task_id)
            .collect(),
    }
}

fn priority(words: &Words<'_>) -> Option<Priority> {
    words.number("priority").map(|base| Priority {
        base: base as u8,
        critical: words.has("critical"),
        ..Priority::default()
    })
}

fn facts(words: &Words<'_>) -> Box<NodeFacts> {
    let name = words
        .option("name")
        .map_or_else(|| format!("n{}", words.id()), str::to_owned);
    Box::new(NodeFacts {
        name,
        version: "1".to_owned(),
        system: "linux".to_owned(),
        resources: cpu(words, 4_000),
        slots: words.number("slots").unwrap_or(4) as u32,
        labels: labels(words),
        capabilities: capabilities(words),
        isolation: words.option("isolation").map_or(IsolationLevel::S1, level),
        probes: Vec::new(),
        class: joining::class(words),
        region: None,
        hardware: Hardware::default(),
        models: Vec::new(),
        on_disconnect: words.option("disconnect").and_then(joining::policy),
    })
}

pub(super) fn instance(words: &Words<'_>) -> InstanceId {
    InstanceId::from_u128(words.number("instance").unwrap_or(1).into())
}

pub(super) fn idempotency(words: &Words<'_>) -> Option<Idempotency> {
    words.option("key").map(|key| Idempotency {
        key: key.to_owned(),
        fingerprint: [words.number("body").unwrap_or(0) as u8; 32],
    })
}

impl World {
    pub(super) fn command(&mut self, words: &Words<'_>) -> Command {
        let id = words
            .plain
            .first()
            .and_then(|word| word.parse::<u128>().ok())
            .unwrap_or(0);
        let (task, run) = (TaskId::from_u128(id), RunId::from_u128(id));
        let node = NodeId::from_u128(id);
        match words.verb {
            "run" => Command::SubmitRun {
                run,
                spec: Arc::new(RunSpec {
                    name: format!("r{id}"),
                    labels: BTreeMap::new(),
                    weight: 10,
                    trace_parent: None,
                    strategy: None,
                }),
                tasks: std::mem::take(&mut self.draft),
                idempotency: idempotency(words),
            },
            "submit" => Command::SubmitTasks {
                run: words.number("run").map(|run| RunId::from_u128(run.into())),
                tasks: std::mem::take(&mut self.draft),
                idempotency: idempotency(words),
            },
            "cancel-run" => Command::CancelRun(run),
            "pause-run" => Command::PauseRun(run),
            "resume-run" => Command::ResumeRun(run),
            "cancel" => Command::CancelTask(task),
            "retry" => Command::RetryTask(task),
            "pause" => Command::PauseTask(task),
            "resume" => Command::ResumeTask(task),
            "update" => Command::UpdateTask {
                task,
                priority: priority(words),
                labels: words.option("label").map(|_| labels(words)),
            },
            "assign" => Command::AssignTask {
                task,
                agent: AgentId::from_u128(words.number("to").unwrap().into()),
            },
            "grant" => Command::GrantLeases(words.plain.iter().map(|pair| grant(pair)).collect()),
            "start" => self.progress(words, Phase::Running),
            "verify" => self.progress(words, Phase::Verifying),
            "report" => self.report(words),
            "gate" => self.gate(words),
            "hand-back" => self.hand_back(words),
            "move" => self.move_attempt(words),
            "fire" => Command::FireTimers,
            "token" => Command::CreateToken(Box::new(TokenRecord {
                id: TokenId::from_u128(id),
                name: format!("k{id}"),
                hash: [words.number("hash").unwrap_or(id as u64) as u8; 32],
                scopes: vec![Scope::Read],
                created_at: UnixMillis(self.at),
                expires_at: None,
            })),
            "revoke" => Command::RevokeToken(TokenId::from_u128(id)),
            "put" | "del" | "touch" | "write" | "space" => self.memory_command(words),
            "schedule" | "pause-schedule" | "resume-schedule" | "delete-schedule" | "due" => {
                self.schedule_command(words)
            }
            "trigger" | "pause-trigger" | "resume-trigger" | "delete-trigger" | "act" => {
                self.trigger_command(words)
            }
            _ => swarm_command(words, node),
        }
    }

    /// Node and fence of a statement: as said, or those of the current lease, or some that are
    /// nobody's.
    pub(super) fn grant_of(&self, words: &Words<'_>) -> (NodeId, Fence) {
        let task = self.state.task(TaskId::from_u128(words.id()));
        let lease = task.and_then(|task| task.lease.as_ref());
        let node = words.number("node").map(|id| NodeId::from_u128(id.into()));
        let node = node.or(lease.map(|lease| lease.node));
        let given = words.option("fence").map(fence);
        (
            node.unwrap_or(NodeId::from_u128(0)),
            given
                .or(lease.map(|lease| lease.fence))
                .unwrap_or(fence("0")),
        )
    }

    fn progress(&self, words: &Words<'_>, phase: Phase) -> Command {
        let (node, fence) = self.grant_of(words);
        let task = TaskId::from_u128(words.id());
        Command::ReportProgress {
            node,
            items: vec![Progress { task, fence, phase }],
        }
    }
}

fn grant(pair: &str) -> Grant {
    let (task, agent) = pair.split_once(':').unwrap();
    Grant {
        task: task_id(task),
        agent: AgentId::from_u128(agent.parse().unwrap()),
    }
}

fn swarm_command(words: &Words<'_>, node: NodeId) -> Command {
    let agent = AgentId::from_u128(node.as_u128());
    match words.verb {
        "node" => Command::RegisterNode {
            node,
            instance: instance(words),
            starts: words.number("starts").unwrap_or(0),
            agent: words
                .number("agent")
                .map_or(agent, |id| AgentId::from_u128(id.into())),
            facts: facts(words),
        },
        "confirm" => Command::ConfirmNode {
            node,
            instance: instance(words),
            lost: words
                .options_named("lost")
                .map(|pair| {
                    let (task, index) = pair.split_once('@').unwrap();
                    (task_id(task), fence(index))
                })
                .collect(),
        },
        "suspect" => Command::SuspectNode(node),
        "trust" => Command::TrustNode(node),
        "lose" => Command::LoseNode(node),
        "left" => Command::NodeLeft {
            node,
            instance: instance(words),
        },
        "drain" => Command::DrainNode(node),
        "undrain" => Command::ResumeNode(node),
        "remove" => Command::RemoveNode(node),
        "agent" => Command::CreateAgent {
            agent,
            spec: Box::new(AgentSpec {
                name: words
                    .option("name")
                    .map_or_else(|| format!("a{}", words.id()), str::to_owned),
                role: "worker".to_owned(),
                node: NodeId::from_u128(words.number("on").unwrap().into()),
                capabilities: capabilities(words),
                slots: words.number("slots").unwrap_or(1) as u32,
            }),
        },
        "update-agent" => Command::UpdateAgent {
            agent,
            role: words.option("role").map(str::to_owned),
            capabilities: words.option("cap").map(|_| capabilities(words)),
            slots: words.number("slots").map(|slots| slots as u32),
            paused: words.option("paused").map(|paused| paused == "yes"),
        },
        "remove-agent" => Command::RemoveAgent(agent),
        _ => joining::command(words, node),
    }
}
