//! Sums what was used in a time.

use super::NAMESPACE;
use super::record::{Record, Source};
use super::tokens::Amount;
use crate::context::Context;
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::memory::documents;
use crate::rfc3339::Timestamp;
use serde::{Deserialize, Serialize};
use skep_model::time::UnixMillis;
use std::collections::{BTreeMap, BTreeSet};

/// A day.
const WINDOW_S_DEFAULT: u64 = 86_400;
/// Longest time that is looked at, seconds: as long as records are kept.
const WINDOW_S_MAX: u64 = 400 * 86_400;
/// Records that are summed up for one answer.
const RECORDS_MAX: usize = 10_000;
/// What would make records where there are none.
const HOW_TO: &str = "no record is of this time: `skep hooks session-end` and `skep hooks stop` make \
                      one of the transcript of a session, a completion with `usage` makes one of a \
                      task, and `usage.record` takes any";

/// Which time, and what of it.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct UsageQuery {
    /// The last so many seconds; a day unless said. Whole hours count: the hour in which it begins
    /// counts as a whole.
    #[schemars(range(min = 1, max = WINDOW_S_MAX))]
    window_s: Option<u64>,
    /// Only what this is about: a model, the name of an agent, or the id of a session or task.
    about: Option<String>,
}

/// What was used in a time.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(super) struct Summary {
    /// From.
    since: Timestamp,
    /// To.
    until: Timestamp,
    /// Records with something of this time.
    pub(super) records: usize,
    /// What would make some, when there are none.
    note: Option<&'static str>,
    /// Whether all records were looked at.
    pub(super) complete: bool,
    /// All together.
    total: Amount,
    /// By model.
    pub(super) models: Vec<Share>,
    /// By agent, as far as records name one.
    agents: Vec<Share>,
    /// By session.
    sessions: Vec<Share>,
    /// By task, as far as there are records of tasks. Their tokens may be in those of sessions too.
    tasks: Vec<Share>,
}

/// What one of many used.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub(super) struct Share {
    /// Which.
    pub(super) name: String,
    /// How much.
    #[serde(flatten)]
    pub(super) tokens: Amount,
}

pub(super) async fn summary(
    context: Context,
    query: UsageQuery,
) -> Result<Summary, OperationError> {
    let seconds = query.window_s.unwrap_or(WINDOW_S_DEFAULT);
    let about = query.about.as_deref();
    of_window(&context, seconds, about).await
}

/// What was used in the last `seconds`.
pub(super) async fn of_window(
    context: &Context,
    seconds: u64,
    about: Option<&str>,
) -> Result<Summary, OperationError> {
    if !(1..=WINDOW_S_MAX).contains(&seconds) {
        let detail =
            format!("`window_s` is `{seconds}`; want a whole number from 1 to {WINDOW_S_MAX}");
        return Err(OperationError::new(ErrorCode::QueryMalformed, detail));
    }
    let until = context.services.now();
    let since = UnixMillis(until.0.saturating_sub(seconds * 1_000));
    let mut records = Vec::new();
    let mut complete = true;
    for prefix in ["session/", "task/"] {
        // What was written before the time began holds nothing of it.
        let (found, all) =
            documents::all::<Record>(context, NAMESPACE, prefix, Some(since), RECORDS_MAX).await?;
        complete &= all;
        records.extend(found.into_iter().map(|found| found.content));
    }
    let mut sums = Sums::of(&records, since, about);
    let counted = sums.records;
    Ok(Summary {
        since: since.into(),
        until: until.into(),
        records: counted,
        note: (counted == 0).then_some(HOW_TO),
        complete,
        total: sums.total,
        models: shares(&mut sums.models),
        agents: shares(&mut sums.agents),
        sessions: shares(&mut sums.sessions),
        tasks: shares(&mut sums.tasks),
    })
}

/// Those that used most first.
fn shares(sums: &mut BTreeMap<String, Amount>) -> Vec<Share> {
    let share = |(name, tokens)| Share { name, tokens };
    let mut shares: Vec<_> = std::mem::take(sums).into_iter().map(share).collect();
    shares.sort_by_key(|share| {
        std::cmp::Reverse(share.tokens.output_tokens + share.tokens.input_tokens)
    });
    shares
}

#[derive(Debug, Default)]
struct Sums {
    records: usize,
    total: Amount,
    models: BTreeMap<String, Amount>,
    agents: BTreeMap<String, Amount>,
    sessions: BTreeMap<String, Amount>,
    tasks: BTreeMap<String, Amount>,
}

impl Sums {
    fn of(records: &[Record], since: UnixMillis, about: Option<&str>) -> Self {
        let of_sessions = |record: &&Record| record.source == Source::Session;
        let sessions: BTreeSet<&str> = records
            .iter()
            .filter(of_sessions)
            .map(|record| record.id.as_str())
            .collect();
        let mut sums = Self::default();
        for record in records {
            // The transcript of its session holds what the task used as well.
            let is_twice = record.source == Source::Task
                && record
                    .session
                    .as_deref()
                    .is_some_and(|session| sessions.contains(session));
            sums.add(record, is_twice, since, about);
        }
        sums
    }

    fn add(&mut self, record: &Record, is_twice: bool, since: UnixMillis, about: Option<&str>) {
        let names = [
            Some(record.id.as_str()),
            record.agent.as_deref(),
            record.session.as_deref(),
        ];
        let is_meant = about.is_none_or(|about| names.contains(&Some(about)));
        let mut has_some = false;
        for slice in &record.slices {
            let is_of_time = slice.end().is_some_and(|end| end > since);
            if !is_of_time || !(is_meant || about == Some(slice.model.as_str())) {
                continue;
            }
            has_some = true;
            let group = match record.source {
                Source::Session => &mut self.sessions,
                Source::Task => &mut self.tasks,
            };
            group
                .entry(record.id.clone())
                .or_default()
                .add(&slice.tokens);
            // Who asks for a task wants what it used, whatever else holds it.
            let is_asked_for = about.is_some_and(|about| about == record.id);
            if is_twice && !is_asked_for {
                continue;
            }
            self.total.add(&slice.tokens);
            let model = self.models.entry(slice.model.clone()).or_default();
            model.add(&slice.tokens);
            if let Some(agent) = &record.agent {
                let agent = self.agents.entry(agent.clone()).or_default();
                agent.add(&slice.tokens);
            }
        }
        self.records += usize::from(has_some);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tokens::Slice;
    use super::*;

    fn slice(hour: &str, model: &str, output: u64) -> Slice {
        Slice {
            hour: Some(format!("2026-11-21T{hour}:00:00.000Z")),
            model: model.to_owned(),
            tokens: Amount {
                messages: 1,
                output_tokens: output,
                ..Amount::default()
            },
        }
    }

    fn records() -> Vec<Record> {
        let session = Record {
            source: Source::Session,
            id: "s1".to_owned(),
            agent: Some("ann".to_owned()),
            session: None,
            slices: vec![slice("08", "small", 1), slice("10", "large", 10)],
        };
        let inside = Record {
            source: Source::Task,
            id: "task_1".to_owned(),
            session: Some("s1".to_owned()),
            slices: vec![slice("10", "large", 4)],
            ..session.clone()
        };
        let alone = Record {
            id: "task_2".to_owned(),
            session: Some("unknown".to_owned()),
            slices: vec![slice("11", "large", 100)],
            ..inside.clone()
        };
        vec![session, inside, alone]
    }

    fn output(sums: &BTreeMap<String, Amount>, name: &str) -> u64 {
        sums.get(name).map_or(0, |tokens| tokens.output_tokens)
    }

    #[test]
    fn what_a_session_and_its_task_both_report_is_counted_once() {
        let sums = Sums::of(&records(), UnixMillis(0), None);
        assert_eq!((sums.records, sums.total.output_tokens), (3, 111));
        assert_eq!(
            (output(&sums.models, "small"), output(&sums.models, "large")),
            (1, 110)
        );
        assert_eq!(output(&sums.agents, "ann"), 111);
        assert_eq!(
            (output(&sums.tasks, "task_1"), output(&sums.tasks, "task_2")),
            (4, 100)
        );
    }

    #[test]
    fn only_hours_of_the_time_count_and_only_what_is_asked_for() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap().0;
        let late = Sums::of(&records(), at("2026-11-21T10:59:00.000Z"), None);
        assert_eq!(late.total.output_tokens, 110, "the hour counts as a whole");
        let later = Sums::of(&records(), at("2026-11-21T11:00:00.000Z"), None);
        assert_eq!((later.records, later.total.output_tokens), (1, 100));
        for (about, records_found, expected) in [
            ("small", 1, 1),
            ("large", 3, 110),
            ("ann", 3, 111),
            ("task_1", 1, 4),
            ("s1", 2, 11),
            ("nobody", 0, 0),
        ] {
            let sums = Sums::of(&records(), UnixMillis(0), Some(about));
            assert_eq!(
                (sums.records, sums.total.output_tokens),
                (records_found, expected),
                "{about}"
            );
        }
    }
}
