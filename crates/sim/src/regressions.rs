//! Seeds that are played before all others: each once failed, or reaches what few seeds reach.

/// The list. What a seed leads through changes with the simulator and the code under test; that a
/// line is outdated shows when its seed does not reach any more what the line names.
const LIST: &str = include_str!("../regressions.txt");

/// One line of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Regression {
    pub(crate) seed: u64,
    /// Things that happen in it, by their names in the report.
    pub(crate) reaches: Vec<&'static str>,
}

/// All lines, in order; the error is the line that is not understood.
pub(crate) fn all() -> Result<Vec<Regression>, String> {
    parse(LIST)
}

fn parse(list: &'static str) -> Result<Vec<Regression>, String> {
    let lines = list.lines().map(|line| {
        let meant = line.split_once('#').map_or(line, |(meant, _)| meant);
        (line, meant.trim())
    });
    lines
        .filter(|(_, meant)| !meant.is_empty())
        .map(|(line, meant)| {
            let (seed, reaches) = meant.split_once(':').unwrap_or((meant, ""));
            let seed = seed.trim().parse().map_err(|_| line.to_owned())?;
            let names = reaches.split(',').map(str::trim);
            Ok(Regression {
                seed,
                reaches: names.filter(|name| !name.is_empty()).collect(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_seed_what_it_reaches_and_a_remark() {
        let list = "# all of them\n\n7: task unknown, disk full # once failed\n12\n";
        let expected = [(7, vec!["task unknown", "disk full"]), (12, vec![])];
        let expected = expected.map(|(seed, reaches)| Regression { seed, reaches });
        assert_eq!(parse(list).unwrap(), expected);
        assert_eq!(parse("1\nseven: x\n"), Err("seven: x".to_owned()));
    }

    #[test]
    fn the_list_is_understood_and_names_each_seed_once() {
        let all = all().unwrap();
        assert!(!all.is_empty());
        let mut seeds: Vec<_> = all.iter().map(|one| one.seed).collect();
        seeds.sort_unstable();
        seeds.dedup();
        assert_eq!(seeds.len(), all.len());
    }
}
