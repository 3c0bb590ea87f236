//! Follows events over an outage of the coordinator, so that a restart does not end a wait.

use crate::api::Api;
use crate::exit::Failure;
use crate::output::{note, shown, text};
use serde_json::Value;
use skep_client::{EventStream, StreamedEvent};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// How long an outage may last before following ends with an error.
const OUTAGE_MAX: Duration = Duration::from_mins(1);
/// Pause between two rounds of reconnecting; the stream itself makes several tries in a round.
const RECONNECT_PAUSE: Duration = Duration::from_millis(500);
/// A wait that lasted longer than any round of reconnecting had a connection meanwhile.
const ROUND_MAX: Duration = Duration::from_secs(30);

/// Events in order, without gap.
#[derive(Debug)]
pub(crate) struct EventFollower {
    events: EventStream,
    lost_since: Option<Instant>,
}

impl EventFollower {
    pub(crate) const fn new(events: EventStream) -> Self {
        Self {
            events,
            lost_since: None,
        }
    }

    /// Events after the cursor that pass the filters.
    pub(crate) fn after<'a>(
        api: &Api,
        cursor: String,
        filters: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        Self::new(api.client().events(Some(cursor), filters))
    }

    /// Waits for the next event. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Result<StreamedEvent, Failure> {
        loop {
            let asked = Instant::now();
            let error = match self.events.next().await {
                Ok(event) => {
                    self.lost_since = None;
                    return Ok(event);
                }
                Err(error) => error,
            };
            if asked.elapsed() > ROUND_MAX {
                self.lost_since = None;
            }
            let first = self.lost_since.is_none();
            let since = *self.lost_since.get_or_insert(asked);
            if !error.is_retryable() || since.elapsed() > OUTAGE_MAX {
                return Err(error.into());
            }
            if first {
                let patience = OUTAGE_MAX.as_secs();
                tracing::info!(%error, "the event stream broke off; trying again for {patience} s");
            }
            tokio::time::sleep(RECONNECT_PAUSE).await;
        }
    }
}

/// The newest event's cursor: following after it shows what happens from now on.
pub(crate) async fn newest_cursor(api: &Api) -> Result<String, Failure> {
    let status = api.get("/api/v2/system/status").await?;
    Ok(text(&status, "/events_cursor"))
}

/// Whether this says that events before it are no longer kept; says so to people.
pub(crate) fn is_resync(event: &StreamedEvent) -> bool {
    let resync = event.name == "resync";
    if resync {
        note(&format!(
            "warning: {}; going on from {}",
            text(&event.data, "/detail"),
            event.cursor
        ));
    }
    resync
}

/// One event as a line for people.
pub(crate) fn event_line(event: &Value) -> String {
    let subject = match (text(event, "/task"), text(event, "/run")) {
        (task, run) if task == "-" && run == "-" => String::new(),
        (task, run) if task == "-" => format!("  {run}"),
        (task, _) => format!("  {task}"),
    };
    let data = event.pointer("/data").and_then(Value::as_object);
    let mut details = String::new();
    for (key, value) in data.into_iter().flatten() {
        if !matches!(key.as_str(), "task" | "run") && !value.is_null() {
            // Writing to a string cannot fail.
            let _ = write!(details, "  {key}={}", shown(value));
        }
    }
    let at = text(event, "/at");
    format!(
        "{at}  {:<10}  {:<16}{subject}{details}",
        text(event, "/cursor"),
        text(event, "/event")
    )
}

#[cfg(test)]
mod tests {
    use super::event_line;
    use serde_json::json;

    #[test]
    fn an_event_is_one_line_with_its_subject_once() {
        let event = json!({
            "at": "T", "cursor": "7.0", "event": "task_finished", "run": "run_1", "task": "task_1",
            "data": {"task": "task_1", "run": "run_1", "state": "failed", "attempts": 2, "x": null},
        });
        assert_eq!(
            event_line(&event),
            "T  7.0         task_finished     task_1  attempts=2  state=failed"
        );
    }
}
