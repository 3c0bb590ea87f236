//! Reading runs.

use super::RunPath;
use crate::context::{Context, Services};
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::lookup::{self, AnyTask};
use crate::paging::page_limit;
use crate::views::{ArtifactView, Page, RunDetail, RunTask, RunView, TaskView};
use serde::Deserialize;
use skep_model::ids::RunId;
use skep_model::limits;
use skep_model::run::{RunRecord, RunState};
use skep_store::{PageStart, RunFilter, TaskFilter};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What stands before a cursor that lies in the history.
const HISTORY_MARK: char = 'h';

/// Which runs to list.
#[derive(Debug, Clone, Default, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RunListing {
    /// Only runs in this state.
    state: Option<RunState>,
    /// Only runs with names that begin so.
    name: Option<String>,
    /// Only runs with these words in their name or labels.
    search: Option<String>,
    /// Runs on a page.
    #[schemars(range(min = 1, max = limits::PAGE_ITEMS_MAX))]
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

impl RunListing {
    fn admits(&self, run: &RunRecord) -> bool {
        let spec = &run.spec;
        let words = self.search.as_deref().unwrap_or_default().to_lowercase();
        self.state.is_none_or(|state| run.state == state)
            && self
                .name
                .as_ref()
                .is_none_or(|name| spec.name.starts_with(name.as_str()))
            && words.split_whitespace().all(|word| {
                spec.name.to_lowercase().contains(word)
                    || spec.labels.iter().any(|(key, value)| {
                        key.to_lowercase().contains(word) || value.to_lowercase().contains(word)
                    })
            })
    }
}

/// Runs, newest first: what is live or just finished, then the history.
pub(super) async fn list(
    context: Context,
    query: RunListing,
) -> Result<Page<RunView>, OperationError> {
    let limit = page_limit(query.limit)?;
    let mut items = Vec::new();
    let mut start = PageStart::Newest;
    match query
        .cursor
        .as_deref()
        .map(|text| (text, text.strip_prefix(HISTORY_MARK)))
    {
        Some((_, Some(""))) => {}
        Some((text, Some(place))) => {
            start = PageStart::Before(place.parse().map_err(|_| no_cursor(text))?);
        }
        other => {
            let below = other
                .map(|(text, _)| text.parse::<RunId>().map_err(|_| no_cursor(text)))
                .transpose()?;
            let mut present = present_runs(&context.services, &query, below);
            let more = present.len() > limit;
            present.truncate(limit);
            items.extend(present.iter().map(|run| RunView::from(&**run)));
            if items.len() == limit {
                let next = items.last().filter(|_| more).map(|run| run.id.to_string());
                let next_cursor = Some(next.unwrap_or_else(|| HISTORY_MARK.to_string()));
                return Ok(Page { items, next_cursor });
            }
        }
    }
    history(&context.services, query, start, limit, items).await
}

fn no_cursor(text: &str) -> OperationError {
    let detail = format!("`{text}` is not a cursor of this listing");
    OperationError::new(ErrorCode::CursorMalformed, detail)
}

/// Live and just finished runs below an id, newest first.
fn present_runs(
    services: &Services,
    query: &RunListing,
    below: Option<RunId>,
) -> Vec<Arc<RunRecord>> {
    let view = services.hive.view();
    let live = view.state.runs().map(|run| (run.id, run));
    let recent = view.recent.runs().map(|run| (run.id, &**run));
    let runs: BTreeMap<_, _> = recent
        .chain(live)
        .filter(|(id, run)| below.is_none_or(|below| *id < below) && query.admits(run))
        .collect();
    runs.into_values()
        .rev()
        .take(limits::PAGE_ITEMS_MAX + 1)
        .cloned()
        .map(Arc::new)
        .collect()
}

async fn history(
    services: &Arc<Services>,
    query: RunListing,
    start: PageStart,
    limit: usize,
    mut items: Vec<RunView>,
) -> Result<Page<RunView>, OperationError> {
    let wanted = limit - items.len();
    let filter = RunFilter {
        state: query.state,
        name_prefix: query.name,
        search: query.search,
    };
    let page = lookup::ask(services, "list runs of the archive", move |archive| {
        archive.runs(&filter, start, wanted)
    })
    .await?;
    let seen: BTreeSet<_> = items.iter().map(|run| run.id).collect();
    let last = page.items.last().map(|(place, _)| *place);
    let new = page.items.iter().filter(|(_, run)| !seen.contains(&run.id));
    items.extend(new.map(|(_, run)| RunView::from(run)));
    let next_cursor = last
        .filter(|_| page.more)
        .map(|place| format!("{HISTORY_MARK}{place}"));
    Ok(Page { items, next_cursor })
}

pub(super) async fn get(context: Context, path: RunPath) -> Result<RunDetail, OperationError> {
    detail(&context.services, path.id).await
}

/// The run with all its tasks.
pub(super) async fn detail(
    services: &Arc<Services>,
    id: RunId,
) -> Result<RunDetail, OperationError> {
    // The tasks first: if the run ends in between, its counts are newer than the list, never
    // older, and a final run is read with its final tasks on the second look.
    let mut run = lookup::known_run(services, id).await?;
    let mut tasks = tasks_of(services, id).await?;
    if !run.state.is_final() {
        let now = lookup::known_run(services, id).await?;
        if now.state.is_final() {
            tasks = tasks_of(services, id).await?;
        }
        run = now;
    }
    Ok(RunDetail {
        run: RunView::from(&*run),
        tasks: tasks.iter().map(RunTask::from).collect(),
        artifacts: tasks.iter().flat_map(ArtifactView::of).collect(),
    })
}

/// All tasks of a run, in the order of submission.
async fn tasks_of(services: &Arc<Services>, run: RunId) -> Result<Vec<AnyTask>, OperationError> {
    let mut found = BTreeMap::new();
    {
        let view = services.hive.view();
        for task in view.state.tasks_of_run(run) {
            found.insert(task.id, AnyTask::Live(Box::new(task.clone())));
        }
        for task in view
            .recent
            .finished()
            .filter(|task| task.record.run == Some(run))
        {
            found.insert(task.record.id, AnyTask::Final(Arc::clone(task)));
        }
    }
    let filter = TaskFilter {
        run: Some(run),
        ..TaskFilter::default()
    };
    let archived = lookup::ask(services, "read the tasks of a run", move |archive| {
        let mut tasks = Vec::new();
        let mut start = PageStart::Newest;
        loop {
            let page = archive.tasks(&filter, start, limits::PAGE_ITEMS_MAX)?;
            let last = page.items.last().map(|(place, _)| *place);
            tasks.extend(page.items.into_iter().map(|(_, task)| task));
            match last.filter(|_| page.more) {
                Some(place) => start = PageStart::Before(place),
                None => return Ok(tasks),
            }
        }
    })
    .await?;
    for task in archived {
        // What became final meanwhile replaces what was live.
        found.insert(task.record.id, AnyTask::Final(Arc::new(task)));
    }
    let mut tasks: Vec<_> = found.into_values().collect();
    tasks.sort_by_key(|task| task.record().sequence);
    Ok(tasks)
}

pub(super) async fn tasks(
    context: Context,
    path: RunPath,
) -> Result<Page<TaskView>, OperationError> {
    lookup::known_run(&context.services, path.id).await?;
    let tasks = tasks_of(&context.services, path.id).await?;
    Ok(Page {
        items: tasks.iter().map(TaskView::from).collect(),
        next_cursor: None,
    })
}

pub(super) async fn artifacts(
    context: Context,
    path: RunPath,
) -> Result<Page<ArtifactView>, OperationError> {
    lookup::known_run(&context.services, path.id).await?;
    let tasks = tasks_of(&context.services, path.id).await?;
    Ok(Page {
        items: tasks.iter().flat_map(ArtifactView::of).collect(),
        next_cursor: None,
    })
}
