//! How well an instance fits what was asked for.
//!
//! The weights are those of the registry that MCPX comes from: capability 0.4, performance 0.3,
//! health 0.2, load 0.1. Its base of 0.5, by which a relevance could exceed 1, is left out.

use serde::Serialize;
use skep_model::requirements::Proficiency;
use std::collections::BTreeMap;

const CAPABILITY: u32 = 40;
const PERFORMANCE: u32 = 30;
const HEALTH: u32 = 20;
const LOAD: u32 = 10;
/// Capabilities in one query.
const WANTED_MAX: usize = 32;
/// Of an instance that has ended nothing yet: neither good nor bad.
const UNKNOWN: u32 = 500;

/// What a relevance is made of, 0 to 1000 each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub(super) struct Fitness {
    /// Mean proficiency in what was asked for; 1000 when nothing was.
    pub(super) capability: u32,
    /// Share of attempts that succeeded; 500 while there are none.
    pub(super) performance: u32,
    /// 1000 when it can be reached and takes work.
    pub(super) health: u32,
    /// Share of its slots that are free.
    pub(super) load: u32,
}

impl Fitness {
    pub(super) const fn relevance(self) -> u32 {
        let sum = self.capability * CAPABILITY
            + self.performance * PERFORMANCE
            + self.health * HEALTH
            + self.load * LOAD;
        sum / 100
    }
}

/// Capabilities that are asked for, with the least proficiency that will do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Wanted(Vec<(String, Proficiency)>);

impl Wanted {
    /// Reads `NAME` or `NAME=PROFICIENCY`, separated by commas.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut wanted = Vec::new();
        for part in text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            let (name, level) = part.split_once('=').unwrap_or((part, "basic"));
            let level = match level {
                "basic" => Proficiency::Basic,
                "intermediate" => Proficiency::Intermediate,
                "expert" => Proficiency::Expert,
                "specialist" => Proficiency::Specialist,
                other => {
                    return Err(format!(
                        "`capability` names the proficiency `{other}`; want basic, intermediate, \
                         expert or specialist"
                    ));
                }
            };
            wanted.push((name.to_owned(), level));
        }
        if wanted.len() > WANTED_MAX {
            return Err(format!(
                "`capability` names {} capabilities; want at most {WANTED_MAX}",
                wanted.len()
            ));
        }
        Ok(Self(wanted))
    }

    /// How well these capabilities do; `None` when one is missing or too weak.
    pub(super) fn fit(&self, has: &BTreeMap<String, Proficiency>) -> Option<u32> {
        let mut sum = 0_u32;
        for (name, least) in &self.0 {
            let own = has.get(name).filter(|own| *own >= least)?;
            sum += match own {
                Proficiency::Basic => 250,
                Proficiency::Intermediate => 500,
                Proficiency::Expert => 750,
                Proficiency::Specialist => 1_000,
            };
        }
        let count = self.0.len() as u32;
        Some(sum.checked_div(count).unwrap_or(1_000))
    }
}

pub(super) fn performance(succeeded: u64, failed: u64) -> u32 {
    let share = succeeded
        .saturating_mul(1_000)
        .checked_div(succeeded + failed);
    share.map_or(UNKNOWN, |share| share as u32)
}

pub(super) fn free_share(load: u32, slots: u32) -> u32 {
    let free = u64::from(slots.saturating_sub(load)) * 1_000;
    free.checked_div(u64::from(slots)).unwrap_or(0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(pairs: &[(&str, Proficiency)]) -> BTreeMap<String, Proficiency> {
        let owned = pairs
            .iter()
            .map(|(name, level)| ((*name).to_owned(), *level));
        owned.collect()
    }

    #[test]
    fn what_is_asked_for_must_be_there_and_strong_enough() {
        let able = has(&[("rust", Proficiency::Expert), ("sql", Proficiency::Basic)]);
        for (query, fit) in [
            ("", Some(1_000)),
            ("rust", Some(750)),
            ("rust=expert", Some(750)),
            ("rust=specialist", None),
            ("rust, sql", Some(500)),
            ("go", None),
        ] {
            assert_eq!(Wanted::parse(query).unwrap().fit(&able), fit, "{query}");
        }
    }

    #[test]
    fn a_proficiency_that_does_not_exist_is_named_with_those_that_do() {
        let error = Wanted::parse("rust=godlike").unwrap_err();
        assert!(
            error.contains("godlike") && error.contains("specialist"),
            "{error}"
        );
        assert!(Wanted::parse(&"a,".repeat(33)).is_err());
    }

    #[test]
    fn a_relevance_lies_between_0_and_1000() {
        let all = |value| Fitness {
            capability: value,
            performance: value,
            health: value,
            load: value,
        };
        assert_eq!((all(0).relevance(), all(1_000).relevance()), (0, 1_000));
        assert_eq!(performance(3, 1), 750);
        assert_eq!(
            (performance(0, 0), free_share(1, 4), free_share(0, 0)),
            (500, 750, 0)
        );
    }
}
