//! The prices that an operator gave.

use super::NAMESPACE;
use super::tokens::Amount;
use crate::context::Context;
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::memory::documents::{self, Found};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The entry of the namespace that holds them.
pub(super) const KEY: &str = "prices";
/// Prices are for so many tokens.
const TOKENS_PER_PRICE: f64 = 1_000_000.0;
/// Ends the name of a model that stands for all that begin so.
const ANY_END: char = '*';

/// What things cost. Nothing is built in: what has no price here has none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Prices {
    /// Such as `USD`.
    pub(super) currency: String,
    /// By model, or by the beginning of its name and `*`.
    #[serde(default)]
    pub(super) models: BTreeMap<String, ModelPrice>,
    /// Of an hour of an attempt on a node that has no price of its own.
    #[serde(default)]
    pub(super) node_hour: Option<f64>,
    /// Of an hour of an attempt, by the name of the node.
    #[serde(default)]
    pub(super) nodes: BTreeMap<String, f64>,
}

/// What a million tokens of a model cost.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ModelPrice {
    /// That go in.
    pub(super) input: f64,
    /// That come out.
    pub(super) output: f64,
    /// That go in and that a cache had.
    #[serde(default)]
    pub(super) cache_read: Option<f64>,
    /// That go into a cache.
    #[serde(default)]
    pub(super) cache_write: Option<f64>,
}

impl ModelPrice {
    /// What these tokens cost; none when some are of a kind that has no price.
    pub(super) fn of(&self, tokens: &Amount) -> Option<f64> {
        let part = |count: u64, price: Option<f64>| match (count, price) {
            (0, _) => Some(0.0),
            (count, price) => price.map(|price| count as f64 / TOKENS_PER_PRICE * price),
        };
        Some(
            part(tokens.input_tokens, Some(self.input))?
                + part(tokens.output_tokens, Some(self.output))?
                + part(tokens.cache_read_tokens, self.cache_read)?
                + part(tokens.cache_write_tokens, self.cache_write)?,
        )
    }

    const fn all(&self) -> [Option<f64>; 4] {
        [
            Some(self.input),
            Some(self.output),
            self.cache_read,
            self.cache_write,
        ]
    }
}

impl Prices {
    /// The table, if somebody gave one.
    ///
    /// # Errors
    /// It cannot be read, or holds what is no price.
    pub(super) async fn load(context: &Context) -> Result<Option<Found<Self>>, OperationError> {
        let found = documents::one::<Self>(context, NAMESPACE, KEY).await?;
        found.map_or(Ok(None), |found| {
            found.content.check()?;
            Ok(Some(found))
        })
    }

    fn check(&self) -> Result<(), OperationError> {
        let models = self.models.values().flat_map(ModelPrice::all);
        let nodes = self.nodes.values().copied().map(Some);
        let all = models.chain(nodes).chain([self.node_hour]).flatten();
        let is_wrong = |price: &f64| !price.is_finite() || *price < 0.0;
        if let Some(price) = all.into_iter().find(is_wrong) {
            let detail = format!("`{KEY}` in `{NAMESPACE}`: `{price}` is no price");
            return Err(OperationError::new(ErrorCode::DocumentInvalid, detail));
        }
        Ok(())
    }

    /// The price of a model: under its own name, else under the longest beginning of it.
    pub(super) fn of_model(&self, model: &str) -> Option<&ModelPrice> {
        let begins = |(name, _): &(&String, &ModelPrice)| {
            name.strip_suffix(ANY_END)
                .is_some_and(|beginning| model.starts_with(beginning))
        };
        let longest = || {
            let matching = self.models.iter().filter(begins);
            matching.max_by_key(|(name, _)| name.len())
        };
        let own = self.models.get(model);
        own.or_else(|| longest().map(|(_, price)| price))
    }

    /// The price of an hour on a node.
    pub(super) fn of_node(&self, name: &str) -> Option<f64> {
        self.nodes.get(name).copied().or(self.node_hour)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prices() -> Prices {
        serde_json::from_str(
            r#"{"currency": "USD", "node_hour": 0.5, "nodes": {"gpu": 2},
                "models": {"a-*": {"input": 1, "output": 2},
                           "a-large-*": {"input": 10, "output": 20, "cache_read": 1}}}"#,
        )
        .unwrap()
    }

    #[test]
    fn the_longest_name_counts_and_what_has_no_price_has_none() {
        let prices = prices();
        assert_eq!(prices.check().ok(), Some(()));
        let input = |model: &str| prices.of_model(model).map(|price| price.input);
        assert_eq!(input("a-small-1"), Some(1.0));
        assert_eq!(input("a-large-2"), Some(10.0));
        assert_eq!(input("b"), None);
        assert_eq!(prices.of_node("gpu"), Some(2.0));
        assert_eq!(prices.of_node("other"), Some(0.5));
        let tokens = Amount {
            input_tokens: 1_000_000,
            output_tokens: 500_000,
            cache_read_tokens: 2_000_000,
            ..Amount::default()
        };
        assert_eq!(
            prices.of_model("a-large-2").unwrap().of(&tokens),
            Some(22.0)
        );
        assert_eq!(
            prices.of_model("a-small").unwrap().of(&tokens),
            None,
            "nothing was said about tokens of a cache"
        );
    }

    #[test]
    fn what_is_no_price_is_refused() {
        let mut wrong = prices();
        wrong.nodes.insert("x".to_owned(), -1.0);
        assert!(wrong.check().is_err());
    }
}
