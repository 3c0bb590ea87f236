//! Tasks page by page: first what is live or just finished, newest first; then the history,
//! newest end first.
//!
//! Every task is seen at least once, whatever happens between two pages: a task moves from the
//! first part to the second, which is read later. One that moves meanwhile can be seen twice.

use crate::context::{Context, Services};
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::lookup::{self, AnyTask};
use crate::paging::page_limit;
use crate::views::{Page, TaskView};
use serde::Deserialize;
use skep_coordinator::View;
use skep_model::ids::{RunId, TaskId};
use skep_model::limits;
use skep_model::task::{TaskRecord, TaskState};
use skep_store::{HistoryCursor, PageStart, TaskFilter};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Live records looked at for one page, so that a rare word does not hold up the coordinator.
const LIVE_SCANNED_MAX: usize = 50_000;
/// Pages of history read for one page, when few of its tasks have the wanted label.
const HISTORY_PAGES_MAX: usize = 20;
/// What stands before a cursor that lies in the history.
const HISTORY_MARK: char = 'h';

/// Which tasks to list.
#[derive(Debug, Clone, Default, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct TaskListing {
    /// Only tasks of this run.
    run: Option<RunId>,
    /// Only tasks in this state.
    state: Option<TaskState>,
    /// Only tasks with names that begin so.
    name: Option<String>,
    /// Only tasks with this label, `KEY` or `KEY=VALUE`.
    label: Option<String>,
    /// Only tasks with these words in their name or labels.
    search: Option<String>,
    /// Tasks on a page.
    #[schemars(range(min = 1, max = limits::PAGE_ITEMS_MAX))]
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Where a page starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    /// Below this id among what is live.
    Live(Option<TaskId>),
    /// In the history.
    History(PageStart),
}

impl Position {
    fn parse(text: Option<&str>) -> Result<Self, OperationError> {
        let Some(text) = text else {
            return Ok(Self::Live(None));
        };
        let parsed = match text.strip_prefix(HISTORY_MARK) {
            Some("") => Some(Self::History(PageStart::Newest)),
            Some(place) => place
                .parse()
                .ok()
                .map(|place| Self::History(PageStart::Before(place))),
            None => text.parse().ok().map(|task| Self::Live(Some(task))),
        };
        parsed.ok_or_else(|| {
            OperationError::new(
                ErrorCode::CursorMalformed,
                format!("`{text}` is not a cursor of this listing"),
            )
        })
    }
}

pub(super) async fn list(
    context: Context,
    query: TaskListing,
) -> Result<Page<TaskView>, OperationError> {
    let limit = page_limit(query.limit)?;
    query.label.as_deref().map_or(Ok(()), check_label)?;
    page(&context.services, &query, limit).await
}

/// Refuses what is no label of any task, so that a slip does not look like an empty swarm.
fn check_label(label: &str) -> Result<(), OperationError> {
    let (key, value) = label.split_once('=').unwrap_or((label, ""));
    let length_fits = |text: &str| text.chars().count() <= limits::NAME_LENGTH_MAX;
    let fits = !key.is_empty() && [key, value].into_iter().all(length_fits);
    if fits && !label.chars().any(char::is_control) {
        return Ok(());
    }
    let detail = format!(
        "`label` is `{}`; want `KEY` or `KEY=VALUE`, each of at most {} characters",
        label.escape_debug(),
        limits::NAME_LENGTH_MAX
    );
    Err(OperationError::new(ErrorCode::QueryMalformed, detail))
}

async fn page(
    services: &Arc<Services>,
    query: &TaskListing,
    limit: usize,
) -> Result<Page<TaskView>, OperationError> {
    let mut found = Vec::new();
    let mut start = PageStart::Newest;
    match Position::parse(query.cursor.as_deref())? {
        Position::History(place) => start = place,
        Position::Live(below) => {
            let next = live_page(&services.hive.view(), query, below, limit, &mut found);
            if let Some(next) = next {
                return Ok(answer(&found, Some(next.to_string())));
            }
            if found.len() == limit {
                return Ok(answer(&found, Some(HISTORY_MARK.to_string())));
            }
        }
    }
    let next = history_page(services, query, start, limit, &mut found).await?;
    Ok(answer(
        &found,
        next.map(|place| format!("{HISTORY_MARK}{place}")),
    ))
}

fn answer(found: &[AnyTask], next_cursor: Option<String>) -> Page<TaskView> {
    Page {
        items: found.iter().map(TaskView::from).collect(),
        next_cursor,
    }
}

/// Adds what is live or just finished; says where to go on when there is more of it.
fn live_page(
    view: &View,
    query: &TaskListing,
    below: Option<TaskId>,
    limit: usize,
    found: &mut Vec<AnyTask>,
) -> Option<TaskId> {
    let mut live: Box<dyn Iterator<Item = &TaskRecord>> = match query.run {
        None => Box::new(view.state.tasks_below(below)),
        Some(run) => {
            let mut tasks: Vec<_> = view.state.tasks_of_run(run).collect();
            tasks.reverse();
            Box::new(
                tasks
                    .into_iter()
                    .filter(move |task| below.is_none_or(|id| task.id < id)),
            )
        }
    };
    let mut recent = view
        .recent
        .finished()
        .rev()
        .filter(|task| below.is_none_or(|id| task.record.id < id));
    let (mut next_live, mut next_recent) = (live.next(), recent.next());
    for scanned in 0.. {
        let live_first = match (next_live, next_recent) {
            (None, None) => return None,
            (Some(task), Some(finished)) => task.id > finished.record.id,
            (task, _) => task.is_some(),
        };
        let record = if live_first {
            next_live
        } else {
            next_recent.map(|task| &task.record)
        };
        let record = record?;
        if query.admits(record) {
            found.push(if live_first {
                AnyTask::Live(Box::new(record.clone()))
            } else {
                AnyTask::Final(next_recent.cloned()?)
            });
        }
        let here = record.id;
        if live_first {
            next_live = live.next();
        } else {
            next_recent = recent.next();
        }
        let more = next_live.is_some() || next_recent.is_some();
        if more && (found.len() == limit || scanned >= LIVE_SCANNED_MAX) {
            return Some(here);
        }
    }
    None
}

/// Adds what is in the history; says where to go on when there is more of it.
async fn history_page(
    services: &Arc<Services>,
    query: &TaskListing,
    mut start: PageStart,
    limit: usize,
    found: &mut Vec<AnyTask>,
) -> Result<Option<HistoryCursor>, OperationError> {
    let filter = TaskFilter {
        run: query.run,
        state: query.state,
        name_prefix: query.name.clone(),
        search: query.search.clone(),
    };
    let mut seen: BTreeSet<_> = found.iter().map(|task| task.record().id).collect();
    let mut last = None;
    for _ in 0..HISTORY_PAGES_MAX {
        let wanted = limit - found.len();
        let filter = filter.clone();
        let page = lookup::ask(services, "list the archive", move |archive| {
            archive.tasks(&filter, start, wanted)
        })
        .await?;
        last = page.items.last().map(|(place, _)| *place);
        for (_, task) in page.items {
            if query.has_label(&task.record) && seen.insert(task.record.id) {
                found.push(AnyTask::Final(Arc::new(task)));
            }
        }
        match last.filter(|_| page.more) {
            Some(place) if found.len() < limit => start = PageStart::Before(place),
            next => return Ok(next),
        }
    }
    Ok(last)
}

impl TaskListing {
    fn admits(&self, record: &TaskRecord) -> bool {
        self.run.is_none_or(|run| record.run == Some(run))
            && self.state.is_none_or(|state| record.state == state)
            && self
                .name
                .as_ref()
                .is_none_or(|name| record.spec.name.starts_with(name.as_str()))
            && self.has_label(record)
            && self.has_words(record)
    }

    fn has_label(&self, record: &TaskRecord) -> bool {
        let Some(label) = &self.label else {
            return true;
        };
        match label.split_once('=') {
            Some((key, value)) => record
                .spec
                .labels
                .get(key)
                .is_some_and(|found| found == value),
            None => record.spec.labels.contains_key(label),
        }
    }

    fn has_words(&self, record: &TaskRecord) -> bool {
        let Some(search) = &self.search else {
            return true;
        };
        let name = record.spec.name.to_lowercase();
        search.to_lowercase().split_whitespace().all(|word| {
            name.contains(word)
                || record.spec.labels.iter().any(|(key, value)| {
                    key.to_lowercase().contains(word) || value.to_lowercase().contains(word)
                })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_its_text_and_nonsense_is_refused() {
        let task = TaskId::from_u128(9);
        assert_eq!(Position::parse(None).unwrap(), Position::Live(None));
        assert_eq!(
            Position::parse(Some(&task.to_string())).unwrap(),
            Position::Live(Some(task))
        );
        assert_eq!(
            Position::parse(Some("h")).unwrap(),
            Position::History(PageStart::Newest)
        );
        let place = "17".parse().unwrap();
        let before = Position::History(PageStart::Before(place));
        assert_eq!(Position::parse(Some(&format!("h{place}"))).unwrap(), before);
        for text in ["", "x", "hx", "17"] {
            let error = Position::parse(Some(text)).unwrap_err();
            assert_eq!(error.code(), ErrorCode::CursorMalformed, "{text}");
        }
    }
}
