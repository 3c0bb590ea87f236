//! Named steps: run in order, timed, and reported.

use crate::console::{note, say};
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use std::time::{Duration, Instant};

/// Lines of a tool's own summary, to be shown again at the end, unchanged.
pub(crate) type Summary = Vec<String>;

/// One named piece of a command.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    /// What `--only` takes.
    pub(crate) name: &'static str,
    /// What it does, in a few words.
    pub(crate) about: &'static str,
    /// Does it.
    pub(crate) run: fn(&Workspace) -> Result<Summary>,
}

/// How a step went.
#[derive(Debug)]
pub(crate) struct Finished {
    /// Its name.
    pub(crate) name: &'static str,
    /// How long it took.
    pub(crate) took: Duration,
    /// Its summary, or why it failed.
    pub(crate) result: Result<Summary>,
}

/// The steps to run: all, or the one with this name.
pub(crate) fn select<'a>(steps: &'a [Step], only: Option<&str>) -> Result<Vec<&'a Step>> {
    let Some(name) = only else {
        return Ok(steps.iter().collect());
    };
    let names: Vec<_> = steps.iter().map(|step| step.name).collect();
    let step = steps.iter().find(|step| step.name == name);
    let step = step.with_context(|| format!("no step `{name}`: use {}", names.join(", ")))?;
    Ok(vec![step])
}

/// Runs one step and says how it went.
pub(crate) fn run_one(step: &Step, workspace: &Workspace) -> Finished {
    note(&format!("==> {}: {}", step.name, step.about));
    let start = Instant::now();
    let result = (step.run)(workspace);
    let took = start.elapsed();
    let word = if result.is_ok() { "ok" } else { "FAILED" };
    note(&format!(
        "    {} {word} in {:.1} s",
        step.name,
        took.as_secs_f64()
    ));
    Finished {
        name: step.name,
        took,
        result,
    }
}

/// Runs the steps until one fails.
pub(crate) fn run_until_failure(steps: &[&Step], workspace: &Workspace) -> Result<()> {
    for step in steps {
        let finished = run_one(step, workspace);
        finished
            .result
            .with_context(|| format!("step `{}` failed", step.name))?;
    }
    Ok(())
}

/// Runs all steps, also after a failure; prints the table and then the tools' own summaries, the
/// first step's last.
pub(crate) fn run_all(steps: &[&Step], workspace: &Workspace) -> Result<()> {
    let finished: Vec<_> = steps.iter().map(|step| run_one(step, workspace)).collect();
    say(&table(&finished));
    for line in finished
        .iter()
        .rev()
        .flat_map(|step| step.result.as_ref().into_iter().flatten())
    {
        say(line);
    }
    let failed: Vec<_> = finished
        .iter()
        .filter(|step| step.result.is_err())
        .map(|step| step.name)
        .collect();
    if !failed.is_empty() {
        bail!("failed steps: {}", failed.join(", "));
    }
    Ok(())
}

fn table(finished: &[Finished]) -> String {
    let width = finished
        .iter()
        .map(|step| step.name.len())
        .max()
        .unwrap_or(0);
    let rows = finished.iter().map(|step| {
        let seconds = step.took.as_secs_f64();
        let how = match &step.result {
            Ok(_) => "ok".to_owned(),
            Err(error) => format!("FAILED: {error:#}"),
        };
        format!("{:width$}  {seconds:>7.1} s  {how}", step.name)
    });
    let total: Duration = finished.iter().map(|step| step.took).sum();
    let last = format!("{:width$}  {:>7.1} s", "total", total.as_secs_f64());
    rows.chain([last]).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: &[Step] = &[
        Step {
            name: "one",
            about: "succeeds",
            run: |_| Ok(vec!["1 passed".to_owned()]),
        },
        Step {
            name: "two",
            about: "fails",
            run: |_| bail!("the reason"),
        },
    ];

    #[test]
    fn an_unknown_step_is_refused_with_the_names_of_the_known_ones() {
        let error = select(STEPS, Some("three")).unwrap_err();
        assert_eq!(error.to_string(), "no step `three`: use one, two");
        assert_eq!(select(STEPS, Some("two")).unwrap()[0].name, "two");
        assert_eq!(select(STEPS, None).unwrap().len(), 2);
    }

    #[test]
    fn a_failed_step_is_named_with_its_reason() {
        let workspace = Workspace::load().unwrap();
        let steps = select(STEPS, None).unwrap();
        let error = run_until_failure(&steps, &workspace).unwrap_err();
        assert_eq!(format!("{error:#}"), "step `two` failed: the reason");
        let error = run_all(&steps, &workspace).unwrap_err();
        assert_eq!(error.to_string(), "failed steps: two");
    }

    #[test]
    fn the_table_has_a_row_for_each_step_and_the_total() {
        let finished = [
            Finished {
                name: "a",
                took: Duration::from_millis(1500),
                result: Ok(vec![]),
            },
            Finished {
                name: "bcd",
                took: Duration::from_secs(2),
                result: Err(anyhow::anyhow!("x")),
            },
        ];
        let expected = "a        1.5 s  ok\nbcd      2.0 s  FAILED: x\ntotal      3.5 s";
        assert_eq!(table(&finished).replace("  total", "total"), expected);
    }
}
