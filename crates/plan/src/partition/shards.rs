//! Shards: items dealt out to parts that run the same command.

use super::{PARTS_MAX, Parts, Splitting, pair};
use crate::error::{ErrorCode, Problem, Problems};
use crate::file::MatrixAxis;
use crate::matrix::{self, Combination};
use crate::position::At;
use skep_model::limits;

/// What `shards` must be.
pub(crate) const SHARDS_WANTED: &str = "a whole number from 1 to 1000 (PARTS_MAX)";
const _: () = assert!(PARTS_MAX == 1_000, "the text above names it");

/// A number of shards.
pub(crate) fn shard_count(text: &str) -> Option<usize> {
    let count = text.parse().ok()?;
    (1..=PARTS_MAX).contains(&count).then_some(count)
}

impl<'a> Splitting<'a, '_> {
    pub(super) fn shards(
        &self,
        shards: Option<&At<String>>,
        items: Option<&MatrixAxis>,
        problems: &mut Problems,
    ) -> Parts<'a> {
        let before = problems.count();
        let wanted = shards.map(|at| self.wanted_shards(at, problems));
        let position = self.task.partition.as_ref().and_then(|at| at.position);
        let items =
            items.map(|axis| matrix::values("`items`", position, axis, self.scope(), problems));
        if problems.count() > before {
            return Parts::default();
        }
        let wanted = wanted.flatten();
        let count = match &items {
            Some(items) => wanted.map_or(items.len(), |wanted| wanted.min(items.len())),
            None => wanted.unwrap_or_default(),
        };
        if !self.check_parts(count, problems) {
            return Parts::default();
        }
        let mut variables = Vec::with_capacity(count);
        for shard in 0..count {
            let mut own = vec![
                ("SKEP_SHARD", shard.to_string()),
                ("SKEP_SHARDS", count.to_string()),
            ];
            if let Some(items) = &items {
                own.push(("SKEP_ITEMS", dealt(items, shard, count).join("\n")));
            }
            variables.push(own);
        }
        self.check_items(items.as_deref().unwrap_or_default(), &variables, problems);
        if problems.count() > before {
            return Parts::default();
        }
        let axes = (0..count).map(|shard| vec![pair("shard", &shard.to_string())]);
        self.alike(axes.collect::<Vec<Combination>>(), variables)
    }

    fn wanted_shards(&self, shards: &At<String>, problems: &mut Problems) -> Option<usize> {
        let filled = self.scope().fill(shards, problems);
        let count = shard_count(&filled);
        if count.is_none() {
            let message = format!("`shards` must be {SHARDS_WANTED}");
            let problem = Problem::new(ErrorCode::OutOfRange, message, "choose 1 to 1000");
            problems.add(shards.position, problem.found(&filled));
        }
        count
    }

    fn check_items(
        &self,
        items: &[String],
        variables: &[Vec<(&'static str, String)>],
        problems: &mut Problems,
    ) {
        let position = self.task.partition.as_ref().and_then(|at| at.position);
        if let Some(item) = items.iter().find(|item| item.contains('\n')) {
            let message = "an item has more than one line, and items are handed over one a line";
            let fix = "write items without line breaks";
            let problem = Problem::new(ErrorCode::BadMatrix, message, fix);
            problems.add(position, problem.found(item));
        }
        let longest = variables
            .iter()
            .flatten()
            .map(|(_, value)| value.len())
            .max();
        let max = limits::ENV_VALUE_BYTES_MAX;
        if let Some(bytes) = longest.filter(|bytes| *bytes > max) {
            let message = format!(
                "the items of one shard have {bytes} bytes (SKEP_ITEMS); ENV_VALUE_BYTES_MAX is {max}"
            );
            let fix = "choose more shards, or shorter items";
            problems.add(position, Problem::new(ErrorCode::TooLong, message, fix));
        }
    }
}

/// The items of a shard: neighbours, and of any two shards one has at most one item more.
fn dealt(items: &[String], shard: usize, count: usize) -> &[String] {
    let start = |shard: usize| shard * items.len() / count;
    &items[start(shard)..start(shard + 1)]
}

#[cfg(test)]
mod tests {
    use super::dealt;

    #[test]
    fn every_item_is_dealt_out_once_in_order_and_shards_are_of_one_size() {
        for length in 1..30 {
            let items: Vec<String> = (0..length).map(|item| item.to_string()).collect();
            for count in 1..=length {
                let shards: Vec<&[String]> = (0..count)
                    .map(|shard| dealt(&items, shard, count))
                    .collect();
                assert_eq!(shards.concat(), items);
                let sizes = || shards.iter().map(|shard| shard.len());
                let (least, most) = (sizes().min().unwrap(), sizes().max().unwrap());
                assert!(least >= 1 && most - least <= 1, "{length} over {count}");
            }
        }
    }
}
