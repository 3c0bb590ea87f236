//! What a node asks about its attempts over its session: where inputs are, how gates stand, tasks to
//! add, parts to put together.
//!
//! A node may ask about attempts that it holds, and for nothing that an attempt could not do by
//! its own token: tasks of other runs are not there for it.

use crate::context::{Context, Principal, Services};
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::lookup::{self, AnyTask};
use crate::tasks::children;
use skep_model::attempt::{Fence, GateReport};
use skep_model::command::Command;
use skep_model::ids::{NodeId, RunId, TaskId};
use skep_model::limits::{FRAME_BYTES_MAX, GATE_EVIDENCE_BYTES_MAX, IDEMPOTENCY_KEY_LENGTH_MAX};
use skep_model::task::{TaskSpec, TaskState};
use skep_model::work::Work;
use skep_wire::Fault;
use skep_wire::payload::{
    AttemptKey, Capabilities, Capability, GateAnswer, GateMessage, GateRequest, GateStanding,
    MergeAnswer, MergeRequest, NodeAnswer, NodeRequest, ResolveAnswer, ResolveRequest,
    ResolvedTask, SplitAnswer, SplitRequest,
};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What is answered here.
pub const SERVED: Capabilities = Capabilities::NONE
    .with(Capability::DependencyResolve)
    .with(Capability::QualityGate)
    .with(Capability::TaskSplit)
    .with(Capability::ResultMerge);

/// Bytes of an answer as text; the rest of the frame is for what surrounds it.
const ANSWER_BYTES_MAX: usize = FRAME_BYTES_MAX - 1_024;

/// Answers the question of a node, or refuses it with a code of [`ErrorCode`].
///
/// # Errors
/// The attempt is not the node's, or what is asked for is wrong or not possible.
pub async fn answer(
    services: Arc<Services>,
    node: NodeId,
    request: NodeRequest,
    key: Option<&str>,
) -> Result<NodeAnswer, Fault> {
    let answered = answer_to(services, node, request, key).await;
    answered.map_err(|error| Fault::refusal(error.code().as_str(), error.detail()))
}

/// The same for callers that refuse in their own form.
pub(crate) async fn answer_to(
    services: Arc<Services>,
    node: NodeId,
    request: NodeRequest,
    key: Option<&str>,
) -> Result<NodeAnswer, OperationError> {
    let desk = Desk { services };
    let attempt = Attempt::of(&desk.services, node, request.attempt())?;
    desk.answer(&attempt, request, key).await
}

/// The attempt that is asked about: current, and the asking node's.
struct Attempt {
    key: AttemptKey,
    node: NodeId,
    /// What its gates answered so far.
    gates: Vec<GateReport>,
    run: Option<RunId>,
    spec: Arc<TaskSpec>,
}

impl Attempt {
    fn of(services: &Services, node: NodeId, key: AttemptKey) -> Result<Self, OperationError> {
        let AttemptKey { task, fence } = key;
        let view = services.hive.view();
        let record = view.state.task(task);
        let held = record.and_then(|record| Some((record, record.lease.as_ref()?)));
        match held {
            Some((record, lease)) if lease.fence == fence && lease.node == node => Ok(Self {
                key,
                node,
                gates: lease.gates.clone(),
                run: record.run,
                spec: Arc::clone(&record.spec),
            }),
            Some((_, lease)) if lease.fence == fence => {
                let detail = format!("node `{node}` does not hold attempt {fence} of `{task}`");
                Err(OperationError::new(ErrorCode::NotYourTask, detail))
            }
            _ => Err(stale(task, fence)),
        }
    }

    /// Tasks whose artifacts it takes, each once, in the order of its inputs.
    fn sources(&self) -> Vec<TaskId> {
        let mut seen = BTreeSet::new();
        let sources = self.spec.work.inputs().iter().map(|input| input.from);
        sources.filter(|task| seen.insert(*task)).collect()
    }

    /// Whether it may know what the task handed in.
    fn may_see(&self, task: &AnyTask) -> bool {
        let record = task.record();
        record.id == self.key.task || (self.run.is_some() && record.run == self.run)
    }
}

fn stale(task: TaskId, fence: Fence) -> OperationError {
    let detail = format!("attempt {fence} of `{task}` is not the current one");
    OperationError::new(ErrorCode::FenceStale, detail)
}

struct Desk {
    services: Arc<Services>,
}

impl Desk {
    async fn answer(
        &self,
        attempt: &Attempt,
        request: NodeRequest,
        key: Option<&str>,
    ) -> Result<NodeAnswer, OperationError> {
        Ok(match request {
            NodeRequest::Resolve(ResolveRequest { wanted, .. }) => {
                let items = self.resolve(attempt, wanted).await?;
                NodeAnswer::Resolve(ResolveAnswer { items })
            }
            NodeRequest::Merge(MergeRequest { shards, .. }) => {
                let shards = self.resolve(attempt, shards).await?;
                let succeeded = |shard: &ResolvedTask| shard.state == Some(TaskState::Succeeded);
                let complete = shards.iter().all(succeeded);
                NodeAnswer::Merge(MergeAnswer { complete, shards })
            }
            NodeRequest::Gate(request) => NodeAnswer::Gate(self.gate(attempt, request).await?),
            NodeRequest::Split(request) => {
                NodeAnswer::Split(self.split(attempt, request, key).await?)
            }
        })
    }

    async fn resolve(
        &self,
        attempt: &Attempt,
        wanted: Vec<TaskId>,
    ) -> Result<Vec<ResolvedTask>, OperationError> {
        let wanted = if wanted.is_empty() {
            attempt.sources()
        } else {
            wanted
        };
        let found = lookup::tasks(&self.services, &wanted).await?;
        let items: Vec<ResolvedTask> = wanted
            .into_iter()
            .zip(found)
            .map(|(task, found)| {
                let found = found.filter(|found| attempt.may_see(found));
                let report = found.as_ref().and_then(AnyTask::report);
                ResolvedTask {
                    task,
                    state: found.as_ref().map(|found| found.record().state),
                    artifacts: report.map_or_else(Vec::new, |report| report.artifacts.clone()),
                }
            })
            .collect();
        let bytes = serde_json::to_vec(&items)
            .map_err(|error| OperationError::internal("write an answer to a node", &error))?;
        if bytes.len() > ANSWER_BYTES_MAX {
            let detail = format!(
                "the answer would have {} bytes, more than FRAME_BYTES_MAX; ask for fewer tasks",
                bytes.len()
            );
            return Err(OperationError::new(ErrorCode::LimitExceeded, detail));
        }
        Ok(items)
    }

    /// How a gate stands. What is reported is in the log before it is answered.
    async fn gate(
        &self,
        attempt: &Attempt,
        request: GateRequest,
    ) -> Result<GateAnswer, OperationError> {
        let name = match &request.gate {
            GateMessage::Report(report) => &report.name,
            GateMessage::Evaluate(name) => name,
        };
        let has_gate = match &attempt.spec.work {
            Work::Command(work) => work.gates.iter().any(|gate| gate.name == *name),
            Work::Noop | Work::Described(_) => false,
        };
        if !has_gate {
            let standing = GateStanding::Unknown;
            return Ok(GateAnswer { standing });
        }
        let passed = match request.gate {
            GateMessage::Report(report) => {
                if report.output.len() > GATE_EVIDENCE_BYTES_MAX {
                    let detail = format!(
                        "the gate has {} bytes of output; GATE_EVIDENCE_BYTES_MAX is \
                         {GATE_EVIDENCE_BYTES_MAX}",
                        report.output.len()
                    );
                    return Err(OperationError::new(ErrorCode::LimitExceeded, detail));
                }
                let passed = report.passed;
                self.keep(attempt, report).await?;
                Some(passed)
            }
            GateMessage::Evaluate(name) => {
                let known = attempt.gates.iter().find(|known| known.name == name);
                known.map(|known| known.passed)
            }
        };
        let standing = match passed {
            Some(true) => GateStanding::Passed,
            Some(false) => GateStanding::Failed,
            None => GateStanding::Open,
        };
        Ok(GateAnswer { standing })
    }

    async fn keep(&self, attempt: &Attempt, gate: GateReport) -> Result<(), OperationError> {
        let AttemptKey { task, fence } = attempt.key;
        let node = attempt.node;
        let context = Context::new(Arc::clone(&self.services), Principal::Node(node));
        let gate = Box::new(gate);
        let command = Command::ReportGate {
            node,
            task,
            fence,
            gate,
        };
        context.propose(command).await.map(drop)
    }

    /// The same as `tasks.add_children` by the attempt's own token.
    async fn split(
        &self,
        attempt: &Attempt,
        request: SplitRequest,
        key: Option<&str>,
    ) -> Result<SplitAnswer, OperationError> {
        let AttemptKey { task, fence } = attempt.key;
        let run = attempt.run;
        let mut context = Context::new(
            Arc::clone(&self.services),
            Principal::Task { task, fence, run },
        );
        context.idempotency_key = key.map(checked_key).transpose()?;
        context.trace_parent.clone_from(&attempt.spec.trace_parent);
        let mut body = serde_json::Map::new();
        let tasks = request.tasks.into_iter().collect();
        body.insert("tasks".to_owned(), serde_json::Value::Object(tasks));
        if let Some(base_dir) = request.base_dir {
            body.insert("base_dir".to_owned(), base_dir.into());
        }
        let body = serde_json::Value::Object(body).to_string();
        let added = children::add_for_attempt(context, task, body.as_bytes()).await?;
        let found = lookup::tasks(&self.services, &added).await?;
        let named = |task: AnyTask| {
            let record = task.record();
            (record.spec.name.clone(), record.id)
        };
        let tasks = found.into_iter().flatten().map(named).collect();
        Ok(SplitAnswer { tasks })
    }
}

fn checked_key(key: &str) -> Result<String, OperationError> {
    let is_plain = key
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'"');
    if is_plain && (1..=IDEMPOTENCY_KEY_LENGTH_MAX).contains(&key.len()) {
        return Ok(key.to_owned());
    }
    let detail = format!(
        "`_meta.idempotencyKey` should be 1 to {IDEMPOTENCY_KEY_LENGTH_MAX} visible ASCII \
         characters without `\"`"
    );
    Err(OperationError::new(
        ErrorCode::IdempotencyKeyMalformed,
        detail,
    ))
}
