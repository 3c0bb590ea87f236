//! Rules about what was executed, as the tasks themselves wrote it down.

use super::timelines::Timeline;
use super::{AcceptedTasks, Findings, Rule};
use crate::history::{Execution, History};
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn check(
    history: &History,
    accepted: &AcceptedTasks<'_>,
    timelines: &BTreeMap<&str, Timeline<'_>>,
    findings: &mut Findings,
) {
    let mut executed: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for execution in &history.executions {
        let Execution {
            task,
            attempt,
            fence,
        } = execution;
        executed.entry(task).or_default().push(*attempt);
        findings.expect(
            seen.insert((task, attempt)),
            Rule::ExecutionsAreGranted,
            || format!("attempt {attempt} of `{task}` was executed twice"),
        );
        findings.expect(
            is_granted(execution, timelines),
            Rule::ExecutionsAreGranted,
            || format!("attempt {attempt} of `{task}` with fence {fence} was never granted so"),
        );
    }
    for (id, task) in accepted.iter().filter(|(_, task)| task.asked.is_counted) {
        let attempts = executed.get(id).map(Vec::as_slice).unwrap_or_default();
        let is_kept = !task.asked.at_most_once || attempts.len() <= 1;
        findings.expect(is_kept, Rule::AtMostOnceIsKept, || {
            format!(
                "`{id}` was executed {} times: attempts {attempts:?}",
                attempts.len()
            )
        });
        let ends = timelines
            .get(id)
            .into_iter()
            .flat_map(|timeline| &timeline.ends);
        for end in ends.filter(|end| end.state == "succeeded") {
            findings.expect(
                attempts.contains(&end.attempts),
                Rule::SuccessWasExecuted,
                || format!("`{id}`: {end}, but the attempts that were executed are {attempts:?}"),
            );
        }
    }
}

fn is_granted(execution: &Execution, timelines: &BTreeMap<&str, Timeline<'_>>) -> bool {
    let timeline = timelines.get(execution.task.as_str());
    let mut grants = timeline.into_iter().flat_map(|timeline| &timeline.grants);
    grants.any(|grant| {
        let (epoch, index) = grant.fence;
        grant.attempt == execution.attempt && execution.fence == format!("{epoch}.{index}")
    })
}
