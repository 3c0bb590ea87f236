//! Entries of the namespace `knowledge` as the Redis mirror shows them. What is secret or restricted
//! is not shown.

use super::access::EntryName;
use super::entry_view::ValueView;
use super::values::read_version;
use crate::context::Services;
use crate::error::OperationError;
use crate::rfc3339::Timestamp;
use skep_coordinator::View;
use skep_core::MemoryQuery;
use skep_mirror::{Fields, TopicPage};
use skep_model::command::Actor;
use skep_model::memory::{MemoryKey, MemoryRecord, MemoryVersion, Namespace};
use std::sync::Arc;

/// Topics on one page.
const TOPICS_PER_PAGE: usize = 256;

/// The namespace whose entries are topics.
pub(crate) fn knowledge() -> Namespace {
    let name = Namespace::KNOWLEDGE.parse();
    name.expect("the name of a namespace that is always there is allowed")
}

/// Whether others may read it without a token.
fn is_shown(view: &View, namespace: &Namespace) -> bool {
    let found = view.state.namespace(namespace);
    found.is_none_or(|found| {
        let settings = &found.record.settings;
        !settings.secret && !settings.restricted
    })
}

/// The next topics behind this one.
pub(crate) fn topics(services: &Services, after: Option<&str>) -> TopicPage {
    let namespace = knowledge();
    // A name that is none is behind no topic.
    let after: Option<MemoryKey> = after.and_then(|after| after.parse().ok());
    let at = services.now();
    let view = services.hive.view();
    if !is_shown(&view, &namespace) {
        return TopicPage::default();
    }
    let query = MemoryQuery {
        namespace: &namespace,
        prefix: "",
        tags: &[],
        since: None,
        until: None,
        after: after.as_ref(),
        limit: TOPICS_PER_PAGE,
    };
    let page = view.state.memory_list(&query, at);
    let names = page.entries.iter().map(|entry| entry.key.to_string());
    TopicPage {
        names: names.collect(),
        next: page.next.map(MemoryKey::to_string),
    }
}

/// A topic as it is now.
pub(crate) async fn topic(
    services: &Arc<Services>,
    name: &str,
) -> Result<Option<Fields>, OperationError> {
    let Ok(key) = name.parse() else {
        return Ok(None);
    };
    let entry = EntryName {
        namespace: knowledge(),
        key,
    };
    let Some(version) = shown_version(services, &entry) else {
        return Ok(None);
    };
    // It was not secret when it was written: that changes only while a namespace is empty. Past the
    // tiers: writing all anew would fill them with what nobody reads.
    let found = read_version(services, &entry, version).await?;
    // Without it there is a newer version, and an event that says so.
    Ok(found.map(|record| fields(services, &record)))
}

fn shown_version(services: &Services, name: &EntryName) -> Option<MemoryVersion> {
    let at = services.now();
    let view = services.hive.view();
    if !is_shown(&view, &name.namespace) {
        return None;
    }
    let entry = view.state.memory_entry(&name.namespace, &name.key, at)?;
    Some(entry.version)
}

fn fields(services: &Services, record: &MemoryRecord) -> Fields {
    let value = record.put.as_deref();
    let value = value.map(|put| ValueView::of(&put.value));
    Fields::from([
        ("topic", record.key.to_string()),
        ("content", value.unwrap_or_default().content()),
        ("updated_by", author(services, &record.actor)),
        ("updated_at", Timestamp::from(record.written_at).to_string()),
        ("version", record.version.to_string()),
    ])
}

/// Whoever wrote it, by name if there is one.
fn author(services: &Services, actor: &Actor) -> String {
    let view = services.hive.view();
    match actor {
        Actor::Coordinator => "coordinator".to_owned(),
        Actor::Token(id) => {
            let token = view.state.token(*id);
            token.map_or_else(|| id.to_string(), |token| token.name.clone())
        }
        Actor::Node(id) => {
            let node = view.state.node(*id);
            node.map_or_else(|| id.to_string(), |node| node.facts.name.clone())
        }
        Actor::Task(id) => id.to_string(),
    }
}
