//! One order to many nodes, with one answer for each.

use crate::context::Context;
use crate::declare::{ADMIN, act};
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::fields::NoParameters;
use crate::nodes::resolve;
use crate::operation::Operation;
use serde::{Deserialize, Serialize};
use skep_model::command::Command;
use skep_model::ids::NodeId;
use skep_model::node::NodeState;
use skep_wire::broadcast::{Broadcast, BroadcastFailure};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::task::JoinSet;

/// How long answers are waited for unless the caller says so, milliseconds.
const TIMEOUT_MS_DEFAULT: u64 = 10_000;
/// The longest that they are waited for, milliseconds.
const TIMEOUT_MS_MAX: u64 = 30_000;
/// Orders under way at a time; the queue before the log is for others, too.
const UNDER_WAY_MAX: usize = 256;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        act(
            "instances.broadcast",
            "/instances/broadcast",
            ADMIN,
            "Gives one order to many nodes, and says for each what came of it.",
        )
        .takes(broadcast),
    ]
}

/// What nodes are told to do.
#[derive(Debug, Clone, Copy, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Order {
    /// Take nothing new.
    Drain,
    /// Take work again.
    Resume,
}

/// An order to many.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct OrderToMany {
    /// What to do.
    order: Order,
    /// Nodes by id or name; all that have not left unless given.
    instances: Option<Vec<String>>,
    /// Milliseconds to wait for answers; 10,000 unless given.
    #[schemars(range(min = 1, max = TIMEOUT_MS_MAX))]
    timeout_ms: Option<u64>,
}

/// What came of it.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct Answers {
    /// One for each instance.
    items: Vec<InstanceAnswer>,
    /// How many failed.
    failed: usize,
}

/// The answer of one instance.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct InstanceAnswer {
    /// As it was named.
    instance: String,
    /// The node that took the order.
    node: Option<NodeId>,
    /// Why none did.
    error: Option<InstanceFailure>,
}

/// Why an instance did not take the order.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct InstanceFailure {
    /// `BROADCAST_FAILED`.
    code: &'static str,
    /// For people.
    message: String,
    /// Whether asking again may help.
    retryable: bool,
}

async fn broadcast(
    context: Context,
    _: NoParameters,
    wanted: OrderToMany,
) -> Result<Answers, OperationError> {
    let timeout_ms = wanted.timeout_ms.unwrap_or(TIMEOUT_MS_DEFAULT);
    if !(1..=TIMEOUT_MS_MAX).contains(&timeout_ms) {
        let detail = format!("`timeout_ms` is {timeout_ms}; want 1 to {TIMEOUT_MS_MAX}");
        return Err(OperationError::new(ErrorCode::FieldInvalid, detail));
    }
    let instances = wanted.instances.unwrap_or_else(|| present(&context));
    let deadline = context.services.clock.elapsed_ms() + timeout_ms;
    let gathering = Broadcast::new(instances, deadline)
        .map_err(|error| OperationError::new(ErrorCode::LimitExceeded, error.to_string()))?;
    Ok(answers(gather(&context, wanted.order, gathering).await))
}

/// Every node that has not left.
fn present(context: &Context) -> Vec<String> {
    let view = context.services.hive.view();
    let nodes = view.state.machines();
    let nodes = nodes.filter(|node| node.state != NodeState::Left);
    nodes.map(|node| node.id.to_string()).collect()
}

type Gathered = BTreeMap<String, Result<NodeId, BroadcastFailure>>;

/// Gives the order to all, a bounded number at a time, until all answered or the time is over.
/// What is under way then may still be done; giving an order twice does no harm.
async fn gather(
    context: &Context,
    order: Order,
    mut gathering: Broadcast<String, NodeId>,
) -> Gathered {
    let now = || context.services.clock.elapsed_ms();
    let mut waiting: Vec<String> = gathering.waits_for().cloned().collect();
    let mut under_way = JoinSet::new();
    while let Some(deadline) = gathering.next_timer() {
        while under_way.len() < UNDER_WAY_MAX
            && let Some(instance) = waiting.pop()
        {
            under_way.spawn(give(context.clone(), order, instance));
        }
        let left = Duration::from_millis(deadline.saturating_sub(now()));
        let answered = tokio::time::timeout(left, under_way.join_next()).await;
        let (instance, answer) = match answered {
            Ok(Some(Ok(answered))) => answered,
            // One that broke off is one that did not answer.
            Ok(Some(Err(_))) => continue,
            Ok(None) | Err(_) => break,
        };
        match answer {
            Ok(node) => gathering.answered(now(), &instance, node),
            Err(error) => {
                let retryable = error.is_retryable();
                gathering.failed(now(), &instance, error.detail(), retryable)
            }
        };
    }
    gathering.finish()
}

async fn give(
    context: Context,
    order: Order,
    instance: String,
) -> (String, Result<NodeId, OperationError>) {
    let given = async {
        let node = resolve(&context, &instance)?;
        let command = match order {
            Order::Drain => Command::DrainNode(node),
            Order::Resume => Command::ResumeNode(node),
        };
        context.propose(command).await?;
        Ok(node)
    };
    let given = given.await;
    (instance, given)
}

fn answers(gathered: Gathered) -> Answers {
    let items: Vec<InstanceAnswer> = gathered
        .into_iter()
        .map(|(instance, answer)| {
            let (node, error) = match answer {
                Ok(node) => (Some(node), None),
                Err(failure) => (None, Some(failure)),
            };
            InstanceAnswer {
                instance,
                node,
                error: error.map(|failure| InstanceFailure {
                    code: failure.code,
                    message: failure.message,
                    retryable: failure.retryable,
                }),
            }
        })
        .collect();
    let failed = items.iter().filter(|item| item.error.is_some()).count();
    Answers { items, failed }
}
