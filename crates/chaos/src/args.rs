//! The command line of `skep-chaos`.

use std::path::PathBuf;

/// What is printed when the command line is not understood.
pub(crate) const USAGE: &str = "usage: skep-chaos [--skep PATH] [--tasks N] [--cycles N] \
                                [--seed S] [--dir DIR] [--sabotage] [--json]\n       \
                                skep-chaos net --help\n       skep-chaos delay-proxy --help";

/// What is played.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Args {
    /// The binary under test; unless said, the one of the same build.
    pub(crate) skep: PathBuf,
    /// Tasks to submit.
    pub(crate) tasks: usize,
    /// Faults to inject, one after the other.
    pub(crate) cycles: usize,
    /// Draws tasks, faults and moments. The interleaving is the machine's own.
    pub(crate) seed: u64,
    /// Where the temporary directory is made, instead of the system's own place.
    pub(crate) dir: Option<PathBuf>,
    /// Break the coordinator's promises on purpose: the checker has to notice.
    pub(crate) sabotage: bool,
    /// Print one JSON document instead of lines.
    pub(crate) json: bool,
}

impl Default for Args {
    fn default() -> Self {
        Self {
            skep: beside_this_program("skep"),
            tasks: 2_000,
            cycles: 9,
            seed: 1,
            dir: None,
            sabotage: false,
            json: false,
        }
    }
}

impl Args {
    /// Reads the words after the program's name; the error is the word that is not understood.
    pub(crate) fn parse(words: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut args = Self::default();
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let understood = match word.as_str() {
                "--skep" => words.next().map(|path| args.skep = path.into()),
                "--dir" => words.next().map(|path| args.dir = Some(path.into())),
                "--tasks" => number(words.next()).map(|count| args.tasks = count),
                "--cycles" => number(words.next()).map(|count| args.cycles = count),
                "--seed" => number(words.next()).map(|seed| args.seed = seed),
                "--sabotage" => {
                    args.sabotage = true;
                    Some(())
                }
                "--json" => {
                    args.json = true;
                    Some(())
                }
                _ => None,
            };
            understood.ok_or(word)?;
        }
        Ok(args)
    }
}

/// A program of the same build.
pub(crate) fn beside_this_program(name: &str) -> PathBuf {
    let this = std::env::current_exe().unwrap_or_default();
    this.with_file_name(name)
}

/// A word as a number.
pub(crate) fn number<T: std::str::FromStr>(word: Option<String>) -> Option<T> {
    word.and_then(|word| word.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Args, String> {
        Args::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn flags_replace_defaults_and_others_are_named() {
        assert_eq!(parse(""), Ok(Args::default()));
        let expected = Args {
            skep: "/bin/skep".into(),
            tasks: 10,
            cycles: 2,
            seed: 9,
            dir: Some("/d".into()),
            sabotage: true,
            json: true,
        };
        let line = "--skep /bin/skep --tasks 10 --cycles 2 --seed 9 --dir /d --sabotage --json";
        assert_eq!(parse(line), Ok(expected));
        assert_eq!(parse("--tasks many"), Err("--tasks".to_owned()));
        assert_eq!(parse("--fast"), Err("--fast".to_owned()));
    }
}
