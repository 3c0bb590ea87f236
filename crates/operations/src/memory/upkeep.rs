//! The namespace of a run ends with its run: some time after, its entries are removed.

use crate::context::Services;
use crate::error::OperationError;
use crate::lookup;
use skep_core::MemoryQuery;
use skep_model::command::{Actor, Command};
use skep_model::event::Event;
use skep_model::ids::RunId;
use skep_model::limits::MEMORY_WRITES_PER_COMMAND_MAX;
use skep_model::memory::{
    MemoryChange, MemoryCondition, MemoryProvenance, MemoryWrite, Namespace, NamespaceSettings,
};
use skep_model::refusal::Refusal;
use std::sync::Arc;

/// How long the namespace of a run is kept after the run became final: one day.
pub const RUN_MEMORY_KEPT_MS: u64 = 24 * 3_600_000;

/// Removes what runs left that became final long enough ago, and says how many entries that were.
/// A run that is no longer in the history counts as one of long ago.
///
/// # Errors
/// The archive broke, or the log took nothing more. What was removed by then stays so.
pub async fn remove_memory_of_ended_runs(services: &Arc<Services>) -> Result<u64, OperationError> {
    let mut removed = 0;
    for (namespace, run) in namespaces_of_ended_runs(services) {
        let now = services.now();
        let record = lookup::run(services, run).await?;
        let ended = record.map(|record| record.finished_at.unwrap_or(now));
        if ended.is_none_or(|ended| now.since(ended) >= RUN_MEMORY_KEPT_MS) {
            removed += remove(services, &namespace, run).await?;
        }
    }
    Ok(removed)
}

fn namespaces_of_ended_runs(services: &Services) -> Vec<(Namespace, RunId)> {
    let view = services.hive.view();
    let namespaces = view.state.namespaces();
    let of_runs = namespaces.filter_map(|found| {
        let name = &found.record.namespace;
        Some((name.clone(), name.run()?))
    });
    of_runs
        .filter(|(_, run)| view.state.run(*run).is_none())
        .collect()
}

async fn remove(
    services: &Arc<Services>,
    namespace: &Namespace,
    run: RunId,
) -> Result<u64, OperationError> {
    // Without strategies, deleted entries are not remembered either. Who may read it stays as it is
    // until nothing is there.
    let kept = |settings: &NamespaceSettings| NamespaceSettings {
        restricted: settings.restricted,
        secret: settings.secret,
        ..NamespaceSettings::default()
    };
    set(services, namespace, kept).await?;
    let mut removed = 0;
    loop {
        let writes = removals(services, namespace, run);
        if writes.is_empty() {
            set(services, namespace, |_| NamespaceSettings::default()).await?;
            return Ok(removed);
        }
        let command = Command::WriteMemory {
            writes,
            all_or_nothing: false,
            idempotency: None,
        };
        let entry = services.hive.propose(Actor::Coordinator, command).await?;
        let deleted = |event: &&Event| matches!(event, Event::MemoryDeleted { .. });
        let done = entry.events.iter().filter(deleted).count() as u64;
        removed += done;
        // Somebody changes what is removed: the next round comes.
        if done == 0 {
            return Ok(removed);
        }
    }
}

/// Gives the namespace other settings, if they are others. It stays secret for as long as entries are
/// remembered as deleted: a later round comes to it again.
async fn set(
    services: &Arc<Services>,
    namespace: &Namespace,
    change: impl Fn(&NamespaceSettings) -> NamespaceSettings + Send,
) -> Result<(), OperationError> {
    let wanted = {
        let view = services.hive.view();
        let Some(found) = view.state.namespace(namespace) else {
            return Ok(());
        };
        let present = &found.record.settings;
        Some(change(present)).filter(|wanted| wanted != present)
    };
    let Some(settings) = wanted else {
        return Ok(());
    };
    let command = Command::SetNamespace {
        namespace: namespace.clone(),
        settings: Box::new(settings),
    };
    let entry = services.hive.propose(Actor::Coordinator, command).await?;
    let refused = entry.events.iter().find_map(|event| match event {
        Event::Refused { reason } => Some(reason.clone()),
        _ => None,
    });
    match refused {
        None | Some(Refusal::SecrecyTooLate(_)) => Ok(()),
        Some(reason) => Err(lookup::explain_refusal(services, reason).await),
    }
}

fn removals(services: &Services, namespace: &Namespace, run: RunId) -> Vec<MemoryWrite> {
    let at = services.now();
    let view = services.hive.view();
    let query = MemoryQuery {
        namespace,
        prefix: "",
        tags: &[],
        since: None,
        until: None,
        after: None,
        limit: MEMORY_WRITES_PER_COMMAND_MAX,
    };
    let entries = view.state.memory_list(&query, at).entries.into_iter();
    let removal = |entry: &skep_model::memory::MemoryEntry| MemoryWrite {
        condition: MemoryCondition::Version(entry.version),
        provenance: MemoryProvenance {
            run: Some(run),
            why: Some("its run has ended".to_owned()),
            ..MemoryProvenance::default()
        },
        ..MemoryWrite::new(namespace.clone(), entry.key.clone(), MemoryChange::Delete)
    };
    entries.map(removal).collect()
}
