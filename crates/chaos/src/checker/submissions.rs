//! Rules about requests and their answers.

use super::{Findings, Rule};
use crate::history::History;
use std::collections::BTreeMap;

pub(super) fn check(history: &History, findings: &mut Findings) {
    let mut makers = BTreeMap::new();
    for submission in &history.submissions {
        let key = &submission.key;
        if let Some(why) = &submission.given_up {
            findings.add(
                Rule::RequestsAreAnswered,
                format!("`{key}` was given up: {why}"),
            );
        } else if submission.answers.is_empty() {
            findings.add(Rule::RequestsAreAnswered, format!("`{key}` has no answer"));
        }
        for answer in &submission.answers {
            let (asked, given) = (submission.asked.len(), answer.tasks.len());
            findings.expect(asked == given, Rule::RequestsAreAnswered, || {
                format!("`{key}` asked for {asked} tasks and was given {given}")
            });
            findings.expect(
                *answer == submission.answers[0],
                Rule::SameKeySameAnswer,
                || {
                    format!(
                        "`{key}` made {:?} and later {answer:?}",
                        submission.answers[0]
                    )
                },
            );
            for task in &answer.tasks {
                let maker = *makers.entry(task).or_insert(key);
                findings.expect(maker == key, Rule::SameKeySameAnswer, || {
                    format!("`{key}` and `{maker}` both made `{task}`")
                });
            }
        }
    }
}
