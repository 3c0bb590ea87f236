//! Subscriptions: which resources changed, for as long as the client listens.
//!
//! What comes is a sign to read again, not the change itself, so signs of the same resource that
//! come close together are one.

use crate::fault::Fault;
use crate::invocation::Caller;
use crate::memory_uri::MemoryAddress;
use crate::resources::as_error;
use crate::swarm_uri::Named;
use rmcp::ErrorData;
use rmcp::model::SubscriptionFilter;
use rmcp::service::SubscriptionContext;
use skep_model::memory::Namespace;
use skep_operations::OperationError;
use skep_operations::events::{EventFeed, EventFilter, MemoryPattern};
use skep_operations::views::EventView;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Resources that one subscription can name.
const RESOURCES_MAX: usize = 64;
/// Pause between two rounds of signs.
const PAUSE: Duration = Duration::from_millis(250);

/// What of a wish can be served: addresses of tasks, runs, nodes and entries of shared memory, up
/// to a bound. Lists never
/// change in a way that is told.
pub(crate) fn accepted(requested: &SubscriptionFilter) -> SubscriptionFilter {
    let wanted = requested.resource_subscriptions.iter().flatten();
    let known: Vec<_> = wanted
        .filter(|uri| Followed::by_uri(uri).is_some())
        .take(RESOURCES_MAX)
        .cloned()
        .collect();
    let mut accepted = SubscriptionFilter::new();
    accepted.resource_subscriptions = Some(known);
    accepted
}

/// Tells of changes until the client stops listening or the coordinator ends.
pub(crate) async fn listen(
    caller: &Caller,
    subscription: &SubscriptionContext,
) -> Result<(), ErrorData> {
    let wanted = subscription.accepted().resource_subscriptions.iter();
    let followed: BTreeMap<&String, Followed> = wanted
        .flatten()
        .filter_map(|uri| Some((uri, Followed::by_uri(uri)?)))
        .collect();
    for one in followed.values() {
        let allowed = one.check(caller).await;
        allowed.map_err(|error| as_error(&error.into()))?;
    }
    if followed.is_empty() {
        subscription.cancelled().await;
        return Ok(());
    }
    let filter = match followed.values().next() {
        Some(only) if followed.len() == 1 => only.filter(),
        _ => EventFilter::default(),
    };
    let feed = EventFeed::open(Arc::clone(&caller.services), None, filter).await;
    let mut feed = feed.map_err(|error| as_error(&error.into()))?;
    loop {
        let events = tokio::select! {
            events = feed.next() => events,
            () = subscription.cancelled() => return Ok(()),
        };
        let events = match events {
            Ok(events) => events,
            // A graceful end is told by the final answer.
            Err(error) if error.code() == skep_operations::ErrorCode::Stopped => return Ok(()),
            Err(error) => return Err(as_error(&error.into())),
        };
        for (uri, _) in followed.iter().filter(|(_, one)| one.is_touched(&events)) {
            let sent = subscription.sink().notify_resource_updated(*uri);
            if let Err(error) = sent.await {
                return Err(Fault::Internal.error(error.to_string()));
            }
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = subscription.cancelled() => return Ok(()),
        }
    }
}

/// What is followed under one address.
#[derive(Debug)]
enum Followed {
    Named(Named),
    /// Entries of shared memory in this namespace.
    Memory(Namespace, MemoryPattern),
}

impl Followed {
    fn by_uri(uri: &str) -> Option<Self> {
        if let Some(named) = Named::by_uri(uri) {
            return Some(Self::Named(named));
        }
        let address = MemoryAddress::by_uri(uri)?;
        let pattern = address.pattern()?;
        Some(Self::Memory(address.namespace, pattern))
    }

    async fn check(&self, caller: &Caller) -> Result<(), OperationError> {
        match self {
            Self::Named(named) => caller.may(named.reading(), &named.id()).await,
            Self::Memory(namespace, _) => caller.may_read(namespace).await,
        }
    }

    fn filter(&self) -> EventFilter {
        match self {
            Self::Named(named) => named.filter(),
            Self::Memory(_, pattern) => EventFilter {
                memory: Some(pattern.clone()),
                ..EventFilter::default()
            },
        }
    }

    fn is_touched(&self, events: &[EventView]) -> bool {
        events.iter().any(|event| match self {
            Self::Named(Named::Task(task)) => event.task == Some(*task),
            Self::Named(Named::Run(run)) => event.run == Some(*run),
            Self::Named(Named::Node(node)) => event.data["node"] == node.to_string().as_str(),
            Self::Memory(_, pattern) => event
                .memory
                .as_ref()
                .is_some_and(|(namespace, key)| pattern.matches(namespace, key)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_model::ids::TaskId;

    #[test]
    fn only_addresses_of_the_swarm_are_followed_and_not_too_many() {
        let mut wish = SubscriptionFilter::new();
        wish.tools_list_changed = Some(true);
        let uri = |id: u128| Named::Task(TaskId::from_u128(id)).to_string();
        let many: Vec<_> = (0..100).map(uri).collect();
        let strangers = ["file:///etc/passwd".to_owned(), "skep://task/1".to_owned()];
        wish.resource_subscriptions = Some([&strangers[..], &many[..]].concat());
        let accepted = accepted(&wish);
        assert_eq!(accepted.tools_list_changed, None);
        let served = accepted.resource_subscriptions.unwrap();
        assert_eq!(served, many[..RESOURCES_MAX]);
    }
}
