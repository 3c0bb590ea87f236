//! `skep events`: what happened and what happens, one event a line.

use super::Session;
use crate::api::{Api, items};
use crate::args::EventsArgs;
use crate::event_follower::{EventFollower, event_line, is_resync, newest_cursor};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{Output, text};
use serde_json::Value;
use skep_client::with_query;
use skep_model::limits::PAGE_ITEMS_MAX;

pub(crate) async fn run(session: &Session, args: EventsArgs) -> Outcome {
    let api = session.api()?;
    if !args.follow {
        return print_kept(session, &api, &args).await;
    }
    let cursor = match args.after {
        Some(cursor) => cursor,
        None => newest_cursor(&api).await?,
    };
    follow(session.output, &api, cursor, args.run.as_deref()).await
}

/// Prints events after the cursor as they come, until the process is ended.
pub(crate) async fn follow(
    output: Output,
    api: &Api,
    cursor: String,
    run: Option<&str>,
) -> Outcome {
    let mut events = EventFollower::after(api, cursor, run.map(|run| ("run", run)));
    loop {
        let event = events.next().await?;
        if !is_resync(&event) || output == Output::Json {
            print(output, &event.data)?;
        }
    }
}

/// One event, as a line.
pub(crate) fn print(output: Output, event: &Value) -> Result<(), Failure> {
    output.streamed(event, event_line)
}

/// Prints what is kept after the cursor, page by page, and ends.
async fn print_kept(session: &Session, api: &Api, args: &EventsArgs) -> Outcome {
    let mut after = args.after.clone();
    let page_size = PAGE_ITEMS_MAX.to_string();
    loop {
        let filters = [("after", after.as_deref()), ("run", args.run.as_deref())];
        let filters = filters
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?)));
        let query = filters.chain([("limit", page_size.as_str())]);
        let page = api.get(&with_query("/api/v2/events", query)).await?;
        for event in items(&page) {
            print(session.output, event)?;
        }
        let next = Some(text(&page, "/next_cursor"));
        if items(&page).is_empty() || next == after {
            return Ok(Exit::Ok);
        }
        after = next;
    }
}
