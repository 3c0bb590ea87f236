//! The command line of `skep-chaos net`.

use super::scenario::Scenario;
use crate::args::{beside_this_program, number};
use std::path::PathBuf;

/// What is printed when the command line is not understood.
pub(crate) const USAGE: &str = "usage: skep-chaos net [--skep PATH] [--tasks N] [--seed S] \
                                [--only SCENARIO]… [--jobs N] [--rounds N] [--longer FACTOR] \
                                [--dir DIR] [--require] [--sabotage]";

/// What is played.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NetArgs {
    /// The binary under test; unless said, the one of the same build.
    pub(crate) skep: PathBuf,
    /// Tasks to submit in each scenario.
    pub(crate) tasks: usize,
    pub(crate) seed: u64,
    /// What to play; everything when empty.
    pub(crate) only: Vec<Scenario>,
    /// Scenarios at a time.
    pub(crate) jobs: usize,
    /// How often each is played, each time with the next seed.
    pub(crate) rounds: u64,
    /// How many times longer than usual a fault lasts.
    pub(crate) longer: u32,
    /// Where the temporary directory is made, instead of the system's own place.
    pub(crate) dir: Option<PathBuf>,
    /// Leave the network broken: the checker has to notice.
    pub(crate) sabotage: bool,
    /// Fail where network namespaces are not allowed, instead of skipping everything.
    pub(crate) is_required: bool,
}

impl Default for NetArgs {
    fn default() -> Self {
        Self {
            skep: beside_this_program("skep"),
            tasks: 600,
            seed: 1,
            only: Vec::new(),
            jobs: 5,
            rounds: 1,
            longer: 1,
            dir: None,
            sabotage: false,
            is_required: false,
        }
    }
}

impl NetArgs {
    /// Reads the words after `net`; the error is the word that is not understood.
    pub(crate) fn parse(words: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut args = Self::default();
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let understood = match word.as_str() {
                "--skep" => words.next().map(|path| args.skep = path.into()),
                "--dir" => words.next().map(|path| args.dir = Some(path.into())),
                "--tasks" => number(words.next()).map(|count| args.tasks = count),
                "--seed" => number(words.next()).map(|seed| args.seed = seed),
                "--jobs" => number(words.next()).map(|jobs: usize| args.jobs = jobs.max(1)),
                "--rounds" => number(words.next()).map(|rounds| args.rounds = rounds),
                "--longer" => number(words.next()).map(|factor| args.longer = factor),
                "--only" => words
                    .next()
                    .and_then(|name| Scenario::named(&name))
                    .map(|scenario| args.only.push(scenario)),
                "--sabotage" => {
                    args.sabotage = true;
                    Some(())
                }
                "--require" => {
                    args.is_required = true;
                    Some(())
                }
                _ => None,
            };
            understood.ok_or(word)?;
        }
        Ok(args)
    }

    /// What is played, in this order.
    pub(crate) fn scenarios(&self) -> Vec<Scenario> {
        if self.only.is_empty() {
            Scenario::ALL.to_vec()
        } else {
            self.only.clone()
        }
    }

    /// Words that say the same of one scenario.
    pub(crate) fn words(&self, scenario: Scenario, seed: u64) -> Vec<String> {
        let words = format!(
            "--only {} --tasks {} --seed {seed} --longer {}",
            scenario.name(),
            self.tasks,
            self.longer
        );
        let sabotage = self.sabotage.then_some("--sabotage");
        words
            .split(' ')
            .chain(sabotage)
            .map(str::to_owned)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<NetArgs, String> {
        NetArgs::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn flags_replace_defaults_and_others_are_named() {
        assert_eq!(parse(""), Ok(NetArgs::default()));
        let expected = NetArgs {
            skep: "/bin/skep".into(),
            tasks: 10,
            seed: 9,
            only: vec![Scenario::Loss, Scenario::Flapping],
            jobs: 1,
            rounds: 3,
            longer: 2,
            dir: Some("/d".into()),
            sabotage: true,
            is_required: true,
        };
        let line = "--skep /bin/skep --tasks 10 --seed 9 --only loss --only flapping --jobs 0 \
                    --rounds 3 --longer 2 --dir /d --require --sabotage";
        assert_eq!(parse(line), Ok(expected));
        assert_eq!(parse("--only earthquake"), Err("--only".to_owned()));
        assert_eq!(parse("--cycles 3"), Err("--cycles".to_owned()));
    }

    #[test]
    fn the_words_of_a_scenario_say_what_is_played() {
        let args = parse("--tasks 7 --longer 3 --jobs 2 --sabotage").unwrap();
        let again = NetArgs::parse(args.words(Scenario::Outage, 5)).unwrap();
        assert_eq!(again.scenarios(), [Scenario::Outage]);
        assert_eq!((again.tasks, again.seed, again.longer), (7, 5, 3));
        assert!(again.sabotage);
    }
}
