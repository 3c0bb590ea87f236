//! What a node is told about a grant.

use crate::task_token::{TaskTokenKey, task_idempotency_key};
use skep_core::State;
use skep_model::task::TaskRecord;
use skep_wire::payload::{Offer, TaskToken};

/// The current grant of a task, as its node is told; none when it is not granted.
pub(super) fn offer(tokens: &TaskTokenKey, state: &State, record: &TaskRecord) -> Option<Offer> {
    let lease = record.lease.as_ref()?;
    Some(Offer {
        task: record.id,
        run: record.run,
        run_name: record
            .run
            .and_then(|run| state.run(run))
            .map(|run| run.spec.name.as_str().into()),
        attempt: record.attempts,
        fence: lease.fence,
        spec: std::sync::Arc::clone(&record.spec),
        idempotency_key: task_idempotency_key(record.id),
        token: TaskToken::new(tokens.mint(record.id, lease.fence)),
        meta: None,
    })
}
