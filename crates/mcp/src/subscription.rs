//! Subscriptions: which resources changed, for as long as the client listens.
//!
//! What comes is a sign to read again, not the change itself, so signs of the same resource that
//! come close together are one. Each sign says up to where the log was looked at; who listens again
//! from there is told of all that changed in between.

use crate::fault::Fault;
use crate::invocation::Caller;
use crate::memory_uri::MemoryAddress;
use crate::resources::as_error;
use crate::swarm_uri::Named;
use rmcp::ErrorData;
use rmcp::model::{
    GetMeta, MetaObject, RequestMetaObject, ResourceUpdatedNotification,
    ResourceUpdatedNotificationParam, ServerNotification, SubscriptionFilter,
};
use rmcp::service::SubscriptionContext;
use serde_json::Value;
use skep_model::attempt::LogIndex;
use skep_model::event::EventCursor;
use skep_model::memory::Namespace;
use skep_operations::events::{EventFeed, EventFilter, MemoryPattern};
use skep_operations::views::EventView;
use skep_operations::{OperationError, Services};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Resources that one subscription can name.
const RESOURCES_MAX: usize = 64;
/// Pause between two rounds of signs.
const PAUSE: Duration = Duration::from_millis(250);

/// Where a sign, or a resource that was read, says up to where the log was looked at:
/// `INDEX.ORDINAL`.
const META_CURSOR: &str = "skep/cursor";
/// Where a client says after which sign, or after which entry of the log, it wants to go on.
const META_AFTER: &str = "skep/after";

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

/// For a resource that is read after this: who listens from there on misses no change of it.
pub(crate) async fn place_now(services: &Arc<Services>) -> Option<MetaObject> {
    let feed = EventFeed::open(Arc::clone(services), None, EventFilter::default()).await;
    // Too many listen already; this client could not either.
    let cursor = Value::String(feed.ok()?.cursor().to_string());
    let mut meta = MetaObject::new();
    meta.insert(META_CURSOR.to_owned(), cursor);
    Some(meta)
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
    let after = after(&subscription.request_context().meta)?;
    if followed.is_empty() {
        subscription.cancelled().await;
        return Ok(());
    }
    let filter = match followed.values().next() {
        Some(only) if followed.len() == 1 => only.filter(),
        _ => EventFilter::default(),
    };
    let feed = EventFeed::open(Arc::clone(&caller.services), after, filter).await;
    let mut feed = feed.map_err(|error| as_error(&error.into()))?;
    let checked = feed.check_cursor().await;
    checked.map_err(|error| as_error(&error.into()))?;
    loop {
        let before = feed.cursor();
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
        let mut touched = touched(&followed, &events);
        while let Some(uri) = touched.pop() {
            // Whoever goes on after this sign has to be told of those that follow it.
            let is_last = touched.is_empty();
            let cursor = if is_last { feed.cursor() } else { before };
            let sent = subscription.sink().send(sign(uri, cursor)).await;
            sent.map_err(|error| Fault::Internal.error(error.to_string()))?;
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = subscription.cancelled() => return Ok(()),
        }
    }
}

/// After what the client wants to go on; after the newest event unless it says so.
fn after(meta: &RequestMetaObject) -> Result<Option<EventCursor>, ErrorData> {
    let Some(said) = meta.get(META_AFTER) else {
        return Ok(None);
    };
    let index = said.as_u64().map(|index| EventCursor {
        index: LogIndex(index),
        ordinal: u32::MAX,
    });
    let cursor = index.or_else(|| said.as_str()?.parse().ok());
    cursor.map(Some).ok_or_else(|| {
        let detail = format!(
            "`{META_AFTER}` in `_meta` is `{said}`; want the `{META_CURSOR}` of a sign, or the \
             index of an entry of the log"
        );
        Fault::ParamsInvalid.error(detail)
    })
}

/// The addresses under which something of these events is followed.
fn touched<'a>(followed: &BTreeMap<&'a String, Followed>, events: &[EventView]) -> Vec<&'a String> {
    let touched = followed.iter().filter(|(_, one)| one.is_touched(events));
    touched.map(|(uri, _)| *uri).collect()
}

/// Tells that a resource changed, and up to where the log was looked at.
fn sign(uri: &str, cursor: EventCursor) -> ServerNotification {
    let params = ResourceUpdatedNotificationParam::new(uri);
    let sign = ResourceUpdatedNotification::new(params);
    let mut sign = ServerNotification::ResourceUpdatedNotification(sign);
    let cursor = Value::String(cursor.to_string());
    sign.get_meta_mut().insert(META_CURSOR.to_owned(), cursor);
    sign
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
    use serde_json::json;
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

    #[test]
    fn a_client_goes_on_after_a_sign_or_an_entry_and_nothing_else() {
        let said = |value: Value| {
            let mut meta = RequestMetaObject::new();
            meta.insert(META_AFTER.to_owned(), value);
            after(&meta)
        };
        assert_eq!(after(&RequestMetaObject::new()).unwrap(), None);
        let cursor = |index, ordinal| EventCursor {
            index: LogIndex(index),
            ordinal,
        };
        assert_eq!(said(json!("7.2")).unwrap(), Some(cursor(7, 2)));
        assert_eq!(said(json!(7)).unwrap(), Some(cursor(7, u32::MAX)));
        for wrong in [json!("7"), json!(-1), json!(null), json!({}), json!("x.y")] {
            let error = said(wrong.clone()).unwrap_err();
            assert!(error.message.contains(META_AFTER), "{wrong}: {error}");
        }
    }
}
