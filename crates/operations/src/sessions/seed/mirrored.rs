//! Sessions, queue and counts as the Redis mirror shows them.

use super::metrics;
use super::queue::most_urgent;
use super::shapes::{Metrics, TYPE_DEFAULT, hours, task_status};
use crate::context::Services;
use crate::rfc3339::Timestamp;
use crate::sessions::view::SessionView;
use serde::Serialize;
use skep_mirror::{Fields, Overview};
use skep_model::ids::TaskId;
use skep_model::task::TaskRecord;
use skep_model::time::UnixMillis;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Waiting tasks that are shown, the most urgent ones.
pub(crate) const QUEUE_MIRRORED_MAX: usize = 500;

/// A task of `work_queue`.
#[derive(Debug, Serialize)]
struct QueuedTask {
    id: TaskId,
    #[serde(rename = "type")]
    kind: String,
    title: String,
    priority: u8,
    required_capability: Option<String>,
    estimated_hours: Option<f64>,
    dependencies: Vec<TaskId>,
    /// Name of the session that has it.
    assigned_to: Option<String>,
    status: &'static str,
}

impl QueuedTask {
    fn of(task: &TaskRecord, session: Option<&str>) -> Self {
        let capability = task.spec.requirements.capabilities.keys().next();
        Self {
            id: task.id,
            kind: capability.map_or(TYPE_DEFAULT, |name| name).to_owned(),
            title: task.spec.name.clone(),
            priority: task.spec.priority.effective(task.had_needs),
            required_capability: capability.cloned(),
            estimated_hours: task.spec.work.timeout_ms().map(hours),
            dependencies: task.waits_for.clone(),
            assigned_to: session.map(str::to_owned),
            status: task_status(task.state),
        }
    }
}

/// What is shown now.
pub(crate) fn overview(services: &Services) -> Overview {
    let hive = &services.hive;
    let now = services.now();
    let (sessions, mut queue, metrics) = {
        let view = hive.view();
        let agents = view.state.agents();
        let sessions: Vec<SessionView> = agents
            .filter_map(|agent| SessionView::of(hive, &view, agent))
            .collect();
        let held = sessions.iter().filter_map(|session| {
            let task = view.state.task(session.current_task?)?;
            Some(QueuedTask::of(task, Some(&session.name)))
        });
        let waiting = most_urgent(&view.state, QUEUE_MIRRORED_MAX).into_iter();
        let waiting = waiting.filter_map(|task| view.state.task(task));
        let queue: Vec<QueuedTask> = held
            .chain(waiting.map(|task| QueuedTask::of(task, None)))
            .collect();
        let metrics = metrics(&view, &sessions);
        (sessions, queue, metrics)
    };
    queue.sort_by_key(|task| Reverse(task.priority));
    let sessions = sessions.iter();
    Overview {
        sessions: sessions
            .map(|session| (session.name.clone(), session_fields(session, now)))
            .collect(),
        work_queue: queue.iter().map(json).collect(),
        metrics: metric_fields(&metrics, now),
    }
}

fn session_fields(session: &SessionView, now: UnixMillis) -> Fields {
    let capabilities: Vec<&String> = session.declared.keys().collect();
    let mut fields = Fields::from([
        ("id", session.name.clone()),
        ("status", session.state.as_str().to_owned()),
        ("capabilities", json(&capabilities)),
    ]);
    let called = session.silent_ms.map(|silent| {
        // In whole seconds, so that it changes with a call and not with each look.
        let at = UnixMillis(now.0.saturating_sub(silent) / 1_000 * 1_000);
        Timestamp::from(at).to_string()
    });
    let task = session.current_task.map(|task| task.to_string());
    let score = session.measured.all.success_rate;
    let optional = [
        ("current_task", task),
        ("last_heartbeat", called),
        ("performance_score", score.map(|score| score.to_string())),
    ];
    fields.extend(some(optional));
    fields
}

fn metric_fields(metrics: &Metrics, now: UnixMillis) -> Fields {
    let mut fields = Fields::from([
        ("total_sessions", metrics.total_sessions.to_string()),
        ("active_sessions", metrics.active_sessions.to_string()),
        ("tasks_completed", metrics.tasks_completed.to_string()),
        ("tasks_pending", metrics.tasks_pending.to_string()),
        ("tasks_in_progress", metrics.tasks_in_progress.to_string()),
        ("mirrored_at", Timestamp::from(now).to_string()),
    ]);
    let optional = [
        ("avg_task_time", metrics.avg_task_time),
        ("utilization", metrics.utilization),
    ];
    let texts = optional.map(|(name, value)| (name, value.map(|value| value.to_string())));
    fields.extend(some(texts));
    fields
}

/// What there is not has no field.
fn some<const COUNT: usize>(
    fields: [(&'static str, Option<String>); COUNT],
) -> BTreeMap<&'static str, String> {
    let there = fields.into_iter();
    there
        .filter_map(|(name, text)| Some((name, text?)))
        .collect()
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("names, numbers and lists of them can be written as JSON")
}
