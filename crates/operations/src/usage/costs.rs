//! What was used in a time, valued by the prices that an operator gave.

use super::prices::{KEY, Prices};
use super::summary::{self, Share};
use super::{NAMESPACE, tokens::Amount};
use crate::analysis::node_time;
use crate::context::Context;
use crate::error::OperationError;
use crate::rfc3339::Timestamp;
use serde::{Deserialize, Serialize};
use skep_model::memory::MemoryVersion;

/// A day.
const WINDOW_S_DEFAULT: u64 = 86_400;
const HOUR_MS: f64 = 3_600_000.0;
/// How a table of prices comes to be.
const HOW_TO: &str = "nobody gave prices: write them as the entry `prices` of the namespace `usage`, \
                      such as {\"currency\": \"USD\", \"models\": {\"MODEL\": {\"input\": 1, \
                      \"output\": 2}}, \"node_hour\": 0.1}, per million tokens";

/// Which time.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct CostQuery {
    /// The last so many seconds; a day unless said.
    #[schemars(range(min = 1, max = crate::analysis::WINDOW_S_MAX))]
    window_s: Option<u64>,
}

/// What was used in a time, and what it cost.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(super) struct Costs {
    /// From.
    since: Timestamp,
    /// To.
    until: Timestamp,
    /// Where the prices come from; none when nobody gave any.
    prices: Option<PriceSource>,
    /// How to give some, when there are none.
    note: Option<&'static str>,
    /// What has a price costs this together; none without prices.
    total: Option<f64>,
    /// Of that, models.
    models_total: Option<f64>,
    /// Of that, nodes.
    nodes_total: Option<f64>,
    /// Records of use in the time.
    records: usize,
    /// Whether all tasks and records of the time were looked at.
    complete: bool,
    /// By model.
    models: Vec<ModelCost>,
    /// By node.
    nodes: Vec<NodeCost>,
    /// Models that were used and have no price: not in any sum.
    unpriced_models: Vec<String>,
    /// Nodes that worked and have no price: not in any sum.
    unpriced_nodes: Vec<String>,
}

/// Where prices come from.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct PriceSource {
    /// As the table says.
    currency: String,
    /// The namespace of shared memory in which it is.
    namespace: &'static str,
    /// Its key there.
    key: &'static str,
    /// Its version.
    version: MemoryVersion,
    /// When it was written.
    written_at: Timestamp,
}

/// What a model cost.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct ModelCost {
    /// The model.
    model: String,
    /// What was used.
    #[serde(flatten)]
    tokens: Amount,
    /// What it cost; none when it has no price, or none for some kind of its tokens.
    cost: Option<f64>,
}

/// What a node cost.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct NodeCost {
    /// Its name, or its id if it is gone.
    node: String,
    /// Attempts of tasks that became final in the time.
    attempts: u64,
    /// From their grants to their ends, together, hours.
    hours: f64,
    /// What they cost; none without a price.
    cost: Option<f64>,
}

pub(super) async fn costs(context: Context, query: CostQuery) -> Result<Costs, OperationError> {
    let seconds = query.window_s.unwrap_or(WINDOW_S_DEFAULT);
    let worked = node_time::of_window(&context.services, seconds).await?;
    let used = summary::of_window(&context, seconds, None).await?;
    let found = Prices::load(&context).await?;
    let prices = found.as_ref().map(|found| &found.content);
    let models: Vec<_> = used
        .models
        .into_iter()
        .map(|share| model_cost(share, prices))
        .collect();
    let nodes: Vec<_> = worked
        .nodes
        .into_iter()
        .map(|node| {
            let hours = node.ms as f64 / HOUR_MS;
            let price = prices.and_then(|prices| prices.of_node(&node.name));
            NodeCost {
                node: node.name,
                attempts: node.attempts,
                hours,
                cost: price.map(|price| price * hours),
            }
        })
        .collect();
    let sum = |costs: Vec<Option<f64>>| prices.map(|_| costs.into_iter().flatten().sum::<f64>());
    let models_total = sum(models.iter().map(|model| model.cost).collect());
    let nodes_total = sum(nodes.iter().map(|node| node.cost).collect());
    let without_price = |cost: Option<f64>| cost.is_none();
    Ok(Costs {
        since: worked.since.into(),
        until: worked.until.into(),
        note: prices.is_none().then_some(HOW_TO),
        total: models_total
            .zip(nodes_total)
            .map(|(models, nodes)| models + nodes),
        models_total,
        nodes_total,
        records: used.records,
        complete: used.complete && worked.complete,
        unpriced_models: models
            .iter()
            .filter(|model| without_price(model.cost))
            .map(|model| model.model.clone())
            .collect(),
        unpriced_nodes: nodes
            .iter()
            .filter(|node| without_price(node.cost))
            .map(|node| node.node.clone())
            .collect(),
        models,
        nodes,
        prices: found.map(|found| PriceSource {
            currency: found.content.currency,
            namespace: NAMESPACE,
            key: KEY,
            version: found.version,
            written_at: found.written_at.into(),
        }),
    })
}

fn model_cost(share: Share, prices: Option<&Prices>) -> ModelCost {
    let price = prices.and_then(|prices| prices.of_model(&share.name));
    ModelCost {
        cost: price.and_then(|price| price.of(&share.tokens)),
        model: share.name,
        tokens: share.tokens,
    }
}
